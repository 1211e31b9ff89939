"""What was found in a request, as records: turns with their texts, calls, results and images; the rest by name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

UNACCOUNTED_MAX = 50
"""Paths that ``unaccounted`` names before it only says how many more there are."""

PartKind = Literal["text", "name", "call", "arguments", "result"]
"""What a text is in its turn: said, a participant's name, a called tool's name, its arguments, its result."""


class TextPart(NamedTuple):
    """A text to count, where it was found, and what it is."""

    text: str
    path: str
    kind: PartKind = "text"


class Image(NamedTuple):
    """An image: its size in pixels where that is known, how closely it is looked at, and where it was found."""

    width: int | None
    height: int | None
    detail: str | None
    path: str


@dataclass(slots=True)
class Turn:
    """One message, or one item that stands for a message; ``role`` is system, user, assistant, tool or foreign."""

    role: str
    parts: list[TextPart] = field(default_factory=list)
    images: list[Image] = field(default_factory=list)
    calls: int = 0
    results: int = 0
    result_names: list[str] = field(default_factory=list)

    def texts(self, *kinds: PartKind) -> list[TextPart]:
        """Return the parts of these kinds, in order."""
        return [part for part in self.parts if part.kind in kinds]


@dataclass(slots=True)
class Request:
    """Turns in order, and what is in none of them by its path."""

    turns: list[Turn] = field(default_factory=list)
    beside: dict[str, object] = field(default_factory=dict)
    """What a body holds beside its messages and describes the call: tools, response format, tool choice, thinking."""
    omitted: list[str] = field(default_factory=list)
    omitted_count: int = 0
    result_depth: int = 0
    """How many results the reader is inside of; the text found there is a result."""
    call_names: dict[str, str] = field(default_factory=dict)

    @property
    def texts(self) -> list[TextPart]:
        """Every text, in order."""
        return [part for turn in self.turns for part in turn.parts]

    @property
    def roles(self) -> list[str]:
        """The role of each turn, in order."""
        return [turn.role for turn in self.turns]

    @property
    def images(self) -> list[Image]:
        """Every image, in order."""
        return [image for turn in self.turns for image in turn.images]

    @property
    def tool_calls(self) -> int:
        """How many calls the turns hold."""
        return sum(turn.calls for turn in self.turns)

    @property
    def tool_results(self) -> int:
        """How many results the turns hold."""
        return sum(turn.results for turn in self.turns)

    @property
    def unaccounted(self) -> tuple[str, ...]:
        """Paths of what is in the request and in no count; the last says how many more there are."""
        more = self.omitted_count - len(self.omitted)
        return (*self.omitted, f"{more} more") if more else tuple(self.omitted)

    def begin(self, role: str) -> Turn:
        """Begin a turn; what is added from here belongs to it."""
        self.turns.append(Turn(role))
        return self.turns[-1]

    def add(self, text: str, path: str, kind: PartKind = "text") -> None:
        """Add a text to the turn that was begun last."""
        inside = "result" if self.result_depth and kind == "text" else kind
        self.turns[-1].parts.append(TextPart(text, path, inside))

    def omit(self, path: str, what: object) -> None:
        """Note something that cannot be counted."""
        self.omitted_count += 1
        if len(self.omitted) < UNACCOUNTED_MAX:
            self.omitted.append(f"{path}: {what!s:.40}")
