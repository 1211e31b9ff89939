"""Rows that somebody damaged: each verb answers with an error of ours, or as if nothing were wrong."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from tokencalc import Budget, Engine
from tokencalc.clock import ManualClock
from tokencalc.config import Settings
from tokencalc.errors import BudgetUnknown, LedgerCorrupt, UsageSpooled

if TYPE_CHECKING:
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
