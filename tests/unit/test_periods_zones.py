"""Periods are half-open, cover all time without gap or overlap, and know every zone's odd days."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tokencalc.clock import instant_from
from tokencalc.errors import TimeInvalid
from tokencalc.periods import PERIOD_KINDS, PeriodKind, period_at, period_kind_from, zone_from

MICROSECOND = timedelta(microseconds=1)

LORD_HOWE = "Australia/Lord_Howe"

# Half-hour moves, midnights that are skipped or met twice, a week of Fridays, no summer time, offsets of 45 minutes.
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    LORD_HOWE,
    "America/Havana",
    "America/Nuuk",
    "Africa/Cairo",
    "Asia/Beirut",
    "Asia/Kathmandu",
    "Asia/Pyongyang",
    "Pacific/Apia",
    "Pacific/Chatham",
    "Antarctica/Troll",
    "Africa/Casablanca",
    "America/Sao_Paulo",
)
instants = st.datetimes(
    min_value=datetime(2015, 1, 1), max_value=datetime(2036, 12, 31), timezones=st.just(UTC)  # noqa: DTZ001  # hypothesis puts UTC on
)  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "at", "zone", "key", "start", "end"),
    [
        ("hour", "2026-11-20T12:34:56.789Z", "UTC", "2026-11-20T12+0000", "2026-11-20T12:00Z", "2026-11-20T13:00Z"),
        ("day", "2026-11-20T12:00Z", "UTC", "2026-11-20", "2026-11-20T00:00Z", "2026-11-21T00:00Z"),
        ("week", "2026-11-20T12:00Z", "UTC", "2026-W47", "2026-11-16T00:00Z", "2026-11-23T00:00Z"),
        ("month", "2026-11-20T12:00Z", "UTC", "2026-11", "2026-11-01T00:00Z", "2026-12-01T00:00Z"),
        # the ends belong to the next one
        ("day", "2026-11-21T00:00Z", "UTC", "2026-11-21", "2026-11-21T00:00Z", "2026-11-22T00:00Z"),
        ("day", "2026-11-20T23:59:59.999999Z", "UTC", "2026-11-20", "2026-11-20T00:00Z", "2026-11-21T00:00Z"),
        ("month", "2026-12-31T23:59:59Z", "UTC", "2026-12", "2026-12-01T00:00Z", "2027-01-01T00:00Z"),
        ("month", "2028-02-29T12:00Z", "UTC", "2028-02", "2028-02-01T00:00Z", "2028-03-01T00:00Z"),
        ("month", "2027-01-31T12:00Z", "UTC", "2027-01", "2027-01-01T00:00Z", "2027-02-01T00:00Z"),
        # ISO weeks: the year of the week is not always the year of the day
        ("week", "2027-01-01T12:00Z", "UTC", "2026-W53", "2026-12-28T00:00Z", "2027-01-04T00:00Z"),
        # days of 23, 25, 23.5 and 24.5 hours
        ("day", "2026-03-29T12:00Z", "Europe/Berlin", "2026-03-29", "2026-03-28T23:00Z", "2026-03-29T22:00Z"),
        ("day", "2026-10-25T12:00Z", "Europe/Berlin", "2026-10-25", "2026-10-24T22:00Z", "2026-10-25T23:00Z"),
        ("day", "2026-10-04T00:00Z", LORD_HOWE, "2026-10-04", "2026-10-03T13:30Z", "2026-10-04T13:00Z"),
        ("day", "2026-04-05T00:00Z", LORD_HOWE, "2026-04-05", "2026-04-04T13:00Z", "2026-04-05T13:30Z"),
        # a midnight that does not exist, and one that comes twice
        ("day", "2026-04-24T12:00Z", "Africa/Cairo", "2026-04-24", "2026-04-23T22:00Z", "2026-04-24T21:00Z"),
        ("day", "2026-11-01T12:00Z", "America/Havana", "2026-11-01", "2026-11-01T04:00Z", "2026-11-02T05:00Z"),
        # the day before the one that Samoa left out
        ("day", "2011-12-30T09:00Z", "Pacific/Apia", "2011-12-29", "2011-12-29T10:00Z", "2011-12-30T10:00Z"),
        ("day", "2011-12-30T10:00Z", "Pacific/Apia", "2011-12-31", "2011-12-30T10:00Z", "2011-12-31T10:00Z"),
        # an hour that comes twice is two periods
        ("hour", "2026-10-25T00:30Z", "Europe/Berlin", "2026-10-25T02+0200", "2026-10-25T00:00Z", "2026-10-25T01:00Z"),
        ("hour", "2026-10-25T01:30Z", "Europe/Berlin", "2026-10-25T02+0100", "2026-10-25T01:00Z", "2026-10-25T02:00Z"),
        # zones off the full hour
        ("hour", "2026-11-20T12:00Z", "Asia/Kathmandu", "2026-11-20T17+0545", "2026-11-20T11:15Z", "2026-11-20T12:15Z"),
        # a clock that moves by half an hour cuts its hour
        ("hour", "2026-04-04T15:10Z", LORD_HOWE, "2026-04-05T01+1030", "2026-04-04T15:00Z", "2026-04-04T15:30Z"),
        ("hour", "2026-10-03T15:45Z", LORD_HOWE, "2026-10-04T02+1100", "2026-10-03T15:30Z", "2026-10-03T16:00Z"),
    ],
)  # fmt: skip
def test_the_period_of_an_instant(kind: PeriodKind, at: str, zone: str, key: str, start: str, end: str) -> None:
    found = period_at(kind, instant_from(at, name="at"), timezone=zone)
    assert (kind, key, instant_from(start, name="start"), instant_from(end, name="end")) == (
        found.kind,
        found.key,
        found.start,
        found.end,
    )


@pytest.mark.parametrize(
    ("kind", "run", "key"),
    [("total", None, "total"), ("run", "ci-7", "run ci-7"), ("run", None, "run unnamed")],
)
def test_total_and_run_have_no_ends(kind: PeriodKind, run: str | None, key: str) -> None:
    found = period_at(kind, instant_from("2026-11-20", name="at"), run=run)
    assert (key, None, None) == (found.key, found.start, found.end)
    assert found.contains(instant_from("1970-01-01", name="at"))


@given(st.sampled_from(["hour", "day", "week", "month"]), instants, st.sampled_from(ZONES))
@example("hour", datetime(2026, 4, 4, 15, 0, tzinfo=UTC), LORD_HOWE)
@example("hour", datetime(2026, 4, 4, 15, 29, tzinfo=UTC), LORD_HOWE)
@example("hour", datetime(2026, 10, 3, 15, 30, tzinfo=UTC), LORD_HOWE)
@example("hour", datetime(2018, 5, 4, 15, 0, tzinfo=UTC), "Asia/Pyongyang")
@example("day", datetime(2026, 3, 29, 1, 0, tzinfo=UTC), "America/Nuuk")
def test_periods_follow_each_other_without_gap_or_overlap(kind: PeriodKind, at: datetime, zone: str) -> None:
    found = period_at(kind, at, timezone=zone)
    assert found.start is not None
    assert found.end is not None
    assert found.contains(at)
    assert (
        found == period_at(kind, found.start, timezone=zone) == period_at(kind, found.end - MICROSECOND, timezone=zone)
    )
    following = period_at(kind, found.end, timezone=zone)
    assert (found.end, True) == (following.start, following.key > found.key or kind == "hour")
    assert found.key != following.key
    assert not found.contains(found.end)


@given(instants, st.sampled_from(ZONES))
def test_a_day_holds_exactly_the_instants_of_its_date(at: datetime, zone: str) -> None:
    assert at.astimezone(ZoneInfo(zone)).date().isoformat() == period_at("day", at, timezone=zone).key


@pytest.mark.parametrize("year", range(2024, 2032))
@pytest.mark.parametrize("zone", ZONES)
def test_the_days_of_a_year_add_up_to_it(zone: str, year: int) -> None:
    at = datetime(year, 1, 15, tzinfo=UTC)
    months = [period_at("month", at, timezone=zone)]
    while len(months) < 12:
        assert months[-1].end is not None
        months.append(period_at("month", months[-1].end, timezone=zone))
    days = [period_at("day", months[0].start or at, timezone=zone)]
    while days[-1].end != months[-1].end:
        assert days[-1].end is not None
        days.append(period_at("day", days[-1].end, timezone=zone))
    assert len(days) == (366 if year % 4 == 0 else 365)
    assert len({day.key for day in days}) == len(days)


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires"])
def test_a_zone_is_found_by_its_name(name: str) -> None:
    assert name == zone_from(name).key


@pytest.mark.parametrize(
    "name",
    ["", "Europe", "CEST+2", "../../etc/passwd", "/etc/localtime", "a\0b", "\ud800", "localtime", None, 1, "x" * 9999],
    ids=lambda value: ascii(value)[:30],
)
def test_what_is_no_zone_is_refused(name: object) -> None:
    with pytest.raises(TimeInvalid, match=r"^timezone: expected an IANA name such as UTC or Europe/Berlin, found"):
        zone_from(name)


def test_the_kinds_of_periods_are_these() -> None:
    assert PERIOD_KINDS == ("hour", "day", "week", "month", "total", "run")
    assert [period_kind_from(kind) for kind in PERIOD_KINDS] == list(PERIOD_KINDS)


@pytest.mark.parametrize("value", ["Day", "daily", "", None, 1, ["day"]], ids=repr)
def test_an_unknown_period_is_refused_with_the_known_ones(value: object) -> None:
    with pytest.raises(TimeInvalid, match=r"^period: expected one of hour, day, week, month, total, run, found"):
        period_kind_from(value)
