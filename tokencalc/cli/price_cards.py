"""How a rate card is shown to people: every rate with its unit, every condition, and where it comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokencalc.cli.output import number, put, rate_text, table
from tokencalc.money import decimal_text
from tokencalc.pricing.flat import conditions_text, unit_text, variant_text
from tokencalc.usage import TOKEN_METERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from tokencalc.pricing.card import ModelFacts, Rate, RateCard, Tier
    from tokencalc.pricing.plan import PlannedCard
    from tokencalc.usage import Meter

Row = tuple[str, str, str, str]


def show_facts(facts: ModelFacts) -> None:
    """Print what is known about a model besides its price."""
    put(f"{facts.model} ({facts.provider})", style="bold")
    if facts.aliases:
        put(f"  also called: {', '.join(facts.aliases)}")
    context, output = facts.context_window_tokens, facts.output_limit_tokens
    put(f"  context window: {_tokens(context)}; output limit: {_tokens(output)}")


def _tokens(count: int | None) -> str:
    return "not known" if count is None else f"{number(count)} tokens"


def show_card(planned: PlannedCard, start: datetime, end: datetime | None) -> None:
    """Print a card for the span in which it applies; the user's discounts and own tables are named."""
    card = planned.card
    until = "" if end is None else f" until {_day(end)}"
    put(f"from {_day(start)}{until}", style="bold")
    table(("meter", "rate", "for a", "applies"), list(_rows(card)), texts=(0, 2, 3))
    for line in (*_conditions(card), *_origin(planned)):
        put(f"  {line}")


def _day(instant: datetime) -> str:
    is_whole = (instant.hour, instant.minute, instant.second) == (0, 0, 0)
    return f"{instant:%Y-%m-%d}" if is_whole else f"{instant:%Y-%m-%d %H:%M:%S} UTC"


def _rows(card: RateCard) -> Iterator[Row]:
    yield from _rate_rows("", card.rates)
    yield from _tier_rows("", card.tiers)
    for variant in card.variants:
        when = variant_text(variant)
        if variant.effective_from is not None and variant.effective_from > card.effective_from:
            when = f"{when}, from {_day(variant.effective_from)}"
        if variant.effective_until is not None:
            when = f"{when}, until {_day(variant.effective_until)}"
        yield from _rate_rows(when, variant.rates)
        yield from _tier_rows(when, variant.tiers)


def _tier_rows(when: str, tiers: tuple[Tier, ...]) -> Iterator[Row]:
    for tier in tiers:
        size = f"from {number(tier.min_input_tokens)} input tokens"
        yield from _rate_rows(f"{when}, {size}" if when else size, tier.rates)


def _rate_rows(applies: str, rates: Mapping[Meter, Rate]) -> Iterator[Row]:
    for meter, rate in rates.items():
        yield meter.value, rate_text(rate.usd), unit_text(meter, rate.per), applies


def _conditions(card: RateCard) -> Iterator[str]:
    for variant in card.variants:
        if variant.unchanged:
            yield f"{variant_text(variant)}: ordinary rates for {', '.join(sorted(variant.unchanged))}"
    for multiplier in card.multipliers:
        meters = "all tokens" if multiplier.meters == TOKEN_METERS else ", ".join(sorted(multiplier.meters))
        yield f"times {decimal_text(multiplier.factor)} with {conditions_text(multiplier.when)}, on {meters}"
    for meter, other in card.priced_as.items():
        yield f"{meter} is priced as {other}"
    for meter, least in card.minimums.items():
        yield f"{meter}: a call is billed for at least {number(least)}"


def _origin(planned: PlannedCard) -> Iterator[str]:
    card = planned.card
    for discount in planned.discounts:
        yield f"your discount: {discount}"
    if planned.table.file is not None:
        whose = "accepted from an update" if planned.table.is_update else "of your own"
        yield f"from a table {whose}: {planned.table.file}"
    if card.effective_from_known:
        yield f"applies from {_day(card.effective_from)}: the day is known"
    else:
        yield f"applies from {_day(card.effective_from)}: the day is not known; no other price is known since then"
    if card.imported is not None:
        day = "" if card.checked_on is None else f", of {card.checked_on}"
        yield f"imported from {card.imported}{day}: nobody compared it with the provider's list"
    else:
        checked = "not checked" if card.checked_on is None else f"checked on {card.checked_on}"
        against = "against" if card.checked_on is not None else "source:"
        yield f"{checked} {against} {', '.join(card.source)}" if card.source else f"{checked}; no source given"
    yield f"card: {card.card_id}"
    if card.note:
        yield card.note
