"""What caching saved: the same usage, priced as if no token had touched a cache, minus what it cost.

Every figure is a price of the same day's card. A call whose plain price is
unknown is counted as left out, never guessed. The saving of a call is negative
where writes cost more than the reads gave back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokencalc.errors import PriceUnknown
from tokencalc.money import usd_from_pico
from tokencalc.usage import CACHE_READ_METERS, CACHE_WRITE_METERS, Meter, Usage

if TYPE_CHECKING:
    from decimal import Decimal

    from tokencalc.engine import Engine
    from tokencalc.reports.corrected import Corrected
    from tokencalc.usage import Quantity

_PLAIN = {
    **dict.fromkeys((Meter.CACHE_READ, *CACHE_WRITE_METERS), Meter.INPUT),
    Meter.CACHE_READ_AUDIO: Meter.INPUT_AUDIO,
    Meter.CACHE_READ_IMAGE: Meter.INPUT_IMAGE,
    Meter.CACHE_READ_VIDEO: Meter.INPUT_VIDEO,
}
"""What a cached or written token would have been without a cache."""

_CACHE_METERS = CACHE_READ_METERS | CACHE_WRITE_METERS


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheSaving:
    """What caching saved over some calls, against the plain input rate of each call's day.

    ``calls`` touched a cache and could be compared; ``left_out`` touched one and
    could not, because a price is missing.
    """

    saved_pico: int = 0
    calls: int = 0
    left_out: int = 0

    @property
    def saved_usd(self) -> Decimal:
        """The saving in dollars; below 0 where the cache cost more than it gave."""
        return usd_from_pico(self.saved_pico)

    def __add__(self, other: CacheSaving) -> CacheSaving:
        """Return both together."""
        return CacheSaving(
            saved_pico=self.saved_pico + other.saved_pico,
            calls=self.calls + other.calls,
            left_out=self.left_out + other.left_out,
        )


def without_cache(usage: Usage) -> Usage:
    """Return the same usage with every cached or written token as a plain input token."""
    if usage.parts:
        return Usage.from_parts([without_cache(part) for part in usage.parts])
    leaves: dict[Meter, Quantity] = {}
    for meter, quantity in usage.leaves:
        plain = _PLAIN.get(meter, meter)
        leaves[plain] = leaves.get(plain, 0) + quantity
    return usage.replace(leaves=leaves)


def saving_of(engine: Engine, found: Corrected) -> CacheSaving:
    """Return what caching saved in one entry after its corrections: nothing where it touched no cache."""
    entry, usage = found.entry, found.entry.usage
    if entry.kind != "charge" or usage is None or not any(meter in _CACHE_METERS for meter, _ in usage.leaves):
        return CacheSaving()
    if not is_priced(found):
        # What it cost is not ours to compare with, or not whole: the missing part would look like a saving.
        return CacheSaving(left_out=1)
    try:
        plain = engine.price(
            model=entry.model,
            provider=entry.provider,
            usage=without_cache(usage),
            at=entry.at,
            context=entry.context,
        )
    except PriceUnknown:
        return CacheSaving(left_out=1)
    if plain.total_pico is None:
        return CacheSaving(left_out=1)
    return CacheSaving(saved_pico=plain.total_pico - found.pico, calls=1)


def is_priced(found: Corrected) -> bool:
    """Whether an entry's amount is a whole price by the tables, and no figure that its caller gave."""
    by_tables = found.is_corrected or (found.entry.amount_pico is not None and found.entry.amount_source == "priced")
    return by_tables and not found.said.unpriced
