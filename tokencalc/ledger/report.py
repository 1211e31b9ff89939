"""Sums of what was booked, by the keys of a call and by time.

A report sums whole quarter-hours from the rollup and only the ends of its
interval from entries, so that its cost hardly depends on how many entries there
are. All sums are of integers, in two halves, because one sum may overflow.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NamedTuple

from tokencalc.clock import micros_from_instant
from tokencalc.errors import CallInvalid
from tokencalc.ledger.codec import money_from_row
from tokencalc.ledger.query import bounds_us
from tokencalc.ledger.records import DIMENSION_KEYS
from tokencalc.ledger.rows import DIMENSION_COLUMNS, MONEY_COLUMNS, decoding, dimension_from_row
from tokencalc.ledger.schema import PICO_PER_MICRO, QUARTER_US
from tokencalc.ledger.unpriced import Unpriced, unpriced_calls
from tokencalc.money import usd_from_pico
from tokencalc.periods import zone_from
from tokencalc.usage import token_totals

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from decimal import Decimal
    from zoneinfo import ZoneInfo

    from tokencalc.ledger.records import Dimension
    from tokencalc.ledger.sqlite import SqliteStore

TIME_KEYS = {"day": "%Y-%m-%d", "hour": "%Y-%m-%dT%H:00%z"}
GROUP_KEYS = (*DIMENSION_KEYS, "notional", *TIME_KEYS)
"""What a report can group and filter by."""

_FOREVER_QUARTER = 2**40
_QUARTER_S = QUARTER_US // 10**6

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

    @property
    def figures(self) -> tuple[int, ...]:
        """The sums in the order of the fields."""
        return tuple([getattr(self, name) for name in _FIGURES])

    def __getattr__(self, name: str) -> Any:
        """Return a key of the group."""
        if name in self.key:
            return self.key[name]
        raise AttributeError(f"no figure or key {name!r} in this report; keys: {', '.join(self.key) or 'none'}")


class Sums:
    """The figures of groups, added up as they come."""

    def __init__(self, keys: Sequence[str]) -> None:
        """Group by the given keys; a group is a value for each."""
        self._keys = keys
        self._sums: dict[tuple[str | bool | None, ...], list[int]] = {}

    def add(self, group: tuple[str | bool | None, ...], figures: Sequence[int]) -> None:
        """Add figures, in the order of a row's fields, to those of a group."""
        sums = self._sums.setdefault(group, [0] * len(_FIGURES))
        for place, figure in enumerate(figures):
            sums[place] += figure

    def rows(self) -> tuple[ReportRow, ...]:
        """Return the groups in descending cost."""
        rows = [_row(dict(zip(self._keys, group, strict=True)), sums) for group, sums in self._sums.items()]
        rows.sort(key=lambda row: (-row.cost_pico, -row.calls, [str(value or "") for value in row.key.values()]))
        return tuple(rows)

    def total(self) -> ReportRow:
        """Return the sum of all groups, as a row without keys."""
        return _row({}, [sum(column) for column in zip(*self._sums.values(), strict=True)])


_FIGURES = tuple(figure.name for figure in fields(ReportRow))[1:]
_TOKENS = tuple(name for name in _FIGURES if name.endswith("_tokens"))
_COLUMNS = ("calls", "unpriced_calls", "cost_micro", "cost_rest", *_TOKENS)
"""The sums of a rollup: a row's figures, the cost in two halves."""


def _row(key: Mapping[str, str | bool | None], figures: Sequence[int]) -> ReportRow:
    return ReportRow(key=key, **dict(zip(_FIGURES, figures, strict=bool(figures))))


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

    def by(self, group_by: Sequence[str]) -> Report:
        """Return the same report by only some of its keys, without another look at the ledger."""
        sums = Sums(group_by)
        for row in self.rows:
            sums.add(tuple(row.key[key] for key in group_by), row.figures)
        return replace(self, group_by=tuple(group_by), rows=sums.rows())


