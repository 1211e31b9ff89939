"""`tokencalc import`: book the calls in your coding agents' logs."""

from __future__ import annotations

import click

from tokencalc.cli.exits import OK
from tokencalc.cli.logs import import_logs as book_logs
from tokencalc.cli.logs import look_for_logs, skipped_text
from tokencalc.cli.options import examples, json_option, ledger_option, open_ledger
from tokencalc.cli.output import counted, number, put, put_json, say
from tokencalc.errors import CallInvalid

_MOST_PROBLEMS = 5


@click.command("import", epilog=examples("tokencalc import auto", "tokencalc import ~/old-laptop/projects --billed"))
@click.argument("logs", metavar="auto|sample|PATH")
@click.option(
    "--billed", is_flag=True, help="These calls were paid by the token. Else they are marked notional: by subscription."
)
@ledger_option
@json_option
def import_logs(*, logs: str, billed: bool, ledger: str | None, as_json: bool) -> int:
    """Book the calls in Claude Code's logs, read-only and each once.

    "auto" looks where Claude Code keeps them (~/.claude/projects,
    ~/.config/claude/projects, CLAUDE_CONFIG_DIR); PATH is any file or folder.
    Run it again whenever you like: only new calls are booked.
    """
    found = look_for_logs(logs)
    if not found.files:
        looked = ", ".join(str(folder) for folder in found.looked_in) or "the places where Claude Code keeps them"
        raise CallInvalid(f"logs: no .jsonl files in {looked}", path="logs", found=logs)
    with open_ledger(ledger, create=True) as engine:
        done, path = book_logs(engine, found, notional=not billed), engine.path
    if as_json:
        put_json(
            {
                "ledger": path,
                "files": done.summary.files,
                "lines": done.summary.lines,
                "calls": done.summary.calls,
                "new": done.new,
                "known": done.known,
                "changed": done.changed,
                "skipped": dict(done.summary.skipped),
                "problems": done.problems,
            }
        )
        return OK
    read = f"{counted(done.summary.calls, 'call')} in {counted(done.summary.files, 'file')}"
    put(f"{read}: {number(done.new)} new.")
    if done.changed:
        put(f"{counted(done.changed, 'call')} had other figures in an earlier import, which were kept.")
    put(f"Ledger: {path}")
    if done.summary.calls and not billed:
        put("Notional calls are in reports, and count only in budgets set with --notional.")
    if skipped_text(done.summary):
        put(f"Left out: {skipped_text(done.summary)}.")
    for problem in done.problems[:_MOST_PROBLEMS]:
        say(f"note: {problem}")
    return OK
