"""What a period that still runs will cost, and the day on which a budget runs out, from the rollups of past days.

`forecast` has the method; here the days are read: whole local days before today,
at most eight weeks of them, from the first day on which something was booked.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, NamedTuple

from tokencalc.budgets.budget import ANY_VALUE
from tokencalc.clock import instant_from_micros, micros_from_instant
from tokencalc.ledger.report import report
from tokencalc.money import pico_from_usd
from tokencalc.periods import zone_from
from tokencalc.reports.forecast import FEWEST_DAYS, Rates, forecast, slices_between
from tokencalc.reports.keys import is_tag

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from zoneinfo import ZoneInfo

    from tokencalc.budgets.setting import BudgetStatus
    from tokencalc.engine import Engine
    from tokencalc.ledger.report import ReportRow
    from tokencalc.reports.breakdown import Breakdown
    from tokencalc.reports.forecast import Forecast

MOST_DAYS = 56
"""Whole days before today that are looked at: eight of each weekday."""
MOST_BUDGETS = 20
"""Budgets whose last day is sought, those nearest to their limits."""
FARTHEST_DAYS = 366
"""How far ahead is looked, also for a budget without a period: beyond it nothing of the last weeks holds."""

_HOURS = 24
_NOTIONAL = "notional"
_MOST_SHARED = 2
_TAGS = "tags are not in the rollups that a forecast reads"
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
    """Costs of whole days by hour, and where they tell nothing of the coming ones, why."""

    days: dict[date, list[int]]
    reason: str


def look_ahead(engine: Engine, found: Breakdown, *, now: datetime) -> Outlook | None:
    """Return the outlook of a period that still runs; None for an interval that is over or has no end."""
    wanted = found.wanted
    if wanted.until is None or wanted.until <= now or (wanted.since is not None and wanted.since > now):
        return None
    reading = _Reading(engine, now)
    # Budgets first: what is read for them has the forecast's days in it, too.
    run_outs, left_out = _run_outs(reading) if not wanted.where else ((), 0)
    ahead = _forecast(reading, found, wanted.until)
    return Outlook(
        forecast=None if isinstance(ahead, str) else ahead,
        reason=ahead if isinstance(ahead, str) else "",
        run_outs=run_outs,
        budgets_left_out=left_out,
    )


def _forecast(reading: _Reading, found: Breakdown, until: datetime) -> Forecast | str:
    """The forecast of a report's total, or why there is none."""
    wanted, total = found.wanted, found.report.total
    if any(is_tag(key) for key in wanted.where or {}):
        return _TAGS
    if until - reading.now > timedelta(days=FARTHEST_DAYS):
        return f"its end is more than {FARTHEST_DAYS} days ahead"
    if total.unpriced_calls:
        return _unpriced_reason(total.unpriced_calls, "it")
    history = reading.history(wanted.timezone, wanted.where or {})
    ahead = forecast(
        history.days,
        slices_between(reading.now, until, zone_from(wanted.timezone)),
        spent_pico=total.cost_pico,
        until=until,
    )
    return ahead if ahead is not None and not history.reason else history.reason


def _unpriced_reason(calls: int, of: str) -> str:
    one = calls == 1
    return f"{calls:,} call{'' if one else 's'} of {of} {'has' if one else 'have'} no whole price"


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
    if status.unpriced_calls:
        return RunOut(status=status, until=end, reason=_unpriced_reason(status.unpriced_calls, "its period"))
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
        return _TAGS
    if sum(value == ANY_VALUE for value in budget.scope.values()) > 1:
        return "a scope with several stars is not looked ahead for"
    where: dict[str, str | bool | None] = {
        key: status.scope_value if value == ANY_VALUE else value for key, value in budget.scope.items()
    }
    return where if budget.notional else {**where, _NOTIONAL: False}


class _Reading:
    """Reads costs from the rollups, each interval once for all that is asked of it by the same keys."""

    def __init__(self, engine: Engine, now: datetime) -> None:
        self.now = now
        self.engine = engine
        self._shared: frozenset[str] = frozenset({_NOTIONAL})
        self._read: dict[tuple[object, ...], tuple[ReportRow, ...]] = {}

    def share(self, keys: set[str]) -> None:
        """Read by these keys at once from now on, where they are so few that their combinations are."""
        if len(keys - {_NOTIONAL}) <= _MOST_SHARED:
            self._shared |= keys

    def history(self, timezone: str, where: Mapping[str, str | bool | None]) -> _History:
        """Return what was booked of the filters' on each whole day before today."""
        zone = zone_from(timezone)
        days: defaultdict[date, list[int]] = defaultdict(lambda: [0] * _HOURS)
        unpriced = 0
        for row in self._rows(*_days_before(self.now, zone), where, timezone, "hour"):
            label = str(row.key["hour"])
            # An hour that a change of clocks repeats has two labels, and is one hour here.
            days[date.fromisoformat(label[:10])][int(label[11:13])] += row.cost_pico
            unpriced += row.unpriced_calls
        if not days:
            return _History({}, f"nothing was booked on the {MOST_DAYS} days before today")
        today, first = self.now.astimezone(zone).date(), min(days)
        count = (today - first).days
        filled = {day: days[day] for day in (first + timedelta(days=number) for number in range(count))}
        if unpriced:
            return _History(filled, _unpriced_reason(unpriced, f"the {count} days before today"))
        if count < FEWEST_DAYS:
            return _History(filled, f"it needs {FEWEST_DAYS} whole days before today, and there are {count}")
        return _History(filled, "")

    def agrees(self, status: BudgetStatus, where: Mapping[str, str | bool | None]) -> bool:
        """Whether what the filters find in the period is what the budget counts, but for what is booked meanwhile."""
        rows = self._rows(status.period.start, status.period.end, where, "UTC")
        spent = pico_from_usd(status.spent_usd, name="spent_usd")
        return abs(sum(row.cost_pico for row in rows) - spent) * 100 <= spent

    def _rows(
        self,
        since: datetime | None,
        until: datetime | None,
        where: Mapping[str, str | bool | None],
        timezone: str,
        *times: str,
    ) -> Iterator[ReportRow]:
        """Yield the rows of an interval that filters keep: one look at the rollups for all who ask by the same keys."""
        keys = (*sorted({*where, *self._shared}), *times)
        asked = (since, until, timezone, keys)
        if asked not in self._read:
            # Nothing here needs tokens, and summing them is most of the work.
            self._read[asked] = report(
                self.engine.store, group_by=keys, since=since, until=until, timezone=timezone, with_tokens=False
            ).rows
        wanted = {key: value or None for key, value in where.items()}
        for row in self._read[asked]:
            if all((row.key[key] or None) == value for key, value in wanted.items()):
                yield row


def _days_before(now: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    today = now.astimezone(zone).date()
    first, end = (datetime.combine(day, time.min, tzinfo=zone) for day in (today - timedelta(days=MOST_DAYS), today))
    return _utc(first), _utc(end)


def _utc(local: datetime) -> datetime:
    return instant_from_micros(micros_from_instant(local))
