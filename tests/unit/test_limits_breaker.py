"""The breaker as text: what happens on the left, the state and what a caller hears on the right."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.travel import in_threads
from tokencalc.clock import ManualClock
from tokencalc.errors import BreakerOpen, CallInvalid, Throttled
from tokencalc.limits.breaker import (
    FIVE_FAILURES,
    HALF_FAILING,
    MAX_OPEN_S,
    TRANSITIONS,
    Breaker,
    BreakerProfile,
    Lease,
)
from tokencalc.providers.signals import ProviderSignal

if TYPE_CHECKING:
    from collections.abc import Callable

# ask: a caller enters; ok, bad and none: the oldest lease that is out ends so, or a new one where none is out;
# drop: the oldest lease is forgotten; look: a caller looks; a number: seconds pass
SCRIPTS = [
    ("closed lets everybody through", "ask ask", "closed yes yes"),
    ("fewer failures than the limit change nothing", "bad bad ask", "closed yes"),
    ("the last failure in a row opens it", "bad bad bad ask", "open no:300"),
    ("a success ends the row", "bad bad ok bad bad ask", "closed yes"),
    ("a neutral end does not", "bad bad none bad ask", "open no:300"),
    ("neutral ends alone never open it", "none none none none ask", "closed yes"),
    ("it stays open for its time", "bad bad bad 299 ask", "open no:1"),
    ("then one probe goes out", "bad bad bad 300 ask", "half_open yes"),
    ("and only one", "bad bad bad 300 ask ask ask", "half_open yes no:300 no:300"),
    ("looking takes no probe", "bad bad bad look 300 look look ask look", "half_open no:300 yes yes yes no:300"),
    ("a good probe closes it", "bad bad bad 300 ask ok ask ask", "closed yes yes yes"),
    ("after closing, the row starts anew", "bad bad bad 300 ask ok bad bad ask", "closed yes yes"),
    ("a bad probe opens it for the whole time again", "bad bad bad 300 ask bad 299 ask", "open yes no:1"),
    ("a probe after that is one again", "bad bad bad 300 ask bad 300 ask ask", "half_open yes yes no:300"),
    ("a neutral probe gives its place back", "bad bad bad 300 ask none ask ask", "half_open yes yes no:300"),
    ("a forgotten probe gives its place back", "bad bad bad 300 ask drop ask", "half_open yes yes"),
    ("a lost probe's place comes back in time", "bad bad bad 300 ask 299 ask 1 ask", "half_open yes no:1 yes"),
    ("answers from before the opening leave it open", "ask bad2 bad2 bad2 ok ask", "open yes no:300"),
    ("failures from before make nobody wait longer", "ask bad2 bad2 bad2 100 bad ask", "open yes no:200"),
    ("nor do they fail a probe", "ask bad2 bad2 bad2 300 ask bad ask", "half_open yes yes no:300"),
    ("nor do successes from before pass for one", "ask bad2 bad2 bad2 300 ask ok ask", "half_open yes yes no:300"),
]  # fmt: skip


@pytest.mark.parametrize(("script", "expected"), [row[1:] for row in SCRIPTS], ids=[row[0] for row in SCRIPTS])
def test_script(script: str, expected: str) -> None:
    clock = ManualClock()
    breaker = Breaker(BreakerProfile(failures=3, open_s=300), clock=clock)
    leases: list[Lease] = []
    heard = [answer for step in script.split() if (answer := play(breaker, clock, leases, step))]
    assert expected == " ".join([breaker.state, *heard])


def play(breaker: Breaker, clock: ManualClock, leases: list[Lease], step: str) -> str:
    """Do one step, and return what a caller heard."""
    if step in {"ask", "look"}:
        return asked(lambda: leases.append(breaker.enter()) if step == "ask" else breaker.look())
    if step == "drop":
        leases.pop(0)
        gc.collect()
    elif step == "bad2":
        breaker.enter().failed()
    elif step in ENDS:
        ENDS[step](leases.pop(0) if leases else breaker.enter())
    else:
        clock.advance(int(step))
    return ""


# Not the base class's methods: a probe has its own.
ENDS: dict[str, Callable[[Lease], None]] = {
    "ok": lambda lease: lease.succeeded(),
    "bad": lambda lease: lease.failed(),
    "none": lambda lease: lease.neutral(),
}


def asked(question: Callable[[], object]) -> str:
    """Return yes, or no and the seconds to wait."""
    try:
        question()
    except BreakerOpen as refused:
        return f"no:{refused.retry_after_s:g}"
    return "yes"


def test_five_failures_and_five_minutes_are_the_default() -> None:
    assert (FIVE_FAILURES.failures, FIVE_FAILURES.open_s, FIVE_FAILURES.failure_rate) == (5, 300, None)
    breaker = Breaker(clock=ManualClock())
    states = []
    for _ in range(5):
        breaker.enter().failed()
        states.append(breaker.state)
    assert states == ["closed"] * 4 + ["open"]


# S and F: calls that go well and fail; a number: seconds pass
@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("FFFFFFFFF", "closed"),  # nine are too few to judge
        ("FFFFFFFFFF", "open"),
        ("SSSSSFFFFF", "open"),
        ("SSSSSSFFFFF", "closed"),  # 5 of 11
        ("SSSSSSFFFFFF", "open"),
        ("FFFFFSSSSSS", "closed"),  # a success never opens it
        ("FFFFFFFFF 61 F", "closed"),  # a minute later they are forgotten
        ("FFFFF 30 FFFFF", "open"),
        ("SSSSSSSSSSSSSSSSSSSS 61 SSSSSFFFFF", "open"),
    ],
)
def test_a_rate_is_judged_within_its_window_and_from_its_minimum_on(script: str, expected: str) -> None:
    clock = ManualClock()
    breaker = Breaker(HALF_FAILING, clock=clock)
    for word in script.split():
        if word.isdecimal():
            clock.advance(int(word))
        else:
            for letter in word:
                lease = breaker.enter()
                lease.succeeded() if letter == "S" else lease.failed()
    assert expected == breaker.state


def test_several_probes_must_all_go_well() -> None:
    clock = ManualClock()
    breaker = Breaker(BreakerProfile(failures=1, open_s=30, probes=2), clock=clock)
    breaker.enter().failed()
    clock.advance(30)
    first, second = breaker.enter(), breaker.enter()
    with pytest.raises(BreakerOpen, match="2 of 2 probes are on their way"):
        breaker.enter()
    first.succeeded()
    assert breaker.state == "half_open"
    second.succeeded()
    assert (breaker.state, breaker.generation) == ("closed", 3)


def test_every_state_and_happening_of_the_table_is_met_by_the_scripts_and_no_other_changes_anything() -> None:
    assert {before for before, _ in TRANSITIONS} == {"closed", "open", "half_open"}
    assert sorted(TRANSITIONS.values()) == ["closed", "half_open", "open", "open"]


def test_a_refusal_says_why_and_when() -> None:
    breaker = Breaker(BreakerProfile(failures=1), clock=ManualClock())
    breaker.enter().failed()
    with pytest.raises(
        BreakerOpen, match=r"^the breaker is open after 1 failures in a row; retry in 300\.000 s$"
    ) as caught:
        breaker.enter()
    assert (caught.value.retry_after_s, caught.value.values["state"]) == (300.0, "open")


@given(st.floats(min_value=1e-6, max_value=MAX_OPEN_S), st.floats(min_value=0, max_value=0.999))
def test_waiting_as_long_as_told_is_enough(open_s: float, waited: float) -> None:
    clock = ManualClock()
    breaker = Breaker(BreakerProfile(failures=1, open_s=open_s), clock=clock)
    breaker.enter().failed()
    clock.advance(waited * open_s)
    with pytest.raises(BreakerOpen, match="retry in") as caught:
        breaker.enter()
    clock.advance(caught.value.retry_after_s)
    lease = breaker.enter()
    assert breaker.state == "half_open"
    del lease


def test_of_eight_threads_exactly_one_gets_the_probe() -> None:
    clock = ManualClock()
    breaker = Breaker(BreakerProfile(failures=1, open_s=1), clock=clock)
    breaker.enter().failed()
    clock.advance(1)
    kept: list[Lease] = []
    heard = in_threads(8, lambda: asked(lambda: kept.append(breaker.enter())))
    assert sorted(heard) == ["no:1"] * 7 + ["yes"]


def test_eight_calls_are_out_at_the_same_time_and_nobody_holds_the_lock() -> None:
    breaker = Breaker(clock=ManualClock())
    inside = threading.Barrier(8)

    def work() -> int:
        with breaker.enter():
            # Nobody leaves before all eight are inside: with a lock around the call this would never end.
            inside.wait(timeout=30)
            assert not breaker.lock.locked()
        return 1

    assert in_threads(8, work) == [1] * 8


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (asyncio.CancelledError(), "closed"),
        (KeyboardInterrupt(), "closed"),
        (GeneratorExit(), "closed"),
        (SystemExit(), "closed"),
        (Throttled("ours", retry_after_s=1.0), "closed"),
        (ValueError("a mistake"), "closed"),
        (TimeoutError(), "open"),
        (ConnectionResetError(), "open"),
    ],
)
def test_only_what_the_provider_did_counts(error: BaseException, expected: str) -> None:
    breaker = Breaker(BreakerProfile(failures=1), clock=ManualClock())
    with pytest.raises(type(error), match=rf"^{error}$"), breaker.enter():
        raise error
    assert expected == breaker.state


@pytest.mark.parametrize(
    ("kind", "expected"), [("ok", "closed"), ("throttled", "closed"), ("invalid", "closed"), ("overloaded", "open")]
)
def test_a_signal_tells_how_a_call_ended(kind: str, expected: str) -> None:
    breaker = Breaker(BreakerProfile(failures=1), clock=ManualClock())
    breaker.enter().told(ProviderSignal(kind=kind))  # type: ignore[arg-type]  # of the rows
    assert expected == breaker.state


def test_a_lease_counts_once() -> None:
    breaker = Breaker(BreakerProfile(failures=2), clock=ManualClock())
    lease = breaker.enter()
    lease.failed()
    lease.failed()
    lease.succeeded()
    once = breaker.state
    breaker.enter().failed()
    assert (once, breaker.state) == ("closed", "open")


@given(st.lists(st.sampled_from(["ask", "ok", "bad", "none", "drop", "look", "7", "31"]), max_size=80))
def test_no_order_of_events_leaves_it_stuck_or_lets_two_probes_out(steps: list[str]) -> None:
    clock = ManualClock()
    breaker = Breaker(BreakerProfile(failures=2, open_s=30), clock=clock)
    leases: list[Lease] = []
    for step in steps:
        if step in {"bad", "ok", "none", "drop"} and not leases:
            continue
        play(breaker, clock, leases, step)
        out = [one for one in leases if one.generation == breaker.generation]
        if breaker.state == "half_open":
            assert sum(one.place.until > clock.monotonic_ns() for one in out) <= 1  # type: ignore[attr-defined]  # probes
    leases.clear()
    clock.advance(30)
    breaker.enter().succeeded()
    assert breaker.state == "closed"


@pytest.mark.parametrize("name", ["failures", "minimum_calls", "probes"])
@pytest.mark.parametrize("value", [0, -1, 1.5, True, "5", None])
def test_a_count_is_a_whole_number_from_one(name: str, value: object) -> None:
    with pytest.raises(CallInvalid, match=f"^{name}: expected a whole number from 1, found"):
        BreakerProfile(**{name: value})  # type: ignore[arg-type]  # what is tested


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), MAX_OPEN_S + 1, 10**400, True, "5", None])
def test_the_open_time_is_above_zero_and_finite(value: object) -> None:
    with pytest.raises(CallInvalid, match=f"^open_s: expected seconds above 0 and at most {MAX_OPEN_S}, found"):
        BreakerProfile(open_s=value)  # type: ignore[arg-type]  # what is tested


@pytest.mark.parametrize("value", [0, 1.01, float("nan"), True, "half"])
def test_a_rate_is_a_share(value: object) -> None:
    with pytest.raises(CallInvalid, match=r"^failure_rate: expected a share above 0 and at most 1, found"):
        BreakerProfile(failure_rate=value)  # type: ignore[arg-type]  # what is tested
