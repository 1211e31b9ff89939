"""When to try again: what is retried, how long it waits, and that nobody waits the same."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.travel import in_threads
from tokencalc.errors import CallInvalid
from tokencalc.limits.retry import NO_RETRIES, RetryPolicy, attempts_after
from tokencalc.providers.signals import ProviderSignal, SignalKind

if TYPE_CHECKING:
    from collections.abc import Callable


def seeded(number: int = 0) -> Random:
    """Return chance that is the same each run."""
    return Random(number)  # noqa: S311  # jitter is no secret


@pytest.mark.parametrize(
    ("expected", "attempt", "kind"),
    [
        (True, 1, "throttled"),
        (True, 2, "overloaded"),
        (True, 2, "network"),
        (False, 3, "throttled"),
        (False, 1, "quota_exhausted"),
        (False, 1, "invalid"),
        (False, 1, "unauthorized"),
        (False, 1, "cancelled"),
        (False, 1, "refused"),
        (False, 1, "ok"),
    ],
)
def test_what_may_go_well_later_is_tried_three_times_in_all(expected: object, attempt: int, kind: SignalKind) -> None:
    wait_s = RetryPolicy(random=seeded()).next_wait_s(attempt, ProviderSignal(kind=kind))
    assert expected == (wait_s is not None)


@given(attempt=st.integers(1, 90), seed=st.integers(0, 1000))
def test_the_wait_doubles_up_to_its_longest_and_keeps_at_least_half(attempt: int, seed: int) -> None:
    policy = RetryPolicy(attempts_max=100, wait_s=0.5, wait_s_max=30, random=seeded(seed))
    doubled = min(30.0, 0.5 * 2 ** (attempt - 1))
    wait_s = policy.next_wait_s(attempt, ProviderSignal(kind="server_error"))
    assert wait_s is not None
    assert doubled / 2 <= wait_s <= doubled


@given(retry_after_s=st.floats(0, 120), seed=st.integers(0, 1000))
def test_retry_after_is_waited_in_full_and_a_little_more(retry_after_s: float, seed: int) -> None:
    policy = RetryPolicy(random=seeded(seed))
    wait_s = policy.next_wait_s(1, ProviderSignal(kind="throttled", retry_after_s=retry_after_s))
    assert wait_s is not None
    assert retry_after_s <= wait_s <= retry_after_s * 1.25 + 0.125


def test_twenty_workers_that_are_told_the_same_come_back_at_twenty_moments() -> None:
    signal = ProviderSignal(kind="throttled", retry_after_s=60.0)
    assert len({RetryPolicy(random=seeded(number)).next_wait_s(1, signal) for number in range(20)}) == 20
    assert len({RetryPolicy().next_wait_s(1, signal) for _ in range(20)}) == 20


def test_the_same_seed_waits_the_same() -> None:
    signal = ProviderSignal(kind="overloaded")
    first, second = ([policy.next_wait_s(1, signal) for _ in range(5)] for policy in (
        RetryPolicy(random=seeded(7)), RetryPolicy(random=seeded(7))))  # fmt: skip
    assert first == second


def test_a_provider_that_asks_for_too_much_is_not_waited_for() -> None:
    signal = ProviderSignal(kind="throttled", retry_after_s=120.1)
    assert RetryPolicy().next_wait_s(1, signal) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [("attempts_max", 0), ("attempts_max", 101), ("attempts_max", True), ("wait_s", -1), ("wait_s_max", float("nan")),
     ("retry_after_s_max", float("inf")), ("jitter_share", "a lot")],
)  # fmt: skip
def test_a_policy_is_checked(name: str, value: object) -> None:
    with pytest.raises(CallInvalid, match=f"^{name}: expected a"):
        RetryPolicy(**{name: value})  # type: ignore[arg-type]  # what is tested


class Script:
    """A call that fails as written, and remembers how often it was made."""

    def __init__(self, *ends: BaseException | str) -> None:
        """Fail with these, or return them."""
        self.ends = list(ends)
        self.calls = 0

    def __call__(self) -> str:
        """Do the next."""
        end = self.ends[self.calls]
        self.calls += 1
        if isinstance(end, BaseException):
            raise end
        return end


def run(call: Callable[[], str], policy: RetryPolicy, waits: list[float]) -> str:
    """Call as a client does: the first attempt bare, the others by tenacity."""
    try:
        return call()
    except Exception as error:  # noqa: BLE001  # what clients do
        return str(attempts_after(error, policy, sleep=waits.append)(call))


@pytest.mark.parametrize(
    ("ends", "calls", "expected"),
    [
        (["done"], 1, "done"),
        ([TimeoutError(), "done"], 2, "done"),
        ([TimeoutError(), ConnectionError(), "done"], 3, "done"),
        ([TimeoutError(), TimeoutError("last"), TimeoutError("never")], 3, "never"),
        ([ValueError("mistake")], 1, "mistake"),
        ([TimeoutError(), ValueError("mistake")], 2, "mistake"),
        ([TimeoutError(), KeyboardInterrupt("stop")], 2, "stop"),
        ([TimeoutError(), asyncio.CancelledError("stop")], 2, "stop"),
        ([KeyboardInterrupt("stop")], 1, "stop"),
    ],
)
def test_attempts_end_with_the_first_success_or_the_first_error_that_stays(
    ends: list[BaseException | str], calls: int, expected: str
) -> None:
    script = Script(*ends)
    waits: list[float] = []
    try:
        found = run(script, RetryPolicy(random=seeded()), waits)
    except BaseException as error:  # noqa: BLE001  # interrupts are among the rows
        found = str(error)
    assert (found, script.calls, len(waits)) == (expected, calls, calls - 1)
    assert waits == sorted(waits)


def test_without_retries_the_error_goes_to_the_caller() -> None:
    with pytest.raises(TimeoutError, match=r"^first$"):
        run(Script(TimeoutError("first"), "done"), NO_RETRIES, [])


def test_threads_that_share_a_policy_do_not_share_their_attempts() -> None:
    policy = RetryPolicy()

    def work() -> int:
        script = Script(TimeoutError(), TimeoutError(), "done")
        run(script, policy, [])
        return script.calls

    assert in_threads(8, work) == [3] * 8
