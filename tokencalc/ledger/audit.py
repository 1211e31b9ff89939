"""Auditing a ledger file: the chain here, the rows that hang from it in `audit_rows`, budgets' own sums one floor up.

Everything is computed anew from entries and holds, in one read of the book at
one moment, and compared with what the counters say. Entries are read as they come
and never kept, so memory grows with what is counted (budgets' periods, dimensions),
not with how much was booked.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from tokencalc.errors import CallInvalid, LedgerCorrupt
from tokencalc.ledger.chain import entry_digest, first_digest, head_text
from tokencalc.ledger.records import BEYOND, Dimension, as_requested, entry_id
from tokencalc.ledger.rows import DIMENSION_COLUMNS, ENTRY_COLUMNS, decoding, dimension_from_row
from tokencalc.ledger.schema import BEFORE_ALL_US, CLOCK_STEP_US
from tokencalc.ledger.store import HoldRow

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator, Sequence

    from tokencalc.ledger.sqlite import SqliteStore

    Progress = Callable[[int, int], None]

_MOST_PROBLEMS = 20
_TELL_EVERY = 1_000


class AuditedEntry(NamedTuple):
    """What an entry tells the budgets' own check."""

    sequence: int
    kind: str
    dimension: Dimension
    asked: Dimension
    tags: dict[str, str]
    run: str
    budgets: tuple[str, ...]
    at_us: int
    amount_pico: int
    unpriced_calls: int
    is_beyond: bool


class CountedPeriod(NamedTuple):
    """A budget period's counter as stored."""

    period_id: int
    budget_id: int
    revision: int
    scope_value: str
    period_key: str
    start_us: int | None
    end_us: int | None
    limit_pico: int
    held_pico: int
    spent_pico: int
    unpriced_calls: int
    overflowed: int


class Definition(NamedTuple):
    """What the chain says of a budget; and whether it ever only observed.

    ``covers_from`` is the entry since which it covers the same calls and periods, in its ``revision``-th
    definition of them; ``said`` has when it was set since then, and to what, the last one last.
    ``newest_us`` is the latest instant of any entry before.
    """

    said: tuple[tuple[int, str], ...]
    observed: bool
    covers: tuple[object, ...]
    covers_from: int
    revision: int
    newest_us: int

    @property
    def text(self) -> str:
        """The last text."""
        return self.said[-1][1]


class NotedCrossing(NamedTuple):
    """A crossing as stored, with the key of its period; ``budget_id`` is None where that is missing."""

    crossing_id: int
    budget_id: int | None
    revision: int
    scope_value: str
    period_key: str
    period_id: int
    threshold_percent: int
    spent_pico: int
    limit_pico: int
    at_us: int
    recorded_us: int
    in_open_period: int


class NotedExcess(NamedTuple):
    """An excess item as stored, with the key of its period; ``budget_id`` is None where that is missing."""

    excess_id: int
    budget_id: int | None
    revision: int
    scope_value: str
    period_key: str
    reason: str
    amount_pico: int
    at_us: int
    entry_sequence: int | None


