"""What a period that still runs will cost, and the day on which a budget runs out, from the rollups of past days.

`forecast` has the method; here the days are read: whole local days before today,
at most eight weeks of them, from the first day on which something was booked.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from operator import add
from typing import TYPE_CHECKING, NamedTuple

from tokencalc.budgets.budget import ANY_VALUE
from tokencalc.clock import instant_from_micros, micros_from_instant
from tokencalc.money import pico_from_usd
from tokencalc.periods import zone_from
from tokencalc.reports.forecast import FEWEST_DAYS, Rates, forecast, slices_between
from tokencalc.reports.keys import is_tag

if TYPE_CHECKING:
    from collections.abc import Mapping
    from zoneinfo import ZoneInfo

    from tokencalc.budgets.setting import BudgetStatus
    from tokencalc.engine import Engine
    from tokencalc.reports.breakdown import Breakdown
    from tokencalc.reports.forecast import Forecast

MOST_DAYS = 56
"""Whole days before today that are looked at: eight of each weekday."""
MOST_BUDGETS = 20
"""Budgets whose last day is sought, those nearest to their limits."""
FARTHEST_DAYS = 366
"""How far ahead the end of a budget without a period is sought."""

_Groups = dict[tuple[object, ...], dict[date, list[int]]]
"""Days by hour, of each combination of keys."""

_HOURS = 24
_NOTIONAL = "notional"
_MOST_SHARED = 2
_OTHER_CALLS = "it counts calls that named it, or asked for its model, and rollups do not tell those"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOut:
    """The day on which a budget's spending is expected to reach its limit.

    ``day`` is the expected one, ``earliest`` and ``latest`` the ends of the range (80 %);
    None means not before the period ends (``until``; for a budget without a period,
    not within 366 days). ``reason`` says why nothing can be said. Open holds
    are not spent, and not counted.
    """

    status: BudgetStatus
    day: date | None = None
    earliest: date | None = None
    latest: date | None = None
    until: datetime | None = None
    is_used_up: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """A forecast of the report's own total, or the reason why there is none, and budgets' last days."""

    forecast: Forecast | None
    reason: str
    run_outs: tuple[RunOut, ...]
    budgets_left_out: int


class _History(NamedTuple):
    """Costs of whole days by hour, and where there are too few of them, why."""

    days: dict[date, list[int]]
    reason: str


def look_ahead(engine: Engine, found: Breakdown, *, now: datetime) -> Outlook | None:
    """Return the outlook of a period that still runs; None for an interval that is over or has no end."""
    wanted = found.wanted
    if wanted.until is None or wanted.until <= now or (wanted.since is not None and wanted.since > now):
        return None
    zone, reading = zone_from(wanted.timezone), _Reading(engine, now)
    # Budgets first: what is read for them has the forecast's days in it, too.
    run_outs, left_out = _run_outs(reading) if not wanted.where else ((), 0)
    history, ahead = _History({}, "tags are not in the rollups that a forecast reads"), None
    if not any(is_tag(key) for key in wanted.where or {}):
        history = reading.history(wanted.timezone, wanted.where or {})
        ahead = forecast(
            history.days,
            slices_between(now, wanted.until, zone),
            spent_pico=found.report.total.cost_pico,
            until=wanted.until,
        )
    return Outlook(
        forecast=ahead,
        reason="" if ahead is not None else history.reason,
        run_outs=run_outs,
        budgets_left_out=left_out,
    )


def budgets_run_out(engine: Engine, *, now: datetime) -> tuple[tuple[RunOut, ...], int]:
    """Return the last days of the budgets nearest to their limits, and how many budgets were left out."""
    return _run_outs(_Reading(engine, now))


def _run_outs(reading: _Reading) -> tuple[tuple[RunOut, ...], int]:
    statuses = sorted(
        reading.engine.budget_statuses(),
        key=lambda status: (-(status.utilisation or 0), status.name, status.scope_value or ""),
    )
    nearest = statuses[:MOST_BUDGETS]
    scopes = [where for status in nearest if not isinstance(where := _filters(status), str)]
    reading.share({key for where in scopes for key in where})
    return tuple(_run_out(reading, status) for status in nearest), len(statuses[MOST_BUDGETS:])


def _run_out(reading: _Reading, status: BudgetStatus) -> RunOut:
    """Return the day on which one budget's spending reaches its limit."""
    now, end = reading.now, status.period.end
    until = now + timedelta(days=FARTHEST_DAYS) if end is None else end
    left_pico = pico_from_usd(status.limit_usd, name="limit_usd") - pico_from_usd(status.spent_usd, name="spent_usd")
    zone = zone_from(status.budget.timezone)
    if left_pico <= 0:
        today = now.astimezone(zone).date()
        return RunOut(status=status, day=today, earliest=today, latest=today, until=end, is_used_up=True)
    where = _filters(status)
    if isinstance(where, str):
        return RunOut(status=status, until=end, reason=where)
    history = reading.history(status.budget.timezone, where)
    if history.reason or not reading.agrees(status, where):
        return RunOut(status=status, until=end, reason=history.reason or _OTHER_CALLS)
    rests = list(Rates(history.days).rests(slices_between(now, until, zone)))

    def first(costs: list[int]) -> date | None:
        return next((rest.day for rest, cost in zip(rests, costs, strict=True) if cost >= left_pico), None)

    return RunOut(
        status=status,
        day=first([rest.expected_pico for rest in rests]),
        earliest=first([rest.high_pico for rest in rests]),
        latest=first([rest.low_pico for rest in rests]),
        until=end,
    )


