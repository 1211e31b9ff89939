"""`tokencalc prices`: rate cards with their dates and sources."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tokencalc.cli.exits import OK
from tokencalc.cli.options import Instant, examples, json_option, pricing_engine
from tokencalc.cli.output import number, put, put_json, rate_text, table
from tokencalc.cli.price_cards import show_card, show_facts
from tokencalc.cli.price_changes import diff_prices, update_prices
from tokencalc.cli.price_check import check_prices
from tokencalc.cli.price_compare import compare_prices
from tokencalc.clock import SystemClock
from tokencalc.pricing.flat import unit_text
from tokencalc.reports.prices import card_document
from tokencalc.usage import Meter

if TYPE_CHECKING:
    from datetime import datetime

    from tokencalc.pricing.card import RateCard
    from tokencalc.pricing.timeline import Span

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
        timeline = catalog.timeline(model, provider)
        spans = [span for span in timeline.spans() if at is None or span.holds(at)]
        if at is not None:
            timeline.at(at)  # PriceUnknown says from when on a price is known
    if as_json:
        put_json({"model": facts, "cards": [_document(span) for span in spans]})
        return OK
    show_facts(facts)
    for span in spans:
        put()
        show_card(span.card, span.start, span.end)
    if at is None:
        put()
        put(f"Before {spans[0].start:%Y-%m-%d} the price is unknown.")
    return OK


def _document(span: Span) -> dict[str, Any]:
    """A card with the span in which it applies here, the table it is from and the discounts that lie on it."""
    return {
        **card_document(span.card.card),
        "applies_from": span.start,
        "applies_until": span.end,
        "table": span.card.table.file,
        "is_update": span.card.table.is_update,
        "discounts": list(span.card.discounts),
    }


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
    per = next((unit_text(Meter.INPUT, rate.per) for rate in shown if rate is not None), "")
    return (*("-" if rate is None else rate_text(rate.usd) for rate in shown), per)  # type: ignore[return-value]  # two rates


prices.add_command(check_prices)
prices.add_command(diff_prices)
prices.add_command(update_prices)
