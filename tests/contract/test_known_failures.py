"""Failures that others had, each as a test of ours; docs/known_failures.md says which test answers which of them."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.calls import MODEL, figures, hold, is_admitted, spend, usd
from tests.contract.tables import use_prices
from tokencalc import AsyncEngine, Budget
from tokencalc.budgets.budget import budget_from
from tokencalc.config import Settings
from tokencalc.errors import BudgetExceeded, BudgetInvalid, IdempotencyConflict

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.contract.conftest import Book
    from tokencalc import Engine
    from tokencalc.clock import ManualClock

PAYLOAD = {
    "id": "resp-1",
    "object": "chat.completion",
    "model": "gpt-4o-2024-08-06",
    "choices": [],
    "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
}


# overspending


def test_a_session_s_parallel_turns_share_its_budget(engine: Engine) -> None:
    engine.set_budget(Budget(name="session", limit_usd=1, period="total", scope={"tag:session": "*"}))
    with ThreadPoolExecutor(16) as pool:
        found = list(
            pool.map(lambda n: is_admitted(lambda: hold(engine, "0.3", tags={"session": f"s{n % 2}"})), range(32))
        )
    assert sum(found) == 6, "three turns in each of two sessions"


@pytest.mark.parametrize("spent", ["9.90", "9.951"])
def test_a_fan_out_of_sub_agents_is_admitted_by_what_is_left_together(engine: Engine, spent: str) -> None:
    engine.set_budget(Budget(name="b", limit_usd=10))
    spend(engine, spent)
    with ThreadPoolExecutor(5) as pool:
        found = list(pool.map(lambda _: is_admitted(lambda: hold(engine, "0.049")), range(5)))
    assert sum(found) == int((10 - Decimal(spent)) / Decimal("0.049"))


def test_what_another_engine_has_spent_is_known_at_the_next_reserve(book: Book) -> None:
    """An engine remembers what it has read; that a minute, or nothing, goes by must not make it believe that."""
    if book.place == ":memory:":
        return
    one, other = book.open(), book.open()
    one.set_budget(Budget(name="b", limit_usd=1, period="month"))
    for _ in range(5):
        hold(one, "0.1")
        hold(other, "0.1")
        book.clock.advance(61)
    assert not is_admitted(lambda: hold(one, "0.000000000001"))
    assert not is_admitted(lambda: hold(other, "0.000000000001"))
    assert not is_admitted(lambda: hold(book.open(), "0.000000000001"))


@pytest.mark.parametrize(
    ("scope", "about"),
    [
        ({}, {}),
        ({"agent_id": "x"}, {"agent_id": "x"}),
        ({"user_id": "x"}, {"user_id": "x"}),
        ({"user_id": "*"}, {"user_id": "x"}),
        ({"project": "x"}, {"project": "x"}),
        ({"api_key_id": "x"}, {"api_key_id": "x"}),
        ({"provider": "x"}, {"provider": "x"}),
        ({"model": MODEL}, {}),
        ({"tag:x": "y"}, {"tags": {"x": "y"}}),
        ({"agent_id": "nobody"}, {"budget": "b"}),
    ],
)
def test_a_budget_of_any_scope_refuses_by_itself(book: Book, scope: dict[str, str], about: dict[str, Any]) -> None:
    """Declared in the settings, behind another one that has room: nothing returns early, nothing is left unwired."""
    declared = ({"name": "wide", "limit_usd": "1000"}, {"name": "b", "limit_usd": "1", "scope": scope})
    engine = book.open(settings=Settings(budgets=declared))
    hold(engine, "0.9", **about)
    with pytest.raises(BudgetExceeded, match=r"budget 'b' has 0\.1 USD left"):
        hold(engine, "0.2", **about)
    with pytest.raises(BudgetExceeded, match=r"budget 'b' has 0\.1 USD left"):
        asyncio.run(AsyncEngine(engine).reserve(model=MODEL, amount_usd="0.2", **about))
    other = "wide" if not scope or scope == {"model": MODEL} else None
    assert other or is_admitted(lambda: hold(engine, 5)), "and nobody else"


def test_a_free_model_s_paid_stand_in_is_counted_and_stops_the_next_call(engine: Engine) -> None:
    engine.set_budget(Budget(name="b", limit_usd="0.001"))
    free = hold(engine, 0)
    entry = engine.settle(free, usage=PAYLOAD)
    assert (entry.model, entry.amount_usd) == ("gpt-4o-2024-08-06", Decimal("0.0035"))
    (excess,) = engine.budget_status("b").excess
    assert ("overrun", Decimal("0.0025")) == (excess.reason, excess.amount_usd)
    assert not is_admitted(lambda: hold(engine, 0)), "not even for nothing: the limit is passed"


@pytest.mark.parametrize("key", ["limit", "budget", "max_budget", "reset_at"])
def test_a_key_that_no_budget_has_is_an_error_and_not_forgotten(key: str) -> None:
    with pytest.raises(BudgetInvalid, match=f"budget {key}: expected one of the keys"):
        budget_from({"name": "b", "limit_usd": 1, key: 5})


def test_what_was_spent_above_a_limit_is_not_forgiven(engine: Engine) -> None:
    """A raised limit has to make up for what is owed first: nothing is clamped at zero."""
    engine.set_budget(Budget(name="b", limit_usd=1, period="total"))
    engine.settle(hold(engine, 1), cost_usd=3)
    engine.set_budget(Budget(name="b", limit_usd="2.9", period="total"))
    assert not is_admitted(lambda: hold(engine, "0.000000000001"))
    engine.set_budget(Budget(name="b", limit_usd="3.1", period="total"))
    assert not is_admitted(lambda: hold(engine, "0.2"))
    assert is_admitted(lambda: hold(engine, "0.1"))


# holds that are left behind


def test_holds_of_tenths_fill_a_limit_exactly_and_leave_no_residue(engine: Engine) -> None:
    engine.set_budget(Budget(name="b", limit_usd=25))
    held = [hold(engine, 0.1) for _ in range(250)]
    assert usd("0", "25", "0") == figures(engine, "b")
    for one in held:
        engine.release(one)
    assert usd("0", "0", "25") == figures(engine, "b")
    hold(engine, 25)


def test_a_refused_reserve_leaves_nothing_behind_and_a_release_ends_its_own_hold_only(engine: Engine) -> None:
    engine.set_budget(Budget(name="b", limit_usd=1))
    live = hold(engine, "0.9", agent_id="a")
    for _ in range(3):
        assert not is_admitted(lambda: hold(engine, "0.2", agent_id="a"))
    assert usd("0", "0.9", "0.1") == figures(engine, "b")
    engine.release(hold(engine, "0.1", agent_id="a"))
    assert usd("0", "0.9", "0.1") == figures(engine, "b")
    assert [live.hold_id] == [one.hold_id for one in engine.holds("open")]


def test_between_a_hold_and_its_charge_there_is_no_moment_with_room(engine: Engine) -> None:
    """Calls that cost what they held are settled one by one; who asks meanwhile is refused each time."""
    engine.set_budget(Budget(name="b", limit_usd=5, alert_at=()))
    held = [hold(engine, "0.1") for _ in range(50)]
    done = Event()

    def ask() -> int:
        admitted = 0
        while not done.is_set():
            admitted += is_admitted(lambda: hold(engine, "0.1"))
            status = engine.budget_status("b")
            admitted += status.spent_usd + status.held_usd != 5
        return admitted

    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask) for _ in range(3)]
        for one in held:
            engine.settle(one, cost_usd="0.1")
        done.set()
        assert [asked.result(30) for asked in asking] == [0, 0, 0]


def test_declaring_a_budget_again_at_a_start_keeps_what_is_spent(book: Book) -> None:
    if book.place == ":memory:":
        return
    for limit, left in (("10", "9"), ("10", "8"), ("5", "2")):
        engine = book.open(settings=Settings(budgets=({"name": "b", "limit_usd": limit},)))
        spend(engine, 1)
        assert Decimal(left) == engine.budget_status("b").available_usd
        engine.close()


# booked twice


@pytest.mark.parametrize("changed", [{}, {"id": "resp-2"}, {"created": 7}])
def test_a_stored_answer_that_is_fetched_again_is_booked_once_by_the_caller_s_key(
    engine: Engine, changed: dict[str, object]
) -> None:
    """Where the fetched answer has another id, the same key refuses: neither a second charge nor silence."""
    first = engine.record(usage=PAYLOAD, idempotency_key="call-1")
    try:
        again = engine.record(usage=PAYLOAD | changed, idempotency_key="call-1")
    except IdempotencyConflict:
        assert changed
    else:
        assert (again.entry_id, again.replayed) == (first.entry_id, True)
    assert engine.report().total.calls == 1


# periods


@pytest.mark.parametrize("scope", [{}, {"user_id": "*"}, {"user_id": "u"}, {"project": "p", "tag:team": "*"}])
@pytest.mark.parametrize(
    ("period", "last", "first"),
    [
        ("hour", "2027-03-14T08:59:59Z", "2027-03-14T09:00:00Z"),
        ("day", "2027-03-15T03:59:59Z", "2027-03-15T04:00:00Z"),
        ("week", "2027-03-15T03:59:59Z", "2027-03-15T04:00:00Z"),
        ("month", "2027-03-01T04:59:59Z", "2027-03-01T05:00:00Z"),
        ("month", "2027-04-01T03:59:59Z", "2027-04-01T04:00:00Z"),
    ],
)
def test_every_budget_has_room_again_at_the_first_instant_of_its_next_period(
    engine: Engine, clock: ManualClock, scope: dict[str, str], period: Any, last: str, first: str
) -> None:
    """New York, around the night in which its clocks go forward: a month is a month there, and midnight is its own."""
    engine.set_budget(Budget(name="b", limit_usd=1, period=period, timezone="America/New_York", scope=scope))
    about: dict[str, Any] = {"user_id": "u", "project": "p", "tags": {"team": "t"}}
    clock.jump_to(last)
    spend(engine, 1, **about)
    with pytest.raises(BudgetExceeded, match=f"it resets at {first}"):
        hold(engine, "0.01", **about)
    clock.jump_to(first)
    hold(engine, 1, **about)
    assert not is_admitted(lambda: hold(engine, "0.01", **about))


def test_reserves_around_midnight_get_each_day_s_room_once(engine: Engine, clock: ManualClock) -> None:
    """Sixteen threads ask while the day changes; nothing is emptied beforehand and nothing is counted in both."""
    engine.set_budget(Budget(name="b", limit_usd=1))
    clock.jump_to("2026-11-20T23:59:59Z")

    def ask(number: int) -> bool:
        if number == 80:
            clock.advance(1)
        return is_admitted(lambda: hold(engine, "0.1"))

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(ask, range(160))) == 20
    assert usd("0", "1", "0") == figures(engine, "b", at="2026-11-20T23:59:59Z")
    assert usd("0", "1", "0") == figures(engine, "b")


# growth


def steps_of(engine: Engine, work: Callable[[], object]) -> int:
    """Return how many instructions SQLite ran for some work, in tens."""
    counted = 0

    def count() -> None:
        nonlocal counted
        counted += 1

    engine.budgets()
    with engine.store.reading() as reading:
        connections = {reading, engine.store._open_writing()} if engine.path else {reading}
    for connection in connections:
        connection.set_progress_handler(count, 10)
    work()
    for connection in connections:
        connection.set_progress_handler(None, 10)
    return counted


def test_neither_admission_nor_a_report_works_harder_in_a_larger_book(engine: Engine) -> None:
    """Measured in SQLite's own instructions: no scan of the book, no sum over it, no clean-up that reads it."""
    engine.set_budget(Budget(name="all", limit_usd=1_000_000, period="total"))
    engine.set_budget(Budget(name="users", limit_usd=1_000_000, scope={"user_id": "*"}))
    work: dict[str, Callable[[], object]] = {
        "reserve": lambda: hold(engine, 1, user_id="u1"),
        "settle": lambda: engine.settle(engine.holds("open", limit=1)[0], cost_usd=1),
        "record": lambda: spend(engine, 1, user_id="u1"),
        "status": lambda: engine.budget_status("all"),
        "sweep": lambda: engine.store.writer.run(engine.verbs.write_off_lost()),
        "report": lambda: engine.report(group_by=("model", "day")),
    }

    def fill(calls: int) -> dict[str, int]:
        engine.record_many({"model": MODEL, "cost_usd": 1, "user_id": f"u{n % 4}"} for n in range(calls))
        for verb in work.values():  # what is read once is remembered; that is not what is measured
            verb()
        return {name: steps_of(engine, verb) for name, verb in work.items()}

    few, many = fill(50), fill(3000)
    assert {name: steps for name, steps in many.items() if steps > 1.5 * few[name] + 20} == {}


