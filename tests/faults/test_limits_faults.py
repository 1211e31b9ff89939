"""What may go wrong around a limiter: interrupts between any two steps, forks, finalizers in the middle of things."""

from __future__ import annotations

import os
import sys
import threading
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from tokencalc.clock import ManualClock
from tokencalc.errors import BreakerOpen, Throttled
from tokencalc.limits.breaker import Breaker, BreakerProfile
from tokencalc.limits.limiter import Limiter

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from tokencalc.limits.locks import LockOwner

LIMITS = os.path.join("tokencalc", "limits")  # noqa: PTH118  # compared with a frame's file name
CHILD_S = 20


class Interrupt:
    """Raises KeyboardInterrupt at the n-th moment at which Python could handle a signal inside the limits' code.

    Signals are handled where a function begins and where one written in C returns; those in a
    finalizer are swallowed by Python itself.
    """

    def __init__(self, moment: int) -> None:
        """Wait for this moment."""
        self.left = moment

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        """Count one event of the profiler."""
        if event in {"call", "c_return"} and LIMITS in frame.f_code.co_filename and not in_finalizer(frame):
            self.left -= 1
            if self.left == 0:
                sys.setprofile(None)
                raise KeyboardInterrupt

    def during(self, work: Callable[[], object]) -> bool:
        """Do the work; return whether it was interrupted."""
        sys.setprofile(self)
        try:
            work()
        except KeyboardInterrupt:
            return True
        finally:
            sys.setprofile(None)
        return False


def in_finalizer(frame: FrameType | None) -> bool:
    """Tell whether a frame is, or was called by, a finalizer."""
    while frame is not None and frame.f_code.co_name != "__del__":
        frame = frame.f_back
    return frame is not None


class MovingClock(ManualClock):
    """A clock that moves on by a fifth of a millisecond whenever somebody looks."""

    def monotonic_ns(self) -> int:
        """Move on, and tell."""
        self._monotonic_ns += 200_000
        return self._monotonic_ns


def limiter_of(kind: str, clock: ManualClock) -> Limiter:
    """Make a limiter on which the next caller passes at once, or waits for a millisecond."""
    burst = 1 if kind == "waits" else 5
    limiter = Limiter(
        60_000, burst=burst, strict=True, input_tokens_per_minute=10**6, concurrency=3, clock=clock, name=kind
    )
    limiter.acquire(1, 10).release()
    return limiter


@pytest.mark.parametrize("kind", ["passes", "waits"])
def test_an_acquire_that_is_interrupted_anywhere_has_taken_nothing(kind: str) -> None:
    moments = 0
    for moment in count(1):
        clock = MovingClock()
        limiter = limiter_of(kind, clock)
        before = [(gate.copy(), gate) for _, gate in limiter._line.gates]
        if not Interrupt(moment).during(lambda limiter=limiter: limiter.acquire(1, 500)):  # type: ignore[misc]  # of this round
            break
        moments += 1
        now = ManualClock.monotonic_ns(clock) + 60_000
        assert not limiter.lock.locked(), moment
        assert [gate.level(now) for gate, _ in before] == [gate.level(now) for _, gate in before], moment
        metrics = limiter.metrics()
        assert (metrics.waiting, metrics.in_flight) == (0, 0), moment
    assert moments > 10


@pytest.mark.parametrize("verb", ["correct", "refund", "release", "observe", "metrics"])
def test_an_interrupt_in_another_verb_leaves_a_limiter_that_works(verb: str) -> None:
    for moment in count(1):
        clock = ManualClock()
        limiter = Limiter(60, burst=2, input_tokens_per_minute=1000, concurrency=1, clock=clock)
        permit = limiter.acquire(1, 500)
        verbs: dict[str, Callable[[], Any]] = {
            "correct": lambda permit=permit: permit.correct(input_tokens=100),  # type: ignore[misc]  # of this round
            "refund": permit.refund,
            "release": permit.release,
            "observe": lambda limiter=limiter: limiter.wake(),  # type: ignore[misc]  # of this round
            "metrics": limiter.metrics,
        }
        was_interrupted = Interrupt(moment).during(verbs[verb])
        assert not limiter.lock.locked()
        permit.release()
        assert limiter.metrics().in_flight == 0, moment
        clock.advance(120)
        limiter.acquire(2, 1000, timeout_s=0)
        if not was_interrupted:
            break


def test_a_probe_that_is_interrupted_anywhere_gives_its_place_back() -> None:
    for moment in count(1):
        clock = ManualClock()
        breaker = Breaker(BreakerProfile(failures=1, open_s=10), clock=clock)
        breaker.enter().failed()
        clock.advance(10)
        was_interrupted = Interrupt(moment).during(lambda breaker=breaker: breaker.enter())  # type: ignore[misc]  # of this round
        assert not breaker.lock.locked()
        breaker.enter().succeeded()
        assert breaker.state == "closed"
        if not was_interrupted:
            break
    assert moment > 3


def in_child(work: Callable[[], int]) -> int:
    """Fork, do the work in the child, and return what it returned; a child that blocks is ended."""
    child = os.fork()
    if child == 0:
        import signal  # noqa: PLC0415  # in the child only

        signal.alarm(CHILD_S)
        os._exit(work())
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def while_held(owner: LockOwner, work: Callable[[], int]) -> int:
    """Do the work while another thread has the owner's lock."""
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with owner.lock:
            held.set()
            done.wait(timeout=30)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(timeout=30)
    found = work()
    done.set()
    thread.join(timeout=30)
    return found


def drain(limiter: Limiter) -> int:
    """Take single permits until there are none, and count them."""
    kept = []
    while True:
        try:
            kept.append(limiter.acquire(timeout_s=0))
        except Throttled:
            return len(kept)


FORKS = pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")


@FORKS
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # a fork beside a thread is what is tested
def test_a_fork_while_another_thread_holds_the_lock_does_not_block_the_child() -> None:
    limiter = Limiter(60, burst=3, clock=ManualClock())
    limiter.acquire()
    assert while_held(limiter, lambda: in_child(lambda: drain(limiter))) == 2


@FORKS
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_has_nobody_in_line_and_no_call_in_flight() -> None:
    limiter = Limiter(60, burst=9, concurrency=2, clock=ManualClock())
    mine, other = limiter.acquire(), limiter.acquire()
    waits = threading.Thread(target=limiter.acquire, daemon=True)
    waits.start()
    while limiter.metrics().waiting == 0:
        threading.Event().wait(0.001)

    def child() -> int:
        mine.release()  # the parent's: it is not the child's to give back
        metrics = limiter.metrics()
        return 10 * metrics.waiting + metrics.in_flight + drain(limiter)

    assert in_child(child) == 2
    other.release()
    waits.join(timeout=30)
    assert limiter.metrics().in_flight == 1


@FORKS
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_fork_while_a_breakers_lock_is_held_does_not_block_the_child() -> None:
    breaker = Breaker(BreakerProfile(failures=1), clock=ManualClock())
    breaker.enter().failed()

    def child() -> int:
        try:
            breaker.enter()
        except BreakerOpen:
            return 7
        return 1

    assert while_held(breaker, lambda: in_child(child)) == 7
