"""Bulk `record_many` against raw inserts of the same rows and indexes, 1,000 a commit, and the bytes of an entry.

The floor inserts the very rows that the engine wrote, made beforehand, into tables with the same columns and
indexes. Bytes are those of the whole file after a checkpoint, by entry: of records alone, and of whole cycles of
reserve and settle over three budgets.
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
from contextlib import closing
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.ledger_floors import RESERVE, SETTLE, Run, connected, set_budgets, take_turns
from tokencalc import Engine, Usage
from tokencalc.ledger.statements import INSERT_ENTRY

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS = 1000
GOAL_RATIO, GOAL_BYTES = 0.5, 350
AGENTS = 8
CALLS: tuple[dict[str, Any], ...] = (
    {"model": "gpt-4o", "input_tokens": 1200, "output_tokens": 400},
    {"model": "gpt-4o-mini", "input_tokens": 3110, "output_tokens": 95},
    {"model": "claude-sonnet-4-5", "usage": Usage(
        input_tokens=18_450, cache_read_tokens=15_000, cache_write_5m_tokens=2_048, output_tokens=611)},
    {"model": "gpt-5", "input_tokens": 7_004, "cache_read_tokens": 5_888, "output_tokens": 2_210,
     "reasoning_tokens": 1_664, "tags": {"team": "search"}},
    {"model": "gemini-2.5-flash", "input_tokens": 902, "output_tokens": 1_300, "operation": "code_analysis"},
)  # fmt: skip
"""A typical mix: plain, cached, reasoning, tagged."""


def main() -> None:
    """Print rows a second beside the floor, and bytes an entry."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--folder", help="where the ledgers are made")
    options.add_argument("--rounds", type=int, default=9)
    given = options.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        with Engine.open(folder / "bulk.db") as engine:
            engine.record_many(calls(ROWS))
            runs = {
                "raw inserts": Run(ROWS, raw_inserts(folder)),
                "record_many": Run(ROWS, lambda: bulk(engine)),
                "record_many, 3 budgets": Run(ROWS, bulk_with_budgets(folder / "budgets.db")),
            }
            timed = take_turns(runs, given.rounds)
        print(f"bulk, {ROWS} rows a commit, {given.rounds} interleaved rounds, medians (goal {GOAL_RATIO}x)")
        for run, one in timed.items():
            ratio = one.rate / timed["raw inserts"].rate
            print(f"  {run:24} {one.rate:9,.0f} rows/s {ratio:6.2f}x {one.processor_us:6.1f} us CPU a row")
        print(f"bytes an entry, the whole file after a checkpoint (goal {GOAL_BYTES})")
        print(f"  {'records':24} {record_bytes(folder / 'records.db'):6.0f}")
        print(f"  {'reserve + settle':24} {cycle_bytes(folder / 'cycles.db'):6.0f}")


def calls(count: int) -> list[dict[str, Any]]:
    """Return so many calls of the mix, for eight agents in turn."""
    return [{**call, "agent_id": f"a{number % AGENTS}"} for number, call in enumerate(islice(cycle(CALLS), count))]


def bulk(engine: Engine) -> list[float]:
    """Hand a thousand calls over at once, as importers do."""
    engine.record_many(calls(ROWS))
    return []


def bulk_with_budgets(path: Path) -> Callable[[], list[float]]:
    """Return the same on a ledger whose every entry counts in two or three budgets."""
    engine = Engine.open(path)
    set_budgets(engine)
    return lambda: bulk(engine)


def raw_inserts(folder: Path) -> Callable[[], list[float]]:
    """Return a run that inserts the rows that the engine wrote, with new numbers."""
    with closing(sqlite3.connect(folder / "bulk.db")) as source:
        rows = [row[1:] for row in source.execute("SELECT * FROM entry ORDER BY sequence")]
    connection = connected(folder / "raw.db")
    last = 0

    def go() -> list[float]:
        nonlocal last
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(INSERT_ENTRY, [(last + number, *row) for number, row in enumerate(rows, 1)])
        connection.execute("COMMIT")
        last += len(rows)
        return []

    return go


def record_bytes(path: Path) -> float:
    """Return the bytes of an entry in a ledger of records."""
    count = 20 * ROWS
    with Engine.open(path) as engine:
        for _ in range(count // ROWS):
            engine.record_many(calls(ROWS))
    return path.stat().st_size / count


def cycle_bytes(path: Path) -> float:
    """Return the bytes of an entry with its hold, which is kept too, and its counting in three budgets."""
    count = 10 * ROWS
    with Engine.open(path) as engine:
        set_budgets(engine)
        writer, verbs = engine.store.writer, engine.verbs
        for _ in range(count // ROWS):
            holds = [outcome.get() for outcome in writer.run_many([verbs.reserve(RESERVE)] * ROWS)]
            for outcome in writer.run_many([verbs.settle(hold, SETTLE).step for hold in holds]):
                outcome.get()
    return path.stat().st_size / count


if __name__ == "__main__":
    main()