class Audit:
    """One consistent look at the whole book; ``problems`` collects what is wrong, each with the row's name."""

    def __init__(self, connection: sqlite3.Connection, chain_id: str, progress: Progress | None = None) -> None:
        """Look through a connection inside a read transaction; ``progress`` is called with (rows read, in all)."""
        self.problems: list[str] = []
        self.connection = connection
        self.chain_id = chain_id
        self.dimensions = {
            row[8]: dimension_from_row(row)
            for row in connection.execute(f"SELECT {DIMENSION_COLUMNS}, dimension_id FROM dimension")
        }
        self.definitions: dict[str, Definition] = {}
        self.keyed_entries = 0
        self.settlements = 0
        self._newest_us = BEFORE_ALL_US
        self._progress = progress
        self._read = 0
        (newest,) = connection.execute("SELECT coalesce(max(sequence), 0) FROM entry").fetchone()
        self._rows = 2 * newest  # the chain in its order, then the entries in the order of their time

    def problem(self, text: str) -> None:
        """Note a problem; past twenty, more would not help."""
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(text)

    def count(self) -> None:
        """Note that one more entry was read."""
        self._read += 1
        if self._progress is not None and self._read % _TELL_EVERY == 0:
            self._progress(min(self._read, self._rows), self._rows)

    def check_file(self) -> None:
        """Let SQLite check its own pages and indexes."""
        for (text,) in self.connection.execute("PRAGMA integrity_check"):
            if text != "ok":
                self.problem(f"the database file is damaged: {text}")

    def check_chain(self, expect: str | None, on_entry: Callable[[AuditedEntry], None]) -> tuple[int, str]:
        """Recompute every digest; return the number of entries and the head. ``expect`` must be part of the chain."""
        wanted = None if expect is None else _head_from(expect)
        previous, sequence, broken = self._first_link(wanted), 0, False
        last_us = self._only("SELECT last_us FROM clock")
        if last_us is None:
            self.problem("the ledger's clock is missing: nothing can be written")
            last_us = -BEFORE_ALL_US
        for row in self.connection.execute(f"SELECT {ENTRY_COLUMNS} FROM entry ORDER BY sequence"):
            dimension, digest = self.dimensions.get(row[1]), row[-1]
            self.count()
            name = entry_id(self.chain_id, row[0])
            if row[4] >= last_us + CLOCK_STEP_US:
                self.problem(f"the clock was set back: entry {name} was written after the last instant that it keeps")
                last_us = row[4]
            wrong = self._wrong_link(row, sequence + 1, previous, dimension)
            if wrong and not broken:  # one break makes every later link wrong: the first is the news
                self.problem(wrong)
                broken = True
            sequence, previous = row[0], digest
            if wanted is not None and wanted[0] == sequence and wanted[1] != digest.hex():
                self.problem(f"entry {name} has another digest than the expected head: the chain was rewritten")
            if row[2] == "budget":
                self._define(row)
            elif dimension is not None:
                try:
                    with decoding("", f"entry {name}"):
                        on_entry(self._audited(row, dimension))
                except LedgerCorrupt as error:
                    self.problem(error.message)
        if wanted is not None and wanted[0] > sequence:
            self.problem(f"entry {wanted[0]} is expected, the chain ends at {sequence}: its tail was cut off")
        return sequence, head_text(sequence, previous)

    def _first_link(self, wanted: tuple[int, str] | None) -> bytes:
        first = first_digest(self.chain_id)
        if self._only("SELECT value FROM meta WHERE key = 'first_digest'") != first.hex():
            self.problem("the ledger's first digest was edited: it is not that of its chain id")
        if wanted is not None and wanted[0] == 0 and wanted[1] != first.hex():
            self.problem("the expected head is of another ledger: its digest is not that with which this chain begins")
        return first

    def _only(self, query: str) -> Any:
        row = self.connection.execute(query).fetchone()
        return None if row is None else row[0]

    def _define(self, row: Sequence[Any]) -> None:
        notes = _detail(row).get("notes")
        text = str(notes[0]) if isinstance(notes, list) and notes else ""
        said = as_object(text)
        name, observes = str(said.get("name", "")), said.get("policy") == "observe"
        covers = tuple(said.get(key) for key in ("scope", "period", "timezone", "notional"))
        before = self.definitions.get(name)
        if before is None or before.covers != covers:
            revision = 1 if before is None else before.revision + 1
            found = Definition(((row[4], text),), observes, covers, row[0], revision, self._newest_us)
        else:
            found = before._replace(said=(*before.said, (row[4], text)))
        self.definitions[name] = found._replace(observed=observes or (before is not None and before.observed))

    def _audited(self, row: Sequence[Any], dimension: Dimension) -> AuditedEntry:
        said = _detail(row)
        self.keyed_entries += bool(said.get("key")) and not said.get("hold")
        self.settlements += row[2] == "charge" and bool(said.get("hold"))
        self._newest_us = max(self._newest_us, row[3])
        return AuditedEntry(
            sequence=row[0],
            kind=row[2],
            dimension=dimension,
            asked=as_requested(dimension, said.get("requested_model"), said.get("requested_provider")),
            tags=said.get("tags", {}),
            run=said.get("run", ""),
            budgets=tuple(said.get("budgets", ())),
            at_us=row[3],
            amount_pico=row[5] or 0,
            unpriced_calls=row[8],
            is_beyond=row[5] is None and any(BEYOND in note for note in said.get("notes", ())),
        )

    def _wrong_link(
        self, row: tuple[Any, ...], expected: int, previous: bytes, dimension: Dimension | None
    ) -> str | None:
        name = entry_id(self.chain_id, row[0])
        if row[0] != expected:
            return f"entry {entry_id(self.chain_id, expected)} is missing: {name} follows"
        if dimension is None:
            return f"entry {name}: its dimension {row[1]} is missing"
        if entry_digest(previous, row[0], dimension, row[2:-1]) != row[-1]:
            return f"entry {name} was edited, or stands where another was: its digest does not fit"
        return None

    def check_corrections(self) -> None:
        """Compare each correction with what it corrects: the same call, and a missing price filled at most once."""
        for sequence, corrects in self.connection.execute(
            "SELECT fix.sequence, fix.corrects FROM entry AS fix LEFT JOIN entry AS wrong "
            "ON wrong.sequence = fix.corrects WHERE fix.corrects IS NOT NULL AND (wrong.sequence IS NULL "
            "OR wrong.at_us <> fix.at_us OR wrong.dimension_id <> fix.dimension_id "
            "OR (fix.unpriced < 0 AND wrong.unpriced <= 0))"
        ):
            name = entry_id(self.chain_id, sequence)
            self.problem(f"entry {name} does not fit to entry {corrects}, which it corrects")
        for (corrects,) in self.connection.execute(
            "SELECT corrects FROM entry WHERE corrects IS NOT NULL AND unpriced < 0 GROUP BY corrects "
            "HAVING count(*) > 1"
        ):
            self.problem(f"entry {entry_id(self.chain_id, corrects)}: its missing price was filled more than once")

    def check_budgets(self) -> None:
        """Compare each budget's definition with the last one in the chain."""
        known = set()
        (newest_hold_us,) = self.connection.execute("SELECT max(at_us) FROM hold").fetchone()
        for _, revision, name, definition, set_us, entries_until_us in self.connection.execute(
            "SELECT budget_id, revision, name, definition, set_us, entries_until_us FROM budget"
        ):
            known.add(name)
            said = self.definitions.get(name)
            if said is None or said.text != definition:
                self.problem(f"budget {name!r} was edited: its definition is not the last one in the chain")
            elif (revision, set_us) != (said.revision, said.said[0][0]):
                self.problem(
                    f"budget {name!r} is revision {revision}, set at {set_us} us; the chain says revision "
                    f"{said.revision}, set at {said.said[0][0]} us"
                )
            elif not said.newest_us <= entries_until_us <= max(said.newest_us, newest_hold_us or BEFORE_ALL_US):
                self.problem(
                    f"budget {name!r}: the newest entry before it is said to be of {entries_until_us} us, "
                    f"the chain has one of {said.newest_us} us"
                )
        for name in self.definitions.keys() - known:
            self.problem(f"budget {name!r} is missing: the chain says that it was set")

    def budgets(self) -> list[tuple[int, int, str, str]]:
        """Return (id, revision, name, definition) of each budget."""
        return self.connection.execute("SELECT budget_id, revision, name, definition FROM budget").fetchall()

    def periods(self) -> Iterator[CountedPeriod]:
        """Yield the counters of every budget period."""
        rows = self.connection.execute(
            "SELECT period_id, budget_id, revision, scope_value, period_key, start_us, end_us, limit_pico, "
            "held_pico, spent_pico, unpriced_calls, overflowed FROM budget_period"
        )
        return (CountedPeriod(*row) for row in rows)

    def crossings(self) -> Iterator[NotedCrossing]:
        """Yield every crossing."""
        rows = self.connection.execute(
            "SELECT crossing_id, budget_id, revision, scope_value, period_key, crossing.period_id, threshold_percent, "
            "crossing.spent_pico, crossing.limit_pico, at_us, recorded_us, in_open_period "
            "FROM crossing LEFT JOIN budget_period USING (period_id) "
            "ORDER BY crossing_id"
        )
        return (NotedCrossing(*row) for row in rows)

    def excess(self) -> Iterator[NotedExcess]:
        """Yield every excess item, in the order in which they were noted, which is that of their entries."""
        rows = self.connection.execute(
            "SELECT excess_id, budget_id, revision, scope_value, period_key, reason, amount_pico, at_us, "
            "entry_sequence FROM excess LEFT JOIN budget_period USING (period_id) ORDER BY excess_id"
        )
        return (NotedExcess(*row) for row in rows)

    def excess_pico(self, period_id: int) -> int:
        """Return the sum of a period's excess."""
        micro, rest = self.connection.execute(
            "SELECT coalesce(sum(amount_pico / 1000000), 0), coalesce(sum(amount_pico % 1000000), 0) FROM excess "
            "WHERE period_id = ?",
            (period_id,),
        ).fetchone()
        return int(micro * 1_000_000 + rest)

    def holds(self) -> Iterator[HoldRow]:
        """Yield every hold whose dimension is there, with the periods in which it is counted."""
        for row in self.connection.execute(
            "SELECT hold_id, state, amount_pico, expected_pico, dimension_id, at_us, expires_us, detail, "
            "entry_sequence, (SELECT group_concat(period_id) FROM hold_scope WHERE hold_scope.hold_id = hold.hold_id) "
            "FROM hold"
        ):
            dimension = self.dimensions.get(row[4])
            if dimension is not None:
                periods = tuple(int(period) for period in row[9].split(",")) if row[9] else ()
                yield HoldRow(
                    hold_id=row[0],
                    state=row[1],
                    amount_pico=row[2],
                    expected_pico=row[3],
                    dimension=dimension,
                    at_us=row[5],
                    expires_us=row[6],
                    detail=as_object(row[7] or ""),
                    period_ids=periods,
                    entry_sequence=row[8],
                )

    def ever_held(self, period_id: int) -> int:
        """Return the sum of all holds that were ever counted in a period."""
        rows = self.connection.execute(
            "SELECT amount_pico FROM hold_scope JOIN hold USING (hold_id) WHERE period_id = ?", (period_id,)
        )
        return sum(amount for (amount,) in rows)


@contextmanager
def audit(store: SqliteStore, progress: Progress | None = None) -> Iterator[Audit]:
    """Open one consistent look at the book."""
    with store.reading() as connection:
        yield Audit(connection, store.chain_id, progress)


def _head_from(expect: str) -> tuple[int, str]:
    sequence, colon, digest = str(expect).strip().partition(":")
    if not (colon and sequence.isdecimal() and len(sequence) <= 18 and len(digest) == 64):  # noqa: PLR2004  # SHA-256 in hex
        raise CallInvalid(
            f"expect: expected a head as `tokencalc verify` prints it, SEQUENCE:HEX, found {expect!r:.80}",
            path="expect",
            found=expect,
        )
    return int(sequence), digest.lower()


def _detail(row: Sequence[Any]) -> dict[str, Any]:
    return as_object(row[12]) if row[12] else {}


def as_object(text: str) -> dict[str, Any]:
    """Read what should be a JSON object; {} where somebody edited it into something else, which its digest tells."""
    try:
        found = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
