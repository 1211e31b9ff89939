"""`tokencalc report`: where the money went, by whatever you group it by, and where it is going."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from tokencalc.cli.exits import OK, UNPRICED
from tokencalc.cli.options import Instant, Pair, examples, filters_from, json_option, ledger_option, open_ledger
from tokencalc.cli.report_screen import show_breakdown
from tokencalc.clock import SystemClock, instant_text
from tokencalc.errors import CallInvalid
from tokencalc.periods import period_at
from tokencalc.reports.breakdown import Wanted, break_down
from tokencalc.reports.exports import breakdown_csv, breakdown_json, breakdown_jsonl, breakdown_markdown
from tokencalc.reports.markdown import summary_markdown
from tokencalc.reports.outlook import look_ahead
from tokencalc.reports.summary import summarise

if TYPE_CHECKING:
    from datetime import datetime

    from tokencalc.engine import Engine
    from tokencalc.periods import PeriodKind
    from tokencalc.reports.advice import Advised
    from tokencalc.reports.breakdown import Breakdown
    from tokencalc.reports.outlook import Outlook

_PERIODS = ("hour", "day", "week", "month", "total")


@click.command(
    epilog=examples(
        "tokencalc report --by model --period month",
        "tokencalc report --by day,agent_id --json",
        "tokencalc report --by tag:team --csv",
        "tokencalc report --by agent_id --period month --advice",
    )
)
@click.option(
    "--by",
    "by",
    multiple=True,
    metavar="KEYS",
    help="Group by these, as model,day,tag:NAME. Default: provider,model.",
)
@click.option("--since", type=Instant(), metavar="DATE", help="From this instant on.")
@click.option("--until", type=Instant(), metavar="DATE", help="Before this instant.")
@click.option("--period", type=click.Choice(_PERIODS), help="The current period, instead of --since and --until.")
@click.option("--timezone", metavar="ZONE", help="The zone of days and periods; else the settings'.")
@click.option(
    "--where", type=Pair(), multiple=True, metavar="KEY=VALUE", help="Only these, as agent_id=analyzer or tag:team=x."
)
@click.option("--top", type=click.IntRange(min=1), metavar="N", help="Show only the N dearest rows on the screen.")
@click.option("--advice", is_flag=True, help="Look at each call: what caching saved, and what would have saved more.")
@click.option("--csv", "as_csv", is_flag=True, help="Print the rows as CSV: every digit, no formulas, no total.")
@click.option("--jsonl", "as_jsonl", is_flag=True, help="Print the rows as JSON Lines: every digit, no total.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Print Markdown; without --by, the whole report.")
@click.option("--strict-prices", is_flag=True, help="Exit with 5 if calls could not be priced.")
@ledger_option
@json_option
def report(  # noqa: PLR0913  # one argument for each option
    *,
    by: tuple[str, ...],
    since: datetime | None,
    until: datetime | None,
    period: PeriodKind | None,
    timezone: str | None,
    where: tuple[tuple[str, str], ...],
    top: int | None,
    advice: bool,
    as_csv: bool,
    as_jsonl: bool,
    as_markdown: bool,
    strict_prices: bool,
    ledger: str | None,
    as_json: bool,
) -> int:
    """Show where the money went, and where it is going."""
    now = SystemClock().now()
    form = _form(json=as_json, jsonl=as_jsonl, csv=as_csv, markdown=as_markdown)
    if form and top is not None:
        raise CallInvalid(f"top: --{form} has every row, so that they add up; leave out --top", path="top", found=top)
    keys = tuple(dict.fromkeys(key.strip() for text in by for key in text.split(",")))
    filters: dict[str, str | bool | None] = {**filters_from(where)}
    is_whole = form == "markdown" and not keys and not filters and not advice
    # Pricing each call anew needs every table; the rows are only sums of what was booked.
    with open_ledger(ledger, needs_prices=is_whole or advice) as engine:
        zone = timezone or engine.settings.timezone
        start, end = _interval(since, until, period, now=now, timezone=zone)
        wanted = Wanted(
            group_by=keys or ("provider", "model"), since=start, until=end, where=filters, timezone=zone, kind=period
        )
        if is_whole:
            summary = summarise(engine, now=now, since=start, until=end, timezone=zone)
            click.echo(summary_markdown(summary), nl=False)
            return UNPRICED if strict_prices and summary.unpriced_calls else OK
        found = break_down(engine, wanted, now=now, with_savings=advice)
        outlook = None if form in {"csv", "jsonl"} else look_ahead(engine, found, now=now)
        advised = _advised(engine, wanted) if advice else None
        again = _reprice_command(engine, wanted, ledger) if found.report.unpriced_calls and not form else ""
    if form:
        click.echo(_written(form, found, outlook, advised), nl=False)
    else:
        show_breakdown(found, outlook, advised, top=top, again=again)
    return UNPRICED if strict_prices and found.report.unpriced_calls else OK


def _form(**asked: bool) -> str:
    """The one form that was asked for; empty for a screen."""
    chosen = [name for name, is_asked in asked.items() if is_asked]
    if len(chosen) > 1:
        options = " and ".join(f"--{name}" for name in chosen)
        raise CallInvalid(f"{chosen[-1]}: {options} were given; give one of them", path=chosen[-1], found=chosen)
    return "".join(chosen)


def _written(form: str, found: Breakdown, outlook: Outlook | None, advised: Advised | None) -> str:
    if form == "csv":
        return breakdown_csv(found)
    if form == "jsonl":
        return breakdown_jsonl(found)
    return (breakdown_json if form == "json" else breakdown_markdown)(found, outlook, advised)


def _advised(engine: Engine, wanted: Wanted) -> Advised:
    from tokencalc.reports.advice import advise  # noqa: PLC0415  # only this option needs it

    return advise(engine, wanted)


def _interval(
    since: datetime | None, until: datetime | None, period: PeriodKind | None, *, now: datetime, timezone: str
) -> tuple[datetime | None, datetime | None]:
    if period is not None:
        if since is not None or until is not None:
            raise CallInvalid("period: give either a period or since and until, not both", path="period", found=period)
        current = period_at(period, now, timezone=timezone)
        return current.start, current.end
    if since is not None and until is not None and until <= since:
        raise CallInvalid("until: expected an instant after since", path="until", found=until)
    return since, until


def _reprice_command(engine: Engine, wanted: Wanted, ledger: str | None) -> str:
    """The command that prices the calls of a report again, from its first day on where it has no beginning."""
    since, until = wanted.since, wanted.until
    days = engine.report(group_by=("day",), until=until, timezone="UTC").rows if since is None else ()
    start = min(str(row.key["day"]) for row in days) if since is None else instant_text(since)
    parts = ["tokencalc", "reprice", "--since", start]
    parts += [] if until is None else ["--until", instant_text(until)]
    return shlex.join([*parts, *([] if ledger is None else ["--ledger", ledger])])
