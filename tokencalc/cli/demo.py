"""`tokencalc demo`, which `make run` calls: the main job, end to end, in a ledger of its own."""

from __future__ import annotations

import hashlib
import shlex
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tokencalc.cli.exits import OK
from tokencalc.cli.logs import Imported, import_logs, look_for_logs, skipped_text
from tokencalc.cli.options import examples, json_option
from tokencalc.cli.output import bar, console, dollars, number, put, put_json, say, table
from tokencalc.cli.sample_budgets import CAP, INPUT_TOKENS, OUTPUT_TOKENS, Refusal, refuse_one, set_daily_budget
from tokencalc.clock import SystemClock
from tokencalc.config import load_settings
from tokencalc.engine import Engine
from tokencalc.errors import CallInvalid, LedgerUnavailable
from tokencalc.importers.found import AUTO, SAMPLE
from tokencalc.reports.document import alerts_passed, summary_document, summary_json
from tokencalc.reports.markdown import summary_markdown
from tokencalc.reports.shares import percent_text, share_of
from tokencalc.reports.summary import Summary, summarise

if TYPE_CHECKING:
    from tokencalc.budgets.setting import BudgetStatus
    from tokencalc.importers.found import FoundLogs

_MOST_PROBLEMS = 3
_DEAREST = 3
_MOST_UNPRICED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """Everything that the demo shows."""

    imported: Imported
    summary: Summary
    daily: BudgetStatus | None
    refusal: Refusal | None
    ledger: Path
    reports: tuple[Path, Path]


@click.command(epilog=examples("tokencalc demo", "tokencalc demo --logs auto"))
@click.option(
    "--logs",
    default=SAMPLE,
    show_default=True,
    metavar="sample|auto|PATH",
    help="sample: ours. auto: your own, read-only. PATH: any file or folder.",
)
@click.option(
    "--folder",
    default=".tokencalc",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the demo keeps its own ledger and reports; never your ledger.",
)
@json_option
def demo(*, logs: str, folder: Path, as_json: bool) -> int:
    """Import logs, price each call by its day, set a budget, show where the money went."""
    found = look_for_logs(logs)
    if not as_json:
        put(_first_line(logs, found))
    if not found.files:
        raise CallInvalid(_nothing_found(logs, found), path="logs", found=logs)
    outcome = _run(logs, found, folder)
    if as_json:
        put_json(_values(outcome))
    else:
        _show(outcome)
    return OK


def _first_line(logs: str, found: FoundLogs) -> str:
    if logs == SAMPLE:
        return "Reading the sample logs that ship with tokencalc (not your own)."
    folders = ", ".join(str(folder) for folder in found.looked_in)
    return f"Reading your own Claude Code logs, read-only: {folders}" if logs == AUTO else f"Reading logs in {folders}"


def _nothing_found(logs: str, found: FoundLogs) -> str:
    if logs == AUTO:
        return (
            "logs: Claude Code has left no logs in ~/.claude/projects, ~/.config/claude/projects or CLAUDE_CONFIG_DIR; "
            "give a path, or leave --logs out for the sample"
        )
    return f"logs: no .jsonl files in {', '.join(str(folder) for folder in found.looked_in)}"


def _run(logs: str, found: FoundLogs, folder: Path) -> _Outcome:
    _prepare(folder)
    ledger = folder / _ledger_name(logs)
    # The person's price tables and time zone hold here too; their ledger and their budgets stay out of it.
    settings = replace(load_settings(), ledger=None, budgets=(), run=None)
    with Engine.open(ledger, settings=settings) as engine:
        imported = import_logs(engine, found, notional=True)
        zone = settings.timezone
        days = engine.report(group_by=("day",), timezone=zone).rows
        daily = set_daily_budget(engine, days, timezone=zone)
        by_model = engine.report(group_by=("provider", "model"))
        models = [(row.provider, row.model) for row in by_model.rows if row.cost_usd]
        refusal = refuse_one(engine, by_model.total.cost_usd, models) if models else None
        summary = summarise(engine, now=SystemClock().now(), timezone=zone, budgets=(daily,) if daily else ())
    return _Outcome(
        imported=imported,
        summary=summary,
        daily=daily,
        refusal=refusal,
        ledger=ledger,
        reports=_write_reports(folder, summary),
    )


