"""Wall time until something is on the screen: import, first price, first estimate, above bare Python.

Every run is a new process; the cases take turns, so that a slow moment of the machine hits all of them, and each
figure is the difference of two medians. Byte code is compiled beforehand, as after the first run of any program.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from statistics import median

PRICE = (
    "from tokencalc import Engine, Usage\n"
    "with Engine.open(':memory:') as engine:\n"
    "    engine.price(provider='openai', model='gpt-4o', usage=Usage(input_tokens=1200, output_tokens=300))\n"
)
ESTIMATE = (
    "from tokencalc import Engine\n"
    "with Engine.open(':memory:') as engine:\n"
    "    engine.estimate(model='gpt-4o', text='Analyze this code snippet')\n"
)

# name, code, goal in milliseconds above bare Python
CASES: tuple[tuple[str, str, int | None], ...] = (
    ("bare python", "pass", None),
    ("import tokencalc", "import tokencalc", 30),
    ("import + first price", PRICE, 150),
    ("import + first estimate", ESTIMATE, 500),
)


def run_ms(code: str, folder: str) -> float:
    """Run the code in a new interpreter, and return the milliseconds it took."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, cwd=folder, env={**os.environ, "HOME": folder})
    return (time.perf_counter() - started) * 1000


def measure(rounds: int) -> dict[str, float]:
    """Return the median milliseconds of each case over interleaved rounds."""
    with tempfile.TemporaryDirectory() as folder:
        for _, code, _ in CASES:
            run_ms(code, folder)
        times: dict[str, list[float]] = {name: [] for name, _, _ in CASES}
        for _ in range(rounds):
            for name, code, _ in CASES:
                times[name].append(run_ms(code, folder))
    return {name: median(taken) for name, taken in times.items()}


def main() -> None:
    """Print one line for each case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="runs of each case (default: 15)")
    rounds = parser.parse_args().rounds
    found = measure(rounds)
    bare_ms = found[CASES[0][0]]
    print(f"import: median of {rounds} interleaved runs, above bare python ({bare_ms:.1f} ms)")
    for name, _, goal_ms in CASES[1:]:
        above_ms = found[name] - bare_ms
        verdict = "meets" if goal_ms is None or above_ms <= goal_ms else "misses"
        print(
            f"  {name:<24} {above_ms:+7.1f} ms  {found[name] / bare_ms:5.1f}x bare  {verdict} the goal of +{goal_ms} ms"
        )


if __name__ == "__main__":
    main()
