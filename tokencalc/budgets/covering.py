"""Which budgets cover a call, and their period rows, made when they are first needed.

A period row starts from what the book holds already: entries that were booked
before the budget was set count in the period in which they happened.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from tokencalc.budgets.budget import ANY_VALUE, Rules, rules_from, scope_value
from tokencalc.budgets.thresholds import note_crossings, note_excess
from tokencalc.clock import instant_from_micros, micros_from_instant
from tokencalc.errors import BudgetUnknown
from tokencalc.ledger.store import PeriodRow
from tokencalc.money import MAX_PICO
from tokencalc.periods import period_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from tokencalc.ledger.records import Dimension
    from tokencalc.ledger.store import BudgetRow, HoldRow, Transaction
    from tokencalc.periods import PeriodKind

_SLOT_US = 15 * 60 * 1_000_000


class Call(NamedTuple):
    """What decides which budgets cover a call: whom it is about, and when.

    ``asked`` is the same by the model and provider that were asked for, where others
    served: a charge counts for both, because its hold was counted for the first and
    its money goes to the second.
    """

    dimension: Dimension
    tags: Mapping[str, str]
    run: str
    budgets: tuple[str, ...]
    at_us: int
    asked: Dimension | None = None


class Cover(NamedTuple):
    """One budget instance that covers a call, with the row that counts for it."""

    row: BudgetRow
    rules: Rules
    period: PeriodRow


def covers(transaction: Transaction, call: Call) -> tuple[Cover, ...]:
    """Return every budget instance that covers the call, making period rows that are missing."""
    slot = call.at_us // _SLOT_US
    key = (call.dimension, call.asked, call.run, call.budgets, tuple(call.tags.items()), slot)
    known: tuple[Cover, ...] | None = transaction.remembered.get(key)
    if known is not None:
        return known
    found = tuple(_covers(transaction, call))
    if all(_holds_slot(cover.period, slot) for cover in found):
        transaction.remembered[key] = found
    return found


def _holds_slot(period: PeriodRow, slot: int) -> bool:
    start_us, end_us = period.start_us, period.end_us
    return (start_us is None or start_us <= slot * _SLOT_US) and (end_us is None or (slot + 1) * _SLOT_US <= end_us)


def _covers(transaction: Transaction, call: Call) -> list[Cover]:
    found: list[Cover] = []
    for row in transaction.budgets():
        rules = rules_from(row.definition)
        found += [
            Cover(row, rules, period_row(transaction, row, rules, value, call.at_us, call.run))
            for value in covering_values(rules, row.name, call)
        ]
    return found


def refuse_unknown(transaction: Transaction, names: Sequence[str]) -> None:
    """Raise BudgetUnknown for a named budget that does not exist; for verbs that come before the call."""
    for name in unknown_budgets(transaction, names):
        known = tuple(row.name for row in transaction.budgets())
        raise BudgetUnknown(
            f"budget {name!r:.60} does not exist; known: {', '.join(known) or 'none'}. Set it first",
            budget=name,
            known=known,
        )


def unknown_budgets(transaction: Transaction, names: Sequence[str]) -> list[str]:
    """Return the names that no budget has."""
    if not names:
        return []
    known = {row.name for row in transaction.budgets()}
    return [name for name in names if name not in known]


def covering_values(rules: Rules, name: str, call: Call) -> list[str]:
    """Return the budget's instances that cover the call, mostly one or none; a named budget covers it in any case."""
    if call.dimension.notional and not rules.budget.notional:
        return []
    if rules.budget.period == "run" and not call.run:
        return []
    value = scope_value(rules.budget.scope, call.dimension, call.tags)
    values = [] if value is None else [value]
    if call.asked is not None and call.asked is not call.dimension:
        value = scope_value(rules.budget.scope, call.asked, call.tags)
        if value is not None and value not in values:
            values.append(value)
    return values or ([""] if name in call.budgets else [])


