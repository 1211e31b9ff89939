"""`tokencalc backup`: a consistent copy of the ledger, while others write to it."""

from __future__ import annotations

import click

from tokencalc.cli.exits import OK
from tokencalc.cli.options import examples, json_option, ledger_option, open_ledger
from tokencalc.cli.output import counted, put, put_json
from tokencalc.cli.progress import progress_bar

_LONG_PAGES = 10_000


@click.command(epilog=examples("tokencalc backup usage-2026-11-20.db"))
@click.argument("destination")
@ledger_option
@json_option
def backup(*, destination: str, ledger: str | None, as_json: bool) -> int:
    """Copy the ledger to DESTINATION, a new file, as it is at one moment; nobody who writes is stopped.

    The copy is checked and on disk when this returns. It is a ledger like any other: give it to --ledger, or put
    it in the place of the one that was lost.
    """
    with open_ledger(ledger, needs_prices=False) as engine, progress_bar("copying", least=_LONG_PAGES) as progress:
        made = engine.backup(destination, progress=progress)
    if as_json:
        put_json({"path": made.path, "entries": made.entries, "head": made.head, "size_bytes": made.size_bytes})
    else:
        put(f"Copied: {counted(made.entries, 'entry', 'entries')} to {made.path}")
        put(f"Head: {made.head}")
        put("Keep the head: `tokencalc verify --expect HEAD` finds entries that were cut off or rewritten since.")
    return OK
