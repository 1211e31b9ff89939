"""`tokencalc report`: cost, calls and tokens, by whatever you group them by."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from tokencalc.cli.exits import OK, UNPRICED
from tokencalc.cli.options import (
    Instant,
    Pair,
    examples,
    json_option,
    ledger_option,
    open_ledger,
    pairs_as_dict,
    without_nones,
)
from tokencalc.cli.output import counted, dollars, number, put, put_json, table, tokens
from tokencalc.clock import SystemClock, instant_text
from tokencalc.errors import CallInvalid
from tokencalc.ledger.records import DIMENSION_KEYS
from tokencalc.reports.markdown import summary_markdown
from tokencalc.reports.summary import summarise
from tokencalc.reports.text import safe_text
from tokencalc.tool_answers import report_answer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from typing import Any

    from tokencalc.engine import Engine

_PERIODS = ("hour", "day", "week", "month", "total")
_TIMES = ("day", "hour")
_MOST_REASONS = 20


@click.command(
    epilog=examples("tokencalc report --by model --period month", "tokencalc report --by day,agent_id --json")
)
@click.option(
    "--by", "by", multiple=True, metavar="KEYS", help="Group by these, as model,day. Default: provider,model."
)
@click.option("--since", type=Instant(), metavar="DATE", help="From this instant on.")
@click.option("--until", type=Instant(), metavar="DATE", help="Before this instant.")
@click.option("--period", type=click.Choice(_PERIODS), help="The current period, instead of --since and --until.")
@click.option("--timezone", metavar="ZONE", help="The zone of days and periods; else the settings'.")
@click.option("--where", type=Pair(), multiple=True, metavar="KEY=VALUE", help="Only these, as agent_id=analyzer.")
@click.option("--top", type=click.IntRange(min=1), metavar="N", help="Show only the N dearest rows.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Print the whole report as Markdown.")
@click.option("--strict-prices", is_flag=True, help="Exit with 5 if calls could not be priced.")
@ledger_option
@json_option
def report(  # noqa: PLR0913  # one argument for each option
    *,
    by: tuple[str, ...],
    since: datetime | None,
    until: datetime | None,
    period: str | None,
    timezone: str | None,
    where: tuple[tuple[str, str], ...],
    top: int | None,
    as_markdown: bool,
    strict_prices: bool,
    ledger: str | None,
    as_json: bool,
) -> int:
    """Show where the money went."""
    now = SystemClock().now()
    arguments = without_nones(
        group_by=tuple(dict.fromkeys(key.strip() for text in by for key in text.split(","))) or None,
        since=since,
        until=until,
        period=period,
        timezone=timezone,
        **_filters(where),
    )
    # The Markdown report prices every call without its cache; the rows are only sums of what was booked.
    with open_ledger(ledger, needs_prices=as_markdown) as engine:
        answer = report_answer(engine, arguments, now=now)
        if as_markdown:
            _only_an_interval(arguments, as_json=as_json)
            zone = arguments.get("timezone", engine.settings.timezone)
            summary = summarise(engine, now=now, since=answer["since"], until=answer["until"], timezone=zone)
            click.echo(summary_markdown(summary), nl=False)
        again = _reprice_command(engine, answer, ledger) if answer["unpriced_calls"] else ""
    if as_json:
        put_json({"schema": "tokencalc.rows/1", **answer})
    elif not as_markdown:
        _show(answer, top=top, again=again)
    return UNPRICED if strict_prices and answer["unpriced_calls"] else OK


def _reprice_command(engine: Engine, answer: Mapping[str, Any], ledger: str | None) -> str:
    """The command that prices the calls of a report again, from its first day on where it has no beginning."""
    since, until = answer["since"], answer["until"]
    days = engine.report(group_by=("day",), until=until, timezone="UTC").rows if since is None else ()
    start = min(str(row.key["day"]) for row in days) if since is None else instant_text(since)
    parts = ["tokencalc", "reprice", "--since", start]
    parts += [] if until is None else ["--until", instant_text(until)]
    return shlex.join([*parts, *([] if ledger is None else ["--ledger", ledger])])


def _filters(where: tuple[tuple[str, str], ...]) -> dict[str, str]:
    found = pairs_as_dict(where, name="where")
    for key in found:
        if key not in DIMENSION_KEYS:
            raise CallInvalid(
                f"where: expected one of {', '.join(DIMENSION_KEYS)}, found {key!r:.60}", path="where", found=key
            )
    return found


def _only_an_interval(arguments: Mapping[str, Any], *, as_json: bool) -> None:
    refused = sorted({"group_by", *DIMENSION_KEYS} & set(arguments))
    if refused:
        raise CallInvalid(
            f"markdown: the whole report has its own groups; leave out {', '.join(refused)}",
            path="markdown",
            found=refused,
        )
    if as_json:
        raise CallInvalid("markdown: give either --markdown or --json, not both", path="markdown", found=True)


def _show(answer: Mapping[str, Any], *, top: int | None, again: str) -> None:
    keys, rows, total = answer["group_by"], answer["rows"], answer["total"]
    if not total["calls"]:
        put("Nothing was booked in this time.")
        return
    # The dearest first, by their names where they cost the same; then what is left in order of time.
    dearest = sorted(rows, key=lambda row: (-row["cost_usd"], *(str(row[key]) for key in keys)))
    shown = sorted(dearest[:top], key=lambda row: [str(row[key]) for key in keys if key in _TIMES])
    heads = (*(key.removesuffix("_id") for key in keys), "cost", "calls", "input", "cached", "output")
    table(
        heads,
        [(*(_name(row[key]) for key in keys), *_figures(row)) for row in shown],
        texts=range(len(keys)),
        total=("total", *("" for _ in keys[1:]), *_figures(total)),
        spare=[len(keys) + place for place in (3, 4, 2)],
    )
    if len(rows) > len(shown):
        put(f"{len(rows) - len(shown)} more rows; leave out --top to see them.")
    if any(row["cost_usd"] and row["unpriced_calls"] for row in (*shown, total)):
        put("+ ?: some of these calls could not be priced, or only in part.")
    if answer["notional_usd"]:
        put(f"Notional: {dollars(answer['notional_usd'])} of it is the list price of calls that a subscription paid.")
    if answer["unpriced_calls"]:
        _show_unpriced(answer, again)


def _show_unpriced(answer: Mapping[str, Any], again: str) -> None:
    put()
    put(f"Not in the total, or only in part: {counted(answer['unpriced_calls'], 'call')} that could not be priced.")
    put()
    found = answer["unpriced"]
    table(
        ("model", "calls", "why"),
        [(item["model"], number(item["calls"]), item["reason"]) for item in found[:_MOST_REASONS]],
        texts=(0, 2),
    )
    if len(found) > _MOST_REASONS:
        put(f"{counted(len(found) - _MOST_REASONS, 'more reason')}: see --json.")
    put()
    put("What the price tables know by now is filled by this (with --apply it is written):")
    # In one piece, however narrow the terminal: it is there to be copied.
    click.echo(f"  {safe_text(again, longest=4000)}")


def _name(value: object) -> str:
    return "(none)" if value in (None, "") else str(value)


def _figures(row: Mapping[str, Any]) -> tuple[str, ...]:
    cost = dollars(row["cost_usd"]) if row["cost_usd"] or not row["unpriced_calls"] else "unknown"
    if row["cost_usd"] and row["unpriced_calls"]:
        cost = f"{cost} + ?"
    counts = (tokens(row[name]) for name in ("input_tokens", "cache_read_tokens", "output_tokens"))
    return (cost, number(row["calls"]), *counts)
