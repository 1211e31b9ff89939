"""Costs that were stated elsewhere or worked out by hand, to the last digit of the pico-dollar.

The first table is ours and always runs: payloads of our own making, each with
its sum written out. The second runs where the shared golden cases lie beside the
repository.
"""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tokencalc.pricing.catalog import Catalog
from tokencalc.pricing.evaluate import evaluate
from tokencalc.providers.registry import read_usage

CATALOG = Catalog.packaged()
SHARED = Path(__file__).parents[2].parent / "shared" / "pricing" / "golden.jsonl"
NOW = "2026-11-20T12:00:00Z"

OURS: list[tuple[str, str, str, str, dict[str, str] | None, dict[str, Any]]] = [
    (
        # 1200 x 2.50 + 800 x 1.25 + 350 x 10
        "0.0075",
        "openai",
        "gpt-4o",
        NOW,
        None,
        {"prompt_tokens": 2000, "completion_tokens": 350, "prompt_tokens_details": {"cached_tokens": 800}},
    ),
    (
        # the same in a batch: 1.25, cached input at its ordinary 1.25, 5
        "0.00425",
        "openai",
        "gpt-4o",
        NOW,
        {"processing": "batch"},
        {"prompt_tokens": 2000, "completion_tokens": 350, "prompt_tokens_details": {"cached_tokens": 800}},
    ),
    (
        # flex has its own rounded cached rate: 1000 x 1.25 + 1000 x 0.13 + 100 x 7.50
        "0.00213",
        "openai",
        "gpt-5.4",
        NOW,
        {"service_tier": "flex"},
        {"input_tokens": 2000, "output_tokens": 100, "input_tokens_details": {"cached_tokens": 1000}},
    ),
    (
        # 10 x 5 + 1000 x 6.25 + 500 x 10 + 4000 x 0.50 + 60 x 25
        "0.0148",
        "anthropic",
        "claude-opus-4-5-20251101",
        "2026-02-01T08:30:00Z",
        None,
        {
            "input_tokens": 10,
            "output_tokens": 60,
            "cache_read_input_tokens": 4000,
            "cache_creation_input_tokens": 1500,
            "cache_creation": {"ephemeral_5m_input_tokens": 1000, "ephemeral_1h_input_tokens": 500},
        },
    ),
    (
        # fast mode and one search: 100 x 10 + 10 x 50 + 1 x 10 / 1000
        "0.0115",
        "anthropic",
        "claude-opus-4-8",
        NOW,
        None,
        {"input_tokens": 100, "output_tokens": 10, "speed": "fast", "server_tool_use": {"web_search_requests": 1}},
    ),
    (
        # above 100,000 tokens, cached ones included: 20,000 x 0.50 + 90,000 x 0.05 + 1000 x 2.50
        "0.017",
        "anthropic",
        "claude-haiku-5-5",
        NOW,
        None,
        {"input_tokens": 20_000, "output_tokens": 1000, "cache_read_input_tokens": 90_000},
    ),
    (
        # 700 x 0.30 + 300 x 0.03 + (40 + 160) x 2.50
        "0.000719",
        "google",
        "gemini-2.5-flash",
        NOW,
        None,
        {
            "promptTokenCount": 1000,
            "cachedContentTokenCount": 300,
            "candidatesTokenCount": 40,
            "thoughtsTokenCount": 160,
            "totalTokenCount": 1200,
        },
    ),
    (
        # after the introductory rates: 1000 x 4 + 100 x 20
        "0.006",
        "google",
        "gemini-4-argon",
        "2026-12-01T00:00:00Z",
        None,
        {"promptTokenCount": 1000, "candidatesTokenCount": 100, "totalTokenCount": 1100},
    ),
    (
        # a batch at Groq halves the input, cached or not: 100 x 0.075 + 100 x 0.075 + 10 x 0.30
        "0.000018",
        "groq",
        "openai/gpt-oss-120b",
        NOW,
        {"processing": "batch"},
        {"prompt_tokens": 200, "completion_tokens": 10, "prompt_tokens_details": {"cached_tokens": 100}},
    ),
    (
        # on the promotional days: 1000 x 0.68 + 100 x 2.09
        "0.000889",
        "mistral",
        "mistral-large-4",
        "2026-10-19T23:59:59Z",
        None,
        {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
    ),
]


def _shared() -> list[dict[str, Any]]:
    if not SHARED.exists():
        return []
    return [json.loads(line) for line in SHARED.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(("expected", "provider", "model", "at", "context", "usage"), OURS)
def test_our_cases_come_out_to_the_last_digit(  # one argument for each column
    expected: str, provider: str, model: str, at: str, context: dict[str, str] | None, usage: dict[str, Any]
) -> None:
    cost = evaluate(
        CATALOG,
        read_usage(usage, provider),
        model=model,
        provider=provider,
        at=datetime.fromisoformat(at),
        context=context,
    )

    assert Decimal(expected) == cost.total_usd
    assert cost.priced_pico == sum(line.amount_pico for line in cost.lines)


@pytest.mark.skipif(not SHARED.exists(), reason="the shared golden cases do not lie beside the repository")
@pytest.mark.parametrize("case", _shared(), ids=lambda case: str(case["id"]))
def test_the_shared_cases_come_out_to_the_last_digit(case: dict[str, Any]) -> None:
    cost = evaluate(
        CATALOG,
        read_usage(case["usage"], case["provider"]),
        model=case["model"],
        provider=case["provider"],
        at=datetime.fromisoformat(case["request_time"] or NOW),
        context=case["context"],
    )

    assert Decimal(case["expected_cost_usd"]) == cost.total_usd