def _prepare(folder: Path) -> None:
    """Make the demo's folder, for its owner only, with a .gitignore that keeps it out of any repository."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        ignore = folder / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n", encoding="utf-8")
    except OSError as error:
        raise LedgerUnavailable(
            f"folder {folder}: cannot be written ({error.strerror}); say another with --folder", ledger=str(folder)
        ) from error


def _ledger_name(logs: str) -> str:
    # One ledger for each source: the sample must not add to anybody's own sum.
    if logs in {SAMPLE, AUTO}:
        return f"{logs}.db"
    place = str(Path(logs).expanduser().absolute())
    return f"logs-{hashlib.sha256(place.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}.db"


def _write_reports(folder: Path, summary: Summary) -> tuple[Path, Path]:
    written = (folder / "report.md", folder / "report.json")
    for path, text in zip(written, (summary_markdown(summary), summary_json(summary)), strict=True):
        try:
            path.write_text(text, encoding="utf-8")
            path.chmod(0o600)
        except OSError as error:
            raise LedgerUnavailable(f"{path}: cannot be written ({error.strerror})", ledger=str(path)) from error
    return written


def _values(outcome: _Outcome) -> dict[str, Any]:
    return {
        "ledger": outcome.ledger,
        "files": outcome.imported.summary.files,
        "calls": outcome.imported.summary.calls,
        "new": outcome.imported.new,
        "skipped": dict(outcome.imported.summary.skipped),
        "report": summary_document(outcome.summary),
        "refusal": outcome.refusal,
        "reports": list(outcome.reports),
    }


def _show(outcome: _Outcome) -> None:
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
    put(f"{number(summary.calls)} calls in {number(summary.files)} files, {number(imported.new)} new in this ledger.")
    if skipped_text(summary):
        put(f"Left out: {skipped_text(summary)}.")
    for problem in imported.problems[:_MOST_PROBLEMS]:
        say(f"note: {problem}")


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
        plain = f"{number(saving.calls)} calls against the same tokens at the plain input rate"
        put(f"Caching {verb} {dollars(amount)}{more}: {plain}.")


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
                number(row.input_tokens),
                number(row.cache_read_tokens),
                number(row.output_tokens),
            )
            for row in rows
        ],
    )


def _show_daily(status: BudgetStatus) -> None:
    put()
    put(f"A sample budget: {dollars(status.limit_usd)} a day", style="bold")
    put(f"Chosen so that the busiest day, {status.period.key}, passes its alert at 75 %.")
    share = share_of(status.spent_usd, status.limit_usd)
    if share is not None:
        console().print(bar(share, marks=status.budget.alert_at))
    passed = ", ".join(f"{percent} %" for percent in alerts_passed(status)) or "none"
    put(f"Spent {dollars(status.spent_usd)}, left {dollars(status.available_usd)}. Alerts passed: {passed}.")


def _show_refusal(refusal: Refusal) -> None:
    put()
    put("A refused reservation", style="bold")
    kind = "all that was spent plus one cent" if refusal.budget == CAP else "set before"
    put(f'The hard budget "{refusal.budget}" ends at {dollars(refusal.limit_usd)}: {kind}.')
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
    rows = [(item.model, number(item.calls), item.reason) for item in summary.unpriced[:_MOST_UNPRICED]]
    table(("model", "calls", "why"), rows, texts=(0, 2))
    if len(summary.unpriced) > len(rows):
        put(f"{len(summary.unpriced) - len(rows)} more in report.json.")


def _show_end(outcome: _Outcome) -> None:
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
