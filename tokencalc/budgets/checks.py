"""Verifying a ledger: the book's own audit, and what each budget says was spent.

A budget period's ``spent`` must be the sum of the entries that its definition
covers; it is computed anew here, entry by entry.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokencalc.budgets.budget import rules_from
from tokencalc.budgets.covering import Call, covering_value, period_bounds
from tokencalc.ledger.audit import Audit, AuditedEntry, audit

if TYPE_CHECKING:
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
        book.check_holds()
        book.check_rollups()
        return Verification(entries=entries, head=head, problems=tuple(book.problems))


class _Spending:
    """What each budget instance should have spent, by period."""

    def __init__(self, book: Audit) -> None:
        self._budgets = [
            (budget_id, revision, name, rules_from(definition))
            for budget_id, revision, name, definition in book.budgets()
        ]
        self._spent: defaultdict[tuple[int, int, str, str], int] = defaultdict(int)

    def add(self, entry: AuditedEntry) -> None:
        call = Call(dimension=entry.dimension, tags=entry.tags, run=entry.run, budgets=entry.budgets, at_us=entry.at_us)
        for budget_id, revision, name, rules in self._budgets:
            value = covering_value(rules, name, call)
            if value is not None:
                key, _, _ = period_bounds(rules.budget.period, rules.budget.timezone, entry.at_us, entry.run)
                self._spent[budget_id, revision, value, key] += entry.amount_pico

    def compare(self, book: Audit) -> None:
        # Periods of an earlier revision stay as they were; their definition is in the chain, not in the table.
        current = {(budget_id, revision): name for budget_id, revision, name, _ in self._budgets}
        for period in book.periods():
            name = current.get((period.budget_id, period.revision))
            if name is None or period.overflowed:
                continue
            should = self._spent[period.budget_id, period.revision, period.scope_value, period.period_key]
            if should != period.spent_pico:
                book.problem(
                    f"budget {name!r} {period.scope_value} {period.period_key}: spent is {period.spent_pico} "
                    f"pico-dollars, its entries sum to {should}"
                )
