"""The tool's arguments: every mistake names what was found, what is allowed, and the nearest right name."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest

from tokencalc.errors import (
    CallInvalid,
    InvalidInput,
    MoneyInvalid,
    TimeInvalid,
    UsageInvalid,
)
from tokencalc.tool_arguments import ACTIONS, FILTER_KEYS, action_schema, read_arguments

CALL = {"agent_id": "a", "operation": "o", "model": "gpt-4o", "input_tokens": 1, "output_tokens": 2}


@pytest.mark.parametrize(
    ("expected", "action", "given"),
    [
        ({"model": "m", "text": "t"}, "estimate_cost", {"model": "m", "text": "t", "provider": None}),
        ({"group_by": ("model", "day")}, "get_usage_report", {"group_by": ["model", "day", "model"]}),
        ({"group_by": ("model",)}, "get_usage_report", {"group_by": "model"}),
        ({"since": datetime(2026, 11, 1, tzinfo=UTC)}, "get_usage_report", {"since": "2026-11-01"}),
        ({"amount_usd": Decimal("0.1")}, "check_budget", {"amount_usd": 0.1}),
        ({**CALL, "input_tokens": 7}, "track_usage", {**CALL, "input_tokens": 7.0}),
        ({**CALL, "tags": {"team": "x"}}, "track_usage", {**CALL, "tags": MappingProxyType({"team": "x"})}),
        ({"model": "m", "text": "half \ud800"}, "estimate_cost", {"model": "m", "text": "half \ud800"}),
        ({"name": "\ud800"}, "check_budget", {"name": "\ud800"}),
        ({}, "get_metrics", {}),
    ],
)
def test_right_arguments_are_read(expected: dict[str, Any], action: str, given: dict[str, Any]) -> None:
    assert expected == read_arguments(action, given)


@pytest.mark.parametrize(
    ("message", "action"),
    [
        (r"action: expected one of estimate_cost, .* found 'track_usge'; did you mean track_usage\?", "track_usge"),
        ("action: expected one of .* found ''", ""),
        ("action: expected one of .* found 7", 7),
        ("action: expected one of .* found None", None),
        ("action: expected one of .* found a huge integer", 10**1000),
    ],
)
def test_an_unknown_action_names_the_known_ones(message: str, action: object) -> None:
    with pytest.raises(CallInvalid, match=message):
        read_arguments(action, {})


@pytest.mark.parametrize(
    ("message", "action", "given"),
    [
        (r"track_usage: missing agent_id, operation, model; it needs", "track_usage", {}),
        (r"track_usage: missing agent_id; it needs agent_id", "track_usage", {**CALL, "agent_id": None}),
        (r"unknown argument 'input_token'; did you mean input_tokens\?", "track_usage", {**CALL, "input_token": 1}),
        (r"get_metrics: unknown argument 'x'; it takes no arguments", "get_metrics", {"x": 1}),
        (r"get_metrics: unknown argument 'x'; it takes no arguments", "get_metrics", {"x": None}),
        (r"unknown argument '\\ud800'; it takes agent_id", "track_usage", {**CALL, "\ud800": 1}),
        (r"unknown argument 'x'", "track_usage", {"input_tokens": -1, "x": 1}),
        (r"missing operation, model", "track_usage", {"agent_id": "a", "input_tokens": -1}),
        (r"input_tokens: expected an integer from 0 .* found -1", "track_usage", {**CALL, "input_tokens": -1}),
        (r"input_tokens: expected .* found 1\.5", "track_usage", {**CALL, "input_tokens": 1.5}),
        (r"input_tokens: expected .* found True", "track_usage", {**CALL, "input_tokens": True}),
        (r"input_tokens: expected .* found '7'", "track_usage", {**CALL, "input_tokens": "7"}),
        (r"input_tokens: expected .* found nan", "track_usage", {**CALL, "input_tokens": float("nan")}),
        (r"input_tokens: expected .* found a huge integer", "track_usage", {**CALL, "input_tokens": 10**400}),
        (r"cost_usd: expected a finite decimal .* found nan", "track_usage", {**CALL, "cost_usd": float("nan")}),
        (r"cost_usd: expected an amount of at least 0, found -1", "track_usage", {**CALL, "cost_usd": -1}),
        (r"cost_usd: expected a finite .* found True", "track_usage", {**CALL, "cost_usd": True}),
        (r"agent_id: expected text of 1 to 200 .* found ''", "track_usage", {**CALL, "agent_id": ""}),
        (r"agent_id: expected text .* found 5", "track_usage", {**CALL, "agent_id": 5}),
        (r"agent_id: expected a plain value, found a huge", "track_usage", {**CALL, "agent_id": 10**5000}),
        (r"operation: expected text .* without control", "track_usage", {**CALL, "operation": "a\x1b[2J"}),
        (r"tags: expected a mapping .* found \['a'\]", "track_usage", {**CALL, "tags": ["a"]}),
        (r"tags: expected a plain value, found a list that holds a huge", "track_usage", {**CALL, "tags": [10**5000]}),
        (r"cost_usd: expected a plain value, found a list", "track_usage", {**CALL, "cost_usd": [10**5000]}),
        (r"tags: expected a mapping .* found \{1: 'a'\}", "track_usage", {**CALL, "tags": {1: "a"}}),
        (
            r"at: expected an instant .* found '2026-11-20T12:00:00'",
            "track_usage",
            {**CALL, "at": "2026-11-20T12:00:00"},
        ),
        (r"notional: expected True or False, found 1", "track_usage", {**CALL, "notional": 1}),
        (r"model: expected text, found 5", "estimate_cost", {"model": 5}),
        (r"messages: expected a list .* found \[\]", "estimate_cost", {"model": "m", "messages": []}),
        (r"messages: expected a list .* found 'hi'", "estimate_cost", {"model": "m", "messages": "hi"}),
        (
            r"group_by: expected one of .* found 'modle'; did you mean model\?",
            "get_usage_report",
            {"group_by": "modle"},
        ),
        (r"group_by: expected one of .* found \[\]", "get_usage_report", {"group_by": []}),
        (r"period: expected one of .* found 'fortnight'", "get_usage_report", {"period": "fortnight"}),
        (r"period: expected one of hour, day, week, month, total, found 'run'", "get_usage_report", {"period": "run"}),
        (r"period: .* found 'moth'; did you mean month\?", "get_usage_report", {"period": "moth"}),
        (r"timezone: expected an IANA name .* found 'Mars'", "get_usage_report", {"timezone": "Mars"}),
    ],
)
def test_a_mistake_names_the_value_and_what_is_allowed(message: str, action: str, given: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=message):
        read_arguments(action, given)


@pytest.mark.parametrize(
    ("expected", "action", "given"),
    [
        (UsageInvalid, "estimate_cost", {"model": "m", "max_output_tokens": "7"}),
        (MoneyInvalid, "check_budget", {"amount_usd": "much"}),
        (TimeInvalid, "get_usage_report", {"since": "yesterday"}),
        (TimeInvalid, "get_usage_report", {"timezone": "Mars"}),
    ],
)
def test_an_error_of_our_tree_keeps_its_kind_and_its_place(
    expected: type[InvalidInput], action: str, given: dict[str, Any]
) -> None:
    name = list(given)[-1]
    with pytest.raises(expected, match=name) as caught:
        read_arguments(action, given)
    assert (expected.code, name) == (caught.value.code, caught.value.path)


def test_what_is_allowed_is_a_value_of_the_error() -> None:
    with pytest.raises(CallInvalid, match="expected one of") as caught:
        read_arguments("get_usage_report", {"period": "moth"})
    assert caught.value.values["allowed"] == ("hour", "day", "week", "month", "total")
    assert caught.value.found == "moth"
    with pytest.raises(CallInvalid, match="missing") as caught:
        read_arguments("track_usage", {"agent_id": "a"})
    assert caught.value.values["missing"] == ("operation", "model")
    assert caught.value.values["required"] == ("agent_id", "operation", "model")


@pytest.mark.parametrize(
    ("action", "name"),
    [
        ("check_budget", "agent_id"),
        ("check_budget", "usage"),
        ("track_usage", "messages"),
        ("estimate_cost", "cache_write_tokens"),
    ],
)
def test_a_name_that_is_like_none_gets_no_hint_but_the_list(action: str, name: str) -> None:
    with pytest.raises(CallInvalid, match=f"{action}: unknown argument '{name}'; it takes ") as caught:
        read_arguments(action, {name: 1})
    assert tuple(ACTIONS[action].model_fields) == caught.value.values["allowed"]


HUGE = 10**5000
DEEP: list[object] = []
for _ in range(5000):
    DEEP = [DEEP]
ENDLESS: list[object] = []
ENDLESS.append(ENDLESS)


@pytest.mark.parametrize(
    ("reason", "value"),
    [
        ("a huge integer", HUGE),
        ("a dict that holds a huge integer", {"a": HUGE}),
        ("a dict that holds a huge integer", {HUGE: "a"}),
        ("a list that holds a huge integer", [{"role": "user", "content": [{"type": "text", "text": {HUGE}}]}]),
        ("a tuple that holds a huge integer", ("a", HUGE)),
        ("a list that is nested too deep", DEEP),
        ("a dict that is nested too deep", {"a": ENDLESS}),
    ],
    ids=["itself", "as a value", "as a key", "deep inside", "in a tuple", "too deep", "without an end"],
)
@pytest.mark.parametrize(
    ("action", "name"), [("track_usage", "tags"), ("track_usage", "usage"), ("estimate_cost", "messages")]
)
def test_what_nobody_could_write_is_refused_wherever_it_stands(
    reason: str, value: object, action: str, name: str
) -> None:
    with pytest.raises(CallInvalid, match=f"^{name}: expected a plain value, found {reason}$"):
        read_arguments(action, {name: value})


def test_every_filter_of_a_report_is_an_argument() -> None:
    for action in ("get_usage_report", "get_cost_breakdown"):
        assert set(FILTER_KEYS) <= set(ACTIONS[action].model_fields)


# What a schema of ours may say of one argument, with the kind of each keyword's value (JSON Schema 2020-12).
KEYWORDS: dict[str, type | tuple[type, ...]] = {
    "additionalProperties": dict,
    "anyOf": list,
    "description": str,
    "enum": list,
    "items": dict,
    "maxLength": int,
    "maximum": int,
    "minItems": int,
    "minLength": int,
    "minimum": int,
    "type": str,
}
TYPES = {"array", "boolean", "integer", "number", "object", "string"}


def assert_is_plain_schema(schema: dict[str, Any]) -> None:
    """Every keyword is known and of its kind, and every branch says its type."""
    assert all(isinstance(value, KEYWORDS[keyword]) for keyword, value in schema.items()), schema
    assert ("anyOf" in schema) != (schema.get("type") in TYPES), schema
    for inner in [
        *schema.get("anyOf", []),
        *(schema[key] for key in ("items", "additionalProperties") if key in schema),
    ]:
        assert_is_plain_schema(inner)


@pytest.mark.parametrize("action", ACTIONS)
def test_the_schema_of_an_action_is_plain_json_schema_with_descriptions(action: str) -> None:
    schema = action_schema(action)
    assert schema == json.loads(json.dumps(schema, allow_nan=False))
    assert (action, "object", False) == (schema["title"], schema["type"], schema["additionalProperties"])
    assert set(schema) <= {"additionalProperties", "description", "properties", "required", "title", "type"}
    assert schema["description"].endswith(".")
    assert list(ACTIONS[action].model_fields) == list(schema["properties"])
    for argument in schema["properties"].values():
        assert_is_plain_schema(argument)
        assert argument["description"].endswith("."), argument


@pytest.mark.parametrize(
    ("expected", "action"),
    [
        (["agent_id", "operation", "model"], "track_usage"),
        (["model"], "estimate_cost"),
        ([], "get_metrics"),
        ([], "check_budget"),
        ([], "get_usage_report"),
    ],
)
def test_the_schema_of_an_action_lists_what_is_required(expected: list[str], action: str) -> None:
    assert expected == action_schema(action).get("required", [])


@pytest.mark.parametrize(
    ("expected", "action", "argument"),
    [
        ({"type": "integer", "minimum": 0, "maximum": 10**15}, "track_usage", "input_tokens"),
        ({"anyOf": [{"type": "string"}, {"type": "number", "minimum": 0}]}, "check_budget", "amount_usd"),
        ({"type": "string", "enum": ["hour", "day", "week", "month", "total"]}, "get_usage_report", "period"),
        ({"type": "object", "additionalProperties": {"type": "string"}}, "track_usage", "tags"),
        ({"type": "array", "items": {"type": "object"}, "minItems": 1}, "estimate_cost", "messages"),
    ],
)
def test_the_schema_says_what_the_reader_takes(expected: dict[str, Any], action: str, argument: str) -> None:
    found = action_schema(action)["properties"][argument]
    assert expected == {key: value for key, value in found.items() if key != "description"}


def test_the_schema_of_no_action_names_the_known_ones() -> None:
    with pytest.raises(CallInvalid, match=r"found 'track'; did you mean track_usage\?"):
        action_schema("track")


def test_there_are_eight_actions() -> None:
    expected = {
        "estimate_cost",
        "track_usage",
        "get_metrics",
        "check_budget",
        "get_usage_report",
        "get_cost_breakdown",
        "optimize_prompt",
        "update_pricing",
    }
    assert expected == set(ACTIONS)
