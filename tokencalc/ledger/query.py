"""Reading the book row by row: entries, crossings, excess."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tokencalc.clock import instant_from_micros, micros_from_instant
from tokencalc.counts import whole_count
from tokencalc.ledger.records import Crossing, ExcessItem, entry_id
from tokencalc.ledger.rows import (
    DIMENSION_COLUMNS,
    ENTRY_COLUMNS,
    decoding,
    dimension_from_row,
    entry_from_row,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from tokencalc.ledger.records import Dimension, Entry
    from tokencalc.ledger.sqlite import SqliteStore

_PAGE_ROWS = 500
_FOREVER_US = 2**62


def bounds_us(since: datetime | None, until: datetime | None) -> tuple[int, int]:
    """Return an interval in microseconds since 1970; what is open ends far outside every book."""
    return (
        -_FOREVER_US if since is None else micros_from_instant(since),
        _FOREVER_US if until is None else micros_from_instant(until),
    )


def entries(
    store: SqliteStore, *, since: datetime | None = None, until: datetime | None = None, limit: int | None = None
) -> Iterator[Entry]:
    """Yield entries of ``[since, until)``, the newest written first, in pages, without holding a lock between them."""
    bounds = bounds_us(since, until)
    if limit is not None:
        whole_count(limit, path="limit")
    before, left = 2**62, limit
    while left is None or left > 0:
        page_rows = _PAGE_ROWS if left is None else min(left, _PAGE_ROWS)
        with store.reading() as connection:
            found = entries_where(
                connection,
                store,
                "sequence < ? AND at_us >= ? AND at_us < ? AND kind <> 'budget' ORDER BY sequence DESC LIMIT ?",
                (before, *bounds, page_rows),
            )
        yield from found
        if len(found) < page_rows:
            return
        before = found[-1].sequence
        left = None if left is None else left - len(found)


def entries_where(
    connection: sqlite3.Connection, store: SqliteStore, where: str, values: Sequence[object]
) -> list[Entry]:
    """Return the entries for which a condition of our own holds; LedgerCorrupt names a row that cannot be read."""
    rows = connection.execute(f"SELECT {ENTRY_COLUMNS} FROM entry WHERE {where}", values).fetchall()
    dimensions: dict[int, Dimension] = {}
    found: list[Entry] = []
    for row in rows:
        with decoding(store.name, f"entry {row[0]}"):
            if row[1] not in dimensions:
                dimensions[row[1]] = _dimension(connection, row[1])
            found.append(entry_from_row(row, dimensions[row[1]], store.chain_id))
    return found


def digests_of(connection: sqlite3.Connection, sequences: Sequence[int]) -> set[tuple[int, str]]:
    """Return (sequence, digest) of those entries that exist; at most a few thousand are asked for at once."""
    rows = connection.execute(
        f"SELECT sequence, digest FROM entry WHERE sequence IN ({','.join('?' * len(sequences))})", list(sequences)
    )
    return {(sequence, digest.hex()) for sequence, digest in rows}


def _dimension(connection: sqlite3.Connection, dimension_id: int) -> Dimension:
    return dimension_from_row(
        connection.execute(
            f"SELECT {DIMENSION_COLUMNS} FROM dimension WHERE dimension_id = ?", (dimension_id,)
        ).fetchone()
    )


def crossings(connection: sqlite3.Connection, *, period_id: int | None = None) -> tuple[Crossing, ...]:
    """Return crossings in the order in which they were written, of one period or of all."""
    found = _crossings(connection, "? IS NULL OR period_id = ? ORDER BY crossing_id", (period_id, period_id))
    return tuple(crossing for _, crossing in found)


def newest_crossings(connection: sqlite3.Connection, limit: int) -> tuple[tuple[int, Crossing], ...]:
    """Return the last crossings of periods that were open then, the newest first, each with its number."""
    return tuple(_crossings(connection, "in_open_period = 1 ORDER BY crossing_id DESC LIMIT ?", (limit,)))


def _crossings(
    connection: sqlite3.Connection, where: str, values: tuple[int | None, ...]
) -> Iterator[tuple[int, Crossing]]:
    rows = connection.execute(
        "SELECT crossing_id, budget.name, scope_value, period_key, threshold_percent, at_us, recorded_us, "
        "crossing.spent_pico, crossing.limit_pico, in_open_period FROM crossing JOIN budget_period USING (period_id) "
        f"JOIN budget USING (budget_id) WHERE {where}",
        values,
    )
    for number, name, value, key, percent, at_us, recorded_us, spent, limit, in_open in rows:
        yield (
            number,
            Crossing(
                budget=name,
                scope_value=value or None,
                period_key=key,
                threshold_percent=percent,
                at=instant_from_micros(at_us),
                recorded_at=instant_from_micros(recorded_us),
                spent_pico=spent,
                limit_pico=limit,
                in_open_period=bool(in_open),
            ),
        )


def excess(connection: sqlite3.Connection, period_id: int, chain_id: str) -> tuple[ExcessItem, ...]:
    """Return the facts that took one period above its limit, in the order in which they were written."""
    rows = connection.execute(
        "SELECT reason, amount_pico, at_us, entry_sequence FROM excess WHERE period_id = ? ORDER BY excess_id",
        (period_id,),
    )
    return tuple(
        ExcessItem(
            reason=reason,
            amount_pico=amount,
            at=instant_from_micros(at_us),
            entry_id=None if sequence is None else entry_id(chain_id, sequence),
        )
        for reason, amount, at_us, sequence in rows
    )


class Passed(NamedTuple):
    """A threshold that a period passed while it was open, with how that period stands now."""

    number: int
    period: int
    budget: str
    scope_value: str
    period_key: str
    percent: int
    start_us: int | None
    end_us: int | None
    limit_pico: int
    spent_pico: int
    passed_pico: int
    passed_limit_pico: int


def passed(connection: sqlite3.Connection, percents: tuple[int, int], now_us: int, late_us: int) -> Iterator[Passed]:
    """Yield what was passed from one percentage up to, not including, another, in the order in which it was written.

    That is of periods that are not over, and of those that were over when it was noticed not more than ``late_us`` ago.
    """
    rows = connection.execute(
        "SELECT crossing_id, period_id, budget.name, scope_value, period_key, threshold_percent, start_us, end_us, "
        "budget_period.limit_pico, budget_period.spent_pico, crossing.spent_pico, crossing.limit_pico "
        "FROM crossing JOIN budget_period USING (period_id) JOIN budget USING (budget_id) "
        "WHERE in_open_period = 1 AND threshold_percent >= ? AND threshold_percent < ? "
        "AND (end_us IS NULL OR end_us > ? OR recorded_us > ?) ORDER BY crossing_id",
        (*percents, now_us, now_us - late_us),
    )
    return map(Passed._make, rows)


def is_over(connection: sqlite3.Connection, crossing: int, before_us: int) -> bool:
    """Whether the period of a crossing was over before an instant."""
    row = connection.execute(
        "SELECT end_us FROM crossing JOIN budget_period USING (period_id) WHERE crossing_id = ?", (crossing,)
    ).fetchone()
    return row is None or (row[0] is not None and row[0] < before_us)
