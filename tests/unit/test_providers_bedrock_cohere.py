"""Bedrock's formats and Cohere's: what excludes what, and what is billed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tokencalc.errors import UsageInvalid, UsageMissing
from tokencalc.providers.registry import read_usage

if TYPE_CHECKING:
    from tokencalc.usage import Usage


def counts(usage: Usage) -> dict[str, Any]:
    """Return the quantities by the names of their meters."""
    return {str(meter): quantity for meter, quantity in usage.leaves}


@pytest.mark.parametrize(
    ("expected", "notes", "usage"),
    [
        ({"input": 20, "output": 72}, 0, {"totalTokens": 92}),
        ({"input": 20, "output": 72}, 1, {"totalTokens": 93}),
        (
            {"input": 20, "output": 72, "cache_read": 30, "cache_write": 40},
            0,
            {"cacheReadInputTokens": 30, "cacheWriteInputTokens": 40, "totalTokens": 162},
        ),
        (
            {"input": 20, "output": 72, "cache_read": 30, "cache_write": 40},
            0,
            {"cacheReadInputTokenCount": 30, "cacheWriteInputTokenCount": 40, "totalTokens": 162},
        ),
        (
            {"input": 20, "output": 72, "cache_read": 31},
            1,
            {"cacheReadInputTokens": 30, "cacheReadInputTokenCount": 31},
        ),
        (
            {"input": 20, "output": 72, "cache_write": 4, "cache_write_5m": 30, "cache_write_1h": 6},
            0,
            {
                "cacheWriteInputTokens": 40,
                "cacheDetails": [{"ttl": "5m", "inputTokens": 30}, {"ttl": "1h", "inputTokens": 6}],
            },
        ),
        ({"input": 20, "output": 72, "cache_write": 5}, 1, {"cacheDetails": [{"ttl": "2d", "inputTokens": 5}]}),
        ({"input": 20, "output": 72}, 1, {"serverToolUsage": {"webGroundingRequests": 2}}),
        ({"input": 20, "output": 72}, 0, {"serverToolUsage": {}}),
    ],
)
def test_converse_input_is_without_cache(expected: dict[str, int], notes: int, usage: dict[str, Any]) -> None:
    read = read_usage({"stopReason": "end_turn", "usage": {"inputTokens": 20, "outputTokens": 72, **usage}})
    assert (expected, notes) == (counts(read), len(read.notes))


def test_converse_says_tier_speed_and_the_model_of_a_router_beside_the_usage() -> None:
    read = read_usage(
        {
            "usage": {"inputTokens": 1, "outputTokens": 1},
            "serviceTier": {"type": "flex"},
            "performanceConfig": {"latency": "optimized"},
            "trace": {"promptRouter": {"invokedModelId": "arn:x:inference-profile/us.amazon.nova-lite-v1:0"}},
        }
    )
    assert (read.service_tier, read.speed, read.model) == ("flex", "optimized", "us.amazon.nova-lite-v1:0")
    ordinary = read_usage(
        {"usage": {"inputTokens": 1, "outputTokens": 1}, "performanceConfig": {"latency": "standard"}}
    )
    assert (ordinary.service_tier, ordinary.speed, ordinary.model) == (None, None, None)


def test_a_guardrail_is_noted_because_it_is_billed_apart() -> None:
    body = {"usage": {"inputTokens": 1, "outputTokens": 1}, "trace": {"guardrail": {"inputAssessment": {}}}}
    assert [note[:15] for note in read_usage(body).notes] == ["trace.guardrail"]


@pytest.mark.parametrize(
    ("message", "usage"),
    [
        (
            "cacheWriteInputTokens .4. is less than its parts",
            {"cacheWriteInputTokens": 4, "cacheDetails": [{"ttl": "5m", "inputTokens": 5}]},
        ),
        ("usage.inputTokens: expected an integer", {"inputTokens": "1"}),
        ("usage.cacheDetails: expected a list", {"cacheDetails": 4}),
    ],
)
def test_converse_counts_that_cannot_be_are_refused(message: str, usage: dict[str, Any]) -> None:
    with pytest.raises(UsageInvalid, match=message):
        read_usage({"usage": {"inputTokens": 1, "outputTokens": 1, **usage}})


METRICS = {"inputTokenCount": 7, "outputTokenCount": 9, "invocationLatency": 300, "firstByteLatency": 20}
HEADERS = {"x-amzn-bedrock-input-token-count": "7", "x-amzn-bedrock-output-token-count": "9"}


@pytest.mark.parametrize(
    ("expected", "body"),
    [
        (
            {"input": 28, "output": 197},
            {"inputTextTokenCount": 28, "results": [{"tokenCount": 190}, {"tokenCount": 7}]},
        ),
        ({"input": 28, "output": 5}, {"inputTextTokenCount": 28, "totalOutputTextTokenCount": 5, "outputText": "x"}),
        ({"input": 4}, {"inputTextTokenCount": 4, "embedding": [0.1]}),
        ({"input": 25, "output": 8}, {"generation": "x", "prompt_token_count": 25, "generation_token_count": 8}),
        ({"input": 7, "output": 9}, {"amazon-bedrock-invocationMetrics": METRICS}),
        ({"input": 7, "output": 9}, {"outputs": [{"text": "x"}], "ResponseMetadata": {"HTTPHeaders": HEADERS}}),
        (
            {"input": 4, "cache_write": 18, "output": 5},
            {"type": "message", "usage": {"input_tokens": 4, "cache_creation_input_tokens": 18, "output_tokens": 5}},
        ),
        (
            {"input": 30, "output": 2},
            {"output": {}, "usage": {"inputTokens": 30, "outputTokens": 2, "totalTokens": 32}},
        ),
        ({"output_image_piece": 2}, {"images": ["a", "b"], "error": None}),
    ],
)
def test_native_bodies_are_read_by_their_own_fields(expected: dict[str, int], body: dict[str, Any]) -> None:
    read = read_usage(body, "bedrock")
    assert (expected, ()) == (counts(read), read.notes)


@pytest.mark.parametrize(
    "body", [{"outputs": [{"text": "x"}]}, {"outputs": [], "ResponseMetadata": {"HTTPHeaders": {"date": "x"}}}]
)
def test_a_native_body_without_counts_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(UsageInvalid, match=r"cannot tell the format|has an answer and says no usage"):
        read_usage(body, "bedrock")


@pytest.mark.parametrize("value", ["-1", "7.5", "many", True])
def test_a_header_that_is_no_count_is_refused(value: object) -> None:
    headers = {**HEADERS, "x-amzn-bedrock-input-token-count": value}
    with pytest.raises(UsageInvalid, match=r"HTTPHeaders.x-amzn-bedrock-input-token-count: expected an integer"):
        read_usage({"ResponseMetadata": {"HTTPHeaders": headers}})


@pytest.mark.parametrize(
    ("expected", "body"),
    [
        (
            {"input": 13, "output": 8},
            {
                "usage": {
                    "billed_units": {"input_tokens": 13, "output_tokens": 8},
                    "tokens": {"input_tokens": 542, "output_tokens": 10},
                    "cached_tokens": 144,
                }
            },
        ),
        (
            {"input": 7, "output": 9},
            {
                "text": "x",
                "meta": {"api_version": {"version": "1"}, "billed_units": {"input_tokens": 7, "output_tokens": 9}},
            },
        ),
        ({"search_unit": 1}, {"results": [], "meta": {"billed_units": {"search_units": 1}}}),
        (
            {"input": 4, "input_image": 90},
            {"embeddings": {}, "meta": {"billed_units": {"input_tokens": 4, "image_tokens": 90}}},
        ),
        ({"input_image_piece": 3}, {"embeddings": {}, "meta": {"billed_units": {"images": 3}}}),
        ({"request": 2}, {"classifications": [], "meta": {"billed_units": {"classifications": 2}}}),
        ({"input": 13}, {"billed_units": {"input_tokens": 13}}),
    ],
)
def test_cohere_counts_what_is_billed(expected: dict[str, int], body: dict[str, Any]) -> None:
    read = read_usage(body, "cohere")
    assert (expected, ()) == (counts(read), read.notes)


def test_cohere_without_billed_units_counts_all_tokens_and_says_so() -> None:
    read = read_usage({"meta": {"tokens": {"input_tokens": 9, "output_tokens": 2}}})
    assert (counts(read), len(read.notes)) == ({"input": 9, "output": 2}, 1)
    with pytest.raises(UsageMissing, match="nothing to price"):
        read_usage({"usage": {"billed_units": {}, "tokens": {}}})


def test_cohere_units_that_are_new_are_noted() -> None:
    read = read_usage({"meta": {"billed_units": {"search_units": 1, "gpu_hours": 2}}})
    assert [note[:31] for note in read.notes] == ["meta.billed_units.gpu_hours (2)"]
