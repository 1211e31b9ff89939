"""Counting beside plain tiktoken in the same run: fresh texts, repeats, cold start.

Fresh texts, cut out of this project's own pages and files, are counted through ``count_text`` (hash of the whole text
and the look-up included) and by ``len(Encoding.encode_ordinary(text))`` on the same texts, in turns; first as the
base install counts, then with the ``[fast]`` extra where it is installed. A repeated count is of a copy, so that its
hash is taken again. The cold start is a new process up to its first count, against a process that reads our pack and
constructs the Encoding and does nothing else. How far counts are from bills is measured by bench_token_error.py.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from tokencalc.tokens.backends import fast
from tokencalc.tokens.cache import text_key
from tokencalc.tokens.count import count_text
from tokencalc.tokens.vocabularies import encoding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ROOT = Path(__file__).resolve().parents[1]
SIZES = (1_000, 10_000, 100_000, 1_000_000)

PACK_ONLY = (
    "from tokencalc.tokens.vocabularies import SPECS, read_tokens\n"
    "from tiktoken.core import Encoding\n"
    "spec = SPECS['o200k_base']\n"
    "ranks = {token: rank for rank, token in enumerate(read_tokens('o200k_base'))}\n"
    "Encoding('o200k_base', pat_str=spec.pattern, mergeable_ranks=ranks, special_tokens=dict(spec.special_tokens))\n"
)
FIRST_COUNT = (
    "from tokencalc.tokens.count import count_text\n"
    "count_text('Analyze this code snippet', tokenizer='openai', encoding='o200k_base')\n"
)


@cache
def corpus() -> str:
    """Return what there is to read in this project: English, Markdown, Python."""
    files = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("tokencalc/**/*.py")])
    return "".join([file.read_text(encoding="utf-8") for file in files])


def texts_of(size: int, number: int, series: str = "") -> list[str]:
    """Return texts of about that many bytes cut out of the corpus, no two alike within or across series."""
    chosen = random.Random(f"{size}{series}")  # noqa: S311  # the same texts each time
    whole = corpus() * (1 + size // (len(corpus()) // 2))
    starts = (chosen.randrange(len(whole) - size) for _ in range(number))
    return [f"{whole[start : start + size - 8]} {index:06}\n" for index, start in enumerate(starts)]


def seconds(work: Callable[[str], object], texts: Iterable[str]) -> float:
    """Return how long the work took on all texts."""
    started = time.perf_counter()
    for text in texts:
        work(text)
    return time.perf_counter() - started


def theirs(text: str) -> int:
    """Count with tiktoken alone."""
    return len(encoding("o200k_base").encode_ordinary(text))


def ours(text: str) -> int:
    """Count as the engine does."""
    return count_text(text, tokenizer="openai", encoding="o200k_base").tokens


def fresh_and_repeated(rounds: int, goal: str) -> None:
    """Print, for each size, our speed on fresh texts over tiktoken's, and a repeated count over hashing alone."""
    for size in SIZES:
        number = max(4_000_000 // size // rounds, 1)
        texts = texts_of(size, number * rounds, goal)
        ratios, again, rates = [], [], []
        for turn in range(rounds):
            batch = texts[turn * number : (turn + 1) * number]
            order = (ours, theirs) if turn % 2 else (theirs, ours)
            taken = {work: seconds(work, batch) for work in order}
            ratios.append(taken[theirs] / taken[ours])
            rates.append(size * number / taken[ours] / 1e6)
            again.append(seconds(ours, copies(batch)) / seconds(text_key, copies(batch)))
        print(
            f"  {size:>9,} bytes  {median(ratios):5.2f}x tiktoken on fresh texts ({goal}), {median(rates):4.0f} MB/s; "
            f"a repeat costs {median(again):4.1f}x hashing it"
        )


def copies(texts: list[str]) -> list[str]:
    """Return the same texts as objects of their own: Python keeps the hash of a text that it has hashed."""
    return [text[:-1] + text[-1] for text in texts]


def by_fastokens(*, wanted: bool) -> bool:
    """Count o200k by fastokens from now on, or by tiktoken; False where fastokens is not there or not right."""
    fast._made["o200k_base"] = fast._make("o200k_base") if wanted else None  # noqa: SLF001  # either, in one process
    return fast.in_use() != ()


def cold_start(rounds: int) -> None:
    """Print the cold start to the first count beside constructing the encoding alone."""
    times: dict[str, list[float]] = {"pass": [], PACK_ONLY: [], FIRST_COUNT: []}
    for _ in range(rounds):
        for code, taken in times.items():
            started = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            taken.append((time.perf_counter() - started) * 1000)
    bare, pack, first = (median(taken) for taken in times.values())
    print(
        f"  first o200k count {first - bare:.0f} ms above bare python, {pack - bare:.0f} ms of it to construct the "
        f"Encoding from our pack: {(first - bare) / (pack - bare):.2f}x"
    )


def main() -> None:
    """Print every figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9, help="interleaved rounds of each case (default: 9)")
    rounds = parser.parse_args().rounds
    print(f"tokens: medians of {rounds} interleaved rounds, base install")
    by_fastokens(wanted=False)
    fresh_and_repeated(rounds, "goal 0.9x")
    if by_fastokens(wanted=True):
        print(f"tokens: medians of {rounds} interleaved rounds, with [fast]")
        fresh_and_repeated(rounds, "goal 15x from 10 KB on")
    cold_start(rounds)


if __name__ == "__main__":
    main()
