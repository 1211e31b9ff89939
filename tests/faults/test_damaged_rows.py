"""Rows that somebody damaged: each verb answers with an error of ours, or as if nothing were wrong."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import pytest

from tokencalc import Budget, Engine
from tokencalc.clock import ManualClock
from tokencalc.config import Settings
from tokencalc.errors import BudgetUnknown, LedgerCorrupt, UsageSpooled

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.db"
    with Engine.open(path, clock=ManualClock(), settings=Settings()) as engine:
        engine.set_budget(Budget(name="b", limit_usd=10, scope={"model": "gpt-4o"}))
        engine.record(model="gpt-4o", input_tokens=10, output_tokens=1, idempotency_key="k")
        engine.record(model="gpt-4o", input_tokens=10, output_tokens=1, tags={"team": "x"})
        engine.reserve(model="gpt-4o", amount_usd=1, agent_id="a")
    return path


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE hold SET dimension_id = 999",
        "UPDATE hold SET detail = '[]'",
        "DELETE FROM dimension",
        "DELETE FROM budget",
        "UPDATE budget SET definition = '{}'",
        "UPDATE entry SET lines = '{}'",
        'UPDATE entry SET usage = \'{"q": {"no_such_meter": 1}}\'',
        "UPDATE entry SET usage = '7', lines = '[1]', detail = '3'",
        "UPDATE entry SET lines = '[1]'",
        "DELETE FROM basis",
        'UPDATE basis SET text = \'{"rates":[["input","x",1,"card"],["output","1",0,"card"]]}\'',
        "UPDATE entry SET at_us = 9223372036854775807",
        "UPDATE idempotency SET entry_sequence = 999",
        "DELETE FROM hold_scope",
        "DELETE FROM budget_period",
    ],
)
def test_damaged_rows_are_an_error_of_ours(ledger: Path, damage: str) -> None:
    with sqlite3.connect(ledger) as connection:
        connection.execute(damage)
    connection.close()
    with Engine.open(ledger, clock=ManualClock(), settings=Settings()) as engine:
        assert not engine.verify().ok
        for verb in (
            lambda: list(engine.entries()),
            lambda: engine.report(group_by=("model", "day")),
            engine.holds,
            engine.budget_statuses,
            lambda: engine.budget_status("b"),
            lambda: engine.reserve(model="gpt-4o", amount_usd=1),
            lambda: engine.record(model="gpt-4o", input_tokens=10, output_tokens=1, idempotency_key="k"),
            lambda: engine.record(model="gpt-4o", input_tokens=10, output_tokens=1),
        ):
            with suppress(LedgerCorrupt, BudgetUnknown, UsageSpooled):
                verb()


@pytest.mark.parametrize(
    ("damage", "verb"),
    [
        ("UPDATE hold_scope SET period_id = 99 WHERE hold_id = 1", "settle"),
        ("UPDATE hold_scope SET period_id = 99 WHERE hold_id = 1", "settle by id"),
        ("UPDATE hold SET detail = '[]' WHERE hold_id = 1", "settle by id"),
        ("INSERT INTO hold_scope VALUES (1, 99)", "settle"),
        ("INSERT INTO hold_scope VALUES (1, 99)", "release"),
        ("INSERT INTO hold_scope VALUES (1, 99)", "extend"),
        ("UPDATE hold_scope SET period_id = 99 WHERE hold_id = 1", "write off"),
        ("UPDATE hold SET state = 'written_off', entry_sequence = 99 WHERE hold_id = 1", "settle"),
    ],
)
def test_a_step_that_meets_a_damaged_row_changes_nothing(ledger: Path, damage: str, verb: str) -> None:
    clock = ManualClock()
    with Engine.open(ledger, clock=clock, settings=Settings(suspect_close_after_s=60)) as engine:
        (hold,) = engine.holds()
        other = engine.reserve(model="gpt-4o", amount_usd=1)
        with sqlite3.connect(ledger) as connection:
            connection.execute(damage)
        connection.close()
        before = tables(ledger)
        if verb == "write off":
            clock.advance(366 * 86400)
        verbs: dict[str, Callable[[], object]] = {
            "settle": lambda: engine.settle(hold, input_tokens=10),
            "settle by id": lambda: engine.settle(hold.hold_id, input_tokens=10),
            "release": lambda: engine.release(hold),
            "extend": lambda: engine.extend(hold, amount_usd="0.5"),
            "write off": engine.holds,
        }
        with suppress(LedgerCorrupt, UsageSpooled):
            verbs[verb]()
        assert tables(ledger) == before
        spool = engine.spooling.spool
        assert spool is not None
        assert spool.state().waiting == verb.startswith("settle")
    with Engine.open(ledger, clock=clock, settings=Settings()) as engine:
        assert spool.state().waiting == 0
        assert len(spool.state().refused) == verb.startswith("settle")
        assert all("LedgerCorrupt" in reason for reason in spool.state().refused)
        assert tables(ledger) == before
        assert engine.settle(other, input_tokens=10).hold_id == other.hold_id


def test_the_usage_of_a_ledger_without_a_clock_is_spooled(ledger: Path) -> None:
    with sqlite3.connect(ledger) as connection:
        connection.execute("DELETE FROM clock")
    connection.close()
    with Engine.open(ledger, clock=ManualClock(), settings=Settings()) as engine:
        with pytest.raises(UsageSpooled, match="its clock cannot be read"):
            engine.record(model="gpt-4o", input_tokens=10)
        with pytest.raises(LedgerCorrupt, match="its clock cannot be read"):
            engine.reserve(model="gpt-4o", amount_usd=1)


def tables(ledger: Path) -> list[str]:
    """Return all that the ledger says but the time, as text."""
    with closing(sqlite3.connect(ledger)) as connection:
        return [line for line in connection.iterdump() if not line.startswith('INSERT INTO "clock"')]
