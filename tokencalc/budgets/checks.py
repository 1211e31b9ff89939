"""Verifying a ledger: the book's own audit, and what each budget says was spent.

A budget period's ``spent`` must be the sum of the entries that its definition
covers; it is computed anew here, entry by entry. On the way a crossing's amount must
be met, and an excess item's entry must have been able to cause it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from tokencalc.budgets.budget import rules_from
from tokencalc.budgets.covering import Call, covering_values, period_bounds
from tokencalc.budgets.thresholds import threshold_pico
from tokencalc.errors import LedgerCorrupt
from tokencalc.ledger.audit import audit
from tokencalc.ledger.audit_rows import check_holds, check_keys, check_rollups
from tokencalc.money import MAX_PICO

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokencalc.budgets.budget import Rules
    from tokencalc.ledger.audit import Audit, AuditedEntry, CountedPeriod, NotedCrossing
    from tokencalc.ledger.sqlite import SqliteStore

    _Key = tuple[int, int, str, str]

_CAUSED_BY = {
    "overrun": "charge",
    "record_without_hold": "charge",
    "correction": "correction",
    "write_off": "write_off",
}
"""By which kind of entry an excess of that reason is caused."""
_WITHOUT_ENTRY = frozenset({"limit_lowered", "budget_set", "soft_reserve"})


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


def verify(
    store: SqliteStore, *, expect: str | None = None, progress: Callable[[int, int], None] | None = None
) -> Verification:
    """Check the whole ledger; ``expect`` is a head ("SEQUENCE:HEX") that must still be part of the chain."""
    with audit(store, progress) as book:
        book.check_file()
        spending = _Spending(book)
        entries, head = book.check_chain(expect, spending.add)
        spending.compare()
        book.check_corrections()
        check_holds(book)
        check_rollups(book)
        check_keys(book)
        book.check_budgets()
        return Verification(entries=entries, head=head, problems=tuple(book.problems))


class _Known(NamedTuple):
    budget_id: int
    revision: int
    name: str
    rules: Rules
    set_us: int


@dataclass(slots=True)
class _Sum:
    """What one budget period's entries come to so far, and crossings that are to be met on the way."""

    spent_pico: int = 0
    unpriced_calls: int = 0
    newest: int = 0
    crossings: list[NotedCrossing] = field(default_factory=list)


