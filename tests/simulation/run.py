"""Run many seeds, or one with its trace: `make simulate SEEDS=1000`, `make simulate SEEDS=5..200`, `SEED=1234`."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from tests.simulation.simulation import Broken
from tests.simulation.work import Work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

STEPS = 120


def run(seed: int, folder: Path, tell: Callable[[str], None] | None = None, steps: int = STEPS) -> Work:
    """Run one seed to its end; Broken says at which step it failed, and how to replay it."""
    work = Work(seed, folder, tell)
    try:
        work.begin()
        while work.step < steps:
            work.one_step()
        work.check(work.processes[0])
    except BaseException as error:  # whatever it is, it happens again with this seed
        text = f"seed {seed}, step {work.step}: {type(error).__name__}: {error}\nreplay: make simulate SEED={seed}"
        raise Broken(text) from error
    finally:
        work.close()
    return work


def seeds_from(text: str) -> Iterable[int]:
    """Read "1000" (as many, from 0 on) or "5..200"."""
    first, dots, last = text.partition("..")
    return range(int(first), int(last) + 1) if dots else range(int(first))


def main(arguments: list[str]) -> int:
    """Run what the command line asks for; 1 if any seed failed."""
    name, _, value = arguments[0].partition("=")
    seeds = [int(value)] if name == "SEED" else seeds_from(value)
    failed = 0
    for seed in seeds:
        with TemporaryDirectory() as folder:
            try:
                run(seed, Path(folder), click.echo if name == "SEED" else None)
            except Broken as broken:
                failed += 1
                click.echo(broken, err=True)
    click.echo(f"{len(list(seeds))} runs of {STEPS} steps, {failed} failed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
