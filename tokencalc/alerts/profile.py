"""The rules that come with tokencalc: budgets, the machine, the limiters, operations, the cost of a day."""

from __future__ import annotations

from decimal import Decimal

from tokencalc.alerts.rules import BudgetPassed, Cost, Metric, Ratio, Rule
from tokencalc.limits.metrics import HealthThresholds

_STEADY_S = 60
"""A processor that is busy for a moment is no news."""

_ATTEMPTS_MIN = 10
"""Of fewer attempts in the last minutes, one that failed proves nothing."""

_MINUTES_S = 300
"""Counts and durations of operations are looked at over some rounds of a monitor."""

_HEALTHY = HealthThresholds()

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
            unless=f"{part}_critical" if word == "high" else None,
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
    *(
        Rule(
            name=f"limiter_{word}",
            severity=severity,  # type: ignore[arg-type]  # of the table below
            condition=Ratio(
                numerator=Metric(name=f"limiter.recent_{part}"),
                denominator=Metric(name=f"limiter.recent_{whole}"),
                minimum=Decimal(_ATTEMPTS_MIN),
            ),
            operator=operator,  # type: ignore[arg-type]  # of the table below
            threshold=Decimal(repr(threshold)),
            unless="limiter_failing" if word == "blocking" else None,
        )
        for word, severity, part, whole, operator, threshold in (
            ("failing", "HIGH", "succeeded", "attempts", "<", _HEALTHY.success_rate_min),
            ("blocking", "MEDIUM", "blocked", "attempts", ">", _HEALTHY.block_rate_max),
            ("slow", "MEDIUM", "wait_s", "granted", ">", _HEALTHY.wait_mean_s_max),
        )
    ),
    Rule(
        name="limiter_refusing",
        severity="MEDIUM",
        condition=Metric(name="limiter.refused", statistic="increase", within_s=_MINUTES_S),
        threshold=Decimal(10),
        unless="limiter_failing",
    ),
    Rule(
        name="operation_failing",
        severity="HIGH",
        condition=Ratio(
            numerator=Metric(name="operation.failures", statistic="sum", within_s=_MINUTES_S),
            denominator=Metric(name="operation.calls", statistic="sum", within_s=_MINUTES_S),
            minimum=Decimal(_ATTEMPTS_MIN),
        ),
        threshold=Decimal("0.1"),
    ),
    Rule(
        name="operation_slow",
        severity="MEDIUM",
        condition=Metric(name="operation.duration_mean_s", statistic="mean", within_s=_MINUTES_S),
        threshold=Decimal(5),
        for_s=_STEADY_S,
    ),
    Rule(name="cost_day", severity="HIGH", condition=Cost(), threshold=Decimal(100)),
)
"""Rules by name; a table of settings with the same name changes one."""
