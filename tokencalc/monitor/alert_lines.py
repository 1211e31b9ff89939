"""The newest alerts as lines for a screen, and the thresholds that budgets passed and no rule has told of."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokencalc.alerts.alerts import SHOWN
from tokencalc.alerts.book import newest
from tokencalc.ledger import query
from tokencalc.money import display_usd
from tokencalc.monitor.marks import severity_of_crossing

if TYPE_CHECKING:
    from datetime import datetime

    from tokencalc.alerts.records import Alert
    from tokencalc.alerts.rules import Severity
    from tokencalc.engine import Engine
    from tokencalc.ledger.records import Crossing

_TOLD = "SELECT instance FROM alert WHERE instance IN (SELECT value FROM json_each(?))"


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
        # The alert of a crossing is no older than it: before so many that were told, none is among the newest lines.
        crossed = query.newest_crossings(connection, limit)
        told = {name for (name,) in connection.execute(_TOLD, (json.dumps([f"crossing {one}" for one, _ in crossed]),))}
        untold = [crossing for number, crossing in crossed if f"crossing {number}" not in told]
    lines = [*map(_alert_line, alerts), *map(_line, untold)]
    return tuple(sorted(lines, key=lambda line: line.at, reverse=True)[:limit])


def _alert_line(alert: Alert) -> AlertLine:
    return AlertLine(at=alert.fired_at or alert.since, severity=alert.severity, state=alert.state, text=alert.text)


def _line(crossing: Crossing) -> AlertLine:
    of = f" of {crossing.scope_value}" if crossing.scope_value else ""
    spent, limit = display_usd(crossing.spent_usd), display_usd(crossing.limit_usd)
    return AlertLine(
        at=crossing.at,
        severity=severity_of_crossing(crossing.threshold_percent),
        state="crossed",
        text=f"budget {crossing.budget}{of} passed {crossing.threshold_percent} %: ${spent} of ${limit}",
    )
