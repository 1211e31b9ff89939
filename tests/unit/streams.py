"""Small streams of our own making: one for each way of streaming, with the body that it stands for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

Event = dict[str, Any]


def chunk(delta: str | None = None, *, finish: str | None = None, **fields: Any) -> Event:
    """Make a chunk of a chat completion."""
    choices = [{"index": 0, "delta": {"content": delta}, "finish_reason": finish}]
    return {"id": "c1", "object": "chat.completion.chunk", "model": "m-1", "choices": choices, "usage": None, **fields}


CHAT_USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 40,
    "total_tokens": 140,
    "prompt_tokens_details": {"cached_tokens": 30},
    "completion_tokens_details": {"reasoning_tokens": 8},
}
CHAT: list[Event] = [
    chunk("hel", service_tier="default"),
    chunk("lo"),
    chunk(finish="stop"),
    chunk(choices=[], usage=CHAT_USAGE),
]
GROQ: list[Event] = [
    chunk("hi", x_groq={"id": "req_1"}),
    chunk(finish="stop", usage=CHAT_USAGE, x_groq={"id": "req_1", "usage": CHAT_USAGE}),
]
RESPONSES: list[Event] = [
    {"type": "response.created", "response": {"id": "r1", "model": "m-1", "service_tier": "auto", "usage": None}},
    {"type": "response.output_text.delta", "delta": "hello"},
    {
        "type": "response.completed",
        "response": {
            "id": "r1",
            "model": "m-1",
            "service_tier": "flex",
            "output": [{"type": "message", "content": [{"text": "hello"}]}],
            "usage": {
                "input_tokens": 100,
                "input_tokens_details": {"cached_tokens": 30},
                "output_tokens": 40,
                "output_tokens_details": {"reasoning_tokens": 8},
                "total_tokens": 140,
            },
        },
    },
]
MESSAGE_START: Event = {
    "type": "message_start",
    "message": {
        "type": "message",
        "model": "m-1",
        "content": [],
        "usage": {
            "input_tokens": 70,
            "cache_read_input_tokens": 30,
            "cache_creation_input_tokens": 20,
            "cache_creation": {"ephemeral_5m_input_tokens": 5, "ephemeral_1h_input_tokens": 15},
            "output_tokens": 1,
            "service_tier": "standard",
        },
    },
}
TEXT_DELTA = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hello"}}
MESSAGES: list[Event] = [
    MESSAGE_START,
    {"type": "ping"},
    TEXT_DELTA,
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 40}},
    {"type": "message_stop"},
]


def gemini(prompt: int, candidates: int, *, finish: str | None = None, **counts: int) -> Event:
    """Make a chunk of Gemini's."""
    total = prompt + candidates + counts.get("thoughtsTokenCount", 0)
    candidate: Event = {"content": {"parts": [{"text": "x"}]}} | ({"finishReason": finish} if finish else {})
    usage = {"promptTokenCount": prompt, "candidatesTokenCount": candidates, "totalTokenCount": total, **counts}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "m-1"}


GEMINI: list[Event] = [gemini(100, 5, thoughtsTokenCount=8), gemini(100, 32, finish="STOP", thoughtsTokenCount=8)]
INTERACTION: list[Event] = [
    {"event_type": "interaction.created", "interaction": {"id": "i1", "model": "m-1", "status": "in_progress"}},
    {"event_type": "step.delta", "index": 0, "delta": {"text": "hello"}},
    {
        "event_type": "interaction.completed",
        "interaction": {
            "id": "i1",
            "model": "m-1",
            "usage": {"total_input_tokens": 100, "total_output_tokens": 32, "total_thought_tokens": 8},
        },
    },
]


def realtime_usage(text_in: int, audio_in: int, text_out: int, audio_out: int, *, cached: int = 0) -> Event:
    """Make a usage of a realtime response; the cached tokens are text."""
    return {
        "total_tokens": text_in + audio_in + text_out + audio_out,
        "input_tokens": text_in + audio_in,
        "output_tokens": text_out + audio_out,
        "input_token_details": {
            "text_tokens": text_in,
            "audio_tokens": audio_in,
            "image_tokens": 0,
            "cached_tokens": cached,
            "cached_tokens_details": {"text_tokens": cached, "audio_tokens": 0, "image_tokens": 0},
        },
        "output_token_details": {"text_tokens": text_out, "audio_tokens": audio_out},
    }


def response_done(name: str, usage: Event | None) -> Event:
    """Make the event at the end of a realtime response."""
    answer = {"object": "realtime.response", "id": name, "status": "completed", "usage": usage}
    return {"type": "response.done", "response": answer}


