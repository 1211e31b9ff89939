"""What an entry comes to with its corrections: the one row that was written, and those that came after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokencalc.clock import micros_from_instant
from tokencalc.ledger.query import entries_where

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from tokencalc.cost import CostLine
    from tokencalc.ledger.records import AmountSource, Entry
    from tokencalc.ledger.sqlite import SqliteStore
    from tokencalc.usage import Meter

_PAGE_ROWS = 200
"""Charges that are read, and corrected, at a time: small enough to keep no other writer waiting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """An entry and its corrections, the oldest first: what totals and budgets count for it by now."""

    entry: Entry
    corrections: tuple[Entry, ...] = ()

    @property
    def newest_correction(self) -> int:
        """The sequence of the newest correction, 0 where there is none."""
        return self.corrections[-1].sequence if self.corrections else 0

    @property
    def counted_pico(self) -> int:
        """What totals and budgets count for it, in pico-dollars."""
        return sum(entry.amount_pico or 0 for entry in (self.entry, *self.corrections))

    def counted_before(self, sequence: int) -> int:
        """What was counted for it before the entry of that sequence was written, in pico-dollars."""
        return sum(entry.amount_pico or 0 for entry in (self.entry, *self.corrections) if entry.sequence < sequence)

    @property
    def is_unpriced(self) -> bool:
        """Whether it is still counted as unpriced."""
        return sum(entry.unpriced_calls for entry in (self.entry, *self.corrections)) > 0

    @property
    def has_no_price(self) -> bool:
        """Whether nothing of it has a price, so that nothing is counted."""
        return not self.corrections and self.entry.amount_pico is None

    @property
    def amount_source(self) -> AmountSource | None:
        """Where the counted amount is from; corrections of charges are made by our own prices."""
        return self.corrections[-1].amount_source if self.corrections else self.entry.amount_source

    @property
    def lines(self) -> tuple[CostLine, ...]:
        """The lines that are right by now."""
        return self.corrections[-1].lines if self.corrections else self.entry.lines

    @property
    def unpriced(self) -> tuple[Meter, ...]:
        """The meters that have no rate by now; empty too where nothing is known of the model's price."""
        return self.corrections[-1].unpriced if self.corrections else self.entry.unpriced


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargesWanted:
    """Which charges to look at: those of ``[since, until)``, of these models and providers, or of all."""

    since: datetime
    until: datetime | None = None
    models: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()

    def condition(self) -> tuple[str, list[object]]:
        """Return the SQL condition on entries, and its values."""
        until_us = 2**62 if self.until is None else micros_from_instant(self.until)
        text = "kind = 'charge' AND at_us < ?"
        tests = [
            f"{column} IN ({','.join('?' * len(names))})"
            for column, names in (("model", self.models), ("provider", self.providers))
            if names
        ]
        if tests:
            text += f" AND dimension_id IN (SELECT dimension_id FROM dimension WHERE {' AND '.join(tests)})"
        return text, [until_us, *self.models, *self.providers]


def count_charges(store: SqliteStore, wanted: ChargesWanted) -> int:
    """Return how many charges there are to look at."""
    where, values = wanted.condition()
    with store.reading() as connection:
        row = connection.execute(
            f"SELECT count(*) FROM entry WHERE at_us >= ? AND {where}", (micros_from_instant(wanted.since), *values)
        ).fetchone()
    return int(row[0])


def charges(store: SqliteStore, wanted: ChargesWanted) -> Iterator[list[Standing]]:
    """Yield charges with their corrections, in pages and in order of time, without holding a lock between pages."""
    where, values = wanted.condition()
    after = (micros_from_instant(wanted.since), -1)
    while True:
        with store.reading() as connection:
            page = entries_where(
                connection,
                store,
                f"(at_us, sequence) > (?, ?) AND {where} ORDER BY at_us, sequence LIMIT {_PAGE_ROWS}",
                (*after, *values),
            )
            found = _with_corrections(connection, store, page)
        if found:
            yield found
        if len(page) < _PAGE_ROWS:
            return
        after = (micros_from_instant(page[-1].at), page[-1].sequence)


def standing(store: SqliteStore, sequence: int) -> Standing | None:
    """Return the entry of that place in the chain with its corrections, or None where there is none."""
    with store.reading() as connection:
        page = entries_where(connection, store, "sequence = ?", (sequence,))
        found = _with_corrections(connection, store, page)
    return found[0] if found else None


def _with_corrections(connection: sqlite3.Connection, store: SqliteStore, page: Sequence[Entry]) -> list[Standing]:
    marks = ",".join("?" * len(page))
    rows = entries_where(
        connection, store, f"corrects IN ({marks}) ORDER BY sequence", [entry.sequence for entry in page]
    )
    found: dict[str | None, list[Entry]] = {}
    for row in rows:
        found.setdefault(row.corrects, []).append(row)
    return [Standing(entry=entry, corrections=tuple(found.get(entry.entry_id, ()))) for entry in page]
