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
from tokencalc.ledger.records import Hold

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokencalc import Engine


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


@pytest.mark.parametrize("threads", [1, 8, 32, 128])
@pytest.mark.parametrize("room", [(12, 9, 15), (9, 15, 12), (15, 12, 9), (9, 9, 9), (0, 9, 9)])
def test_three_nested_budgets_admit_what_the_tightest_allows(
    engine: Engine, room: tuple[int, int, int], threads: int
) -> None:
    """The tightest is the outermost, the middle or the innermost; none of them counts more than was admitted."""
    scopes: tuple[dict[str, str], ...] = ({}, {"project": "p"}, {"project": "p", "agent_id": "*"})
    for name, calls, scope in zip(("all", "project", "agent"), room, scopes, strict=True):
        engine.set_budget(Budget(name=name, limit_usd=Decimal("0.1") * calls, period="month", scope=scope))
    assert race(threads, 128, lambda _: hold(engine, "0.1", agent_id="a", project="p")) == min(room)
    for name, value in (("all", None), ("project", None), ("agent", "a")):
        assert figures(engine, name, value)[1] == Decimal("0.1") * min(room)


def test_budgets_that_overlap_share_what_each_has_left(engine: Engine) -> None:
    engine.set_budget(Budget(name="all", limit_usd="1.2", period="month"))
    engine.set_budget(Budget(name="project", limit_usd="0.9", scope={"project": "p"}))
    engine.set_budget(Budget(name="agent", limit_usd="0.5", period="total", scope={"agent_id": "*"}))
    agents = ("a", "b", "c")
    admitted = race(32, 60, lambda n: hold(engine, "0.1", agent_id=agents[n % 3], project="p"))
    assert admitted == 9, "the project's room"
    outside = race(32, 60, lambda n: hold(engine, "0.1", agent_id=agents[n % 3]))
    assert outside == 3, "what the month leaves over"
    assert usd("0", "0.9", "0") == figures(engine, "project")
    assert usd("0", "1.2", "0") == figures(engine, "all")


def test_eight_first_requests_of_an_unknown_user_share_one_budget(engine: Engine) -> None:
    engine.set_budget(Budget(name="users", limit_usd="0.3", scope={"user_id": "*"}))
    assert race(8, 8, lambda _: hold(engine, "0.1", user_id="new")) == 3
    assert usd("0", "0.3", "0") == figures(engine, "users", "new")
    assert race(8, 8, lambda _: hold(engine, "0.1", user_id="other")) == 3, "each user has a budget of their own"
    assert race(8, 8, lambda _: hold(engine, "0.1")) == 8, "a call that names no user is in none"


def test_first_requests_of_forty_unknown_users_in_turn_share_their_budgets(engine: Engine) -> None:
    """Each time eight meet a user whom nobody has met, through threads and through tasks."""
    engine.set_budget(Budget(name="users", limit_usd="0.3", period="total", scope={"user_id": "*"}))
    for number in range(20):
        assert race(8, 8, lambda _: hold(engine, "0.1", user_id=f"u{number}")) == 3  # noqa: B023  # ends in the round
        assert asyncio.run(admitted_tasks(engine, 8, user_id=f"t{number}")) == 3
    assert len(engine.budget_statuses("users")) == 40


async def admitted_tasks(engine: Engine, tasks: int, **about: str) -> int:
    """Try to hold ten cents in so many tasks at once; return how many were admitted."""
    twin = AsyncEngine(engine)
    found = await asyncio.gather(
        *(twin.reserve(model=MODEL, amount_usd="0.1", **about) for _ in range(tasks)),  # type: ignore[arg-type]  # names
        return_exceptions=True,
    )
    assert {type(one) for one in found} <= {Hold, BudgetExceeded}
    return sum(isinstance(one, Hold) for one in found)


@pytest.mark.parametrize("room", [(5, 9, 7), (9, 5, 7), (9, 7, 5), (128, 129, 130), (0, 1, 2)])
def test_128_tasks_get_exactly_the_room_there_is(engine: Engine, room: tuple[int, int, int]) -> None:
    scopes: tuple[dict[str, str], ...] = ({}, {"project": "p"}, {"project": "p", "user_id": "*"})
    for name, calls, scope in zip(("all", "project", "user"), room, scopes, strict=True):
        engine.set_budget(Budget(name=name, limit_usd=Decimal("0.1") * calls, scope=scope))
    assert asyncio.run(admitted_tasks(engine, 128, project="p", user_id="u")) == min(room)
    assert figures(engine, "all")[1] == Decimal("0.1") * min(room)


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
