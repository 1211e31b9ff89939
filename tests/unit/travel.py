"""Time that passes only where nobody has anything to do: an event loop on a `ManualClock`, and threads beside it.

Everything that waits on the loop wakes at exactly its instant, in an order that is the same each run, and
an hour takes no time. Nothing sleeps.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from tokencalc.clock import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from tokencalc.clock import ManualClock

T = TypeVar("T")

WAIT_S = 30


class TravelLoop(asyncio.SelectorEventLoop):
    """A loop whose time is the clock's, and which moves the clock on instead of sleeping."""

    def __init__(self, clock: ManualClock) -> None:
        """Start at the clock's instant."""
        super().__init__()
        self.clock = clock
        selector: Any = self._selector  # type: ignore[attr-defined]  # where a loop sleeps
        look = selector.select

        def travel(timeout: float | None = None) -> object:
            events = look(0)
            if not events and timeout is None:
                raise AssertionError("everybody waits, and nobody will ever wake them")
            if not events and timeout:
                clock.advance(timeout)
            return events

        selector.select = travel

    def time(self) -> float:
        """Return the clock's seconds."""
        return self.clock.monotonic()


def travel(clock: ManualClock, work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a loop of this clock."""
    with asyncio.Runner(loop_factory=lambda: TravelLoop(clock)) as runner:
        return runner.run(work)


async def pause(nanoseconds: int) -> None:
    """Let the loop's time pass."""
    loop = asyncio.get_running_loop()
    wake = loop.create_future()
    loop.call_later(nanoseconds / NS_PER_S, wake.set_result, None)
    await wake


def until(happened: Callable[[], bool]) -> None:
    """Let other threads run until something has happened; an error after half a minute."""
    pause = threading.Event()
    for _ in range(WAIT_S * 1000):
        if happened():
            return
        pause.wait(0.001)
    raise AssertionError("it did not happen")


def in_threads(number: int, work: Callable[[], T]) -> list[T]:
    """Do the same in so many threads that start together; return what each returned, in order of ending."""
    start = threading.Barrier(number)
    found: list[T] = []

    def run() -> None:
        start.wait(timeout=WAIT_S)
        found.append(work())

    threads = [threading.Thread(target=run, daemon=True) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=2 * WAIT_S)
    assert len(found) == number
    return found
