"""A caller is interrupted at each line once: nothing is there by half, and nobody waits for what it held."""

from __future__ import annotations

import fcntl
import os
from itertools import count
from typing import TYPE_CHECKING

from tests.simulation.interrupting import interrupts
from tokencalc import Budget, Engine
from tokencalc.clock import ManualClock
from tokencalc.config import Settings

if TYPE_CHECKING:
    from pathlib import Path


def test_an_interrupt_at_any_line_leaves_the_turn_to_others_and_the_engine_fit(tmp_path: Path) -> None:
    ledger, clock = tmp_path / "ledger.db", ManualClock()
    with (
        Engine.open(ledger, clock=clock, settings=Settings(), durability="normal") as engine,
        Engine.open(ledger, clock=clock, settings=Settings(), durability="normal") as other,
    ):
        engine.set_budget(Budget(name="b", limit_usd=100))
        for line in count():
            key, was_interrupted = f"k{line}", False
            try:
                with interrupts(line):
                    engine.record(model="acme-1", cost_usd="0.01", idempotency_key=key)
            except KeyboardInterrupt:
                was_interrupted = True
            assert is_free(tmp_path / "ledger.db-lock"), line
            other.record(model="acme-1", cost_usd="0.01", idempotency_key=key)
            engine.record(model="acme-1", cost_usd="0.01", idempotency_key=key)
            if not was_interrupted:
                break
        assert line > 200
        assert len(list(engine.entries())) == line + 1
        assert other.budget_status("b").spent_usd * 100 == line + 1
        assert engine.verify().problems == ()


def test_an_interrupt_at_any_line_of_what_is_done_aside_leaves_the_turn_and_the_sync_of_money(tmp_path: Path) -> None:
    with Engine.open(tmp_path / "ledger.db", clock=ManualClock(), settings=Settings()) as engine:
        engine.set_budget(Budget(name="b", limit_usd=100))
        connection = engine.store._open_writing()
        (full,) = connection.execute("PRAGMA synchronous").fetchone()
        for line in count():
            was_interrupted = False
            try:
                with interrupts(line):
                    engine.store.aside(lambda _: None)
            except KeyboardInterrupt:
                was_interrupted = True
            assert is_free(tmp_path / "ledger.db-lock"), line
            engine.budgets()  # any transaction of the book
            assert connection.execute("PRAGMA synchronous").fetchone() == (full,), line
            if not was_interrupted:
                break
        assert line > 15
        assert engine.verify().problems == ()


def is_free(lock: Path) -> bool:
    """Whether another process could take the turn to write now."""
    descriptor = os.open(lock, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True
