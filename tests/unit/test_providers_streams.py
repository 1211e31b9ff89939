"""Streams of one answer: the last figure that was said wins, null says nothing, and a cut stream says that it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.streams import (
    CHAT,
    CHAT_USAGE,
    COMPLETE,
    GEMINI,
    GROQ,
    INTERACTION,
    MESSAGE_START,
    MESSAGES,
    OBJECTS,
    RESPONSES,
    TEXT_DELTA,
    as_object,
    chunk,
    gemini,
)
from tokencalc.errors import UsageInvalid, UsageMissing
from tokencalc.providers.registry import read_usage

if TYPE_CHECKING:
    from tests.unit.streams import Event
    from tokencalc.usage import Usage


def leaves(usage: Usage) -> dict[str, int]:
    """Return the leaves by the meters' names."""
    return {meter.value: int(quantity) for meter, quantity in usage.leaves}


TOKENS = {"input": 70, "cache_read": 30, "output": 32, "reasoning": 8}


@pytest.mark.parametrize(
    ("expected", "tier", "name"),
    [
        (TOKENS, "default", "chat"),
        (TOKENS, None, "groq"),
        (TOKENS, "flex", "responses"),
        (
            {"input": 70, "cache_read": 30, "cache_write_5m": 5, "cache_write_1h": 15, "output": 40},
            "standard",
            "messages",
        ),
        ({"input": 100, "output": 32, "reasoning": 8}, None, "gemini"),
        ({"input": 100, "output": 32, "reasoning": 8}, None, "interaction"),
    ],
)
def test_a_whole_stream_reads_as_the_unstreamed_answer(expected: dict[str, int], tier: str | None, name: str) -> None:
    usage = read_usage(COMPLETE[name])
    assert leaves(usage) == expected
    assert (usage.model, usage.service_tier) == ("m-1", tier)
    assert (usage.is_interrupted, usage.notes, usage.parts) == (False, (), ())


@pytest.mark.parametrize("name", OBJECTS)
def test_a_stream_is_read_from_a_tuple_and_from_sdk_objects_alike(name: str) -> None:
    expected = read_usage(COMPLETE[name])
    assert read_usage(tuple(COMPLETE[name])) == expected
    assert read_usage(as_object(COMPLETE[name])) == expected


@pytest.mark.parametrize(
    ("expected", "events"),
    [
        # The whole usage in the chunk that finishes.
        (TOKENS, [chunk("a"), chunk(finish="stop", usage=CHAT_USAGE)]),
        # Usage so far in every chunk.
        (
            {"input": 100, "output": 9},
            [chunk("a", usage={"prompt_tokens": 100, "completion_tokens": n}) for n in (1, 5)]
            + [chunk(finish="stop", usage={"prompt_tokens": 100, "completion_tokens": 9})],
        ),
        # Under Groq's own name only.
        (TOKENS, [chunk("a"), chunk(finish="stop", x_groq={"usage": CHAT_USAGE})]),
        # In a choice.
        (TOKENS, [chunk("a"), chunk(choices=[{"index": 0, "finish_reason": "stop", "usage": CHAT_USAGE}])]),
        # Azure starts with a chunk without a name or choices.
        (TOKENS, [chunk(choices=[], id="", model="", prompt_filter_results=[]), *CHAT]),
        # A later null is no figure.
        (TOKENS, [*CHAT, chunk(choices=[], usage={"prompt_tokens": None, "completion_tokens": None})]),
        # An id for every chunk is still one answer.
        (TOKENS, [{**event, "id": f"c{n}"} for n, event in enumerate(CHAT)]),
    ],
)
def test_a_chat_says_its_usage_where_its_provider_likes(expected: dict[str, int], events: list[Event]) -> None:
    usage = read_usage(events)
    assert leaves(usage) == expected
    assert (usage.model, usage.is_interrupted, usage.parts) == ("m-1", False, ())


def test_a_groq_compound_stream_keeps_its_breakdown() -> None:
    breakdown = {"models": [{"model": "inner", "usage": CHAT_USAGE}]}
    usage = read_usage([chunk(finish="stop", x_groq={"usage": CHAT_USAGE, "usage_breakdown": breakdown})])
    assert [part.model for part in usage.parts] == ["inner"]


def test_the_delta_of_a_message_replaces_the_figures_of_its_start() -> None:
    said = {"input_tokens": 404, "cache_read_input_tokens": 0, "output_tokens": 40, "service_tier": None}
    searches = {"server_tool_use": {"web_search_requests": 2}}
    usage = read_usage([MESSAGE_START, {"type": "message_delta", "usage": said | searches}, {"type": "message_stop"}])
    expected = {"input": 404, "cache_write_5m": 5, "cache_write_1h": 15, "output": 40, "web_search": 2}
    assert leaves(usage) == expected
    assert usage.service_tier == "standard"


