"""`tokencalc demo`, which `make run` calls: the main job, end to end, in a ledger of its own."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tokencalc.cli.demo_screen import Outcome, show
from tokencalc.cli.exits import OK
from tokencalc.cli.logs import import_logs, look_for_logs
from tokencalc.cli.options import examples, json_option
from tokencalc.cli.output import put, put_json
from tokencalc.cli.sample_budgets import refuse_one, set_daily_budget
from tokencalc.clock import SystemClock
from tokencalc.config import load_settings
from tokencalc.engine import Engine
from tokencalc.errors import CallInvalid, LedgerUnavailable
from tokencalc.importers.found import AUTO, SAMPLE
from tokencalc.reports.document import summary_document, summary_json
from tokencalc.reports.markdown import summary_markdown
from tokencalc.reports.summary import Summary, summarise

if TYPE_CHECKING:
    from tokencalc.importers.found import FoundLogs

_NOTIONAL = True
"""Logs do not say who paid; the sample budgets then have to count what a subscription did."""


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
    if not found.files:
        raise CallInvalid(_nothing_found(logs, found), path="logs", found=logs)
    if not as_json:
        put(_first_line(logs, found))
    outcome = _run(logs, found, folder)
    if as_json:
        put_json(_values(outcome))
    else:
        show(outcome)
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


def _run(logs: str, found: FoundLogs, folder: Path) -> Outcome:
    _prepare(folder)
    ledger = folder / _ledger_name(logs)
    # The person's price tables and time zone hold here too; their ledger and their budgets stay out of it.
    settings = replace(load_settings(), ledger=None, budgets=(), run=None)
    with Engine.open(ledger, settings=settings) as engine:
        imported = import_logs(engine, found, notional=_NOTIONAL)
        zone = settings.timezone
        days = engine.report(group_by=("day",), timezone=zone).rows
        daily = set_daily_budget(engine, days, timezone=zone, notional=_NOTIONAL)
        by_model = engine.report(group_by=("provider", "model"))
        models = [(row.provider, row.model) for row in by_model.rows if row.cost_usd]
        spent = by_model.total.cost_usd
        refusal = refuse_one(engine, spent, models, notional=_NOTIONAL) if models else None
        summary = summarise(engine, now=SystemClock().now(), timezone=zone, budgets=(daily,) if daily else ())
    return Outcome(
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


def _values(outcome: Outcome) -> dict[str, Any]:
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
