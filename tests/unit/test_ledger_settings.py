"""How an SQLite ledger is opened: durability, the lock among processes, its size, and what it keeps in memory."""

from __future__ import annotations

import fcntl
from typing import TYPE_CHECKING

import pytest

from tokencalc import Budget, Engine
from tokencalc.clock import ManualClock
from tokencalc.config import Settings
from tokencalc.ledger import book
from tokencalc.ledger.turns import WriteLock

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("options", "settings", "expected"),
    [
        ({}, Settings(), 2),
        ({}, Settings(durability="normal"), 1),
        ({"durability": "normal"}, Settings(), 1),
        ({"durability": "full"}, Settings(durability="normal"), 2),
    ],
)
def test_what_is_acknowledged_is_synced_unless_somebody_named_less(
    tmp_path: Path, options: dict[str, str], settings: Settings, expected: int
) -> None:
    with Engine.open(tmp_path / "ledger.db", settings=settings, **options) as engine:  # type: ignore[arg-type]  # literals
        engine.record(model="acme-1", cost_usd=1)
        connection = engine.store._open_writing()
        assert connection.execute("PRAGMA synchronous").fetchone() == (expected,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_the_lock_is_one_for_all_who_write_and_is_given_back(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.db"
    lock = WriteLock(ledger)
    with lock, (tmp_path / "ledger.db-lock").open() as other, pytest.raises(BlockingIOError, match="unavailable"):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with (tmp_path / "ledger.db-lock").open() as other:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    lock.close()
    lock.close()


def test_nobody_holds_the_lock_between_writes(tmp_path: Path) -> None:
    with Engine.open(tmp_path / "ledger.db", settings=Settings()) as engine:
        engine.record(model="acme-1", cost_usd=1)
        with (tmp_path / "ledger.db-lock").open() as other:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.parametrize("place", ["ledger.db", ":memory:"])
def test_a_ledger_grows_with_what_it_holds(tmp_path: Path, place: str) -> None:
    with Engine.open(place if place == ":memory:" else tmp_path / place, settings=Settings()) as engine:
        before = engine.size_bytes
        engine.record_many({"model": "acme-1", "cost_usd": 1, "tags": {"n": str(n)}} for n in range(500))
        assert engine.size_bytes > before + 50_000
        assert (engine.path is None) == (place == ":memory:")


def test_what_is_kept_between_batches_is_bounded_and_forgotten_without_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tokencalc.ledger.transaction.CACHE_ROWS", 8)
    assert book.CACHE_ROWS > 8
    with Engine.open(tmp_path / "ledger.db", clock=ManualClock(), settings=Settings()) as engine:
        engine.set_budget(Budget(name="users", limit_usd=10, scope={"user_id": "*"}))
        for number in range(60):
            hold = engine.reserve(model="acme-1", amount_usd="0.5", user_id=f"u{number % 20}")
            if number % 2:
                engine.settle(hold, cost_usd="0.25")
        assert len(engine.holds("open")) == 30
        assert engine.verify().problems == ()


def test_two_engines_of_one_process_see_each_other_s_budgets_holds_and_keys(tmp_path: Path) -> None:
    clock = ManualClock()
    with (
        Engine.open(tmp_path / "ledger.db", clock=clock, settings=Settings()) as one,
        Engine.open(tmp_path / "ledger.db", clock=clock, settings=Settings()) as two,
    ):
        for number in range(20):
            first, second = (one, two) if number % 2 else (two, one)
            first.set_budget(Budget(name="b", limit_usd=100 + number))
            hold = second.reserve(model="acme-1", amount_usd=1, idempotency_key=f"k{number}")
            assert first.reserve(model="acme-1", amount_usd=1, idempotency_key=f"k{number}").replayed
            first.extend(hold, amount_usd=2)
            second.settle(hold, cost_usd="1.5")
            assert first.budget_status("b") == second.budget_status("b")
        assert one.budget_status("b").spent_usd == 30
        assert one.verify() == two.verify()
        assert one.verify().ok


def test_one_look_sees_one_moment_of_the_book_whatever_another_process_commits_meanwhile(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.db"
    with Engine.open(ledger, settings=Settings()) as engine, Engine.open(ledger, settings=Settings()) as other:
        engine.record(model="acme-1", cost_usd=1)
        with engine.store.reading() as connection:
            before = connection.execute("SELECT count(*) FROM entry").fetchone()
            other.record(model="acme-2", cost_usd=1)
            assert connection.execute("SELECT count(*) FROM entry").fetchone() == before == (1,)
            assert connection.execute("SELECT count(*) FROM dimension").fetchone() == (1,)
        assert engine.report().total.calls == 2
