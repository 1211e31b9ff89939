"""A card made ready for arithmetic: whole-number factors by meter, for one set of conditions.

Compiled once per card and conditions, so that pricing a usage is a lookup, a
multiplication and a tuple for each meter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tokencalc.money import EXACT, rate_fraction
from tokencalc.pricing.card import CONDITION_KEYS
from tokencalc.usage import Meter

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from decimal import Decimal

    from tokencalc.pricing.build import ProviderTable
    from tokencalc.pricing.card import Conditions, Rate, RateCard, Variant
    from tokencalc.pricing.discounts import Discount
    from tokencalc.pricing.windows import Window

    Scale = tuple[tuple[Decimal, frozenset[Meter]], ...]

Said = tuple[str | None, ...]
"""What is said about a call, in the order of `CONDITION_KEYS`; None where nothing is."""

Choice = tuple["datetime", "datetime | None", "Window | None", "Plan"]
"""A plan with the interval, and the hours, in which it holds."""

_EVERY_METER = frozenset(Meter)

NOTHING_SAID: Said = (None,) * len(CONDITION_KEYS)

_MOST_CONDITIONS = 256

# Room for a rate of 40 digits under ten factors of as many: contracts stack on surcharges, and a rate is never rounded.
_RATES = EXACT.copy()
_RATES.prec = 440


class Factor(NamedTuple):
    """One meter's rate as pico-dollars per unit (numerator / denominator), and what its cost line says."""

    numerator: int
    denominator: int
    rate: Decimal
    per: int
    card: str
    priced_as: Meter | None


class Plan(NamedTuple):
    """Factors by meter, for each prompt size: ``sizes[i]`` input tokens and more take ``factors[i]``.

    ``sizes`` is empty for a card without tiers. ``reason`` is set where nothing
    can be priced under the conditions; ``notes`` says what was assumed. ``request``
    is the price of the call itself, ``minimums`` the least quantities that a call
    is billed for.
    """

    factors: tuple[Mapping[Meter, Factor], ...]
    sizes: tuple[int, ...]
    reason: str | None
    notes: tuple[str, ...]
    note_above: tuple[int, str] | None
    request: Factor | None
    minimums: tuple[tuple[Meter, int], ...]


class PlannedCard:
    """A rate card with its plans; shared by all calls that the card prices.

    ``ordinary`` is the plan of a call of which nothing special is said; None where that depends on the hour.
    """

    __slots__ = ("_notes", "_plans", "_scale", "card", "discounts", "ordinary", "table")

    def __init__(self, card: RateCard, table: ProviderTable, discounts: tuple[Discount, ...] = ()) -> None:
        """Compile the ordinary plan; the others follow when a call needs them."""
        self.card = card
        self.table = table
        self.discounts = discounts
        self._scale: Scale = tuple((item.factor, item.meters or _EVERY_METER) for item in discounts)
        self._notes = tuple(str(item) for item in discounts)
        by_hour = any(variant.during is not None and not variant.when for variant in card.variants)
        tiers = tuple((tier.min_input_tokens, tier.rates) for tier in card.tiers)
        self.ordinary = None if by_hour else _plan(card, card.rates, tiers, self._scale, self._notes)
        self._plans: dict[Said, Plan | tuple[Choice, ...]] = {}

    @property
    def depends_on(self) -> frozenset[str]:
        """Conditions that some variant or multiplier of the card names."""
        whens = [item.when for item in self.card.variants] + [item.when for item in self.card.multipliers]
        return frozenset(key for when in whens for key, _ in when)

    def plan(self, said: Said, at: datetime) -> Plan:
        """Return the plan under what the response and the caller say, at an instant inside the card's interval."""
        found = self._plans.get(said)
        if found is None:
            if len(self._plans) >= _MOST_CONDITIONS:
                self._plans.clear()
            found = self._compile(self._effective(said))
            self._plans[said] = found
        if isinstance(found, Plan):
            return found
        for start, end, window, plan in found:
            if at >= start and (end is None or at < end) and (window is None or window.holds(at)):
                return plan
        first = min(start for start, _, _, _ in found)
        says = ", ".join(f"{key}={value}" for key, value in self._effective(said))
        if all(window is not None and at >= start for start, _, window, _ in found):
            return _unpriced(f"{self.card.card_id}: rates for {says} are known at other hours only")
        return _unpriced(f"{self.card.card_id}: rates for {says} are known from {first.date().isoformat()} only")

    def _effective(self, said: Said) -> Conditions:
        """Drop what means an ordinary call, and translate the provider's other words."""
        kept: dict[str, str] = {}
        for key, raw in zip(CONDITION_KEYS, said, strict=True):
            value = "" if raw is None else raw.strip().lower()
            if not value:
                continue
            meant = self.table.means.get(key, {}).get(value, {key: value})
            kept |= {other: word for other, word in meant.items() if word not in self.table.standard.get(other, ())}
        return tuple(sorted(kept.items()))

    def _compile(self, when: Conditions) -> Plan | tuple[Choice, ...]:
        card = self.card
        if not when and self.ordinary is not None:
            return self.ordinary
        multipliers = [item for item in card.multipliers if set(item.when) <= set(when)]
        spoken_for = {condition for item in multipliers for condition in item.when}
        rest = tuple(condition for condition in when if condition not in spoken_for)
        scale = (*self._scale, *((item.factor, item.meters) for item in multipliers))
        notes = self._notes + tuple(
            f"x {item.factor} for {', '.join(f'{key}={value}' for key, value in item.when)}" for item in multipliers
        )
        if not rest:
            tiers = tuple((tier.min_input_tokens, tier.rates) for tier in card.tiers)
            plain = _plan(card, card.rates, tiers, scale, notes)
            if self.ordinary is not None:
                return plain
            always: Choice = (card.effective_from, None, None, plain)
            return (*self._choices(rest, scale, notes), always)
        variants = [variant for variant in card.variants if variant.when == rest]
        if not variants:
            says = ", ".join(f"{key}={value}" for key, value in rest)
            return _unpriced(f"{card.card_id} has no rates for {says}")
        return self._choices(rest, scale, notes)

    def _choices(self, when: Conditions, scale: Scale, notes: tuple[str, ...]) -> tuple[Choice, ...]:
        """Return the plans of the variants under exactly these conditions, those of certain hours first."""
        card = self.card
        variants = sorted(
            (variant for variant in card.variants if variant.when == when), key=lambda variant: variant.during is None
        )
        choices: list[Choice] = []
        for variant in variants:
            hours = () if variant.during is None else (f"the rates of {variant.during}",)
            plan = _variant_plan(card, variant, scale, (*notes, *hours))
            choices.append(
                (variant.effective_from or card.effective_from, variant.effective_until, variant.during, plan)
            )
        return tuple(choices)


