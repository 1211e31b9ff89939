"""The bucket hands out what it promises and not one permit more, whatever the clock and the threads do."""

from __future__ import annotations

import os
import threading
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokencalc.clock import ManualClock
from tokencalc.errors import CallInvalid, Throttled
from tokencalc.limits.bucket import MAX_PERMITS, TokenBucket

if TYPE_CHECKING:
    from collections.abc import Iterator


def taken(bucket: TokenBucket, permits: int = 1) -> bool:
    """Tell whether the permits were there."""
    try:
        bucket.take(permits)
    except Throttled:
        return False
    return True


def drain(bucket: TokenBucket) -> int:
    """Take single permits until there are none, and count them."""
    number = 0
    while taken(bucket):
        number += 1
    return number


def test_it_starts_full_and_holds_one_minute_of_permits() -> None:
    bucket = TokenBucket(clock=ManualClock())
    assert (bucket.permits_per_minute, bucket.burst, bucket.fill) == (300, 300, 1.0)
    assert drain(bucket) == 300
    assert bucket.fill == 0.0


@pytest.mark.parametrize(
    ("per_minute", "burst", "seconds", "expected"),
    [
        (300, None, 0.1999, 0),
        (300, None, 0.2, 1),
        (300, None, 1, 5),
        (300, None, 60, 300),
        (300, None, 3600, 300),
        (60, 1, 10, 1),
        (60, 5, 2.5, 2),
        (7, None, 60, 7),
        (1, None, 59.999999, 0),
        (1, None, 60, 1),
    ],
)
def test_permits_come_back_evenly_and_never_above_the_burst(
    per_minute: int, burst: int | None, seconds: float, expected: int
) -> None:
    clock = ManualClock()
    bucket = TokenBucket(per_minute, burst=burst, clock=clock)
    drain(bucket)
    clock.advance(seconds)
    assert expected == drain(bucket)


@pytest.mark.parametrize(
    ("per_minute", "permits", "expected"), [(300, 1, 0.2), (300, 10, 2.0), (1, 1, 60.0), (7, 3, 25.714285715)]
)
def test_a_refusal_says_when_to_come_back(per_minute: int, permits: int, expected: float) -> None:
    bucket = TokenBucket(per_minute, burst=10, clock=ManualClock())
    bucket.take(10)
    with pytest.raises(
        Throttled, match=rf"^no permit left for {permits} more at {per_minute} a minute; retry in"
    ) as caught:
        bucket.take(permits)
    assert expected == caught.value.retry_after_s


def test_a_refusal_takes_nothing() -> None:
    bucket = TokenBucket(60, burst=10, clock=ManualClock())
    bucket.take(8)
    assert [taken(bucket, 3) for _ in range(5)] == [False] * 5
    assert drain(bucket) == 2


@given(
    per_minute=st.integers(1, 100_000),
    burst=st.integers(1, 1000),
    steps=st.lists(st.tuples(st.floats(0, 120), st.integers(1, 1000))),
)
def test_waiting_as_long_as_told_is_enough_and_no_shorter(
    per_minute: int, burst: int, steps: list[tuple[float, int]]
) -> None:
    clock = ManualClock()
    bucket = TokenBucket(per_minute, burst=burst, clock=clock)
    for seconds, permits in steps:
        clock.advance(seconds)
        try:
            bucket.take(min(permits, burst))
        except Throttled as refused:
            wait_s = refused.retry_after_s
            clock.advance(max(0.0, wait_s - 2e-6))
            assert wait_s <= 2e-6 or not taken(bucket, min(permits, burst))
            clock.advance(2e-6)
            assert taken(bucket, min(permits, burst))


@given(
    per_minute=st.integers(1, 10_000),
    burst=st.integers(1, 500),
    steps=st.lists(st.tuples(st.floats(0, 90), st.integers(1, 500)), max_size=60),
)
def test_no_span_of_time_gets_more_than_burst_and_rate(
    per_minute: int, burst: int, steps: list[tuple[float, int]]
) -> None:
    clock = ManualClock()
    bucket = TokenBucket(per_minute, burst=burst, clock=clock)
    granted: list[tuple[float, int]] = []
    for seconds, permits in steps:
        clock.advance(seconds)
        if permits <= burst and taken(bucket, permits):
            granted.append((clock.monotonic(), permits))
    for first in range(len(granted)):
        total = 0
        for at, permits in granted[first:]:
            total += permits
            assert total <= burst + per_minute * (at - granted[first][0]) / 60 + 1e-6


