"""Starting, telling and ending worker processes."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
Worker = subprocess.Popen[str]


def start(mode: str, ledger: Path, number: int = 0) -> Worker:
    """Start a worker of `tests.faults.worker`."""
    return subprocess.Popen(
        [
            sys.executable,
            "-W",
            "ignore::DeprecationWarning",
            "-m",
            "tests.faults.worker",
            mode,
            str(ledger),
            str(number),
        ],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def line_of(worker: Worker) -> str:
    """Return the next line of a worker; it must not have ended."""
    assert worker.stdout is not None
    line = worker.stdout.readline()
    assert line.endswith("\n"), "the worker ended early"
    return line.strip()


def tell(worker: Worker) -> None:
    """Give a worker the word to go."""
    assert worker.stdin is not None
    worker.stdin.write("go\n")
    worker.stdin.flush()


def rest_of(worker: Worker) -> list[str]:
    """Return the whole lines that a worker still printed before its end."""
    assert worker.stdout is not None
    text = worker.stdout.read()
    return text[: text.rfind("\n") + 1].split()


@contextmanager
def workers(mode: str, ledger: Path, number: int, processes: int) -> Iterator[list[Worker]]:
    """Start several workers, and end those that are left at the end."""
    started = [start(mode, ledger, number) for _ in range(processes)]
    try:
        yield started
    finally:
        for worker in started:
            end(worker)


def end(worker: Worker) -> None:
    """End one worker of ours, and close its pipes."""
    worker.kill()
    worker.wait(timeout=30)
    for pipe in (worker.stdin, worker.stdout):
        if pipe is not None:
            pipe.close()
