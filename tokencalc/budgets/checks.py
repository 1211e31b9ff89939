"""Verifying a ledger: the chain, the counters of budgets, the rollups, the holds.

Everything is computed anew from entries and holds, in one read of the book at
one moment, and compared with what the counters say.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokencalc.budgets.budget import rules_from
from tokencalc.budgets.covering import Call, covering_value, period_bounds
from tokencalc.errors import CallInvalid
from tokencalc.ledger.chain import entry_digest, head_text
from tokencalc.ledger.records import entry_id
from tokencalc.ledger.rows import DIMENSION_COLUMNS, ENTRY_COLUMNS, dimension_from_row

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from typing import Any

    from tokencalc.budgets.budget import Rules
    from tokencalc.ledger.records import Dimension
    from tokencalc.ledger.sqlite import SqliteStore

_MOST_PROBLEMS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What `verify` found: ``head`` is to be kept elsewhere and handed to a later verify as ``expect``."""

    entries: int
    head: str
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def verify(store: SqliteStore, *, expect: str | None = None) -> Verification:
    """Check the whole ledger; ``expect`` is a head ("SEQUENCE:HEX") that must still be part of the chain."""
    wanted = None if expect is None else _head_from(expect)
    with store.reading() as connection:
        connection.execute("BEGIN")
        try:
            return _Check(connection, store.chain_id).run(wanted)
        finally:
            connection.execute("COMMIT")


def _head_from(expect: str) -> tuple[int, str]:
    sequence, colon, digest = expect.strip().partition(":")
    if not (colon and sequence.isdecimal() and len(sequence) <= 18 and len(digest) == 64):  # noqa: PLR2004  # SHA-256 in hex
        raise CallInvalid(
            f"expect: expected a head as `tokencalc verify` prints it, SEQUENCE:HEX, found {expect!r:.80}",
            path="expect",
            found=expect,
        )
    return int(sequence), digest.lower()


class _Check:
    """One pass over the book; sums what the counters should say."""

    def __init__(self, connection: sqlite3.Connection, chain_id: str) -> None:
        self._connection = connection
        self._chain_id = chain_id
        self._problems: list[str] = []
        self._dimensions = {
            row[8]: dimension_from_row(row)
            for row in connection.execute(f"SELECT {DIMENSION_COLUMNS}, dimension_id FROM dimension")
        }
        rows = connection.execute("SELECT budget_id, revision, name, definition FROM budget").fetchall()
        self._budgets: list[tuple[int, int, str, Rules]] = [
            (budget_id, revision, name, rules_from(definition)) for budget_id, revision, name, definition in rows
        ]
        self._spent: defaultdict[tuple[int, int, str, str], int] = defaultdict(int)
        self._costs: defaultdict[int, int] = defaultdict(int)

    def run(self, wanted: tuple[int, str] | None) -> Verification:
        for (text,) in self._connection.execute("PRAGMA integrity_check"):
            if text != "ok":
                self._problem(f"the database file is damaged: {text}")
        sequence, digest = self._check_entries(wanted)
        if wanted is not None and wanted[0] > sequence:
            self._problem(f"entry {wanted[0]} is expected, the chain ends at {sequence}: its tail was cut off")
        self._check_spent()
        self._check_held()
        self._check_rollup()
        return Verification(entries=sequence, head=head_text(sequence, digest), problems=tuple(self._problems))

    def _problem(self, text: str) -> None:
        if len(self._problems) < _MOST_PROBLEMS:
            self._problems.append(text)

    def _check_entries(self, wanted: tuple[int, str] | None) -> tuple[int, bytes]:
        (first,) = self._connection.execute("SELECT value FROM meta WHERE key = 'first_digest'").fetchone()
        previous, expected = bytes.fromhex(first), 0
        broken = False
        for row in self._connection.execute(f"SELECT {ENTRY_COLUMNS} FROM entry ORDER BY sequence"):
            sequence, dimension_id, digest = row[0], row[1], row[-1]
            expected += 1
            name = entry_id(self._chain_id, sequence)
            if sequence != expected and not broken:
                self._problem(f"entry {entry_id(self._chain_id, expected)} is missing: {name} follows")
                broken = True
            dimension = self._dimensions.get(dimension_id)
            if dimension is None:
                self._problem(f"entry {name}: its dimension {dimension_id} is missing")
                continue
            if entry_digest(previous, sequence, dimension, row[2:-1]) != digest and not broken:
                self._problem(f"entry {name} was edited, or stands where another was: its digest does not fit")
                broken = True
            previous = digest
            if wanted is not None and wanted[0] == sequence and wanted[1] != digest.hex():
                self._problem(f"entry {name} has another digest than the expected head: the chain was rewritten")
            self._sum(row, dimension)
        return expected, previous

    def _sum(self, row: Sequence[Any], dimension: Dimension) -> None:
        _, dimension_id, kind, at_us, _, amount, _, _, _, _, _, detail, _ = row
        if kind == "budget":
            return
        self._costs[dimension_id] += amount or 0
        if not amount:
            return
        said = json.loads(detail) if detail else {}
        call = Call(
            dimension=dimension,
            tags=said.get("tags", {}),
            run=said.get("run", ""),
            budgets=tuple(said.get("budgets", ())),
            at_us=at_us,
        )
        for budget_id, revision, name, rules in self._budgets:
            value = covering_value(rules, name, call)
            if value is not None:
                key, _, _ = period_bounds(rules.budget.period, rules.budget.timezone, at_us, call.run)
                self._spent[budget_id, revision, value, key] += amount

    def _check_spent(self) -> None:
        current = {(budget_id, revision): name for budget_id, revision, name, _ in self._budgets}
        for budget_id, revision, value, key, spent, overflowed in self._connection.execute(
            "SELECT budget_id, revision, scope_value, period_key, spent_pico, overflowed FROM budget_period"
        ):
            if overflowed or (budget_id, revision) not in current:
                continue
            should = self._spent[budget_id, revision, value, key]
            if should != spent:
                self._problem(
                    f"budget {current[budget_id, revision]!r} {value} {key}: spent is {spent} pico-dollars, "
                    f"its entries sum to {should}"
                )

    def _check_held(self) -> None:
        for period_id, held, should in self._connection.execute(
            "SELECT period_id, held_pico, (SELECT coalesce(sum(amount_pico), 0) FROM hold_scope JOIN hold "
            "USING (hold_id) WHERE hold_scope.period_id = budget_period.period_id AND state = 'open') "
            "FROM budget_period"
        ):
            if held != should:
                self._problem(f"budget period {period_id}: held is {held} pico-dollars, its open holds sum to {should}")

    def _check_rollup(self) -> None:
        for dimension_id, micro, rest in self._connection.execute(
            "SELECT dimension_id, sum(cost_pico / 1000000), sum(cost_pico % 1000000) FROM rollup GROUP BY dimension_id"
        ):
            rolled, should = micro * 1_000_000 + rest, self._costs.pop(dimension_id, 0)
            if rolled != should:
                self._problem(f"rollup of dimension {dimension_id}: {rolled} pico-dollars, its entries sum to {should}")
        for dimension_id, should in self._costs.items():
            if should:
                self._problem(
                    f"rollup of dimension {dimension_id} is missing: its entries sum to {should} pico-dollars"
                )
