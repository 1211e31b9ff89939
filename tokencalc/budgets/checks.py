"""Verifying a ledger: the book's own audit, and what each budget says was spent.

A budget period's ``spent`` must be the sum of the entries that its definition
covers; it is computed anew here, entry by entry. On the way a crossing's amount must
be met, and an excess item's entry must have been able to cause it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tokencalc.budgets.budget import rules_from
from tokencalc.budgets.covering import Call, covering_values, period_bounds
from tokencalc.budgets.period_checks import (
    HeldChecks,
    Known,
    check_bounds,
    check_crossings,
    percents_of_all,
    possible_rules,
    rules_said,
)
from tokencalc.budgets.thresholds import threshold_pico
from tokencalc.errors import LedgerCorrupt
from tokencalc.ledger.audit import audit
from tokencalc.ledger.audit_rows import check_holds, check_keys, check_migrations, check_rollups
from tokencalc.money import MAX_PICO

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokencalc.budgets.period_checks import RulesSaid
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
        check_migrations(book)
        check_rollups(book)
        check_keys(book)
        book.check_budgets()
        return Verification(entries=entries, head=head, problems=tuple(book.problems))


@dataclass(slots=True)
class _Sum:
    """What one budget period's entries come to so far, and crossings that are to be met on the way.

    ``most_pico`` is the most that they came to, ``cut_pico`` what would be left if the counter had been cut off at
    the largest value after each.
    """

    spent_pico: int = 0
    most_pico: int = 0
    cut_pico: int = 0
    is_beyond: bool = False
    unpriced_calls: int = 0
    sequence: int = 0
    crossings: list[NotedCrossing] = field(default_factory=list)


class _Spending:
    """What each budget instance should have spent, by period, and what should have been noted on the way."""

    def __init__(self, book: Audit) -> None:
        self._book = book
        self._budgets: list[Known] = []
        for budget_id, revision, name, definition in book.budgets():
            try:
                self._budgets.append(Known(budget_id, revision, name, rules_from(definition)))
            except LedgerCorrupt as error:
                book.problem(f"budget {name!r} cannot be read: {error}")
        # Periods of an earlier revision stay as they were; their definition is in the chain, not in the table.
        self._revisions = {budget_id: revision for budget_id, revision, _, _ in book.budgets()}
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
        for budget_id, revision, name, rules in self._budgets:
            for value in covering_values(rules, name, call):
                key, _, _ = period_bounds(rules.budget.period, rules.budget.timezone, entry.at_us, entry.run)
                counted.add((budget_id, revision, value, key))
        for where in counted:
            found = self._sums[where]
            found.spent_pico += entry.amount_pico
            found.most_pico = max(found.most_pico, found.spent_pico)
            found.cut_pico = min(found.cut_pico + entry.amount_pico, MAX_PICO)
            found.is_beyond |= entry.is_beyond
            found.unpriced_calls += entry.unpriced_calls
            found.sequence = entry.sequence
            if found.crossings:
                spent = min(found.spent_pico, MAX_PICO)
                found.crossings = [crossing for crossing in found.crossings if crossing.spent_pico != spent]
        self._meet_excess(entry, counted)

    def compare(self) -> None:
        """Compare what was summed with the counters, when every entry was added; then holds with their periods."""
        self._skip_excess(None)
        chain = {known.name: rules_said(self._book, known.name) for known in self._budgets}
        holds = HeldChecks(self._book, self._budgets)
        for period in self._book.periods():
            known = self._current.get((period.budget_id, period.revision))
            if known is not None:
                where = (period.budget_id, period.revision, period.scope_value, period.period_key)
                holds.add(period)
                check_bounds(self._book, period, known)
                self._compare(period, known, self._sums.pop(where, _Sum()), chain[known.name])
            elif not 0 < period.revision <= self._revisions.get(period.budget_id, 0):
                self._book.problem(f"budget period {period.period_id}: there is no budget of which it is a period")
        for (budget_id, revision, value, key), found in self._sums.items():
            known = self._current[budget_id, revision]
            said = self._book.definitions.get(known.name)
            # By place in the chain: the clock may have gone back in between. A period of which no entry was written
            # since the budget covers it has no row until somebody asks for it.
            if said is not None and found.sequence > said.covers_from:
                self._book.problem(f"budget {known.name!r} {value} {key} is missing: entries were counted there")
        holds.compare()
        check_crossings(self._book, self._current, chain)

    def _compare(self, period: CountedPeriod, known: Known, found: _Sum, chain: RulesSaid) -> None:
        problem, where = self._book.problem, known.where(period)
        possible = possible_rules(chain, period.end_us)
        limits = {rules.limit_pico for rules in possible}
        if limits and period.limit_pico not in limits:
            wanted = " or ".join(str(limit) for limit in sorted(limits))
            problem(f"{where}: its limit is {period.limit_pico} pico-dollars, its budget's {wanted}")
        if period.unpriced_calls != found.unpriced_calls or not self._spent_fits(period, found, where):
            problem(
                f"{where}: spent is {period.spent_pico} pico-dollars with {period.unpriced_calls} calls unpriced, "
                f"its entries sum to {found.spent_pico} with {found.unpriced_calls}"
            )
        if period.overflowed:
            return
        for crossing in found.crossings:
            problem(
                f"{where}: crossing {crossing.crossing_id} says {crossing.spent_pico} pico-dollars were spent, "
                "which its entries never summed to"
            )
        for percent in percents_of_all(possible):
            is_past = period.spent_pico >= threshold_pico(period.limit_pico, percent)
            if is_past and (period.period_id, percent) not in self._noted:
                problem(f"{where}: its crossing of {percent} % is missing")
        said = self._book.definitions.get(known.name)
        over_pico = period.spent_pico + period.held_pico - period.limit_pico
        if over_pico > 0 and said is not None and not said.observed:
            itemised = self._book.excess_pico(period.period_id)
            if itemised < over_pico:
                problem(f"{where} is {over_pico} pico-dollars above its limit, its excess items sum to {itemised}")

    def _spent_fits(self, period: CountedPeriod, found: _Sum, where: str) -> bool:
        if not period.overflowed:
            return period.spent_pico == found.spent_pico
        if found.most_pico <= MAX_PICO and not found.is_beyond and self._book.ever_held(period.period_id) <= MAX_PICO:
            self._book.problem(f"{where} is marked as past what can be counted, but never was")
        # What was cut off at the largest value depends on when the row was written: after each entry, or later.
        return found.cut_pico <= period.spent_pico <= min(found.spent_pico, MAX_PICO)

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
