"""How an entry's amount comes about, so that it can be added up by hand.

The lines are those that were booked; a card's source and date of checking are looked
up in the tables of now, which may lack a card that was used then.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from tokencalc.errors import EntryUnknown
from tokencalc.ledger.records import Entry
from tokencalc.ledger.standing import standing
from tokencalc.ledger.unpriced import unpriced_reason, without_instant
from tokencalc.money import EXACT, pico_from_usd, usd_from_pico

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    from tokencalc.cost import CostLine
    from tokencalc.ledger.records import Hold
    from tokencalc.ledger.sqlite import SqliteStore
    from tokencalc.ledger.standing import Standing
    from tokencalc.ledger.store import Step
    from tokencalc.pricing.card import RateCard
    from tokencalc.pricing.catalog import Catalog

_MOST_DIGITS = 18
_FACTOR = re.compile(r"x ([0-9.]+(?:E[+-]?[0-9]+)?) (?:for|since) ")
_MOST_FACTORS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class CardUsed:
    """A rate card that priced a line: its sources and the day on which it was compared with them.

    ``is_known`` is False where the tables of now have no card of that id whose rates
    can be those of the lines; ``has_other_rates`` is True where they have one that says
    other rates now. ``checked_on`` is None where nobody said it.
    """

    card: str
    is_known: bool
    has_other_rates: bool = False
    source: tuple[str, ...] = ()
    checked_on: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One entry, with everything that its amount rests on.

    ``corrected`` is what this entry corrects, ``corrections`` what corrects this
    entry, the oldest first; ``counted_before_pico`` is what was counted for the
    corrected entry before this one. ``hold`` is the one that this entry ended.
    ``unpriced_reason`` says why something had no price when this entry was written, None
    where all had one; ``assumed`` are the other notes. ``price_pico`` is our price by
    now, with every correction; None where it is not whole.
    """

    entry: Entry
    cards: tuple[CardUsed, ...]
    corrections: tuple[Entry, ...]
    corrected: Entry | None
    counted_before_pico: int | None
    hold: Hold | None
    unpriced_reason: str | None
    assumed: tuple[str, ...]
    price_pico: int | None

    @property
    def lines_usd(self) -> Decimal:
        """The sum of the lines in dollars: our price of what has one."""
        return usd_from_pico(sum(line.amount_pico for line in self.entry.lines))

    @property
    def counted_usd(self) -> Decimal:
        """What totals and budgets count for this entry with its corrections, in dollars."""
        return usd_from_pico(sum(entry.amount_pico or 0 for entry in (self.entry, *self.corrections)))

    @property
    def price_usd(self) -> Decimal | None:
        """Our price by now in dollars, with every correction; None where it is not whole."""
        return None if self.price_pico is None else usd_from_pico(self.price_pico)

    @property
    def counted_before_usd(self) -> Decimal | None:
        """What was counted for the corrected entry before this one, in dollars."""
        return None if self.counted_before_pico is None else usd_from_pico(self.counted_before_pico)

    @property
    def caller_gap_usd(self) -> Decimal | None:
        """The caller's figure minus our price by now, where both are known."""
        return self._gap(self.entry.caller_cost_usd)

    @property
    def billed_gap_usd(self) -> Decimal | None:
        """What the response says that it was billed minus our price by now, where both are known."""
        return self._gap(self.entry.billed_usd)

    def _gap(self, other_usd: Decimal | None) -> Decimal | None:
        if other_usd is None or self.price_pico is None:
            return None
        return usd_from_pico(pico_from_usd(other_usd, name="other_usd") - self.price_pico)


def explain(
    store: SqliteStore, catalog: Catalog, entry: Entry | str, find_hold: Callable[[str], Step[Hold]]
) -> Explanation:
    """Explain an entry; EntryUnknown where this ledger has none of that id."""
    found = find_entry(store, entry)
    shown = found.entry
    corrected = None if shown.corrects is None else find_entry(store, shown.corrects)
    cards = dict.fromkeys(line.card for line in shown.lines)
    lacks_price = bool(shown.unpriced) or (shown.kind == "charge" and shown.amount_source != "priced")
    reason = unpriced_reason(shown) if lacks_price else None
    is_whole = not found.unpriced and (bool(found.lines) or found.amount_source == "priced")
    return Explanation(
        entry=shown,
        cards=tuple(card_used(catalog, card, shown) for card in cards),
        corrections=found.corrections,
        corrected=None if corrected is None else corrected.entry,
        counted_before_pico=None if corrected is None else corrected.counted_before(shown.sequence),
        hold=None if shown.hold_id is None else store.writer.run(find_hold(shown.hold_id)),
        unpriced_reason=reason,
        assumed=tuple(note for note in shown.notes if without_instant(note) not in (reason or "")),
        price_pico=sum(line.amount_pico for line in found.lines) if is_whole else None,
    )


def find_entry(store: SqliteStore, entry: Entry | str) -> Standing:
    """Return an entry with its corrections by its id, by its record, or by its place in the chain ("12")."""
    name = entry.entry_id if isinstance(entry, Entry) else entry
    text = name if isinstance(name, str) else ""
    digits = text if text.isdecimal() else text.removeprefix(f"{store.chain_id}-e")
    is_number = digits.isdecimal() and digits.isascii() and len(digits) <= _MOST_DIGITS
    found = standing(store, int(digits)) if is_number else None
    if found is None:
        raise EntryUnknown(
            f"entry {name!r:.60} is not in this ledger, whose entries are named {store.chain_id}-eNUMBER",
            entry_id=f"{name!s:.200}",
        )
    return found


def card_used(catalog: Catalog, card: str, entry: Entry) -> CardUsed:
    """Return the source and date of checking of the card of an id that can have priced an entry's lines.

    An own table may have a card of the same id as ours, so the rates decide which one was used.
    """
    found = catalog.cards_by_id(card)
    lines = [line for line in entry.lines if line.card == card]
    scales = _scales(entry)
    for one in found:
        if all(_can_be(one, line, scales) for line in lines):
            return CardUsed(card=card, is_known=True, source=one.source, checked_on=one.checked_on)
    return CardUsed(card=card, is_known=False, has_other_rates=bool(found))


def _scales(entry: Entry) -> frozenset[Decimal]:
    """Every product of the factors that the notes name, as ``x 1.1 for region=us``; they do not say the meters."""
    factors = [Decimal(found[1]) for found in map(_FACTOR.match, entry.notes) if found]
    products = {Decimal(1)}
    for factor in factors[:_MOST_FACTORS]:
        products |= {EXACT.multiply(product, factor) for product in products}
    return frozenset(products)


def _can_be(card: RateCard, line: CostLine, scales: frozenset[Decimal]) -> bool:
    meter = line.priced_as or line.meter
    tiers = (*card.tiers, *(tier for variant in card.variants for tier in variant.tiers))
    lists = (card.rates, *(tier.rates for tier in tiers), *(variant.rates for variant in card.variants))
    rates = (one[meter] for one in lists if meter in one)
    return any(
        rate.per == line.per and EXACT.multiply(rate.usd, scale) == line.rate for rate in rates for scale in scales
    )