def report(  # noqa: PLR0913  # keyword only
    store: SqliteStore,
    *,
    group_by: Sequence[str],
    since: datetime | None = None,
    until: datetime | None = None,
    where: Mapping[str, str | bool | None] | None = None,
    timezone: str = "UTC",
    with_tokens: bool = True,
) -> Report:
    """Sum what was booked in ``[since, until)`` by the given keys; CallInvalid names an unknown key.

    Without tokens their sums are 0, and it takes some half of the time.
    """
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
    sums = Sums(keys)
    with store.reading() as connection, decoding(store.name, "an entry, a rollup or their dimension"):
        dimensions = _dimensions(connection)
        kept = {
            number: dimension
            for number, dimension in dimensions.items()
            if all((getattr(dimension, key) or None) == (value or None) for key, value in wanted.items())
        }
        times = tuple(TIME_KEYS[key] for key in keys if key in TIME_KEYS)
        columns = tuple(key for key in keys if key not in TIME_KEYS)
        asked = _Asked(columns, wanted, lambda quarter: _labels(quarter, zone, times), with_tokens)
        for labels, dimension_id, figures in _figures(connection, since, until, asked) if kept else ():
            dimension = dimensions[dimension_id]
            if dimension_id not in kept:
                continue
            said = iter(labels)
            group = tuple(next(said) if key in TIME_KEYS else _key_value(key, dimension) for key in keys)
            sums.add(group, figures)
        total = sums.total()
        unpriced = unpriced_calls(connection, kept, bounds_us(since, until)) if total.unpriced_calls else ()
    return Report(
        group_by=tuple(keys),
        rows=sums.rows(),
        total=total,
        since=since,
        until=until,
        timezone=timezone,
        unpriced=unpriced,
    )


def _labels(quarter: int, zone: ZoneInfo, formats: tuple[str, ...]) -> _Labels:
    if not formats:
        return ()
    local = datetime.fromtimestamp(quarter * _QUARTER_S, zone)
    return tuple(local.strftime(form) for form in formats)


def _key_value(key: str, dimension: Dimension) -> str | bool | None:
    value = getattr(dimension, key)
    return value if isinstance(value, bool) else value or None


def _dimensions(connection: sqlite3.Connection) -> dict[int, Dimension]:
    rows = connection.execute(f"SELECT {DIMENSION_COLUMNS}, dimension_id FROM dimension")
    return {row[8]: dimension_from_row(row) for row in rows}


class _Asked(NamedTuple):
    """What SQLite sums by: columns of a dimension, what to keep of them, and what a quarter-hour is called."""

    columns: tuple[str, ...]
    wanted: Mapping[str, str | bool | None]
    labels_of: Callable[[int], _Labels]
    with_tokens: bool

    def statement(self) -> tuple[str, tuple[object, ...]]:
        """The statement for a stretch of quarters: each group's sums with the number of any one of its dimensions.

        Quarters are summed by dimension first: that reads their numbers alone, and leaves few rows to look up.
        What has no dimension makes a group of its own, so that it is found out and not left out.
        """
        kept = " AND ".join(f"dimension.{key} = ?" for key in self.wanted) or "1"
        groups = ", ".join(f"dimension.{key}" for key in self.columns) or "dimension.model IS NULL"
        names = _COLUMNS if self.with_tokens else _COLUMNS[: -len(_TOKENS)]
        sums = ", ".join(f"sum({name}) AS {name}" for name in names)
        tokens = "" if self.with_tokens else ", 0" * len(_TOKENS)
        statement = (
            f"SELECT min(part.dimension_id), {sums}{tokens} FROM (SELECT dimension_id, {sums} FROM rollup "
            "WHERE quarter >= ? AND quarter <= ? GROUP BY dimension_id) AS part LEFT JOIN dimension "
            f"USING (dimension_id) WHERE dimension.model IS NULL OR ({kept}) GROUP BY {groups}"
        )
        return statement, tuple(value or "" if key in _TEXTS else bool(value) for key, value in self.wanted.items())


_TEXTS = frozenset(DIMENSION_KEYS)


def _figures(
    connection: sqlite3.Connection, since: datetime | None, until: datetime | None, asked: _Asked
) -> Iterator[tuple[_Labels, int, Sequence[int]]]:
    """Yield (time labels, dimension id, figures): whole quarters from the rollup, the interval's ends from entries."""
    labels_of = asked.labels_of
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
    statement, values = asked.statement()
    for labels, bounds in _stretches(connection, first, last, labels_of):
        for number, calls, unpriced, micro, rest, *tokens in connection.execute(statement, (*bounds, *values)):
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
