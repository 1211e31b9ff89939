"""What a file of a wire format tells the registry: whose it is, by which fields it is known, how it is read.

Most providers speak OpenAI's format with words of their own. Those words are the
*marks*: fields that no other format has. A provider's name decides only where a
body shows none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable
    from decimal import Decimal

    from tokencalc.providers.payload import Body
    from tokencalc.usage import Meter, Quantity, Usage

Reader: TypeAlias = "Callable[[Body, Body], Usage]"
"""Reads a usage object, given the body around it (the same object where there is none)."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """One wire format: the provider's name, the marks in its usage and in its body, and its reader."""

    provider: str
    read: Reader
    usage_marks: frozenset[str] = frozenset()
    body_marks: frozenset[str] = frozenset()

    def speaks(self, usage: Body, body: Body) -> bool:
        """Tell whether the fields show this format."""
        return not (usage.keys().isdisjoint(self.usage_marks) and body.keys().isdisjoint(self.body_marks))


@dataclass(frozen=True, slots=True)
class Whole:
    """A format whose counts are not in a usage object: marks of the body, and a reader that may find it is another's.

    The reader returns None for a body that only looks alike.
    """

    marks: frozenset[str]
    read: Callable[[Body], Usage | None]


def with_more(  # noqa: PLR0913  # what a usage may hold more of
    usage: Usage,
    *,
    leaves: Iterable[tuple[Meter, Quantity]] = (),
    notes: Iterable[str] = (),
    ignored: Iterable[str] = (),
    billed_usd: Decimal | None = None,
    conditions: Iterable[tuple[str, str]] = (),
) -> Usage:
    """Return a usage of one call with more leaves, added to what it has, more notes, facts, and what was billed."""
    sums = dict(usage.leaves)
    for meter, quantity in leaves:
        sums[meter] = sums.get(meter, 0) + quantity
    return usage.replace(
        leaves=sums,
        ignored=tuple(sorted({*usage.ignored, *ignored})),
        notes=(*usage.notes, *notes),
        billed_usd=usage.billed_usd if billed_usd is None else billed_usd,
        conditions=(*usage.conditions, *conditions),
    )


def items(body: Mapping[str, object], key: str) -> list[Body]:
    """Return the objects of the list under ``key``: content, where anything of another kind says nothing to us."""
    value = body.get(key)
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list | tuple) else []
