"""Sessions: each response and each transcription is a call of its own, by the model that served it."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from tests.unit.streams import (
    LIVE,
    SESSION,
    SESSION_CREATED,
    TRANSCRIBED,
    as_object,
    realtime_usage,
    response_done,
)
from tokencalc import Engine
from tokencalc.errors import UsageInvalid, UsageMissing
from tokencalc.providers.registry import read_usage

if TYPE_CHECKING:
    from tests.unit.streams import Event
    from tokencalc.usage import Usage


def leaves(usage: Usage) -> dict[str, int | Decimal]:
    """Return the leaves by the meters' names."""
    return {meter.value: quantity for meter, quantity in usage.leaves}


def test_responses_and_transcriptions_of_a_session_are_parts() -> None:
    usage = read_usage(SESSION)
    assert [(part.model, leaves(part)) for part in usage.parts] == [
        ("ears-1", {"input_audio_second": Decimal(3)}),
        ("voice-1", {"input": 14, "input_audio": 26, "output": 28, "output_audio": 80}),
        ("voice-1", {"input": 10, "input_audio": 40, "cache_read": 50, "output": 5, "output_audio": 30}),
    ]
    assert (usage.input_tokens, usage.output_tokens, usage.is_interrupted) == (140, 143, False)
    assert "usage.output_token_details.text_tokens" in usage.ignored


def test_a_single_response_is_the_usage_itself() -> None:
    done = response_done("r1", realtime_usage(14, 26, 28, 80))
    expected = {"input": 14, "input_audio": 26, "output": 28, "output_audio": 80}
    assert leaves(read_usage([SESSION_CREATED, done])) == expected
    assert leaves(read_usage(done)) == expected
    assert leaves(read_usage(as_object(done))) == expected
    assert read_usage([SESSION_CREATED, done]).model == "voice-1"
    assert read_usage(done).parts == ()


def test_a_response_told_twice_counts_once() -> None:
    assert read_usage([*SESSION, SESSION[3]]).input_tokens == read_usage(SESSION).input_tokens


def test_a_session_that_ends_inside_a_response_says_so() -> None:
    usage = read_usage(SESSION[:-1])
    assert usage.is_interrupted
    assert usage.notes == ("1 responses have no response.done: they are not in the figures",)
    assert usage.input_tokens == 40


def test_a_cancelled_response_without_usage_is_said() -> None:
    usage = read_usage([*SESSION, response_done("r3", None)])
    assert usage.notes[-1] == "1 responses or transcriptions say no usage: they are not in the figures"
    assert usage.input_tokens == 140


def test_an_error_event_does_not_end_a_session() -> None:
    error = {"type": "error", "error": {"type": "invalid_request_error"}}
    assert read_usage([*SESSION, error]) == read_usage(SESSION)


TOKENS: Event = {"type": "tokens", "input_tokens": 26, "output_tokens": 9, "input_token_details": {"audio_tokens": 26}}


def test_a_transcription_by_an_unknown_model_does_not_go_at_the_sessions_rates() -> None:
    heard = {"type": TRANSCRIBED, "item_id": "a", "usage": TOKENS}
    session = read_usage([heard, response_done("r1", realtime_usage(1, 2, 3, 4))])
    assert [part.model for part in session.parts] == ["model-not-said", None]
    with Engine.open(":memory:") as engine:
        cost = engine.price(provider="openai", model="gpt-realtime", usage=session)
        assert cost.total_usd is None
        assert "input_audio" in cost.unpriced
    # Alone, it is the caller who says by what model.
    assert read_usage([heard]).model is None
    assert leaves(read_usage([heard])) == {"input_audio": 26, "output": 9}


@pytest.mark.parametrize(
    ("message", "events"),
    [
        ("the session has no response.done with a usage", [SESSION_CREATED]),
        ("the session has no response.done with a usage", SESSION[2:3]),
        (r"and an error \(x\) in it", [SESSION_CREATED, {"type": "error", "error": {"type": "x"}}]),
        ("the session has no response.done with a usage", [response_done("r1", None)]),
        ("the session has no usageMetadata", LIVE[:2]),
    ],
)
def test_a_session_without_usage_is_refused(message: str, events: list[Event]) -> None:
    with pytest.raises(UsageMissing, match=message):
        read_usage(events)


VOICE: Event = {
    **realtime_usage(10, 146, 15, 170),
    "billable_audio_seconds": 5,
    "output_audio_seconds": 3.38,
}


def test_voice_that_is_billed_by_the_second_lists_its_tokens_as_ignored() -> None:
    # xAI leaves the usage of the response empty and says it beside.
    done = response_done("r1", {}) | {"usage": VOICE}
    usage = read_usage([{"type": "response.created", "response": {"id": "r1", "usage": {}}}, done])
    assert leaves(usage) == {"input_audio_second": Decimal(5)}
    assert "usage.output_token_details.audio_tokens" in usage.ignored
    assert usage.notes[0].startswith("voice is billed by usage.billable_audio_seconds")
    assert read_usage(done).leaves == usage.leaves
    with pytest.raises(UsageInvalid, match=r"usage\.billable_audio_seconds: expected a number"):
        read_usage(response_done("r1", {**VOICE, "billable_audio_seconds": "5"}))


def test_turns_of_geminis_live_api_are_parts() -> None:
    turn = {"input": 50, "output": 4, "output_audio": 16}
    assert leaves(read_usage(LIVE)) == turn
    assert leaves(read_usage(LIVE[-1])) == turn
    usage = read_usage([*LIVE, *LIVE[1:]])
    assert [leaves(part) for part in usage.parts] == [turn, turn]
    assert (usage.is_interrupted, usage.notes) == (False, ())


def test_figures_within_a_turn_replace_each_other() -> None:
    early = {"serverContent": {}, "usageMetadata": {"promptTokenCount": 50, "totalTokenCount": 50}}
    assert read_usage([early, *LIVE]).leaves == read_usage(LIVE).leaves
    cut = read_usage([early])
    assert (leaves(cut), cut.is_interrupted) == ({"input": 50}, True)
    assert "ended before turnComplete" in cut.notes[0]


def test_the_live_api_is_read_in_the_spelling_of_the_sdk() -> None:
    metadata = {
        "prompt_token_count": 50,
        "response_token_count": 20,
        "total_token_count": 70,
        "response_tokens_details": [{"modality": "AUDIO", "token_count": 16}],
    }
    event = as_object({"server_content": {"turn_complete": True}, "usage_metadata": metadata})
    assert leaves(read_usage([event])) == {"input": 50, "output": 4, "output_audio": 16}
