"""The price tables: their size in the wheel, the time to read them, and the first price of a model of each kind.

Reading is measured in this process, best of many, against parsing the same bytes as JSON and no more; a first price
is the wall time of a new process above one that only imports tokencalc, rounds taking turns. How many rates agree
with a public set is printed where that set is installed: pip install -e '.[bench]'.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from tokencalc.clock import SystemClock
from tokencalc.pricing.layers import ImportedLayer, PackagedLayer
from tokencalc.pricing.loader import packaged_index, packaged_raw, packaged_table
from tokencalc.pricing.sets.difference import compare
from tokencalc.pricing.sets.finding import price_set

if TYPE_CHECKING:
    from collections.abc import Callable

TABLES = Path(__file__).resolve().parents[1] / "tokencalc" / "pricing" / "tables"
READS = 40
GOAL_MS = 10
FIRST = (
    "from tokencalc import Engine, Usage\n"
    "with Engine.open(':memory:') as engine:\n"
    "    engine.price(provider={provider!r}, model={model!r}, usage=Usage(input_tokens=1200, output_tokens=300))\n"
)
MODELS = (("openai", "gpt-4o"), ("deepseek", "deepseek-chat"), ("openrouter", "openai/gpt-4o"))


def best_ms(read: Callable[[], object]) -> float:
    """Return the fastest of many runs in milliseconds."""
    found = []
    for _ in range(READS):
        started = time.perf_counter()
        read()
        found.append(time.perf_counter() - started)
    return min(found) * 1000


def packed(names: list[str]) -> tuple[int, int]:
    """Return the bytes of some tables as they are, and as a wheel holds them."""
    sizes = [len((TABLES / f"{name}.json").read_bytes()) for name in names]
    wheel = BytesIO()
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.write(TABLES / f"{name}.json", f"{name}.json")
    return sum(sizes), wheel.getbuffer().nbytes


def run_ms(code: str, folder: str) -> float:
    """Run the code in a new interpreter, and return the milliseconds it took."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, cwd=folder, env={**os.environ, "HOME": folder})
    return (time.perf_counter() - started) * 1000


def first_prices(rounds: int) -> dict[str, float]:
    """Return the median milliseconds to a first price of each model, above the import alone."""
    cases = {"import": "import tokencalc"}
    cases |= {f"{provider}/{model}": FIRST.format(provider=provider, model=model) for provider, model in MODELS}
    times: dict[str, list[float]] = {name: [] for name in cases}
    with tempfile.TemporaryDirectory() as folder:
        for code in cases.values():
            run_ms(code, folder)
        for _ in range(rounds):
            for name, code in cases.items():
                times[name].append(run_ms(code, folder))
    bare = median(times.pop("import"))
    return {name: median(taken) - bare for name, taken in times.items()}


def show_sizes(curated: list[str], imported: list[str]) -> None:
    """Print how much the tables take."""
    print("tables: bytes as they are, and in the wheel")
    for title, names in (("curated", ["index", *curated]), ("imported", ["imported", *imported])):
        raw, wheel = packed(names)
        models = sum(len(packaged_raw(name)["model"]) for name in names[1:])
        cards = sum(len(model["card"]) for name in names[1:] for model in packaged_raw(name)["model"])
        print(
            f"  {title:<9} {len(names) - 1:4} providers {models:6,} models {cards:6,} cards  "
            f"{raw / 1000:7.0f} KB  {wheel / 1000:5.0f} KB in the wheel"
        )


def show_reading() -> None:
    """Print how long reading one table takes."""
    print(f"reading: best of {READS}, beside parsing the same bytes as JSON")
    reads: list[tuple[str, Callable[[], object], str]] = [
        ("index of the imported", lambda: packaged_index("imported"), "imported")
    ]
    reads += [
        (f"table of {name}", lambda name=name: packaged_table(name), name)  # type: ignore[misc]  # bound at once
        for name in ("openai", "deepseek", "bedrock", "openrouter")
    ]
    for title, read, name in reads:
        text = (TABLES / f"{name}.json").read_text(encoding="utf-8")
        taken, floor = best_ms(read), best_ms(lambda text=text: json.loads(text))  # type: ignore[misc]  # bound at once
        verdict = "meets" if taken <= GOAL_MS else "misses"
        print(f"  {title:<24} {taken:6.2f} ms  {taken / floor:4.1f}x JSON  {verdict} the goal of {GOAL_MS} ms")


def show_agreement(curated: list[str]) -> None:
    """Print how many rates agree with genai-prices, where it is installed."""
    if find_spec("genai_prices") is None:
        print("agreement: genai-prices is not installed")
        return
    theirs = price_set("genai-prices", file=None, day=SystemClock().now().date())
    found = [compare(provider, packaged_raw(provider), theirs) for provider in curated]
    kept = sum(item.because is not None for comparison in found for item in comparison.differences)
    differing = sum(len(comparison.differences) for comparison in found) - kept
    agreements = sum(comparison.agreements for comparison in found)
    print(f"agreement with {theirs.name}: {agreements:,} rates agree, {kept} differ on purpose, {differing} otherwise")


def main() -> None:
    """Print one line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9, help="new processes for each first price (default: 9)")
    rounds = parser.parse_args().rounds
    curated, imported = list(PackagedLayer().providers), list(ImportedLayer().providers)
    show_sizes(curated, imported)
    show_reading()
    print(f"first price: median of {rounds} interleaved runs, above import tokencalc")
    for name, taken in first_prices(rounds).items():
        print(f"  {name:<26} {taken:+7.1f} ms")
    show_agreement(curated)


if __name__ == "__main__":
    main()
