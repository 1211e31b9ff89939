"""Measured factors from o200k counts to each family's, in thousandths, with their scatter.

Thousandths as integers: the same text gives the same count on every machine, and
sums do not depend on their order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

KINDS = ("prose", "markdown", "code", "json", "zh", "ja", "ko", "ru", "ar", "hi", "th", "other")
"""The kinds of run that a factor is known for, in the order of the tables below."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """How one family's vocabulary compares with ``encoding``'s."""

    encoding: str
    thousandths: Mapping[str, int]
    scatter_thousandths: int
    """Half the width of the range that held the true count in 95 of 100 measured requests, on top of the factor."""
    digits_alone: bool = False
    """Whether each digit is a token of its own; o200k takes three at a time."""


def _table(*values: int) -> dict[str, int]:
    return dict(zip(KINDS, values, strict=True))


FAMILIES: Mapping[str, Family] = {
    "claude": Family(
        encoding="o200k_base",
        thousandths=_table(1070, 1220, 1250, 1250, 1350, 1090, 1740, 1510, 2050, 2380, 2030, 1600),
        scatter_thousandths=120,
    ),
    "claude_4_7": Family(
        encoding="o200k_base",
        thousandths=_table(1540, 1610, 1600, 1580, 1350, 1090, 1740, 1510, 2050, 2380, 2030, 1600),
        scatter_thousandths=120,
    ),
    "gemini": Family(
        encoding="o200k_base",
        thousandths=_table(1030, 1160, 1200, 1330, 870, 680, 980, 990, 1100, 850, 800, 1000),
        scatter_thousandths=150,
        digits_alone=True,
    ),
    "mistral": Family(
        encoding="o200k_base",
        thousandths=_table(1020, 1050, 1050, 1150, 1120, 920, 890, 1090, 940, 1170, 1210, 1200),
        scatter_thousandths=150,
        digits_alone=True,
    ),
    "llama": Family(
        encoding="o200k_base",
        thousandths=_table(1010, 1010, 1010, 1010, 1100, 1100, 1100, 1100, 1100, 1100, 1100, 1200),
        scatter_thousandths=150,
    ),
}
"""Families whose vocabulary we do not carry."""

UNKNOWN = Family(
    encoding="o200k_base",
    thousandths=_table(1150, 1200, 1200, 1250, 1200, 1200, 1300, 1300, 1400, 1400, 1400, 1400),
    scatter_thousandths=500,
)
"""A tokenizer that nobody named: between the families above, with a range that covers them."""
