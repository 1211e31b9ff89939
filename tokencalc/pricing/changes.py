"""What two sets of prices charge differently: new models, ended ones, and every changed rate."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from tokencalc.errors import PriceUnknown
from tokencalc.money import round_half_even
from tokencalc.pricing.flat import Price, Slot, charged, flat

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from tokencalc.pricing.card import RateCard
    from tokencalc.pricing.catalog import Catalog

_JUMP = 10
"""A price that moves by this factor is more often a wrong unit than news."""


class RateChange(NamedTuple):
    """One price that differs; None where one side charges nothing that it could name.

    ``percent`` is the change to one decimal, None where there is no old price, no new one, or the old one is 0.
    """

    provider: str
    model: str
    slot: Slot
    old: Price | None
    new: Price | None

    @property
    def percent(self) -> Decimal | None:
        """The change in percent, rounded to one decimal."""
        old, new = _worth(self.old), _worth(self.new)
        if not old or new is None:
            return None
        change = (new - old) / old * 1000
        return Decimal(round_half_even(change.numerator, change.denominator)).scaleb(-1)

    @property
    def is_jump(self) -> bool:
        """Tell whether the price moved by ten times or more, up or down, or from or to nothing."""
        old, new = _worth(self.old), _worth(self.new)
        if old is None or new is None or old == new:
            return False
        return min(old, new) * _JUMP <= max(old, new)


class Changes(NamedTuple):
    """The difference between two instants or two catalogs; cards of models that begin and that end."""

    new: tuple[RateCard, ...]
    ended: tuple[RateCard, ...]
    changed: tuple[RateChange, ...]


def _worth(price: Price | None) -> Fraction | None:
    return None if price is None else Fraction(price.amount) / (price.per or 1)


def card_at(catalog: Catalog, provider: str, model: str, at: datetime) -> RateCard | None:
    """Return the card that applies to a model at an instant, or None where none does."""
    try:
        return catalog.card(model=model, provider=provider, at=at)
    except PriceUnknown:
        return None


def changes_of(
    old: Catalog, new: Catalog, instants: tuple[datetime, datetime], names: Iterable[tuple[str, str]]
) -> Changes:
    """Compare what two catalogs charge for models, ``(provider, model)``, each at its own instant."""
    begun: list[RateCard] = []
    ended: list[RateCard] = []
    changed: list[RateChange] = []
    for provider, model in names:
        before = card_at(old, provider, model, instants[0])
        after = card_at(new, provider, model, instants[1])
        if before is None and after is not None:
            begun.append(after)
        elif after is None and before is not None:
            ended.append(before)
        elif before is not None and after is not None:
            changed.extend(rate_changes(before, after, instants))
    return Changes(tuple(begun), tuple(ended), tuple(changed))


def rate_changes(old: RateCard, new: RateCard, instants: tuple[datetime, datetime]) -> Iterator[RateChange]:
    """Yield every price that two cards of one model do not have in common, each read at its own instant."""
    before, after = flat(old, instants[0]), flat(new, instants[1])
    for slot in dict.fromkeys((*before, *after)):
        one, other = charged(old, before, slot), charged(new, after, slot)
        if _worth(one) != _worth(other):
            yield RateChange(new.provider, new.model, slot, one, other)
