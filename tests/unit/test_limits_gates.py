"""One dimension of a limiter: what it lets through, when the next is there, and what comes back."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokencalc.clock import NS_PER_S
from tokencalc.errors import CallInvalid
from tokencalc.limits.gates import MAX_PERMITS, MINUTE_NS, Gate, Pace, Window, gates_for, whole_number

SECONDS = st.floats(0, 120).map(lambda seconds: round(seconds * NS_PER_S))


def drain(gate: Gate, now: int) -> int:
    """Take single permits until there are none, and count them."""
    number = 0
    while gate.ready_at(1) <= now:
        gate.take(now, 1)
        number += 1
    return number


@pytest.mark.parametrize(
    ("per_minute", "burst", "seconds", "expected"),
    [
        (300, 300, 0.1999, 0),
        (300, 300, 0.2, 1),
        (300, 300, 1, 5),
        (300, 300, 60, 300),
        (300, 300, 3600, 300),
        (60, 1, 10, 1),
        (60, 5, 2.5, 2),
        (7, 7, 60, 7),
        (1, 1, 59.999999, 0),
        (1, 1, 60, 1),
    ],
)
def test_permits_come_back_evenly_and_never_above_the_burst(
    per_minute: int, burst: int, seconds: float, expected: int
) -> None:
    gate = Pace(per_minute, burst, now=0)
    assert drain(gate, 0) == burst
    assert expected == drain(gate, round(seconds * NS_PER_S))


@pytest.mark.parametrize(
    ("limit", "seconds", "expected"),
    [(300, 0.2, 0), (300, 59.9, 0), (300, 60, 0), (300, 60.000000001, 300), (1, 60, 0), (5000, 60.1, 5000)],
)
def test_a_window_gives_back_after_a_whole_minute_only(limit: int, seconds: float, expected: int) -> None:
    gate = Window(limit)
    assert drain(gate, 0) == limit
    assert expected == drain(gate, round(seconds * NS_PER_S))


@given(
    per_minute=st.integers(1, 100_000),
    burst=st.integers(1, 1000),
    steps=st.lists(st.tuples(SECONDS, st.integers(1, 1000))),
)
def test_the_instant_it_names_is_the_first_one(per_minute: int, burst: int, steps: list[tuple[int, int]]) -> None:
    for gate in (Pace(per_minute, burst, now=0), Window(burst)):
        now = 0
        for pause, asked in steps:
            now += pause
            amount = min(asked, burst)
            ready_at = gate.ready_at(amount)
            if ready_at > now:
                assert gate.pass_at(ready_at - 1, amount) is None
                now = ready_at
            assert gate.pass_at(now, amount) is not None


@given(
    per_minute=st.integers(1, 10_000),
    burst=st.integers(1, 500),
    steps=st.lists(st.tuples(SECONDS, st.integers(1, 500), st.booleans()), max_size=60),
)
def test_no_span_of_time_gets_more_than_burst_and_rate_whatever_is_given_back(
    per_minute: int, burst: int, steps: list[tuple[int, int, bool]]
) -> None:
    gate, now = Pace(per_minute, burst, now=0), 0
    kept: list[tuple[int, int]] = []
    loose: list[tuple[int, int, int]] = []
    for pause, asked, back in steps:
        now += pause
        if back and loose:
            _, amount, mark = loose.pop(asked % len(loose))
            gate.give_back(amount, mark)
        amount = min(asked, burst)
        mark_or_none = gate.pass_at(now, amount)
        if mark_or_none is not None:
            loose.append((now, amount, mark_or_none))
    kept = [(at, amount) for at, amount, _ in loose]
    for first, (begin, _) in enumerate(kept):
        total = 0
        for at, amount in kept[first:]:
            total += amount
            assert total * MINUTE_NS <= burst * MINUTE_NS + per_minute * (at - begin)


@given(limit=st.integers(1, 3000), steps=st.lists(st.tuples(SECONDS, st.integers(1, 1500), st.booleans()), max_size=80))
def test_no_minute_of_a_window_gets_more_than_its_limit_whatever_is_given_back(
    limit: int, steps: list[tuple[int, int, bool]]
) -> None:
    gate, now = Window(limit), 0
    loose: list[tuple[int, int, int]] = []
    for pause, asked, back in steps:
        now += pause // 8
        if back and loose:
            _, amount, mark = loose.pop(asked % len(loose))
            gate.give_back(amount, mark)
        amount = min(asked, limit)
        mark_or_none = gate.pass_at(now, amount)
        if mark_or_none is not None:
            loose.append((now, amount, mark_or_none))
    for begin, _, _ in loose:
        assert sum(amount for at, amount, _ in loose if begin <= at <= begin + MINUTE_NS) <= limit


@given(burst=st.integers(1, 50), takes=st.lists(st.integers(1, 50), min_size=1, max_size=10), order=st.randoms())
def test_what_is_taken_and_given_back_at_one_instant_leaves_no_trace(
    burst: int, takes: list[int], order: object
) -> None:
    for gate in (Pace(60, burst, now=0), Window(burst)):
        gate.take(0, 1)
        before = [gate.ready_at(amount) for amount in range(1, burst + 1)]
        marks = [(amount, gate.take(NS_PER_S, amount)) for amount in takes]
        order.shuffle(marks)  # type: ignore[attr-defined]  # hypothesis' Random
        for amount, mark in marks:
            gate.give_back(amount, mark)
        after = [gate.ready_at(amount) for amount in range(1, burst + 1)]
        # A bucket that was not full at that second cannot be told from one that nobody looked at.
        assert [max(at, NS_PER_S) for at in before] == [max(at, NS_PER_S) for at in after]


def test_a_refund_after_another_refund_and_a_full_bucket_mints_nothing() -> None:
    gate = Pace(60, 10, now=0)
    first, second = gate.take(0, 5), gate.take(0, 5)
    gate.give_back(5, first)
    gate.take(5 * NS_PER_S, 5)
    gate.give_back(5, second)
    assert drain(gate, 5 * NS_PER_S) == 5


def test_a_refund_across_a_change_of_rate_mints_nothing() -> None:
    gate = Pace(60, 10, now=0)
    mark = gate.take(0, 5)
    gate.adapt(100 * NS_PER_S, per_minute=30, remaining=None)
    gate.take(100 * NS_PER_S, 5)
    gate.give_back(5, mark)
    assert drain(gate, 100 * NS_PER_S) == 5


def test_steady_demand_on_a_large_window_hardly_ever_waits() -> None:
    gate, limit = Window(3000), 3000
    passed = sum(gate.pass_at(number * MINUTE_NS // limit, 1) is not None for number in range(3 * limit))
    assert passed >= 0.98 * 3 * limit


def test_a_refund_after_the_bucket_was_full_again_mints_nothing() -> None:
    gate = Pace(60, 10, now=0)
    mark = gate.take(0, 5)
    gate.take(5 * NS_PER_S, 5)
    gate.give_back(5, mark)
    assert drain(gate, 5 * NS_PER_S) == 5


@given(st.lists(st.floats(0, 600), max_size=200))
def test_readings_that_go_back_mint_no_permits(readings: list[float]) -> None:
    for gate, most in ((Pace(60, 10, now=0), 11), (Window(10), 10)):
        instants = [round(reading * NS_PER_S) for reading in readings]
        granted = sum(gate.pass_at(at, 1) is not None for at in instants)
        minutes = 1 + max(readings, default=0.0) / 60
        assert granted <= (most + 60 * minutes if isinstance(gate, Pace) else most * (minutes + 1))


def test_a_debt_is_paid_before_the_next_one_passes() -> None:
    gate = Pace(60, 10, now=0)
    gate.take(0, 10)
    gate.owe(0, 30)
    assert (gate.level(0), gate.ready_at(1)) == (-30, 31 * NS_PER_S)


def test_a_window_remembers_a_debt_for_a_minute() -> None:
    gate = Window(10)
    gate.take(0, 4)
    gate.owe(NS_PER_S, 30)
    assert (gate.level(NS_PER_S), gate.ready_at(1)) == (-24, 61 * NS_PER_S + 1)


@given(st.lists(st.tuples(st.integers(0, 200_000_000), st.integers(1, 50)), min_size=1, max_size=300))
def test_the_memory_of_a_large_window_is_bounded(steps: list[tuple[int, int]]) -> None:
    gate, now = Window(10**9), 0
    for _ in range(20):
        for pause, amount in steps:
            now += pause
            gate.take(now, amount)
    assert len(gate._places) <= 1026


@pytest.mark.parametrize(
    ("per_minute", "remaining", "expected"),
    [(None, None, 10), (600, 100, 10), (30, None, 10), (None, 4, 4), (None, 0, 0), (5, None, 5), (60, 4, 4)],
)
def test_a_provider_lowers_the_level_and_never_raises_it(
    per_minute: int | None, remaining: int | None, expected: int
) -> None:
    gate = Pace(60, 10, now=0)
    gate.adapt(0, per_minute=per_minute, remaining=remaining)
    assert expected == drain(gate, 0)


@pytest.mark.parametrize(
    ("per_minute", "remaining", "expected"), [(None, None, 10), (600, 100, 10), (None, 4, 4), (5, None, 5), (5, 2, 2)]
)
def test_a_provider_lowers_a_window_too(per_minute: int | None, remaining: int | None, expected: int) -> None:
    gate = Window(10)
    gate.adapt(0, per_minute=per_minute, remaining=remaining)
    assert expected == drain(gate, 0)


def test_a_lower_rate_holds_until_the_provider_says_otherwise() -> None:
    gate = Pace(60, 10, now=0)
    drain(gate, 0)
    gate.adapt(0, per_minute=30, remaining=None)
    assert gate.ready_at(1) == 2 * NS_PER_S
    gate.adapt(NS_PER_S, per_minute=600, remaining=None)
    assert gate.ready_at(1) == 1_500_000_000, "half a permit is there, the rest at a permit a second"


def test_an_amount_above_a_lowered_burst_waits_for_a_full_bucket() -> None:
    gate = Pace(60, 60, now=0)
    gate.adapt(0, per_minute=10, remaining=None)
    assert gate.pass_at(0, 50) is not None
    assert gate.pass_at(0, 1) is None
    assert gate.ready_at(1) == 41 * 6 * NS_PER_S


@given(st.lists(SECONDS, max_size=30))
def test_the_level_never_falls_by_itself(pauses: list[int]) -> None:
    for gate in (Pace(60, 20, now=0), Window(20)):
        gate.take(0, 20)
        now, levels = 0, [gate.level(0)]
        for pause in pauses:
            now += pause
            levels.append(gate.level(now))
        assert all(0 <= before <= after <= 20 for before, after in pairwise(levels))


@pytest.mark.parametrize(
    ("burst", "strict", "expected"),
    [
        (None, False, ["Pace"]),
        (5, False, ["Pace"]),
        (None, True, ["Window"]),
        (300, True, ["Window"]),
        (5, True, ["Pace", "Window"]),
    ],
)
def test_a_strict_dimension_needs_a_pace_for_a_smaller_burst_only(
    burst: int | None, strict: object, expected: list[str]
) -> None:
    assert expected == [type(gate).__name__ for gate in gates_for(300, burst, strict=bool(strict), now=0)]


@pytest.mark.parametrize("value", [0, -5, 0.5, 1.0, float("inf"), float("nan"), True, "300", None, MAX_PERMITS + 1])
def test_what_is_no_whole_number_from_one_is_refused(value: object) -> None:
    with pytest.raises(CallInvalid, match=rf"^limit: expected a whole number from 1 to {MAX_PERMITS}, found"):
        whole_number(value, name="limit")
