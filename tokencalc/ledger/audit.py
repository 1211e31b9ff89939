"""Auditing a ledger file: the chain, the rollups, the holds; budgets' own sums are checked one floor up.

Everything is computed anew from entries and holds, in one read of the book at
one moment, and compared with what the counters say.
"""

from __future__ import annotations

import json
from collections import defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from tokencalc.errors import CallInvalid
from tokencalc.ledger.chain import entry_digest, head_text
from tokencalc.ledger.records import Dimension, entry_id
from tokencalc.ledger.rows import DIMENSION_COLUMNS, ENTRY_COLUMNS, dimension_from_row

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator, Sequence

    from tokencalc.ledger.sqlite import SqliteStore

_MOST_PROBLEMS = 20


class AuditedEntry(NamedTuple):
    """What an entry tells the budgets' own check."""

    dimension: Dimension
    tags: dict[str, str]
    run: str
    budgets: tuple[str, ...]
    at_us: int
    amount_pico: int


class CountedPeriod(NamedTuple):
    """A budget period's counter as stored."""

    budget_id: int
    revision: int
    scope_value: str
    period_key: str
    spent_pico: int
    overflowed: bool


class Audit:
    """One consistent look at the whole book; ``problems`` collects what is wrong, each with the row's name."""

    def __init__(self, connection: sqlite3.Connection, chain_id: str) -> None:
        """Look through a connection inside a read transaction."""
        self.problems: list[str] = []
        self._connection = connection
        self._chain_id = chain_id
        self._dimensions = {
            row[8]: dimension_from_row(row)
            for row in connection.execute(f"SELECT {DIMENSION_COLUMNS}, dimension_id FROM dimension")
        }
        self._costs: defaultdict[int, int] = defaultdict(int)

    def problem(self, text: str) -> None:
        """Note a problem; past twenty, more would not help."""
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(text)

    def check_file(self) -> None:
        """Let SQLite check its own pages and indexes."""
        for (text,) in self._connection.execute("PRAGMA integrity_check"):
            if text != "ok":
                self.problem(f"the database file is damaged: {text}")

    def check_chain(self, expect: str | None, on_entry: Callable[[AuditedEntry], None]) -> tuple[int, str]:
        """Recompute every digest; return the number of entries and the head. ``expect`` must be part of the chain."""
        wanted = None if expect is None else _head_from(expect)
        (first,) = self._connection.execute("SELECT value FROM meta WHERE key = 'first_digest'").fetchone()
        previous, sequence, broken = bytes.fromhex(first), 0, False
        for row in self._connection.execute(f"SELECT {ENTRY_COLUMNS} FROM entry ORDER BY sequence"):
            dimension, digest = self._dimensions.get(row[1]), row[-1]
            name = entry_id(self._chain_id, row[0])
            wrong = self._wrong_link(row, sequence + 1, previous, dimension)
            if wrong and not broken:  # one break makes every later link wrong: the first is the news
                self.problem(wrong)
                broken = True
            sequence, previous = row[0], digest
            if wanted is not None and wanted[0] == sequence and wanted[1] != digest.hex():
                self.problem(f"entry {name} has another digest than the expected head: the chain was rewritten")
            if dimension is not None and row[2] != "budget":
                self._costs[row[1]] += row[5] or 0
                on_entry(_audited(row, dimension))
        if wanted is not None and wanted[0] > sequence:
            self.problem(f"entry {wanted[0]} is expected, the chain ends at {sequence}: its tail was cut off")
        return sequence, head_text(sequence, previous)

    def _wrong_link(
        self, row: Sequence[Any], expected: int, previous: bytes, dimension: Dimension | None
    ) -> str | None:
        name = entry_id(self._chain_id, row[0])
        if row[0] != expected:
            return f"entry {entry_id(self._chain_id, expected)} is missing: {name} follows"
        if dimension is None:
            return f"entry {name}: its dimension {row[1]} is missing"
        if entry_digest(previous, row[0], dimension, row[2:-1]) != row[-1]:
            return f"entry {name} was edited, or stands where another was: its digest does not fit"
        return None

    def check_holds(self) -> None:
        """Compare what each period holds with the sum of its open holds."""
        for period_id, held, should in self._connection.execute(
            "SELECT period_id, held_pico, (SELECT coalesce(sum(amount_pico), 0) FROM hold_scope JOIN hold "
            "USING (hold_id) WHERE hold_scope.period_id = budget_period.period_id AND state = 'open') "
            "FROM budget_period"
        ):
            if held != should:
                self.problem(f"budget period {period_id}: held is {held} pico-dollars, its open holds sum to {should}")

    def check_rollups(self) -> None:
        """Compare the rollups with the entries that `check_chain` has summed."""
        costs = dict(self._costs)
        for dimension_id, micro, rest in self._connection.execute(
            "SELECT dimension_id, sum(cost_pico / 1000000), sum(cost_pico % 1000000) FROM rollup GROUP BY dimension_id"
        ):
            rolled, should = micro * 1_000_000 + rest, costs.pop(dimension_id, 0)
            if rolled != should:
                self.problem(f"rollup of dimension {dimension_id}: {rolled} pico-dollars, its entries sum to {should}")
        for dimension_id, should in costs.items():
            if should:
                self.problem(f"rollup of dimension {dimension_id} is missing: its entries sum to {should} pico-dollars")

    def budgets(self) -> list[tuple[int, int, str, str]]:
        """Return (id, revision, name, definition) of each budget."""
        return self._connection.execute("SELECT budget_id, revision, name, definition FROM budget").fetchall()

    def periods(self) -> list[CountedPeriod]:
        """Return the counters of every budget period."""
        rows = self._connection.execute(
            "SELECT budget_id, revision, scope_value, period_key, spent_pico, overflowed FROM budget_period"
        )
        return [CountedPeriod(*row) for row in rows]


@contextmanager
def audit(store: SqliteStore) -> Iterator[Audit]:
    """Open one consistent look at the book."""
    with store.reading() as connection:
        connection.execute("BEGIN")
        try:
            yield Audit(connection, store.chain_id)
        finally:
            connection.execute("COMMIT")


def _head_from(expect: str) -> tuple[int, str]:
    sequence, colon, digest = str(expect).strip().partition(":")
    if not (colon and sequence.isdecimal() and len(sequence) <= 18 and len(digest) == 64):  # noqa: PLR2004  # SHA-256 in hex
        raise CallInvalid(
            f"expect: expected a head as `tokencalc verify` prints it, SEQUENCE:HEX, found {expect!r:.80}",
            path="expect",
            found=expect,
        )
    return int(sequence), digest.lower()


def _audited(row: Sequence[Any], dimension: Dimension) -> AuditedEntry:
    said = json.loads(row[11]) if row[11] else {}
    return AuditedEntry(
        dimension=dimension,
        tags=said.get("tags", {}),
        run=said.get("run", ""),
        budgets=tuple(said.get("budgets", ())),
        at_us=row[3],
        amount_pico=row[5] or 0,
    )
