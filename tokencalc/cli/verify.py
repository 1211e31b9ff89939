"""`tokencalc verify`: is the ledger as it was written?"""

from __future__ import annotations

import click

from tokencalc.cli.exits import FAILED, OK
from tokencalc.cli.options import examples, json_option, ledger_option, open_ledger
from tokencalc.cli.output import counted, put, put_json
from tokencalc.cli.progress import progress_bar

_LONG_ROWS = 50_000


@click.command(epilog=examples("tokencalc verify --expect HEAD"))
@click.option("--expect", metavar="HEAD", help="The head that an earlier verify printed: finds a cut tail.")
@ledger_option
@json_option
def verify(*, expect: str | None, ledger: str | None, as_json: bool) -> int:
    """Check the chain of entries and every total. Exits with 1 where something does not fit."""
    with open_ledger(ledger, needs_prices=False) as engine, progress_bar("verifying", least=_LONG_ROWS) as progress:
        found = engine.verify(expect=expect, progress=progress)
        path = engine.path
    if as_json:
        put_json(
            {"ok": found.ok, "ledger": path, "entries": found.entries, "head": found.head, "problems": found.problems}
        )
    elif found.ok:
        put(f"Clean: {counted(found.entries, 'entry', 'entries')} in {path}")
        put(f"Head: {found.head}")
        if expect is None:
            put("Keep the head: `tokencalc verify --expect HEAD` also finds entries cut off at the end.")
    else:
        put(f"NOT clean: {path}")
        for problem in found.problems:
            put(f"  {problem}")
    return OK if found.ok else FAILED
