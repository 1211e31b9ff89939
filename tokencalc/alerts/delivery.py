"""Delivery: one thread for each channel that has something to send, so that none waits for another."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, NamedTuple

from tokencalc.alerts import outbox
from tokencalc.alerts.channels import BrokenChannel, failed
from tokencalc.alerts.messages import message_from
from tokencalc.clock import SystemClock, micros_from_instant
from tokencalc.errors import DeliveryFailed, LedgerClosed, LedgerError
from tokencalc.limits.locks import own_lock
from tokencalc.reports.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from threading import Lock

    from tokencalc.alerts.channels import Channel
    from tokencalc.clock import Clock
    from tokencalc.ledger.sqlite import SqliteStore


class Delivered(NamedTuple):
    """What became of one round: messages that receivers have, and what is wrong, by channel."""

    sent: int
    problems: Mapping[str, str]


class Courier:
    """Sends what waits in one ledger's outbox for the channels of this process."""

    lock: Lock

    def __init__(self, store: SqliteStore, clock: Clock, channels: Mapping[str, Channel]) -> None:
        """Serve these channels; rows for others, and for those that cannot be made, are left to who has them."""
        self._store, self._clock = store, clock
        self._broken = {name: one.problem for name, one in channels.items() if isinstance(one, BrokenChannel)}
        self._channels = {name: one for name, one in channels.items() if name not in self._broken}
        self._failures: dict[str, str] = {}
        self._told: set[str] = set()
        self.forked()
        own_lock(self)

    def forked(self) -> None:
        """Have no thread: the child of a fork starts its own."""
        self._threads: dict[str, threading.Thread] = {}
        self._sent = 0

    def start(self) -> list[threading.Thread]:
        """Begin to send what waits, and return at once; a channel that is still at it is left alone."""
        for name, problem in self._broken.items():
            self._tell(name, problem)
        waiting = self._waiting()
        with self.lock:
            for name in waiting:
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
        with self.lock:
            self._failures.clear()
        self.finish(None)
        return Delivered(self._sent - sent, self._problems())

    def finish(self, timeout_s: float | None) -> bool:
        """Send what waits, and wait so many seconds (without end if None) until every channel has tried.

        False where one is still at it. The threads end with the process.
        """
        clock = SystemClock()  # threads are waited for in real time
        until_s = clock.monotonic() + (timeout_s or 0)
        threads: list[threading.Thread] = []
        for _ in range(2):  # a thread that found nothing left and was about to end missed what came last
            threads = self.start()
            for thread in threads:
                thread.join(None if timeout_s is None else max(0.0, until_s - clock.monotonic()))
        return not any(thread.is_alive() for thread in threads)

    def _problems(self) -> dict[str, str]:
        """Say what is wrong with each channel, whichever process tried it last."""
        with self._store.reading() as connection:
            found = {one.channel: one.problem for one in outbox.waiting(connection, self._now_us()) if one.messages}
        kept = {name: problem for name, problem in found.items() if problem and name in self._channels}
        return {**kept, **self._failures, **self._broken}

    def _waiting(self) -> list[str]:
        now_us = self._now_us()
        with self._store.reading() as connection:
            found = [name for name in self._channels if outbox.is_waiting(connection, name, now_us)]
            has_unserved = outbox.has_unserved(connection, self._channels, now_us)
        if has_unserved:
            self._store.aside(lambda connection: outbox.give_up_unserved(connection, self._channels, now_us))
        return found

    def _serve(self, name: str) -> None:
        try:
            while self._send_one(self._channels[name]):
                pass
        except LedgerClosed:  # the program is done; what waits goes out from whoever delivers next
            return
        except LedgerError as error:  # the leases end by themselves, and the next round tries again
            self._failed(name, f"channel {name}: alerts wait, for the ledger cannot be used: {error.message}")

    def _send_one(self, channel: Channel) -> bool:
        """Send the next message; False where there is none, or the receiver is away."""
        row = self._store.aside(lambda connection: outbox.take(connection, channel.name, self._now_us()))
        if row is None:
            return False
        error = self._sent_by(channel, row)
        if error is not None:
            self._store.aside(lambda connection: outbox.put_back(connection, row, error, self._now_us()))
            self._failed(channel.name, error.message)
            return error.only_this
        is_well = self._store.aside(lambda connection: outbox.delivered(connection, row, self._now_us()))
        with self.lock:
            self._sent += 1
            if is_well:
                self._told.discard(channel.name)
        return True

    def _sent_by(self, channel: Channel, row: outbox.Leased) -> DeliveryFailed | None:
        try:
            message = message_from(row.message)
        except (TypeError, ValueError):  # a damaged row, or of a newer tokencalc: the others need not wait for it
            return failed(channel.name, "a message in the ledger cannot be read", for_good=True)
        try:
            channel.send(message, self._clock.now())
        except DeliveryFailed as error:
            return error
        except BaseException as error:  # noqa: BLE001  # bulk: a channel may be anybody's, and even its exit must not stop the others
            return failed(channel.name, f"it raised {type(error).__name__}")
        return None

    def _now_us(self) -> int:
        return micros_from_instant(self._clock.now())

    def _failed(self, name: str, text: str) -> None:
        with self.lock:
            self._failures[name] = text
        self._tell(name, text)

    def _tell(self, name: str, text: str) -> None:
        with self.lock:
            is_new = name not in self._told
            self._told.add(name)
        if is_new:
            logging.getLogger("tokencalc").warning(
                "%s; told once, `tokencalc alerts list` says what waits", safe_text(text, longest=500)
            )


class Pump:
    """What a monitor calls: checks the rules and begins to deliver, without waiting; at the end, waits a while."""

    def __init__(self, check: Callable[[], object], courier: Courier) -> None:
        """Take what checks, and who delivers."""
        self._check, self._courier = check, courier

    def __call__(self, at: datetime | None = None) -> None:
        """Check, and begin to deliver; each looks at the ledger's clock, not at the instant."""
        del at
        try:
            self._check()
        finally:
            # Yesterday's messages go out even where a rule cannot be looked at.
            self._courier.start()

    def finish(self, timeout_s: float) -> bool:
        """Check once more, and wait at most so many seconds until what can be delivered is.

        False where something was still on its way: it goes out again, by the next process that delivers.
        """
        try:
            self._check()
        finally:
            is_done = self._courier.finish(timeout_s)
        return is_done
