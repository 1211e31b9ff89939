"""The newest alerts as lines for a screen. Until rules keep their own, they are the thresholds that budgets passed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tokencalc.money import display_usd

if TYPE_CHECKING:
    from datetime import datetime

    from tokencalc.engine import Engine
    from tokencalc.ledger.records import Crossing

Severity = Literal["CRITICAL", "HIGH", "MEDIUM", "LOW", "INFO"]

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
    found = [one for one in engine.crossings() if one.in_open_period]
    return tuple(_line(one) for one in found[::-1][:limit])


def _line(crossing: Crossing) -> AlertLine:
    of = f" of {crossing.scope_value}" if crossing.scope_value else ""
    spent, limit = display_usd(crossing.spent_usd), display_usd(crossing.limit_usd)
    return AlertLine(
        at=crossing.at,
        severity=next((name for percent, name in _SEVERITIES if crossing.threshold_percent >= percent), "INFO"),
        state="crossed",
        text=f"budget {crossing.budget}{of} passed {crossing.threshold_percent} %: ${spent} of ${limit}",
    )
