"""What each condition finds in the ledger now: figures by instance."""

from __future__ import annotations

import json
from decimal import Context, Decimal
from functools import reduce
from typing import TYPE_CHECKING, NamedTuple

from tokencalc.alerts.records import Reading, Readings
from tokencalc.alerts.rules import BudgetPassed, Cost, Metric, Ratio
from tokencalc.budgets.thresholds import threshold_pico
from tokencalc.clock import micros_from_instant
from tokencalc.money import display_usd, usd_from_pico
from tokencalc.periods import period_at
from tokencalc.reports.text import safe_text

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from tokencalc.alerts.rules import Rule
    from tokencalc.engine import Engine

_US = 1_000_000
_LATE_US = 24 * 3600 * _US
"""A crossing that nobody looked at before its period was over is told up to a day later."""
_ROUNDED = Context(prec=12, traps=[])

_STATISTICS = {
    "mean": "SELECT avg(value) FROM sample WHERE series_id = ? AND at_us > ? AND at_us <= ?",
    "min": "SELECT min(value) FROM sample WHERE series_id = ? AND at_us > ? AND at_us <= ?",
    "max": "SELECT max(value) FROM sample WHERE series_id = ? AND at_us > ? AND at_us <= ?",
    "sum": "SELECT sum(value) FROM sample WHERE series_id = ? AND at_us > ? AND at_us <= ?",
    # SQLite gives the value of the row that has the greatest instant.
    "last": "SELECT value, max(at_us) FROM sample WHERE series_id = ? AND at_us > ? AND at_us <= ? GROUP BY process",
}
_CROSSINGS = """
    SELECT crossing_id, budget.name, scope_value, period_key, threshold_percent, start_us, end_us,
           budget_period.limit_pico, budget_period.spent_pico, crossing.spent_pico, crossing.limit_pico
    FROM crossing JOIN budget_period USING (period_id) JOIN budget USING (budget_id)
    WHERE in_open_period = 1 AND threshold_percent >= ? AND threshold_percent < ?
      AND (end_us IS NULL OR end_us > ? OR recorded_us > ?)
    ORDER BY crossing_id
"""


class _Series(NamedTuple):
    host: str
    labels: Mapping[str, str]
    figures: list[Decimal]

    @property
    def shown(self) -> dict[str, str]:
        return {**self.labels, "host": self.host} if self.host else dict(self.labels)


def readings_of(engine: Engine, rule: Rule, now: datetime) -> Readings:
    """Return the instances of a rule at an instant, from what the ledger holds."""
    condition = rule.condition
    if isinstance(condition, Cost):
        return Readings(tuple(_costs(engine, rule, condition, now)), is_complete=True)
    now_us = micros_from_instant(now)
    with engine.store.reading() as connection:
        if isinstance(condition, BudgetPassed):
            return Readings(tuple(_crossings(connection, condition, now_us)), is_complete=True)
        found = _metrics if isinstance(condition, Metric) else _ratios
        return Readings(tuple(found(connection, rule, now_us)), is_complete=False)


def _metrics(connection: sqlite3.Connection, rule: Rule, now_us: int) -> Iterator[Reading]:
    metric = rule.condition
    assert isinstance(metric, Metric)  # noqa: S101  # the caller has looked
    for key, series in _series(connection, metric, now_us).items():
        yield _reading(rule, metric.name, key, series, rule.worst(series.figures))


def _ratios(connection: sqlite3.Connection, rule: Rule, now_us: int) -> Iterator[Reading]:
    ratio = rule.condition
    assert isinstance(ratio, Ratio)  # noqa: S101  # the caller has looked
    below = _series(connection, ratio.denominator, now_us)
    for key, series in _series(connection, ratio.numerator, now_us).items():
        # Several processes are added up: a ratio of sums, not of whichever two came last.
        whole = _sum(below[key].figures) if key in below else Decimal(0)
        if whole > 0 and whole >= ratio.minimum:
            value = _ROUNDED.divide(_sum(series.figures), whole)
            yield _reading(rule, f"{ratio.numerator.name} / {ratio.denominator.name}", key, series, value)


def _sum(figures: list[Decimal]) -> Decimal:
    return reduce(_ROUNDED.add, figures)


def _reading(rule: Rule, name: str, key: str, series: _Series, value: Decimal) -> Reading:
    text = f"{_named(name, series.shown)} is {value:f}, threshold: {rule.threshold_text}"
    return Reading(key, series.shown, value, rule.is_breached_by(value), text)


def _series(connection: sqlite3.Connection, metric: Metric, now_us: int) -> dict[str, _Series]:
    """Return the metric's series with their figures; those without a sample in the interval are left out."""
    found: dict[str, _Series] = {}
    rows = connection.execute(
        "SELECT series_id, labels, host FROM series WHERE name = ? ORDER BY series_id", (metric.name,)
    ).fetchall()
    for series_id, text, host in rows:
        labels = json.loads(text)
        if not metric.labels.items() <= labels.items():
            continue
        bounds = (series_id, now_us - metric.within_s * _US, now_us)
        figures = [
            # The shortest text that means the float: 0.7 is not above 0.7.
            Decimal(repr(row[0]))
            for row in connection.execute(_STATISTICS[metric.statistic], bounds)
            if row[0] is not None
        ]
        if figures:
            key = json.dumps([host, labels], sort_keys=True)
            series = found.setdefault(key, _Series(host, labels, []))
            series.figures.extend(figures)
    return found


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
        )


def _crossings(connection: sqlite3.Connection, budget: BudgetPassed, now_us: int) -> Iterator[Reading]:
    bounds = (budget.from_percent, budget.below_percent, now_us, now_us - _LATE_US)
    for number, name, scope, key, percent, start_us, end_us, limit, spent, passed, of in connection.execute(
        _CROSSINGS, bounds
    ):
        is_open = (start_us is None or start_us <= now_us) and (end_us is None or end_us > now_us)
        labels = {"budget": name, "period": key, "percent": str(percent)} | ({"scope": scope} if scope else {})
        whose = f" of {safe_text(scope)}" if scope else ""
        yield Reading(
            f"crossing {number}",
            labels,
            usd_from_pico(passed),
            is_open and spent >= threshold_pico(limit, percent),
            f"budget {safe_text(name)}{whose} passed {percent} % in {key}: "
            f"${display_usd(usd_from_pico(passed))} of ${display_usd(usd_from_pico(of))}",
            once=True,
        )


def _named(name: str, labels: Mapping[str, str]) -> str:
    said = ", ".join(f"{safe_text(key)}={safe_text(value)}" for key, value in sorted(labels.items()))
    return f"{safe_text(name)} ({said})" if said else safe_text(name)
