"""A token bucket that fails fast: permits come back evenly, ``burst`` of them can be saved up.

Kept as one integer, the instant at which the bucket will be full again (GCRA).
Time is measured in nanoseconds times ``permits_per_minute``, so a permit costs a
whole number of units at every rate and nothing is ever rounded away. The clock is
read inside the lock: an instant read before it could be older than one that was
used already, and giving permits for the same time twice is the classic fault of
such buckets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokencalc.clock import SystemClock
from tokencalc.errors import CallInvalid, Throttled
from tokencalc.limits.locks import own_lock

if TYPE_CHECKING:
    from threading import Lock

    from tokencalc.clock import Clock

NS_PER_S = 10**9

MAX_PERMITS = 10**12
"""The largest rate and burst that make sense; provider limits on LLM tokens stay far below."""

# One permit, in units of nanoseconds x permits_per_minute.
_PERMIT = 60 * NS_PER_S


class TokenBucket:
    """Hands out permits at a steady pace; full at the start; safe among threads, never waits.

    In any time of t minutes it hands out at most ``burst + permits_per_minute * t``.
    ``burst`` is one minute's permits where nothing is said.
    """

    __slots__ = ("__weakref__", "_clock", "_full_at", "burst", "lock", "permits_per_minute")

    lock: Lock

    def __init__(self, permits_per_minute: int = 300, *, burst: int | None = None, clock: Clock | None = None) -> None:
        """Start full; CallInvalid for a rate or a burst that is no whole number from 1."""
        self.permits_per_minute = _whole_from_one(permits_per_minute, name="permits_per_minute")
        self.burst = self.permits_per_minute if burst is None else _whole_from_one(burst, name="burst")
        self._clock = SystemClock() if clock is None else clock
        self._full_at = self._now()
        own_lock(self)

    def take(self, permits: int = 1) -> None:
        """Take permits, all or none.

        Raises Throttled, with the seconds until they would be there, when there are
        too few, and CallInvalid at once for more than the bucket can ever hold.
        """
        wanted = _whole_from_one(permits, name="permits")
        if wanted > self.burst:
            raise CallInvalid(
                f"permits: expected at most {self.burst}, which is all the bucket can hold, found {wanted}",
                path="permits",
                found=wanted,
                maximum=self.burst,
            )
        with self.lock:
            now = self._now()
            full_at = max(self._full_at, now) + wanted * _PERMIT
            missing = full_at - now - self.burst * _PERMIT
            if missing <= 0:
                self._full_at = full_at
                return
        # Rounded up to the next nanosecond, so that waiting exactly this long is enough.
        retry_after_s = -(-missing // self.permits_per_minute) / NS_PER_S
        raise Throttled(
            f"no permit left for {wanted} more at {self.permits_per_minute} a minute; retry in {retry_after_s:.3f} s",
            retry_after_s=retry_after_s,
            permits=wanted,
            permits_per_minute=self.permits_per_minute,
        )

    @property
    def fill(self) -> float:
        """The share of the bucket that is there now: 1.0 is full, 0.0 is empty."""
        with self.lock:
            used = max(0, self._full_at - self._now())
        return 1 - used / (self.burst * _PERMIT)

    def _now(self) -> int:
        return round(self._clock.monotonic() * NS_PER_S) * self.permits_per_minute


def _whole_from_one(value: object, *, name: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_PERMITS:
        return value
    raise CallInvalid(
        f"{name}: expected a whole number from 1 to {MAX_PERMITS}, found {value!r:.60}", path=name, found=value
    )
