"""Several processes on one ledger file: exact admission, killed writers, forks."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from tests.faults.processes import end, line_of, rest_of, start, tell, workers
from tokencalc import Budget, Engine
from tokencalc.config import Settings
from tokencalc.errors import BudgetExceeded

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
def test_processes_get_exactly_the_room_there_is_each_time(ledger: Path, processes: int) -> None:
    """Six races, each of its own project; of three budgets around each other another one is the tightest each time."""
    rooms = [(7, 9, 13), (9, 7, 13), (13, 9, 7), (7, 7, 7), (1, 13, 9), (13, 0, 9)]
    with open_engine(ledger) as engine, workers("reserve", ledger, 24, processes) as started:
        for worker in started:
            assert line_of(worker) == "ready"
        for number, room in enumerate(rooms):
            set_nested(engine, f"p{number}", room)
            for worker in started:
                tell(worker)
            admitted = [int(line_of(worker)) for worker in started]
            assert sum(admitted) == min(room), admitted
            for name in ("project", "agent", "user"):
                (status,) = engine.budget_statuses(f"{name} of p{number}")
                assert (status.spent_usd, status.held_usd) == (Decimal(0), Decimal("0.1") * min(room))
        assert engine.verify().problems == ()


def test_processes_that_open_one_new_ledger_at_once_all_have_it(ledger: Path) -> None:
    rounds = 40
    with workers("open_new", ledger, rounds, 4) as started:
        for worker in started:
            assert line_of(worker) == "ready"
        for number in range(rounds):
            for worker in started:
                tell(worker)
            booked = {line_of(worker) for worker in started}
            with open_engine(ledger.with_name(f"{ledger.name}-{number}.db")) as engine:
                assert {entry.entry_id for entry in engine.entries()} == booked
                assert len(booked) == len(started)


def set_nested(engine: Engine, project: str, room: tuple[int, int, int]) -> None:
    """Set three budgets around each other, with room for so many holds of ten cents."""
    scopes: tuple[dict[str, str], ...] = ({}, {"agent_id": "a"}, {"agent_id": "a", "user_id": "*"})
    for name, calls, scope in zip(("project", "agent", "user"), room, scopes, strict=True):
        limit = Decimal("0.1") * calls
        engine.set_budget(
            Budget(name=f"{name} of {project}", limit_usd=limit, period="total", scope={"project": project, **scope})
        )
    # The first reserve makes the instance of the star; a refused one leaves it at nothing.
    with suppress(BudgetExceeded):
        engine.reserve(model="acme-1", amount_usd=99, project=project, agent_id="a", user_id="new")


def test_first_requests_of_an_unknown_user_in_eight_processes_share_one_budget(ledger: Path) -> None:
    with open_engine(ledger) as engine:
        engine.set_budget(Budget(name="users", limit_usd="0.3", period="total", scope={"user_id": "*"}))
        with workers("reserve", ledger, 1, 8) as started:
            for worker in started:
                assert line_of(worker) == "ready"
            for worker in started:
                tell(worker)
            assert sum(int(line_of(worker)) for worker in started) == 3
            assert engine.budget_status("users", "new").held_usd == Decimal("0.3")
        assert engine.verify().problems == ()


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