class _Spending:
    """What each budget instance should have spent, by period, and what should have been noted on the way."""

    def __init__(self, book: Audit) -> None:
        self._book = book
        self._budgets: list[_Known] = []
        for budget_id, revision, name, definition, set_us in book.budgets():
            try:
                self._budgets.append(_Known(budget_id, revision, name, rules_from(definition), set_us))
            except LedgerCorrupt as error:
                book.problem(f"budget {name!r} cannot be read: {error}")
        # Periods of an earlier revision stay as they were; their definition is in the chain, not in the table.
        self._current = {(known.budget_id, known.revision): known for known in self._budgets}
        self._sums: defaultdict[_Key, _Sum] = defaultdict(_Sum)
        self._noted: set[tuple[int, int]] = set()
        for crossing in book.crossings():
            self._expect(crossing)
        self._excess = book.excess()
        self._next_excess = next(self._excess, None)

    def add(self, entry: AuditedEntry) -> None:
        """Count an entry where it belongs, and compare what it is said to have caused."""
        call = Call(
            dimension=entry.dimension,
            asked=entry.asked,
            tags=entry.tags,
            run=entry.run,
            budgets=entry.budgets,
            at_us=entry.at_us,
        )
        counted: set[_Key] = set()
        for budget_id, revision, name, rules, _ in self._budgets:
            for value in covering_values(rules, name, call):
                key, _, _ = period_bounds(rules.budget.period, rules.budget.timezone, entry.at_us, entry.run)
                counted.add((budget_id, revision, value, key))
        for where in counted:
            found = self._sums[where]
            found.spent_pico += entry.amount_pico
            found.unpriced_calls += entry.unpriced_calls
            found.newest = entry.sequence
            if found.crossings:
                spent = min(found.spent_pico, MAX_PICO)
                found.crossings = [crossing for crossing in found.crossings if crossing.spent_pico != spent]
        self._meet_excess(entry, counted)

    def compare(self) -> None:
        """Compare what was summed with the counters, when every entry was added."""
        self._skip_excess(None)
        for period in self._book.periods():
            known = self._current.get((period.budget_id, period.revision))
            if known is not None:
                where = (period.budget_id, period.revision, period.scope_value, period.period_key)
                self._compare(period, known, self._sums.pop(where, _Sum()))
        for (budget_id, revision, value, key), found in self._sums.items():
            known = self._current[budget_id, revision]
            # By the place in the chain, since clocks jump; what came before the budget needs no period of its own.
            if found.newest > self._book.set_places.get((known.name, known.set_us), found.newest):
                self._book.problem(f"budget {known.name!r} {value} {key} is missing: entries were counted there")

    def _compare(self, period: CountedPeriod, known: _Known, found: _Sum) -> None:
        rules, problem = known.rules, self._book.problem
        where = f"budget {known.name!r} {period.scope_value} {period.period_key}"
        said = self._book.definitions.get(known.name)
        # A period that was over when the limit changed keeps the one that held then.
        is_current = period.end_us is None or said is None or period.end_us > said.set_us
        if is_current and period.limit_pico != rules.limit_pico:
            problem(f"{where}: its limit is {period.limit_pico} pico-dollars, its budget's {rules.limit_pico}")
        if period.overflowed:
            return
        if (period.spent_pico, period.unpriced_calls) != (found.spent_pico, found.unpriced_calls):
            problem(
                f"{where}: spent is {period.spent_pico} pico-dollars with {period.unpriced_calls} calls unpriced, "
                f"its entries sum to {found.spent_pico} with {found.unpriced_calls}"
            )
        for crossing in found.crossings:
            problem(
                f"{where}: crossing {crossing.crossing_id} says {crossing.spent_pico} pico-dollars were spent, "
                "which its entries never summed to"
            )
        for percent in rules.budget.alert_at if is_current else ():
            is_past = period.spent_pico >= threshold_pico(period.limit_pico, percent)
            if is_past and (period.period_id, percent) not in self._noted:
                problem(f"{where}: its crossing of {percent} % is missing")
        over_pico = period.spent_pico + period.held_pico - period.limit_pico
        if over_pico > 0 and said is not None and not said.observed:
            itemised = self._book.excess_pico(period.period_id)
            if itemised < over_pico:
                problem(f"{where} is {over_pico} pico-dollars above its limit, its excess items sum to {itemised}")

    def _expect(self, crossing: NotedCrossing) -> None:
        name = f"crossing {crossing.crossing_id}"
        if crossing.budget_id is None:
            self._book.problem(f"{name}: its budget period {crossing.period_id} is missing")
            return
        if crossing.spent_pico < threshold_pico(crossing.limit_pico, crossing.threshold_percent):
            self._book.problem(
                f"{name}: {crossing.spent_pico} of {crossing.limit_pico} pico-dollars are less than "
                f"{crossing.threshold_percent} %"
            )
        self._noted.add((crossing.period_id, crossing.threshold_percent))
        if (crossing.budget_id, crossing.revision) in self._current:
            where = (crossing.budget_id, crossing.revision, crossing.scope_value, crossing.period_key)
            self._sums[where].crossings.append(crossing)

    def _meet_excess(self, entry: AuditedEntry, counted: set[_Key]) -> None:
        self._skip_excess(entry.sequence)
        while (item := self._next_excess) is not None and item.entry_sequence == entry.sequence:
            is_current = (item.budget_id, item.revision) in self._current
            where = (item.budget_id or 0, item.revision, item.scope_value, item.period_key)
            fits = _CAUSED_BY.get(item.reason) == entry.kind and item.at_us == entry.at_us
            if not fits or not 0 < item.amount_pico <= entry.amount_pico or (is_current and where not in counted):
                self._book.problem(f"excess {item.excess_id} ({item.reason}) is not what entry {entry.sequence} did")
            self._next_excess = next(self._excess, None)

    def _skip_excess(self, before: int | None) -> None:
        """Look at what no entry caused, and name what says that an entry did that is not there."""
        while (item := self._next_excess) is not None:
            if item.entry_sequence is not None and before is not None and item.entry_sequence >= before:
                return
            if item.budget_id is None:
                self._book.problem(f"excess {item.excess_id}: its budget period is missing")
            elif item.entry_sequence is not None or item.reason not in _WITHOUT_ENTRY or item.amount_pico <= 0:
                self._book.problem(f"excess {item.excess_id} ({item.reason}): the entry that it names did not do it")
            self._next_excess = next(self._excess, None)
