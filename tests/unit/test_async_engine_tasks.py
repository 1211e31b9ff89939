"""The asyncio twin: cancelled tasks lose no money, several loops share one ledger, closing answers everybody."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from tokencalc import AsyncEngine, Budget, Engine, attribution
from tokencalc.clock import ManualClock
from tokencalc.config import Settings
from tokencalc.errors import BudgetExceeded, LedgerClosed
from tokencalc.ledger.store import Step

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tokencalc.ledger.records import Entry, Hold
    from tokencalc.ledger.store import Transaction

MODEL = "acme-1"
WAIT_S = 30


@pytest.fixture(params=["ledger.db", ":memory:"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """Give an engine whose books must balance in the end."""
    place = ":memory:" if request.param == ":memory:" else tmp_path / "ledger.db"
    with Engine.open(place, clock=ManualClock(), settings=Settings()) as engine:
        engine.set_budget(Budget(name="b", limit_usd=100))
        yield engine


@contextmanager
def busy(engine: Engine) -> Iterator[threading.Event]:
    """Keep the writer inside a step until the event is set (or the block ends)."""
    inside, go = threading.Event(), threading.Event()

    def wait(_: Transaction) -> None:
        inside.set()
        assert go.wait(WAIT_S)

    thread = threading.Thread(target=engine.store.writer.run, args=(Step(wait),))
    thread.start()
    assert inside.wait(WAIT_S)
    try:
        yield go
    finally:
        go.set()
        thread.join(WAIT_S)


def test_every_verb_answers_as_its_twin_does(tmp_path: Path) -> None:
    async def run() -> None:
        async with await AsyncEngine.open(tmp_path / "ledger.db", clock=ManualClock(), settings=Settings()) as twin:
            assert (await twin.set_budget(Budget(name="b", limit_usd=1))).name == "b"
            cost = await twin.price(model="gpt-4o", usage={"input_tokens": 1000, "output_tokens": 100})
            assert cost.total_usd == Decimal("0.0035")
            estimate = await twin.estimate(model="gpt-4o", text="How long is a day?", max_output_tokens=10)
            assert estimate.input_tokens > 0
            with attribution(agent_id="a"):
                hold = await twin.reserve(model="gpt-4o", text="How long is a day?", max_output_tokens=10)
            assert (hold.agent_id, hold.amount_usd) == ("a", estimate.cost_max_usd)
            hold = await twin.extend(hold, amount_usd="0.5", lifetime_s=60)
            assert (await twin.holds("open")) == (hold,)
            entry = await twin.settle(hold.hold_id, usage={"input_tokens": 6, "output_tokens": 5})
            released = await twin.release(await twin.reserve(model=MODEL, amount_usd="0.1"))
            assert released.state == "released"
            recorded = await twin.record(model=MODEL, cost_usd="0.8")
            (other,) = await twin.record_many([{"model": MODEL, "cost_usd": "0.01"}])
            assert await twin.entries() == [other, recorded, entry]
            assert [one.threshold_percent for one in await twin.crossings()] == [75]
            assert (await twin.budgets()) == ((await twin.budget_status("b")).budget,)
            assert (await twin.budget_statuses())[0].spent_usd == (await twin.report()).total.cost_usd
            assert (await twin.verify()).ok

    asyncio.run(run())


def test_a_reserve_cancelled_before_it_started_is_dropped(engine: Engine) -> None:
    async def run(go: threading.Event) -> None:
        twin = AsyncEngine(engine)
        task = asyncio.create_task(twin.reserve(model=MODEL, amount_usd=1))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError, match=r"^$"):
            await task
        go.set()
        await twin.record(model=MODEL, cost_usd=1)

    with busy(engine) as go:
        asyncio.run(run(go))
    assert engine.holds() == ()
    assert engine.budget_status("b").held_usd == 0


def test_a_reserve_cancelled_after_its_commit_is_released(engine: Engine) -> None:
    async def run() -> None:
        twin = AsyncEngine(engine)
        loop = asyncio.get_running_loop()
        committed = threading.Event()
        seen: list[object] = []
        post = engine.store.writer.post

        def post_and_tell(step: Step[Hold], on_outcome: object) -> object:
            def tell(ticket: object) -> None:
                seen.append(ticket)
                committed.set()
                on_outcome(ticket)  # type: ignore[operator]  # the engine's own

            return post(step, tell)

        engine.store.writer.post = post_and_tell  # type: ignore[method-assign,assignment]  # to know when it is on disk
        task = loop.create_task(twin.reserve(model=MODEL, amount_usd=1))
        await asyncio.sleep(0)
        # The loop is held here until the hold is on disk, so its answer cannot be delivered before the cancellation.
        assert committed.wait(WAIT_S)
        engine.store.writer.post = post  # type: ignore[method-assign]
        task.cancel()
        with pytest.raises(asyncio.CancelledError, match=r"^$"):
            await task
        assert len(seen) >= 1

    asyncio.run(run())
    engine.record(model=MODEL, cost_usd=1)
    assert [one.state for one in engine.holds()] == ["released"]
    assert engine.budget_status("b").held_usd == 0


def test_cancelling_half_of_many_tasks_leaves_no_hold_behind(engine: Engine) -> None:
    async def one(twin: AsyncEngine, number: int) -> Entry:
        hold = await twin.reserve(model=MODEL, amount_usd="0.1", tags={"n": str(number)})
        return await twin.settle(hold, cost_usd="0.05")

    async def run() -> tuple[int, int]:
        twin = AsyncEngine(engine)
        tasks = [asyncio.create_task(one(twin, number)) for number in range(100)]
        for number, task in enumerate(tasks):
            if number % 2:
                for _ in range(number % 7):
                    await asyncio.sleep(0)
                task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        return sum(isinstance(found, asyncio.CancelledError) for found in ended), len(ended)

    cancelled, all_of_them = asyncio.run(run())
    assert (all_of_them, cancelled > 0) == (100, True)
    engine.record(model=MODEL, cost_usd=0)
    settled = {one.hold_id for one in engine.holds("settled")}
    charged = {entry.hold_id for entry in engine.entries() if entry.hold_id}
    assert settled == charged
    assert len(settled) >= 100 - cancelled
    # What a task held when it was cancelled between its two steps is its own to settle; nothing else is open.
    assert len(engine.holds("open")) <= cancelled


def test_loops_in_several_threads_share_one_ledger(engine: Engine) -> None:
    twin = AsyncEngine(engine)

    async def one() -> int:
        try:
            hold = await twin.reserve(model=MODEL, amount_usd=1)
        except BudgetExceeded:
            return 0
        await twin.settle(hold, cost_usd=1)
        return 1

    async def many() -> int:
        return sum(await asyncio.gather(*(one() for _ in range(40))))

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(lambda _: asyncio.run(many()), range(4))) == 100
    assert engine.budget_status("b").spent_usd == 100


def test_closing_answers_everybody_who_waits(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    engine = Engine.open(path, clock=ManualClock(), settings=Settings())

    async def run(go: threading.Event) -> list[object]:
        twin = AsyncEngine(engine)
        tasks = [asyncio.create_task(twin.record(model=MODEL, cost_usd="0.01")) for _ in range(50)]
        await asyncio.sleep(0)
        closing = asyncio.create_task(twin.close())
        await asyncio.sleep(0)
        go.set()
        found = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), WAIT_S)
        await asyncio.wait_for(closing, WAIT_S)
        with pytest.raises(LedgerClosed, match="the ledger was closed"):
            await twin.record(model=MODEL, cost_usd="0.01")
        return list(found)

    with busy(engine) as go:
        found = asyncio.run(run(go))
    refused = [one for one in found if isinstance(one, LedgerClosed)]
    acknowledged = {entry.entry_id for entry in found if not isinstance(entry, BaseException)}  # type: ignore[attr-defined]
    assert len(refused) + len(acknowledged) == 50
    with Engine.open(path, clock=ManualClock(), settings=Settings()) as again:
        assert {entry.entry_id for entry in again.entries()} == acknowledged
        assert again.verify().ok


def test_threads_that_wait_when_the_ledger_closes_are_answered(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    engine = Engine.open(path, clock=ManualClock(), settings=Settings())

    def spend(_: int) -> str | None:
        try:
            return engine.record(model=MODEL, cost_usd="0.01").entry_id
        except LedgerClosed:
            return None

    with ThreadPoolExecutor(20) as pool:
        with busy(engine) as go:
            waiting = [pool.submit(spend, number) for number in range(16)]
            closing = pool.submit(engine.close)
            go.set()
            found = [one.result(WAIT_S) for one in waiting]
        closing.result(WAIT_S)
    acknowledged = {one for one in found if one is not None}
    with Engine.open(path, clock=ManualClock(), settings=Settings()) as again:
        assert {entry.entry_id for entry in again.entries()} == acknowledged
        assert again.verify().ok


def test_a_loop_that_was_closed_leaves_no_hold(engine: Engine) -> None:
    """The loop goes away while a reserve is on its way to the disk: its hold is given back."""
    with busy(engine) as go:
        loop = asyncio.new_event_loop()
        task = loop.create_task(AsyncEngine(engine).reserve(model=MODEL, amount_usd=1))
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        go.set()
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # nobody will await it, which is the point
    engine.record(model=MODEL, cost_usd=1)
    engine.record(model=MODEL, cost_usd=1)
    assert {one.state for one in engine.holds()} <= {"released"}


def test_an_engine_is_opened_by_a_call_by_await_and_by_async_with() -> None:
    async def both() -> list[int]:
        async with AsyncEngine.open(":memory:", settings=Settings()) as entered:
            await entered.record(model=MODEL, cost_usd=1)
            counts = [len(await entered.entries())]
        awaited = await AsyncEngine.open(":memory:", settings=Settings())
        counts.append(len(await awaited.entries()))
        await awaited.close()
        called = AsyncEngine.open(":memory:", settings=Settings())
        counts.append(len(await called.entries()))
        await called.close()
        with pytest.raises(LedgerClosed, match="was closed"):
            await entered.record(model=MODEL, cost_usd=1)
        return counts

    assert asyncio.run(both()) == [1, 0, 0]
