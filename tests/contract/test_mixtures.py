"""Everything at once: reserves, extensions, settlements, releases and cancelled tasks; nothing stays held."""

from __future__ import annotations

import asyncio
import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.calls import MODEL, figures, hold, spend
from tokencalc import AsyncEngine, Budget
from tokencalc.errors import BudgetExceeded

if TYPE_CHECKING:
    from tests.contract.conftest import Book
    from tokencalc import Engine
    from tokencalc.ledger.records import Hold

CENT = Decimal("0.01")


@pytest.fixture
def engine(book: Book) -> Engine:
    """Give an engine with three budgets around each other, too tight for all that comes."""
    engine = book.open()
    engine.set_budget(Budget(name="all", limit_usd=40, period="month"))
    engine.set_budget(Budget(name="project", limit_usd=30, scope={"project": "p"}))
    engine.set_budget(Budget(name="agents", limit_usd=9, scope={"agent_id": "*"}))
    return engine


def check(engine: Engine, spent: Decimal) -> None:
    """Every hold has ended: nothing is held, and what is spent is what was acknowledged, everywhere."""
    for status in engine.budget_statuses():
        assert status.held_usd == status.suspect_usd == 0, status.name
        assert status.excess == (), "reserves were refused in time"
    assert spent == figures(engine, "all")[0] == figures(engine, "project")[0] == engine.report().total.cost_usd
    assert spent == sum(status.spent_usd for status in engine.budget_statuses("agents"))
    assert engine.holds("open") == ()
    assert engine.verify().problems == ()


def live(engine: Engine, lives: random.Random, number: int) -> Decimal:
    """Lead one hold through its life; return what it spent."""
    cents = lives.randrange(1, 40)
    try:
        one = hold(engine, CENT * cents, agent_id=f"a{number % 4}", project="p")
    except BudgetExceeded:
        return Decimal(0)
    more = lives.randrange(3)
    if more:
        with suppress(BudgetExceeded):
            one = engine.extend(one, amount_usd=CENT * lives.randrange(1, 60), lifetime_s=900)
    if lives.random() < 0.4:
        engine.release(one)
        assert engine.release(one).replayed
        return Decimal(0)
    actual = one.amount_usd * lives.randrange(101) / 100
    first = engine.settle(one, cost_usd=actual)
    assert engine.settle(one.hold_id, cost_usd=actual).entry_id == first.entry_id
    return actual


@pytest.mark.parametrize("threads", [1, 8, 32, 128])
def test_threads_leave_nothing_held(engine: Engine, threads: int) -> None:
    def run(worker: int) -> Decimal:
        lives = random.Random(worker)  # noqa: S311  # lives of holds, no secrets
        return sum((live(engine, lives, worker + number) for number in range(256 // threads)), Decimal(0))

    with ThreadPoolExecutor(threads) as pool:
        spent = sum(pool.map(run, range(threads)), Decimal(0))
    assert spent > 0
    check(engine, spent)


@pytest.mark.parametrize("seed", range(3))
def test_tasks_of_which_some_are_cancelled_leave_nothing_held(engine: Engine, seed: int) -> None:
    """A third of 128 is cancelled wherever it is: before its reserve, in it, between the verbs, in the settlement."""
    lives = random.Random(seed)  # noqa: S311  # lives of holds, no secrets
    ended: list[Hold] = []

    async def task(twin: AsyncEngine, number: int, cents: int) -> None:
        one = await twin.reserve(model=MODEL, amount_usd=CENT * cents, agent_id=f"a{number % 4}", project="p")
        ended.append(one)
        await asyncio.sleep(0)
        if cents % 2:
            await twin.release(one)
        else:
            await twin.settle(one, cost_usd=CENT * cents)

    async def run() -> None:
        twin = AsyncEngine(engine)
        tasks = [asyncio.create_task(task(twin, number, lives.randrange(1, 40))) for number in range(128)]
        for one in lives.sample(tasks, 43):
            for _ in range(lives.randrange(20)):
                await asyncio.sleep(0)
            one.cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        unexpected = [one for one in found if not isinstance(one, BudgetExceeded | asyncio.CancelledError | None)]
        assert unexpected == []

    asyncio.run(run())
    # A task that was cancelled between its verbs knows its hold and ends it; one that was cancelled in its
    # reserve never got it, and the engine has given it back.
    for one in ended:
        if engine.store.writer.run(engine.verbs.find_hold(one)).state == "open":
            engine.release(one)
    for _ in range(1000):  # a batch that was running when the loop ended may still be on its way
        if not engine.holds("open"):
            break
    spent = sum((entry.counted_usd for entry in engine.entries()), Decimal(0))
    assert spent > 0
    check(engine, spent)


def test_a_task_cancelled_when_its_hold_has_arrived_gives_it_back(engine: Engine) -> None:
    """Between the answer and the task's next step: its future has the hold already, and the task never sees it."""

    async def run() -> None:
        reserving = AsyncEngine(engine).reserve(model=MODEL, amount_usd=1, project="p")
        task: Any = asyncio.ensure_future(reserving)
        while task._fut_waiter is None or not task._fut_waiter.done():  # noqa: ASYNC110  # no event tells this
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError, match=r"^$"):
            await task

    asyncio.run(run())
    for _ in range(1000):
        if not engine.holds("open"):
            break
    assert [one.state for one in engine.holds()] == ["released"]
    check(engine, Decimal(0))


def test_threads_that_also_record_and_change_the_limit_balance(engine: Engine) -> None:
    """Limits go up and down meanwhile, and facts come without holds; the books balance all the same."""

    def run(worker: int) -> Decimal:
        lives = random.Random(worker)  # noqa: S311  # lives of holds, no secrets
        spent = Decimal(0)
        for number in range(24):
            if worker == 0:
                engine.set_budget(Budget(name="project", limit_usd=lives.randrange(1, 30), scope={"project": "p"}))
            elif number % 5 == 0:
                spent += spend(engine, CENT * lives.randrange(9), agent_id="r", project="p").counted_usd
            else:
                spent += live(engine, lives, number)
        return spent

    with ThreadPoolExecutor(8) as pool:
        spent = sum(pool.map(run, range(8)), Decimal(0))
    assert spent == figures(engine, "project")[0] == engine.report().total.cost_usd
    assert [status.held_usd for status in engine.budget_statuses()] == [0] * len(engine.budget_statuses())
    assert {item.reason for item in engine.budget_status("project").excess} <= {"limit_lowered", "record_without_hold"}
