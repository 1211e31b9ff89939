"""Usage is kept as disjoint leaves: totals include their parts, and parts never exceed them."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokencalc.counts import MAX_QUANTITY, remainder, whole_count
from tokencalc.errors import UsageInvalid
from tokencalc.usage import (
    CACHE_READ_METERS,
    CACHE_WRITE_METERS,
    INPUT_METERS,
    OUTPUT_METERS,
    TOKEN_METERS,
    Meter,
    Quantity,
    Usage,
)

counts = st.integers(min_value=0, max_value=10**12)


@pytest.mark.parametrize(
    ("given_counts", "leaves"),
    [
        ({}, {}),
        ({"input_tokens": 150, "output_tokens": 75}, {Meter.INPUT: 150, Meter.OUTPUT: 75}),
        (
            {"input_tokens": 100, "cache_read_tokens": 60, "cache_write_tokens": 30},
            {Meter.INPUT: 10, Meter.CACHE_READ: 60, Meter.CACHE_WRITE: 30},
        ),
        (
            {"input_tokens": 100, "cache_write_5m_tokens": 30, "cache_write_1h_tokens": 50},
            {Meter.INPUT: 20, Meter.CACHE_WRITE_5M: 30, Meter.CACHE_WRITE_1H: 50},
        ),
        (
            {"input_tokens": 100, "cache_write_tokens": 90, "cache_write_5m_tokens": 30, "cache_write_1h_tokens": 50},
            {Meter.INPUT: 10, Meter.CACHE_WRITE: 10, Meter.CACHE_WRITE_5M: 30, Meter.CACHE_WRITE_1H: 50},
        ),
        (
            {"output_tokens": 100, "reasoning_tokens": 64, "output_audio_tokens": 30},
            {Meter.OUTPUT: 6, Meter.REASONING: 64, Meter.OUTPUT_AUDIO: 30},
        ),
        ({"input_tokens": 100, "input_audio_tokens": 100}, {Meter.INPUT_AUDIO: 100}),
        ({"web_searches": 3}, {Meter.WEB_SEARCH: 3}),
        ({"input_tokens": 12.0}, {Meter.INPUT: 12}),
        ({"input_tokens": MAX_QUANTITY}, {Meter.INPUT: MAX_QUANTITY}),
    ],
)
def test_plain_counts_become_disjoint_leaves(given_counts: dict[str, Any], leaves: dict[Meter, int]) -> None:
    usage = Usage(**given_counts)
    assert leaves == dict(usage.leaves)
    assert leaves.get(Meter.WEB_SEARCH, 0) == usage.web_searches


@given(read=counts, write_5m=counts, write_1h=counts, write_rest=counts, fresh=counts, audio=counts)
def test_input_totals_are_the_sums_that_went_in(
    read: int, write_5m: int, write_1h: int, write_rest: int, fresh: int, audio: int
) -> None:
    writes = write_5m + write_1h + write_rest
    usage = Usage(
        input_tokens=fresh + audio + read + writes,
        cache_read_tokens=read,
        cache_write_tokens=writes,
        cache_write_5m_tokens=write_5m,
        cache_write_1h_tokens=write_1h,
        input_audio_tokens=audio,
    )
    assert (fresh + audio + read + writes, read, writes, write_5m, write_1h, fresh + audio) == (
        usage.input_tokens,
        usage.cache_read_tokens,
        usage.cache_write_tokens,
        usage.cache_write_5m_tokens,
        usage.cache_write_1h_tokens,
        usage.uncached_input_tokens,
    )
    assert usage.input_tokens == sum(quantity for _, quantity in usage.leaves)
    assert all(quantity > 0 for _, quantity in usage.leaves)


@given(visible=counts, reasoning=counts, audio=counts)
def test_output_totals_are_the_sums_that_went_in(visible: int, reasoning: int, audio: int) -> None:
    usage = Usage(output_tokens=visible + reasoning + audio, reasoning_tokens=reasoning, output_audio_tokens=audio)
    assert (visible + reasoning + audio, reasoning) == (usage.output_tokens, usage.reasoning_tokens)
    assert usage.input_tokens == 0


@pytest.mark.parametrize(
    ("given_counts", "message"),
    [
        ({"input_tokens": 10, "cache_read_tokens": 11}, r"tokens \(10\) is less than its parts cache_read \(11\)"),
        ({"cache_read_tokens": 1}, r"usage.input_tokens \(0\) is less than its parts"),
        ({"input_tokens": 10, "cache_read_tokens": 6, "cache_write_5m_tokens": 5}, r"read \(6\) \+ cache_write \(5\)"),
        ({"input_tokens": 9, "cache_write_tokens": 4, "cache_write_1h_tokens": 5}, r"cache_write_tokens \(4\) is less"),
        ({"output_tokens": 10, "reasoning_tokens": 11}, r"tokens \(10\) is less than its parts reasoning \(11\)"),
        ({"output_tokens": 10, "reasoning_tokens": 6, "output_audio_tokens": 5}, r"reasoning \(6\) \+ audio \(5\)"),
    ],
)  # fmt: skip
def test_a_part_above_its_whole_is_refused_with_both_numbers(given_counts: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageInvalid, match=message):
        Usage(**given_counts)


@pytest.mark.parametrize(
    "field",
    [
        "input_tokens",
        "output_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
        "cache_write_5m_tokens",
        "cache_write_1h_tokens",
        "reasoning_tokens",
        "input_audio_tokens",
        "output_audio_tokens",
        "web_searches",
    ],
)
def test_every_count_is_read_strictly(field: str) -> None:
    count: dict[str, Any] = {field: -1}
    with pytest.raises(UsageInvalid, match=rf"^usage\.{field}: expected an integer from 0 to \d+, found -1$") as caught:
        Usage(**count)
    assert (caught.value.path, caught.value.found) == (f"usage.{field}", -1)


@pytest.mark.parametrize(
    "value",
    [
        True,
        False,
        -1,
        7.9,
        -0.5,
        float("nan"),
        float("inf"),
        1e16,
        MAX_QUANTITY + 1,
        10**400,
        "7",
        None,
        Decimal(7),
        Fraction(7),
        [7],
        "x" * 10_000,
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_is_no_count_is_refused(value: object) -> None:
    with pytest.raises(
        UsageInvalid, match=r"^usage\.x: expected an integer from 0 to 1000000000000000, found"
    ) as caught:
        whole_count(value, path="usage.x")
    assert len(caught.value.message) < 200


@pytest.mark.parametrize(("value", "expected"), [(0, 0), (7, 7), (7.0, 7), (1e15, 10**15), (-0.0, 0)])
def test_whole_numbers_are_counts(value: object, expected: int) -> None:
    count = whole_count(value, path="usage.x")
    assert (expected, int) == (count, type(count))


def test_groups_of_meters_are_disjoint_and_hold_their_kind() -> None:
    assert INPUT_METERS.isdisjoint(OUTPUT_METERS)
    assert CACHE_READ_METERS.isdisjoint(CACHE_WRITE_METERS)
    assert INPUT_METERS >= CACHE_READ_METERS | CACHE_WRITE_METERS
    assert INPUT_METERS | OUTPUT_METERS | {Meter.CITATION} == TOKEN_METERS
    units = ("_second", "_piece", "_character", "_page", "_hour", "_search", "_unit", "_execution", "request")
    assert {meter for meter in Meter if meter.endswith(units)} == set(Meter) - TOKEN_METERS


@pytest.mark.parametrize("meter", list(Meter))
def test_a_meter_is_its_name(meter: Meter) -> None:
    assert (meter.value, hash(meter.value), meter) == (str(meter), hash(meter), Meter(meter.value))
    assert {meter.value: 1}[meter] == 1


def test_leaves_from_a_reader_drop_zeros_and_keep_what_the_response_said() -> None:
    leaves: dict[Meter, Quantity] = {Meter.INPUT: 5, Meter.CACHE_READ: 0, Meter.CODE_EXECUTION: Decimal("1.5")}
    usage = Usage.from_leaves(
        leaves,
        model="m",
        service_tier="batch",
        region="eu",
        speed="fast",
        ignored=("total_tokens",),
        notes=("read from a stream",),
    )
    assert usage.leaves == ((Meter.INPUT, 5), (Meter.CODE_EXECUTION, Decimal("1.5")))
    assert (usage.model, usage.service_tier, usage.region, usage.speed) == ("m", "batch", "eu", "fast")
    assert (usage.ignored, usage.notes, usage.parts) == (("total_tokens",), ("read from a stream",), ())
    assert (usage.quantity(Meter.CODE_EXECUTION), usage.quantity(Meter.CACHE_READ)) == (Decimal("1.5"), 0)


@pytest.mark.parametrize("make", [dict, lambda leaves: tuple(leaves.items()), lambda leaves: iter(leaves.items())])
def test_leaves_may_come_as_mapping_tuple_or_iterator(make: object) -> None:
    assert callable(make)
    assert Usage(input_tokens=5, output_tokens=2) == Usage.from_leaves(make({Meter.INPUT: 5, Meter.OUTPUT: 2}))


def test_a_usage_of_several_calls_sums_them_and_keeps_each() -> None:
    first = Usage(input_tokens=100, output_tokens=10, model="large")
    second = Usage(input_tokens=7, cache_read_tokens=7, output_tokens=1, model="small")
    both = Usage.from_parts([first, second], notes=("two calls",))
    assert (both.input_tokens, both.output_tokens, both.cache_read_tokens) == (107, 11, 7)
    assert (both.calls, both.model, both.notes) == ((first, second), None, ("two calls",))


def test_a_usage_of_one_call_is_its_own_call() -> None:
    usage = Usage(input_tokens=1)
    assert usage.calls == (usage,)


def test_usages_are_values() -> None:
    usage = Usage(input_tokens=5, model="m")
    assert usage == Usage(input_tokens=5, model="m") != Usage(input_tokens=5)
    assert len({usage, Usage(input_tokens=5, model="m")}) == 1
    assert usage == pickle.loads(pickle.dumps(usage))  # noqa: S301  # our own bytes


def test_a_usage_cannot_be_changed() -> None:
    usage = Usage(input_tokens=5)
    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'model'"):
        usage.model = "other"  # type: ignore[misc]  # what is tested


@given(counts, counts, counts)
def test_a_remainder_is_what_its_parts_leave(rest: int, first: int, second: int) -> None:
    assert rest == remainder(rest + first + second, "input_tokens", first=first, second=second)
