"""Crossings and excess: what a budget's counters passed, noted in the transaction that passed it.

Thresholds are amounts of the period's limit in whole pico-dollars, so integers
are compared with integers. A crossing is noted once for each period and threshold;
in a period that is over already it is stored but not announced.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokencalc.clock import instant_from_micros
from tokencalc.events import BudgetCrossed
from tokencalc.money import MAX_PICO, usd_from_pico

if TYPE_CHECKING:
    from tokencalc.budgets.budget import Rules
    from tokencalc.ledger.records import ExcessReason
    from tokencalc.ledger.store import PeriodRow, Transaction


def note_excess(  # noqa: PLR0913, PLR0917  # the facts of one excess
    transaction: Transaction,
    rules: Rules,
    period: PeriodRow,
    used_before_pico: int,
    reason: ExcessReason,
    at_us: int,
    sequence: int | None,
) -> None:
    """Itemise by how much a fact took a period (further) above its limit; observing budgets have no excess."""
    over = period.used_pico - max(period.limit_pico, used_before_pico)
    if over > 0 and rules.budget.policy != "observe":
        transaction.add_excess(period, reason, min(over, MAX_PICO), at_us, sequence)


def note_crossings(transaction: Transaction, rules: Rules, period: PeriodRow, at_us: int) -> None:
    """Note each threshold that spending has passed for the first time in this period."""
    # Below the lowest threshold there is nothing to look at: the hot path of most calls.
    percents = rules.budget.alert_at
    if not percents or 100 * period.spent_pico < period.limit_pico * percents[0]:
        return
    now_us = transaction.now_us
    for percent in percents:
        # Of the period's own limit: a closed period keeps the one that held then.
        if period.spent_pico >= threshold_pico(period.limit_pico, percent) and percent not in period.crossed_percents:
            starts = period.start_us is None or period.start_us <= now_us
            ends = period.end_us is not None and period.end_us <= now_us
            is_open = starts and not ends
            transaction.add_crossing(period, percent, at_us, in_open_period=is_open)
            if is_open and transaction.is_heard:
                transaction.events.append(_crossed(rules, period, percent, at_us))


def threshold_pico(limit_pico: int, percent: int) -> int:
    """Return the amount at which a threshold is passed; rounded up, so that integers compare."""
    return max(1, -(-limit_pico * percent // 100))


def _crossed(rules: Rules, period: PeriodRow, percent: int, at_us: int) -> BudgetCrossed:
    return BudgetCrossed(
        budget=rules.budget.name,
        period_key=period.period_key,
        threshold_percent=percent,
        spent_usd=usd_from_pico(period.spent_pico),
        limit_usd=usd_from_pico(period.limit_pico),
        at=instant_from_micros(at_us),
    )