TRANSCRIBED = "conversation.item.input_audio_transcription.completed"
SESSION_CREATED: Event = {
    "type": "session.created",
    "session": {"model": "voice-1", "audio": {"input": {"transcription": {"model": "ears-1"}}}},
}
SESSION: list[Event] = [
    SESSION_CREATED,
    {"type": TRANSCRIBED, "item_id": "a", "content_index": 0, "usage": {"type": "duration", "seconds": 3}},
    {"type": "response.created", "response": {"object": "realtime.response", "id": "r1", "usage": None}},
    response_done("r1", realtime_usage(14, 26, 28, 80)),
    {"type": "response.created", "response": {"object": "realtime.response", "id": "r2", "usage": None}},
    response_done("r2", realtime_usage(60, 40, 5, 30, cached=50)),
]
LIVE: list[Event] = [
    {"setupComplete": {}},
    {"serverContent": {"modelTurn": {"parts": [{"text": "x"}]}}},
    {
        "serverContent": {"turnComplete": True},
        "usageMetadata": {
            "promptTokenCount": 50,
            "responseTokenCount": 20,
            "totalTokenCount": 70,
            "responseTokensDetails": [
                {"modality": "TEXT", "tokenCount": 4},
                {"modality": "AUDIO", "tokenCount": 16},
            ],
        },
    },
]
COHERE: list[Event] = [
    {"type": "message-start", "id": "x", "delta": {"message": {"role": "assistant"}}},
    {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "hello"}}}},
    {
        "type": "message-end",
        "id": "x",
        "delta": {
            "finish_reason": "COMPLETE",
            "usage": {
                "billed_units": {"input_tokens": 12, "output_tokens": 40},
                "tokens": {"input_tokens": 212, "output_tokens": 40},
                "cached_tokens": 208,
            },
        },
    },
]
COHERE_V1: list[Event] = [
    {"event_type": "stream-start", "is_finished": False, "generation_id": "x"},
    {"event_type": "text-generation", "is_finished": False, "text": "hello"},
    {
        "event_type": "stream-end",
        "is_finished": True,
        "response": {
            "response_id": "x",
            "text": "hello",
            "meta": {"billed_units": {"input_tokens": 7, "output_tokens": 40}, "tokens": {"input_tokens": 69}},
        },
    },
]
CONVERSE: list[Event] = [
    {"messageStart": {"role": "assistant"}},
    {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "hello"}}},
    {"messageStop": {"stopReason": "end_turn"}},
    {
        "metadata": {
            "usage": {"inputTokens": 70, "cacheReadInputTokens": 30, "outputTokens": 40, "totalTokens": 140},
            "metrics": {"latencyMs": 5},
        }
    },
]
TITAN: list[Event] = [
    {"outputText": "hel", "index": 0, "inputTextTokenCount": 28},
    {"outputText": "lo", "index": 0, "totalOutputTextTokenCount": 40, "completionReason": "FINISH"},
]


def step(kind: str, place: str, **fields: Any) -> Event:
    """Make a trace of a Bedrock agent."""
    return {"trace": {"agentId": "A", "trace": {kind: {name: {"traceId": place, **f} for name, f in fields.items()}}}}


def answered(tokens_in: int, tokens_out: int) -> Event:
    """Make what a trace says of a model's answer."""
    return {"metadata": {"usage": {"inputTokens": tokens_in, "outputTokens": tokens_out}}}


AGENT: list[Event] = [
    step("preProcessingTrace", "t0", modelInvocationInput={"foundationModel": "small"}),
    step("preProcessingTrace", "t0", modelInvocationOutput=answered(9, 2)),
    step("orchestrationTrace", "t1", modelInvocationInput={"foundationModel": "large"}),
    step("orchestrationTrace", "t1", modelInvocationOutput=answered(90, 20)),
    {"chunk": {"bytes": b"hello"}},
]
OBJECTS: dict[str, list[Event]] = {
    "chat": CHAT,
    "groq": GROQ,
    "responses": RESPONSES,
    "messages": MESSAGES,
    "gemini": GEMINI,
    "interaction": INTERACTION,
    "session": SESSION,
    "live": LIVE,
    "cohere": COHERE,
    "cohere v1": COHERE_V1,
}
"""Whole streams that SDKs hand out as objects, by their way of streaming."""
COMPLETE: dict[str, list[Event]] = {**OBJECTS, "converse": CONVERSE, "titan": TITAN, "agent": AGENT}
"""Whole streams, by their way of streaming; boto3 hands out dictionaries."""


def as_object(value: Any) -> Any:
    """Return a payload as SDKs hand it out: objects with attributes all the way down."""
    if isinstance(value, dict):
        return SimpleNamespace(**{name: as_object(item) for name, item in value.items()})
    return [as_object(item) for item in value] if isinstance(value, list) else value
