"""How one caller waits: a thread on a lock of its own, a task on its own loop's timer.

There is no thread for waiting: whoever waits wakes by itself at the instant that was
computed for it, or is rung by whoever changed that instant.
"""

from __future__ import annotations

import asyncio
import gc
from threading import Lock
from typing import TYPE_CHECKING, Protocol

from tokencalc.clock import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokencalc.limits.permits import Demand, Permit

FOREVER = 2**63
"""An instant that never comes."""


class Bell(Protocol):
    """What wakes one caller."""

    def ring(self) -> bool:
        """Wake the caller, or let its next wait end at once; False if nobody can hear it any more. Never blocks."""


class Ticket:
    """A place in the line: what is wanted, until when, and what became of it; guarded by the limiter's lock."""

    __slots__ = ("armed_until", "bell", "deadline", "demand", "entered_at", "is_over", "permit", "planned_at")

    def __init__(self, demand: Demand, entered_at: int, deadline: int, bell: Bell) -> None:
        """Wait for a demand until an instant."""
        self.demand = demand
        self.entered_at = entered_at
        self.deadline = deadline
        self.bell = bell
        self.planned_at = 0
        self.armed_until = 0  # nobody sleeps yet, so nobody need be rung
        self.permit: Permit | None = None
        self.is_over = False


_SWEEP_SHARE = 100
_SWEEP_PAUSE_NS = NS_PER_S


class Sweep:
    """Finds concurrent calls that nobody holds any more: streams that were left are in cycles, which only this frees.

    Whoever waits for such a call's place allocates nothing, so the collector would never run by
    itself. Takes at most a hundredth of the time, and runs once a second at most.
    """

    __slots__ = ("_again_at",)

    def __init__(self) -> None:
        """Be ready to run."""
        self._again_at = 0

    def run(self, now: Callable[[], int]) -> None:
        """Collect, where that is not too soon; not under a lock, because finalizers run here."""
        began = now()
        if began >= self._again_at:
            self._again_at = began + _SWEEP_PAUSE_NS  # for the others, who may come meanwhile
            gc.collect()
            ended = now()
            self._again_at = ended + max(_SWEEP_PAUSE_NS, _SWEEP_SHARE * (ended - began))


class ThreadBell:
    """A thread sleeps on a lock that only it takes."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        """Start silent."""
        self._lock = Lock()
        self._lock.acquire()

    def ring(self) -> bool:
        """Wake the thread; ringing twice before it looks is ringing once."""
        # Rung under the limiter's lock only, so nobody can ring between the question and the release.
        if self._lock.locked():
            self._lock.release()
        return True

    def wait(self, timeout_ns: int) -> None:
        """Sleep until rung, at most this long."""
        self._lock.acquire(timeout=timeout_ns / NS_PER_S)


class LoopBell:
    """A task sleeps on a future of its own loop, with a timer of that loop."""

    __slots__ = ("_future", "_loop")

    def __init__(self) -> None:
        """Belong to the running loop."""
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[None] = self._loop.create_future()

    def ring(self) -> bool:
        """Wake the task from any thread; False if its loop is closed."""
        try:
            self._loop.call_soon_threadsafe(self._wake)
        except RuntimeError:
            return False
        return True

    async def wait(self, timeout_ns: int) -> None:
        """Sleep until rung, at most this long."""
        timer = self._loop.call_later(timeout_ns / NS_PER_S, self._wake)
        try:
            await self._future
        finally:
            timer.cancel()
        self._future = self._loop.create_future()

    def _wake(self) -> None:
        if not self._future.done():
            self._future.set_result(None)
