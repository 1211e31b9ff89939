"""Wall time of `tokencalc report` on a small ledger, above bare Python; and a breakdown of a month on a large one.

Every run is a new process; the cases take turns, so that a slow moment of the machine hits all of them, and each
figure is the difference of two medians. Byte code is kept, as after the first run of any program.
The large ledger (--entries) has a month's calls: by model and day, with the period before and the forecast.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from statistics import median

from benchmarks.ledger_large import MONTH
from benchmarks.ledger_large import make as make_large
from tokencalc import Budget, Engine, Usage
from tokencalc.clock import ManualClock, SystemClock, instant_from
from tokencalc.reports.breakdown import Wanted, break_down
from tokencalc.reports.outlook import look_ahead

ENTRIES, DAYS = 2_000, 40
REPORT = ("-m", "tokencalc", "report", "--ledger", "usage.db", "--by", "agent_id,model")

# name, what Python runs, goal in milliseconds above bare Python
CASES: tuple[tuple[str, tuple[str, ...], int | None], ...] = (
    ("bare python", ("-c", "pass"), None),
    ("report", REPORT, 300),
    ("report --period month", (*REPORT, "--period", "month"), 300),
    ("report --json", (*REPORT, "--period", "month", "--json"), 300),
    ("report --csv", (*REPORT, "--csv"), 300),
    ("report --by tag:team", ("-m", "tokencalc", "report", "--ledger", "usage.db", "--by", "tag:team"), None),
    ("report --advice", (*REPORT, "--period", "month", "--advice"), None),
)


def make(path: Path) -> None:
    """Make a ledger of some weeks with two budgets."""
    now = SystemClock().now()
    with Engine.open(path) as engine:
        engine.set_budget(Budget(name="month", limit_usd=100, period="month"))
        engine.set_budget(Budget(name="each", limit_usd=50, period="month", scope={"agent_id": "*"}))
        engine.record_many(
            {
                "model": ("gpt-4o", "claude-sonnet-4-5", "gpt-5-mini")[number % 3],
                "usage": Usage(input_tokens=4000 + number, output_tokens=300),
                "agent_id": f"agent-{number % 5}",
                "tags": {"team": f"team-{number % 4}"},
                "at": now - timedelta(days=DAYS) * number / ENTRIES,
            }
            for number in range(ENTRIES)
        )


def run_ms(arguments: tuple[str, ...], folder: str) -> float:
    """Run Python anew, and return the milliseconds it took."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, *arguments], check=True, cwd=folder, env={**kept, "HOME": folder}, stdout=subprocess.DEVNULL
    )
    return (time.perf_counter() - started) * 1000


def measure(rounds: int) -> dict[str, float]:
    """Return the median milliseconds of each case over interleaved rounds."""
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder) / "usage.db")
        times: dict[str, list[float]] = {name: [] for name, _, _ in CASES}
        for number in range(rounds + 1):
            for name, arguments, _ in CASES:
                taken = run_ms(arguments, folder)
                if number:  # the first round warms the disk and compiles
                    times[name].append(taken)
    return {name: median(taken) for name, taken in times.items()}


def large(entries: int, rounds: int) -> None:
    """Time an interval by model and day, warm, that ends half a day after the last call of a month."""
    since, now = (instant_from(text, name="month") for text in MONTH)
    wanted = Wanted(group_by=("model", "day"), since=since, until=now + timedelta(hours=12))
    names = ("the ledger's own report", "the breakdown: rows, shares, the period before", "the forecast")
    times: dict[str, list[float]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.db"
        make_large(path, entries)
        with Engine.open(path, clock=ManualClock(now)) as engine:
            for _ in range(rounds + 1):
                instants = [time.perf_counter()]
                engine.report(group_by=wanted.group_by, since=wanted.since, until=wanted.until)
                instants.append(time.perf_counter())
                found = break_down(engine, wanted, now=now)
                instants.append(time.perf_counter())
                look_ahead(engine, found, now=now)
                instants.append(time.perf_counter())
                for name, (start, end) in zip(names, pairwise(instants), strict=True):
                    times[name].append(end - start)
    print(f"a month of {entries:,} calls by model and day, warm, median of {rounds} (goal: 0.2 s)")
    for name, seconds in times.items():
        print(f"  {name}: {median(seconds[1:]):.3f} s")
    print(f"  breakdown and forecast: {sum(median(times[name][1:]) for name in names[1:]):.3f} s")


def main() -> None:
    """Print one line for each case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11, help="runs of each case (default: 11)")
    parser.add_argument("--entries", type=int, default=300_000, help="entries of the large ledger (default: 300,000)")
    given = parser.parse_args()
    rounds = given.rounds
    found = measure(rounds)
    bare_ms = found[CASES[0][0]]
    print(f"reports: {ENTRIES:,} entries, median of {rounds} runs, above bare python ({bare_ms:.1f} ms)")
    for name, _, goal_ms in CASES[1:]:
        above_ms = found[name] - bare_ms
        verdict = "" if goal_ms is None else f"{'meets' if above_ms <= goal_ms else 'misses'} the goal of +{goal_ms} ms"
        print(f"  {name:<24} {above_ms:+7.1f} ms  {found[name] / bare_ms:5.1f}x bare  {verdict}".rstrip())
    large(given.entries, rounds)


if __name__ == "__main__":
    main()
