"""What `verify` finds: every edit of what was written, and a cut tail when it knows the head."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tokencalc import Budget, Engine
from tokencalc.clock import ManualClock
from tokencalc.config import Settings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """Give a closed ledger with entries, budgets, holds, a write-off and a correction."""
    path, clock = tmp_path / "ledger.db", ManualClock()
    with Engine.open(path, clock=clock, settings=Settings(suspect_close_after_s=60)) as engine:
        engine.set_budget(Budget(name="day", limit_usd=1))
        engine.set_budget(Budget(name="agents", limit_usd=1, period="month", scope={"agent_id": "*"}))
        for number in range(6):
            engine.record(model="gpt-4o", input_tokens=1000 * (number + 1), agent_id=f"a{number % 2}")
        engine.record(model="acme-1", input_tokens=5, agent_id="a0")
        lost = engine.reserve(model="gpt-4o", amount_usd="0.1", agent_id="a0", lifetime_s=1)
        clock.advance(120)
        engine.reserve(model="gpt-4o", amount_usd="0.2", agent_id="a1")
        engine.settle(lost, cost_usd="0.05")
        engine.set_budget(Budget(name="day", limit_usd=2))
        engine.record(model="acme-1", input_tokens=5, context={"processing": "batch"})
        assert engine.verify().problems == ()
    return path


def problems(ledger: Path, *, expect: str | None = None) -> tuple[str, ...]:
    """Return what verify finds now."""
    with Engine.open(ledger, clock=ManualClock("2026-11-20T12:05:00Z"), settings=Settings()) as engine:
        return engine.verify(expect=expect).problems


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ("UPDATE entry SET amount_pico = amount_pico - 1 WHERE sequence = 4", "e4 was edited, or stands where another"),
        ("UPDATE entry SET amount_pico = NULL WHERE sequence = 4", "e4 was edited"),
        ("UPDATE entry SET at_us = at_us + 1 WHERE sequence = 5", "e5 was edited"),
        ("UPDATE entry SET recorded_us = recorded_us + 1 WHERE sequence = 5", "e5 was edited"),
        ("UPDATE entry SET kind = 'correction' WHERE sequence = 3", "e3 was edited"),
        ("UPDATE entry SET lines = replace(lines, '3000', '3001') WHERE sequence = 5", "e5 was edited"),
        ("UPDATE entry SET lines = NULL WHERE sequence = 5", "e5 was edited"),
        ("UPDATE entry SET usage = '' WHERE sequence = 5", "e5 was edited"),
        ("UPDATE entry SET usage = 'None' WHERE sequence = 5", "e5 was edited"),
        ("UPDATE entry SET basis_id = NULL WHERE sequence = 5", "e5 was edited"),
        ("UPDATE basis SET text = replace(text, '2.5', '2.4')", "was edited"),
        ("DELETE FROM basis", "was edited"),
        ('UPDATE entry SET detail = \'{"tags":{"a":"b"}}\' WHERE sequence = 6', "e6 was edited"),
        ("UPDATE entry SET detail = 'not json' WHERE sequence = 6", "e6 was edited"),
        ("UPDATE entry SET detail = '[1]' WHERE sequence = 1", "e1 was edited"),
        ("UPDATE entry SET digest = zeroblob(32) WHERE sequence = 6", "e6 was edited"),
        ("UPDATE entry SET amount_source = 'caller' WHERE sequence = 6", "e6 was edited"),
        ("UPDATE entry SET caller_pico = 1 WHERE sequence = 6", "e6 was edited"),
        ("UPDATE entry SET dimension_id = 2 WHERE sequence = 4", "e4 was edited"),
        ("UPDATE entry SET detail = replace(detail, 'batch', 'sync') WHERE sequence = 14", "e14 was edited"),
        ("UPDATE entry SET corrects = 3 WHERE kind = 'correction'", "e11 was edited"),
        ("UPDATE entry SET corrects = NULL WHERE kind = 'correction'", "e11 was edited"),
        ("UPDATE entry SET corrects = 4 WHERE kind = 'correction'", "e11 does not fit to entry 4, which it corrects"),
        ("UPDATE entry SET corrects = 99 WHERE kind = 'correction'", "e11 does not fit to entry 99"),
        ("UPDATE entry SET unpriced = -1 WHERE kind = 'correction'", "e11 does not fit to entry 10"),
        (
            "UPDATE entry SET unpriced = -1, corrects = 9 WHERE sequence IN (11, 12)",
            "e9: its missing price was filled more than once",
        ),
        ("UPDATE dimension SET agent_id = 'else' WHERE agent_id = 'a1' AND model = 'gpt-4o'", "e4 was edited"),
        ("DELETE FROM dimension WHERE agent_id = 'a1' AND model = 'gpt-4o'", "e4: its dimension 3 is missing"),
        ("DELETE FROM entry WHERE sequence = 4", "e4 is missing:"),
        ("DELETE FROM entry WHERE sequence = 1", "e1 is missing:"),
        (
            (
                "UPDATE entry SET sequence = -3 WHERE sequence = 3; UPDATE entry SET sequence = 3 WHERE sequence = 4; "
                "UPDATE entry SET sequence = 4 WHERE sequence = -3"
            ),
            "e3 was edited, or stands where another was",
        ),
        ("UPDATE budget_period SET spent_pico = spent_pico - 1 WHERE period_id = 1", "'day'  2026-11-20: spent is"),
        ("UPDATE budget_period SET unpriced_calls = 0", "'day'  2026-11-20: spent is"),
        ("UPDATE budget_period SET held_pico = 0", "held is 0 pico-dollars, its open holds sum to 200000000000"),
        ("UPDATE budget_period SET limit_pico = 9000000000000", "its limit is 9000000000000 pico-dollars, its budget"),
        ("DELETE FROM hold_scope", "its open holds sum to 0"),
        ("UPDATE hold SET amount_pico = 1 WHERE state = 'open'", "its open holds sum to 1"),
        ("UPDATE hold SET state = 'released' WHERE state = 'open'", "its open holds sum to 0"),
        ("UPDATE rollup SET cost_rest = cost_rest + 1", "rollup of dimension"),
        ("UPDATE rollup SET cost_micro = cost_micro + 1", "rollup of dimension"),
        ("UPDATE rollup SET calls = calls + 1", "rollup of dimension"),
        ("UPDATE rollup SET unpriced_calls = 7", "rollup of dimension"),
        ("UPDATE rollup SET quarter = quarter + 1", "rollup of dimension 2 from 2026-11-20T12:00:00Z is missing"),
        ("DELETE FROM rollup WHERE dimension_id = 2", "rollup of dimension 2 from 2026-11-20T12:00:00Z is missing"),
        (
            "UPDATE budget SET definition = replace(definition, '\"2\"', '\"3\"')",
            "budget 'day' was edited: its definition",
        ),
        ("UPDATE budget SET definition = 'not json' WHERE name = 'day'", "budget 'day' cannot be read"),
        ("DELETE FROM budget WHERE name = 'day'", "budget 'day' is missing: the chain says that it was set"),
    ],
)
def test_every_edit_of_the_book_is_found(ledger: Path, edit: str, message: str) -> None:
    with closing(sqlite3.connect(ledger)) as connection:
        connection.executescript(edit)
    found = problems(ledger)
    assert any(message in problem for problem in found), found


def test_a_tail_that_was_cut_with_its_traces_is_found_by_its_head_alone(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with Engine.open(path, settings=Settings()) as engine:
        for number in range(5):
            engine.record(model="acme-1", cost_usd="0.1", agent_id=f"a{number}")
        head = engine.verify().head
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("DELETE FROM entry WHERE sequence = 5; DELETE FROM rollup WHERE dimension_id = 5")
    assert problems(path) == ()
    assert problems(path, expect=head) == ("entry 5 is expected, the chain ends at 4: its tail was cut off",)


def test_a_head_stays_good_while_the_chain_grows_and_no_other_head_fits(ledger: Path) -> None:
    with Engine.open(ledger, clock=ManualClock("2026-11-20T12:05:00Z"), settings=Settings()) as engine:
        head = engine.verify().head
        engine.record(model="acme-1", cost_usd=1)
        assert engine.verify(expect=head).ok
        assert engine.verify(expect=f" {head.upper()} ").ok
        number = head.partition(":")[0]
        (problem,) = engine.verify(expect=f"{number}:{'0' * 64}").problems
    assert "has another digest than the expected head: the chain was rewritten" in problem


def test_a_rewritten_chain_is_found_by_an_older_head(ledger: Path) -> None:
    with Engine.open(ledger, clock=ManualClock("2026-11-20T12:05:00Z"), settings=Settings()) as engine:
        engine.record(model="acme-1", cost_usd=1)
        head = engine.verify().head
    with closing(sqlite3.connect(ledger)) as connection:
        connection.execute("DELETE FROM entry WHERE sequence = (SELECT max(sequence) FROM entry)")
        connection.commit()
    with Engine.open(ledger, clock=ManualClock("2026-11-20T12:05:00Z"), settings=Settings()) as engine:
        engine.record(model="acme-1", cost_usd=2)
        assert any("the chain was rewritten" in problem for problem in engine.verify(expect=head).problems)


def test_many_problems_are_told_up_to_twenty(ledger: Path) -> None:
    with closing(sqlite3.connect(ledger)) as connection:
        connection.execute("UPDATE rollup SET calls = 9")
        connection.execute("UPDATE budget_period SET spent_pico = 9, held_pico = 9, limit_pico = 9")
        connection.commit()
    assert 5 < len(problems(ledger)) <= 20


def test_what_budgets_were_set_to_is_in_the_chain(ledger: Path) -> None:
    with closing(sqlite3.connect(ledger)) as connection:
        rows = connection.execute("SELECT detail FROM entry WHERE kind = 'budget' ORDER BY sequence").fetchall()
    limits = [json.loads(json.loads(detail)["notes"][0])["limit_usd"] for (detail,) in rows]
    assert limits == ["1", "1", "2"]
