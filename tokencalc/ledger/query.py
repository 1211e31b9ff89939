"""Reading the book: reports from rollups, entries, holds, crossings, excess.

A report sums whole quarter-hours from the rollup and only the ends of its
interval from entries, so that its cost hardly depends on how many entries there
are. All sums are of integers, in two halves, because one sum may overflow.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from tokencalc.clock import instant_from_micros, micros_from_instant
from tokencalc.errors import CallInvalid
from tokencalc.ledger.codec import money_from_row
from tokencalc.ledger.records import DIMENSION_KEYS, Crossing, ExcessItem, entry_id
from tokencalc.ledger.rows import (
    DIMENSION_COLUMNS,
    ENTRY_COLUMNS,
    MONEY_COLUMNS,
    decoding,
    dimension_from_row,
    entry_from_row,
)
from tokencalc.ledger.schema import PICO_PER_MICRO, QUARTER_US
from tokencalc.ledger.unpriced import Unpriced, unpriced_calls
from tokencalc.money import usd_from_pico
from tokencalc.periods import zone_from
from tokencalc.usage import token_totals, whole_count

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime
    from decimal import Decimal
    from zoneinfo import ZoneInfo

    from tokencalc.ledger.records import Dimension, Entry
    from tokencalc.ledger.sqlite import SqliteStore

TIME_KEYS = {"day": "%Y-%m-%d", "hour": "%Y-%m-%dT%H:00%z"}
GROUP_KEYS = (*DIMENSION_KEYS, "notional", *TIME_KEYS)
"""What a report can group and filter by."""

_PAGE_ROWS = 500
_FIGURES = 8
_FOREVER_QUARTER = 2**40
_FOREVER_US = 2**62

_Labels = tuple[str, ...]
"""What a report by day or hour calls a quarter-hour; empty where it does not group by time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRow:
    """One group's sums; the group's keys can be read as attributes too (``row.model``).

    ``cost_pico`` sums what has a price; ``unpriced_calls`` counts charges that
    have none, or not for every meter. Tokens: totals include their parts.
    """

    key: Mapping[str, str | bool | None] = field(default_factory=dict)
    calls: int = 0
    unpriced_calls: int = 0
    cost_pico: int = 0
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def cost_usd(self) -> Decimal:
        """The sum of what has a price, in dollars."""
        return usd_from_pico(self.cost_pico)

    def __getattr__(self, name: str) -> Any:
        """Return a key of the group."""
        if name in self.key:
            return self.key[name]
        raise AttributeError(f"no figure or key {name!r} in this report; keys: {', '.join(self.key) or 'none'}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Rows in descending cost, their total, and by model and reason the calls that have no whole price."""

    group_by: tuple[str, ...]
    rows: tuple[ReportRow, ...]
    total: ReportRow
    since: datetime | None
    until: datetime | None
    timezone: str
    unpriced: tuple[Unpriced, ...] = ()

    @property
    def unpriced_calls(self) -> int:
        """Charges without a full price, over all rows."""
        return self.total.unpriced_calls


def report(  # noqa: PLR0913  # keyword only
    store: SqliteStore,
    *,
    group_by: Sequence[str],
    since: datetime | None = None,
    until: datetime | None = None,
    where: Mapping[str, str | bool | None] | None = None,
    timezone: str = "UTC",
) -> Report:
    """Sum what was booked in ``[since, until)`` by the given keys; CallInvalid names an unknown key."""
    keys = (group_by,) if isinstance(group_by, str) else group_by
    wanted = {} if where is None else where
    if not isinstance(keys, list | tuple) or not isinstance(wanted, dict):
        raise CallInvalid(
            f"report: expected keys to group by and a mapping of what to keep, found {keys!r:.60} and {wanted!r:.60}",
            path="where" if isinstance(keys, list | tuple) else "group_by",
            found=wanted if isinstance(keys, list | tuple) else keys,
        )
    for key in (*keys, *wanted):
        if key not in GROUP_KEYS or (key in wanted and key in TIME_KEYS):
            near = get_close_matches(str(key), GROUP_KEYS, n=1)
            raise CallInvalid(
                f"report key: expected one of {', '.join(GROUP_KEYS)}, found {key!r:.60}"
                + (f"; did you mean {near[0]}?" if near else ""),
                path="group_by",
                found=key,
            )
    zone = zone_from(timezone)
    sums: dict[tuple[object, ...], list[int]] = {}
    with store.reading() as connection, decoding(store.name, "an entry, a rollup or their dimension"):
        dimensions = _dimensions(connection)
        kept = {
            number: dimension
            for number, dimension in dimensions.items()
            if all((getattr(dimension, key) or None) == (value or None) for key, value in wanted.items())
        }
        times = tuple(TIME_KEYS[key] for key in keys if key in TIME_KEYS)
        for labels, dimension_id, figures in _figures(
            connection, since, until, lambda quarter: _labels(quarter, zone, times)
        ):
            dimension = dimensions[dimension_id]
            if dimension_id not in kept:
                continue
            said = iter(labels)
            group = tuple(next(said) if key in TIME_KEYS else _key_value(key, dimension) for key in keys)
            row = sums.setdefault(group, [0] * _FIGURES)
            for index in range(_FIGURES):
                row[index] += figures[index]
        total = _row({}, [sum(column) for column in zip(*sums.values(), strict=True)] or [0] * _FIGURES)
        unpriced = unpriced_calls(connection, kept, _bounds(since, until)) if total.unpriced_calls else ()
    rows = [_row(dict(zip(keys, group, strict=True)), figures) for group, figures in sums.items()]
    rows.sort(key=lambda row: (-row.cost_pico, -row.calls, [str(value or "") for value in row.key.values()]))
    return Report(
        group_by=tuple(keys),
        rows=tuple(rows),
        total=total,
        since=since,
        until=until,
        timezone=timezone,
        unpriced=unpriced,
    )


def _bounds(since: datetime | None, until: datetime | None) -> tuple[int, int]:
    return (
        -_FOREVER_US if since is None else micros_from_instant(since),
        _FOREVER_US if until is None else micros_from_instant(until),
    )


def _row(key: dict[str, Any], figures: Sequence[int]) -> ReportRow:
    calls, unpriced, cost, tokens_in, read, write, tokens_out, reasoning = figures
    return ReportRow(
        key=key,
        calls=calls,
        unpriced_calls=unpriced,
        cost_pico=cost,
        input_tokens=tokens_in,
        cache_read_tokens=read,
        cache_write_tokens=write,
        output_tokens=tokens_out,
        reasoning_tokens=reasoning,
    )


def _labels(quarter: int, zone: ZoneInfo, formats: tuple[str, ...]) -> _Labels:
    if not formats:
        return ()
    local = instant_from_micros(quarter * QUARTER_US).astimezone(zone)
    return tuple(local.strftime(form) for form in formats)


def _key_value(key: str, dimension: Dimension) -> str | bool | None:
    value = getattr(dimension, key)
    return value if isinstance(value, bool) else value or None


def _dimensions(connection: sqlite3.Connection) -> dict[int, Dimension]:
    rows = connection.execute(f"SELECT {DIMENSION_COLUMNS}, dimension_id FROM dimension")
    return {row[8]: dimension_from_row(row) for row in rows}


def _figures(
    connection: sqlite3.Connection,
    since: datetime | None,
    until: datetime | None,
    labels_of: Callable[[int], _Labels],
) -> Iterator[tuple[_Labels, int, Sequence[int]]]:
    """Yield (time labels, dimension id, figures): whole quarters from the rollup, the interval's ends from entries."""
    start_us = None if since is None else micros_from_instant(since)
    end_us = None if until is None else micros_from_instant(until)
    first = -_FOREVER_QUARTER if start_us is None else -(-start_us // QUARTER_US)
    last = _FOREVER_QUARTER if end_us is None else end_us // QUARTER_US
    if first >= last:
        # The interval lies inside one quarter-hour, or ends in the one after.
        assert start_us is not None  # noqa: S101  # an open start is before every quarter; this tells mypy
        assert end_us is not None  # noqa: S101
        yield from _entry_figures(connection, (start_us, end_us), labels_of)
        return
    if start_us is not None:
        yield from _entry_figures(connection, (start_us, first * QUARTER_US), labels_of)
    if end_us is not None:
        yield from _entry_figures(connection, (last * QUARTER_US, end_us), labels_of)
    for labels, bounds in _stretches(connection, first, last, labels_of):
        for number, calls, unpriced, micro, rest, *tokens in connection.execute(
            "SELECT dimension_id, sum(calls), sum(unpriced_calls), sum(cost_micro), sum(cost_rest), "
            "sum(input_tokens), sum(cache_read_tokens), sum(cache_write_tokens), sum(output_tokens), "
            "sum(reasoning_tokens) FROM rollup WHERE quarter >= ? AND quarter <= ? GROUP BY dimension_id",
            bounds,
        ):
            yield labels, number, (calls, unpriced, micro * PICO_PER_MICRO + rest, *tokens)


def _stretches(
    connection: sqlite3.Connection, first: int, last: int, labels_of: Callable[[int], _Labels]
) -> list[tuple[_Labels, tuple[int, int]]]:
    """Return the stretches of quarters, bounds included, that share their labels: SQLite sums each of them."""
    if not labels_of(0):
        return [((), (first, last - 1))]
    found: list[tuple[_Labels, tuple[int, int]]] = []
    for (quarter,) in connection.execute(
        "SELECT DISTINCT quarter FROM rollup WHERE quarter >= ? AND quarter < ? ORDER BY quarter", (first, last)
    ):
        labels = labels_of(quarter)
        if found and found[-1][0] == labels:
            found[-1] = (labels, (found[-1][1][0], quarter))
        else:
            found.append((labels, (quarter, quarter)))
    return found


def _entry_figures(
    connection: sqlite3.Connection, bounds: tuple[int, int], labels_of: Callable[[int], _Labels]
) -> Iterator[tuple[_Labels, int, Sequence[int]]]:
    for at_us, dimension_id, kind, amount, unpriced, *texts in connection.execute(
        "SELECT at_us, dimension_id, kind, amount_pico, unpriced, "
        f"{MONEY_COLUMNS} FROM entry "
        "WHERE at_us >= ? AND at_us < ? AND kind <> 'budget'",
        bounds,
    ):
        usage, _ = money_from_row(*texts)
        tokens = (0, 0, 0, 0, 0) if usage is None else token_totals(usage.leaves)
        yield labels_of(at_us // QUARTER_US), dimension_id, (int(kind == "charge"), unpriced, amount or 0, *tokens)


def entries(
    store: SqliteStore, *, since: datetime | None = None, until: datetime | None = None, limit: int | None = None
) -> Iterator[Entry]:
    """Yield entries of ``[since, until)``, the newest written first, in pages, without holding a lock between them."""
    bounds = _bounds(since, until)
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
    rows = connection.execute(
        "SELECT budget.name, scope_value, period_key, threshold_percent, at_us, recorded_us, crossing.spent_pico, "
        "crossing.limit_pico, in_open_period FROM crossing JOIN budget_period USING (period_id) "
        "JOIN budget USING (budget_id) WHERE ? IS NULL OR period_id = ? ORDER BY crossing_id",
        (period_id, period_id),
    )
    return tuple(
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
        )
        for name, value, key, percent, at_us, recorded_us, spent, limit, in_open in rows
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
