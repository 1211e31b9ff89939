"""What the writer remembers of the book between batches: reads through a cache.

Rows stay valid until another connection commits (``PRAGMA data_version`` tells);
then all of it is dropped and read again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tokencalc.errors import LedgerVersionUnsupported
from tokencalc.ledger.codec import basis_from, basis_key
from tokencalc.ledger.rows import DIMENSION_COLUMNS, decoding, dimension_from_row, dimension_values, hold_detail
from tokencalc.ledger.schema import COPIED, SCHEMA_VERSION
from tokencalc.ledger.store import BudgetRow, HoldRow, PeriodRow, Replay

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Hashable, Sequence

    from tokencalc.cost import CostLine
    from tokencalc.ledger.codec import Basis, BasisKey
    from tokencalc.ledger.records import Dimension
    from tokencalc.usage import Usage

CACHE_ROWS = 20_000
"""Rows of one kind kept in memory between batches; past it they are read again."""
LOOKUP_ROWS = 500
"""Keys that one statement asks for at most."""
_US_PER_MS = 1_000
_ID_COLUMNS = {
    "dimension": "dimension_id",
    "basis": "basis_id",
    "budget": "budget_id",
    "budget_period": "period_id",
    "hold": "hold_id",
}


class CachedBook:
    """Cached rows of one SQLite ledger, seen from its writing connection."""

    def __init__(self, connection: sqlite3.Connection, chain_id: str, ledger: str) -> None:
        """Read from a connection whose transactions the store begins and ends."""
        self.chain_id = chain_id
        self.now_us = self.last_us = 0
        self._is_copied = False
        self._connection = connection
        self._ledger = ledger
        self._data_version: int | None = None
        self._replays: dict[str, Replay | None] = {}
        self._new_dimensions: list[tuple[object, ...]] = []
        self._new_bases: list[tuple[object, ...]] = []
        self._forget()

    def refresh(self) -> None:
        """Drop what was read if another connection has committed since."""
        (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        if version != self._data_version:
            self._refuse_newer()
            self._forget()
            self._load_counters()
            self._data_version = version

    def _refuse_newer(self) -> None:
        (found,) = self._connection.execute("PRAGMA user_version").fetchone()
        if found > SCHEMA_VERSION:
            raise LedgerVersionUnsupported(
                f"ledger {self._ledger}: a newer tokencalc has brought it to schema version {found} while it was open, "
                f"this one writes {SCHEMA_VERSION}; upgrade tokencalc. Nothing was written",
                ledger=self._ledger,
                found_version=found,
                supported_version=SCHEMA_VERSION,
            )

    def abandon(self) -> None:
        """Forget everything that was read; the next batch reads it again."""
        self._data_version = None

    def _forget(self) -> None:
        self._dimensions: dict[Dimension, int] = {}
        self._dimensions_by_id: dict[int, Dimension] = {}
        self.remembered: dict[Hashable, Any] = {}
        self._bases: dict[BasisKey, tuple[int, Basis]] = {}
        self._budgets: list[BudgetRow] | None = None
        self._periods: dict[tuple[int, int, str, str], PeriodRow] = {}
        self._periods_by_id: dict[int, PeriodRow] = {}
        self._holds: dict[int, HoldRow] = {}
        self._next: dict[str, int] = {}
        self._sequence: int = 0
        self._digest: bytes = b""

    def _load_counters(self) -> None:
        execute = self._connection.execute
        with decoding(self._ledger, "its clock"):
            (self.last_us,) = execute("SELECT last_us FROM clock").fetchone()
        self._is_copied = execute("SELECT 1 FROM meta WHERE key = ?", (COPIED,)).fetchone() is not None
        row = execute("SELECT sequence, digest FROM entry ORDER BY sequence DESC LIMIT 1").fetchone()
        if row is None:
            with decoding(self._ledger, "its first digest"):
                (first,) = execute("SELECT value FROM meta WHERE key = 'first_digest'").fetchone()
                row = (0, bytes.fromhex(first))
        self._sequence, self._digest = row

    def _next_id(self, table: str) -> int:
        if table not in self._next:
            column = _ID_COLUMNS[table]
            (newest,) = self._connection.execute(f"SELECT coalesce(max({column}), 0) FROM {table}").fetchone()
            if table == "hold" and self._is_copied:
                newest = max(newest, self.now_us // _US_PER_MS, self.last_us // _US_PER_MS)
            self._next[table] = newest
        self._next[table] += 1
        return self._next[table]

    def _fetch_replays(self, keys: Sequence[str]) -> None:
        for start in range(0, len(keys), LOOKUP_ROWS):
            some = keys[start : start + LOOKUP_ROWS]
            marks = ",".join("?" * len(some))
            self._replays.update(dict.fromkeys(some))
            for key, fingerprint, sequence, number in self._connection.execute(
                f"SELECT key, fingerprint, entry_sequence, hold_id FROM idempotency WHERE key IN ({marks})",
                some,
            ):
                self._replays[key] = Replay(fingerprint=fingerprint, entry_sequence=sequence, hold_id=number)

    def replay(self, key: str) -> Replay | None:
        """Return what the idempotency key was used for, or None."""
        if key not in self._replays:
            self._fetch_replays([key])
        return self._replays[key]

    def _dimension_id(self, dimension: Dimension) -> int:
        found = self._dimensions.get(dimension)
        if found is None:
            row = self._connection.execute(
                "SELECT dimension_id FROM dimension WHERE provider = ? AND model = ? AND agent_id = ? AND user_id = ? "
                "AND project = ? AND api_key_id = ? AND operation = ? AND notional = ?",
                dimension_values(dimension),
            ).fetchone()
            if row is None:
                found = self._next_id("dimension")
                self._new_dimensions.append((found, *dimension_values(dimension)))
            else:
                (found,) = row
            self._dimensions[dimension] = found
            self._dimensions_by_id[found] = dimension
        return found

    def _dimension(self, dimension_id: int) -> Dimension:
        found = self._dimensions_by_id.get(dimension_id)
        if found is None:
            row = self._connection.execute(
                f"SELECT {DIMENSION_COLUMNS} FROM dimension WHERE dimension_id = ?", (dimension_id,)
            ).fetchone()
            with decoding(self._ledger, f"dimension {dimension_id}"):
                found = dimension_from_row(row)
            self._dimensions[found] = dimension_id
            self._dimensions_by_id[dimension_id] = found
        return found

    def _basis(self, usage: Usage | None, lines: tuple[CostLine, ...]) -> tuple[int, Basis]:
        """Return the basis of an entry with its id, a new one where the book has none like it."""
        key = basis_key(usage, lines)
        found = self._bases.get(key)
        if found is None:
            basis = basis_from(usage if key[1] else None, lines)
            row = self._connection.execute("SELECT basis_id FROM basis WHERE text = ?", (basis.text,)).fetchone()
            if row is None:
                row = (self._next_id("basis"),)
                self._new_bases.append((row[0], basis.text))
            found = self._bases[key] = (row[0], basis)
        return found

    def budgets(self) -> list[BudgetRow]:
        """Return every budget."""
        if self._budgets is None:
            rows = self._connection.execute(
                "SELECT budget_id, name, revision, definition, set_us, entries_until_us FROM budget ORDER BY budget_id"
            )
            self._budgets = [BudgetRow(*row) for row in rows]
        return self._budgets

    def period(self, budget: BudgetRow, scope_value: str, period_key: str) -> PeriodRow | None:
        """Return the period row, or None where there is none yet."""
        found = self._periods.get((budget.budget_id, budget.revision, scope_value, period_key))
        if found is None:
            rows = self._read_periods(
                "budget_id = ? AND revision = ? AND scope_value = ? AND period_key = ?",
                (budget.budget_id, budget.revision, scope_value, period_key),
            )
            found = rows[0] if rows else None
        return found

    def period_by_id(self, period_id: int) -> PeriodRow:
        """Return a period row that exists."""
        found = self._periods_by_id.get(period_id)
        if found is None:
            with decoding(self._ledger, f"budget period {period_id}"):
                (found,) = self._read_periods("period_id = ?", (period_id,))
        return found

    def _read_periods(self, where: str, values: tuple[object, ...]) -> list[PeriodRow]:
        rows = self._connection.execute(
            "SELECT period_id, budget_id, revision, scope_value, period_key, start_us, end_us, limit_pico, held_pico, "
            f"spent_pico, unpriced_calls, overflowed FROM budget_period WHERE {where}",  # our own literals
            values,
        ).fetchall()
        return [self._periods_by_id.get(row[0]) or self._keep_period(self._period_from(row)) for row in rows]

    def _period_from(self, row: tuple[Any, ...]) -> PeriodRow:
        crossed = self._connection.execute("SELECT threshold_percent FROM crossing WHERE period_id = ?", (row[0],))
        percents = frozenset(percent for (percent,) in crossed)
        found = PeriodRow(*row)
        found.overflowed = bool(found.overflowed)  # a column knows 0 and 1
        found.crossed_percents = percents
        return found

    def _keep_period(self, row: PeriodRow) -> PeriodRow:
        self._periods[row.budget_id, row.revision, row.scope_value, row.period_key] = row
        self._periods_by_id[row.period_id] = row
        return row

    def _fetch_holds(self, numbers: Sequence[int]) -> None:
        for start in range(0, len(numbers), LOOKUP_ROWS):
            some = numbers[start : start + LOOKUP_ROWS]
            self._read_holds(f"hold_id IN ({','.join('?' * len(some))})", some)

    def _read_holds(self, where: str, values: Sequence[object]) -> list[HoldRow]:
        rows = self._connection.execute(
            "SELECT hold_id, state, amount_pico, expected_pico, dimension_id, at_us, expires_us, detail, "
            f"entry_sequence, (SELECT group_concat(period_id) FROM hold_scope WHERE hold_scope.hold_id = hold.hold_id) "
            f"FROM hold WHERE {where}",
            values,
        ).fetchall()
        return [self._holds.get(row[0]) or self._keep_hold(row) for row in rows]

    def _keep_hold(self, row: tuple[Any, ...]) -> HoldRow:
        number, state, amount, expected, dimension_id, at_us, expires_us, detail, sequence, periods = row
        with decoding(self._ledger, f"hold {number}"):
            said = hold_detail(detail)
            if not 0 <= expected <= amount:
                raise ValueError(f"{expected} pico-dollars are expected of the {amount} that are set aside")
            self._holds[number] = HoldRow(
                hold_id=number,
                state=state,
                amount_pico=amount,
                expected_pico=expected,
                dimension=self._dimension(dimension_id),
                at_us=at_us,
                expires_us=expires_us,
                detail=said,
                period_ids=tuple(int(period) for period in periods.split(",")) if periods else (),
                entry_sequence=sequence,
            )
        return self._holds[number]

    def hold(self, hold_id: int) -> HoldRow | None:
        """Return a hold, or None."""
        if hold_id not in self._holds:
            self._fetch_holds([hold_id])
        return self._holds.get(hold_id)
