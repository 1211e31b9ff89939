"""OpenRouter: tokens of whoever served, and what was billed, exact and beside our own price."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from tokencalc.errors import UsageInvalid
from tokencalc.providers.registry import read_usage

if TYPE_CHECKING:
    from tokencalc.usage import Usage

CHAT = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}


def read(usage: dict[str, Any], **body: Any) -> Usage:
    """Read a chat usage with the given fields."""
    return read_usage({"model": "anthropic/claude-4.6-sonnet", "usage": {**CHAT, **usage}, **body})


def counts(usage: Usage) -> dict[str, Any]:
    """Return the quantities by the names of their meters."""
    return {str(meter): quantity for meter, quantity in usage.leaves}


@pytest.mark.parametrize(
    ("expected", "cost"),
    [
        ("0.01355025", 0.01355025),
        ("0.0004970133333333333", 0.0004970133333333333),
        ("0.0000401", 4.01e-05),
        ("0", 0),
        ("0.1", Decimal("0.1")),
    ],
)
def test_the_billed_cost_is_exact_through_the_shortest_text(expected: str, cost: float | Decimal) -> None:
    assert Decimal(expected) == read({"cost": cost, "is_byok": False}).billed_usd


@pytest.mark.parametrize("cost", [True, "0.1", -1, float("nan"), [1]])
def test_a_cost_that_is_no_amount_is_refused(cost: object) -> None:
    with pytest.raises(UsageInvalid, match=r"usage.cost: expected a number from 0"):
        read({"cost": cost})


def test_without_a_cost_nothing_is_billed() -> None:
    assert read({}).billed_usd is None


def test_writes_are_part_of_the_prompt_and_upstream_costs_are_known() -> None:
    usage = {
        "prompt_tokens_details": {"cached_tokens": 40, "cache_write_tokens": 57, "video_tokens": 0, "audio_tokens": 0},
        "cost": 0.5,
        "cost_details": {"upstream_inference_cost": 0.5, "upstream_inference_prompt_cost": 0.2},
        "is_byok": False,
    }
    for _ in range(2):
        found = read(usage)
        assert counts(found) == {"input": 3, "cache_read": 40, "cache_write": 57, "output": 20}
        assert found.notes == ()


def test_video_tokens_are_counted_again_and_again() -> None:
    for _ in range(3):
        found = read({"prompt_tokens_details": {"cached_tokens": 0, "video_tokens": 90}, "cost": 0.1})
        assert counts(found) == {"input": 10, "input_video": 90, "output": 20}


def test_tokens_that_are_written_and_read_in_one_call_are_read_once_and_stored() -> None:
    found = read({"prompt_tokens_details": {"cached_tokens": 96, "cache_write_tokens": 96}, "cost": 0.1})
    assert counts(found) == {"input": 4, "cache_read": 96, "output": 20, "cache_storage_token_hour": 8}
    assert (found.input_tokens + found.output_tokens, len(found.notes)) == (120, 1)


def test_more_cached_than_prompt_is_refused_still() -> None:
    with pytest.raises(UsageInvalid, match=r"prompt_tokens \(100\) is less than its parts"):
        read({"prompt_tokens_details": {"cached_tokens": 101, "cache_write_tokens": 9}, "cost": 0.1})


def test_your_own_key_is_billed_by_the_upstream_provider() -> None:
    found = read({"cost": 0, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.0003253}})
    assert Decimal(0) == found.billed_usd
    assert (found.notes) == (
        "usage.is_byok: the upstream provider bills 0.0003253 USD to your own key, beside usage.cost",
    )
    assert len(read({"cost": 0, "is_byok": True}).notes) == 1


@pytest.mark.parametrize(
    ("searches", "notes", "tools"),
    [
        (1, 0, {"web_search_requests": 1}),
        (1, 0, {"web_search_requests": 1, "tool_calls_requested": 1, "tool_calls_executed": 1}),
        (0, 1, {"tool_calls_requested": 1, "tool_calls_executed": 1}),
    ],
)
def test_searches_are_counted_and_other_tools_are_noted(searches: int, notes: int, tools: dict[str, int]) -> None:
    found = read({"cost": 0.01, "server_tool_use_details": tools})
    assert (searches, notes) == (found.web_searches, len(found.notes))


def test_the_responses_form_has_a_cost_too() -> None:
    usage = {"input_tokens": 9, "input_tokens_details": {"cached_tokens": 4}, "output_tokens": 2, "cost": 0.025265}
    found = read_usage({"model": "openai/gpt-5", "usage": usage})
    assert ({"input": 5, "cache_read": 4, "output": 2}, Decimal("0.025265")) == (counts(found), found.billed_usd)


@pytest.mark.parametrize(("expected", "tier"), [(None, "provisioned"), ("flex", "flex"), ("default", "default")])
def test_the_upstreams_provisioned_capacity_is_no_tier_of_ours(expected: str | None, tier: str) -> None:
    found = read({"cost": 0.1}, service_tier=tier)
    assert (expected, "anthropic/claude-4.6-sonnet") == (found.service_tier, found.model)


@pytest.mark.parametrize("wrap", [True, False])
def test_the_record_of_a_generation_has_native_tokens_and_the_whole_cost(*, wrap: bool) -> None:
    record = {
        "id": "gen-1", "model": "openai/gpt-5-mini", "total_cost": 0.00034225, "tokens_prompt": 70,
        "tokens_completion": 150, "native_tokens_prompt": 73, "native_tokens_completion": 162,
        "native_tokens_reasoning": 128, "native_tokens_cached": 3, "latency": 800, "is_byok": False,
    }  # fmt: skip
    found = read_usage({"data": record} if wrap else record)
    assert counts(found) == {"input": 70, "cache_read": 3, "output": 34, "reasoning": 128}
    assert (Decimal("0.00034225"), "openai/gpt-5-mini", ()) == (found.billed_usd, found.model, found.notes)
    assert "data.tokens_prompt" in found.ignored
