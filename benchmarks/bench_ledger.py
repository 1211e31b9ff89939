"""Durable `record` at 1 and 32 threads, against one commit per row done directly.

The floor is what SQLite itself does on this disk: a table of the same columns,
one row a transaction, WAL, synchronous=FULL, one thread. Rounds are interleaved,
because disk sync drifts within minutes; the figures are ratios of medians.
"""

from __future__ import annotations

import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tokencalc import Engine

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 7
CALLS = 600


def main() -> None:
    """Run the rounds and print rows a second and their ratio to the floor."""
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as folder:
        runs: dict[str, Callable[[], None]] = {
            "one commit a row, directly": floor(Path(folder) / "floor.db"),
            "engine.record, 1 thread": engine_threads(Path(folder) / "one.db", 1),
            "engine.record, 32 threads": engine_threads(Path(folder) / "many.db", 32),
            "engine.record_many, 1 thread": engine_bulk(Path(folder) / "bulk.db"),
        }
        seconds: dict[str, list[float]] = {name: [] for name in runs}
        processor: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(ROUNDS):
            for name, run in runs.items():
                started, started_cpu = time.perf_counter(), time.process_time()
                run()
                seconds[name].append(time.perf_counter() - started)
                processor[name].append(time.process_time() - started_cpu)
        base = statistics.median(seconds["one commit a row, directly"])
        print(f"{CALLS} durable rows a round, {ROUNDS} interleaved rounds, medians")
        for name, values in seconds.items():
            median = statistics.median(values)
            cpu_us = statistics.median(processor[name]) / CALLS * 1e6
            print(f"  {name:32} {CALLS / median:9.0f} rows/s  {base / median:5.2f}x  {cpu_us:6.0f} us CPU a row")


def floor(path: Path) -> Callable[[], None]:
    """One row a transaction, of about the bytes of an entry, by SQLite directly."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(
        "CREATE TABLE entry (sequence INTEGER PRIMARY KEY, dimension_id INTEGER, kind TEXT, at_us INTEGER, "
        "recorded_us INTEGER, amount_pico INTEGER, usage TEXT, lines TEXT, digest BLOB)"
    )
    row = (1, "charge", 1, 1, 1, '{"q":{"input":1000,"output":500}}', "x" * 120, b"x" * 32)

    def run() -> None:
        for _ in range(CALLS):
            connection.execute(
                "INSERT INTO entry (dimension_id, kind, at_us, recorded_us, amount_pico, usage, lines, digest) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                row,
            )

    return run


def engine_threads(path: Path, threads: int) -> Callable[[], None]:
    """The same number of rows by `Engine.record`, shared among threads."""
    engine = Engine.open(path)

    def some() -> None:
        for _ in range(CALLS // threads):
            engine.record(model="gpt-4o", input_tokens=1000, output_tokens=500, agent_id="bench")

    def run() -> None:
        workers = [threading.Thread(target=some) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    return run


def engine_bulk(path: Path) -> Callable[[], None]:
    """The same number of rows handed over at once, as importers do."""
    engine = Engine.open(path)
    call = {"model": "gpt-4o", "input_tokens": 1000, "output_tokens": 500, "agent_id": "bench"}

    def run() -> None:
        engine.record_many([call] * CALLS)

    return run


if __name__ == "__main__":
    main()
