"""2, 4 and 8 processes on one ledger: what they get done together, and how long the unluckiest waits.

Each process runs cycles of reserve and settle over three budgets with one thread, durably; all start at one moment.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.ledger_floors import RESERVE, SETTLE, direct_cycles, set_budgets
from tokencalc import Engine

PROCESSES = (1, 2, 4, 8)
CYCLES = 400


def main() -> None:
    """Print cycles a second over all processes, and waits of single verbs."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--folder", help="where the ledgers are made")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--work", help="a ledger: be one of the processes")
    given = options.parse_args()
    if given.work:
        work(Path(given.work))
        return
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        floor = direct_cycles(Path(name) / "direct.db", CYCLES)
        print(f"{CYCLES} cycles by several processes on one ledger, best of {given.rounds} interleaved rounds")
        found: dict[int, list[tuple[float, list[float]]]] = {count: [] for count in PROCESSES}
        direct: list[float] = []
        for number in range(given.rounds):
            started = time.perf_counter()
            floor.go()
            direct.append(CYCLES / (time.perf_counter() - started))
            for count in PROCESSES:
                found[count].append(together(Path(name) / f"{count}-{number}.db", count))
        print(f"  {'one caller, directly':22} {max(direct):6.0f}/s")
        for count, rounds in found.items():
            waits = sorted(wait for _, some in rounds for wait in some)
            rate = max(rate for rate, _ in rounds)
            print(
                f"  {count} process{'es' if count > 1 else '':2} {'':10} {rate:6.0f}/s {rate / max(direct):5.2f}x, "
                f"waits p50 {waits[len(waits) // 2] * 1000:.1f} ms, p99 {waits[len(waits) * 99 // 100] * 1000:.0f} ms, "
                f"longest {waits[-1] * 1000:.0f} ms"
            )


def together(ledger: Path, count: int) -> tuple[float, list[float]]:
    """Let so many processes share the cycles; return cycles a second and every wait in seconds."""
    with Engine.open(ledger) as engine:
        set_budgets(engine)
    command = [sys.executable, __file__, "--work", str(ledger)]
    workers = [
        subprocess.Popen([*command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(count)
    ]
    for worker in workers:
        assert worker.stdout is not None  # noqa: S101  # piped; this tells mypy
        worker.stdout.readline()  # it is ready
    started = time.perf_counter()
    for worker in workers:
        assert worker.stdin is not None  # noqa: S101  # the same
        worker.stdin.write(f"{CYCLES // count}\n")
        worker.stdin.flush()
    waits = [wait for worker in workers for wait in json.loads(worker.communicate()[0])]
    return CYCLES // count * count / (time.perf_counter() - started), waits


def work(ledger: Path) -> None:
    """Be one of the processes: wait for the number of cycles, run them, write how long each verb took."""
    waits = []
    with Engine.open(ledger) as engine:
        engine.release(engine.reserve(**RESERVE))  # type: ignore[arg-type]  # plain values of the benchmark
        print("ready", flush=True)
        for _ in range(int(sys.stdin.readline())):
            started = time.perf_counter()
            hold = engine.reserve(**RESERVE)  # type: ignore[arg-type]  # the same
            reserved = time.perf_counter()
            engine.settle(hold, **SETTLE)  # type: ignore[arg-type]  # the same
            waits += [reserved - started, time.perf_counter() - reserved]
    print(json.dumps(waits))


if __name__ == "__main__":
    main()
