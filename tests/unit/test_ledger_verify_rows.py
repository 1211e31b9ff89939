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
        (
            "UPDATE budget_period SET end_us = start_us + 1, limit_pico = limit_pico * 9 WHERE end_us IS NOT NULL",
            "which is no day of UTC with that key",
        ),
        ("UPDATE budget_period SET end_us = end_us + 1 WHERE end_us IS NOT NULL", "which is no day of UTC"),
        ("UPDATE budget_period SET start_us = start_us + 1 WHERE end_us IS NOT NULL", "which is no day of UTC"),
        ("UPDATE budget_period SET start_us = NULL", "which is no day of UTC"),
        ("UPDATE budget_period SET end_us = 7 WHERE period_key = 'total'", "which is no total of UTC"),
        ("UPDATE budget_period SET period_key = '2026-11-19' WHERE end_us IS NOT NULL", "which is no day of UTC"),
        ("UPDATE budget_period SET revision = 2", "there is no budget of which it is a period"),
        ("UPDATE budget_period SET budget_id = 99 WHERE budget_id = 1", "there is no budget of which it is a period"),
        (
            "UPDATE budget_period SET scope_value = 'c' WHERE scope_value = 'b'",
            "is counted in budget periods [1, 2, 4, 5], what it is about belongs to [1, 2, 5]",
        ),
        ("UPDATE budget_period SET overflowed = 1", "is marked as past what can be counted, but never was"),
        ("UPDATE budget_period SET overflowed = 1, spent_pico = 0", "spent is 0 pico-dollars with"),
        ("UPDATE budget_period SET overflowed = 1, held_pico = 0", "held is 0 pico-dollars, its open holds sum to"),
        ("UPDATE budget_period SET overflowed = 2", "its mark is 2, not 0 or 1"),
        ("UPDATE hold SET expected_pico = -1 WHERE state = 'open'", "-1 pico-dollars are expected of the 30000000000"),
        ("UPDATE hold SET expected_pico = amount_pico + 1", "are expected of the"),
        ("UPDATE hold SET expires_us = 1 WHERE state = 'open'", "its instants or its amount are not what"),
        ("UPDATE hold SET at_us = at_us + 1 WHERE state = 'open'", "its instants or its amount are not what"),
        ("UPDATE hold SET at_us = at_us + 1 WHERE state = 'settled'", "by which it is settled, is of another instant"),
        ("UPDATE hold SET detail = '{\"tags\":5}' WHERE state = 'open'", "detail cannot be read"),
        ("UPDATE hold_event SET amount_pico = 1", "its instants or its amount are not what its events say"),
        ("DELETE FROM hold_event", "by which they were opened do not fit: +4 holds"),
        ("DELETE FROM hold WHERE state = 'settled'", "0 holds are settled, 1 charges settle one"),
        (
            "UPDATE hold SET dimension_id = (SELECT min(dimension_id) FROM dimension) WHERE state = 'open'",
            "what it is about belongs to",
        ),
        ("UPDATE budget SET set_us = set_us + 1 WHERE name = 'eye'", "budget 'eye' is revision 1, set at"),
        ("UPDATE budget SET revision = 2 WHERE name = 'eye'", "budget 'eye' is revision 2, set at"),
        ("UPDATE budget SET entries_until_us = 0 WHERE name = 'late'", "the newest entry before it is said to be of 0"),
        ("UPDATE budget SET entries_until_us = 2000000000000000", "the newest entry before it is said to be of 2000"),
        ("UPDATE crossing SET limit_pico = limit_pico - 1 WHERE crossing_id = 1", "cannot have been so"),
        ("UPDATE crossing SET at_us = at_us + 90 * 86400000000 WHERE limit_pico = 1000000000000", "cannot have been"),
        ("UPDATE crossing SET in_open_period = 0", "crossing 1 of budget 'hard': its limit, its instants or whether"),
        ("DELETE FROM migration", "the tables are of version"),
        ("DELETE FROM clock", "the ledger's clock is missing"),
        ("DELETE FROM meta WHERE key = 'first_digest'", "the ledger's first digest was edited"),
        ("UPDATE entry SET detail = '{\"notes\":[5]}'", "was edited, or stands where another was"),
        ("UPDATE entry SET detail = '{\"notes\":5}'", "was edited, or stands where another was"),
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


def test_a_hold_that_two_charges_settle_is_named(ledger: Path) -> None:
    with closing(sqlite3.connect(ledger)) as connection:
        connection.execute(
            "UPDATE entry SET detail = (SELECT detail FROM entry WHERE sequence = (SELECT entry_sequence FROM hold "
            "WHERE state = 'settled')) WHERE sequence = 6"
        )
        connection.commit()
    with Engine.open(ledger, clock=ManualClock("2026-11-20T12:05:00Z"), settings=Settings()) as engine:
        assert any("h1 was settled by 2 charges" in problem for problem in engine.verify().problems)


def test_a_period_past_what_can_be_counted_verifies_until_its_spending_is_edited(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with Engine.open(path, clock=ManualClock(), settings=Settings()) as engine:
        engine.set_budget(Budget(name="b", limit_usd=1))
        for _ in range(3):
            engine.record(model="acme-1", cost_usd=4_000_000)
        assert engine.budget_status("b").overflowed
        assert engine.verify().problems == ()
    for edit, message in (
        ("UPDATE budget_period SET spent_pico = 0", "spent is 0 pico-dollars with 0 calls"),
        ("UPDATE budget_period SET overflowed = 0", "its entries sum to 12000000000000000000 with 0"),
    ):
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(edit)
            connection.commit()
        with Engine.open(path, clock=ManualClock(), settings=Settings()) as engine:
            assert any(message in problem for problem in engine.verify().problems)


def test_a_closed_period_keeps_its_limit_and_its_crossings(tmp_path: Path) -> None:
    path, clock = tmp_path / "ledger.db", ManualClock()
    with Engine.open(path, clock=clock, settings=Settings()) as engine:
        engine.set_budget(Budget(name="b", limit_usd=1, period="day", alert_at=(50, 80)))
        engine.record(model="acme-1", cost_usd=1)
        clock.advance(86400)
        engine.record(model="acme-1", cost_usd=1)
        engine.set_budget(Budget(name="b", limit_usd=2, period="day", alert_at=(50,)))
        clock.advance(86400)
        engine.set_budget(Budget(name="b", limit_usd=3, period="day", alert_at=(50,)))
        assert engine.verify().problems == ()
    for edit, message in (
        ("DELETE FROM crossing WHERE period_id = 1 AND threshold_percent = 50", "its crossing of 50 % is missing"),
        ("UPDATE budget_period SET limit_pico = 4000000000000 WHERE period_id = 1", "its budget's 1000000000000 or 2"),
        ("UPDATE budget_period SET limit_pico = 1000000000000 WHERE period_id = 2", "its budget's 2000000000000 or 3"),
    ):
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(edit)
            connection.commit()
        with Engine.open(path, clock=clock, settings=Settings()) as engine:
            found = engine.verify().problems
            assert any(message in problem for problem in found), found


def test_the_head_of_an_empty_ledger_is_compared_too(tmp_path: Path) -> None:
    with Engine.open(tmp_path / "ledger.db", clock=ManualClock(), settings=Settings()) as engine:
        head = engine.verify().head
        assert engine.verify(expect=head).ok
        (problem,) = engine.verify(expect="0:" + "a" * 64).problems
    assert "the expected head is of another ledger" in problem
