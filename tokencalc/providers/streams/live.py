"""Gemini's Live API: each turn of a session says its usage, with the prompt counted anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tokencalc.providers.streams.google import NAMES, add_figures, add_searches
from tokencalc.providers.streams.merge import Folded, facts, missing, section

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokencalc.providers.payload import Body

_CONTENT = frozenset({"serverContent", "server_content", "toolCall", "tool_call"})
_MARKS = _CONTENT | {
    "setupComplete",
    "setup_complete",
    "toolCallCancellation",
    "tool_call_cancellation",
    "sessionResumptionUpdate",
    "session_resumption_update",
}
_APART = _MARKS | {*NAMES, "goAway", "go_away"}


def speaks(event: Body) -> bool:
    """Tell whether an event is of this format."""
    return not _MARKS.isdisjoint(event)


def fold(events: Sequence[Body]) -> Folded:
    """Return the body of each turn; UsageMissing where none says a usage."""
    turns: list[dict[str, Any]] = []
    current: dict[str, Any] = {}
    shared: dict[str, Any] = {}
    is_open = False
    for event in events:
        shared = facts(shared, event, without=_APART)
        is_open = is_open or not _CONTENT.isdisjoint(event)
        current["candidates"] = add_searches(current.get("candidates", []), [_content(event)])
        for name in NAMES:
            usage = section(event, name)
            if usage:
                current[name] = add_figures(current.get(name, {}), usage)
        if _content(event).get("turnComplete") or _content(event).get("turn_complete"):
            turns += _said(current)
            current, is_open = {}, False
    turns += _said(current)
    if not turns:
        raise missing("the session has no usageMetadata")
    notes = ("the session ended before turnComplete: the figures are those that had been said until then",)
    return Folded(tuple({**shared, **turn} for turn in turns), notes=notes if is_open else (), is_interrupted=is_open)


def _content(event: Body) -> Body:
    return section(event, "serverContent") or section(event, "server_content")


def _said(turn: dict[str, Any]) -> list[dict[str, Any]]:
    return [turn] if any(turn.get(name) for name in NAMES) else []
