"""Dialects of OpenAI's format: DeepSeek, xAI, Perplexity, Together, Voyage; what they count beside it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from tokencalc.errors import UsageInvalid
from tokencalc.pricing.catalog import Catalog
from tokencalc.pricing.evaluate import evaluate
from tokencalc.providers.registry import read_usage
from tokencalc.usage import Meter


def leaves(usage: dict[str, Any], provider: str | None = None, **body: Any) -> dict[str, Any]:
    """Return the quantities of a usage by the names of their meters."""
    return {str(meter): quantity for meter, quantity in read_usage({"usage": usage, **body}, provider).leaves}


@pytest.mark.parametrize(
    ("expected", "notes", "usage"),
    [
        ({"input": 51, "cache_read": 512, "output": 9}, 0, {"prompt_tokens": 563, "prompt_cache_hit_tokens": 512}),
        (
            {"input": 51, "cache_read": 512, "output": 9},
            0,
            {"prompt_cache_hit_tokens": 512, "prompt_cache_miss_tokens": 51},
        ),
        ({"input": 8, "output": 9}, 0, {"prompt_tokens": 8, "prompt_cache_miss_tokens": 8}),
        (
            {"input": 6, "cache_read": 2, "output": 9},
            0,
            {"prompt_tokens": 8, "prompt_cache_hit_tokens": 2, "prompt_tokens_details": {"cached_tokens": 2}},
        ),
        (
            {"input": 6, "cache_read": 2, "output": 9},
            1,
            {"prompt_tokens": 8, "prompt_cache_hit_tokens": 3, "prompt_tokens_details": {"cached_tokens": 2}},
        ),
        (
            {"input": 6, "cache_read": 2, "output": 9},
            1,
            {"prompt_tokens": 8, "prompt_cache_hit_tokens": 2, "prompt_cache_miss_tokens": 7},
        ),
    ],
)
def test_deepseek_splits_the_prompt_into_hits_and_misses(
    expected: dict[str, int], notes: int, usage: dict[str, Any]
) -> None:
    read = read_usage({"model": "deepseek-chat", "usage": {"completion_tokens": 9, **usage}})
    assert (expected, notes) == ({str(meter): count for meter, count in read.leaves}, len(read.notes))


def test_more_hits_than_prompt_are_refused() -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 1, "prompt_cache_hit_tokens": 6}
    with pytest.raises(UsageInvalid, match=r"prompt_tokens \(5\) is less than its parts cached_tokens \(6\)"):
        read_usage({"usage": usage}, "deepseek")


THOUGHT = {"completion_tokens_details": {"reasoning_tokens": 30}}


@pytest.mark.parametrize(
    ("expected", "provider", "usage"),
    [
        ({"output": 4, "reasoning": 30}, None, {"total_tokens": 44}),
        ({"output": 4, "reasoning": 30}, "xai", {"total_tokens": 44}),
        ({"output": 4, "reasoning": 30}, "xai", {}),
        ({"output": 4, "reasoning": 30}, None, {"num_sources_used": 0}),
        ({"output": 4, "reasoning": 30}, "openai", {"total_tokens": 44}),
    ],
)
def test_reasoning_beside_the_completion_is_counted_once_and_whole(
    expected: dict[str, int], provider: str | None, usage: dict[str, Any]
) -> None:
    counts = {"prompt_tokens": 10, "completion_tokens": 4, **THOUGHT, **usage}
    for _ in range(2):  # and again, when the shape was met before
        assert {"input": 10, **expected} == leaves(counts, provider)


def test_reasoning_inside_the_completion_stays_inside_where_the_total_says_so() -> None:
    counts = {"prompt_tokens": 10, "completion_tokens": 40, "total_tokens": 50, **THOUGHT}
    assert leaves(counts, "xai") == {"input": 10, "output": 10, "reasoning": 30}


def test_reasoning_above_the_completion_is_refused_where_nothing_says_that_it_is_beside() -> None:
    with pytest.raises(UsageInvalid, match=r"completion_tokens \(4\) is less than its parts reasoning_tokens \(30\)"):
        read_usage({"usage": {"prompt_tokens": 10, "completion_tokens": 4, **THOUGHT}})


def test_xai_counts_its_tools_and_says_what_was_billed() -> None:
    read = read_usage(
        {
            "model": "grok-4.5",
            "output": [{"type": "web_search_call"}],
            "usage": {
                "input_tokens": 100,
                "input_tokens_details": {"cached_tokens": 60},
                "output_tokens": 20,
                "output_tokens_details": {"reasoning_tokens": 15},
                "total_tokens": 120,
                "num_sources_used": 7,
                "num_server_side_tools_used": 4,
                "server_side_tool_usage_details": {
                    "web_search_calls": 1, "x_search_calls": 2, "code_interpreter_calls": 1, "file_search_calls": 0,
                    "mcp_calls": 3,
                },
                "cost_in_usd_ticks": 37756001,
                "context_details": {"input_tokens": 90, "output_tokens": 20},
            },
        }
    )  # fmt: skip
    assert {str(meter): count for meter, count in read.leaves} == {
        "input": 40, "cache_read": 60, "output": 5, "reasoning": 15,
        "web_search": 1, "social_search": 2, "code_execution": 1,
    }  # fmt: skip
    assert (Decimal("0.0037756001"), ()) == (read.billed_usd, read.notes)
    assert "usage.num_sources_used" in read.ignored


def test_sources_of_xais_live_search_are_counted_and_never_free_in_silence() -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14, "num_sources_used": 5}
    read = read_usage({"model": "grok-4", "usage": usage})
    cost = evaluate(Catalog.packaged(), read, model="grok-4", provider="xai", at=datetime(2025, 9, 1, tzinfo=UTC))
    assert (read.quantity(Meter.SEARCH_UNIT), len(read.notes), read.ignored[1:]) == (5, 1, ())
    assert cost.unpriced == (Meter.SEARCH_UNIT,)
    assert any("search_unit" in note and "has no rate" in note for note in cost.notes)


def test_xai_images_have_a_cost_and_no_tokens() -> None:
    read = read_usage({"data": [{"url": "x"}, {"b64_json": "y"}], "usage": {"cost_in_usd_ticks": 400_000_000}})
    assert ((("output_image_piece", 2),), Decimal("0.04")) == (read.leaves, read.billed_usd)


def test_an_xai_usage_of_nothing_that_we_count_says_so() -> None:
    read = read_usage({"usage": {"cost_in_usd_ticks": 5}})
    assert ((), Decimal("0.0000000005"), 1) == (read.leaves, read.billed_usd, len(read.notes))


@pytest.mark.parametrize(("notes", "total"), [(0, None), (0, 65), (0, 90), (0, 75), (0, 100), (1, 99)])
def test_perplexity_counts_reasoning_and_citations_beside_the_completion(notes: int, total: int | None) -> None:
    usage = {
        "prompt_tokens": 0, "completion_tokens": 65, "total_tokens": total,
        "reasoning_tokens": 25, "citation_tokens": 10, "num_search_queries": 3, "search_context_size": "low",
        "cost": {"input_tokens_cost": 0.0, "output_tokens_cost": 0.00052, "request_cost": 0.005, "total_cost": 0.0187},
    }  # fmt: skip
    read = read_usage({"model": "sonar-deep-research", "usage": usage})
    assert {str(meter): count for meter, count in read.leaves} == {
        "output": 65,
        "reasoning": 25,
        "citation": 10,
        "web_search": 3,
    }
    assert (notes, Decimal("0.0187")) == (len(read.notes), read.billed_usd)


@pytest.mark.parametrize(
    ("usd", "model", "size"),
    [
        ("0.005", "sonar", None),
        ("0.005", "sonar", "low"),
        ("0.008", "sonar", "medium"),
        ("0.012", "sonar", "high"),
        ("0.006", "sonar-pro", "low"),
        ("0.010", "sonar-pro", "medium"),
        ("0.014", "sonar-pro", "high"),
        ("0.012", "sonar-reasoning", "high"),
        ("0.014", "sonar-reasoning-pro", "high"),
    ],
)
@pytest.mark.parametrize("asked", [None, "low", "medium", "high"])
def test_the_fee_of_perplexity_is_that_of_the_size_that_the_usage_says(
    usd: str, model: str, size: str | None, asked: str | None
) -> None:
    usage = {"prompt_tokens": 0, "completion_tokens": 1, "total_tokens": 1, "search_context_size": size}
    read = read_usage({"model": model, "usage": usage}, "perplexity")
    context = {"search_context_size": asked} if asked and size else None
    cost = evaluate(
        Catalog.packaged(),
        read,
        model=model,
        provider="perplexity",
        at=datetime(2026, 11, 1, tzinfo=UTC),
        context=context,
    )
    fee = sum(line.amount_pico for line in cost.lines if line.meter is Meter.REQUEST)
    assert (Decimal(usd), ()) == (Decimal(fee).scaleb(-12), cost.unpriced)


def test_a_size_that_nobody_sells_is_not_priced_as_another() -> None:
    usage = {"prompt_tokens": 0, "completion_tokens": 1, "total_tokens": 1, "search_context_size": "vast"}
    read = read_usage({"model": "sonar", "usage": usage})
    cost = evaluate(
        Catalog.packaged(), read, model="sonar", provider="perplexity", at=datetime(2026, 11, 1, tzinfo=UTC)
    )
    assert (cost.priced_pico, len(cost.notes)) == (0, 1)
    assert "search_context_size=vast" in cost.notes[0]


def test_a_size_by_which_a_card_has_no_rates_changes_nothing() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4, "search_context_size": "high"}
    read = read_usage({"model": "sonar-deep-research", "usage": usage})
    cost = evaluate(
        Catalog.packaged(),
        read,
        model="sonar-deep-research",
        provider="perplexity",
        at=datetime(2026, 11, 1, tzinfo=UTC),
    )
    assert (cost.unpriced, len(cost.lines)) == ((), 2)


def test_perplexity_by_name_reads_a_usage_without_its_marks() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    assert leaves(usage, "perplexity") == {"input": 3, "output": 4}


@pytest.mark.parametrize(
    ("cached", "notes", "details"),
    [
        (4, 0, {}),
        (4, 0, {"prompt_tokens_details": {"cached_tokens": 4}}),
        (3, 1, {"prompt_tokens_details": {"cached_tokens": 3}}),
    ],
)
def test_cached_tokens_beside_the_details_are_part_of_the_prompt(
    cached: int, notes: int, details: dict[str, Any]
) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11, "cached_tokens": 4, **details}
    read = read_usage({"usage": usage})
    assert (cached, 10, notes) == (read.cache_read_tokens, read.input_tokens, len(read.notes))


@pytest.mark.parametrize("body", [{"object": "list", "data": [{"embedding": []}]}, {"results": [{"index": 0}]}])
def test_a_total_alone_is_input_where_the_body_is_no_text(body: dict[str, Any]) -> None:
    read = read_usage({"model": "voyage-3", "usage": {"total_tokens": 18}, **body})
    assert (read.leaves, read.model, read.notes) == ((("input", 18),), "voyage-3", ())


def test_a_total_alone_is_refused_where_it_could_be_anything() -> None:
    with pytest.raises(UsageInvalid, match=r"cannot tell the format of \{'total_tokens'\}"):
        read_usage({"usage": {"total_tokens": 18}})
