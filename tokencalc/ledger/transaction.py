"""The writer's transaction on SQLite: read once, work in memory, write the net effect.

Each statement handed to SQLite gives the interpreter lock away, so a batch that
ran statement by statement would crawl beside a busy thread. Here a batch fetches
what its steps name in a few statements, the steps run on Python objects, and
`flush` writes every changed row with one statement a table. What was read stays
valid until another connection commits (``PRAGMA data_version``).
"""

from __future__ import annotations

import json
from operator import add
from typing import TYPE_CHECKING, Any

from tokencalc.ledger import statements
from tokencalc.ledger.book import CACHE_ROWS, LOOKUP_ROWS, CachedBook
from tokencalc.ledger.chain import entry_digest
from tokencalc.ledger.codec import json_text, usage_beside
from tokencalc.ledger.records import as_requested
from tokencalc.ledger.rows import ENTRY_COLUMNS, decoding, entry_detail, entry_from_draft, entry_from_row
from tokencalc.ledger.schema import BEFORE_ALL_US, CLOCK_STEP_US, PICO_PER_MICRO, QUARTER_US
from tokencalc.ledger.store import BookedAmount, BudgetRow, HoldRow, PeriodRow, Replay
from tokencalc.money import MAX_PICO
from tokencalc.usage import token_totals

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection, Iterator, Sequence, Sized

    from tokencalc.events import Event
    from tokencalc.ledger.records import Entry, EntryDraft, ExcessReason, HoldState

_FOREVER_US = -BEFORE_ALL_US
_NO_TOKENS = (0, 0, 0, 0, 0)


