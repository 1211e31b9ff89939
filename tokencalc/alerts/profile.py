"""The rules that come with tokencalc: budgets, the machine, the limiters, the cost of a day."""

from __future__ import annotations

from decimal import Decimal

from tokencalc.alerts.rules import BudgetPassed, Cost, Metric, Rule

_STEADY_S = 60
"""A processor that is busy for a moment is no news."""

SHIPPED: tuple[Rule, ...] = (
    Rule(name="budget_75", severity="MEDIUM", condition=BudgetPassed(from_percent=75, below_percent=90)),
    Rule(name="budget_90", severity="HIGH", condition=BudgetPassed(from_percent=90, below_percent=100)),
    Rule(name="budget_full", severity="CRITICAL", condition=BudgetPassed(from_percent=100)),
    Rule(name="budget_early", severity="LOW", condition=BudgetPassed(from_percent=1, below_percent=75)),
    *(
        Rule(
            name=f"{part}_{word}",
            severity=severity,  # type: ignore[arg-type]  # of the table below
            condition=Metric(name=f"system.{part}_share"),
            threshold=Decimal(threshold),
            for_s=_STEADY_S,
        )
        for part, word, severity, threshold in (
            ("cpu", "high", "MEDIUM", "0.7"),
            ("cpu", "critical", "CRITICAL", "0.9"),
            ("memory", "high", "MEDIUM", "0.7"),
            ("memory", "critical", "CRITICAL", "0.85"),
            ("swap", "high", "MEDIUM", "0.6"),
            ("swap", "critical", "CRITICAL", "0.8"),
            ("disk", "high", "MEDIUM", "0.8"),
            ("disk", "critical", "CRITICAL", "0.9"),
        )
    ),
    Rule(
        name="limiter_failing",
        severity="HIGH",
        condition=Metric(name="limiter.success_rate"),
        operator="<",
        threshold=Decimal("0.7"),
    ),
    Rule(
        name="limiter_blocking",
        severity="MEDIUM",
        condition=Metric(name="limiter.block_rate"),
        threshold=Decimal("0.5"),
    ),
    Rule(
        name="limiter_slow",
        severity="MEDIUM",
        condition=Metric(name="limiter.wait_mean_s"),
        threshold=Decimal(5),
    ),
    Rule(name="cost_day", severity="HIGH", condition=Cost(), threshold=Decimal(100)),
)
"""Rules by name; a table of settings with the same name changes one."""
