"""Instants are aware and in UTC, durations do not jump, and a text without a zone is refused."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokencalc.clock import (
    ManualClock,
    SystemClock,
    instant_from,
    instant_from_micros,
    instant_text,
    micros_from_instant,
)
from tokencalc.errors import TimeInvalid

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
instants = st.datetimes(
    min_value=datetime(1971, 1, 1), max_value=datetime(8998, 12, 31), timezones=st.timezones()  # noqa: DTZ001  # hypothesis puts zones on
)  # fmt: skip


@pytest.mark.parametrize(
    "value",
    [
        "2026-11-20T12:00:00Z",
        "2026-11-20T12:00:00+00:00",
        "2026-11-20 13:00:00+01:00",
        " 2026-11-20T06:30:00-05:30 ",
        NOON,
        datetime(2026, 11, 20, 13, tzinfo=ZoneInfo("Europe/Berlin")),
        datetime(2026, 11, 20, 14, tzinfo=timezone(timedelta(hours=2))),
    ],
    ids=str,
)
def test_an_instant_is_read_into_utc(value: object) -> None:
    found = instant_from(value, name="at")
    assert (found, found.tzinfo) == (NOON, UTC)


@pytest.mark.parametrize("text", ["2026-11-20", "2026-W47-5"])
def test_a_bare_date_is_its_first_instant_in_utc(text: str) -> None:
    assert datetime(2026, 11, 20, tzinfo=UTC) == instant_from(text, name="at")


@pytest.mark.parametrize(
    "value",
    [
        "2026-11-20T12:00:00",
        "20261120",
        "yesterday",
        "",
        "2026-02-30",
        "2026-11-20T25:00:00Z",
        "0001-01-01T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "9999-12-31T23:59:59-14:00",
        "x" * 100_000,
        1_795_089_600,
        1.5,
        None,
        True,
        date(2026, 11, 20),
        datetime(2026, 11, 20, 12),  # noqa: DTZ001  # the naive one that is refused
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_is_no_instant_with_a_zone_is_refused_by_name(value: object) -> None:
    with pytest.raises(TimeInvalid, match=r"^at: expected an instant with a time zone, .* found ") as caught:
        instant_from(value, name="at")
    assert caught.value.path == "at"
    assert len(caught.value.message) < 250


@given(instants)
def test_an_instant_survives_the_way_to_microseconds_and_to_text(instant: datetime) -> None:
    read = instant_from(instant, name="at")
    assert read == instant_from_micros(micros_from_instant(read)) == instant_from(instant_text(read), name="at")


@pytest.mark.parametrize(
    ("instant", "expected"),
    [
        (NOON, "2026-11-20T12:00:00Z"),
        (NOON + timedelta(microseconds=5), "2026-11-20T12:00:00.000005Z"),
        (NOON.astimezone(ZoneInfo("Asia/Kolkata")), "2026-11-20T12:00:00Z"),
    ],
)
def test_instants_are_written_in_utc(instant: datetime, expected: str) -> None:
    assert expected == instant_text(instant)


def test_microseconds_before_the_epoch_are_negative() -> None:
    assert micros_from_instant(instant_from_micros(-1)) == -1


def test_a_manual_clock_moves_only_when_told_to() -> None:
    clock = ManualClock("2026-11-20T12:00:00Z")
    assert (clock.now(), clock.monotonic()) == (clock.now(), clock.monotonic()) == (NOON, 0.0)
    clock.advance(1.5)
    assert (clock.now(), clock.monotonic()) == (NOON + timedelta(seconds=1.5), 1.5)


@pytest.mark.parametrize("to", ["2026-11-20T11:00:00Z", "2027-01-01"])
def test_a_jump_of_the_wall_clock_moves_no_duration(to: str) -> None:
    clock = ManualClock()
    clock.advance(10)
    clock.jump_to(to)
    assert (clock.now(), clock.monotonic()) == (instant_from(to, name="to"), 10)


def test_a_manual_clock_wants_an_aware_instant() -> None:
    with pytest.raises(TimeInvalid, match="now: expected an instant with a time zone"):
        ManualClock("2026-11-20T12:00:00")


def test_the_system_clock_is_aware_and_does_not_go_back() -> None:
    clock = SystemClock()
    readings = [clock.monotonic() for _ in range(100)]
    assert clock.now().utcoffset() == timedelta(0)
    assert readings == sorted(readings)
