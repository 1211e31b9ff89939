"""`tokencalc prices diff` and `prices update`: what changes, what would change, and the writing of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tokencalc.cli.exits import OK, REFUSED
from tokencalc.cli.options import Instant, examples, json_option, pricing_engine
from tokencalc.cli.output import counted, put, put_json, rate_text, say, say_wrapped, table
from tokencalc.clock import SystemClock
from tokencalc.config import load_settings
from tokencalc.errors import CallInvalid
from tokencalc.money import decimal_text
from tokencalc.pricing.changes import changes_of
from tokencalc.pricing.flat import unit_text
from tokencalc.pricing.offers import GENAI
from tokencalc.pricing.own import price_folder
from tokencalc.pricing.updating import apply_update, change_text, plan_update
from tokencalc.reports.prices import changes_document, update_document
from tokencalc.usage import Meter

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from tokencalc.pricing.card import RateCard
    from tokencalc.pricing.changes import Changes, RateChange
    from tokencalc.pricing.flat import Price
    from tokencalc.pricing.updating import Update

_MOST_NOTES = 5
_MOST_KEPT = 20


@click.command("diff", epilog=examples("tokencalc prices diff 2025-06-01 2025-07-01 --provider openai"))
@click.argument("start", metavar="FROM", type=Instant())
@click.argument("end", metavar="TO", type=Instant())
@click.option("--model", "-m", metavar="MODEL", help="Only this model.")
@click.option("--provider", metavar="NAME", help="Only this provider's models.")
@click.option(
    "--prices",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    metavar="FILE",
    help="A price table of your own, on top of ours.",
)
@json_option
def diff_prices(  # noqa: PLR0913  # one argument for each option
    *,
    start: datetime,
    end: datetime,
    model: str | None,
    provider: str | None,
    prices: tuple[Path, ...],
    as_json: bool,
) -> int:
    """Show what the tables charge differently at TO than at FROM."""
    with pricing_engine(prices) as engine:
        catalog = engine.catalog
    found = [catalog.resolve(model, provider=provider)] if model is not None else list(catalog.models(provider))
    names = [(facts.provider, facts.model) for facts in found]
    changes = changes_of(catalog, catalog, (start, end), names)
    if as_json:
        put_json({"from": start, "to": end, **changes_document(changes)})
        return OK
    put(f"From {_instant(start)} to {_instant(end)}:")
    show_changes(changes)
    return OK


def _instant(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d}" if f"{instant:%H%M%S}" == "000000" else f"{instant:%Y-%m-%d %H:%M:%S} UTC"


def show_changes(changes: Changes) -> None:
    """Print changed prices, new models and ended ones; or that there are none."""
    if changes.changed:
        put()
        table(
            ("model", "price", "old", "new", "change"),
            [_change_row(change) for change in changes.changed],
            texts=(0, 1),
        )
    for title, cards in (("New", changes.new), ("No longer priced", changes.ended)):
        if cards:
            put()
            put(f"{title}: {counted(len(cards), 'model')}", style="bold")
            table(("model", "provider", "input", "output"), [_card_row(card) for card in cards], texts=(0, 1))
    if not (changes.changed or changes.new or changes.ended):
        put("Nothing differs.")


def _change_row(change: RateChange) -> tuple[str, str, str, str, str]:
    percent = change.percent
    shown = "" if percent is None else f"{percent:+,} %"
    what = ", ".join(part for part in (change.slot.meter, change.slot.applies) if part)
    return change.model, what, _price(change, change.old), _price(change, change.new), shown


def _price(change: RateChange, price: Price | None) -> str:
    if price is None:
        return "unknown"
    if price.per == 0:
        return decimal_text(price.amount)
    unit = unit_text(change.slot.meter, price.per)
    text = rate_text(price.amount)
    return text if unit == "million tokens" else f"{text}/{unit}"


def _card_row(card: RateCard) -> tuple[str, str, str, str]:
    rates = [card.rate(meter) for meter in (Meter.INPUT, Meter.OUTPUT)]
    first, second = ("-" if rate is None else rate_text(rate.usd) for rate in rates)
    return card.model, card.provider, first, second


@click.command(
    "update",
    epilog=examples(
        "tokencalc prices update new-prices.toml", "tokencalc prices update genai-prices --provider openai"
    ),
)
@click.argument("source", metavar="FILE|genai-prices")
@click.option(
    "--file",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="With genai-prices: its wheel, where it is not installed.",
)
@click.option("--provider", metavar="NAME", help="Take only this provider's prices.")
@click.option("--yes", is_flag=True, help="Accept without being asked.")
@click.option("--force", is_flag=True, help="Accept prices that move by ten times or more.")
@json_option
def update_prices(  # noqa: PLR0913  # one argument for each option
    *, source: str, file: Path | None, provider: str | None, yes: bool, force: bool, as_json: bool
) -> int:
    """Accept a price table, or the prices of genai-prices, on top of the packaged ones.

    Shows what differs from what applies today, asks, and appends it to tables of yours. Nothing that a card charged
    before is changed.
    """
    if file is not None and source != GENAI:
        raise CallInvalid(
            f"file: --file goes with {GENAI}; give the table itself as {source!r:.60}", path="file", found=source
        )
    folder = price_folder(load_settings())
    update = plan_update(
        source if source == GENAI else Path(source),
        folder=folder,
        now=SystemClock().now(),
        provider=provider,
        file=file,
    )
    if not as_json:
        _show_update(update)
    if update.jumps and not force:
        apply_update(update)  # says each jump, and writes nothing
    if update.files and not yes and not _agreed():
        say("Nothing was changed.")
        return REFUSED
    written = apply_update(update, force=force)
    if as_json:
        put_json(update_document(update, written))
    elif written:
        put()
        put(f"Written: {_paths(written)}")
        put(f"To undo it, remove {_paths(written)}.")
    return OK


def _agreed() -> bool:
    if not sys.stdin.isatty():
        raise CallInvalid(
            "update: nobody can be asked here; look at what changes, then add --yes", path="yes", found=False
        )
    return click.confirm("Accept these prices?", err=True)


def _show_update(update: Update) -> None:
    put(f"{update.name} against what applies today:")
    show_changes(update.changes)
    for jump in update.jumps:
        say_wrapped(f"A jump: {change_text(jump)}")
    for kept in update.kept[:_MOST_KEPT]:
        say_wrapped(f"Kept on purpose: {kept}")
    if len(update.kept) > _MOST_KEPT:
        say_wrapped(f"Kept on purpose: {len(update.kept) - _MOST_KEPT} more; --json has all.")
    for note in update.notes[:_MOST_NOTES]:
        say_wrapped(f"Left out: {note}")
    if len(update.notes) > _MOST_NOTES:
        say_wrapped(f"Left out: {len(update.notes) - _MOST_NOTES} more; --json has all.")


def _paths(paths: Iterable[Path]) -> str:
    return " and ".join(map(str, paths))