def test_lifetimes_that_exceed_the_new_total_of_writes_become_unstated() -> None:
    delta = {"type": "message_delta", "usage": {"cache_creation_input_tokens": 12, "output_tokens": 40}}
    usage = read_usage([MESSAGE_START, delta, {"type": "message_stop"}])
    assert leaves(usage) == {"input": 70, "cache_read": 30, "cache_write": 12, "output": 40}
    assert "replaced by 12, less than the lifetimes said before" in usage.notes[0]


def test_counters_of_gemini_that_restart_are_flagged() -> None:
    usage = read_usage([gemini(9, 15), gemini(9, 7), gemini(90, 21, finish="STOP")])
    assert leaves(usage) == {"input": 90, "output": 21}
    assert "usageMetadata.candidatesTokenCount fell from 15 to 7 within the stream" in "".join(usage.notes)
    assert not usage.is_interrupted


def test_a_count_that_the_last_chunk_leaves_out_stays_said() -> None:
    last = {"candidates": [{"finishReason": "STOP"}], "usageMetadata": {"promptTokenCount": 9, "totalTokenCount": 9}}
    usage = read_usage([gemini(9, 7), last])
    assert leaves(usage) == {"input": 9, "output": 7}
    assert any("is not prompt + candidates" in note for note in usage.notes)


def test_a_list_by_modality_goes_with_the_count_that_it_splits() -> None:
    audio = {"candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 20}]}
    first = gemini(9, 20) | {"usageMetadata": gemini(9, 20)["usageMetadata"] | audio}
    assert leaves(read_usage([first, gemini(9, 10, finish="STOP")])) == {"input": 9, "output": 10}


def test_chunks_that_say_only_the_traffic_are_no_usage_yet() -> None:
    waiting = {"candidates": [{}], "usageMetadata": {"trafficType": "ON_DEMAND"}, "modelVersion": "m-1"}
    assert leaves(read_usage([waiting, *GEMINI])) == {"input": 100, "output": 32, "reasoning": 8}
    with pytest.raises(UsageMissing, match="the stream ended before its finishReason, and says no usage"):
        read_usage([waiting])


@pytest.mark.parametrize(
    ("expected", "end", "events"),
    [
        ({"input": 70, "cache_read": 30, "cache_write_5m": 5, "cache_write_1h": 15, "output": 1}, "message_stop",
         MESSAGES[:3]),
        ({"input": 100, "output": 5, "reasoning": 8}, "its finishReason", GEMINI[:1]),
        (TOKENS, "its finish_reason", [chunk("a", usage=CHAT_USAGE)]),
        ({"input": 3, "output": 2}, "response.completed",
         [{"type": "response.in_progress", "response": {"usage": {"input_tokens": 3, "output_tokens": 2}}}]),
    ],
)  # fmt: skip
def test_a_stream_that_was_cut_says_what_is_missing(expected: dict[str, int], end: str, events: list[Event]) -> None:
    usage = read_usage(events)
    assert leaves(usage) == expected
    assert usage.is_interrupted
    assert usage.notes == (f"the stream ended before {end}: the figures are those that had been said until then",)


OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}


@pytest.mark.parametrize(
    ("expected", "kind", "events"),
    [
        ({"input": 70, "cache_read": 30, "cache_write_5m": 5, "cache_write_1h": 15, "output": 1}, "overloaded_error",
         [MESSAGE_START, TEXT_DELTA, OVERLOADED]),
        (TOKENS, "400", [chunk("a"), chunk(finish="error", usage=CHAT_USAGE, error={"code": 400})]),
        (TOKENS, "tool_use_failed", [chunk("a", usage=CHAT_USAGE), {"error": {"code": "tool_use_failed"}}]),
        ({"input": 100, "output": 5, "reasoning": 8}, "UNAVAILABLE", [GEMINI[0], {"error": {"status": "UNAVAILABLE"}}]),
    ],
)  # fmt: skip
def test_an_error_inside_a_stream_keeps_the_usage_so_far(
    expected: dict[str, int], kind: str, events: list[Event]
) -> None:
    usage = read_usage(events)
    assert leaves(usage) == expected
    assert usage.is_interrupted
    assert f"broke off with an error ({kind}) before" in usage.notes[-1]


def test_an_answer_that_failed_with_its_usage_is_whole() -> None:
    answer = {"id": "r1", "error": {"code": "server_error"}, "usage": {"input_tokens": 3, "output_tokens": 2}}
    usage = read_usage([{"type": "response.failed", "response": answer}])
    assert leaves(usage) == {"input": 3, "output": 2}
    assert (usage.is_interrupted, usage.notes) == (False, ("the answer ended with an error (server_error)",))


@pytest.mark.parametrize(
    "events",
    [
        [OVERLOADED],
        [{"error": {"code": 429, "message": "slow down"}}],
        [{"throttlingException": {"message": "slow down"}}],
        [{"type": "error", "code": "server_error", "message": "busy"}],
    ],
)
def test_a_stream_that_is_only_an_error_costs_nothing(events: list[Event]) -> None:
    usage = read_usage(events)
    assert (usage.leaves, usage.is_interrupted) == ((), False)
    assert usage.notes[0].startswith("the provider answered with an error (")
    assert usage.notes[0].endswith("): nothing was used")


