"""A request as a provider bills it: texts to count, tokens around them, and how far those may be off."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tokencalc.tokens.definitions import Definitions
    from tokencalc.tokens.request import Request
    from tokencalc.tokens.result import Method

UNITS = 1000


class Weighted(NamedTuple):
    """A text to count, where it was found, and how often it counts, in thousandths."""

    text: str
    path: str
    thousandths: int = UNITS


class Reach(NamedTuple):
    """How far the tokens around the texts may be below (``low``) and above (``high``) what we say."""

    low: int
    high: int


_NONE = Reach(0, 0)


@dataclass(slots=True)
class Layout:
    """What a family makes of a request; ``around`` is in thousandths of a token."""

    texts: list[Weighted] = field(default_factory=list)
    around: int = 0
    reach: Reach = _NONE
    method: Method = "modelled"
    features: Counter[str] = field(default_factory=Counter)
    """How many of each thing that has a weight, where the family goes by weights."""

    def add(self, text: str, path: str, thousandths: int = UNITS) -> None:
        """Add a text to count."""
        if text:
            self.texts.append(Weighted(text, path, thousandths))


def group_of(request: Request, definitions: Definitions) -> str:
    """Return what makes a request uncertain most: calls, a schema, tools, or nothing (plain)."""
    if request.tool_calls or request.tool_results:
        return "calls"
    if definitions.schema is not None:
        return "schema"
    return "tools" if definitions.tools else "plain"
