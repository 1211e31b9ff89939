"""What each condition finds in the ledger now: figures by instance."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tokencalc.alerts import figures
from tokencalc.alerts.records import Reading, Readings
from tokencalc.alerts.rules import BudgetPassed, Cost, Metric, Ratio, figure_from
from tokencalc.budgets.thresholds import threshold_pico
from tokencalc.clock import micros_from_instant
from tokencalc.ledger.query import passed
from tokencalc.ledger.rows import decoding
from tokencalc.money import display_usd, usd_from_pico
from tokencalc.periods import period_at
from tokencalc.reports.text import safe_text

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime
    from decimal import Decimal

    from tokencalc.alerts.rules import Rule
    from tokencalc.engine import Engine

CROSSING = "crossing"
"""What the instance of a budget's crossing begins with; its number follows."""
_LATE_US = 24 * 3600 * 1_000_000
"""A crossing that nobody looked at before its period was over is told up to a day later."""


def readings_of(engine: Engine, rule: Rule, now: datetime) -> Readings:
    """Return the instances of a rule at an instant, from what the ledger holds; LedgerCorrupt for a damaged row."""
    condition, now_us = rule.condition, micros_from_instant(now)
    if isinstance(condition, Cost):
        return Readings(tuple(_costs(engine, rule, condition, now)), over="the day is over")
    if not isinstance(condition, Metric | Ratio | BudgetPassed):
        return _own(rule, condition, now_us)
    with engine.store.reading() as connection:
        if isinstance(condition, BudgetPassed):
            return Readings(tuple(_crossings(connection, condition, now_us)), over="its period is over")
        with decoding(engine.store.name, f"the samples of rule {rule.name}"):
            return _metrics(connection, rule, condition, now_us)


def _metrics(connection: sqlite3.Connection, rule: Rule, condition: Metric | Ratio, now_us: int) -> Readings:
    found, unknown = [], set()
    for one in figures.instances(connection, condition):
        seen = figures.look(connection, rule, one, now_us)
        if seen is not None:
            said = _said(condition, seen.value)
            text = f"{_named(condition.shown, one.shown)} {said}, threshold: {rule.threshold_text}"
            found.append(Reading(one.key, one.shown, seen.value, seen.is_breach, text, seen.since_us, seen.is_proved))
        elif figures.may_come_back(connection, condition, one, now_us):
            unknown.add(one.key)
    minutes = figures.silent_after_s(condition) // 60
    return Readings(tuple(found), f"it fell silent: no figure for {minutes} minutes", frozenset(unknown))


def _said(condition: Metric | Ratio, value: Decimal) -> str:
    if isinstance(condition, Metric) and condition.statistic == "increase":
        return f"grew by {value:f} in {condition.within_s} s"
    return f"is {value:f}"


def _own(rule: Rule, ask: Callable[[], object], now_us: int) -> Readings:
    """Return what somebody's function says; None is not known."""
    said = ask()
    if said is None:
        return Readings((), over="", unknown=frozenset({""}))
    value = figure_from(said, f"the figure of rule {rule.name}")
    text = f"{_named(rule.name, {})} is {value:f}, threshold: {rule.threshold_text}"
    return Readings((Reading("", {}, value, rule.is_breached_by(value), text, now_us),), over="")


def _costs(engine: Engine, rule: Rule, cost: Cost, now: datetime) -> Iterator[Reading]:
    day = period_at("day", now, timezone=engine.settings.timezone)
    report = engine.report(group_by=cost.by, since=day.start, until=day.end)
    for row in report.rows if cost.by else (report.total,):
        labels = {"day": day.key, **{name: str(value) for name, value in row.key.items() if value is not None}}
        unpriced = f"; {row.unpriced_calls} calls without a whole price are not in it" if row.unpriced_calls else ""
        yield Reading(
            json.dumps(labels, sort_keys=True),
            labels,
            row.cost_usd,
            rule.is_breached_by(row.cost_usd),
            f"{_named('cost', labels)} is ${display_usd(row.cost_usd)}, threshold: {rule.threshold_text}{unpriced}",
            micros_from_instant(now),
        )


def _crossings(connection: sqlite3.Connection, budget: BudgetPassed, now_us: int) -> Iterator[Reading]:
    for one in passed(connection, (budget.from_percent, budget.below_percent), now_us, _LATE_US):
        is_open = (one.start_us is None or one.start_us <= now_us) and (one.end_us is None or one.end_us > now_us)
        spent, limit = usd_from_pico(one.passed_pico), usd_from_pico(one.passed_limit_pico)
        whose = f" of {safe_text(one.scope_value)}" if one.scope_value else ""
        labels = {"budget": one.budget, "period": one.period_key, "percent": str(one.percent)}
        yield Reading(
            f"{CROSSING} {one.number}",
            labels | ({"scope": one.scope_value} if one.scope_value else {}),
            spent,
            is_open and one.spent_pico >= threshold_pico(one.limit_pico, one.percent),
            f"budget {safe_text(one.budget)}{whose} passed {one.percent} % in {one.period_key}: "
            f"${display_usd(spent)} of ${display_usd(limit)}",
            now_us,
            ended=f"now ${display_usd(usd_from_pico(one.spent_pico))} of ${display_usd(usd_from_pico(one.limit_pico))}"
            if is_open
            else "its period is over",
            group=f"period {one.period}",
            rank=one.percent,
        )


def _named(name: str, labels: Mapping[str, str]) -> str:
    said = ", ".join(f"{safe_text(key)}={safe_text(value)}" for key, value in sorted(labels.items()))
    return f"{safe_text(name)} ({said})" if said else safe_text(name)
