"""What the demo prints: totals, models, a budget, a refusal, what has no price, and what to try next."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tokencalc.cli.logs import Imported, skipped_text
from tokencalc.cli.output import counted, dollars, number, put, put_bar, table, tokens
from tokencalc.cli.sample_budgets import INPUT_TOKENS, OUTPUT_TOKENS, Refusal
from tokencalc.reports.document import alerts_passed
from tokencalc.reports.shares import percent_text, share_of

if TYPE_CHECKING:
    from tokencalc.budgets.setting import BudgetStatus
    from tokencalc.reports.summary import Summary

_DEAREST = 3
_MOST_UNPRICED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Everything that the demo shows."""

    imported: Imported
    summary: Summary
    daily: BudgetStatus | None
    refusal: Refusal | None
    ledger: Path
    reports: tuple[Path, Path]


def show(outcome: Outcome) -> None:
    """Print the whole outcome, section by section, at the width of the terminal."""
    _show_import(outcome.imported)
    _show_total(outcome.summary)
    _show_models(outcome.summary)
    if outcome.daily is not None:
        _show_daily(outcome.daily)
    if outcome.refusal is not None:
        _show_refusal(outcome.refusal)
    _show_unpriced(outcome.summary)
    _show_end(outcome)


def _show_import(imported: Imported) -> None:
    summary = imported.summary
    read = f"{counted(summary.calls, 'call')} in {counted(summary.files, 'file')}"
    put(f"{read}, {number(imported.new)} new in this ledger.")
    if imported.changed:
        put(f"{counted(imported.changed, 'call')} had other figures in an earlier run, which were kept.")
    if skipped_text(summary):
        put(f"Left out: {skipped_text(summary)}.")


def _show_total(summary: Summary) -> None:
    put()
    span = ""
    if summary.first_at is not None and summary.last_at is not None:
        span = f", {summary.first_at:%Y-%m-%d} to {summary.last_at:%Y-%m-%d}"
    notional = " (notional)" if summary.notional_calls else ""
    put(f"Total {dollars(summary.total.cost_usd)}{notional}{span}", style="bold")
    if summary.notional_calls:
        put("Notional: the list price of calls that a subscription paid; no invoice has it.")
    saving = summary.saving
    if saving.calls:
        verb, amount = ("saved", saving.saved_usd) if saving.saved_pico >= 0 else ("cost", -saving.saved_usd)
        more = "" if verb == "saved" else " more than it saved"
        put(f"Caching {verb} {dollars(amount)}{more}, against the same tokens at the plain input rate.")


def _show_models(summary: Summary) -> None:
    rows = [row for row in summary.sections["model"] if row.cost_usd][:_DEAREST]
    put()
    put("Dearest models", style="bold")
    if not rows:
        put("None has a price.")
        return
    table(
        ("model", "cost", "share", "calls", "input", "cached", "output"),
        [
            (
                row.model,
                dollars(row.cost_usd),
                percent_text(share_of(row.cost_usd, summary.total.cost_usd)),
                number(row.calls),
                tokens(row.input_tokens),
                tokens(row.cache_read_tokens),
                tokens(row.output_tokens),
            )
            for row in rows
        ],
    )


def _show_daily(status: BudgetStatus) -> None:
    put()
    put(f"A sample budget: {dollars(status.limit_usd)} a day", style="bold")
    counts = " It was set to count notional calls." if status.budget.notional else ""
    put(f"Chosen so that the busiest day, {status.period.key}, passes its alert at 75 %.{counts}")
    share = share_of(status.spent_usd, status.limit_usd)
    if share is not None:
        put_bar(share, marks=status.budget.alert_at)
    passed = ", ".join(f"{percent} %" for percent in alerts_passed(status)) or "none"
    put(f"Spent {dollars(status.spent_usd)}, left {dollars(status.available_usd)}. Alerts passed: {passed}.")


def _show_refusal(refusal: Refusal) -> None:
    put()
    put("A refused reservation", style="bold")
    put(f'The hard budget "{refusal.budget}" is {dollars(refusal.limit_usd)}: what was spent, and one cent more.')
    put(
        f"A call of {refusal.model} with {number(INPUT_TOKENS)} tokens in and at most {number(OUTPUT_TOKENS)} out can "
        f"cost {dollars(refusal.requested_usd)}; {dollars(refusal.available_usd)} is left. Refused before it was made."
    )


def _show_unpriced(summary: Summary) -> None:
    put()
    put("Could not be priced", style="bold")
    if not summary.unpriced:
        put("Nothing: every call has a price.")
        return
    rows = [
        (item.model, number(item.calls), item.reason.partition("; ")[0]) for item in summary.unpriced[:_MOST_UNPRICED]
    ]
    table(("model", "calls", "why"), rows, texts=(0, 2))
    if len(summary.unpriced) > len(rows):
        put(f"{len(summary.unpriced) - len(rows)} more in report.json.")


def _show_end(outcome: Outcome) -> None:
    put()
    put(f"Prices checked on {outcome.summary.prices_checked_on}; each call has the price of its own day.")
    put(f"Reports: {', '.join(str(path) for path in outcome.reports)}")
    put()
    put("Next:", style="bold")
    program, ledger = _program(), shlex.quote(str(outcome.ledger))
    click.echo(f"  {program} report --by day,model --ledger {ledger}")
    click.echo(f"  {program} verify --ledger {ledger}")
    click.echo(f"  {program} demo --logs auto")


def _program() -> str:
    """The command as it can be pasted here: the script beside this Python, or Python with -m."""
    script = Path(sys.executable).parent / "tokencalc"
    if not script.exists():
        return f"{shlex.quote(sys.executable)} -m tokencalc"
    try:
        return shlex.quote(str(script.relative_to(Path.cwd())))
    except ValueError:
        return shlex.quote(str(script))
