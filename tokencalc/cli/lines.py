"""How a cost line's parts are written for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokencalc.cli.output import number
from tokencalc.money import decimal_text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from decimal import Decimal

    from tokencalc.cost import CostLine

_FEWEST_DECIMALS = 6


def meter_text(line: CostLine) -> str:
    """Return the line's meter, with the one whose rate it took where that is another."""
    return line.meter.value if line.priced_as is None else f"{line.meter.value} (as {line.priced_as.value})"


def quantity_text(line: CostLine) -> str:
    """Return the line's quantity, every digit."""
    return number(line.quantity) if isinstance(line.quantity, int) else decimal_text(line.quantity)


def exact_dollars(amounts: Iterable[Decimal]) -> list[str]:
    """Return amounts with every digit, and as many decimals each as the longest has, so that they can be added up."""
    texts = [decimal_text(amount) for amount in amounts]
    most = max([_FEWEST_DECIMALS, *(len(text.partition(".")[2]) for text in texts)])
    return [_padded(text, most) for text in texts]


def _padded(text: str, decimals: int) -> str:
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
    whole, _, rest = digits.partition(".")
    return f"{sign}${int(whole):,}.{rest:0<{decimals}}"
