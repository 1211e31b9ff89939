"""What a usage costs: one line for each meter, and the meters that have no rate.

Amounts are whole pico-dollars inside and ``Decimal`` dollars outside; a `Cost`
is the sum of its lines, in any order, to the last digit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tokencalc.money import usd_from_pico

if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal

    from tokencalc.usage import Meter, Quantity


class CostLine(NamedTuple):
    """One meter's quantity x rate / per = amount.

    ``rate`` is in US dollars for ``per`` units (published units, so $0.111 an hour
    stays per 3600 seconds); ``card`` is the id of the rate card; ``priced_as`` names
    the meter whose rate was used where the card says so, else None.
    """

    meter: Meter
    quantity: Quantity
    rate: Decimal
    per: int
    amount_pico: int
    card: str
    priced_as: Meter | None = None

    @property
    def amount_usd(self) -> Decimal:
        """The line's amount in dollars, exact to the pico-dollar."""
        return usd_from_pico(self.amount_pico)


class Cost(NamedTuple):
    """The cost of one usage: its lines, what could not be priced, and why.

    ``model`` is the model that was priced (the served one, resolved to its card).
    ``unpriced`` lists meters that were used and have no rate; ``notes`` gives the
    reason for each, and what was assumed.
    """

    lines: tuple[CostLine, ...]
    unpriced: tuple[Meter, ...]
    priced_pico: int
    provider: str
    model: str
    at: datetime
    notes: tuple[str, ...] = ()

    @property
    def total_pico(self) -> int | None:
        """The total in pico-dollars, or None when something is unpriced."""
        return None if self.unpriced else self.priced_pico

    @property
    def total_usd(self) -> Decimal | None:
        """The total in dollars, or None when something is unpriced (then `priced_usd` has the rest)."""
        return None if self.unpriced else usd_from_pico(self.priced_pico)

    @property
    def priced_usd(self) -> Decimal:
        """The sum of the lines in dollars."""
        return usd_from_pico(self.priced_pico)

    @property
    def cards(self) -> tuple[str, ...]:
        """The ids of the rate cards that were used, each once, in order."""
        return tuple(dict.fromkeys(line.card for line in self.lines))
