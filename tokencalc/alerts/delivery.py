"""Delivery: one thread for each channel that has something to send, so that none waits for another."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, NamedTuple

from tokencalc.alerts import outbox
from tokencalc.alerts.messages import message_from
from tokencalc.clock import micros_from_instant
from tokencalc.errors import DeliveryFailed, LedgerError
from tokencalc.limits.locks import own_lock
from tokencalc.reports.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from threading import Lock

    from tokencalc.alerts.channels import Channel
    from tokencalc.clock import Clock
    from tokencalc.ledger.sqlite import SqliteStore


class Delivered(NamedTuple):
    """What became of one round: messages that receivers have, and what went wrong, by channel."""

    sent: int
    problems: Mapping[str, str]


class Courier:
    """Sends what waits in one ledger's outbox for the channels of this process."""

    lock: Lock

    def __init__(self, store: SqliteStore, clock: Clock, channels: Mapping[str, Channel]) -> None:
        """Serve these channels; rows for others stay for processes that have them."""
        self._store, self._clock, self._channels = store, clock, channels
        self._problems: dict[str, str] = {}
        self.forked()
        own_lock(self)

    def forked(self) -> None:
        """Have no thread: the child of a fork starts its own."""
        self._threads: dict[str, threading.Thread] = {}
        self._sent = 0

    @property
    def problems(self) -> Mapping[str, str]:
        """What went wrong at the last attempt, by channel."""
        return dict(self._problems)

    def start(self) -> list[threading.Thread]:
        """Begin to send what waits, and return at once; a channel that is still at it is left alone."""
        with self.lock:
            for name in self._waiting():
                running = self._threads.get(name)
                if running is None or not running.is_alive():
                    thread = threading.Thread(
                        target=self._serve, args=(name,), name=f"tokencalc-alerts-{name}", daemon=True
                    )
                    self._threads[name] = thread
                    thread.start()
            return list(self._threads.values())

    def run(self) -> Delivered:
        """Send what waits, and return when every channel has tried."""
        sent = self._sent
        for thread in self.start():
            thread.join()
        return Delivered(self._sent - sent, self.problems)

    def _waiting(self) -> list[str]:
        now_us = micros_from_instant(self._clock.now())
        with self._store.reading() as connection:
            return [name for name in self._channels if outbox.is_waiting(connection, name, now_us)]

    def _serve(self, name: str) -> None:
        try:
            while self._send_one(self._channels[name]):
                pass
        except LedgerError as error:  # the leases end by themselves, and the next round tries again
            self._tell(name, f"channel {name}: alerts wait, for the ledger cannot be used: {error.message}")

    def _send_one(self, channel: Channel) -> bool:
        """Send the next message; False where there is none, or the receiver is away."""
        row = self._store.aside(lambda connection: outbox.take(connection, channel.name, self._now_us()))
        if row is None:
            return False
        problem, only_this = "", False
        try:
            channel.send(message_from(row.message), self._clock.now())
        except DeliveryFailed as error:
            problem, only_this = error.message, error.only_this
        except Exception as error:  # noqa: BLE001  # bulk: a channel may be anybody's, and must not stop the others
            problem = f"channel {channel.name}: it raised {type(error).__name__}"
        if problem:
            self._store.aside(
                lambda connection: outbox.put_back(connection, row, problem, self._now_us(), only_this=only_this)
            )
            self._tell(channel.name, problem)
            return only_this
        self._store.aside(lambda connection: outbox.delivered(connection, row, self._now_us()))
        with self.lock:
            self._sent += 1
            self._problems.pop(channel.name, None)
        return True

    def _now_us(self) -> int:
        return micros_from_instant(self._clock.now())

    def _tell(self, name: str, text: str) -> None:
        with self.lock:
            is_new = name not in self._problems
            self._problems[name] = text
        if is_new:
            logging.getLogger("tokencalc").warning("%s; it is tried again, told once", safe_text(text, longest=500))
