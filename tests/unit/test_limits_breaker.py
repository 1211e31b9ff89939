"""The breaker as text: what happens on the left, the state and what a caller hears on the right."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokencalc.clock import ManualClock
from tokencalc.errors import BreakerOpen, CallInvalid
from tokencalc.limits.breaker import MAX_OPEN_S, Breaker

# ask: a caller asks; ok and bad: a call's end is told; a number: seconds pass
SCRIPTS = [
    ("closed lets everybody through", "ask ask", "closed yes yes"),
    ("fewer failures than the limit change nothing", "bad bad ask", "closed yes"),
    ("the last failure in a row opens it", "bad bad bad ask", "open no:300"),
    ("a success ends the row", "bad bad ok bad bad ask", "closed yes"),
    ("it stays open for its time", "bad bad bad 299 ask", "open no:1"),
    ("then one probe goes out", "bad bad bad 300 ask", "half_open yes"),
    ("and only one", "bad bad bad 300 ask ask ask", "half_open yes no:300 no:300"),
    ("a good probe closes it", "bad bad bad 300 ask ok ask ask", "closed yes yes yes"),
    ("after closing, the row starts anew", "bad bad bad 300 ask ok bad bad ask", "closed yes yes"),
    ("a bad probe opens it for the whole time again", "bad bad bad 300 ask bad 299 ask", "open yes no:1"),
    ("a probe after that is one again", "bad bad bad 300 ask bad 300 ask ask", "half_open yes yes no:300"),
    ("a lost probe gives its place back", "bad bad bad 300 ask 299 ask 1 ask ask", "half_open yes no:1 yes no:300"),
    ("late answers leave an open one open", "bad bad bad ok ask", "open no:300"),
    ("late failures make nobody wait longer", "bad bad bad 100 bad ask", "open no:200"),
    ("late failures do not count for the next row", "bad bad bad bad bad 300 ask ok bad bad ask", "closed yes yes"),
]  # fmt: skip


@pytest.mark.parametrize(("script", "expected"), [row[1:] for row in SCRIPTS], ids=[row[0] for row in SCRIPTS])
def test_script(script: str, expected: str) -> None:
    clock = ManualClock()
    breaker = Breaker(failures=3, open_s=300, clock=clock)
    heard = [answer for step in script.split() if (answer := play(breaker, clock, step))]
    assert expected == " ".join([breaker.state, *heard])


def play(breaker: Breaker, clock: ManualClock, step: str) -> str:
    """Do one step, and return what a caller heard."""
    if step == "ok":
        breaker.succeeded()
    elif step == "bad":
        breaker.failed()
    elif step == "ask":
        try:
            breaker.check()
        except BreakerOpen as refused:
            return f"no:{refused.retry_after_s:g}"
        return "yes"
    else:
        clock.advance(int(step))
    return ""


def test_five_failures_and_five_minutes_are_the_default() -> None:
    breaker = Breaker(clock=ManualClock())
    assert (breaker.failures, breaker.open_s) == (5, 300)


def test_a_refusal_says_why_and_when() -> None:
    breaker = Breaker(failures=1, open_s=300, clock=ManualClock())
    breaker.failed()
    with pytest.raises(
        BreakerOpen, match=r"^the breaker is open after 1 failures in a row; retry in 300\.000 s$"
    ) as caught:
        breaker.check()
    assert (caught.value.retry_after_s, caught.value.values["state"]) == (300.0, "open")


@given(st.floats(min_value=1e-6, max_value=MAX_OPEN_S), st.floats(min_value=0, max_value=0.999))
def test_waiting_as_long_as_told_is_enough(open_s: float, waited: float) -> None:
    clock = ManualClock()
    breaker = Breaker(failures=1, open_s=open_s, clock=clock)
    breaker.failed()
    clock.advance(waited * open_s)
    with pytest.raises(BreakerOpen, match="retry in") as caught:
        breaker.check()
    clock.advance(caught.value.retry_after_s + 1e-9)
    breaker.check()
    assert breaker.state == "half_open"


def test_of_eight_threads_exactly_one_gets_the_probe() -> None:
    clock = ManualClock()
    breaker = Breaker(failures=1, open_s=1, clock=clock)
    breaker.failed()
    clock.advance(1)
    start = threading.Barrier(8)
    heard: list[str] = []

    def work() -> None:
        start.wait(timeout=30)
        heard.append(play(breaker, clock, "ask"))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(heard) == ["no:1"] * 7 + ["yes"]


def test_no_lock_is_held_between_the_question_and_the_answer() -> None:
    breaker = Breaker(clock=ManualClock())
    breaker.check()
    assert breaker.lock.acquire(blocking=False)
    breaker.lock.release()
    breaker.succeeded()


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "5", None])
def test_failures_are_a_whole_number_from_one(value: object) -> None:
    with pytest.raises(CallInvalid, match=r"^failures: expected a whole number from 1, found"):
        Breaker(failures=value)  # type: ignore[arg-type]  # what is tested


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), MAX_OPEN_S + 1, 10**400, True, "5", None])
def test_the_open_time_is_above_zero_and_finite(value: object) -> None:
    with pytest.raises(CallInvalid, match=f"^open_s: expected seconds above 0 and at most {MAX_OPEN_S}, found"):
        Breaker(open_s=value)  # type: ignore[arg-type]  # what is tested
