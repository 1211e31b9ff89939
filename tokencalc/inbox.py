"""How outcomes reach an event loop: one wake-up for a whole batch, however many tasks wait for it.

Waking a loop from another thread is a system call and a round of its scheduler;
a batch answers all its callers within microseconds, so one wake-up serves them.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from tokencalc.ledger.writer import Ticket

    Letter = tuple[asyncio.Future[Any], Callable[[Any], None] | None, Ticket]


class Inbox:
    """Outcomes on their way to one event loop; filled by any thread, emptied by the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Deliver on this loop."""
        self._loop = loop
        self._letters: deque[Letter] = deque()
        self._is_due = False

    def letter(self, future: asyncio.Future[Any], on_lost: Callable[[Any], None] | None) -> Callable[[Ticket], None]:
        """Return what takes a ticket's outcome to the future; ``on_lost`` gets a value that nobody awaits any more."""

        def post(ticket: Ticket) -> None:
            if ticket.cancelled:  # the loop may end before it could tell
                tell_lost(ticket, on_lost)
                return
            # First the letter, then the look whether somebody comes for it; `_deliver` does it the other way round.
            self._letters.append((future, on_lost, ticket))
            if not self._is_due:
                self._is_due = True
                self._call()

        return post

    def _call(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._deliver)
        except RuntimeError:  # the loop was closed: nobody awaits these any more
            self._is_due = False
            while self._letters:
                _, on_lost, ticket = self._letters.popleft()
                tell_lost(ticket, on_lost)

    def _deliver(self) -> None:
        self._is_due = False
        while self._letters:
            future, on_lost, ticket = self._letters.popleft()
            outcome = ticket.outcome
            if future.done() and not future.cancelled():  # told twice, because an interrupt fell into the first time
                continue
            if future.cancelled() or outcome is None:
                tell_lost(ticket, on_lost)
            elif outcome.error is not None:
                future.set_exception(outcome.error)
            else:
                future.set_result(outcome.value)


def tell_lost(ticket: Ticket, on_lost: Callable[[Any], None] | None) -> None:
    """Hand over a value that nobody awaits any more."""
    outcome = ticket.outcome
    if outcome is not None and outcome.error is None and on_lost is not None:
        on_lost(outcome.value)
