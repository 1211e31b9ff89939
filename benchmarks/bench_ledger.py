"""reserve + settle over three nested budgets, durable, by threads and by asyncio tasks.

Against two floors in the same rounds: the same statements committed directly by
one caller without anything else (no price, no chain, no record), and single rows
of an entry's size, one a commit. Run with a folder to measure another disk.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.ledger_floors import RESERVE, SETTLE, Run, direct_cycles, set_budgets, single_rows, take_turns
from tokencalc import AsyncEngine, Engine

if TYPE_CHECKING:
    from collections.abc import Callable


CALLERS = (1, 8, 32, 128)
ROW = "single rows, one a commit"
DIRECT = "the same cycle, directly"
GOAL_RATIO, GOAL_P99_MS = 1.2, 6.0


def main() -> None:
    """Print cycles a second, their ratios to both floors, processor time, and how long reserves wait."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--folder", help="where the ledgers are made")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--cycles", type=int, default=1280, help="cycles a round with 32 callers and more")
    given = options.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        timed = take_turns(all_runs(Path(folder), given.cycles), given.rounds)
    print(f"reserve + settle over three budgets, {given.rounds} interleaved rounds, medians")
    print(f"  {'':26} {'/s':>7} {'x direct':>9} {'x rows':>7} {'CPU us':>7} {'p50 ms':>7} {'p99 ms':>7}")
    for name, one in timed.items():
        waits = f"{one.wait_ms(0.5):7.1f} {one.wait_ms(0.99):7.1f}" if one.waits else ""
        print(
            f"  {name:26} {one.rate:7.0f} {one.rate / timed[DIRECT].rate:8.2f}x {one.rate / timed[ROW].rate:6.2f}x "
            f"{one.processor_us:7.0f} {waits}"
        )
    print(f"goals at 32 threads: {GOAL_RATIO}x single rows, p99 of a reserve below {GOAL_P99_MS:.0f} ms")


def all_runs(folder: Path, cycles: int) -> dict[str, Run]:
    """Make every run, each with a ledger of its own."""
    runs = {ROW: single_rows(folder / "rows.db", cycles), DIRECT: direct_cycles(folder / "direct.db", cycles // 2)}
    for callers in CALLERS:
        share = max(callers, cycles // (4 if callers == 1 else 1)) // callers
        runs[f"{callers} threads"] = Run(share * callers, by_threads(folder / f"t{callers}.db", callers, share))
        runs[f"{callers} tasks"] = Run(share * callers, by_tasks(folder / f"a{callers}.db", callers, share))
    return runs


def by_threads(path: Path, callers: int, share: int) -> Callable[[], list[float]]:
    """Return a run of ``callers`` threads with ``share`` cycles each; its waits are those of reserves."""
    engine = Engine.open(path)
    set_budgets(engine)

    def some(waits: list[float]) -> None:
        for _ in range(share):
            started = time.perf_counter()
            hold = engine.reserve(**RESERVE)  # type: ignore[arg-type]  # plain values of the benchmark
            waits.append(time.perf_counter() - started)
            engine.settle(hold, **SETTLE)  # type: ignore[arg-type]  # the same

    def go() -> list[float]:
        waits: list[list[float]] = [[] for _ in range(callers)]
        threads = [threading.Thread(target=some, args=(own,)) for own in waits]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return [wait for own in waits for wait in own]

    return go


def by_tasks(path: Path, callers: int, share: int) -> Callable[[], list[float]]:
    """Return the same by asyncio tasks of one loop."""
    engine = AsyncEngine.open(path)
    set_budgets(engine.engine)

    async def some(waits: list[float]) -> None:
        for _ in range(share):
            started = time.perf_counter()
            hold = await engine.reserve(**RESERVE)  # type: ignore[arg-type]  # plain values of the benchmark
            waits.append(time.perf_counter() - started)
            await engine.settle(hold, **SETTLE)  # type: ignore[arg-type]  # the same

    async def together() -> list[float]:
        waits: list[list[float]] = [[] for _ in range(callers)]
        await asyncio.gather(*(some(own) for own in waits))
        return [wait for own in waits for wait in own]

    return lambda: asyncio.run(together())


if __name__ == "__main__":
    main()
