"""JSON text: money with every digit, instants with a Z, records as objects, nothing that surprises a reader."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokencalc.cost import Cost, CostLine
from tokencalc.errors import BudgetExceeded, CallInvalid, UsageInvalid
from tokencalc.jsontext import error_value, json_value, to_json
from tokencalc.usage import Meter, Usage


@pytest.mark.parametrize(
    ("expected", "value"),
    [
        ('"0.000375"', Decimal("0.000375")),
        ('"1000"', Decimal("1E+3")),
        ('"0.00000000000000000001"', Decimal("1E-20")),
        ("null", Decimal("NaN")),
        ("null", float("inf")),
        ("0.5", 0.5),
        ("true", True),
        ("12", 12),
        ('"2026-11-20T12:00:00Z"', datetime(2026, 11, 20, 12, tzinfo=UTC)),
        ('"2026-11-20T12:00:00Z"', datetime(2026, 11, 20, 14, tzinfo=timezone(timedelta(hours=2)))),
        ('"2026-11-20"', date(2026, 11, 20)),
        ('"a/b"', PurePosixPath("a/b")),
        ('"cache_read"', Meter.CACHE_READ),
        ('{"input": 3}', {Meter.INPUT: 3}),
        ('{"1": 2}', {1: 2}),
        ("[1, 2]", {2, 1}),
        ("[1, 2]", (1, 2)),
        (r'"\u001b[31m"', "\x1b[31m"),
        (r'"\u0085"', "\x85"),
        (r'"\ud800"', "\ud800"),
    ],
)
def test_each_kind_has_one_text(expected: str, value: object) -> None:
    assert expected == to_json(value)


def test_a_usage_shows_its_leaves_and_its_totals() -> None:
    shown = json_value(Usage(input_tokens=10, cache_read_tokens=4, output_tokens=2, model="m"))
    assert isinstance(shown, dict)
    assert shown["leaves"] == {"input": 6, "cache_read": 4, "output": 2}
    assert (shown["input_tokens"], shown["cache_read_tokens"], shown["uncached_input_tokens"]) == (10, 4, 6)


def test_a_cost_shows_dollars_and_no_pico_dollars() -> None:
    line = CostLine(Meter.INPUT, 5, Decimal("2.50"), 1_000_000, 12_500_000, "openai/gpt-4o@2024-10-01")
    cost = Cost((line,), (), 12_500_000, "openai", "gpt-4o", datetime(2026, 11, 20, tzinfo=UTC))
    shown = json.loads(to_json(cost))
    assert (shown["total_usd"], shown["priced_usd"]) == ("0.0000125", "0.0000125")
    assert (shown["lines"][0]["amount_usd"], shown["lines"][0]["rate"]) == ("0.0000125", "2.50")
    assert "pico" not in to_json(cost)


def test_an_unpriced_total_is_null() -> None:
    cost = Cost((), (Meter.OUTPUT,), 0, "openai", "gpt-4o", datetime(2026, 11, 20, tzinfo=UTC))
    shown = json.loads(to_json(cost))
    assert (shown["total_usd"], shown["unpriced"]) == (None, ["output"])


def test_an_error_shows_its_code_and_its_numbers() -> None:
    error = BudgetExceeded("no room", budget="daily", requested_usd=Decimal("1.5"), available_usd=Decimal("0.2"))
    expected = {
        "error": "budget_exceeded",
        "message": "no room",
        "budget": "daily",
        "requested_usd": "1.5",
        "available_usd": "0.2",
    }
    assert expected == json.loads(to_json(error))


def test_an_errors_foreign_values_are_cut_short() -> None:
    error = UsageInvalid("bad", path="x" * 500, found=object(), huge=10**400)
    shown = error_value(error)
    assert len(str(shown["path"])) == 200
    assert "object object" in str(shown["found"])
    assert shown["huge"] == "a huge integer"


ENDLESS: list[object] = []
ENDLESS.append(ENDLESS)


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        ("nope", "nope"),
        ({"a": [1, None, {"b": True}]}, {"a": [1, None, {"b": True}]}),
        (["a", "b"], ("a", "b")),
        ({"a": "a huge integer"}, {"a": 10**5000}),
        ("{1: 'a'}", {1: "a"}),
        ("a dict that cannot be written", {10**5000: "a"}),
        ("b'raw'", b"raw"),
        ("{7}", {7}),
    ],
)
def test_a_value_that_was_found_stays_plain_where_json_can_say_it(expected: object, found: object) -> None:
    assert expected == json.loads(to_json(UsageInvalid("bad", path="x", found=found)))["found"]


def test_a_value_without_an_end_is_cut() -> None:
    assert "[[...]]" in to_json(UsageInvalid("bad", path="x", found=ENDLESS))


@pytest.mark.parametrize(
    ("message", "payload"),
    [
        (r"payload\.a\[0\]: a huge integer has no text", {"a": [10**5000]}),
        (r"payload\.a\[1\]: expected plain values.*found a object", {"a": [1, object()]}),
        ("payload: expected text as a key, found None", {None: 1}),
        ("payload: expected plain values.*found a bytes", b"raw"),
    ],
)
def test_what_json_cannot_say_is_refused_by_its_path(message: str, payload: object) -> None:
    with pytest.raises(CallInvalid, match=message):
        to_json(payload)


def test_endless_nesting_is_refused() -> None:
    payload: list[object] = []
    payload.append(payload)
    with pytest.raises(CallInvalid, match="nested deeper than 64 levels"):
        to_json(payload)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=12, min_value=-(10**9), max_value=10**9))
def test_every_digit_of_money_comes_back(amount: Decimal) -> None:
    assert amount == Decimal(json.loads(to_json({"amount_usd": amount}))["amount_usd"])


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_plain_json_stays_as_it_is(payload: object) -> None:
    assert payload == json.loads(to_json(payload))


@pytest.mark.parametrize("text", ["##[error]x", "a ##[group]", "\\##[x]", "###[x]##["])
def test_no_text_is_a_command_for_a_runner_and_all_of_it_comes_back(text: str) -> None:
    for indent in (None, 2):
        written = to_json({text: [text]}, indent=indent)
        assert "##[" not in written
        assert json.loads(written) == {text: [text]}