def test_an_entry_names_its_rate_cards_and_copies_no_price_table(engine: Engine) -> None:
    for _ in range(200):
        engine.record(usage=PAYLOAD, agent_id="a", user_id="u")
    with engine.store.reading() as connection:
        rows = connection.execute("SELECT * FROM entry").fetchall()
    stored = [sum(len(value) for value in row if isinstance(value, str | bytes)) for row in rows]
    assert max(stored) < 600
    (line, *_) = next(engine.entries(limit=1)).lines
    assert line.card.startswith("openai/gpt-4o")


# alerts and amounts


@pytest.mark.parametrize("percent", [5, 15, 35, 55, 85, 95])
def test_a_threshold_is_reached_at_its_own_percentage(engine: Engine, percent: int) -> None:
    """By twentieths of a dollar, which no binary fraction hits: neither before, nor a step later."""
    engine.set_budget(Budget(name="b", limit_usd=1, alert_at=(percent,)))
    for _ in range(percent // 5 - 1):
        spend(engine, 0.05)
    assert engine.crossings() == ()
    spend(engine, 0.05)
    for _ in range(3):
        spend(engine, 0.05)
    assert [Decimal(percent) / 100] == [crossing.spent_usd for crossing in engine.crossings()], "once"


def test_a_thousand_fractions_of_a_cent_add_up(engine: Engine) -> None:
    engine.set_budget(Budget(name="b", limit_usd="0.4"))
    for _ in range(1000):
        engine.settle(hold(engine, "0.0004"), cost_usd="0.0004")
    assert usd("0.4", "0", "0") == figures(engine, "b")
    assert not is_admitted(lambda: hold(engine, "0.000000000001"))


def test_a_price_typed_a_million_times_too_high_is_set_right_and_makes_room_again(
    engine: Engine, tmp_path: Path
) -> None:
    engine.set_budget(Budget(name="b", limit_usd=100, period="total"))
    use_prices(engine, tmp_path, {"acme-9": {"input_per_mtok": "2000000"}})
    engine.record(model="acme-9", input_tokens=1000)
    assert not is_admitted(lambda: hold(engine, 1))
    use_prices(engine, tmp_path, {"acme-9": {"input_per_mtok": "2"}})
    engine.reprice(since="2026-01-01", apply=True)
    assert usd("0.002", "0", "99.998") == figures(engine, "b")
    hold(engine, 99)