@pytest.mark.parametrize(
    ("message", "events"),
    [
        (r'the stream says no usage, .* ask for it with stream_options=\{"include_usage": true\}', CHAT[:3]),
        ("the stream ended before its finish_reason, and says no usage", CHAT[:2]),
        (
            r"broke off with an error \(x\) after it had begun, and says no usage",
            [chunk("a"), {"error": {"code": "x"}}],
        ),
        ("the stream ended before response.completed, and says no usage", RESPONSES[:2]),
        (
            "the stream has its response.completed, and says no usage",
            [{"type": "response.completed", "response": {"id": "r1", "usage": None}}],
        ),
        (r"broke off with an error \(x\) after it had begun", [*RESPONSES[:2], {"type": "error", "code": "x"}]),
        ("no message_start and no message_delta with a usage", [TEXT_DELTA]),
        ("a stream of text completions says no usage", [{"type": "completion", "completion": "a"}]),
        ("the stream ended before interaction.completed, and says no usage", INTERACTION[:2]),
        ("the stream ended before message-end, and says no usage", [{"type": "message-start"}]),
        ("the stream ended before stream-end, and says no usage", [{"event_type": "text-generation"}]),
        ("the stream ended before its metadata, and says no usage", [{"messageStart": {"role": "assistant"}}]),
        ("has no trace of a model call, .* enableTrace=True", [{"chunk": {"bytes": b"hello"}}]),
        ("the stream says no usage", [{"type": "speech.audio.delta", "audio": ""}]),
        ("the stream has no events", []),
    ],
)
def test_a_stream_without_usage_is_refused_and_says_how_to_ask(message: str, events: list[Event]) -> None:
    with pytest.raises(UsageMissing, match=message):
        read_usage(events)


def test_two_answers_in_one_list_are_two_calls() -> None:
    other = [{**event, "id": "c2"} for event in CHAT]
    usage = read_usage(CHAT + other)
    assert [leaves(part) for part in usage.parts] == [TOKENS, TOKENS]
    assert read_usage(MESSAGES + MESSAGES).output_tokens == 80
    later = [{**event, "response": {**event["response"], "id": "r2"}} for event in RESPONSES if "response" in event]
    assert read_usage(RESPONSES + later).input_tokens == 200


def test_an_answer_without_usage_beside_others_is_said() -> None:
    usage = read_usage([*CHAT, {**CHAT[0], "id": "c2"}, {**CHAT[2], "id": "c2"}])
    assert leaves(usage) == TOKENS
    assert usage.is_interrupted
    assert "1 of the 2 answers in the list say no usage" in usage.notes[-1]


def test_a_single_event_at_the_end_of_a_stream_is_enough() -> None:
    assert read_usage(RESPONSES[-1]).reasoning_tokens == 8
    assert read_usage(RESPONSES[-1:]) == read_usage(RESPONSES)
    assert read_usage(MESSAGE_START).is_interrupted
    done = {"type": "transcript.text.done", "usage": {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}}
    assert leaves(read_usage([{"type": "transcript.text.delta", "delta": "a"}, done])) == {"input": 3, "output": 2}


def test_several_usages_of_an_unknown_stream_are_not_guessed() -> None:
    with pytest.raises(UsageInvalid, match="2 events say a usage and none is of a stream that we know"):
        read_usage([{"usage": CHAT_USAGE}, {"usage": CHAT_USAGE}])


@pytest.mark.parametrize(
    ("message", "events"),
    [
        (r"expected a parsed event at \[1\], found str; parse the JSON first", [CHAT[0], "data: {}"]),
        (r"expected a parsed event at \[0\], found int", [7]),
        (r"expected a parsed event at \[0\], found list", [[CHAT[0]]]),
    ],
)
def test_what_is_no_event_is_refused_with_its_place(message: str, events: list[object]) -> None:
    with pytest.raises(UsageInvalid, match=message):
        read_usage(events)


def test_a_stream_that_is_still_running_is_not_read() -> None:
    with pytest.raises(UsageInvalid, match="found generator; read the stream to its end and hand in the list"):
        read_usage(event for event in CHAT)


def test_the_content_of_an_event_object_is_never_touched() -> None:
    class Delta:
        """A piece of content that must not be read."""

        finish_reason = stop_reason = usage = error = None

        @property
        def text(self) -> object:
            """Fail when looked at."""
            raise AssertionError("content was touched")

        def model_dump(self) -> object:
            """Fail when dumped."""
            raise AssertionError("content was touched")

    start, _, _, *rest = as_object(MESSAGES)
    piece = as_object({"type": "content_block_delta", "index": 0})
    piece.delta = Delta()
    assert read_usage([start, piece, *rest]) == read_usage(MESSAGES)
    assert read_usage(GROQ).reasoning_tokens == 8