def test_different_sizes_are_counted_by_their_size() -> None:
    bucket = TokenBucket(60, burst=11, clock=ManualClock())
    assert [taken(bucket, permits) for permits in (10, 1, 1)] == [True, True, False]


def test_more_than_it_can_ever_hold_fails_at_once_and_takes_nothing() -> None:
    bucket = TokenBucket(60, burst=5, clock=ManualClock())
    with pytest.raises(CallInvalid, match="permits: expected at most 5, which is all the bucket can hold, found 6"):
        bucket.take(6)
    assert drain(bucket) == 5


@pytest.mark.parametrize(
    "value", [0, -5, 0.5, 1.0, float("inf"), float("nan"), True, "300", None, MAX_PERMITS + 1, 10**400]
)
@pytest.mark.parametrize("name", ["permits_per_minute", "burst", "permits"])
def test_what_is_no_whole_number_from_one_is_refused(name: str, value: object) -> None:
    if (name, value) == ("burst", None):
        return
    with pytest.raises(CallInvalid, match=rf"^{name}: expected a whole number from 1 to {MAX_PERMITS}, found"):
        make_and_take(**{name: value})


def make_and_take(permits_per_minute: object = 60, burst: object = None, permits: object = 1) -> None:
    """Hand anything in, as callers without types do."""
    untyped: dict[str, object] = {"permits_per_minute": permits_per_minute, "burst": burst, "clock": ManualClock()}
    TokenBucket(**untyped).take(permits)  # type: ignore[arg-type]  # what is tested


class StaleClock(ManualClock):
    """A clock whose readings go back now and then, as when threads are held up between reading and using."""

    def __init__(self, readings: list[float]) -> None:
        """Give out these readings, the last one again and again."""
        super().__init__()
        self._readings: Iterator[float] = iter(readings)
        self._last = 0.0

    def monotonic(self) -> float:
        """Return the next reading."""
        self._last = next(self._readings, self._last)
        return self._last


@given(st.lists(st.floats(0, 600), max_size=200))
def test_readings_that_go_back_mint_no_permits(readings: list[float]) -> None:
    bucket = TokenBucket(60, burst=10, clock=StaleClock([0.0, *readings]))
    granted = sum(taken(bucket) for _ in readings)
    assert granted <= 10 + max(readings, default=0.0) * 60 / 60 + 1


def test_the_wall_clock_does_not_matter() -> None:
    clock = ManualClock()
    bucket = TokenBucket(60, burst=2, clock=clock)
    drain(bucket)
    clock.jump_to("2020-01-01T00:00:00Z")
    assert not taken(bucket)
    clock.advance(1)
    assert taken(bucket)


def test_threads_share_exactly_the_permits_that_are_there() -> None:
    bucket = TokenBucket(60, burst=1000, clock=ManualClock())
    start = threading.Barrier(8)
    counts: list[int] = []

    def work() -> None:
        start.wait(timeout=30)
        counts.append(sum(taken(bucket) for _ in range(400)))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert (sum(counts), len(counts)) == (1000, 8)


@given(st.lists(st.floats(0, 30), max_size=30))
def test_the_fill_is_a_share_that_never_falls_by_itself(pauses: list[float]) -> None:
    clock = ManualClock()
    bucket = TokenBucket(60, burst=20, clock=clock)
    bucket.take(20)
    fills = [bucket.fill]
    for pause in pauses:
        clock.advance(pause)
        fills.append(bucket.fill)
    assert all(0 <= before <= after <= 1 for before, after in pairwise(fills))


def test_many_buckets_start_no_threads() -> None:
    before = threading.active_count()
    buckets = [TokenBucket(clock=ManualClock()) for _ in range(2000)]
    assert (before, 2000) == (threading.active_count(), len(buckets))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # a fork beside a thread is what is tested
def test_a_fork_while_another_thread_holds_the_lock_does_not_block_the_child() -> None:
    bucket = TokenBucket(60, burst=3, clock=ManualClock())
    bucket.take()
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with bucket.lock:
            held.set()
            done.wait(timeout=30)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(timeout=30)
    child = os.fork()
    if child == 0:
        # An alarm ends a child that blocks; what it could take is its exit code.
        import signal  # noqa: PLC0415  # in the child only

        signal.alarm(10)
        os._exit(drain(bucket))
    done.set()
    thread.join(timeout=30)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
