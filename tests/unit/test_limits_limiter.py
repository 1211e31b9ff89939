"""The limiter from outside: all dimensions or none, corrections, refunds, places, pauses, and what it refuses."""

from __future__ import annotations

import gc
import threading
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.travel import in_threads, until
from tokencalc.clock import ManualClock
from tokencalc.errors import CallInvalid, Throttled
from tokencalc.limits.adapting import JITTER_SHARE
from tokencalc.limits.limiter import Limiter
from tokencalc.limits.waiting import Sweep
from tokencalc.providers.headers import RateWindow
from tokencalc.providers.signals import ProviderSignal

if TYPE_CHECKING:
    from tokencalc.limits.metrics import LimiterMetrics
    from tokencalc.limits.permits import Permit


@pytest.fixture
def clock() -> ManualClock:
    """Time that the test moves."""
    return ManualClock()


def take(limiter: Limiter, requests: int = 1, input_tokens: int = 0, output_tokens: int = 0) -> Permit | None:
    """Take permits if they are there at once."""
    try:
        return limiter.acquire(requests, input_tokens, output_tokens, timeout_s=0)
    except Throttled:
        return None


def taken(limiter: Limiter, requests: int = 1, input_tokens: int = 0, output_tokens: int = 0) -> bool:
    """Tell whether permits were there at once."""
    return take(limiter, requests, input_tokens, output_tokens) is not None


def drain(limiter: Limiter) -> int:
    """Take single permits until there are none, and count them."""
    number = 0
    while taken(limiter):
        number += 1
    return number


def test_300_a_minute_with_a_burst_of_one_minute_is_the_default(clock: ManualClock) -> None:
    limiter = Limiter(clock=clock)
    assert (drain(limiter), limiter.metrics().fill) == (300, 0.0)
    clock.advance(1)
    assert drain(limiter) == 5


@pytest.mark.parametrize(
    ("asked", "expected"),
    [((1, 50, 20), True), ((11, 1, 1), False), ((1, 101, 1), False), ((1, 1, 41), False), ((10, 100, 40), True)],
)
def test_all_dimensions_are_taken_together_or_none(
    clock: ManualClock, asked: tuple[int, int, int], expected: object
) -> None:
    limiter = Limiter(
        60, burst=20, input_tokens_per_minute=200, output_tokens_per_minute=80, concurrency=3, clock=clock
    )
    limiter.acquire(10, 100, 40).release()
    assert expected == taken(limiter, *asked)
    if not expected:
        assert taken(limiter, 10, 100, 40), "a refusal in one dimension leaves all others as they were"


@pytest.mark.parametrize("strict", [False, True])
def test_a_refusal_says_when_to_come_back_and_that_is_enough(clock: ManualClock, strict: object) -> None:
    limiter = Limiter(60, burst=10, strict=bool(strict), name="openai/gpt-4o", clock=clock)
    limiter.acquire(10)
    with pytest.raises(Throttled, match=r"^openai/gpt-4o: no permit left for 3 requests; retry in 3\.000 s$") as caught:
        limiter.acquire(3, timeout_s=2.9)
    assert (caught.value.retry_after_s, caught.value.values["requests"]) == (3.0, 3)
    clock.advance(3)
    assert taken(limiter, 3)


@pytest.mark.parametrize(
    ("asked", "match"),
    [
        ((6, 1, 1), "requests: expected at most 5, which is all that can ever pass at once, found 6"),
        ((1, 101, 1), "input_tokens: expected at most 100, which is all"),
        ((1, 1, 11), "output_tokens: expected at most 10, which is all"),
        ((0, 1, 1), "requests: expected a whole number from 1 to"),
        ((-5, 1, 1), "requests: expected a whole number from 1 to"),
        ((1, -1, 1), "input_tokens: expected a whole number from 0 to"),
        ((1, 1, 1.5), "output_tokens: expected a whole number from 0 to"),
        ((True, 1, 1), "requests: expected a whole number from 1 to"),
        ((1, "9", 1), "input_tokens: expected a whole number from 0 to"),
    ],
)
@pytest.mark.parametrize("is_full", [True, False])
def test_what_can_never_pass_fails_at_once_even_behind_others(
    clock: ManualClock, asked: tuple[int, int, int], match: str, is_full: object
) -> None:
    limiter = Limiter(60, burst=5, input_tokens_per_minute=100, output_tokens_per_minute=10, clock=clock)
    if not is_full:
        limiter.acquire(5)
    with pytest.raises(CallInvalid, match=f"^{match}"):
        limiter.acquire(*asked, timeout_s=30)


