"""No raw counter is dropped in silence: every number of a usage object is mapped, or listed by its path.

A reader declares what it maps and what it knows to carry no money of its own
(sums, timings, restatements). `survey` lists the rest, and an unknown number
that is not zero gets a note, because it may be money that we do not price yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from difflib import get_close_matches
from typing import TYPE_CHECKING

from tokencalc.errors import UsageInvalid

if TYPE_CHECKING:
    from tokencalc.providers.payload import Body

_VALUES_MAX = 2_000
_DEPTH_MAX = 8
_KEY_MAX = 80
_HINTS_MAX = 8


@dataclass(frozen=True, slots=True)
class Counters:
    """The fields of one wire format, by path, with ``[]`` for list items.

    ``mapped`` become quantities; ``known`` are numbers without money of their
    own; ``facts`` are texts that the reader looks at. Anything else is unknown.
    """

    mapped: frozenset[str]
    known: frozenset[str]
    facts: frozenset[str] = frozenset()

    def with_mapped(self, *paths: str) -> Counters:
        """Return these counters with more mapped paths."""
        return Counters(self.mapped.union(paths), self.known, self.facts)

    def with_known(self, *paths: str) -> Counters:
        """Return these counters with more known paths."""
        return Counters(self.mapped, self.known.union(paths), self.facts)


@dataclass(slots=True)
class Survey:
    """What a usage object holds beside the mapped counters."""

    ignored: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def take(self, path: str, pattern: str, value: object, counters: Counters) -> None:
        """List one number, and say so when it may be money."""
        if pattern in counters.mapped:
            return
        self.ignored.append(path)
        if pattern in counters.known or not value:
            return
        # Looking for near names is slow: enough for a typing error, not for a thousand keys.
        near = get_close_matches(pattern, counters.mapped, n=1, cutoff=0.85) if len(self.notes) < _HINTS_MAX else []
        hint = f"; nearest known: {near[0]}" if near else ""
        self.notes.append(f"{path} ({value!r:.40}) is not known to this reader: unmapped, not in the cost{hint}")


def survey(usage: Body, counters: Counters, *, at: str = "usage") -> Survey:
    """Walk every number of a usage object and list those that are not mapped.

    Raises UsageInvalid for an object too large or too deep to be a usage.
    """
    found = Survey()
    pending: list[tuple[str, str, object, int]] = [(at, at, usage, 0)]
    values = 0
    while pending:
        path, pattern, value, depth = pending.pop()
        values += 1
        if values > _VALUES_MAX or depth > _DEPTH_MAX:
            raise UsageInvalid(
                f"{at}: expected at most {_VALUES_MAX} values in {_DEPTH_MAX} levels, found more; this is no usage",
                path=at,
                found=None,
            )
        if isinstance(value, Mapping):
            names = [(_shown(key), item) for key, item in value.items()]
            pending.extend((f"{path}.{name}", f"{pattern}.{name}", item, depth + 1) for name, item in names)
        elif isinstance(value, list | tuple):
            pending.extend((f"{path}[{n}]", f"{pattern}[]", item, depth + 1) for n, item in enumerate(value))
        elif isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            found.take(path, pattern, value, counters)
    found.ignored.sort()
    found.notes.sort()
    return found


def _shown(key: object) -> str:
    # Keys come from outside and end up in notes and ledgers: printable and short, or as their repr.
    text = str(key)
    return text if len(text) <= _KEY_MAX and text.isprintable() else f"{text[:_KEY_MAX]!a}"


class Shapes:
    """Key sets met before of which every field is known: for those, one lookup replaces the survey.

    It remembers names, never counts, and stops growing, because names come from outside.
    """

    __slots__ = ("_counters", "_known", "_size", "find")

    def __init__(self, counters: Counters, *, size: int = 512) -> None:
        """Start empty, for one wire format."""
        self._counters = counters
        self._known: dict[object, tuple[str, ...]] = {}
        self._size = size
        self.find = self._known.get

    def remember(self, shape: object, usage: Body, found: Survey) -> None:
        """Keep a shape when nothing in it is unknown and nothing is nested deeper than the shape tells."""
        if len(self._known) < self._size and self._knows(usage):
            self._known[shape] = tuple(found.ignored)

    def _knows(self, usage: Body) -> bool:
        flat = {f"usage.{key}": value for key, value in usage.items() if not isinstance(value, Mapping)}
        for key, section in usage.items():
            if isinstance(section, Mapping):
                flat.update({f"usage.{key}.{name}": value for name, value in section.items()})
        return all(self._knows_field(path, value) for path, value in flat.items())

    def _knows_field(self, path: str, value: object) -> bool:
        if path in self._counters.facts:
            return value is None or isinstance(value, str)
        kinds = (int,) if path in self._counters.mapped else (int, float) if path in self._counters.known else ()
        return type(value) in kinds
