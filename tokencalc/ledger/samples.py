"""Samples: figures over time (a latency, a queue's length), kept beside the book and never in its way.

They go through the same writer at lower priority. A bounded queue takes them without
waiting; they are written after a batch's callers have their answers, in a transaction
of their own that nobody syncs. Where the queue is full they are dropped and counted;
money never is. Old ones are deleted in small steps.
"""

from __future__ import annotations

import json
import math
import os
import threading
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Protocol, TypeVar

from tokencalc.clock import micros_from_instant
from tokencalc.context import label_from
from tokencalc.errors import CallInvalid, LedgerClosed, LedgerError
from tokencalc.ledger.store import Step

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from tokencalc.clock import Clock
    from tokencalc.ledger.writer import GroupWriter

Result = TypeVar("Result")

QUEUE_SAMPLES = 10_000
"""Samples that may wait to be written; further ones are dropped."""
_WRITE_SAMPLES = 500
"""Samples in one transaction: a few milliseconds for which a caller may have to wait."""
_WRITE_EVERY_S = 1.0
MOST_SERIES = 10_000
"""Series (a name with its labels, unit, host and source) that a ledger keeps; samples of further ones are dropped."""
RESERVED_SERIES = 1_000
"""Series beyond these that only figures of machines and limiters may have, so that no label can blind a monitor."""
_RESERVED_NAMES = ("system.", "process.", "gpu.", "limiter.", "breaker.", "monitor.")
_NO_SERIES_LEFT = (
    f"the ledger has its {MOST_SERIES} series, and samples of further ones are dropped; "
    "let labels and names have fewer different values"
)
_FORGET_SAMPLES = 1_000
_FORGET_SERIES = 50
"""Series that are looked through for old samples in one transaction: money waits for a few milliseconds at most."""
_EXACT_WHOLE = 2**53
_MOST_LABELS = 20
_numbers = count()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One figure of one metric at one instant, with its unit, its labels, and where it comes from."""

    name: str
    at: datetime
    value: float
    unit: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    host: str = ""
    process: int = 0
    source: str | None = None


def sample_from(  # noqa: PLR0913  # one argument for each field
    *, name: object, at: datetime, value: object, unit: object, labels: object, source: object
) -> Sample:
    """Make a sample of this host and process; CallInvalid names what it cannot be."""
    return Sample(
        name=label_from(name, name="name"),
        at=at,
        value=_value_from(value),
        unit=None if unit is None else label_from(unit, name="unit"),
        labels=labels_from(labels),
        host=os.uname().nodename,
        process=os.getpid(),
        source=None if source is None else label_from(source, name="source"),
    )


def _value_from(value: object) -> float:
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _EXACT_WHOLE:
        return value
    shown = "a huge integer" if isinstance(value, int) and abs(value) > _EXACT_WHOLE else f"{value!r:.60}"
    raise CallInvalid(
        f"value: expected a finite number, whole ones up to 2**53, found {shown}", path="value", found=value
    )


def labels_from(labels: object) -> dict[str, str]:
    """Return labels, sorted by name; CallInvalid for anything but a small mapping of plain text."""
    if labels is None:
        return {}
    if not isinstance(labels, dict) or len(labels) > _MOST_LABELS:
        raise CallInvalid(
            f"labels: expected a mapping of at most {_MOST_LABELS} texts, found {labels!r:.60}",
            path="labels",
            found=labels,
        )
    pairs = [
        (label_from(name, name="labels"), label_from(text, name=f"labels.{name}")) for name, text in labels.items()
    ]
    return dict(sorted(pairs))


class Store(Protocol):
    """What a queue of samples needs of its ledger."""

    writer: GroupWriter

    def aside(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Do work that money never waits for."""


