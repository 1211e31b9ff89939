"""Setting a budget and reading its state.

A budget may change at any time. A new limit, policy or alert holds from now on,
in the current period too: what is above a lowered limit is itemised as excess,
and thresholds that spending has passed already are crossings. A new scope,
period or zone makes a new revision, whose current period is counted from the
book; the old revision's periods stay as they were. Each change is an entry of
the chain.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING

from tokencalc.budgets.budget import budget_definition, rules_from
from tokencalc.budgets.covering import empty_period, may_hold_older, period_bounds, period_row, seed_current_period
from tokencalc.budgets.thresholds import note_crossings, note_excess
from tokencalc.clock import instant_from_micros
from tokencalc.errors import BudgetUnknown, CallInvalid
from tokencalc.ledger.records import Dimension, EntryDraft
from tokencalc.ledger.store import BudgetRow
from tokencalc.money import EXACT, MAX_PICO, pico_from_usd, round_half_even, usd_from_pico
from tokencalc.periods import Period

if TYPE_CHECKING:
    from tokencalc.budgets.budget import Budget, Rules
    from tokencalc.ledger.records import Crossing, ExcessItem
    from tokencalc.ledger.store import PeriodRow, Transaction

WARNED_SHARE = Decimal("0.8")
"""Share of the most that a counter holds from which a status warns: there is time left to act."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetStatus:
    """One budget instance in one period, as the book has it.

    ``held_usd`` includes ``suspect_usd``. ``available_usd`` is what a reserve may
    still take, never below 0. ``utilisation`` is spent / limit (0.75 is 75 %), None
    for a limit of 0. ``excess`` itemises the facts that went above the limit.
    """

    budget: Budget
    scope_value: str | None
    period: Period
    limit_usd: Decimal
    spent_usd: Decimal
    held_usd: Decimal
    suspect_usd: Decimal
    unpriced_calls: int
    overflowed: bool
    excess: tuple[ExcessItem, ...] = ()
    crossings: tuple[Crossing, ...] = ()

    @property
    def name(self) -> str:
        """The budget's name."""
        return self.budget.name

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should know before it hurts: counters that come near the most that a ledger file can count."""
        most_usd = usd_from_pico(MAX_PICO)
        if self.overflowed:
            state = "past: hard reserves are refused until the next period"
        elif max(self.spent_usd, self.held_usd) >= most_usd * WARNED_SHARE:
            state = "near: beyond it hard reserves are refused"
        else:
            return ()
        text = (
            f"{most_usd:.0f} dollars, the most that a ledger file can count in one period, are {state}. Use shorter "
            "periods or narrower scopes; a ledger on PostgreSQL, whose NUMERIC has no such end, is for a later version"
        )
        return (text,)

    @property
    def available_usd(self) -> Decimal:
        """What is left: limit - spent - held, never below 0."""
        used_pico = pico_from_usd(self.spent_usd, name="spent_usd") + pico_from_usd(self.held_usd, name="held_usd")
        return usd_from_pico(max(0, pico_from_usd(self.limit_usd, name="limit_usd") - used_pico))

    @property
    def utilisation(self) -> Decimal | None:
        """Spent as a fraction of the limit, to four places; None where the limit is 0."""
        limit_pico = pico_from_usd(self.limit_usd, name="limit_usd")
        if not limit_pico:
            return None
        spent_pico = pico_from_usd(self.spent_usd, name="spent_usd")
        # Not by the caller's decimal context, which may round to three digits.
        return Decimal(round_half_even(spent_pico * 10**4, limit_pico)).scaleb(-4, EXACT)


def set_budget(transaction: Transaction, budget: Budget) -> None:
    """Set a budget, new or changed; setting the same again changes nothing."""
    definition = json.dumps(budget_definition(budget), sort_keys=True, ensure_ascii=False)
    old = next((row for row in transaction.budgets() if row.name == budget.name), None)
    if old is not None and old.definition == definition:
        return
    same_cover = old is not None and rules_from(old.definition).budget.covers == budget.covers
    row = BudgetRow(
        budget_id=old.budget_id if old else 0,
        name=budget.name,
        revision=old.revision + (not same_cover) if old else 1,
        definition=definition,
        set_us=old.set_us if old and same_cover else transaction.now_us,
        entries_until_us=old.entries_until_us if old and same_cover else _newest_us(transaction),
    )
    transaction.put_budget(row)
    rules = rules_from(definition)
    if same_cover:
        _change_limits(transaction, row, rules)
    else:
        for period in seed_current_period(transaction, row, rules):
            note_excess(transaction, rules, period, 0, "budget_set", transaction.now_us, None)
            note_crossings(transaction, rules, period, transaction.now_us)
    transaction.append(EntryDraft(kind="budget", at_us=transaction.now_us, dimension=Dimension(), notes=(definition,)))


def _newest_us(transaction: Transaction) -> int:
    """Return the latest instant of what the book holds already; it may lie ahead, where the clock has gone back."""
    return max([transaction.newest_entry_us(), *(hold.at_us for hold in transaction.open_holds())])


def _change_limits(transaction: Transaction, row: BudgetRow, rules: Rules) -> None:
    for period in transaction.periods_of(row):
        if period.end_us is not None and period.end_us <= transaction.now_us:
            continue
        # Only what the lower limit newly lays bare is excess of this change; the rest was itemised when it happened.
        over_before = max(0, period.used_pico - period.limit_pico)
        period.limit_pico = rules.limit_pico
        note_excess(
            transaction, rules, period, rules.limit_pico + over_before, "limit_lowered", transaction.now_us, None
        )
        note_crossings(transaction, rules, period, transaction.now_us)
        transaction.change_period(period)


def stored_budgets(transaction: Transaction) -> tuple[Budget, ...]:
    """Return every budget, in the order in which they were first set."""
    return tuple(rules_from(row.definition).budget for row in transaction.budgets())


def status(
    transaction: Transaction, name: str, *, value: str | None, at_us: int | None, run: str
) -> list[tuple[int, BudgetStatus]]:
    """Return (period id, status) for a budget's instances in the period that holds an instant.

    Without ``value`` a template budget (scope with ``*``) answers for each
    instance that has a row. Raises BudgetUnknown.
    """
    rows = transaction.budgets()
    row = next((row for row in rows if row.name == name), None)
    if row is None:
        known = tuple(row.name for row in rows)
        raise BudgetUnknown(
            f"budget {name!r:.60} does not exist; known: {', '.join(known) or 'none'}", budget=name, known=known
        )
    rules = rules_from(row.definition)
    if value and "*" not in rules.budget.scope.values():
        raise CallInvalid(
            f"budget {name!r} has no * in its scope and so no instance {value!r:.60}; leave the value out",
            path="value",
            found=value,
        )
    instant_us = transaction.now_us if at_us is None else at_us
    if value is None and "*" in rules.budget.scope.values():
        key, _, _ = period_bounds(rules.budget.period, rules.budget.timezone, instant_us, run)
        periods = [period for period in transaction.periods_of(row) if period.period_key == key]
    else:
        periods = [_instance(transaction, row, rules, value or "", (instant_us, run))]
    return [(period.period_id, _status(transaction, rules, period)) for period in periods]


def _instance(transaction: Transaction, row: BudgetRow, rules: Rules, value: str, when: tuple[int, str]) -> PeriodRow:
    """Return one instance's row; asking about a value that nobody has used yet writes nothing."""
    bounds = period_bounds(rules.budget.period, rules.budget.timezone, *when)
    if "*" in rules.budget.scope.values() and not may_hold_older(row, bounds[1], bounds[2]):
        return transaction.period(row, value, bounds[0]) or empty_period(row, rules, value, bounds)
    return period_row(transaction, row, rules, value, *when)


def _status(transaction: Transaction, rules: Rules, period: PeriodRow) -> BudgetStatus:
    return BudgetStatus(
        budget=rules.budget,
        scope_value=period.scope_value or None,
        period=Period(
            kind=rules.budget.period,
            key=period.period_key,
            start=None if period.start_us is None else instant_from_micros(period.start_us),
            end=None if period.end_us is None else instant_from_micros(period.end_us),
        ),
        limit_usd=usd_from_pico(period.limit_pico),
        spent_usd=usd_from_pico(period.spent_pico),
        held_usd=usd_from_pico(period.held_pico),
        suspect_usd=usd_from_pico(transaction.suspect_pico(period.period_id)),
        unpriced_calls=period.unpriced_calls,
        overflowed=period.overflowed,
    )


def with_history(
    status: BudgetStatus, *, excess: tuple[ExcessItem, ...], crossings: tuple[Crossing, ...]
) -> BudgetStatus:
    """Return the status with what was noted for its period."""
    return replace(status, excess=excess, crossings=crossings)
