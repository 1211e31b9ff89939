"""What a store offers the rooms above: steps that run inside one serial transaction.

A `Step` is a function of a `Transaction`. The store runs many waiting steps in
one database transaction and answers them after the commit. The rule for a step:
look and validate first, raising an error of our tree; once it has changed
anything it must not raise. So a refusal needs no rollback, and one caller's
refusal never undoes another caller's work.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence

    from tokencalc.events import Event
    from tokencalc.ledger.records import Dimension, Entry, EntryDraft, ExcessReason, HoldState

Result_co = TypeVar("Result_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Step(Generic[Result_co]):
    """One unit of work; the keys and holds that it will ask for are fetched for the whole batch at once."""

    run: Callable[[Transaction], Result_co]
    idempotency_keys: tuple[str, ...] = ()
    hold_ids: tuple[int, ...] = ()


@dataclass(slots=True)
class PeriodRow:
    """One budget instance's counters in one period; changed only inside a transaction."""

    period_id: int
    budget_id: int
    revision: int
    scope_value: str
    period_key: str
    start_us: int | None
    end_us: int | None
    limit_pico: int
    held_pico: int = 0
    spent_pico: int = 0
    unpriced_calls: int = 0
    overflowed: bool = False
    crossed_percents: frozenset[int] = frozenset()

    @property
    def used_pico(self) -> int:
        """Spent and held together."""
        return self.spent_pico + self.held_pico


@dataclass(slots=True)
class BudgetRow:
    """A budget as stored; ``entries_until_us`` is the newest entry or open hold that was there before this revision."""

    budget_id: int
    name: str
    revision: int
    definition: str
    set_us: int
    entries_until_us: int


@dataclass(slots=True)
class HoldRow:
    """A hold as stored, with the periods in which it is counted; changed only inside a transaction."""

    hold_id: int
    state: HoldState
    amount_pico: int
    expected_pico: int
    dimension: Dimension
    at_us: int
    expires_us: int
    detail: Mapping[str, object]
    period_ids: tuple[int, ...]
    entry_sequence: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What a repeated idempotency key points to."""

    fingerprint: bytes
    entry_sequence: int | None
    hold_id: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BookedAmount:
    """One entry as budgets see it when a period row is made after the entry."""

    dimension: Dimension
    asked: Dimension
    tags: Mapping[str, str]
    budgets: tuple[str, ...]
    run: str
    amount_pico: int
    unpriced_calls: int


class Transaction(Protocol):
    """The writer's view of the book inside one transaction."""

    chain_id: str
    """The ledger's own id, part of every public entry and hold id."""
    events: list[Event]
    """What is to be announced once the batch is committed and answered."""
    is_heard: bool
    """Whether anybody listens; without listeners nobody needs to make events."""
    remembered: dict[Hashable, Any]
    """What rules have worked out from rows of the book; dropped with those rows, and with every changed budget."""
    now_us: int
    """The instant of this transaction, read once inside the lock."""
    last_us: int
    """The newest instant that the ledger has seen before this transaction."""

    def replay(self, key: str) -> Replay | None:
        """Return what the idempotency key was used for, or None."""

    def remember(self, key: str, fingerprint: bytes, *, entry_sequence: int | None, hold_id: int | None) -> None:
        """Bind an idempotency key to its first result."""

    def budgets(self) -> list[BudgetRow]:
        """Return every budget."""

    def put_budget(self, row: BudgetRow) -> None:
        """Insert a budget (``budget_id`` 0) or replace it, and give it its id."""

    def period(self, budget: BudgetRow, scope_value: str, period_key: str) -> PeriodRow | None:
        """Return the period row, or None where there is none yet."""

    def add_period(self, row: PeriodRow) -> None:
        """Insert a period row and give it its id."""

    def period_by_id(self, period_id: int) -> PeriodRow:
        """Return a period row that exists."""

    def periods_of(self, budget: BudgetRow) -> list[PeriodRow]:
        """Return every period row of the budget's current revision."""

    def change_period(self, row: PeriodRow) -> None:
        """Mark a period row as changed, to be written with this transaction."""

    def booked(self, *, start_us: int | None, end_us: int | None, details: bool) -> Iterator[BookedAmount]:
        """Yield what was booked in the interval; summed by dimension unless details (tags, run) are asked for."""

    def newest_entry_us(self) -> int:
        """Return the latest ``at_us`` of any entry, or a time before all where there is none."""

    def append(self, draft: EntryDraft) -> Entry:
        """Append an entry to the chain and its figures to the rollup."""

    def entry(self, sequence: int) -> Entry:
        """Return one entry."""

    def newest_corrections(self, sequences: Sequence[int]) -> dict[int, int]:
        """Return, of those entries that were corrected, the sequence of the newest correction."""

    def add_hold(self, row: HoldRow) -> None:
        """Insert a hold and give it its id."""

    def hold(self, hold_id: int) -> HoldRow | None:
        """Return a hold, or None."""

    def open_holds(self, *, expired_by_us: int | None = None) -> list[HoldRow]:
        """Return the holds that are open (suspects included), or those of them that had expired by an instant."""

    def newest_holds(self, state: HoldState | None, limit: int) -> list[HoldRow]:
        """Return committed holds, the newest first; "suspect" and "open" both are stored as open."""

    def add_scope(self, row: HoldRow, period_id: int) -> None:
        """Count an existing hold in one more period."""

    def suspect_pico(self, period_id: int) -> int:
        """Return the sum of suspect holds that are counted in a period."""

    def change_hold(self, row: HoldRow, event: str) -> None:
        """Mark a hold as changed, and note the event."""

    def add_crossing(self, row: PeriodRow, percent: int, at_us: int, *, in_open_period: bool) -> None:
        """Note that a threshold was passed, once for each period and threshold."""

    def add_excess(
        self, row: PeriodRow, reason: ExcessReason, amount_pico: int, at_us: int, entry_sequence: int | None
    ) -> None:
        """Note a fact that took a period above its limit."""
