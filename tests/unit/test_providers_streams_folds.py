"""What a stream folds into: the bodies of Cohere and Bedrock, out of envelopes, and what is billed beside tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.streams import AGENT, CHAT, CHAT_USAGE, MESSAGE_START, MESSAGES, as_object, chunk, gemini
from tokencalc.providers.registry import read_usage
from tokencalc.providers.streams.fold import fold

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.unit.streams import Event


def folded(events: Sequence[object]) -> Any:
    """Return the body of the only call."""
    (body,) = fold(events).calls
    return body


@pytest.mark.parametrize(
    ("expected", "events"),
    [
        (
            {"id": "x", "usage": {"billed_units": {"input_tokens": 12}, "cached_tokens": 8}},
            [
                {"type": "message-start", "id": "x", "delta": {"message": {}}},
                {"type": "content-delta", "index": 0, "delta": {}},
                {
                    "type": "message-end",
                    "id": "x",
                    "delta": {
                        "finish_reason": "COMPLETE",
                        "usage": {"billed_units": {"input_tokens": 12}, "cached_tokens": 8},
                    },
                },
            ],
        ),
        (
            {"response_id": "x", "meta": {"billed_units": {"input_tokens": 7}}},
            [
                {"event_type": "stream-start", "is_finished": False},
                {"event_type": "text-generation", "text": "a"},
                {
                    "event_type": "stream-end",
                    "response": {"response_id": "x", "text": "a", "meta": {"billed_units": {"input_tokens": 7}}},
                },
            ],
        ),
        (
            {"metrics": {"latencyMs": 5}, "usage": {"inputTokens": 5, "outputTokens": 3}},
            [
                {"messageStart": {"role": "assistant"}},
                {"contentBlockDelta": {"delta": {"text": "a"}}},
                {"messageStop": {"stopReason": "end_turn"}},
                {"metadata": {"usage": {"inputTokens": 5, "outputTokens": 3}, "metrics": {"latencyMs": 5}}},
            ],
        ),
        (
            {"completionReason": "FINISH", "inputTextTokenCount": 28, "totalOutputTextTokenCount": 188},
            [
                {"outputText": "a", "index": 0, "inputTextTokenCount": 28},
                {"outputText": "b", "index": 0, "totalOutputTextTokenCount": 188, "completionReason": "FINISH"},
            ],
        ),
        (
            {"prompt_token_count": 5, "generation_token_count": 9, "stop_reason": "stop"},
            [
                {"generation": "a", "prompt_token_count": 5, "generation_token_count": 1, "stop_reason": None},
                {"generation": "", "prompt_token_count": None, "generation_token_count": 9, "stop_reason": "stop"},
            ],
        ),
        (
            {"amazon-bedrock-invocationMetrics": {"inputTokenCount": 5, "outputTokenCount": 9}},
            [
                {"outputs": [{"text": "a"}], "generation": "a"},
                {"amazon-bedrock-invocationMetrics": {"inputTokenCount": 5, "outputTokenCount": 9}},
            ],
        ),
    ],
)
def test_streams_of_cohere_and_bedrock_fold_into_their_bodies(expected: Event, events: list[Event]) -> None:
    result = fold(events)
    assert result.calls == (expected,)
    assert (result.notes, result.is_interrupted, result.ignored) == ((), False, ())


def test_envelopes_of_event_streams_are_opened() -> None:
    body = folded(MESSAGES)
    as_bytes = [{"chunk": {"bytes": str(event).replace("'", '"').encode()}} for event in MESSAGES]
    assert folded(as_bytes) == body
    assert folded([{"event": "chunk", "data": event} for event in MESSAGES]) == body
    assert folded([{"event": event["type"], "data": event} for event in MESSAGES]) == body
    chat = folded(CHAT)
    assert folded([{"data": event} for event in CHAT]) == chat
    assert folded([{"type": "chunk", "chunk": event, "snapshot": {}} for event in CHAT]) == chat
    assert folded([*CHAT, "[DONE]"]) == chat


def test_metrics_of_an_invocation_beside_a_usage_are_listed_as_said_again() -> None:
    metrics = {"amazon-bedrock-invocationMetrics": {"inputTokenCount": 120, "outputTokenCount": 40}}
    usage = read_usage([*MESSAGES[:-1], {**MESSAGES[-1], **metrics}])
    assert usage.ignored == (
        "amazon-bedrock-invocationMetrics.inputTokenCount",
        "amazon-bedrock-invocationMetrics.outputTokenCount",
    )


def test_each_model_call_in_an_agents_trace_is_a_part() -> None:
    usage = read_usage(AGENT)
    assert [(part.model, part.input_tokens, part.output_tokens) for part in usage.parts] == [
        ("small", 9, 2),
        ("large", 90, 20),
    ]
    assert not usage.is_interrupted
    cut = read_usage(AGENT[:3])
    assert (cut.is_interrupted, cut.input_tokens) == (True, 9)
    assert "1 model calls of the agent were begun" in cut.notes[0]
    assert read_usage(AGENT[1:2]).model == "model-not-said"


def grounded(*queries: str, finish: str | None = None) -> Event:
    """Make a chunk of Gemini's that tells what was searched."""
    event = gemini(9, 5, finish=finish) | {"modelVersion": "gemini-3-flash"}
    event["candidates"][0]["groundingMetadata"] = {"webSearchQueries": list(queries)}
    return event


def test_searches_that_later_chunks_tell_again_count_once() -> None:
    usage = read_usage([grounded("a"), grounded("a", "b"), grounded("b", "c", finish="STOP")])
    assert usage.web_searches == 3
    assert read_usage([grounded("a", "a", finish="STOP")]).web_searches == 2


def test_tools_that_groq_ran_in_a_stream_are_told() -> None:
    tools = [{"index": 0, "type": "search"}, {"index": 1, "type": "python"}]
    started = chunk(choices=[{"index": 0, "delta": {"executed_tools": tools[:1]}}], x_groq={"id": "r"})
    ended = chunk(choices=[{"index": 0, "delta": {"executed_tools": tools}, "finish_reason": "stop"}], usage=CHAT_USAGE)
    expected = "executed_tools: 1 search, 1 python, billed apart"
    for events in ([started, ended], as_object([started, ended])):
        assert read_usage(events).notes[0].startswith(expected)


def test_code_that_a_message_ran_in_a_container_is_told() -> None:
    block = {"type": "content_block_start", "index": 1, "content_block": {"type": "code_execution_tool_result"}}
    ended = MESSAGES[3] | {"delta": {"stop_reason": "end_turn", "container": {"id": "c"}}}
    events = [MESSAGE_START, block, ended, MESSAGES[4]]
    for read in (read_usage(events), read_usage(as_object(events))):
        assert "content has 1 results of code execution" in read.notes[0]
