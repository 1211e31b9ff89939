"""Anthropic's streams: ``message_start`` says the input, ``message_delta`` replaces its figures by the final ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tokencalc.providers.failures import broke_off
from tokencalc.providers.streams.merge import Folded, cut_note, facts, merge, missing, section, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokencalc.providers.payload import Body

_TYPES = frozenset(
    {
        "message_start",
        "message_delta",
        "message_stop",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
    }
)
_METRICS = "amazon-bedrock-invocationMetrics"
_FLAT, _SPLIT = "cache_creation_input_tokens", "cache_creation"


def speaks(event: Body) -> bool:
    """Tell whether an event is of the Messages API, or of the text completions before it."""
    return text(event, "type") in _TYPES or text(event, "type") == "completion"


class _Call:
    """What the events of one message have said."""

    def __init__(self) -> None:
        """Start with nothing said."""
        self.body: dict[str, Any] = {"type": "message"}
        self.usage: dict[str, Any] = {}
        self.blocks: list[Body] = []
        self.notes: list[str] = []
        self.is_over = False

    def take(self, event: Body) -> None:
        """Add one event."""
        kind = text(event, "type")
        if kind == "message_start":
            message = section(event, "message")
            self.body = facts(self.body, message, without=("usage", "content"))
            self.usage = merge({}, section(message, "usage"))
        elif kind == "content_block_start":
            self.blocks.append({"type": section(event, "content_block").get("type")})
        elif kind == "message_delta":
            container = section(event, "delta", "container") or section(self.body, "container")
            if container:  # code ran in it: which blocks did is of interest
                self.body |= {"container": container, "content": self.blocks}
            self._replace(section(event, "usage"))
        self.is_over = self.is_over or kind == "message_stop"

    def _replace(self, usage: Body) -> None:
        merged = merge(self.usage, usage)
        split, flat = section(merged, _SPLIT), merged.get(_FLAT)
        counts = [count for count in split.values() if type(count) is int]
        # The split was said for the first call of the message, the new total for all of them.
        if usage.get(_FLAT) is not None and usage.get(_SPLIT) is None and type(flat) is int and sum(counts) > flat:
            del merged[_SPLIT]
            self.notes.append(
                f"usage.{_FLAT} was replaced by {flat}, less than the lifetimes said before; they are unstated"
            )
        self.usage = merged


def fold(events: Sequence[Body]) -> Folded:
    """Return the body of each message; UsageMissing where none of them says a usage."""
    calls: list[_Call] = []
    error: str | None = None
    ignored: dict[str, None] = {}
    for event in events:
        if not calls or text(event, "type") == "message_start":
            calls.append(_Call())
        calls[-1].take(event)
        found = broke_off(event) if text(event, "type") == "error" else None
        error = error if found is None else found
        ignored.update({f"{_METRICS}.{name}": None for name in section(event, _METRICS)})
    said = [call for call in calls if call.usage]
    if not said:
        if any(text(event, "type") == "completion" for event in events):
            raise missing(
                "a stream of text completions says no usage", remedy="this API never does; use the Messages API"
            )
        raise missing("the stream has no message_start and no message_delta with a usage")
    cut = [call for call in calls if not call.is_over]
    notes = [note for call in said for note in call.notes] + [cut_note("message_stop", error) for _ in cut[:1]]
    return Folded(
        tuple({**call.body, "usage": call.usage} for call in said),
        notes=tuple(notes),
        is_interrupted=bool(cut),
        ignored=tuple(ignored),
    )
