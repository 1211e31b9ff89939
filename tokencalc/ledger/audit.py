"""Auditing a ledger file: the chain, the rollups, the holds; budgets' own sums are checked one floor up.

Everything is computed anew from entries and holds, in one read of the book at
one moment, and compared with what the counters say.
"""

from __future__ import annotations

import json
from collections import defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from tokencalc.clock import instant_from_micros, instant_text
from tokencalc.errors import CallInvalid, LedgerCorrupt
from tokencalc.ledger.chain import entry_digest, head_text
from tokencalc.ledger.records import Dimension, as_requested, entry_id
from tokencalc.ledger.rows import DIMENSION_COLUMNS, ENTRY_COLUMNS, decoding, dimension_from_row
from tokencalc.ledger.schema import PICO_PER_MICRO, QUARTER_US

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator, Sequence

    from tokencalc.ledger.sqlite import SqliteStore

_MOST_PROBLEMS = 20


class AuditedEntry(NamedTuple):
    """What an entry tells the budgets' own check."""

    dimension: Dimension
    asked: Dimension
    tags: dict[str, str]
    run: str
    budgets: tuple[str, ...]
    at_us: int
    amount_pico: int
    unpriced_calls: int


class CountedPeriod(NamedTuple):
    """A budget period's counter as stored."""

    budget_id: int
    revision: int
    scope_value: str
    period_key: str
    end_us: int | None
    limit_pico: int
    spent_pico: int
    unpriced_calls: int
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
        self._sums: defaultdict[tuple[int, int], list[int]] = defaultdict(lambda: [0, 0, 0])
        self.definitions: dict[str, tuple[str, int]] = {}

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
                sums = self._sums[row[3] // QUARTER_US, row[1]]
                for index, figure in enumerate((int(row[2] == "charge"), row[8], row[5] or 0)):
                    sums[index] += figure
                try:
                    with decoding("", f"entry {name}"):
                        on_entry(_audited(row, dimension))
                except LedgerCorrupt as error:
                    self.problem(error.message)
            elif row[2] == "budget":
                definition = next(iter(_detail(row).get("notes", ())), "")
                self.definitions[_object(definition).get("name", "")] = (definition, row[4])
        if wanted is not None and wanted[0] > sequence:
            self.problem(f"entry {wanted[0]} is expected, the chain ends at {sequence}: its tail was cut off")
        return sequence, head_text(sequence, previous)

    def _wrong_link(
        self, row: tuple[Any, ...], expected: int, previous: bytes, dimension: Dimension | None
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
        """Compare what each period holds with the sum of its open holds; every hold must be readable."""
        for number, dimension_id, detail in self._connection.execute("SELECT hold_id, dimension_id, detail FROM hold"):
            if dimension_id not in self._dimensions:
                self.problem(f"hold {number}: its dimension {dimension_id} is missing")
            if detail is not None and not _object(detail):
                self.problem(f"hold {number}: its detail cannot be read")
        sums: defaultdict[int, int] = defaultdict(int)
        for period_id, amount in self._connection.execute(
            "SELECT period_id, amount_pico FROM hold_scope JOIN hold USING (hold_id) WHERE state = 'open'"
        ):
            sums[period_id] += amount
        for period_id, held in self._connection.execute(
            "SELECT period_id, held_pico FROM budget_period WHERE NOT overflowed"
        ):
            should = sums[period_id]
            if held != should:
                self.problem(f"budget period {period_id}: held is {held} pico-dollars, its open holds sum to {should}")

    def check_corrections(self) -> None:
        """Compare each correction with what it corrects: the same call, and a missing price filled at most once."""
        for sequence, corrects in self._connection.execute(
            "SELECT fix.sequence, fix.corrects FROM entry AS fix LEFT JOIN entry AS wrong "
            "ON wrong.sequence = fix.corrects WHERE fix.corrects IS NOT NULL AND (wrong.sequence IS NULL "
            "OR wrong.at_us <> fix.at_us OR wrong.dimension_id <> fix.dimension_id "
            "OR (fix.unpriced < 0 AND wrong.unpriced <= 0))"
        ):
            name = entry_id(self._chain_id, sequence)
            self.problem(f"entry {name} does not fit to entry {corrects}, which it corrects")
        for (corrects,) in self._connection.execute(
            "SELECT corrects FROM entry WHERE corrects IS NOT NULL AND unpriced < 0 GROUP BY corrects "
            "HAVING count(*) > 1"
        ):
            self.problem(f"entry {entry_id(self._chain_id, corrects)}: its missing price was filled more than once")

    def check_rollups(self) -> None:
        """Compare the rollups with the entries that `check_chain` has summed."""
        for quarter, dimension_id, calls, unpriced, micro, rest in self._connection.execute(
            "SELECT quarter, dimension_id, calls, unpriced_calls, cost_micro, cost_rest FROM rollup"
        ):
            rolled = [calls, unpriced, micro * PICO_PER_MICRO + rest]
            should = self._sums.pop((quarter, dimension_id), [0, 0, 0])
            if rolled != should:
                self.problem(f"rollup of {_about(quarter, dimension_id)}: {_said(rolled)}, its entries {_said(should)}")
        for (quarter, dimension_id), should in self._sums.items():
            self.problem(f"rollup of {_about(quarter, dimension_id)} is missing: its entries {_said(should)}")

    def check_budgets(self) -> None:
        """Compare each budget's definition with the last one in the chain."""
        for _, _, name, definition in self.budgets():
            if self.definitions.pop(name, (None, 0))[0] != definition:
                self.problem(f"budget {name!r} was edited: its definition is not the last one in the chain")
        for name in self.definitions:
            self.problem(f"budget {name!r} is missing: the chain says that it was set")

    def budgets(self) -> list[tuple[int, int, str, str]]:
        """Return (id, revision, name, definition) of each budget."""
        return self._connection.execute("SELECT budget_id, revision, name, definition FROM budget").fetchall()

    def periods(self) -> list[CountedPeriod]:
        """Return the counters of every budget period."""
        rows = self._connection.execute(
            "SELECT budget_id, revision, scope_value, period_key, end_us, limit_pico, spent_pico, unpriced_calls, "
            "overflowed FROM budget_period"
        )
        return [CountedPeriod(*row) for row in rows]


@contextmanager
def audit(store: SqliteStore) -> Iterator[Audit]:
    """Open one consistent look at the book."""
    with store.reading() as connection:
        yield Audit(connection, store.chain_id)


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
    said = _detail(row)
    return AuditedEntry(
        dimension=dimension,
        asked=as_requested(dimension, said.get("requested_model"), said.get("requested_provider")),
        tags=said.get("tags", {}),
        run=said.get("run", ""),
        budgets=tuple(said.get("budgets", ())),
        at_us=row[3],
        amount_pico=row[5] or 0,
        unpriced_calls=row[8],
    )


def _detail(row: Sequence[Any]) -> dict[str, Any]:
    return _object(row[12]) if row[12] else {}


def _object(text: str) -> dict[str, Any]:
    """Read what should be a JSON object; {} where somebody edited it into something else, which its digest tells."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _about(quarter: int, dimension_id: int) -> str:
    try:
        since = instant_text(instant_from_micros(quarter * QUARTER_US))
    except OverflowError:
        since = f"quarter-hour {quarter}"
    return f"dimension {dimension_id} from {since}"


def _said(figures: list[int]) -> str:
    calls, unpriced, pico = figures
    return f"{calls} calls, {unpriced} unpriced, {pico} pico-dollars"
