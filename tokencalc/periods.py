"""Half-open budget periods in a named time zone: hour, day, week, month, total, run.

A period is computed from an instant and a zone, never from a reset job. Days
with 23 or 25 hours are right because both ends are local midnights turned into
instants. ``total`` has no ends; ``run`` has none either and is told apart by
the run's own name.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tokencalc.errors import TimeInvalid

PeriodKind = Literal["hour", "day", "week", "month", "total", "run"]
PERIOD_KINDS: tuple[str, ...] = get_args(PeriodKind)

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """One half-open interval ``[start, end)``; ``key`` names it inside its budget.

    ``start`` and ``end`` are aware UTC instants, or None where the period is unbounded.
    """

    kind: PeriodKind
    key: str
    start: datetime | None
    end: datetime | None

    def contains(self, instant: datetime) -> bool:
        """Whether the instant lies in the period: start included, end excluded."""
        return (self.start is None or self.start <= instant) and (self.end is None or instant < self.end)


def zone_from(name: object) -> ZoneInfo:
    """Return the IANA zone of that name; TimeInvalid says what was found where there is none."""
    # "localtime" is whatever the machine is set to: two machines would keep one budget by different days.
    if isinstance(name, str) and name != "localtime":
        try:
            return _zone(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            pass
    raise TimeInvalid(
        f"timezone: expected an IANA name such as UTC or Europe/Berlin, found {name!r:.60}",
        path="timezone",
        found=name,
    )


@lru_cache(maxsize=256)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def period_kind_from(value: object) -> PeriodKind:
    """Return the period kind of that name; TimeInvalid lists the allowed ones."""
    if isinstance(value, str) and value in PERIOD_KINDS:
        return value  # type: ignore[return-value]  # the tuple was made from the Literal
    raise TimeInvalid(
        f"period: expected one of {', '.join(PERIOD_KINDS)}, found {value!r:.60}", path="period", found=value
    )


def period_at(kind: PeriodKind, instant: datetime, *, timezone: str = "UTC", run: str | None = None) -> Period:
    """Return the period of that kind which holds the instant, in the named zone.

    Weeks start on Monday (ISO 8601). ``run`` names the run for the kind "run".
    """
    if kind == "total":
        return Period(kind=kind, key="total", start=None, end=None)
    if kind == "run":
        return Period(kind=kind, key=f"run {run or 'unnamed'}", start=None, end=None)
    zone = zone_from(timezone)
    if kind == "hour":
        return _hour(instant, zone)
    local = instant.astimezone(zone)
    midnight = datetime(local.year, local.month, local.day)  # noqa: DTZ001  # a local date; the zone is put on below
    if kind == "week":
        midnight -= timedelta(days=midnight.weekday())
        following = midnight + timedelta(days=7)
    elif kind == "month":
        midnight = midnight.replace(day=1)
        following = (midnight + timedelta(days=32)).replace(day=1)
    else:
        following = midnight + timedelta(days=1)
    key = {"day": "%Y-%m-%d", "week": "%G-W%V", "month": "%Y-%m"}[kind]
    return Period(kind=kind, key=midnight.strftime(key), start=_instant(midnight, zone), end=_instant(following, zone))


def _instant(local: datetime, zone: ZoneInfo) -> datetime:
    # fold=0 takes the first of two equal local times, and the first instant after a gap.
    return local.replace(tzinfo=zone, fold=0).astimezone(UTC)


def _hour(instant: datetime, zone: ZoneInfo) -> Period:
    # All instants that share the local hour and its offset: right for half-hour zones and for repeated hours.
    # Where the offset moves by half an hour, the hour is cut at the move, so that no two hours overlap.
    local = instant.astimezone(zone)
    past = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
    start = instant.astimezone(UTC) - past
    end = start + timedelta(hours=1)
    start = _move_between(start, instant, zone) or start
    end = _move_between(instant, end - _MICROSECOND, zone) or end
    return Period(kind="hour", key=local.strftime("%Y-%m-%dT%H%z"), start=start, end=end)


def _move_between(early: datetime, late: datetime, zone: ZoneInfo) -> datetime | None:
    """Return the first instant of the zone's offset at ``late``, if ``early`` has another one (at most one move)."""
    offset = late.astimezone(zone).utcoffset()
    if early.astimezone(zone).utcoffset() == offset:
        return None
    while late - early > _MICROSECOND:
        middle = early + (late - early) // 2
        if middle.astimezone(zone).utcoffset() == offset:
            late = middle
        else:
            early = middle
    return late.astimezone(UTC)
