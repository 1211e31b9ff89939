"""Cohere's streams: the last event says the usage, in the shape of the unstreamed body (v1) or of its usage (v2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tokencalc.providers.failures import broke_off
from tokencalc.providers.streams.merge import Folded, cut_note, facts, merge, missing, section, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokencalc.providers.payload import Body

_OLD_KINDS = frozenset(
    {
        "stream-start",
        "stream-end",
        "text-generation",
        "search-queries-generation",
        "search-results",
        "citation-generation",
        "tool-calls-chunk",
        "tool-calls-generation",
    }
)
_KINDS = frozenset(
    f"{name}-{moment}"
    for name in ("message", "content", "tool-call", "citation")
    for moment in ("start", "delta", "end")
) | {"tool-plan-delta"}


def speaks(event: Body) -> bool:
    """Tell whether an event is of this format, in its first or its second version."""
    return text(event, "type") in _KINDS or text(event, "event_type") in _OLD_KINDS


def fold(events: Sequence[Body]) -> Folded:
    """Return the body of the answer; UsageMissing where the last event is not there."""
    body: dict[str, Any] = {}
    error: str | None = None
    end = "message-end"
    for event in events:
        error = broke_off(event) if error is None else error
        if text(event, "event_type") in _OLD_KINDS:
            end = "stream-end"
        if text(event, "event_type") == "stream-end":
            body = facts(body, section(event, "response"), without=("text", "chat_history"))
        elif text(event, "type") == "message-end":
            usage = section(event, "delta", "usage")
            body = facts(body, event, without=("delta", "type"))
            body["usage"] = merge(section(body, "usage"), usage)
            error = broke_off(section(event, "delta")) if error is None else error
    if not (section(body, "usage") or section(body, "meta")):
        raise missing(f"the stream {'has its' if body else 'ended before'} {end}, and says no usage")
    notes = () if error is None else (cut_note(end, error),)
    return Folded((body,), notes=notes, is_interrupted=error is not None)
