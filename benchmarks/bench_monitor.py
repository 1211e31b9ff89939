"""The monitor: `track` around a function of 1 ms, what collecting costs, and memory over many operations and samples.

Bare and timed rounds take turns; collecting is measured as processor time of this process over a ledger in a file,
as a share of one core at 30 seconds. Samples are written through a `Monitor` of many figures, round
after round. One page of a metric's history is read out of many samples (`--samples`), against
the same page out of a hundredth of them.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from tokencalc import Engine, Monitor, track
from tokencalc.clock import micros_from_instant
from tokencalc.monitor.host import PsutilHost
from tokencalc.monitor.monitor import EVERY_S
from tokencalc.monitor.operations import Operations
from tokencalc.monitor.samples import Sample

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

GOAL_TRACK_PERCENT, GOAL_CORE_PERCENT = 5.0, 0.5
WORK_S = 0.001
NAMES = 100
COLLECT_EVERY = 10_000
FIGURES = 500
PAGE, SERIES = 500, 10
START = datetime(2026, 1, 1, tzinfo=UTC)


def loops_of_a_millisecond() -> int:
    """Return how often to loop for about a millisecond on this machine."""
    taken = []
    for _ in range(50):
        started = time.perf_counter()
        spin(10_000)
        taken.append(time.perf_counter() - started)
    return round(10_000 * WORK_S / min(taken))


def spin(loops: int) -> int:
    """Work without waiting."""
    found = 0
    for number in range(loops):
        found ^= number
    return found


def timed_ways(loops: int) -> dict[str, Callable[[], object]]:
    """Return the same work, bare and timed in each way."""
    operations = Operations()
    decorated = track("bench.decorated", into=operations)(spin)

    def block() -> None:
        with track("bench.block", into=operations, user_id="u1"):
            spin(loops)

    def handle() -> None:
        handle = track("bench.handle", into=operations).start()
        spin(loops)
        handle.end()

    return {"bare": lambda: spin(loops), "decorator": lambda: decorated(loops), "block": block, "handle": handle}


def bench_track(rounds: int) -> None:
    """Print what timing adds to a millisecond, and what it costs alone."""
    print(f"track() around a function of about 1 ms, {rounds * 20} calls each, taking turns, medians (goal below 5 %)")
    for loops, calls in ((loops_of_a_millisecond(), 1), (0, 100)):
        ways = timed_ways(loops)
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds * 20):
            for name, way in ways.items():
                started = time.perf_counter()
                for _ in range(calls):
                    way()
                taken[name].append((time.perf_counter() - started) / calls * 1e6)
        bare = median(taken["bare"])
        for name in ways:
            found = median(taken[name])
            share = f"{(found - bare) / bare * 100:+6.2f} %" if loops else "alone"
            print(f"  {name:10} {found:9.2f} us {share}")


def bench_collecting(folder: Path, rounds: int) -> None:
    """Print the processor time of a collection, as a share of one core at the usual interval."""
    with Engine.open(folder / "collect.db") as engine:
        operations = Operations()
        monitor = Monitor(engine, operations=operations)
        monitor.collect_once()
        taken = []
        for _ in range(rounds):
            for name in range(20):
                operations.record_duration(f"operation {name}", 0.1)
            started = time.process_time()
            samples = monitor.collect_once()
            taken.append(time.process_time() - started)
    found = median(taken)
    print(f"a collection of {len(samples)} samples: {found * 1000:.2f} ms of processor time (median of {rounds})")
    print(f"  every {EVERY_S} s: {found / EVERY_S * 100:.4f} % of a core (goal below {GOAL_CORE_PERCENT} %)")


def bench_memory(folder: Path, count: int) -> None:
    """Print the memory of this process after each tenth of many operations, with collections in between."""
    host, operations = PsutilHost(), Operations()
    with Engine.open(folder / "memory.db") as engine:
        monitor = Monitor(engine, operations=operations)
        sizes = []
        for number in range(count):
            operations.record_duration(f"operation {number % NAMES}", number % 977 / 1000)
            if number % COLLECT_EVERY == 0:
                monitor.collect_once()
            if (number + 1) % max(1, count // 10) == 0:
                sizes.append(host.process(None).memory_rss_bytes / 1e6)
    shown = " ".join(f"{size:.1f}" for size in sizes)
    print(f"memory over {count:,} operations of {NAMES} names, MB after each tenth: {shown}")
    print(f"  from the first tenth to the last: {sizes[-1] - sizes[0]:+.2f} MB (goal: flat)")


class Many:
    """A collector of so many figures."""

    name = "bench"
    is_host = False

    def collect(self) -> list[Sample]:
        """Return figures that move."""
        now = time.perf_counter()
        return [Sample("bench.value", now + number, {"series": str(number)}) for number in range(FIGURES)]


def bench_samples(folder: Path, count: int) -> None:
    """Print the memory of this process after each tenth of many samples that a monitor wrote, and how many arrived."""
    host = PsutilHost()
    with Engine.open(folder / "samples.db") as engine:
        monitor = Monitor(engine, collectors=[Many()])
        sizes, rounds = [], count // FIGURES
        started = time.process_time()
        for number in range(rounds):
            monitor.collect_once()
            if (number + 1) % max(1, rounds // 10) == 0:
                sizes.append(host.process(None).memory_rss_bytes / 1e6)
        took = time.process_time() - started
        with engine.store.reading() as connection:
            (written,) = connection.execute("SELECT count(*) FROM sample").fetchone()
    shown = " ".join(f"{size:.1f}" for size in sizes)
    print(f"memory over {written:,} samples written, {monitor.lost} lost, MB after each tenth: {shown}")
    print(f"  from the first tenth to the last: {sizes[-1] - sizes[0]:+.2f} MB (goal: flat)")
    print(f"  {took / max(1, written) * 1e6:.1f} us of processor time for each")


def bench_history(folder: Path, count: int) -> None:
    """Print how long one page of a metric's history takes, out of many samples and out of a hundredth of them."""
    taken = {size: pages_ms(folder / f"history-{size}.db", size) for size in (max(count // 100, 2 * PAGE), count)}
    few, many = taken.values()
    for size, (newest, middle) in taken.items():
        print(f"a page of {PAGE} out of {size:,} samples: the newest {newest:.2f} ms, from the middle {middle:.2f} ms")
    print(f"  a hundred times as many: {many[0] / few[0]:.2f}x and {many[1] / few[1]:.2f}x (goal: the same)")


def pages_ms(path: Path, count: int) -> tuple[float, float]:
    """Fill a ledger with a second's step between samples, and return milliseconds of two pages, the median of 50."""
    with Engine.open(path) as engine:
        for series in range(SERIES):
            engine.record_metric("bench.value", 0.0, at=START, labels={"series": str(series)})
        next(iter(engine.metric_history("bench.value", limit=1)))
        start_us = micros_from_instant(START)

        def fill(connection: sqlite3.Connection) -> None:
            numbers = [row[0] for row in connection.execute("SELECT series_id FROM series")]
            # As the ledger writes them, in the order of time; its own way in would take minutes for so many.
            connection.executemany(
                "INSERT INTO sample VALUES (?, ?, 1, 0, ?)",
                ((numbers[at % SERIES], start_us + (at + 1) * 1_000_000, at / 7) for at in range(count)),
            )

        engine.store.aside(fill)
        middle = START + timedelta(seconds=count // 2)
        return _page_ms(engine, None), _page_ms(engine, middle)


def _page_ms(engine: Engine, until: datetime | None) -> float:
    taken = []
    for _ in range(50):
        started = time.perf_counter()
        found = list(engine.metric_history("bench.value", until=until, limit=PAGE))
        taken.append((time.perf_counter() - started) * 1000)
        if len(found) != PAGE:
            raise SystemExit(f"expected {PAGE} samples, found {len(found)}")
    return median(taken)


def main() -> None:
    """Run all parts."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=30)
    options.add_argument("--operations", type=int, default=1_000_000)
    options.add_argument("--written", type=int, default=1_000_000, help="samples that are written through a monitor")
    options.add_argument("--samples", type=int, default=1_000_000, help="of which one page of history is read")
    given = options.parse_args()
    bench_track(given.rounds)
    with tempfile.TemporaryDirectory() as folder:
        bench_collecting(Path(folder), given.rounds)
        bench_memory(Path(folder), given.operations)
        bench_samples(Path(folder), given.written)
        bench_history(Path(folder), given.samples)


if __name__ == "__main__":
    main()
