"""A card as a plain list of prices, so that two cards can be laid side by side.

Each price has a slot: the meter, the conditions, and the prompt size from which it
holds. What a card does not list in a slot it may still charge there (by the rate
below a tier, by ``priced_as``); `charged` answers that.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from tokencalc.usage import TOKEN_METERS, Meter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from tokencalc.pricing.card import Rate, RateCard, Tier, Variant

FACTOR = "factor"
"""In place of a meter: a true multiplier, whose price is a bare number."""

LEAST = "least"
"""In place of a meter: the least quantity that a call is billed for."""


class Slot(NamedTuple):
    """Where a price stands: ``when`` is empty for an ordinary call, ``min_input_tokens`` 0 for any prompt."""

    meter: str
    when: str = ""
    min_input_tokens: int = 0

    @property
    def applies(self) -> str:
        """The conditions in words; empty for the ordinary price."""
        size = f"from {self.min_input_tokens:,} input tokens" if self.min_input_tokens else ""
        return ", ".join(part for part in (self.when, size) if part)


class Price(NamedTuple):
    """An amount in dollars for ``per`` units; ``per`` is 0 for a bare number (a factor, a least quantity)."""

    amount: Decimal
    per: int


def flat(card: RateCard, at: datetime | None = None) -> dict[Slot, Price]:
    """Return every price of a card by its slot; with ``at``, only variants that are known then."""
    found = dict(_list("", card.rates, card.tiers))
    for variant in card.variants:
        if at is None or holds(variant, at):
            found.update(_variant(card, variant))
    for multiplier in card.multipliers:
        meters = "tokens" if multiplier.meters == TOKEN_METERS else ", ".join(sorted(multiplier.meters))
        found[Slot(FACTOR, f"{conditions_text(multiplier.when)} on {meters}")] = Price(multiplier.factor, 0)
    for meter, least in card.minimums.items():
        found[Slot(LEAST, str(meter))] = Price(Decimal(least), 0)
    return found


def holds(variant: Variant, at: datetime) -> bool:
    """Tell whether a variant's rates are known at an instant inside its card's interval."""
    start, end = variant.effective_from, variant.effective_until
    return (start is None or start <= at) and (end is None or at < end)


def variant_text(variant: Variant) -> str:
    """Return a variant's conditions and hours in words."""
    hours = "" if variant.during is None else str(variant.during)
    return ", ".join(part for part in (conditions_text(variant.when), hours) if part)


def conditions_text(when: tuple[tuple[str, str], ...]) -> str:
    """Return conditions in words: ``processing=batch, region=us``."""
    return ", ".join(f"{key}={value}" for key, value in when)


def charged(card: RateCard, prices: Mapping[Slot, Price], slot: Slot) -> Price | None:
    """Return what a card charges in a slot that it may not list: by a smaller size, or as another meter."""
    for meter in _borrowed(card, slot.meter):
        sizes = [at.min_input_tokens for at in prices if (at.meter, at.when) == (meter, slot.when)]
        below = [size for size in sizes if size <= slot.min_input_tokens]
        if below:
            return prices[Slot(meter, slot.when, max(below))]
    return None


def _borrowed(card: RateCard, meter: str) -> Iterator[str]:
    seen: list[str] = []
    current: str | None = meter
    while current is not None and current not in seen:
        seen.append(current)
        yield current
        current = card.priced_as.get(Meter(current)) if current in set(Meter) else None


def _list(when: str, rates: Mapping[Meter, Rate], tiers: tuple[Tier, ...]) -> Iterator[tuple[Slot, Price]]:
    for meter, rate in rates.items():
        yield Slot(str(meter), when), Price(rate.usd, rate.per)
    for tier in tiers:
        for meter, rate in tier.rates.items():
            yield Slot(str(meter), when, tier.min_input_tokens), Price(rate.usd, rate.per)


def _variant(card: RateCard, variant: Variant) -> Iterator[tuple[Slot, Price]]:
    text = variant_text(variant)
    kept = [(slot, price) for slot, price in _list(text, card.rates, card.tiers) if slot.meter in variant.unchanged]
    yield from kept
    yield from _list(text, variant.rates, variant.tiers)


_UNITS = {10**6: "million", 10**3: "thousand"}
_THINGS = (
    ("_token_hour", "token-hours"),
    ("_character", "characters"),
    ("_page", "pages"),
    ("_piece", "images"),
    ("_second", "seconds"),
)


def unit_text(meter: str, per: int) -> str:
    """Return what one price buys, in words: ``million tokens``, ``hour``, ``thousand calls``, ``image``."""
    if per == 0:
        return ""
    if meter.endswith("_second"):
        return {1: "second", 60: "minute", 3600: "hour"}.get(per, f"{per:,} seconds")
    things = (
        "tokens" if meter in TOKEN_METERS else next((name for end, name in _THINGS if meter.endswith(end)), "calls")
    )
    if per == 1:
        return things.removesuffix("s")
    return f"{_UNITS.get(per, f'{per:,}')} {things}"