class SampleQueue:
    """Samples that wait to be written to one ledger; safe for any number of threads."""

    def __init__(self, store: Store, clock: Clock) -> None:
        """Write to ``store`` when it has time."""
        self._store = store
        self._clock = clock
        self._closed = False
        self.lost = 0
        """Samples that were taken since the start and could then not be written."""
        self.problem = ""
        """Why the last of them was lost."""
        self.reset()

    def reset(self) -> None:
        """Start with an empty queue: at birth, and in a forked child, whose parent writes what waits."""
        # Appending to and taking from a deque is atomic, so that nobody ever waits here.
        self._waiting: deque[Sample] = deque()
        self._writing = threading.Lock()
        self._series: dict[tuple[str, str, str, str, str], int] = {}
        self._dropped = 0
        self._forget_before_us: int | None = None
        self._forgotten_series = 0
        self._seen: tuple[sqlite3.Connection, int] | None = None
        self._series_count = 0
        self._written_s = self._clock.monotonic()
        self._is_called = False

    def offer(self, sample: Sample) -> bool:
        """Queue a sample and return at once; False where it was dropped, and counted, because too many wait."""
        if self._closed:
            raise LedgerClosed("the ledger was closed; open the engine again to go on")
        if len(self._waiting) >= QUEUE_SAMPLES:
            self._dropped += 1
            return False
        self._waiting.append(sample)
        if not self._is_called and self._is_due():
            self._is_called = True
            self._store.writer.post(Step(lambda _: None), lambda _: None)  # an empty batch: we come after it
        return True

    def after_batch(self) -> None:
        """Write some of what waits, when a batch of the writer's is done and answered."""
        if not self._waiting and not self._dropped and self._forget_before_us is None:
            return
        self._is_called = False
        is_late = self._clock.monotonic() - self._written_s >= _WRITE_EVERY_S
        # Money that waits comes first; but once a second a few pass, else a busy ledger would have no samples at all.
        if not is_late and (len(self._waiting) < _WRITE_SAMPLES or self._store.writer.is_waited_for):
            return
        if self._writing.locked():  # somebody writes already; to wait for that is no business of who booked a call
            return
        with suppress(LedgerError, OSError), self._writing:  # `problem` and the next step of money say what is wrong
            self._write()

    def flush(self) -> None:
        """Write all that waits now, for whoever wants to read it; raises what the ledger raises."""
        with self._writing:  # what another thread has taken from the queue is written when it lets go
            for _ in range(QUEUE_SAMPLES // _WRITE_SAMPLES + 1):
                if not self._waiting and not self._dropped:
                    return
                self._write()

    def forget_soon(self, before_us: int) -> None:
        """Delete samples older than an instant, some with each writing, until there are none."""
        self._forget_before_us = before_us

    def close(self) -> None:
        """Write what waits, as far as that is possible, and take no more."""
        self._closed = True
        try:
            self.flush()
        except (LedgerError, OSError):
            return

    def _is_due(self) -> bool:
        is_late = self._clock.monotonic() - self._written_s >= _WRITE_EVERY_S
        return is_late or len(self._waiting) >= _WRITE_SAMPLES

    def _write(self) -> None:
        self._written_s = self._clock.monotonic()
        taken: list[Sample] = []
        dropped, self._dropped = self._dropped, 0
        try:
            while self._waiting and len(taken) < _WRITE_SAMPLES:
                taken.append(self._waiting.popleft())
            refused = self._store.aside(lambda connection: self._insert(connection, taken, dropped))
        except BaseException as error:  # bulk: whatever stops it, what is lost is counted
            self._dropped += dropped + len(taken)
            self._note_lost(len(taken), f"{error}" or type(error).__name__)
            self._series = {}
            raise
        self._note_lost(refused, _NO_SERIES_LEFT)

    def _note_lost(self, samples: int, problem: str) -> None:
        if samples:
            self.problem = problem
            self.lost += samples

    def _insert(self, connection: sqlite3.Connection, taken: list[Sample], dropped: int) -> int:
        """Write samples and the count of dropped ones; return how many had no series and could get none."""
        (version,) = connection.execute("PRAGMA data_version").fetchone()
        if self._seen is None or self._seen[0] is not connection or self._seen[1] != version:
            self._series, self._seen = {}, (connection, version)  # another process may have deleted a series since
        (self._series_count,) = connection.execute("SELECT count(*) FROM series").fetchone()
        rows = []
        for sample in taken:
            at_us, number = micros_from_instant(sample.at), next(_numbers)
            series_id = self._series_of(connection, sample)
            if series_id is not None:
                rows.append((series_id, at_us, sample.process, number, sample.value))
        connection.executemany("INSERT OR IGNORE INTO sample VALUES (?, ?, ?, ?, ?)", rows)
        refused = len(taken) - len(rows)
        if dropped + refused:
            connection.execute("UPDATE sample_drop SET dropped = dropped + ?", (dropped + refused,))
        if self._forget_before_us is not None:
            self._forget_some(connection, self._forget_before_us)
        return refused

    def _series_of(self, connection: sqlite3.Connection, sample: Sample) -> int | None:
        """Return the sample's series, a new one where the ledger has none like it; None where it may have no more."""
        labels = json.dumps(dict(sample.labels), separators=(",", ":"), ensure_ascii=False)
        key = (sample.name, labels, sample.unit or "", sample.host, sample.source or "")
        found = self._series.get(key)
        if found is None:
            row = connection.execute(
                "SELECT series_id FROM series WHERE name = ? AND labels = ? AND unit = ? AND host = ? AND source = ?",
                key,
            ).fetchone()
            reserved = RESERVED_SERIES if sample.name.startswith(_RESERVED_NAMES) else 0
            if row is None and self._series_count >= MOST_SERIES + reserved:
                return None
            if row is None:
                add = "INSERT INTO series (name, labels, unit, host, source) VALUES (?, ?, ?, ?, ?)"
                row = (connection.execute(add, key).lastrowid,)
                self._series_count += 1
            found = self._series[key] = int(row[0])
        return found

    def _forget_some(self, connection: sqlite3.Connection, before_us: int) -> None:
        """Delete some old samples, and series that have none left; the next call goes on where this one ended."""
        left = _FORGET_SAMPLES
        numbers = connection.execute(
            "SELECT series_id FROM series WHERE series_id > ? ORDER BY series_id LIMIT ?",
            (self._forgotten_series, _FORGET_SERIES),
        ).fetchall()
        for (series_id,) in numbers:
            left -= connection.execute(
                "DELETE FROM sample WHERE (series_id, at_us, process, number) IN (SELECT series_id, at_us, process, "
                "number FROM sample WHERE series_id = ? AND at_us < ? ORDER BY at_us LIMIT ?)",
                (series_id, before_us, left),
            ).rowcount
            if not left:
                return
            emptied = connection.execute(
                "DELETE FROM series WHERE series_id = ? "
                "AND NOT EXISTS (SELECT 1 FROM sample WHERE sample.series_id = series.series_id)",
                (series_id,),
            )
            if emptied.rowcount:
                self._series = {}
            self._forgotten_series = series_id
        if len(numbers) < _FORGET_SERIES:
            self._forget_before_us, self._forgotten_series = None, 0
