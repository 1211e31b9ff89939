"""Everything that a screen of the monitor shows, read from one ledger at one instant."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tokencalc.money import pico_from_usd, round_half_even, usd_from_pico
from tokencalc.monitor.alert_lines import AlertLine, recent_alerts
from tokencalc.monitor.current import HEALTH, limiter_metrics, resource_metrics
from tokencalc.monitor.limiter import BREAKER_STATES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from decimal import Decimal

    from tokencalc.budgets.setting import BudgetStatus
    from tokencalc.engine import Engine
    from tokencalc.ledger.report import ReportRow
    from tokencalc.monitor.samples import Sample

_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spend:
    """What was spent lately; ``hour_usd_per_minute`` is the mean of the last hour."""

    minute_usd: Decimal
    minute_calls: int
    hour_usd_per_minute: Decimal
    hour_calls: int
    day_usd: Decimal
    day_calls: int
    day_unpriced_calls: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LimiterLine:
    """How one limiter fares, with the breaker of the same name; rates are shares, None where nothing is known."""

    name: str
    fill: float | None
    success_rate: float | None
    block_rate: float | None
    wait_mean_s: float | None
    health: str | None
    breaker: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """One look at a ledger and a machine.

    ``budgets`` are in order of how much of them is used. ``agents`` and ``models`` are those of the last
    24 hours, the dearest first. ``resources`` has the keys of `resource_metrics`.
    """

    made_at: datetime
    ledger: str
    host: str
    budgets: tuple[BudgetStatus, ...]
    spend: Spend
    agents: tuple[ReportRow, ...]
    models: tuple[ReportRow, ...]
    limiters: tuple[LimiterLine, ...]
    resources: dict[str, Any]
    alerts: tuple[AlertLine, ...]
    problems: tuple[str, ...]


def look(
    engine: Engine,
    samples: Sequence[Sample] = (),
    *,
    problems: Sequence[str] = (),
    host: str | None = None,
    alert_limit: int = 5,
) -> Overview:
    """Read the ledger now; ``samples`` are the machine's and the limiters' figures."""
    now = engine.clock.now()
    models = engine.report(group_by=("provider", "model"), since=now - _DAY)
    return Overview(
        made_at=now,
        ledger=engine.store.name,
        host=socket.gethostname() if host is None else host,
        budgets=tuple(sorted(engine.budget_statuses(), key=_most_used_first)),
        spend=_spend(engine, now, models.total),
        agents=engine.report(group_by=("agent_id",), since=now - _DAY).rows,
        models=models.rows,
        limiters=limiter_lines(samples),
        resources=resource_metrics(samples),
        alerts=recent_alerts(engine, alert_limit),
        problems=tuple(problems),
    )


def _most_used_first(status: BudgetStatus) -> tuple[Any, ...]:
    used = status.utilisation
    return (used is None, -(used or 0), status.name, status.scope_value or "")


def _spend(engine: Engine, now: datetime, day: ReportRow) -> Spend:
    minute, hour = (engine.report(group_by=(), since=now - length).total for length in (_MINUTE, _HOUR))
    hour_pico = pico_from_usd(hour.cost_usd, name="hour_usd")
    return Spend(
        minute_usd=minute.cost_usd,
        minute_calls=minute.calls,
        hour_usd_per_minute=usd_from_pico(round_half_even(hour_pico, 60)),
        hour_calls=hour.calls,
        day_usd=day.cost_usd,
        day_calls=day.calls,
        day_unpriced_calls=day.unpriced_calls,
    )


def limiter_lines(samples: Sequence[Sample]) -> tuple[LimiterLine, ...]:
    """Return one line for each limiter or breaker that has samples, by name."""
    return tuple(
        LimiterLine(
            name=name,
            fill=figures.get("fill"),
            success_rate=figures.get("success_rate"),
            block_rate=figures.get("block_rate"),
            wait_mean_s=figures.get("wait_mean_s"),
            health=_word(HEALTH, figures.get("health")),
            breaker=_word(BREAKER_STATES, figures.get("breaker")),
        )
        for name, figures in sorted(limiter_metrics(samples).items())
    )


def _word(words: Sequence[str], place: float | None) -> str | None:
    return words[int(place)] if place is not None and 0 <= place < len(words) else None
