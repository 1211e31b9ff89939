"""The only reader of the time: aware UTC instants, and monotonic seconds or nanoseconds for durations.

Everything else is handed a `Clock`, so tests move time by hand and never sleep.
Instants are stored as whole microseconds since 1970-01-01T00:00Z.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

from tokencalc.errors import TimeInvalid

NS_PER_S = 10**9

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

# No call was made before, and beyond it the arithmetic of periods leaves what Python's calendar can hold.
_FIRST_YEAR, _LAST_YEAR = 1970, 8999


class Clock(Protocol):
    """What tells the time: ``now`` for instants, ``monotonic`` and ``monotonic_ns`` for durations."""

    def now(self) -> datetime:
        """Return the current instant, aware, in UTC."""

    def monotonic(self) -> float:
        """Return seconds that never go back; only differences mean something."""

    def monotonic_ns(self) -> int:
        """Return the same in whole nanoseconds."""


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> datetime:
        """Return the current instant, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()

    # Not a method of ours around it: a limiter reads it for each permit, and the call would cost as much again.
    monotonic_ns = staticmethod(time.monotonic_ns)


class ManualClock:
    """A clock that moves only when told to; for tests and simulations."""

    def __init__(self, now: datetime | str = "2026-11-20T12:00:00Z") -> None:
        """Start at an aware instant or its ISO 8601 text."""
        self._now = instant_from(now, name="now")
        self._monotonic_ns = 0

    def now(self) -> datetime:
        """Return the instant that was set last."""
        return self._now

    def monotonic(self) -> float:
        """Return the seconds advanced so far; a jump does not move them."""
        return self._monotonic_ns / NS_PER_S

    def monotonic_ns(self) -> int:
        """Return the nanoseconds advanced so far."""
        return self._monotonic_ns

    def advance(self, seconds: float) -> None:
        """Let time pass: both clocks move on."""
        self._now += timedelta(seconds=seconds)
        self._monotonic_ns += round(seconds * NS_PER_S)

    def jump_to(self, now: datetime | str) -> None:
        """Set the wall clock, forward or back, as an NTP correction would; durations do not notice."""
        self._now = instant_from(now, name="now")


def instant_from(value: object, *, name: str) -> datetime:
    """Read an aware instant from a datetime or ISO 8601 text and return it in UTC.

    Text that is a bare date means that day's first instant in UTC. Raises
    TimeInvalid for anything without a zone, because guessing one moves money
    between days.
    """
    instant = value
    if isinstance(value, str):
        try:
            instant = datetime.fromisoformat(value.strip())
        except ValueError:
            raise _refused(value, name) from None
        if len(value.strip()) == len("2026-11-20") and isinstance(instant, datetime):
            instant = instant.replace(tzinfo=UTC)
    if not isinstance(instant, datetime) or instant.utcoffset() is None:
        raise _refused(value, name)
    if not _FIRST_YEAR <= instant.year <= _LAST_YEAR:
        raise _refused(value, name)
    return instant.astimezone(UTC)


def _refused(value: object, name: str) -> TimeInvalid:
    return TimeInvalid(
        f"{name}: expected an instant with a time zone, from {_FIRST_YEAR} to {_LAST_YEAR}, "
        f"for example 2026-11-20T12:00:00Z, found {value!r:.60}",
        path=name,
        found=value,
    )


def micros_from_instant(instant: datetime) -> int:
    """Whole microseconds since 1970-01-01T00:00Z of an aware instant."""
    return (instant - _EPOCH) // _MICROSECOND


def instant_from_micros(micros: int) -> datetime:
    """Aware UTC instant of whole microseconds since 1970-01-01T00:00Z."""
    return _EPOCH + timedelta(microseconds=micros)


def instant_text(instant: datetime) -> str:
    """ISO 8601 text in UTC with a Z, for machines; microseconds only where there are some."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
