"""Random demand on a whole limiter, in a time that passes by itself only: what it promises, and in what order.

The reference is written twice as simply as the limiter, in exact fractions: whoever came first goes first,
as soon as every dimension has enough.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.travel import pause, travel
from tokencalc.clock import NS_PER_S, ManualClock
from tokencalc.errors import Throttled
from tokencalc.limits.gates import MINUTE_NS
from tokencalc.limits.limiter import Limiter

if TYPE_CHECKING:
    from collections.abc import Sequence

# A loop's timer is a float of seconds; at an hour its last place is below a nanosecond.
SLACK_NS = 10


class Call(NamedTuple):
    """One caller: when it comes, and what it wants."""

    after_ns: int
    requests: int
    input_tokens: int
    output_tokens: int


class Grant(NamedTuple):
    """When a caller came, when it got what it wanted, and how much that was."""

    came: int
    at: int
    amounts: tuple[int, int, int]


@dataclass(frozen=True)
class Promise:
    """The limits of a limiter, in requests, input and output tokens a minute."""

    limits: tuple[int, int, int]
    burst: int
    strict: bool

    def limiter(self, clock: ManualClock) -> Limiter:
        """Make it."""
        return Limiter(
            self.limits[0],
            burst=self.burst,
            input_tokens_per_minute=self.limits[1],
            output_tokens_per_minute=self.limits[2],
            strict=self.strict,
            clock=clock,
        )

    @property
    def bursts(self) -> tuple[int, int, int]:
        """What may pass at once."""
        return (self.burst, *self.limits[1:])


def calls(promise: Promise) -> st.SearchStrategy[list[Call]]:
    """Random demand: bursts and pauses, light and heavy."""
    pauses = st.one_of(st.just(0), st.integers(0, 10**9), st.integers(0, 90 * NS_PER_S))
    amounts = [
        st.one_of(st.integers(low, 1 + most // 20), st.integers(low, most))
        for low, most in zip((1, 0, 0), promise.bursts, strict=True)
    ]
    return st.lists(st.builds(Call, pauses, *amounts), min_size=1, max_size=40)


PROMISES = st.builds(
    lambda limits, share, strict: Promise(limits, max(1, limits[0] * share // 100), strict),
    st.tuples(st.sampled_from([1, 2, 5, 15, 60, 300]), st.integers(1, 900), st.integers(1, 900)),
    st.integers(1, 100),
    st.booleans(),
)
DEMANDS = PROMISES.flatmap(lambda promise: st.tuples(st.just(promise), calls(promise)))


def play(limiter: Limiter, clock: ManualClock, demand: Sequence[Call]) -> list[Grant]:
    """Let the callers come, and return their grants in the order in which they came."""

    async def call(one: Call, came: int) -> Grant:
        amounts = one.requests, one.input_tokens, one.output_tokens
        permit = await limiter.acquire_async(*amounts)
        assert permit.waited_ns == clock.monotonic_ns() - came
        return Grant(came, clock.monotonic_ns(), amounts)

    async def come() -> list[Grant]:
        tasks = []
        for one in demand:
            if one.after_ns:
                await pause(one.after_ns)
            tasks.append(asyncio.create_task(call(one, clock.monotonic_ns())))
            await asyncio.sleep(0)
        return [await task for task in tasks]

    return travel(clock, come())


@settings(max_examples=150)
@given(DEMANDS)
def test_no_window_of_time_gets_more_than_the_promise(drawn: tuple[Promise, list[Call]]) -> None:
    promise, demand = drawn
    clock = ManualClock()
    grants = play(promise.limiter(clock), clock, demand)
    for dimension, (limit, burst) in enumerate(zip(promise.limits, promise.bursts, strict=True)):
        for first, begin in enumerate(grants):
            total = 0
            for grant in grants[first:]:
                total += grant.amounts[dimension]
                length = grant.at - begin.at
                assert total * MINUTE_NS <= burst * MINUTE_NS + limit * length
                assert not promise.strict or length > MINUTE_NS or total <= limit


@settings(max_examples=150)
@given(DEMANDS)
def test_nobody_waits_longer_than_the_order_of_coming_explains(drawn: tuple[Promise, list[Call]]) -> None:
    promise, demand = drawn
    clock = ManualClock()
    grants = play(promise.limiter(clock), clock, demand)
    expected: list[Grant] = []
    for grant in grants:
        at = max([grant.came, *(earlier.at for earlier in expected[-1:])])
        for dimension in range(3):
            at = max(at, paced(promise, expected, dimension, grant.amounts[dimension]))
            if promise.strict:
                at = max(at, windowed(promise.limits[dimension], expected, dimension, grant.amounts[dimension]))
        expected.append(Grant(grant.came, at, grant.amounts))
    late = [grant.at - wanted.at for grant, wanted in zip(grants, expected, strict=True)]
    assert max(late) <= SLACK_NS * len(grants)
    assert min(late) >= -SLACK_NS * len(grants)


def paced(promise: Promise, before: list[Grant], dimension: int, amount: int) -> int:
    """Return when a bucket has this much, if it was full at 0 and these were taken from it."""
    rate, burst = Fraction(promise.limits[dimension], MINUTE_NS), promise.bursts[dimension]
    level, then = Fraction(burst), 0
    for grant in before:
        level = min(Fraction(burst), level + rate * (grant.at - then)) - grant.amounts[dimension]
        then = grant.at
    return then + max(0, -int((level - amount) // rate))


def windowed(limit: int, before: list[Grant], dimension: int, amount: int) -> int:
    """Return when less than this is taken in the minute before."""
    for at in sorted({0, *(grant.at + MINUTE_NS + 1 for grant in before)}):
        if sum(grant.amounts[dimension] for grant in before if grant.at >= at - MINUTE_NS) + amount <= limit:
            return at
    raise AssertionError("after a minute of nothing all of it is there")


@pytest.mark.parametrize("limit", [1, 2, 5, 15, 60, 300, 1000, 5000])
@pytest.mark.parametrize("strict", [False, True])
def test_demand_for_one_permit_after_the_other_gets_98_percent_of_the_promise(limit: int, strict: object) -> None:
    clock = ManualClock()
    limiter = Limiter(limit, strict=bool(strict), clock=clock)
    minutes = 3
    grants = play(limiter, clock, [Call(0, 1, 0, 0)] * (limit * minutes + 1))
    within = sum(grant.at < minutes * MINUTE_NS for grant in grants)
    assert within >= 0.98 * limit * minutes
    assert not strict or within <= limit * minutes


@pytest.mark.parametrize("limit", [1, 2, 5, 15, 60, 300])
def test_evenly_spaced_demand_at_the_limit_hardly_waits_even_when_strict(limit: int) -> None:
    clock = ManualClock()
    limiter = Limiter(limit, strict=True, clock=clock)
    spacing = MINUTE_NS // limit
    grants = play(limiter, clock, [Call(spacing, 1, 0, 0)] * (4 * limit))
    assert len(grants) / (grants[-1].at - grants[0].came) >= 0.98 * len(grants) / (grants[-1].came - grants[0].came)
    assert max(grant.at - grant.came for grant in grants) <= 0.02 * MINUTE_NS


def test_a_heavy_caller_among_light_ones_waits_for_its_own_amount_only() -> None:
    clock = ManualClock()
    limiter = Limiter(60, burst=50, clock=clock)
    stream = [Call(NS_PER_S // 2, 1, 0, 0)] * 200
    demand = [*stream[:100], Call(0, 50, 0, 0), *stream[100:]]
    grants = play(limiter, clock, demand)
    heavy = grants[100]
    assert heavy.at - grants[99].at <= 50 * NS_PER_S
    assert [grant.at for grant in grants] == sorted(grant.at for grant in grants)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 30), st.integers(1, 10)), min_size=1, max_size=30))
def test_a_timeout_refuses_at_once_or_keeps_its_word(steps: list[tuple[int, int, int]]) -> None:
    clock = ManualClock()
    limiter = Limiter(60, burst=10, clock=clock)
    refusals: list[tuple[int, float]] = []
    waits: list[int] = []

    async def call(amount: int, timeout_s: int) -> None:
        came = clock.monotonic_ns()
        try:
            await limiter.acquire_async(amount, timeout_s=timeout_s)
        except Throttled as refused:
            refusals.append((clock.monotonic_ns() - came, refused.retry_after_s - timeout_s))
        else:
            waits.append(clock.monotonic_ns() - came - timeout_s * NS_PER_S)

    async def come() -> None:
        async with asyncio.TaskGroup() as group:
            for pause_s, timeout_s, amount in steps:
                await pause(pause_s * NS_PER_S)
                group.create_task(call(amount, timeout_s))
                await asyncio.sleep(0)

    travel(clock, come())
    assert all(waited == 0 and missing_s > 0 for waited, missing_s in refusals), "told at once, and truly"
    assert max(waits, default=0) <= SLACK_NS