@pytest.mark.parametrize(
    "limits",
    [
        {"requests_per_minute": 0},
        {"requests_per_minute": -1},
        {"requests_per_minute": float("inf")},
        {"requests_per_minute": float("nan")},
        {"requests_per_minute": None},
        {"burst": 0},
        {"input_tokens_per_minute": 0},
        {"output_tokens_per_minute": 2.5},
        {"concurrency": 0},
        {"concurrency": True},
    ],
)
def test_a_limit_is_a_whole_number_from_one(limits: dict[str, object]) -> None:
    name = next(iter(limits))
    with pytest.raises(CallInvalid, match=f"^{name}: expected a whole number from 1 to"):
        Limiter(**limits)  # type: ignore[arg-type]  # what is tested


@pytest.mark.parametrize("timeout_s", [-1, float("nan"), float("inf"), "3", True, 10**400])
def test_a_timeout_is_checked_even_where_nobody_waits(clock: ManualClock, timeout_s: object) -> None:
    with pytest.raises(CallInvalid, match=r"^timeout_s: expected seconds from 0 to \d+, or None, found"):
        Limiter(clock=clock).acquire(timeout_s=timeout_s)  # type: ignore[arg-type]  # what is tested


def test_the_wall_clock_does_not_matter(clock: ManualClock) -> None:
    limiter = Limiter(60, burst=2, clock=clock)
    drain(limiter)
    clock.jump_to("2020-01-01T00:00:00Z")
    assert not taken(limiter)
    clock.advance(1)
    assert taken(limiter)


@pytest.mark.parametrize(
    ("used", "expected"), [((100, 50), 0), ((60, 50), 40), ((0, 0), 100), ((None, None), 0), ((130, 50), -30)]
)
def test_a_correction_gives_back_or_leaves_a_debt(
    clock: ManualClock, used: tuple[int | None, int | None], expected: int
) -> None:
    limiter = Limiter(60, input_tokens_per_minute=100, output_tokens_per_minute=100, clock=clock)
    permit = limiter.acquire(1, 100, 50)
    for _ in range(3):
        permit.correct(input_tokens=used[0], output_tokens=used[1])
    if expected > 0:
        assert taken(limiter, 1, expected)
    assert not taken(limiter, 1, 1)
    clock.advance((1 - min(0, expected)) * 0.6)
    assert taken(limiter, 1, 1)


@pytest.mark.parametrize("value", [-1, 1.5, True, "7"])
def test_a_correction_by_what_is_no_count_is_refused(clock: ManualClock, value: object) -> None:
    permit = Limiter(clock=clock).acquire()
    with pytest.raises(CallInvalid, match=r"^output_tokens: expected a whole number from 0"):
        permit.correct(output_tokens=value)  # type: ignore[arg-type]  # what is tested


@dataclass
class Taken:
    """A permit that a test has, what it stands for, and whether it can be corrected or refunded still."""

    permit: Permit
    requests: int
    tokens: int
    is_open: bool = True
    flies: bool = True

    def do(self, step: str) -> None:
        """Do one thing with it, and keep the account."""
        if step == "refund":
            self.permit.refund()
            if self.is_open:
                self.requests = self.tokens = 0
        elif step == "correct":
            self.permit.correct(input_tokens=5)
            if self.is_open:
                self.tokens = 5
        else:
            self.permit.release()
        self.is_open = self.is_open and step == "release"
        self.flies = self.flies and step == "correct"


