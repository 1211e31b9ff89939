"""What the shipped rules say of a figure, for the colours of a screen: thresholds stand in the rules alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokencalc.alerts.profile import SHIPPED
from tokencalc.alerts.rules import BudgetPassed, Metric

if TYPE_CHECKING:
    from decimal import Decimal

    from tokencalc.alerts.rules import Severity


def marks_of(metric: str) -> tuple[Decimal, ...]:
    """Return the thresholds of the shipped rules on a metric, as percent of its share, the lowest first."""
    return tuple(
        sorted(
            rule.threshold * 100
            for rule in SHIPPED
            if isinstance(rule.condition, Metric) and rule.condition.name == metric
        )
    )


def severity_of_crossing(percent: int) -> Severity:
    """Return how bad it is that a budget passed a percentage."""
    return next(
        (
            rule.severity
            for rule in SHIPPED
            if isinstance(rule.condition, BudgetPassed)
            and rule.condition.from_percent <= percent < rule.condition.below_percent
        ),
        "INFO",
    )
