"""What grows with the ledger and what does not: a reserve and a month's report beside a ledger without entries.

`make bench` takes 300,000 entries; ``--entries 10000000`` makes the full one (2 to 4 GB, some minutes). The large
ledger is made below the engine (`ledger_large`), and ``--verify`` has it checked, chain and all.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.ledger_floors import RESERVE, Run, set_budgets, take_turns
from benchmarks.ledger_large import MONTH, make
from tokencalc import Engine

if TYPE_CHECKING:
    from collections.abc import Callable

RESERVES = 200
READS = 5
GOAL_RATIO, GOAL_REPORT_S = 1.2, 0.2


def main() -> None:
    """Make the ledgers, and print what a reserve, a report and an entry take."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--folder", help="where the ledgers are made")
    options.add_argument("--entries", type=int, default=300_000)
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--verify", action="store_true", help="check the large ledger as `tokencalc verify` does")
    given = options.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        large = Path(folder) / "large.db"
        started = time.perf_counter()
        make(large, given.entries)
        print(f"{given.entries:,} entries made in {time.perf_counter() - started:.0f} s")
        print(f"  {large.stat().st_size / given.entries:.0f} bytes an entry with indexes and rollups")
        with Engine.open(large) as engine:
            if given.verify:
                check(engine)
            report(engine, given.entries)
            reserves(Path(folder) / "empty.db", engine, given.rounds)


def check(engine: Engine) -> None:
    """Verify the whole ledger."""
    started = time.perf_counter()
    found = engine.verify()
    print(f"  verify: {'nothing is wrong' if found.ok else found.problems}, {time.perf_counter() - started:.0f} s")


def report(engine: Engine, entries: int) -> None:
    """Time a month by model and day, warm."""
    for keys in (("model",), ("model", "day")):
        seconds = []
        for _ in range(READS + 1):
            started = time.perf_counter()
            found = engine.report(group_by=keys, since=MONTH[0], until=MONTH[1])
            seconds.append(time.perf_counter() - started)
        assert found.total.calls == entries  # noqa: S101  # a report that misses calls is not a fast one
        warm = statistics.median(seconds[1:])
        print(f"  a month by {' and '.join(keys)}: {warm:.3f} s warm, {len(found.rows)} rows (goal {GOAL_REPORT_S} s)")


def reserves(empty: Path, large: Engine, rounds: int) -> None:
    """Time reserves over three budgets on both ledgers in turns."""
    with Engine.open(empty) as small:
        engines = {"0 entries": small, "all entries": large}
        for engine in engines.values():
            set_budgets(engine)
        timed = take_turns({name: Run(RESERVES, reserving(engine)) for name, engine in engines.items()}, rounds)
    floor = timed["0 entries"]
    for name, one in timed.items():
        print(
            f"  reserve with {name:12} p50 {one.wait_ms(0.5):.2f} ms, {one.processor_us:.0f} us CPU: "
            f"{one.wait_ms(0.5) / floor.wait_ms(0.5):.2f}x, {one.processor_us / floor.processor_us:.2f}x CPU "
            f"(goal {GOAL_RATIO}x)"
        )


def reserving(engine: Engine) -> Callable[[], list[float]]:
    """Return a run of reserves and releases that notes how long each reserve took."""

    def go() -> list[float]:
        waits = []
        for _ in range(RESERVES):
            started = time.perf_counter()
            hold = engine.reserve(**RESERVE)  # type: ignore[arg-type]  # plain values of the benchmark
            waits.append(time.perf_counter() - started)
            engine.release(hold)
        return waits

    return go


if __name__ == "__main__":
    main()
