"""The tool's arguments: every mistake names what was found, what is allowed, and the nearest right name."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from tokencalc.errors import CallInvalid, FeatureUnavailable, InvalidInput
from tokencalc.tool_arguments import ACTIONS, read_arguments

CALL = {"agent_id": "a", "operation": "o", "model": "gpt-4o", "input_tokens": 1, "output_tokens": 2}


@pytest.mark.parametrize(
    ("expected", "action", "given"),
    [
        ({"model": "m", "text": "t"}, "estimate_cost", {"model": "m", "text": "t", "provider": None}),
        ({"group_by": ("model", "day")}, "get_usage_report", {"group_by": ["model", "day", "model"]}),
        ({"group_by": ("model",)}, "get_usage_report", {"group_by": "model"}),
        ({"since": datetime(2026, 11, 1, tzinfo=UTC)}, "get_usage_report", {"since": "2026-11-01"}),
        ({"amount_usd": Decimal("0.1")}, "check_budget", {"amount_usd": 0.1}),
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


@pytest.mark.parametrize("action", ["optimize_prompt", "update_pricing"])
def test_an_action_to_come_says_so(action: str) -> None:
    with pytest.raises(FeatureUnavailable, match=f"{action} is not available in this version"):
        read_arguments(action, {"whatever": 1})


@pytest.mark.parametrize(
    ("message", "action", "given"),
    [
        (r"track_usage: missing agent_id, operation, model; it needs", "track_usage", {}),
        (r"track_usage: missing agent_id; it needs agent_id", "track_usage", {**CALL, "agent_id": None}),
        (r"unknown argument 'input_token'; did you mean input_tokens\?", "track_usage", {**CALL, "input_token": 1}),
        (r"get_metrics: unknown argument 'x'; it takes no arguments", "get_metrics", {"x": 1}),
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
        (r"operation: expected text .* without control", "track_usage", {**CALL, "operation": "a\x1b[2J"}),
        (r"tags: expected a mapping .* found \['a'\]", "track_usage", {**CALL, "tags": ["a"]}),
        (
            r"at: expected an instant .* found '2026-11-20T12:00:00'",
            "track_usage",
            {**CALL, "at": "2026-11-20T12:00:00"},
        ),
        (r"notional: expected True or False, found 1", "track_usage", {**CALL, "notional": 1}),
        (r"text: expected text, found 5", "estimate_cost", {"model": "m", "text": 5}),
        (r"text: expected some text to count, found ''", "estimate_cost", {"model": "m", "text": ""}),
        (r"messages: expected a list .* found \[\]", "estimate_cost", {"model": "m", "messages": []}),
        (r"messages: expected a list .* found 'hi'", "estimate_cost", {"model": "m", "messages": "hi"}),
        (
            r"group_by: expected some of .* found 'modle'; did you mean model\?",
            "get_usage_report",
            {"group_by": "modle"},
        ),
        (r"group_by: expected some of .* found \[\]", "get_usage_report", {"group_by": []}),
        (r"period: expected one of .* found 'fortnight'", "get_usage_report", {"period": "fortnight"}),
        (r"period: expected hour, day, .* found 'run'", "get_usage_report", {"period": "run"}),
        (r"timezone: expected an IANA name .* found 'Mars'", "get_usage_report", {"timezone": "Mars"}),
    ],
)
def test_a_mistake_names_the_value_and_what_is_allowed(message: str, action: str, given: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=message):
        read_arguments(action, given)


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
