"""Figures of a stretch of samples, for rules: the newest ones, a mean, the growth of a counter."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping

_WINDOW = "FROM sample WHERE series_id = ? AND at_us > ? AND at_us <= ?"
_STATISTICS: Mapping[str, str] = {
    "mean": f"SELECT avg(value) {_WINDOW}",
    "min": f"SELECT min(value) {_WINDOW}",
    "max": f"SELECT max(value) {_WINDOW}",
    "sum": f"SELECT sum(value) {_WINDOW}",
}
# Each sample against the one before it of the same process, which may lie before the window. A lower one was counted
# anew from 0. With a process's first sample its counting begins.
_INCREASE = f"""
    SELECT sum(CASE WHEN before IS NULL THEN 0 WHEN value >= before THEN value - before ELSE value END)
    FROM (SELECT at_us, value, lag(value) OVER (PARTITION BY process ORDER BY at_us, number) AS before {_WINDOW})
    WHERE at_us > ?
"""  # our own names


class Series(NamedTuple):
    """One row of `series`: where its samples lie, and what they are of."""

    number: int
    labels: Mapping[str, str]
    host: str
    unit: str
    source: str


def series_named(connection: sqlite3.Connection, name: str, labels: Mapping[str, str]) -> Iterator[Series]:
    """Yield a metric's series that have all of these labels; a damaged row raises what it makes of its reader."""
    for number, text, host, unit, source in connection.execute(
        "SELECT series_id, labels, host, unit, source FROM series WHERE name = ? ORDER BY series_id", (name,)
    ).fetchall():
        said = json.loads(text)
        if labels.items() <= said.items():
            yield Series(number, said, host, unit, source)


def has_series(connection: sqlite3.Connection, name: str) -> bool:
    """Whether the ledger has samples of that name."""
    return connection.execute("SELECT 1 FROM series WHERE name = ? LIMIT 1", (name,)).fetchone() is not None


def newest_us(connection: sqlite3.Connection, series: int) -> int | None:
    """Return the instant of a series' newest sample."""
    found: int | None = connection.execute("SELECT max(at_us) FROM sample WHERE series_id = ?", (series,)).fetchone()[0]
    return found


def newest(connection: sqlite3.Connection, series: int, since_us: int, until_us: int) -> dict[int, float]:
    """Return each process's newest value after an instant and up to another."""
    # SQLite gives the value of the row that has the greatest instant.
    rows = connection.execute(
        f"SELECT process, value, max(at_us) {_WINDOW} GROUP BY process",  # our own names
        (series, since_us, until_us),
    )
    return {process: value for process, value, _ in rows}


def figure(connection: sqlite3.Connection, series: int, statistic: str, since_us: int, until_us: int) -> float | None:
    """Return mean, min, max, sum or increase of what came after an instant and up to another; None where nothing did.

    An increase is that of a counter: what each process counted, also where it began again from 0 in between.
    """
    if statistic == "increase":
        earlier_us = 2 * since_us - until_us
        row = connection.execute(_INCREASE, (series, earlier_us, until_us, since_us)).fetchone()
    else:
        row = connection.execute(_STATISTICS[statistic], (series, since_us, until_us)).fetchone()
    found: float | None = row[0]
    return found


def backwards(
    connection: sqlite3.Connection, series: int, process: int | None, since_us: int, until_us: int
) -> Iterator[tuple[int, float]]:
    """Yield instant and value of samples after an instant and up to another, the newest first; None is any process."""
    return connection.execute(
        f"SELECT at_us, value {_WINDOW} AND (? IS NULL OR process = ?) "  # our own names
        "ORDER BY at_us DESC, process DESC, number DESC",
        (series, since_us, until_us, process, process),
    )