@given(st.lists(st.tuples(st.sampled_from(["take", "refund", "correct", "release"]), st.integers(0, 9)), max_size=60))
def test_nothing_is_lost_or_made_by_any_order_of_calls(steps: list[tuple[str, int]]) -> None:
    clock = ManualClock()
    limiter = Limiter(60, burst=20, input_tokens_per_minute=100, concurrency=8, clock=clock)
    all_taken: list[Taken] = []
    for step, number in steps:
        if step == "take":
            permit = take(limiter, 1 + number % 3, number)
            if permit is not None:
                all_taken.append(Taken(permit, 1 + number % 3, number))
        elif all_taken:
            all_taken[number % len(all_taken)].do(step)
        metrics = limiter.metrics()
        assert metrics.in_flight == sum(one.flies for one in all_taken)
        assert round(metrics.fill * 20) == 20 - sum(one.requests for one in all_taken)
    for one in all_taken:
        one.do("release")
    requests, tokens = 20 - sum(one.requests for one in all_taken), 100 - sum(one.tokens for one in all_taken)
    if requests > 0 and tokens >= 0:
        assert taken(limiter, requests, tokens)
        assert not taken(limiter)


def test_a_place_comes_back_by_release_by_with_and_by_being_forgotten(clock: ManualClock) -> None:
    limiter = Limiter(concurrency=1, clock=clock)
    permit = limiter.acquire()
    with pytest.raises(Throttled, match=r"all 1 concurrent calls are in flight; retry in 1\.000 s"):
        limiter.acquire(timeout_s=0)
    permit.release()
    with limiter.acquire():
        assert not taken(limiter)
    forgotten = limiter.acquire(timeout_s=0)
    del forgotten
    gc.collect()
    assert limiter.metrics().in_flight == 0
    assert taken(limiter)


def test_a_finalizer_that_runs_inside_the_lock_does_not_block(clock: ManualClock) -> None:
    limiter = Limiter(concurrency=1, clock=clock)
    permit = limiter.acquire()
    with limiter.lock:
        permit.release()
    assert taken(limiter), "whoever has the lock next takes back what was put down"


def test_threads_share_exactly_the_permits_that_are_there(clock: ManualClock) -> None:
    limiter = Limiter(60, burst=1000, input_tokens_per_minute=5000, concurrency=10**6, clock=clock)
    counts = in_threads(8, lambda: sum(taken(limiter, 1, 3) for _ in range(400)))
    assert sum(counts) == 1000


def test_threads_wait_in_the_order_in_which_they_came(clock: ManualClock) -> None:
    limiter = Limiter(60, burst=5, clock=clock)
    limiter.acquire(5)
    served: list[int] = []
    threads = []
    for number, amount in enumerate((5, 1, 1)):

        def work(number: int = number, amount: int = amount) -> None:
            limiter.acquire(amount)
            served.append(number)

        threads.append(threading.Thread(target=work, daemon=True))
        threads[-1].start()
        until(lambda number=number: limiter.metrics().waiting == number + 1)  # type: ignore[misc]  # of this round
    for seconds, expected in ((4.9, []), (0.1, [0]), (1, [0, 1]), (1, [0, 1, 2])):
        clock.advance(seconds)
        limiter.wake()
        until(lambda expected=expected: served == expected)  # type: ignore[misc]  # of this round
    for thread in threads:
        thread.join(timeout=30)


def test_eight_threads_take_and_give_back_for_a_while_and_all_end() -> None:
    limiter = Limiter(10**6, burst=20, input_tokens_per_minute=10**9, concurrency=3)

    def work() -> int:
        chance = Random(threading.get_ident())  # noqa: S311  # amounts of a test
        for _ in range(300):
            with limiter.acquire(chance.randint(1, 3), chance.randint(0, 50)) as permit:
                if chance.random() < 0.3:
                    permit.refund()
                else:
                    permit.correct(input_tokens=chance.randint(0, 60))
        return 300

    assert in_threads(8, work) == [300] * 8
    metrics = limiter.metrics()
    assert (metrics.granted, metrics.in_flight, metrics.waiting) == (2400, 0, 0)


