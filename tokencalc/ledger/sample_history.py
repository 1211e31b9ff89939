"""Reading samples: a metric's history, the newest first, and its average; the cost is that of what is returned."""

from __future__ import annotations

import heapq
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from tokencalc.clock import instant_from, instant_from_micros, micros_from_instant
from tokencalc.context import label_from
from tokencalc.counts import whole_count
from tokencalc.ledger.rows import decoding
from tokencalc.ledger.sample_figures import series_named
from tokencalc.ledger.samples import Sample, labels_from

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from tokencalc.ledger.sqlite import SqliteStore

    _Place = tuple[int, int, int, int]
    _Row = tuple[int, int, int, int, float]
    _Series = dict[int, Sample]

_PAGE_ROWS = 500
_FOREVER_US = 2**62


class Bounds(NamedTuple):
    """An interval in microseconds: its start belongs to it, its end does not."""

    since_us: int
    until_us: int

    @classmethod
    def of(cls, since: datetime | str | None, until: datetime | str | None) -> Bounds:
        """Read both ends; None is open."""
        return cls(
            -_FOREVER_US if since is None else micros_from_instant(instant_from(since, name="since")),
            _FOREVER_US if until is None else micros_from_instant(instant_from(until, name="until")),
        )


def history(
    store: SqliteStore, name: str, bounds: Bounds, *, limit: int | None, labels: Mapping[str, str] | None
) -> Iterator[Sample]:
    """Yield a metric's samples, the newest first, in pages without a lock between them.

    ``labels`` keeps the series that have all of these labels.
    """
    wanted, metric = labels_from(labels), label_from(name, name="name")
    left = None if limit is None else whole_count(limit, path="limit")
    return _pages(store, metric, wanted, bounds, left)


def _pages(
    store: SqliteStore, name: str, wanted: Mapping[str, str], bounds: Bounds, left: int | None
) -> Iterator[Sample]:
    store.samples.flush()
    before: _Place = (bounds.until_us, -1, -1, -1)  # above all that comes before the end
    while left is None or left > 0:
        rows = _PAGE_ROWS if left is None else min(left, _PAGE_ROWS)
        with store.reading() as connection, decoding(store.name, f"the samples of {name}"):
            series = _series(connection, name, wanted)
            page = _page(connection, series, bounds.since_us, before, rows)
            found = [
                replace(series[number], at=instant_from_micros(at_us), process=process, value=value)
                for at_us, number, process, _, value in page
            ]
        yield from found
        if len(page) < rows:
            return
        before = page[-1][:4]
        left = None if left is None else left - rows


def average(store: SqliteStore, name: str, bounds: Bounds, *, labels: Mapping[str, str] | None) -> float | None:
    """Return the mean of a metric's samples; None where there is none."""
    wanted, metric = labels_from(labels), label_from(name, name="name")
    store.samples.flush()
    samples, total = 0, 0.0
    with store.reading() as connection, decoding(store.name, f"the samples of {metric}"):
        for number in _series(connection, metric, wanted):
            some, summed = connection.execute(
                "SELECT count(*), total(value) FROM sample WHERE series_id = ? AND at_us >= ? AND at_us < ?",
                (number, *bounds),
            ).fetchone()
            samples, total = samples + some, total + summed
    return total / samples if samples else None


def dropped(store: SqliteStore) -> int:
    """Return how many samples were dropped in this ledger's life, because there was no time to write them."""
    store.samples.flush()
    with store.reading() as connection:
        return dropped_so_far(connection)


def dropped_so_far(connection: sqlite3.Connection) -> int:
    """Return the count that the ledger keeps of dropped samples."""
    (found,) = connection.execute("SELECT dropped FROM sample_drop").fetchone()
    return int(found)


def _series(connection: sqlite3.Connection, name: str, wanted: Mapping[str, str]) -> _Series:
    """Return the metric's series that have the wanted labels, each as a sample without its figure."""
    plain = Sample(name=name, at=instant_from_micros(0), value=0)
    return {
        one.number: replace(plain, unit=one.unit or None, labels=one.labels, host=one.host, source=one.source or None)
        for one in series_named(connection, name, wanted)
    }


def _page(connection: sqlite3.Connection, series: _Series, since_us: int, before: _Place, rows: int) -> list[_Row]:
    """Return the newest rows before a place, over all series: each gives its own in order, and they are merged."""
    found = [
        connection.execute(
            "SELECT at_us, series_id, process, number, value FROM sample WHERE series_id = ? AND at_us >= ? "
            "AND at_us <= ? AND (at_us, series_id, process, number) < (?, ?, ?, ?) "
            "ORDER BY at_us DESC, process DESC, number DESC LIMIT ?",
            (number, since_us, before[0], *before, rows),
        )
        for number in series
    ]
    return list(islice(heapq.merge(*found, reverse=True), rows))
