"""Several processes on one ledger file: exact admission, killed writers, forks."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from tests.faults.processes import end, line_of, rest_of, start, tell, workers
from tokencalc import Budget, Engine
from tokencalc.config import Settings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """Give the path of a new ledger."""
    return tmp_path / "ledger.db"


def open_engine(ledger: Path) -> Engine:
    """Open the ledger with the machine's own clock, as the workers do."""
    return Engine.open(ledger, settings=Settings())


@pytest.mark.parametrize("processes", [1, 2, 4, 8])
def test_processes_get_exactly_the_room_there_is(ledger: Path, processes: int) -> None:
    with open_engine(ledger) as engine:
        engine.set_budget(Budget(name="all", limit_usd="5", period="total"))
        engine.set_budget(Budget(name="agents", limit_usd="1.7", period="total", scope={"agent_id": "a"}))
        engine.set_budget(Budget(name="users", limit_usd="2.5", period="total", scope={"user_id": "*"}))
        with workers("reserve", ledger, 24, processes) as started:
            for worker in started:
                assert line_of(worker) == "ready"
            for worker in started:
                tell(worker)
            admitted = [int(line_of(worker)) for worker in started]
        assert sum(admitted) == 17, admitted
        status = engine.budget_status("agents")
        assert (Decimal("1.7"), Decimal(0)) == (status.held_usd, status.available_usd)
        assert engine.budget_status("users", "new").held_usd == Decimal("1.7")
        assert engine.verify().problems == ()


def test_first_requests_of_an_unknown_user_in_eight_processes_share_one_budget(ledger: Path) -> None:
    with open_engine(ledger) as engine:
        engine.set_budget(Budget(name="users", limit_usd="0.3", period="total", scope={"user_id": "*"}))
        with workers("reserve", ledger, 1, 8) as started:
            for worker in started:
                assert line_of(worker) == "ready"
            for worker in started:
                tell(worker)
            assert sum(int(line_of(worker)) for worker in started) == 3
        assert engine.verify().problems == ()


def test_killed_writers_lose_nothing_that_was_acknowledged(ledger: Path) -> None:
    """Sixteen times kill -9 of one of three processes, at moments that nobody chose."""
    moments = random.Random(20261120)  # noqa: S311  # moments of killing, no secrets
    acknowledged: list[str] = []
    with open_engine(ledger) as engine:
        engine.set_budget(Budget(name="all", limit_usd=9000, period="total"))
        with workers("write", ledger, 0, 3) as running:
            acknowledged += [line_of(worker) for worker in running]
            for _ in range(16):
                victim = running.pop(moments.randrange(len(running)))
                acknowledged += [line_of(victim) for _ in range(moments.randrange(60))]
                victim.kill()
                acknowledged += rest_of(victim)
                end(victim)
                # The others go on, and so do we.
                acknowledged += [line_of(worker) for worker in running]
                acknowledged.append(engine.record(model="acme-1", cost_usd="0.01").entry_id)
                running.append(start("write", ledger))
                acknowledged.append(line_of(running[-1]))
            for worker in running:
                worker.kill()
                acknowledged += rest_of(worker)
        assert engine.verify().problems == ()
        there = {entry.entry_id for entry in engine.entries()} | {one.hold_id for one in engine.holds(limit=10**9)}
        assert set(acknowledged) <= there
        assert len(acknowledged) == len(set(acknowledged)) > 100
        assert len({worker.pid for worker in running}) == 3


def test_parent_and_children_of_forks_under_load_lose_nothing(ledger: Path) -> None:
    worker = start("fork", ledger, 25)
    try:
        lines = rest_of(worker)
    finally:
        end(worker)
    assert lines[-1] == "exit=0"
    acknowledged = lines[:-1]
    with open_engine(ledger) as engine:
        assert engine.verify().problems == ()
        written = [entry.entry_id for entry in engine.entries()]
        agents = [entry.agent_id for entry in engine.entries()]
    assert sorted(acknowledged) == sorted(written)
    assert [(3, f"child {number}") for number in range(25)] == [
        (agents.count(f"child {number}"), f"child {number}") for number in range(25)
    ]
    assert (agents.count("parent"), agents.count("process"), agents.count("outliver")) == (25, 1, 2)


def test_a_ledger_in_memory_does_not_cross_a_fork(tmp_path: Path) -> None:
    worker = start("memory", tmp_path / "unused")
    try:
        lines = rest_of(worker)
    finally:
        end(worker)
    assert lines == ["parent", "LedgerUnavailable", "parent"]


def test_listeners_of_a_child_hear_the_child_s_events_only(tmp_path: Path) -> None:
    worker = start("listen", tmp_path / "ledger.db")
    try:
        lines = rest_of(worker)
    finally:
        end(worker)
    assert lines == ["parent-1", "child-2", "parent-3"]
