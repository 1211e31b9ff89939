"""Verifying a ledger: the book's own audit, and what each budget says was spent.

A budget period's ``spent`` must be the sum of the entries that its definition
covers; it is computed anew here, entry by entry.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokencalc.budgets.budget import rules_from
from tokencalc.budgets.covering import Call, covering_values, period_bounds
from tokencalc.errors import LedgerCorrupt
from tokencalc.ledger.audit import Audit, AuditedEntry, audit

if TYPE_CHECKING:
    from tokencalc.budgets.budget import Rules
    from tokencalc.ledger.sqlite import SqliteStore


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
    with audit(store) as book:
        book.check_file()
        spending = _Spending(book)
        entries, head = book.check_chain(expect, spending.add)
        spending.compare(book)
        book.check_corrections()
        book.check_holds()
        book.check_rollups()
        book.check_budgets()
        return Verification(entries=entries, head=head, problems=tuple(book.problems))


class _Spending:
    """What each budget instance should have spent, by period."""

    def __init__(self, book: Audit) -> None:
        self._budgets: list[tuple[int, int, str, Rules]] = []
        for budget_id, revision, name, definition in book.budgets():
            try:
                self._budgets.append((budget_id, revision, name, rules_from(definition)))
            except LedgerCorrupt as error:
                book.problem(f"budget {name!r} cannot be read: {error}")
        self._spent: defaultdict[tuple[int, int, str, str], list[int]] = defaultdict(lambda: [0, 0])

    def add(self, entry: AuditedEntry) -> None:
        call = Call(
            dimension=entry.dimension,
            asked=entry.asked,
            tags=entry.tags,
            run=entry.run,
            budgets=entry.budgets,
            at_us=entry.at_us,
        )
        for budget_id, revision, name, rules in self._budgets:
            for value in covering_values(rules, name, call):
                key, _, _ = period_bounds(rules.budget.period, rules.budget.timezone, entry.at_us, entry.run)
                spent = self._spent[budget_id, revision, value, key]
                spent[0] += entry.amount_pico
                spent[1] += entry.unpriced_calls

    def compare(self, book: Audit) -> None:
        # Periods of an earlier revision stay as they were; their definition is in the chain, not in the table.
        current = {(budget_id, revision): (name, rules) for budget_id, revision, name, rules in self._budgets}
        for period in book.periods():
            found = current.get((period.budget_id, period.revision))
            if found is None:
                continue
            name, rules = found
            where = f"budget {name!r} {period.scope_value} {period.period_key}"
            # A period that was over when the limit changed keeps the one that held then.
            set_us = book.definitions.get(name, ("", 0))[1]
            is_current = period.end_us is None or period.end_us > set_us
            if is_current and period.limit_pico != rules.limit_pico:
                book.problem(f"{where}: its limit is {period.limit_pico} pico-dollars, its budget's {rules.limit_pico}")
            spent, unpriced = self._spent[period.budget_id, period.revision, period.scope_value, period.period_key]
            if (period.spent_pico, period.unpriced_calls) != (spent, unpriced) and not period.overflowed:
                book.problem(
                    f"{where}: spent is {period.spent_pico} pico-dollars with {period.unpriced_calls} calls unpriced, "
                    f"its entries sum to {spent} with {unpriced}"
                )
