"""A hard budget with room for k holds admits exactly k, however many ask at once."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from threading import Barrier
from typing import TYPE_CHECKING

import pytest

from tests.contract.calls import MODEL, figures, hold, is_admitted, spend, usd
from tokencalc import AsyncEngine, Budget
from tokencalc.errors import BudgetExceeded

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.contract.conftest import Book
    from tokencalc import Engine
    from tokencalc.ledger.records import Hold


def race(threads: int, attempts: int, reserve: Callable[[int], Hold]) -> int:
    """Let threads start at one moment and share the attempts; return how many were admitted."""
    start = Barrier(threads)

    def run(worker: int) -> int:
        start.wait(timeout=30)
        mine = range(worker, attempts, threads)
        return sum(is_admitted(lambda number=number: reserve(number)) for number in mine)  # type: ignore[misc]

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(run, range(threads)))


@pytest.mark.parametrize(("threads", "attempts", "room"), [(1, 20, 7), (8, 64, 7), (32, 128, 31), (128, 256, 100)])
def test_threads_get_exactly_the_room_there_is(engine: Engine, threads: int, attempts: int, room: int) -> None:
    engine.set_budget(Budget(name="b", limit_usd=Decimal("0.1") * room))
    assert room == race(threads, attempts, lambda _: hold(engine, "0.1"))
    assert (Decimal(0), Decimal("0.1") * room, Decimal(0)) == figures(engine, "b")


@pytest.mark.parametrize("threads", [1, 8, 32])
def test_three_nested_budgets_admit_what_the_tightest_allows(engine: Engine, threads: int) -> None:
    engine.set_budget(Budget(name="all", limit_usd="1.2", period="month"))
    engine.set_budget(Budget(name="project", limit_usd="0.9", scope={"project": "p"}))
    engine.set_budget(Budget(name="agent", limit_usd="0.5", period="total", scope={"agent_id": "*"}))
    agents = ("a", "b", "c")

    admitted = race(threads, 60, lambda n: hold(engine, "0.1", agent_id=agents[n % 3], project="p"))
    assert admitted == 9, "the project's room"
    outside = race(threads, 60, lambda n: hold(engine, "0.1", agent_id=agents[n % 3]))
    assert outside == 3, "what the month leaves over"
    assert usd("0", "0.9", "0") == figures(engine, "project")
    assert usd("0", "1.2", "0") == figures(engine, "all")


def test_eight_first_requests_of_an_unknown_user_share_one_budget(engine: Engine) -> None:
    engine.set_budget(Budget(name="users", limit_usd="0.3", scope={"user_id": "*"}))
    assert race(8, 8, lambda _: hold(engine, "0.1", user_id="new")) == 3
    assert usd("0", "0.3", "0") == figures(engine, "users", "new")
    assert race(8, 8, lambda _: hold(engine, "0.1", user_id="other")) == 3, "each user has a budget of their own"
    assert race(8, 8, lambda _: hold(engine, "0.1")) == 8, "a call that names no user is in none"


def test_sixty_four_tasks_get_exactly_the_room_there_is(book: Book) -> None:
    engine = book.open()
    engine.set_budget(Budget(name="b", limit_usd=1))

    async def attempt(twin: AsyncEngine) -> int:
        try:
            await twin.reserve(model=MODEL, amount_usd="0.1")
        except BudgetExceeded:
            return 0
        return 1

    async def run() -> int:
        twin = AsyncEngine(engine)
        return sum(await asyncio.gather(*(attempt(twin) for _ in range(64))))

    assert asyncio.run(run()) == 10
    assert usd("0", "1", "0") == figures(engine, "b")


def test_tasks_and_threads_share_the_room(engine: Engine) -> None:
    engine.set_budget(Budget(name="b", limit_usd=1))

    async def attempts(_: int) -> int:
        twin = AsyncEngine(engine)
        found = await asyncio.gather(
            *(twin.reserve(model=MODEL, amount_usd="0.1") for _ in range(8)), return_exceptions=True
        )
        return sum(not isinstance(one, BaseException) for one in found)

    def worker(number: int) -> int:
        if number % 2:
            return asyncio.run(attempts(number))
        return sum(is_admitted(lambda: hold(engine, "0.1")) for _ in range(8))

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(worker, range(8))) == 10


def test_holds_that_end_make_room_and_extensions_take_it(engine: Engine) -> None:
    engine.set_budget(Budget(name="b", limit_usd=1))
    held = [hold(engine, "0.1") for _ in range(8)]

    def grow(number: int) -> Hold:
        return engine.extend(held[number % 8], amount_usd="0.15")

    assert race(8, 8, grow) == 4, "0.2 of room is four times 0.05 more"
    assert usd("0", "1", "0") == figures(engine, "b")
    for one in held:
        engine.release(one)
    assert usd("0", "0", "1") == figures(engine, "b")


def test_reserves_between_records_never_pass_what_is_left(engine: Engine) -> None:
    engine.set_budget(Budget(name="b", limit_usd=1))

    def one(number: int) -> Hold:
        if number % 4 == 0:
            spend(engine, "0.01")
        found = hold(engine, "0.1")
        engine.settle(found, cost_usd="0.1")
        return found

    race(16, 64, one)
    status = engine.budget_status("b")
    # A record is never refused, so the sum may pass the limit; what was admitted by reserves may not.
    over = sum((item.amount_usd for item in status.excess), Decimal(0))
    assert {item.reason for item in status.excess} <= {"record_without_hold"}
    assert max(Decimal(0), status.spent_usd - 1) == over
