"""Which way of streaming a list of events is of, and what body it folds into."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokencalc.errors import UsageInvalid
from tokencalc.providers.failures import failure, failure_note
from tokencalc.providers.streams import agents, anthropic, bedrock, chat, cohere, google, live, realtime
from tokencalc.providers.streams.events import read_events
from tokencalc.providers.streams.merge import Folded, finish, missing, section
from tokencalc.providers.streams.snapshots import INTERACTIONS, RESPONSES

__all__ = ["Folded", "finish", "fold", "is_event"]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tokencalc.providers.payload import Body

_USAGES = ("usage", *google.NAMES)


@dataclass(frozen=True, slots=True)
class _Family:
    """One way of streaming: how an event of it is known, and how its events are folded."""

    speaks: Callable[[Body], bool]
    fold: Callable[[Sequence[Body]], Folded]


# The first family that any event speaks: a session's own events decide over those that it shares with Responses.
_FAMILIES = tuple(
    _Family(speaks, folds)
    for speaks, folds in (
        (realtime.speaks, realtime.fold),
        (live.speaks, live.fold),
        (anthropic.speaks, anthropic.fold),
        (RESPONSES.speaks, RESPONSES.fold),
        (INTERACTIONS.speaks, INTERACTIONS.fold),
        (chat.speaks, chat.fold),
        (cohere.speaks, cohere.fold),
        (agents.speaks, agents.fold),
        (bedrock.speaks, bedrock.fold),
        (google.speaks, google.fold),
    )
)


def fold(raw: Iterable[object]) -> Folded:
    """Return the bodies that a stream's events fold into, of whatever provider; no call at all for a mere error.

    Raises UsageMissing for a stream that says no usage, with how to ask for it, and
    UsageInvalid for what is no list of parsed events.
    """
    events = read_events(raw)
    errors = [failure(event) for event in events]
    kind = next((error for error in errors if error is not None), None)
    if kind is not None and all(error is not None for error in errors):
        return Folded((), notes=(failure_note(kind),))
    family = _family(events)
    return _fold_unknown(events) if family is None else family.fold(events)


def is_event(body: Body) -> bool:
    """Tell whether a body without a usage of its own is one event that holds one: a session's, or a stream's last."""
    return any(speaks(body) for speaks in (realtime.speaks, RESPONSES.speaks, anthropic.speaks, cohere.speaks))


def _family(events: Sequence[Body]) -> _Family | None:
    return next((family for family in _FAMILIES if any(map(family.speaks, events))), None)


def _fold_unknown(events: Sequence[Body]) -> Folded:
    """Take the one event that says a usage, as the last ones of transcriptions, speech and images do."""
    said = [event for event in events if any(section(event, name) for name in _USAGES)]
    if len(said) == 1:
        return Folded((said[0],))
    if not said:
        raise missing("the stream says no usage" if events else "the stream has no events")
    raise UsageInvalid(
        f"usage: {len(said)} events say a usage and none is of a stream that we know; hand in the body of each call",
        path="usage",
        found=None,
    )