def period_bounds(kind: PeriodKind, timezone: str, at_us: int, run: str) -> tuple[str, int | None, int | None]:
    """Return key, start and end (microseconds) of the period that holds an instant."""
    # Periods of today's zones begin on quarter-hours, so one answer serves a whole slot; older zones are checked.
    bounds = _slot_bounds(kind, timezone, at_us // _SLOT_US, run)
    if (bounds[1] is None or bounds[1] <= at_us) and (bounds[2] is None or at_us < bounds[2]):
        return bounds
    return _bounds(kind, timezone, at_us, run)


@lru_cache(maxsize=4096)
def _slot_bounds(kind: PeriodKind, timezone: str, slot: int, run: str) -> tuple[str, int | None, int | None]:
    return _bounds(kind, timezone, slot * _SLOT_US, run)


def _bounds(kind: PeriodKind, timezone: str, at_us: int, run: str) -> tuple[str, int | None, int | None]:
    period = period_at(kind, instant_from_micros(at_us), timezone=timezone, run=run)
    start = None if period.start is None else micros_from_instant(period.start)
    end = None if period.end is None else micros_from_instant(period.end)
    return period.key, start, end


def period_row(  # noqa: PLR0913, PLR0917  # what names a period row
    transaction: Transaction, row: BudgetRow, rules: Rules, value: str, at_us: int, run: str
) -> PeriodRow:
    """Return the row of the instance's period that holds an instant, made from the book if it is missing."""
    key, start_us, end_us = period_bounds(rules.budget.period, rules.budget.timezone, at_us, run)
    found = transaction.period(row, value, key)
    if found is not None:
        return found
    made = empty_period(row, rules, value, (key, start_us, end_us))
    transaction.add_period(made)
    if may_hold_older(row, start_us, end_us):
        fill_periods(transaction, row, rules, {(value, _run_of(rules, run)): made}, (start_us, end_us))
        note_excess(transaction, rules, made, 0, "budget_set", at_us, None)
        note_crossings(transaction, rules, made, at_us)
    return made


def may_hold_older(row: BudgetRow, start_us: int | None, end_us: int | None) -> bool:
    """Whether a period's row, when it is made, has to be filled with what was booked before the budget was set."""
    set_here = (start_us is None or start_us <= row.set_us) and (end_us is None or row.set_us < end_us)
    # The period in which the budget was set was filled then, for every instance at once.
    return not set_here and (start_us is None or start_us <= row.entries_until_us)


def empty_period(row: BudgetRow, rules: Rules, value: str, bounds: tuple[str, int | None, int | None]) -> PeriodRow:
    """Make a period row that counts nothing yet and is not in the book."""
    key, start_us, end_us = bounds
    return PeriodRow(
        period_id=0,
        budget_id=row.budget_id,
        revision=row.revision,
        scope_value=value,
        period_key=key,
        start_us=start_us,
        end_us=end_us,
        limit_pico=rules.limit_pico,
    )


def seed_current_period(transaction: Transaction, row: BudgetRow, rules: Rules) -> list[PeriodRow]:
    """Make the rows of the period in which a budget is set, one for each instance (and run) that the book knows."""
    kind, timezone = rules.budget.period, rules.budget.timezone
    _, *ends = period_bounds(kind, timezone, transaction.now_us, "")
    made: dict[tuple[str, str], PeriodRow] = {}

    def instance(value: str, run: str) -> PeriodRow:
        if (value, run) not in made:
            bounds = period_bounds(kind, timezone, transaction.now_us, run)
            made[value, run] = empty_period(row, rules, value, bounds)
            transaction.add_period(made[value, run])
        return made[value, run]

    if kind != "run" and ANY_VALUE not in rules.budget.scope.values():
        instance("", "")
    fill_periods(transaction, row, rules, made, (ends[0], ends[1]), instance)
    return list(made.values())


def fill_periods(  # noqa: PLR0913, PLR0917  # what says where to count
    transaction: Transaction,
    row: BudgetRow,
    rules: Rules,
    made: dict[tuple[str, str], PeriodRow],
    bounds: tuple[int | None, int | None],
    instance: Callable[[str, str], PeriodRow] | None = None,
) -> None:
    """Count what was booked and what is held in the bounds into the rows by (value, run), or those instance makes."""
    start_us, end_us = bounds

    def find(call: Call) -> Iterator[PeriodRow]:
        for value in covering_values(rules, row.name, call):
            key = (value, _run_of(rules, call.run))
            period = made.get(key) or (instance(*key) if instance else None)
            if period is not None:
                yield period

    details = rules.needs_details or row.revision > 1
    for booked in transaction.booked(start_us=start_us, end_us=end_us, details=details):
        call = Call(
            dimension=booked.dimension,
            asked=booked.asked,
            tags=booked.tags,
            run=booked.run,
            budgets=booked.budgets,
            at_us=start_us or 0,
        )
        for period in find(call):
            period.spent_pico += booked.amount_pico
            period.unpriced_calls += booked.unpriced_calls
    for hold in _holds_within(transaction.open_holds(), bounds):
        for period in find(call_of_hold(hold)):
            period.held_pico += hold.amount_pico
            transaction.add_scope(hold, period.period_id)
    for period in made.values():
        period.overflowed |= max(period.spent_pico, period.held_pico) > MAX_PICO


def _run_of(rules: Rules, run: str) -> str:
    return run if rules.budget.period == "run" else ""


def _holds_within(holds: Iterable[HoldRow], bounds: tuple[int | None, int | None]) -> list[HoldRow]:
    start_us, end_us = bounds
    return [
        hold
        for hold in holds
        if (start_us is None or start_us <= hold.at_us) and (end_us is None or hold.at_us < end_us)
    ]


def call_of_hold(hold: HoldRow) -> Call:
    """Return what a hold is about, as `covers` asks for it."""
    detail = hold.detail
    return Call(
        dimension=hold.dimension,
        tags=detail.get("tags", {}),  # type: ignore[arg-type]  # holds.py wrote it as a mapping
        run=str(detail.get("run", "")),
        budgets=tuple(detail.get("budgets", ())),  # type: ignore[arg-type]  # written as a list of names
        at_us=hold.at_us,
    )
