"""Frozen records of what happened, and the Listener protocol.

A lower floor announces, a higher one listens: the ledger never imports alerts.
Listeners run after the caller has its answer, on a thread of their own, never
on the ledger's writer; an event that is lost with a crash is still a row in the
ledger, because events only report what was written.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from decimal import Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryBooked:
    """An entry was appended: a charge, a correction or a write-off; ``amount_usd`` is None when unpriced."""

    entry_id: str
    kind: str
    amount_usd: Decimal | None
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldOpened:
    """A worst case was set aside before a call."""

    hold_id: str
    amount_usd: Decimal
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldSettled:
    """A hold was replaced by its actual charge; ``overrun_usd`` is what went above the hold, or 0."""

    hold_id: str
    entry_id: str
    actual_usd: Decimal | None
    overrun_usd: Decimal
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldReleased:
    """A hold was given back unused."""

    hold_id: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldRefused:
    """A reserve was refused by a hard budget."""

    budget: str
    requested_usd: Decimal
    available_usd: Decimal
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetCrossed:
    """Spending passed a threshold of a budget's limit for the first time in this period."""

    budget: str
    period_key: str
    threshold_percent: int
    spent_usd: Decimal
    limit_usd: Decimal
    at: datetime


Event = EntryBooked | HoldOpened | HoldSettled | HoldReleased | HoldRefused | BudgetCrossed


class Listener(Protocol):
    """Anything that can be called with an event; what it raises is logged, once per listener, and dropped."""

    def __call__(self, event: Event, /) -> None:
        """Take note of one event."""


class Announcer:
    """Hands events to listeners, in order, on one background thread that starts with the first event."""

    def __init__(self, listeners: Sequence[Listener]) -> None:
        """Serve these listeners; without any, `tell` does nothing."""
        self._listeners = tuple(listeners)
        self._broken: set[int] = set()
        self._start()

    def _start(self) -> None:
        self._process = os.getpid()
        self._events: SimpleQueue[Event | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._mutex = threading.Lock()

    @property
    def is_heard(self) -> bool:
        """Whether anybody listens; without listeners nobody needs to make events."""
        return bool(self._listeners)

    def tell(self, events: Sequence[Event]) -> None:
        """Queue events; never blocks and never raises."""
        if not self._listeners:
            return
        if self._process != os.getpid():  # a forked child has no thread, and the events in the queue are its parent's
            self._start()
        with self._mutex:
            for event in events:
                self._events.put(event)
            # In the child of a fork the thread is there by name only.
            if events and (self._thread is None or not self._thread.is_alive()):
                self._thread = threading.Thread(target=self._run, name="tokencalc-listeners", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Hand out what is queued, then stop."""
        if self._process != os.getpid():
            return
        with self._mutex:
            thread, self._thread = self._thread, None
        if thread is not None and thread.is_alive():
            self._events.put(None)
            # A listener may be the one that closes: its own thread ends after it, and cannot wait for itself.
            if thread is not threading.current_thread():
                thread.join()

    def _run(self) -> None:
        while (event := self._events.get()) is not None:
            for index, listener in enumerate(self._listeners):
                try:
                    listener(event)
                except Exception:  # bulk: a listener is somebody else's code and must not stop the others
                    if index not in self._broken:
                        import logging  # noqa: PLC0415  # 4 ms of every first price, for what hardly ever happens

                        self._broken.add(index)
                        logging.getLogger("tokencalc").exception(
                            "a listener of tokencalc raised on %s; told once", type(event).__name__
                        )
