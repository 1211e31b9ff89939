"""One event of a stream as a mapping: out of an SDK's object, out of an envelope, without any content of a message."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tokencalc.errors import UsageInvalid
from tokencalc.providers.objects import BILLED, GROUNDING, Shape, pick

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tokencalc.providers.payload import Body

_DONE = "[DONE]"
_ENVELOPE = frozenset({"event", "data", "id", "retry"})
_SESSION: Shape = {
    "model": "value",
    "input_audio_transcription": {"model": "value"},
    "audio": {"input": {"transcription": {"model": "value"}}},
}
_ANSWER: Shape = {
    "object": "value",
    "id": "value",
    "model": "value",
    "status": "value",
    "service_tier": "value",
    "usage": "fields",
    "tool_usage": "fields",
    "meta": "fields",
    "error": "fields",
    "output": BILLED["output"],
}
_TURN: Shape = {"turn_complete": "value", "turnComplete": "value", "grounding_metadata": GROUNDING}
_CHUNK: dict[str, Shape] = {
    **dict.fromkeys(
        ("type", "event_type", "object", "id", "model", "model_version", "modelVersion", "service_tier", "code"),
        "value",
    ),
    **dict.fromkeys(("usage", "usage_metadata", "usageMetadata", "x_groq", "usage_breakdown", "error"), "fields"),
    "choices": [
        {
            "index": "value",
            "finish_reason": "value",
            "error": "fields",
            "usage": "fields",
            "delta": {"executed_tools": [{"index": "value", "type": "value"}]},
        }
    ],
    "candidates": [{"finish_reason": "value", "finishReason": "value", "grounding_metadata": GROUNDING}],
    "prompt_feedback": {"block_reason": "value"},
    "promptFeedback": {"blockReason": "value"},
    "message": {"type": "value", "model": "value", "usage": "fields", "container": {"id": "value"}},
    "delta": {
        "usage": "fields",
        "finish_reason": "value",
        "stop_reason": "value",
        "error": "fields",
        "container": {"id": "value"},
    },
    "content_block": {"type": "value"},
    "response": _ANSWER,
    "interaction": _ANSWER,
    "session": _SESSION,
    "server_content": _TURN,
    "serverContent": _TURN,
    **{key: {} for key in ("setup_complete", "setupComplete", "tool_call", "toolCall")},
}
_EVENT: dict[str, Shape] = {**_CHUNK, "data": _CHUNK, "chunk": _CHUNK}


def read_events(raw: Iterable[object]) -> list[Body]:
    """Return each event as a mapping, without envelopes and end marks.

    Raises UsageInvalid, with the place in the list, for what is no parsed event.
    """
    return [event for place, item in enumerate(raw) if (event := _event(item, place)) is not None]


def _event(item: object, place: int) -> Body | None:
    if isinstance(item, Mapping):
        return _unwrapped(item)
    if item == _DONE:
        return None
    if item is None or isinstance(item, str | bytes | int | float | list | tuple):
        raise UsageInvalid(
            f"usage: expected a parsed event at [{place}], found {type(item).__name__}; "
            "parse the JSON first (tokencalc.providers.streams.sse.parse_sse reads server-sent events)",
            path=f"usage[{place}]",
            found=None,
        )
    return _unwrapped(pick(item, _EVENT))


def _unwrapped(event: Body) -> Body:
    """Take the event out of an envelope: {event, data}, Amazon's {chunk: {bytes}}, an SDK's {type: chunk, chunk}."""
    data, name = event.get("data"), event.get("event")
    if isinstance(data, Mapping) and event.keys() <= _ENVELOPE:
        if not isinstance(name, str) or "object" in data or "type" in data:
            return data
        return _unwrapped({name: data})
    chunk = event.get("chunk")
    if not isinstance(chunk, Mapping) or not (len(event) == 1 or event.get("type") == "chunk"):
        return event
    return _decoded(chunk["bytes"], event) if "bytes" in chunk else chunk


def _decoded(raw: object, event: Body) -> Body:
    # An agent's chunks hold the answer itself, which is no JSON, or is somebody's.
    if not isinstance(raw, bytes):
        return event
    try:
        inner = json.loads(raw)
    except (ValueError, RecursionError):
        return event
    return inner if isinstance(inner, Mapping) else event
