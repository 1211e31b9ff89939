"""The newest alerts as lines for a screen, and the thresholds that budgets passed and no rule has told of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokencalc.alerts.alerts import SHOWN
from tokencalc.alerts.book import newest
from tokencalc.ledger import query
from tokencalc.money import display_usd

if TYPE_CHECKING:
    from datetime import datetime

    from tokencalc.alerts.records import Alert
    from tokencalc.alerts.rules import Severity
    from tokencalc.engine import Engine
    from tokencalc.ledger.records import Crossing

_SEVERITIES: tuple[tuple[int, Severity], ...] = ((100, "CRITICAL"), (90, "HIGH"), (75, "MEDIUM"), (50, "LOW"))


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertLine:
    """One alert: when it began, how bad it is, in which state, and what it says."""

    at: datetime
    severity: Severity
    state: str
    text: str


def recent_alerts(engine: Engine, limit: int = 5) -> tuple[AlertLine, ...]:
    """Return the alerts that began last, the newest first."""
    with engine.store.reading() as connection:
        alerts = newest(connection, SHOWN, limit, engine.store.chain_id)
        told = {name for (name,) in connection.execute("SELECT instance FROM alert WHERE instance GLOB 'crossing *'")}
        numbers = connection.execute("SELECT crossing_id FROM crossing ORDER BY crossing_id").fetchall()
        found = list(zip(numbers, query.crossings(connection), strict=True))
    untold = [one for (number,), one in found if one.in_open_period and f"crossing {number}" not in told]
    lines = [*map(_alert_line, alerts), *map(_line, untold[::-1][:limit])]
    return tuple(sorted(lines, key=lambda line: line.at, reverse=True)[:limit])


def _alert_line(alert: Alert) -> AlertLine:
    return AlertLine(at=alert.fired_at or alert.since, severity=alert.severity, state=alert.state, text=alert.text)


def _line(crossing: Crossing) -> AlertLine:
    of = f" of {crossing.scope_value}" if crossing.scope_value else ""
    spent, limit = display_usd(crossing.spent_usd), display_usd(crossing.limit_usd)
    return AlertLine(
        at=crossing.at,
        severity=next((name for percent, name in _SEVERITIES if crossing.threshold_percent >= percent), "INFO"),
        state="crossed",
        text=f"budget {crossing.budget}{of} passed {crossing.threshold_percent} %: ${spent} of ${limit}",
    )