def _filters(status: BudgetStatus) -> dict[str, str | bool | None] | str:
    """What of the rollups a budget counts, or why that cannot be told from them."""
    budget = status.budget
    if budget.period in {"hour", "run"}:
        return f"the days before say nothing about one {budget.period}"
    if any(is_tag(key) for key in budget.scope):
        return "tags are not in the rollups that a forecast reads"
    if sum(value == ANY_VALUE for value in budget.scope.values()) > 1:
        return "a scope with several stars is not looked ahead for"
    where: dict[str, str | bool | None] = {
        key: status.scope_value if value == ANY_VALUE else value for key, value in budget.scope.items()
    }
    return where if budget.notional else {**where, _NOTIONAL: False}


class _Reading:
    """Reads past days by hour from the rollups, for each zone once for all that is asked by the same keys."""

    def __init__(self, engine: Engine, now: datetime) -> None:
        self.now = now
        self.engine = engine
        self._shared: frozenset[str] = frozenset({_NOTIONAL})
        self._read: dict[tuple[str, tuple[str, ...]], _Groups] = {}

    def share(self, keys: set[str]) -> None:
        """Read by these keys at once from now on, where they are so few that their combinations are."""
        if len(keys - {_NOTIONAL}) <= _MOST_SHARED:
            self._shared |= keys

    def history(self, timezone: str, where: Mapping[str, str | bool | None]) -> _History:
        """Return what was booked of the filters' on each whole day before today."""
        keys = tuple(sorted({*where, *self._shared}))
        if (timezone, keys) not in self._read:
            self._read[timezone, keys] = self._load(timezone, keys)
        days: dict[date, list[int]] = {}
        for group, costs in self._read[timezone, keys].items():
            if all((where[key] or None) == value for key, value in zip(keys, group, strict=True) if key in where):
                for day, hours in costs.items():
                    days[day] = list(map(add, days.get(day, [0] * _HOURS), hours))
        zone = zone_from(timezone)
        today = self.now.astimezone(zone).date()
        whole = {day: hours for day, hours in days.items() if day < today}
        if not whole:
            return _History({}, f"nothing was booked on the {MOST_DAYS} days before today")
        first = min(whole)
        count = (today - first).days
        filled = {first + timedelta(days=number): [0] * _HOURS for number in range(count)} | whole
        if count < FEWEST_DAYS:
            return _History(filled, f"it needs {FEWEST_DAYS} whole days before today, and there are {count}")
        return _History(filled, "")

    def agrees(self, status: BudgetStatus, where: Mapping[str, str | bool | None]) -> bool:
        """Whether what the filters find in the period is what the budget counts, but for what is booked meanwhile."""
        since, until = status.period.start, status.period.end
        found = self.engine.report(group_by=(), since=since, until=until, where=dict(where)).total.cost_pico
        spent = pico_from_usd(status.spent_usd, name="spent_usd")
        return abs(found - spent) * 100 <= spent

    def _load(self, timezone: str, keys: tuple[str, ...]) -> _Groups:
        since, until = _days_before(self.now, zone_from(timezone))
        report = self.engine.report(group_by=(*keys, "hour"), since=since, until=until, timezone=timezone)
        groups: _Groups = {}
        for row in report.rows:
            days = groups.setdefault(tuple(row.key[key] or None for key in keys), defaultdict(lambda: [0] * _HOURS))
            label = str(row.key["hour"])
            # An hour that a change of clocks repeats has two labels, and is one hour here.
            days[date.fromisoformat(label[:10])][int(label[11:13])] += row.cost_pico
        return groups


def _days_before(now: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    today = now.astimezone(zone).date()
    first, end = (datetime.combine(day, time.min, tzinfo=zone) for day in (today - timedelta(days=MOST_DAYS), today))
    return _utc(first), _utc(end)


def _utc(local: datetime) -> datetime:
    return instant_from_micros(micros_from_instant(local))