def test_thousands_of_limiters_start_no_threads(clock: ManualClock) -> None:
    before = threading.active_count()
    limiters = [Limiter(clock=clock) for _ in range(10_000)]
    for limiter in limiters[:100]:
        limiter.acquire()
    assert (before, 10_000) == (threading.active_count(), len(limiters))


def test_a_thread_that_waits_is_woken_by_a_release(clock: ManualClock) -> None:
    limiter = Limiter(concurrency=1, clock=clock)
    first = limiter.acquire()
    found: list[float] = []
    thread = threading.Thread(target=lambda: found.append(limiter.acquire().waited_s), daemon=True)
    thread.start()
    until(lambda: limiter.metrics().waiting == 1)
    clock.advance(2)
    first.release()
    thread.join(timeout=30)
    assert found == [2.0]


def test_a_wait_that_ends_in_nothing_takes_nothing(clock: ManualClock) -> None:
    limiter = Limiter(60, concurrency=1, clock=clock)
    first = limiter.acquire()
    failed: list[Throttled] = []

    def work() -> None:
        with pytest.raises(Throttled, match="all 1 concurrent calls are in flight") as caught:
            limiter.acquire(timeout_s=5)
        failed.append(caught.value)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    until(lambda: limiter.metrics().waiting == 1)
    clock.advance(6)
    first.release()
    thread.join(timeout=30)
    assert len(failed) == 1
    metrics = limiter.metrics()
    assert (metrics.refused, metrics.waiting, metrics.in_flight, metrics.fill) == (1, 0, 0, 1.0)


class Unlucky(Random):
    """Chance that always says the same."""

    def __init__(self, value: float) -> None:
        """Say this."""
        super().__init__(0)
        self.value = value

    def random(self) -> float:
        """Return it."""
        return self.value


@pytest.mark.parametrize(
    ("pauses", "expected"),
    [([10.0], 10.0), ([10.0, 4.0], 10.0), ([4.0, 10.0], 10.0), ([None], 1.0), ([10.0, None], 10.0)],
)
def test_of_two_pauses_the_later_end_counts(clock: ManualClock, pauses: list[float | None], expected: float) -> None:
    limiter = Limiter(clock=clock, random=Unlucky(0.0))
    for retry_after_s in pauses:
        limiter.observe(ProviderSignal(kind="throttled", retry_after_s=retry_after_s))
    with pytest.raises(Throttled, match="no permit left") as caught:
        limiter.acquire(timeout_s=0)
    assert expected == caught.value.retry_after_s == limiter.metrics().paused_s
    clock.advance(expected)
    assert taken(limiter)


def test_a_pause_is_never_shorter_than_asked_and_differs_from_process_to_process(clock: ManualClock) -> None:
    ends = set()
    for seed in range(20):
        limiter = Limiter(clock=clock, random=Random(seed))  # noqa: S311  # jitter is no secret
        limiter.observe(ProviderSignal(kind="throttled", retry_after_s=8.0))
        ends.add(limiter.metrics().paused_s)
    assert len(ends) == 20
    assert 8 <= min(ends) < max(ends) <= 8 * (1 + JITTER_SHARE)


@pytest.mark.parametrize("kind", ["ok", "invalid", "server_error", "quota_exhausted"])
def test_only_what_asks_for_a_pause_pauses(clock: ManualClock, kind: str) -> None:
    limiter = Limiter(clock=clock)
    limiter.observe(ProviderSignal(kind=kind))  # type: ignore[arg-type]  # of the list
    assert taken(limiter)


def window(dimension: str, limit: int | None, remaining: int | None, **more: float) -> ProviderSignal:
    """Make the signal of a good answer with one rate limit."""
    dimensions = {"tokens": ("input_tokens", "output_tokens")}.get(dimension, (dimension,))
    reset_s, period_s = more.get("reset_s"), more.get("period_s", 60.0)
    found = RateWindow(
        dimensions=dimensions,  # type: ignore[arg-type]  # of the rows below
        limit=limit, remaining=remaining, reset_s=reset_s, period_s=period_s,
    )  # fmt: skip
    return ProviderSignal(kind="ok", status=200, windows=(found,))


