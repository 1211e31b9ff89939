"""A circuit breaker: after failures in a row it refuses for a while, then lets one probe through.

No lock is held during a call: ``check`` before it and ``succeeded`` or ``failed``
after it are all that the breaker sees. A probe is a lease of ``open_s``: one that
never answers gives its place to the next caller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from tokencalc.clock import SystemClock
from tokencalc.errors import BreakerOpen, CallInvalid
from tokencalc.limits.bucket import NS_PER_S
from tokencalc.limits.locks import own_lock

if TYPE_CHECKING:
    from threading import Lock

    from tokencalc.clock import Clock

BreakerState = Literal["closed", "open", "half_open"]

_Happening = Literal["success", "failure", "last_failure", "wait_over"]

MAX_OPEN_S = 7 * 24 * 3600
"""A week: a breaker that stays open longer is a switch, and hides that nobody looks."""

_NEXT: dict[tuple[BreakerState, _Happening], BreakerState] = {
    ("closed", "success"): "closed",
    ("closed", "failure"): "closed",
    ("closed", "last_failure"): "open",
    ("open", "success"): "open",  # an answer to a call from before it opened proves nothing
    ("open", "failure"): "open",  # and makes nobody wait longer
    ("open", "wait_over"): "half_open",
    ("half_open", "success"): "closed",
    ("half_open", "failure"): "open",
    ("half_open", "wait_over"): "half_open",  # the probe was lost, its place goes to the next caller
}


class Breaker:
    """Opens for ``open_s`` seconds after ``failures`` failures in a row; safe among threads, never waits."""

    __slots__ = (
        "__weakref__",
        "_clock",
        "_failed_in_a_row",
        "_open",
        "_state",
        "_wait_until",
        "failures",
        "lock",
        "open_s",
    )

    lock: Lock

    def __init__(self, *, failures: int = 5, open_s: float = 300, clock: Clock | None = None) -> None:
        """Start closed; CallInvalid for fewer than one failure or a time that is not above zero."""
        if isinstance(failures, bool) or not isinstance(failures, int) or failures < 1:
            raise CallInvalid(
                f"failures: expected a whole number from 1, found {failures!r:.60}", path="failures", found=failures
            )
        if isinstance(open_s, bool) or not isinstance(open_s, int | float) or not 0 < open_s <= MAX_OPEN_S:
            raise CallInvalid(
                f"open_s: expected seconds above 0 and at most {MAX_OPEN_S}, found {open_s!r:.60}",
                path="open_s",
                found=open_s,
            )
        self.failures = failures
        self.open_s = open_s
        # Whole nanoseconds, so that waiting for exactly what a refusal says is enough.
        self._open = max(1, round(open_s * NS_PER_S))
        self._clock = SystemClock() if clock is None else clock
        self._state: BreakerState = "closed"
        self._failed_in_a_row = 0
        self._wait_until = 0
        own_lock(self)

    @property
    def state(self) -> BreakerState:
        """closed, open or half_open; an open one stays so until a caller asks for the probe."""
        return self._state

    def check(self) -> None:
        """Ask before a call; raises BreakerOpen, with the seconds until the next probe, when it may not go out."""
        with self.lock:
            if self._state == "closed":
                return
            now = self._now()
            if now >= self._wait_until:
                self._move("wait_over")
                self._wait_until = now + self._open
                return
            state, retry_after_s = self._state, (self._wait_until - now) / NS_PER_S
        why = f"{self.failures} failures in a row" if state == "open" else "failures; one probe is on its way"
        raise BreakerOpen(
            f"the breaker is {state} after {why}; retry in {retry_after_s:.3f} s",
            retry_after_s=retry_after_s,
            state=state,
        )

    def succeeded(self) -> None:
        """Tell that a call went well: a probe closes the breaker, others end a row of failures."""
        with self.lock:
            self._failed_in_a_row = 0
            self._move("success")

    def failed(self) -> None:
        """Tell that a call failed: a probe opens the breaker again, others count towards opening it."""
        with self.lock:
            was = self._state
            self._failed_in_a_row += 1
            self._move("last_failure" if was == "closed" and self._failed_in_a_row >= self.failures else "failure")
            if self._state == "open" and was != "open":
                self._failed_in_a_row = 0
                self._wait_until = self._now() + self._open

    def _now(self) -> int:
        return round(self._clock.monotonic() * NS_PER_S)

    def _move(self, happening: _Happening) -> None:
        self._state = _NEXT[self._state, happening]
