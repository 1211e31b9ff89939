"""Streams of chat completions, of whoever speaks them: OpenAI, Azure, Groq, Mistral, DeepSeek, xAI, OpenRouter.

Usage comes in a chunk of its own with no choices, in the chunk that finishes, in
every chunk so far (xAI), under ``x_groq``, or in a choice (Moonshot); Groq says it
twice in one chunk, which is the same usage.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tokencalc.providers.failures import broke_off, shown
from tokencalc.providers.streams.merge import Folded, cut_note, facts, fell, merge, missing, section, sections, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tokencalc.providers.payload import Body

_APART = frozenset({"choices", "usage", "x_groq", "error"})
_REMEDY = 'ask for it with stream_options={"include_usage": true}, and read the stream to its end'
_END = "its finish_reason"


def speaks(event: Body) -> bool:
    """Tell whether an event is of this format."""
    return isinstance(event.get("choices"), list | tuple)


class _Call:
    """What the chunks of one answer have said."""

    def __init__(self) -> None:
        """Start with nothing said."""
        self.body: dict[str, Any] = {}
        self.usage: dict[str, Any] = {}
        self.tools: dict[str, Body] = {}
        self.notes: dict[str, None] = {}
        self.open: set[object] = set()
        self.finished: set[object] = set()
        self.error: str | None = None
        self.is_summed_up = False

    @property
    def is_over(self) -> bool:
        """Whether every choice has a reason for its end, or the usage of the whole came after them."""
        return self.error is None and (self.is_summed_up or (bool(self.finished) and not self.open))

    def starts_anew(self, event: Body) -> bool:
        """Tell whether an event belongs to another answer: some providers give every chunk an id of its own."""
        return text(event, "id") not in {text(self.body, "id"), ""} and self.is_over and bool(event.get("choices"))

    def take(self, event: Body) -> None:
        """Add one chunk."""
        self.body = facts(self.body, event, without=_APART)
        choices = sections(event, "choices")
        for choice in choices:
            index = choice.get("index") if isinstance(choice.get("index"), int) else 0
            if choice.get("finish_reason"):
                self.finished.add(index)
                self.open.discard(index)
            elif index not in self.finished:
                self.open.add(index)
        for choice in choices:
            self._run(sections(section(choice, "delta"), "executed_tools"))
        own = section(event, "x_groq")
        if own:
            self.body["x_groq"] = {name: value for name, value in own.items() if name != "usage"}
            if isinstance(own.get("usage_breakdown"), Mapping):
                self.body["usage_breakdown"] = own["usage_breakdown"]
        found = [section(own, "usage"), *(section(choice, "usage") for choice in choices), section(event, "usage")]
        if found[0] and found[-1] and found[0] != found[-1]:
            self.notes["x_groq.usage and usage of one chunk are not the same; the latter was taken"] = None
        for usage in found:
            self._add(usage)
        self.is_summed_up = bool(self.is_summed_up or (found[-1] and not choices))
        errors = (broke_off({**item, "choices": None}) for item in (event, *choices))
        self.error = next((error for error in errors if error is not None), self.error)

    def _run(self, tools: Iterable[Body]) -> None:
        """Keep the kinds of the tools that Groq ran: each is told when it starts, and again when it ends."""
        for tool in tools:
            self.tools[repr(tool.get("index"))[:20]] = {"type": tool.get("type")}
            self.body["choices"] = [{"message": {"executed_tools": list(self.tools.values())}}]

    def _add(self, usage: Body) -> None:
        for name, before, now in fell(self.usage, usage):
            self.notes[f"usage.{name} fell from {before} to {now} within the stream; the last figures were taken"] = (
                None
            )
        self.usage = merge(self.usage, usage)


def fold(events: Sequence[Body]) -> Folded:
    """Return the body of each answer; UsageMissing where none of them says a usage."""
    calls = [_Call()]
    for event in events:
        if calls[-1].starts_anew(event):
            calls.append(_Call())
        calls[-1].take(event)
    said = [call for call in calls if call.usage]
    if not said:
        raise missing(_found(calls[-1]), remedy=_REMEDY)
    notes = [note for call in said for note in call.notes]
    notes += [cut_note(_END, call.error) for call in said if not call.is_over]
    silent = len(calls) - len(said)
    if silent:
        notes.append(f"{silent} of the {len(calls)} answers in the list say no usage: they are not in the figures")
    return Folded(
        tuple({**call.body, "usage": call.usage} for call in said),
        notes=tuple(notes),
        is_interrupted=bool(silent) or not all(call.is_over for call in said),
    )


def _found(call: _Call) -> str:
    if call.error is not None:
        return f"the stream broke off with an error{shown(call.error)} after it had begun, and says no usage"
    return "the stream says no usage" if call.is_over else f"the stream ended before {_END}, and says no usage"