class SqliteTransaction(CachedBook):
    """Implements `tokencalc.ledger.store.Transaction` over one SQLite connection."""

    def __init__(self, connection: sqlite3.Connection, chain_id: str, ledger: str, *, is_heard: bool) -> None:
        """Work on a connection whose transactions the store begins and ends."""
        super().__init__(connection, chain_id, ledger)
        self.is_heard = is_heard
        self.events: list[Event] = []
        self._clear_changes()

    def begin(self, now_us: int, keys: Sequence[str], hold_numbers: Sequence[int]) -> None:
        """Start on a batch, inside BEGIN IMMEDIATE: drop what others changed, fetch what the steps name."""
        self._clear_changes()
        self.refresh()
        self.now_us = now_us
        self.events = []
        self._replays = {}
        self._fetch_replays(keys)
        self._fetch_holds([number for number in hold_numbers if number not in self._holds])

    def abandon(self) -> None:
        """Forget everything that was read and changed, after a rollback."""
        super().abandon()
        self._clear_changes()

    def _clear_changes(self) -> None:
        self._new_dimensions = []
        self._new_bases = []
        self._new_entries: list[tuple[object, ...]] = []
        self._batch_entries: dict[int, Entry] = {}
        self._new_replays: list[tuple[object, ...]] = []
        self._new_periods: dict[int, PeriodRow] = {}
        self._changed_periods: dict[int, PeriodRow] = {}
        self._new_holds: dict[int, HoldRow] = {}
        self._changed_holds: dict[int, HoldRow] = {}
        self._new_events: list[tuple[object, ...]] = []
        self._new_crossings: list[tuple[object, ...]] = []
        self._new_excess: list[tuple[object, ...]] = []
        self._new_scopes: list[tuple[int, int]] = []
        self._rollup: dict[tuple[int, int], tuple[int, ...]] = {}

    # idempotency

    def remember(self, key: str, fingerprint: bytes, *, entry_sequence: int | None, hold_id: int | None) -> None:
        """Bind an idempotency key to its first result."""
        self._replays[key] = Replay(fingerprint=fingerprint, entry_sequence=entry_sequence, hold_id=hold_id)
        self._new_replays.append((key, fingerprint, entry_sequence, hold_id))

    # budgets and periods

    def put_budget(self, row: BudgetRow) -> None:
        """Insert a budget (``budget_id`` 0) or replace it, and give it its id."""
        row.budget_id = row.budget_id or self._next_id("budget")
        self._connection.execute(
            "INSERT OR REPLACE INTO budget (budget_id, name, revision, definition, set_us, entries_until_us) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (row.budget_id, row.name, row.revision, row.definition, row.set_us, row.entries_until_us),
        )
        self._budgets = None
        self.remembered.clear()

    def periods_of(self, budget: BudgetRow) -> list[PeriodRow]:
        """Return every period row of the budget's current revision."""
        key = (budget.budget_id, budget.revision)
        stored = self._read_periods("budget_id = ? AND revision = ?", key)
        new = [row for row in self._new_periods.values() if (row.budget_id, row.revision) == key]
        return [*stored, *new]

    def add_period(self, row: PeriodRow) -> None:
        """Insert a period row and give it its id."""
        row.period_id = self._next_id("budget_period")
        self._keep_period(row)
        self._new_periods[row.period_id] = row

    def change_period(self, row: PeriodRow) -> None:
        """Mark a period row as changed, to be written with this transaction."""
        if row.period_id not in self._new_periods:
            self._changed_periods[row.period_id] = row

    def booked(self, *, start_us: int | None, end_us: int | None, details: bool) -> Iterator[BookedAmount]:
        """Yield what was booked in the interval; summed by dimension unless details (tags, run) are asked for."""
        self._flush_entries()
        bounds = (start_us if start_us is not None else -_FOREVER_US, end_us if end_us is not None else _FOREVER_US)
        where = "at_us >= ? AND at_us < ? AND kind <> 'budget'"
        if details:
            rows = self._connection.execute(
                f"SELECT dimension_id, coalesce(amount_pico, 0), 0, unpriced, detail FROM entry WHERE {where}",
                bounds,
            )
        else:
            # Two sums, because one sum of 64-bit amounts may overflow.
            rows = self._connection.execute(
                "SELECT dimension_id, sum(coalesce(amount_pico, 0) % 1000000), "
                "sum(coalesce(amount_pico, 0) / 1000000), "
                f"sum(unpriced), NULL FROM entry WHERE {where} GROUP BY dimension_id",
                bounds,
            )
        for dimension_id, pico, micro, unpriced, detail in rows.fetchall():
            said = json.loads(detail) if detail else {}
            dimension = self._dimension(dimension_id)
            yield BookedAmount(
                dimension=dimension,
                asked=as_requested(dimension, said.get("requested_model"), said.get("requested_provider")),
                tags=said.get("tags", {}),
                budgets=tuple(said.get("budgets", ())),
                run=said.get("run", ""),
                amount_pico=micro * 1_000_000 + pico,
                unpriced_calls=unpriced,
            )

    def newest_entry_us(self) -> int:
        """Return the latest ``at_us`` of any entry, or a time before all where there is none."""
        self._flush_entries()
        (newest,) = self._connection.execute("SELECT max(at_us) FROM entry WHERE kind <> 'budget'").fetchone()
        return -_FOREVER_US if newest is None else int(newest)

    # entries

    def append(self, draft: EntryDraft) -> Entry:
        """Append an entry to the chain and its figures to the rollup."""
        dimension_id = self._dimension_id(draft.dimension)
        detail = entry_detail(draft)
        unpriced = draft.unpriced_calls
        basis_id, basis = self._basis(draft.usage, draft.lines) if draft.lines else (None, None)
        kind, amounts = draft.kind, (draft.amount_pico, draft.amount_source, draft.caller_pico, unpriced)
        texts = (
            None if draft.usage is None else usage_beside(draft.usage, basis),
            None if basis is None else basis.lines_text(draft.lines),
            json_text(detail) if detail else None,
        )
        self._sequence += 1
        self._digest = entry_digest(
            self._digest,
            self._sequence,
            draft.dimension,
            (kind, draft.at_us, self.now_us, *amounts, basis and basis.text, *texts, draft.corrects),
        )
        self._new_entries.append(
            (
                self._sequence, dimension_id, kind, draft.at_us, self.now_us, *amounts, basis_id, *texts,
                draft.corrects, self._digest,
            )
        )  # fmt: skip
        if draft.kind != "budget":
            self._roll_up(draft, dimension_id, unpriced)
        entry = entry_from_draft(draft, self._sequence, self._digest, recorded_us=self.now_us, chain_id=self.chain_id)
        self._batch_entries[self._sequence] = entry
        return entry

    def _roll_up(self, draft: EntryDraft, dimension_id: int, unpriced: int) -> None:
        key = (draft.at_us // QUARTER_US, dimension_id)
        tokens = _NO_TOKENS if draft.usage is None else token_totals(draft.usage.leaves)
        figures = (int(draft.kind == "charge"), unpriced, *divmod(draft.amount_pico or 0, PICO_PER_MICRO), *tokens)
        row = self._rollup.get(key)
        self._rollup[key] = figures if row is None else tuple(map(add, row, figures))

    @property
    def written(self) -> Collection[Entry]:
        """The entries of this batch, the oldest first."""
        return self._batch_entries.values()

    def entry(self, sequence: int) -> Entry:
        """Return one entry."""
        if sequence in self._batch_entries:
            return self._batch_entries[sequence]
        row = self._connection.execute(
            f"SELECT {ENTRY_COLUMNS} FROM entry WHERE sequence = ?",
            (sequence,),
        ).fetchone()
        with decoding(self._ledger, f"entry {sequence}"):
            return entry_from_row(row, self._dimension(row[1]), self.chain_id)

    def newest_corrections(self, sequences: Sequence[int]) -> dict[int, int]:
        """Return, of those entries that were corrected, the sequence of the newest correction."""
        self._flush_entries()
        found: dict[int, int] = {}
        for start in range(0, len(sequences), LOOKUP_ROWS):
            some = sequences[start : start + LOOKUP_ROWS]
            found.update(
                self._connection.execute(
                    f"SELECT corrects, max(sequence) FROM entry WHERE corrects IN ({','.join('?' * len(some))}) "
                    "GROUP BY corrects",
                    some,
                )
            )
        return found

    # holds

    def add_hold(self, row: HoldRow) -> None:
        """Insert a hold and give it its id."""
        row.hold_id = self._next_id("hold")
        self._dimension_id(row.dimension)
        self._holds[row.hold_id] = row
        self._new_holds[row.hold_id] = row
        self._new_events.append((row.hold_id, "opened", self.now_us, row.amount_pico))

    def open_holds(self, *, expired_by_us: int | None = None) -> list[HoldRow]:
        """Return the holds that are open (suspects included), or those of them that had expired by an instant."""
        until_us = _FOREVER_US if expired_by_us is None else expired_by_us
        stored = self._read_holds("state = 'open' AND expires_us <= ?", (until_us,))
        return [
            row for row in (*stored, *self._new_holds.values()) if row.state == "open" and row.expires_us <= until_us
        ]

    def suspect_pico(self, period_id: int) -> int:
        """Return the sum of suspect holds that are counted in a period."""
        # Not by rows of holds: thousands of suspects would fill the cache at each refusal.
        changed = {number: self._holds[number] for number, _ in self._new_scopes}
        changed |= self._changed_holds | self._new_holds
        rows = self._connection.execute(
            "SELECT hold_id, amount_pico FROM hold JOIN hold_scope USING (hold_id) "
            "WHERE state = 'open' AND expires_us <= ? AND period_id = ?",
            (self.now_us, period_id),
        )
        stored: int = sum(amount for number, amount in rows if number not in changed)
        return stored + sum(
            row.amount_pico
            for row in changed.values()
            if row.state == "open" and row.expires_us <= self.now_us and period_id in row.period_ids
        )

    def change_hold(self, row: HoldRow, event: str) -> None:
        """Mark a hold as changed, and note the event."""
        if row.hold_id not in self._new_holds:
            self._changed_holds[row.hold_id] = row
        self._new_events.append((row.hold_id, event, self.now_us, row.amount_pico))

    def newest_holds(self, state: HoldState | None, limit: int) -> list[HoldRow]:
        """Return committed holds, the newest first; "suspect" and "open" both are stored as open."""
        where = {
            None: "1",
            "open": "state = 'open' AND expires_us > ?",
            "suspect": "state = 'open' AND expires_us <= ?",
        }
        values = {None: (), "open": (self.now_us,), "suspect": (self.now_us,)}.get(state, (state,))
        return self._read_holds(f"{where.get(state, 'state = ?')} ORDER BY hold_id DESC LIMIT ?", (*values, limit))

    def add_scope(self, row: HoldRow, period_id: int) -> None:
        """Count an existing hold in one more period."""
        row.period_ids = (*row.period_ids, period_id)
        if row.hold_id not in self._new_holds:
            self._new_scopes.append((row.hold_id, period_id))

    # alerts

    def add_crossing(self, row: PeriodRow, percent: int, at_us: int, *, in_open_period: bool) -> None:
        """Note that a threshold was passed, once for each period and threshold."""
        row.crossed_percents |= {percent}
        is_open = int(in_open_period)
        self._new_crossings.append(
            (row.period_id, percent, at_us, self.now_us, min(row.spent_pico, MAX_PICO), row.limit_pico, is_open)
        )

    def add_excess(
        self, row: PeriodRow, reason: ExcessReason, amount_pico: int, at_us: int, entry_sequence: int | None
    ) -> None:
        """Note a fact that took a period above its limit."""
        self._new_excess.append((row.period_id, reason, amount_pico, at_us, entry_sequence))

    # writing

    def flush(self) -> None:
        """Write every change with one statement a table; the caller commits."""
        many = self._connection.executemany
        self._flush_entries()
        _write(many, statements.INSERT_PERIOD, [statements.period_values(row) for row in self._new_periods.values()])
        _write(
            many, statements.UPDATE_PERIOD, [statements.period_counters(row) for row in self._changed_periods.values()]
        )
        _write(many, statements.INSERT_HOLD, [self._hold_values(row) for row in self._new_holds.values()])
        scopes = [(row.hold_id, period_id) for row in self._new_holds.values() for period_id in row.period_ids]
        _write(many, statements.INSERT_SCOPE, [*scopes, *self._new_scopes])
        _write(many, statements.UPDATE_HOLD, [statements.hold_end(row) for row in self._changed_holds.values()])
        _write(many, statements.INSERT_EVENT, self._new_events)
        _write(many, statements.INSERT_REPLAY, self._new_replays)
        _write(many, statements.INSERT_CROSSING, self._new_crossings)
        _write(many, statements.INSERT_EXCESS, self._new_excess)
        if self.now_us >= self.last_us + CLOCK_STEP_US:
            self._connection.execute("UPDATE clock SET last_us = ?", (self.now_us,))
            self.last_us = self.now_us

    def _flush_entries(self) -> None:
        many = self._connection.executemany
        _write(many, statements.INSERT_DIMENSION, self._new_dimensions)
        _write(many, statements.INSERT_BASIS, self._new_bases)
        _write(many, statements.INSERT_ENTRY, self._new_entries)
        _write(many, statements.ADD_ROLLUP, [(*key, *row) for key, row in self._rollup.items()])
        self._new_dimensions, self._new_bases, self._new_entries, self._rollup = [], [], [], {}

    def committed(self) -> None:
        """Keep what was read for the next batch, unless it has grown too large."""
        kept: tuple[Sized, ...] = (self._periods, self._holds, self._dimensions, self._bases, self.remembered)
        if any(len(rows) > CACHE_ROWS for rows in kept):
            self.abandon()

    def _hold_values(self, row: HoldRow) -> tuple[object, ...]:
        detail = json_text(row.detail) if row.detail else None
        dimension_id = self._dimension_id(row.dimension)
        return (
            row.hold_id,
            row.state,
            row.amount_pico,
            row.expected_pico,
            dimension_id,
            row.at_us,
            row.expires_us,
            detail,
            row.entry_sequence,
        )


def _write(many: Callable[[str, Sequence[Sequence[Any]]], object], statement: str, rows: Sequence[Any]) -> None:
    if rows:
        many(statement, rows)
