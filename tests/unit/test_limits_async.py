"""Waiting on event loops: cancellation at any moment, deadlines, several loops at once, loops that are gone."""

from __future__ import annotations

import asyncio
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.travel import WAIT_S, pause, travel, until
from tokencalc.clock import NS_PER_S, ManualClock
from tokencalc.errors import Throttled
from tokencalc.limits.limiter import Limiter


@settings(max_examples=120)
@given(
    jobs=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 5), st.integers(0, 12)), min_size=1, max_size=12),
    strict=st.booleans(),
)
def test_whoever_is_cancelled_whenever_has_taken_nothing(jobs: list[tuple[int, int, int]], strict: object) -> None:
    clock = ManualClock()
    limiter = Limiter(60, burst=5, input_tokens_per_minute=100, concurrency=2, strict=bool(strict), clock=clock)
    granted = 0

    async def call(amount: int) -> None:
        nonlocal granted
        with await limiter.acquire_async(amount, amount):
            granted += amount
            await pause(NS_PER_S)

    async def one(start_s: int, amount: int, cancel_s: int) -> None:
        await pause(start_s * NS_PER_S)
        task = asyncio.create_task(call(amount))
        await pause(cancel_s * NS_PER_S)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def play() -> None:
        await asyncio.gather(*[one(*job) for job in jobs])

    travel(clock, play())
    metrics = limiter.metrics()
    assert (metrics.waiting, metrics.in_flight) == (0, 0)
    clock.advance(60.000000001)
    assert limiter.metrics().fill == 1.0
    limiter.acquire(5, 100, timeout_s=0)


def test_a_place_that_was_handed_to_a_task_as_it_was_cancelled_comes_back() -> None:
    clock = ManualClock()
    limiter = Limiter(concurrency=1, clock=clock)

    async def play() -> None:
        first = await limiter.acquire_async()
        waiting = asyncio.create_task(limiter.acquire_async())
        other = asyncio.create_task(limiter.acquire_async())
        await asyncio.sleep(0)
        first.release()  # the place is the waiting task's from here, which does not know yet
        assert limiter.metrics().in_flight == 1
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError, match=r"^$"):
            await waiting
        (await other).release()

    travel(clock, play())
    metrics = limiter.metrics()
    assert (metrics.in_flight, metrics.waiting, round(300 * metrics.fill)) == (0, 0, 298)


@pytest.mark.parametrize(
    ("timeout_s", "expected"), [(5, "granted"), (4.999999999, "refused"), (5.000000001, "granted"), (None, "granted")]
)
def test_a_deadline_at_the_instant_of_the_grant_is_in_time(timeout_s: float | None, expected: str) -> None:
    clock = ManualClock()
    limiter = Limiter(60, burst=10, clock=clock)

    async def play() -> str:
        await limiter.acquire_async(10)
        try:
            await limiter.acquire_async(5, timeout_s=timeout_s)
        except Throttled:
            return "refused"
        return "granted"

    assert expected == travel(clock, play())
    clock.advance(60)
    assert limiter.metrics().fill == 1.0


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_timeout_of_the_caller_at_the_instant_of_the_grant_loses_nothing(order: tuple[int, int]) -> None:
    clock = ManualClock()
    limiter = Limiter(60, burst=10, clock=clock)

    async def waits() -> int:
        try:
            async with asyncio.timeout(5):
                await limiter.acquire_async(5)
        except TimeoutError:
            return 0
        return 5

    async def play() -> int:
        await limiter.acquire_async(10)
        jobs = [waits(), pause(5 * NS_PER_S)]
        found = await asyncio.gather(*[jobs[place] for place in order])
        return sum(number for number in found if number)

    granted = travel(clock, play())
    assert round(limiter.metrics().fill * 10) == 5 - granted


def test_two_loops_in_two_threads_and_a_third_thread_share_one_line() -> None:
    limiter = Limiter(60_000, burst=10, concurrency=4)

    async def many() -> int:
        async def one() -> int:
            with await limiter.acquire_async():
                await asyncio.sleep(0)
            return 1

        return sum(await asyncio.gather(*[one() for _ in range(100)]))

    def plain() -> int:
        for _ in range(100):
            limiter.acquire().release()
        return 100

    found: list[int] = []
    works = [lambda: asyncio.run(many()), lambda: asyncio.run(many()), plain]
    threads = [threading.Thread(target=lambda work=work: found.append(work()), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=WAIT_S)
    assert found == [100, 100, 100]
    metrics = limiter.metrics()
    assert (metrics.granted, metrics.in_flight, metrics.waiting) == (300, 0, 0)


def test_a_loop_that_is_busy_does_not_hold_up_those_behind_its_task() -> None:
    clock = ManualClock()
    limiter = Limiter(60, burst=1, clock=clock)
    limiter.acquire()
    busy, go = threading.Event(), threading.Event()

    async def stuck() -> None:
        task = asyncio.create_task(limiter.acquire_async())
        await asyncio.sleep(0)
        busy.set()
        assert go.wait(WAIT_S)
        await task

    loop = threading.Thread(target=asyncio.run, args=(stuck(),), daemon=True)
    loop.start()
    assert busy.wait(WAIT_S)
    behind = threading.Thread(target=limiter.acquire, daemon=True)
    behind.start()
    until(lambda: limiter.metrics().waiting == 2)
    for _ in range(2):
        clock.advance(1)
        limiter.wake()
    behind.join(timeout=WAIT_S)
    assert not behind.is_alive(), "it was let through while the loop before it does something else"
    go.set()
    loop.join(timeout=WAIT_S)


def test_a_permit_for_a_loop_that_is_gone_goes_to_the_next() -> None:
    clock = ManualClock()
    limiter = Limiter(60, burst=1, clock=clock)
    limiter.acquire()
    gone = asyncio.new_event_loop()
    task = gone.create_task(limiter.acquire_async())
    gone.run_until_complete(asyncio.sleep(0))
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # that it is dropped is what is tested
    gone.close()
    assert limiter.metrics().waiting == 1
    clock.advance(1)
    assert travel(clock, limiter.acquire_async(timeout_s=0)).waited_s == 0
    assert limiter.metrics().waiting == 0


def test_a_gather_of_fifty_gets_what_is_there_and_no_more() -> None:
    clock = ManualClock()
    limiter = Limiter(60, burst=20, strict=True, clock=clock)

    async def play() -> int:
        tasks = [limiter.acquire_async(timeout_s=0) for _ in range(50)]
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(one, Throttled) for one in found[20:])
        return sum(not isinstance(one, BaseException) for one in found)

    assert travel(clock, play()) == 20


def test_fifty_who_wait_are_served_one_after_the_other_at_the_pace() -> None:
    clock = ManualClock()
    limiter = Limiter(60, burst=10, clock=clock)
    at: list[float] = []

    async def one() -> None:
        await limiter.acquire_async()
        at.append(round(clock.monotonic(), 6))

    async def play() -> None:
        await asyncio.gather(*[one() for _ in range(60)])

    travel(clock, play())
    assert at == [0.0] * 10 + [float(second) for second in range(1, 51)]


def test_whoever_is_first_hears_that_its_turn_comes_sooner() -> None:
    clock = ManualClock()
    limiter = Limiter(60, input_tokens_per_minute=60, clock=clock)

    async def wait() -> float:
        return (await limiter.acquire_async(1, 30)).waited_s

    async def play() -> float:
        permit = await limiter.acquire_async(1, 60)
        waiting = asyncio.create_task(wait())
        await pause(NS_PER_S)
        permit.correct(input_tokens=40)
        return await waiting

    assert travel(clock, play()) == 10.0
