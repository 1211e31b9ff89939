"""`tokencalc prices`: rate cards with their dates and sources."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tokencalc.cli.exits import OK
from tokencalc.cli.options import Instant, examples, json_option, pricing_engine
from tokencalc.cli.output import number, put, put_json, rate_text, table
from tokencalc.cli.price_compare import compare_prices
from tokencalc.clock import SystemClock
from tokencalc.money import decimal_text
from tokencalc.usage import Meter

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from tokencalc.pricing.card import ModelFacts, Rate, RateCard

_own_files = click.option(
    "--prices",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    metavar="FILE",
    help="A price table of your own, on top of ours.",
)


@click.group(epilog=examples("tokencalc prices show gpt-4o", "tokencalc prices list --provider anthropic"))
def prices() -> None:
    """Rate cards: what a model costs, since when, by which source."""


prices.add_command(compare_prices)


@prices.command("show", epilog=examples("tokencalc prices show claude-sonnet-4-5 --at 2025-10-01"))
@click.argument("model")
@click.option("--provider", metavar="NAME", help="Needed only where the model's name does not decide it.")
@click.option("--at", type=Instant(), metavar="DATE", help="Only the card of that day; all cards if not given.")
@_own_files
@json_option
def show_prices(
    *, model: str, provider: str | None, at: datetime | None, prices: tuple[Path, ...], as_json: bool
) -> int:
    """Show every rate card of MODEL: dates, sources and rates."""
    with pricing_engine(prices) as engine:
        catalog = engine.catalog
        facts = catalog.resolve(model, provider=provider, at=at)
        if at is None:
            cards = catalog.cards(facts.provider, facts.model)
        else:
            cards = (catalog.card(model=model, provider=provider, at=at),)
    if as_json:
        put_json({"model": facts, "cards": [_card_values(card) for card in cards]})
        return OK
    _show_facts(facts)
    for card in cards:
        put()
        _show_card(card)
    return OK


@prices.command("list", epilog=examples("tokencalc prices list --provider openai"))
@click.option("--provider", metavar="NAME", help="Only this provider's models.")
@_own_files
@json_option
def list_prices(*, provider: str | None, prices: tuple[Path, ...], as_json: bool) -> int:
    """List the models whose prices are known, with today's rates for input and output."""
    with pricing_engine(prices) as engine:
        models, now = engine.catalog.models(provider), SystemClock().now()
        rows = [(facts, engine.catalog.cards(facts.provider, facts.model)) for facts in models]
        checked_on = engine.catalog.checked_on
    current = [(facts, next((card for card in cards if _applies(card, now)), None)) for facts, cards in rows]
    if as_json:
        put_json(
            {
                "checked_on": checked_on,
                "models": [{"model": facts, "card": card and card.card_id} for facts, card in current],
            }
        )
        return OK
    table(
        ("model", "provider", "input", "output", "per"),
        [(facts.model, facts.provider, *_main_rates(card)) for facts, card in current],
        texts=(0, 1, 4),
    )
    put(f"{number(len(models))} models; prices checked on {checked_on}.")
    return OK


def _applies(card: RateCard, now: datetime) -> bool:
    return card.effective_from <= now and (card.effective_until is None or now < card.effective_until)


def _main_rates(card: RateCard | None) -> tuple[str, str, str]:
    if card is None:
        return "unknown", "unknown", ""
    shown = [card.rate(meter) for meter in (Meter.INPUT, Meter.OUTPUT)]
    per = next((_per(rate.per) for rate in shown if rate is not None), "")
    return (*("-" if rate is None else rate_text(rate.usd) for rate in shown), per)  # type: ignore[return-value]  # two rates


def _show_facts(facts: ModelFacts) -> None:
    put(f"{facts.model} ({facts.provider})", style="bold")
    if facts.aliases:
        put(f"  also called: {', '.join(facts.aliases)}")
    context, output = facts.context_window_tokens, facts.output_limit_tokens
    put(f"  context window: {_tokens(context)}; output limit: {_tokens(output)}")


def _tokens(count: int | None) -> str:
    return "not known" if count is None else f"{number(count)} tokens"


def _show_card(card: RateCard) -> None:
    since = f"from {card.effective_from:%Y-%m-%d}" if card.effective_from_known else "from its launch"
    until = "" if card.effective_until is None else f" until {card.effective_until:%Y-%m-%d}"
    put(f"{since}{until}", style="bold")
    rows = list(_rate_rows("", card.rates))
    for tier in card.tiers:
        rows.extend(_rate_rows(f"from {number(tier.min_input_tokens)} input tokens", tier.rates))
    for variant in card.variants:
        when = ", ".join(f"{key}={value}" for key, value in variant.when)
        rows.extend(_rate_rows(when, variant.rates))
        for tier in variant.tiers:
            rows.extend(_rate_rows(f"{when}, from {number(tier.min_input_tokens)} input tokens", tier.rates))
    table(("meter", "rate", "per", "applies"), rows, texts=(0, 2, 3))
    for multiplier in card.multipliers:
        when = ", ".join(f"{key}={value}" for key, value in multiplier.when)
        put(f"  times {decimal_text(multiplier.factor)} with {when}")
    put(f"  checked on {card.checked_on} against {', '.join(card.source)}")
    if card.note:
        put(f"  {card.note}")


def _rate_rows(applies: str, rates: Mapping[Meter, Rate]) -> list[tuple[str, str, str, str]]:
    return [(meter.value, rate_text(rate.usd), _per(rate.per), applies) for meter, rate in rates.items()]


def _per(per: int) -> str:
    return {1: "one", 1_000: "thousand", 1_000_000: "million"}.get(per, f"{per:,}")


def _card_values(card: RateCard) -> dict[str, Any]:
    def rates(found: Mapping[Meter, Rate]) -> dict[str, Any]:
        return {meter.value: rate for meter, rate in found.items()}

    return {
        "card_id": card.card_id,
        "provider": card.provider,
        "model": card.model,
        "effective_from": card.effective_from,
        "effective_from_known": card.effective_from_known,
        "effective_until": card.effective_until,
        "rates": rates(card.rates),
        "tiers": [{"min_input_tokens": tier.min_input_tokens, "rates": rates(tier.rates)} for tier in card.tiers],
        "variants": [
            {
                "when": dict(variant.when),
                "rates": rates(variant.rates),
                "tiers": [
                    {"min_input_tokens": tier.min_input_tokens, "rates": rates(tier.rates)} for tier in variant.tiers
                ],
                "unchanged": variant.unchanged,
            }
            for variant in card.variants
        ],
        "multipliers": [
            {"when": dict(multiplier.when), "factor": multiplier.factor, "meters": multiplier.meters}
            for multiplier in card.multipliers
        ],
        "priced_as": card.priced_as,
        "source": card.source,
        "checked_on": card.checked_on,
        "note": card.note,
    }
