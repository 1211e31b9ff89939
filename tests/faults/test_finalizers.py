"""What the collector finds: a lost hold stays counted, and a finalizer that gives one back never waits."""

from __future__ import annotations

import gc
import threading
from typing import TYPE_CHECKING

import pytest

from tokencalc import Budget, Engine
from tokencalc.clock import ManualClock
from tokencalc.config import Settings
from tokencalc.errors import LedgerClosed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tokencalc.ledger.records import Hold

WAIT_S = 30


@pytest.fixture(params=["ledger.db", ":memory:"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """Give an engine over a file and over memory, with a budget."""
    place = ":memory:" if request.param == ":memory:" else tmp_path / "ledger.db"
    with Engine.open(place, clock=ManualClock(), settings=Settings()) as engine:
        engine.set_budget(Budget(name="b", limit_usd=1000, period="month"))
        yield engine


class Stream:
    """What a client hands out while an answer runs: in a cycle, so that only the collector ends it."""

    def __init__(self, engine: Engine, hold: Hold) -> None:
        """Keep the hold until somebody ends this."""
        self.engine, self.hold, self.itself = engine, hold, self

    def __del__(self) -> None:
        """Give the hold back, wherever the program is at this moment."""
        self.engine.store.writer.drop(self.engine.verbs.release(self.hold))


def hold(engine: Engine) -> Hold:
    """Set a dollar aside."""
    return engine.reserve(model="acme-1", amount_usd=1)


def test_a_hold_that_is_collected_stays_counted_and_becomes_suspect(engine: Engine) -> None:
    """A record knows no engine: that nobody has it any more is no sign that the call did not happen."""
    hold(engine)
    gc.collect()
    assert engine.budget_status("b").held_usd == 1
    assert isinstance(engine.clock, ManualClock)
    engine.clock.advance(600)
    assert engine.budget_status("b").suspect_usd == 1


def test_finalizers_amid_a_batch_neither_wait_nor_deadlock(engine: Engine) -> None:
    """The collector runs at nearly every allocation, on threads that queue, lead, commit and wait."""
    before = gc.get_threshold()

    def work() -> None:
        for number in range(40):
            Stream(engine, hold(engine))
            engine.record(model="acme-1", cost_usd="0.01", tags={"n": str(number)})

    threads = [threading.Thread(target=work, daemon=True) for _ in range(4)]
    try:
        gc.set_threshold(1, 1, 1)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT_S)
    finally:
        gc.set_threshold(*before)
    assert not any(thread.is_alive() for thread in threads), "a finalizer waits for itself"
    gc.collect()
    engine.record(model="acme-1", cost_usd="0.01")
    assert engine.budget_status("b").held_usd == 0
    assert (len(engine.holds("released")), engine.report().total.calls) == (160, 161)
    assert engine.verify().problems == ()


def test_a_finalizer_in_the_middle_of_the_queue_s_own_lines_takes_no_lock(engine: Engine) -> None:
    """Where the collector strikes while the queue is being changed, waiting for its lock would be for ever."""

    def collect() -> None:
        stream = Stream(engine, hold(engine))
        with engine.store.writer._mutex:
            del stream
            gc.collect()

    thread = threading.Thread(target=collect, daemon=True)
    thread.start()
    thread.join(WAIT_S)
    assert not thread.is_alive(), "a finalizer waits for the thread that it runs on"
    engine.record(model="acme-1", cost_usd="0.01")
    assert engine.budget_status("b").held_usd == 0


def test_what_finalizers_left_is_done_when_the_ledger_closes(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.db"
    with Engine.open(ledger, settings=Settings()) as engine:
        Stream(engine, hold(engine))
        gc.collect()
    with Engine.open(ledger, settings=Settings()) as engine:
        assert [one.state for one in engine.holds()] == ["released"]


def test_a_finalizer_after_the_ledger_was_closed_harms_nobody(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.db"
    engine = Engine.open(ledger, settings=Settings())
    stream = Stream(engine, hold(engine))
    engine.close()
    del stream
    gc.collect()
    engine.close()
    with pytest.raises(LedgerClosed, match="the ledger was closed"):
        engine.holds()
    with Engine.open(ledger, settings=Settings()) as again:
        assert [one.state for one in again.holds()] == ["open"], "counted until it is suspect, and then told"
