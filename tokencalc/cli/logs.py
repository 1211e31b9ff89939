"""Finding agents' logs for a command, and booking what is in them, with progress on a terminal."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tokencalc.cli.output import counted
from tokencalc.errors import IdempotencyConflict
from tokencalc.importers.claude_code import ClaudeCodeLogs
from tokencalc.importers.found import AUTO, find_logs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tokencalc.engine import Engine
    from tokencalc.importers.found import FoundLogs
    from tokencalc.importers.records import ImportedCall, ImportSummary

_BATCH = 500
_LONG_READ_BYTES = 20 * 1024 * 1024
_LONG_BOOKING_CALLS = 3000

SKIPPED_WORDS = {
    "non_usage": ("line without usage", "lines without usage"),
    "duplicates": ("repeated line of the same call", "repeated lines of the same call"),
    "synthetic": ("synthetic answer", "synthetic answers"),
    "api_errors": ("API error", "API errors"),
    "malformed_lines": ("damaged line", "damaged lines"),
    "huge_lines": ("line that is too long", "lines that are too long"),
    "bad_records": ("answer with impossible figures", "answers with impossible figures"),
    "bad_claims": ("unreadable cost claim (its call is kept)", "unreadable cost claims (their calls are kept)"),
    "unreadable_files": ("file that cannot be read", "files that cannot be read"),
}
"""What an importer leaves out, in words; `ImportSummary.skipped` has the keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What an import did: calls booked now, calls that the ledger had already, what was left out.

    ``changed`` counts calls that were booked before with other figures: logs of a
    session that still runs hold answers that go on growing.
    """

    found: FoundLogs
    summary: ImportSummary
    new: int
    known: int
    changed: int

    @property
    def problems(self) -> tuple[str, ...]:
        """Places that were damaged or could not be read."""
        return (*self.found.problems, *self.summary.problems)


def look_for_logs(where: str) -> FoundLogs:
    """Find logs: ``auto``, ``sample``, or a path; CallInvalid where there is nothing."""
    return find_logs(where, home=Path.home(), environ=os.environ)


def log_folders() -> list[tuple[Path, int]]:
    """Return the folders of this person's own agents that exist, each with its number of log files."""
    found = look_for_logs(AUTO)
    return [(root, sum(file.root == root for file in found.files)) for root in found.looked_in]


def import_logs(engine: Engine, found: FoundLogs, *, notional: bool) -> Imported:
    """Book every call of the logs, each once; a second import books only what is new."""
    with _read_progress(found) as progress:
        logs = ClaudeCodeLogs(found.files, notional=notional, progress=progress)
        calls = list(logs)
    new = changed = 0
    with _booking_progress(calls) as waiting:
        remaining = iter(waiting)
        while batch := list(islice(remaining, _BATCH)):
            for answer in engine.record_many([call.as_record() for call in batch]):
                if isinstance(answer, IdempotencyConflict):
                    changed += 1
                elif not answer.replayed:
                    new += 1
    return Imported(found=found, summary=logs.summary, new=new, known=len(calls) - new - changed, changed=changed)


@contextmanager
def _read_progress(found: FoundLogs) -> Iterator[Callable[[int, int], None] | None]:
    if found.size_bytes < _LONG_READ_BYTES or not sys.stderr.isatty():
        yield None
        return
    with click.progressbar(length=found.size_bytes, label="reading logs", file=sys.stderr) as shown:
        done = 0

        def progress(read_bytes: int, all_bytes: int) -> None:
            nonlocal done
            shown.length = all_bytes
            shown.update(read_bytes - done)
            done = read_bytes

        yield progress


@contextmanager
def _booking_progress(calls: list[ImportedCall]) -> Iterator[Iterable[ImportedCall]]:
    if len(calls) < _LONG_BOOKING_CALLS or not sys.stderr.isatty():
        yield calls
        return
    with click.progressbar(calls, label="booking calls", file=sys.stderr) as shown:
        yield shown


def skipped_text(summary: ImportSummary) -> str:
    """Return what was left out, in words: ``3 damaged lines, 1 API error``; empty for nothing."""
    found = sorted(summary.skipped.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(counted(count, *SKIPPED_WORDS.get(reason, (reason, reason))) for reason, count in found if count)
