"""A leading or waiting thread is interrupted: nobody else is lost, nothing is booked twice, the lead goes on."""

from __future__ import annotations

import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest

from tokencalc import Engine
from tokencalc.clock import ManualClock
from tokencalc.config import Settings
from tokencalc.ledger.store import Step

if TYPE_CHECKING:
    from pathlib import Path

    from tokencalc.ledger.store import Transaction

WAIT_S = 30


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """Give an engine over a file."""
    return Engine.open(tmp_path / "ledger.db", clock=ManualClock(), settings=Settings())


def spend(engine: Engine) -> str:
    """Record a dollar."""
    return engine.record(model="acme-1", cost_usd=1).entry_id


def test_an_interrupted_batch_is_rolled_back_and_its_other_steps_run_once(engine: Engine) -> None:
    inside, go = Event(), Event()

    def interrupted(_: Transaction) -> None:
        inside.set()
        assert go.wait(WAIT_S)
        raise KeyboardInterrupt

    with ThreadPoolExecutor(9) as pool:
        broken = pool.submit(engine.store.writer.run, Step(interrupted))
        assert inside.wait(WAIT_S)
        others = [pool.submit(spend, engine) for _ in range(8)]
        go.set()
        with pytest.raises(KeyboardInterrupt, match=r"^$"):
            broken.result(WAIT_S)
        found = {other.result(WAIT_S) for other in others}
    assert len(found) == 8
    assert {entry.entry_id for entry in engine.entries()} == found
    assert engine.verify().problems == ()
    engine.close()


def test_a_step_that_fails_takes_no_others_with_it(engine: Engine) -> None:
    inside, go = Event(), Event()

    def waiting(_: Transaction) -> None:
        inside.set()
        assert go.wait(WAIT_S)

    def failing(_: Transaction) -> None:
        raise ZeroDivisionError("a fault of ours")

    with ThreadPoolExecutor(12) as pool:
        first = pool.submit(engine.store.writer.run, Step(waiting))
        assert inside.wait(WAIT_S)
        others = [pool.submit(spend, engine) for _ in range(8)]
        broken = pool.submit(engine.store.writer.run, Step(failing))
        go.set()
        first.result(WAIT_S)
        with pytest.raises(ZeroDivisionError, match="a fault of ours"):
            broken.result(WAIT_S)
        found = {other.result(WAIT_S) for other in others}
    assert {entry.entry_id for entry in engine.entries()} == found
    assert engine.verify().problems == ()
    engine.close()


class TooLate(Exception):  # what a program's own alarm might raise
    """Raised by a signal handler of the caller's."""


def test_a_waiting_caller_who_is_interrupted_keeps_nobody_waiting(engine: Engine) -> None:
    """A signal wakes the main thread while it waits behind a slow leader; the lead must not be handed to it."""
    inside, go = Event(), Event()

    def slow(_: Transaction) -> None:
        inside.set()
        assert go.wait(WAIT_S)

    def on_alarm(*_: Any) -> None:
        raise TooLate("the caller's patience")

    before = signal.signal(signal.SIGALRM, on_alarm)
    try:
        with ThreadPoolExecutor(4) as pool:
            leader = pool.submit(engine.store.writer.run, Step(slow))
            assert inside.wait(WAIT_S)
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises(TooLate, match="the caller's patience"):
                spend(engine)
            others = [pool.submit(spend, engine) for _ in range(3)]
            go.set()
            leader.result(WAIT_S)
            found = {other.result(WAIT_S) for other in others}
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert found <= {entry.entry_id for entry in engine.entries()}
    assert len({spend(engine), *found}) == 4
    assert engine.verify().problems == ()
    engine.close()


def test_interrupts_at_any_moment_book_nothing_twice_and_leave_nobody_waiting(engine: Engine) -> None:
    """Two hundred alarms hit the main thread wherever it is: queueing, leading, committing, waiting."""

    def on_alarm(*_: Any) -> None:
        raise TooLate("the caller's patience")

    stop = Event()
    acknowledged: list[str] = []

    def go_on() -> None:
        while not stop.is_set():
            acknowledged.append(spend(engine))

    threads = [threading.Thread(target=go_on) for _ in range(2)]
    before = signal.signal(signal.SIGALRM, on_alarm)
    try:
        for thread in threads:
            thread.start()
        for number in range(200):
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0003 + 0.00001 * number)
                for attempt in range(50):
                    key = f"{number}-{attempt}"
                    engine.record(model="acme-1", cost_usd=1, idempotency_key=key)
                signal.setitimer(signal.ITIMER_REAL, 0)
            except TooLate:
                # Whatever became of it: the same key again is booked once.
                engine.record(model="acme-1", cost_usd=1, idempotency_key=key)
    finally:
        stop.set()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        for thread in threads:
            thread.join(WAIT_S)
    assert not any(thread.is_alive() for thread in threads)
    entries = list(engine.entries())
    keys = [entry.idempotency_key for entry in entries if entry.idempotency_key]
    assert len(keys) == len(set(keys))
    unkeyed = {entry.entry_id for entry in entries if not entry.idempotency_key}
    assert unkeyed == set(acknowledged), "what two threads booked, each once"
    assert engine.verify().problems == ()
    engine.close()