@pytest.mark.parametrize(
    ("signal", "expected"),
    [
        (window("requests", 10_000, 9_999), 100),
        (window("requests", 60, 40), 40),
        (window("requests", 60, None), 60),
        (window("requests", None, 3), 3),
        (window("requests", 10, 10, period_s=10), 10),
        (window("requests", 14_400, 14_000, period_s=86_400), 100),
        (window("requests", 14_400, 0, period_s=86_400, reset_s=600.0), 0),
        (window("input_tokens", 500, 30), 3),
        (window("tokens", 500, 45), 4),
        (window("output_tokens", 500, 30), 100),
    ],
)
def test_headers_lower_what_may_pass_and_never_raise_it(
    clock: ManualClock, signal: ProviderSignal, expected: int
) -> None:
    limiter = Limiter(100, input_tokens_per_minute=1000, clock=clock)
    limiter.observe(signal)
    number = 0
    while taken(limiter, 1, 10):
        number += 1
    assert expected == number


def test_a_day_that_is_used_up_pauses_until_it_is_over(clock: ManualClock) -> None:
    limiter = Limiter(clock=clock, random=Unlucky(0.0))
    limiter.observe(window("requests", 14_400, 0, period_s=86_400, reset_s=600.0))
    assert limiter.metrics().paused_s == 600


def test_a_pause_turns_away_at_once_who_cannot_be_in_time(clock: ManualClock) -> None:
    limiter = Limiter(60, burst=1, clock=clock)
    limiter.acquire()
    failed: list[float] = []

    def work() -> None:
        with pytest.raises(Throttled, match="no permit left") as caught:
            limiter.acquire(timeout_s=5)
        failed.append(caught.value.retry_after_s)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    until(lambda: limiter.metrics().waiting == 1)
    limiter.observe(ProviderSignal(kind="throttled", retry_after_s=100.0))
    thread.join(timeout=30)
    assert failed[0] >= 100


def test_the_callback_hears_of_each_wait_outside_the_lock_and_may_fail(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[LimiterMetrics] = []

    def callback(metrics: LimiterMetrics) -> None:
        assert limiter.lock.acquire(blocking=False)
        limiter.lock.release()
        heard.append(metrics)
        raise RuntimeError("somebody else's mistake")

    limiter = Limiter(60, burst=1, name="acme", monitoring_callback=callback, clock=clock)
    limiter.acquire()
    for number in (1, 2):
        thread = threading.Thread(target=limiter.acquire, daemon=True)
        thread.start()
        until(lambda: limiter.metrics().waiting == 1)
        clock.advance(1)
        limiter.wake()
        thread.join(timeout=30)
        assert [metrics.waited for metrics in heard] == list(range(1, number + 1))
    assert caplog.text.count("the monitoring callback of acme raised; told once") == 1


def test_a_place_that_only_a_cycle_holds_is_found_by_who_waits_for_it() -> None:
    limiter = Limiter(concurrency=1)
    gc.collect()
    gc.disable()
    try:
        left: dict[str, object] = {"permit": limiter.acquire()}
        left["itself"] = left
        del left
        assert limiter.metrics().in_flight == 1
        limiter.acquire(timeout_s=10).release()
    finally:
        gc.enable()
    assert limiter.metrics().in_flight == 0


def test_looking_for_places_that_nobody_holds_takes_a_hundredth_of_the_time_at_most() -> None:
    clock = ManualClock()
    runs: list[int] = []

    def collecting(phase: str, _info: object) -> None:
        if phase == "start":
            runs.append(clock.monotonic_ns())
            clock.advance(0.5)

    sweep = Sweep()
    gc.disable()
    gc.callbacks.append(collecting)
    try:
        for _ in range(120):
            sweep.run(clock.monotonic_ns)
            clock.advance(1)
    finally:
        gc.callbacks.remove(collecting)
        gc.enable()
    assert len(runs) == 3
