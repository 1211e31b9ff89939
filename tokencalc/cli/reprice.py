"""`tokencalc reprice`: price booked calls again by the tables of now, and append what corrects them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tokencalc.cli.exits import OK
from tokencalc.cli.options import Instant, examples, json_option, ledger_option, open_ledger
from tokencalc.cli.output import counted, dollars, number, put, put_json, say, table
from tokencalc.cli.progress import progress_bar
from tokencalc.errors import PriceUnknown

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from tokencalc.engine import Engine
    from tokencalc.ledger.unpriced import Unpriced
    from tokencalc.repricing import Repricing

_MOST_ROWS = 20
_LONG_CHARGES = 3000


@click.command(
    epilog=examples(
        "tokencalc reprice --since 2026-11-01",
        "tokencalc reprice --since 2026-11-01 --until 2026-12-01 --model gpt-4o --apply",
    )
)
@click.option("--since", type=Instant(), metavar="DATE", required=True, help="From this instant on.")
@click.option("--until", type=Instant(), metavar="DATE", help="Before this instant.")
@click.option("--model", "-m", metavar="MODEL", help="Only charges of this model.")
@click.option("--provider", metavar="NAME", help="Only charges of this provider.")
@click.option("--apply", "apply", is_flag=True, help="Append the corrections. Without it nothing is written.")
@ledger_option
@json_option
def reprice(  # noqa: PLR0913  # one argument for each option
    *,
    since: datetime,
    until: datetime | None,
    model: str | None,
    provider: str | None,
    apply: bool,
    ledger: str | None,
    as_json: bool,
) -> int:
    """Price charges again by the tables of now, and show which amounts would be corrected.

    With --apply a correction is appended for each, in the period of its call; nothing
    that was written changes. Running it again corrects nothing twice.
    """
    with open_ledger(ledger) as engine, progress_bar("pricing again", least=_LONG_CHARGES) as progress:
        found = engine.reprice(since=since, until=until, model=model, provider=provider, apply=apply, progress=progress)
        unknown = "" if found.charges or model is None else _unknown(engine, model, provider)
    if as_json:
        put_json({"schema": "tokencalc.repricing/1", **_as_document(found)})
    else:
        _show(found)
    if unknown:
        say(unknown)
    return OK


def _unknown(engine: Engine, model: str, provider: str | None) -> str:
    """Say that a model of which no charge was found is in no price table either: it may be misspelt."""
    try:
        engine.catalog.resolve(model, provider=provider)
    except PriceUnknown as error:
        return f"No charge in this time has the model {model!r:.60}, and {error.message}"
    return ""


def _as_document(found: Repricing) -> dict[str, object]:
    return {
        "applied": found.applied,
        "since": found.since,
        "until": found.until,
        "charges": found.charges,
        "old_usd": found.old_usd,
        "new_usd": found.new_usd,
        "difference_usd": found.difference_usd,
        "models": found.models,
        "changes": found.changes,
        "unpriced": found.unpriced,
        "lost": found.lost,
        "left_out": found.left_out,
    }


def _show(found: Repricing) -> None:
    looked = counted(found.charges, "charge")
    if not found.changes:
        put(f"{looked}: every amount is what the price tables say now." if found.charges else "No charges there.")
    else:
        _show_changes(found)
        put()
        corrections = counted(len(found.changes), "correction")
        if found.applied:
            put(f"{looked}: {corrections} appended.")
        else:
            put(f"{looked}: {corrections} would be appended. Nothing was written; --apply does it.")
    if found.left_out:
        put(f"{counted(found.left_out, 'charge')} left out: corrected by somebody else meanwhile. Run it again.")
    _show_missing("Still without a whole price", found.unpriced)
    _show_missing("The tables lost the price of these, which keep what was booked", found.lost)


def _show_changes(found: Repricing) -> None:
    dearest = sorted(found.changes, key=lambda change: (-abs(change.difference_usd), change.entry_id))
    table(
        ("entry", "model", "old", "new", "difference"),
        [
            (
                change.entry_id,
                change.model,
                dollars(change.old_usd),
                dollars(change.new_usd),
                dollars(change.difference_usd),
            )
            for change in dearest[:_MOST_ROWS]
        ],
        texts=(0, 1),
    )
    if len(dearest) > _MOST_ROWS:
        put(f"{number(len(dearest) - _MOST_ROWS)} more with smaller differences: see --json.")
    put()
    table(
        ("model", "charges", "filled", "old", "new", "difference"),
        [
            (
                row.model,
                number(row.charges),
                number(row.filled),
                dollars(None if row.unknown == row.charges else row.old_usd),
                dollars(row.new_usd),
                dollars(row.difference_usd),
            )
            for row in found.models
        ],
        total=(
            "total",
            number(len(found.changes)),
            number(sum(row.filled for row in found.models)),
            dollars(None if all(row.unknown == row.charges for row in found.models) else found.old_usd),
            dollars(found.new_usd),
            dollars(found.difference_usd),
        ),
    )
    put()
    for card in dict.fromkeys(card for change in dearest[:_MOST_ROWS] for card in change.cards):
        put(f"Rate card: {card}")


def _show_missing(title: str, found: Sequence[Unpriced]) -> None:
    if not found:
        return
    put()
    put(f"{title}: {counted(sum(item.calls for item in found), 'charge')}")
    put()
    table(
        ("model", "charges", "why"),
        [(item.model, number(item.calls), item.reason) for item in found[:_MOST_ROWS]],
        texts=(0, 2),
    )
    if len(found) > _MOST_ROWS:
        put(f"{counted(len(found) - _MOST_ROWS, 'more reason')}: see --json.")
