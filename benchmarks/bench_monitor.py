"""The monitor: `track` around a function of a millisecond, what collecting costs, and memory over a million operations.

Bare and timed rounds take turns; collecting is measured as processor time of this process over a ledger in a file,
as a share of one core at 30 seconds. Where the ledger keeps samples, one page of the history of a metric is read
among SIZE of them, against the same page among a hundredth.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from tokencalc import Engine, Monitor, track
from tokencalc.monitor.host import PsutilHost
from tokencalc.monitor.monitor import EVERY_S
from tokencalc.monitor.operations import Operations

if TYPE_CHECKING:
    from collections.abc import Callable

GOAL_TRACK_PERCENT, GOAL_CORE_PERCENT = 5.0, 0.5
WORK_S = 0.001
NAMES = 100
COLLECT_EVERY = 10_000


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
    print(f"track() around a function of about 1 ms, {rounds} rounds of 20 calls taking turns (goal below 5 %)")
    for loops, unit in ((loops_of_a_millisecond(), "of 1 ms"), (0, "alone")):
        ways = timed_ways(loops)
        taken: dict[str, list[float]] = {name: [] for name in ways}
        calls = 20 if loops else 2000
        for _ in range(rounds):
            for name, way in ways.items():
                started = time.perf_counter()
                for _ in range(calls):
                    way()
                taken[name].append((time.perf_counter() - started) / calls * 1e6)
        # Of work that shares the machine, the quickest round is the one that was disturbed least.
        bare = min(taken["bare"])
        for name in ways:
            added = min(taken[name]) - bare
            share = f"{added / bare * 100:+6.2f} %" if loops else ""
            print(f"  {name:10} {unit:8} {min(taken[name]):9.2f} us {share}")


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


def main() -> None:
    """Run all parts."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=30)
    options.add_argument("--operations", type=int, default=1_000_000)
    given = options.parse_args()
    bench_track(given.rounds)
    with tempfile.TemporaryDirectory() as folder:
        bench_collecting(Path(folder), given.rounds)
        bench_memory(Path(folder), given.operations)


if __name__ == "__main__":
    main()