def _variant_plan(card: RateCard, variant: Variant, scale: Scale, notes: tuple[str, ...]) -> Plan:
    def with_unchanged(rates: Mapping[Meter, Rate], ordinary: Mapping[Meter, Rate]) -> Mapping[Meter, Rate]:
        return {meter: ordinary[meter] for meter in variant.unchanged if meter in ordinary} | dict(rates)

    sizes = sorted({tier.min_input_tokens for tier in (*variant.tiers, *card.tiers)})
    steps = []
    for size in sizes:
        own = [tier.rates for tier in variant.tiers if tier.min_input_tokens <= size]
        ordinary = [tier.rates for tier in card.tiers if tier.min_input_tokens <= size]
        rates = dict(variant.rates) | (dict(own[-1]) if own else {})
        kept = dict(card.rates) | (dict(ordinary[-1]) if ordinary else {})
        steps.append((size, with_unchanged(rates, kept)))
    plan = _plan(card, with_unchanged(variant.rates, card.rates), tuple(steps), scale, notes)
    if card.tiers and not variant.tiers:
        says = ", ".join(f"{key}={value}" for key, value in variant.when)
        text = f"{card.card_id} has no rates by prompt size for {says}; its one list is used at every size"
        return plan._replace(note_above=(card.tiers[0].min_input_tokens, text))
    return plan


def _plan(
    card: RateCard,
    base: Mapping[Meter, Rate],
    tiers: tuple[tuple[int, Mapping[Meter, Rate]], ...],
    scale: Scale,
    notes: tuple[str, ...] = (),
) -> Plan:
    steps = [dict(base)]
    for _, rates in tiers:
        steps.append(steps[-1] | dict(rates))
    factors = tuple(_factors(card, rates, scale) for rates in steps)
    sizes = tuple(size for size, _ in tiers)
    return Plan(factors, sizes, None, notes, None, factors[0].get(Meter.REQUEST), tuple(card.minimums.items()))


def _unpriced(reason: str) -> Plan:
    return Plan(({},), (), reason, (), None, None, ())


def _factors(card: RateCard, rates: Mapping[Meter, Rate], scale: Scale) -> dict[Meter, Factor]:
    factors = {}
    for meter, rate in rates.items():
        usd = rate.usd
        for factor, meters in scale:
            if meter in meters:
                usd = _RATES.multiply(usd, factor)
        factors[meter] = Factor(*rate_fraction(usd, rate.per), usd, rate.per, card.card_id, None)
    for meter in card.priced_as:
        other = _final(card.priced_as, meter, factors)
        if meter not in factors and other is not None:
            factors[meter] = factors[other]._replace(priced_as=other)
    return factors


def _final(priced_as: Mapping[Meter, Meter], meter: Meter, factors: Mapping[Meter, Factor]) -> Meter | None:
    """Follow ``priced_as`` to the first meter with a rate of its own; a circle ends at nothing."""
    seen = {meter}
    other = priced_as.get(meter)
    while other is not None and other not in seen:
        if other in factors and factors[other].priced_as is None:
            return other
        seen.add(other)
        other = priced_as.get(other)
    return None


def dearest(plan: Plan, meters: tuple[Meter, ...], input_tokens: int) -> Meter | None:
    """Return the meter with the highest rate among those the plan prices, at any size that is reached."""
    best: tuple[int, int, Meter] | None = None
    for meter in meters:
        factor = factors_for(plan, input_tokens).get(meter)
        if factor is not None and (best is None or factor.numerator * best[1] > best[0] * factor.denominator):
            best = (factor.numerator, factor.denominator, meter)
    return None if best is None else best[2]


def factors_for(plan: Plan, input_tokens: int) -> Mapping[Meter, Factor]:
    """Return the factors for a call with so many input tokens, cached ones included."""
    step = 0
    for size in plan.sizes:
        if input_tokens < size:
            break
        step += 1
    return plan.factors[step]
