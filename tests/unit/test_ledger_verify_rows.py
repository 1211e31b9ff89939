"""Verify compares every row that hangs from entries and holds: tokens, crossings, excess, keys, ends of holds."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tokencalc import Budget, Engine, Usage
from tokencalc.clock import ManualClock
from tokencalc.config import Settings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """Give a clean ledger that has crossings, excess of every reason, keys, and holds of every end."""
    path, clock = tmp_path / "ledger.db", ManualClock()
    with Engine.open(path, clock=clock, settings=Settings(suspect_close_after_s=60)) as engine:
        engine.set_budget(Budget(name="hard", limit_usd=10, period="total", alert_at=(50, 100)))
        engine.set_budget(Budget(name="soft", limit_usd=1, scope={"agent_id": "*"}, policy="soft"))
        engine.set_budget(Budget(name="eye", limit_usd=1, policy="observe"))
        clock.advance(1)
        engine.record(model="acme-1", cost_usd=6, agent_id="a", idempotency_key="k1")
        usage = Usage(input_tokens=900, output_tokens=50, cache_read_tokens=300, cache_write_tokens=200)
        engine.record(model="gpt-4o", usage=usage, idempotency_key="k2")
        engine.record(model="gpt-4o", usage=Usage(input_tokens=1, output_tokens=9, reasoning_tokens=7))
        settled = engine.reserve(model="acme-1", amount_usd=1, agent_id="a", idempotency_key="k3")
        lost = engine.reserve(model="acme-1", amount_usd="0.5", agent_id="b", lifetime_s=1)
        engine.release(engine.reserve(model="acme-1", amount_usd=1, idempotency_key="k4"))
        engine.settle(settled, cost_usd=3)
        clock.advance(120)
        engine.reserve(model="acme-1", amount_usd="0.3", agent_id="b")
        engine.record(model="acme-1", cost_usd=7)
        engine.set_budget(Budget(name="hard", limit_usd=5, period="total", alert_at=(50, 100)))
        engine.set_budget(Budget(name="late", limit_usd=1))
        assert {hold.state for hold in engine.holds()} == {"settled", "written_off", "released", "open"}
        assert lost.hold_id in {hold.hold_id for hold in engine.holds("written_off")}
        assert engine.verify().problems == ()
    with closing(sqlite3.connect(path)) as connection:
        reasons = {reason for (reason,) in connection.execute("SELECT DISTINCT reason FROM excess")}
    assert reasons == {"record_without_hold", "overrun", "soft_reserve", "limit_lowered", "budget_set"}
    return path


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            "UPDATE rollup SET input_tokens = input_tokens + 1",
            "1 input, 0 cache read, 0 cache write, 0 output",
        ),
        ("UPDATE rollup SET cache_read_tokens = 9", "9 cache read"),
        ("UPDATE rollup SET cache_write_tokens = 9", "9 cache write"),
        ("UPDATE rollup SET output_tokens = 9", "9 output"),
        ("UPDATE rollup SET reasoning_tokens = 9", "9 reasoning tokens"),
        ("UPDATE crossing SET spent_pico = spent_pico + 1 WHERE crossing_id = 1", "which its entries never summed to"),
        (
            "UPDATE crossing SET spent_pico = 1 WHERE crossing_id = 1",
            "crossing 1: 1 of 10000000000000 pico",
        ),
        ("UPDATE crossing SET limit_pico = limit_pico * 9 WHERE crossing_id = 1", "crossing 1: 6000000000000 of 9000"),
        ("UPDATE crossing SET period_id = 99 WHERE crossing_id = 1", "crossing 1: its budget period 99 is missing"),
        ("DELETE FROM crossing WHERE crossing_id = 1", "budget 'hard'  total: its crossing of 50 % is missing"),
        ("DELETE FROM crossing", "is missing"),
        ("DELETE FROM excess", "above its limit, its excess items sum to 0"),
        ("DELETE FROM excess WHERE reason = 'limit_lowered'", "'hard'  total is 11"),
        ("UPDATE excess SET amount_pico = amount_pico * 100 WHERE entry_sequence IS NOT NULL", "is not what entry"),
        ("UPDATE excess SET amount_pico = -1 WHERE entry_sequence IS NULL", "the entry that it names did not do it"),
        ("UPDATE excess SET reason = 'write_off' WHERE reason = 'overrun'", "(write_off) is not what entry"),
        ("UPDATE excess SET at_us = at_us + 1 WHERE reason = 'overrun'", "(overrun) is not what entry"),
        ("UPDATE excess SET entry_sequence = 999 WHERE reason = 'overrun'", "(overrun): the entry that it names"),
        ("UPDATE excess SET entry_sequence = NULL WHERE reason = 'overrun'", "(overrun): the entry that it names"),
        ("UPDATE excess SET reason = 'limit_lowered' WHERE reason = 'overrun'", "(limit_lowered) is not what entry"),
        (
            "UPDATE excess SET period_id = (SELECT period_id FROM budget_period WHERE scope_value = 'b')",
            "is not what entry",
        ),
        ("UPDATE excess SET period_id = 99", "its budget period is missing"),
        ("UPDATE idempotency SET entry_sequence = 5 WHERE key = 'k1'", "key 'k1' points to entry 5, which has another"),
        ("UPDATE idempotency SET entry_sequence = 999 WHERE key = 'k1'", "'k1' points to entry 999, which is missing"),
        ("UPDATE idempotency SET entry_sequence = NULL WHERE key = 'k1'", "'k1' points to hold None, which is missing"),
        ("UPDATE idempotency SET hold_id = 2 WHERE key = 'k3'", "key 'k3' points to hold 2, which has another key"),
        ("UPDATE idempotency SET hold_id = 99 WHERE key = 'k4'", "key 'k4' points to hold 99, which is missing"),
        ("UPDATE idempotency SET key = 'k9' WHERE key = 'k1'", "key 'k9' points to entry 4, which has another key"),
        ("UPDATE idempotency SET key = 'tokencalc-spool-9' WHERE key = 'k1'", "which has another key"),
        ("DELETE FROM idempotency WHERE key = 'k1'", "2 entries have an idempotency key, 1 keys point to one"),
        ("DELETE FROM idempotency WHERE key = 'k3'", "2 holds have an idempotency key, 1 keys point to one"),
        ("UPDATE hold SET entry_sequence = 4 WHERE state = 'settled'", "is settled, but entry 4, which it names"),
        ("UPDATE hold SET entry_sequence = NULL WHERE state = 'settled'", "is settled, but entry None"),
        ("UPDATE hold SET state = 'settled' WHERE state = 'written_off'", "is settled, but entry"),
        ("UPDATE hold SET state = 'released' WHERE state = 'settled'", "is released and names entry"),
        ("UPDATE hold SET state = 'lost' WHERE state = 'settled'", "there is no state 'lost'"),
        ("UPDATE hold SET state = 'settled' WHERE state = 'released'", "is settled, but entry None"),
        (
            "UPDATE hold_scope SET period_id = 99 WHERE hold_id = 1 AND period_id = 1",
            "is counted in budget period 99: one is missing",
        ),
        ("INSERT INTO hold_scope VALUES (99, 1)", "h99 is counted in budget period 1: one is missing"),
        (
            "DELETE FROM budget_period WHERE period_id = 1",
            "budget 'hard'  total is missing: entries were",
        ),
        ("UPDATE clock SET last_us = 7", "the clock was set back: entry"),
        ("UPDATE meta SET value = '00' WHERE key = 'first_digest'", "the ledger's first digest was edited"),
    ],
)
def test_every_edit_of_a_row_is_found(ledger: Path, edit: str, message: str) -> None:
    with closing(sqlite3.connect(ledger)) as connection:
        connection.executescript(edit)
    with Engine.open(ledger, clock=ManualClock("2026-11-20T12:05:00Z"), settings=Settings()) as engine:
        found = engine.verify().problems
    assert any(message in problem for problem in found), found


def test_verify_tells_how_far_it_is_and_reads_no_more_than_it_says(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    with Engine.open(tmp_path / "ledger.db", clock=ManualClock(), settings=Settings()) as engine:
        engine.record_many([{"model": "gpt-4o", "input_tokens": 1}] * 2500)
        assert engine.verify(progress=lambda done, total: told.append((done, total))).ok
    assert told == [(done, 5000) for done in (1000, 2000, 3000, 4000, 5000)]


def test_calls_from_the_spool_have_keys_that_verify(ledger: Path) -> None:
    with closing(sqlite3.connect(ledger)) as connection:
        connection.execute(
            "INSERT INTO idempotency SELECT 'tokencalc-spool-1', x'', sequence, NULL FROM entry "
            "WHERE kind = 'charge' AND detail IS NULL LIMIT 1"
        )
        connection.commit()
    with Engine.open(ledger, clock=ManualClock("2026-11-20T12:05:00Z"), settings=Settings()) as engine:
        assert engine.verify().problems == ()
