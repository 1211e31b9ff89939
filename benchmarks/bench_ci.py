"""Wall time of `tokencalc ci` on a small ledger and on a run against its baseline, above bare Python.

Every run is a new process; the cases take turns, so that a slow moment of the machine hits all of them, and each
figure is the difference of two medians. The processor's time stands beside, because a busy machine doubles the other.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from tokencalc import Engine

GOAL_MS = 300
ENTRIES = 200
_GATE = (sys.executable, "-m", "tokencalc", "ci")

# name, command
CASES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("bare python", (sys.executable, "-c", "pass")),
    ("ci --help", (*_GATE, "--help")),
    (f"ci, ledger of {ENTRIES}", (*_GATE, "--ledger", "usage.db", "--budget", "10")),
    (f"ci, {ENTRIES} against a file", (*_GATE, "--usage", "run.json", "--baseline", "run.json", "--fail", "cost:10%")),
)


def run_ms(command: tuple[str, ...], folder: str) -> tuple[float, float]:
    """Run a command in a new process, and return the milliseconds it took, on the wall and of the processor."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GITHUB_")}
    subprocess.run(command, check=True, cwd=folder, env={**environ, "HOME": folder}, stdout=subprocess.DEVNULL)
    wall_s = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall_s * 1000, (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000


def prepare(folder: str) -> None:
    """Write a small ledger of ten operations, and the run that it holds."""
    with Engine.open(Path(folder) / "usage.db") as engine:
        engine.record_many(
            {"model": "gpt-4o", "input_tokens": 1000 + n, "output_tokens": 50, "operation": f"operation {n % 10}"}
            for n in range(ENTRIES)
        )
    save = (*_GATE, "--ledger", "usage.db", "--save-baseline", "run.json")
    subprocess.run(save, check=True, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def measure(rounds: int) -> dict[str, tuple[float, float]]:
    """Return the median milliseconds of each case over interleaved rounds."""
    with tempfile.TemporaryDirectory() as folder:
        prepare(folder)
        times: dict[str, list[tuple[float, float]]] = {name: [] for name, _ in CASES}
        for counted in range(-1, rounds):
            for name, command in CASES:
                taken = run_ms(command, folder)
                if counted >= 0:
                    times[name].append(taken)
    return {
        name: (median(wall for wall, _ in taken), median(busy for _, busy in taken)) for name, taken in times.items()
    }


def main() -> None:
    """Print one line for each case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="runs of each case (default: 15)")
    rounds = parser.parse_args().rounds
    found = measure(rounds)
    bare_ms, bare_busy_ms = found[CASES[0][0]]
    print(f"ci: median of {rounds} interleaved runs, above bare python ({bare_ms:.1f} ms)")
    for name, _ in CASES[1:]:
        above_ms, busy_ms = found[name][0] - bare_ms, found[name][1] - bare_busy_ms
        verdict = "meets" if above_ms <= GOAL_MS else "misses"
        print(f"  {name:<26} {above_ms:+7.1f} ms, processor {busy_ms:+7.1f} ms  {verdict} the goal of +{GOAL_MS} ms")


if __name__ == "__main__":
    main()
