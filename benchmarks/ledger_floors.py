"""What SQLite itself does on this disk, and how runs take turns: the floors of the ledger's benchmarks.

Disk sync drifts tenfold within hours and other programs take the processors, so
every figure is a ratio of medians over rounds in which the runs take turns.
"""

from __future__ import annotations

import sqlite3
import statistics
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tokencalc import Budget
from tokencalc.ledger.schema import MIGRATIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tokencalc import Engine

MODEL = "gpt-4o"
RESERVE = {"model": MODEL, "input_tokens": 1000, "max_output_tokens": 500, "agent_id": "bench", "user_id": "u1"}
SETTLE = {"input_tokens": 1000, "output_tokens": 400}
BUDGETS: Mapping[str, dict[str, str]] = {"all": {}, "agent": {"agent_id": "bench"}, "user": {"user_id": "*"}}
"""Three nested scopes: every call of the benchmark falls in each."""


@dataclass(slots=True)
class Timed:
    """One run's rounds: wall and processor seconds, and single waits in seconds where the run notes them."""

    work: int
    seconds: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Units of work a second, by the median round."""
        return self.work / statistics.median(self.seconds)

    @property
    def processor_us(self) -> float:
        """Processor microseconds for one unit of work, by the median round."""
        return statistics.median(self.processor) / self.work * 1e6

    def wait_ms(self, share: float) -> float:
        """The wait in milliseconds that such a share of all waits did not pass."""
        ordered = sorted(self.waits)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000 if ordered else 0.0


@dataclass(frozen=True, slots=True)
class Run:
    """Something to be timed: ``go`` does ``work`` units and returns single waits, if it notes any."""

    work: int
    go: Callable[[], list[float]]


def take_turns(runs: Mapping[str, Run], rounds: int) -> dict[str, Timed]:
    """Run everything once unmeasured, then in turns, and return what each took."""
    timed = {name: Timed(run.work) for name, run in runs.items()}
    for number in range(rounds + 1):
        for name, run in runs.items():
            started, started_processor = time.perf_counter(), time.process_time()
            waits = run.go()
            if number:
                timed[name].seconds.append(time.perf_counter() - started)
                timed[name].processor.append(time.process_time() - started_processor)
                timed[name].waits += waits
    return timed


def connected(path: Path) -> sqlite3.Connection:
    """Open a database as the ledger opens its own, with its tables."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    for _, _, statements in MIGRATIONS:
        connection.executescript(statements)
    return connection


def single_rows(path: Path, rows: int) -> Run:
    """One row of about an entry's bytes a commit, by one caller: what the disk can do."""
    connection = connected(path)
    connection.execute("CREATE TABLE raw (number INTEGER PRIMARY KEY, at_us INTEGER, amount INTEGER, text TEXT)")

    def go() -> list[float]:
        for _ in range(rows):
            connection.execute("INSERT INTO raw (at_us, amount, text) VALUES (1, 1, ?)", ("x" * 120,))
        return []

    return Run(rows, go)


def direct_cycles(path: Path, cycles: int) -> Run:
    """The statements of one reserve and one settle over three budgets, each committed by one caller."""
    run = connected(path).execute
    for number in (1, 2, 3):
        run(
            "INSERT INTO budget_period VALUES (?, ?, 1, '', 'day', 0, NULL, ?, 0, 0, 0, 0)",
            (number, number, 9 * 10**18),
        )
    taken = (
        "UPDATE budget_period SET held_pico = held_pico + ?, spent_pico = spent_pico + ? WHERE period_id = ? "
        "AND held_pico + spent_pico + ? <= limit_pico"
    )

    def cycle(at_us: int) -> None:
        run("BEGIN IMMEDIATE")
        for number in (1, 2, 3):
            run(taken, (10**10, 0, number, 10**10))
        hold = run(
            "INSERT INTO hold (state, amount_pico, expected_pico, dimension_id, at_us, expires_us) "
            "VALUES ('open', ?, ?, 1, ?, ?)",
            (10**10, 10**10, at_us, at_us + 600),
        ).lastrowid
        for number in (1, 2, 3):
            run("INSERT INTO hold_scope VALUES (?, ?)", (hold, number))
        run("INSERT INTO hold_event (hold_id, kind, at_us, amount_pico) VALUES (?, 'opened', ?, 1)", (hold, at_us))
        run("COMMIT")
        run("BEGIN IMMEDIATE")
        run("SELECT state, amount_pico FROM hold WHERE hold_id = ?", (hold,)).fetchone()
        entry = run(
            "INSERT INTO entry (dimension_id, kind, at_us, recorded_us, amount_pico, amount_source, unpriced, "
            "basis_id, lines, detail, digest) VALUES (1, 'charge', ?, ?, 1, 'priced', 0, 1, '[1000,400]', ?, ?)",
            (at_us, at_us, f'{{"hold":{hold}}}', b"x" * 32),
        ).lastrowid
        run(
            "INSERT INTO rollup VALUES (1, 1, 1, 0, 1, 1, 1000, 0, 0, 400, 0) ON CONFLICT (quarter, dimension_id) "
            "DO UPDATE SET calls = calls + 1, cost_rest = cost_rest + 1, input_tokens = input_tokens + 1000"
        )
        for number in (1, 2, 3):
            run(taken, (-(10**10), 10**10, number, 0))
        run("UPDATE hold SET state = 'settled', entry_sequence = ? WHERE hold_id = ?", (entry, hold))
        run("INSERT INTO hold_event (hold_id, kind, at_us, amount_pico) VALUES (?, 'settled', ?, 1)", (hold, at_us))
        run("COMMIT")

    def go() -> list[float]:
        started = time.time_ns() // 1000
        for number in range(cycles):
            cycle(started + number)
        return []

    return Run(cycles, go)


def set_budgets(engine: Engine) -> None:
    """Set the three budgets with room for any number of calls."""
    for name, scope in BUDGETS.items():
        engine.set_budget(Budget(name=name, limit_usd=9_000_000, scope=scope, policy="hard"))
