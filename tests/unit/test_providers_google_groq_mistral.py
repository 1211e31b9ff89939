"""Google's, Groq's and Mistral's formats, each with its own rule of what includes what."""

from __future__ import annotations

from enum import Enum
from typing import Any

import pytest

from tokencalc.errors import UsageInvalid
from tokencalc.providers.registry import read_usage


def leaves(body: dict[str, Any]) -> dict[str, int]:
    """Return the leaves of a body by the meters' names."""
    return {meter.value: int(quantity) for meter, quantity in read_usage(body).leaves}


def modality(name: object, count: int) -> dict[str, Any]:
    """Return an item of a list by modality."""
    return {"modality": name, "tokenCount": count}


class Modality(str, Enum):  # noqa: UP042  # as an SDK writes it
    """An enumeration as SDKs hand it out."""

    AUDIO = "AUDIO"


@pytest.mark.parametrize(
    ("expected", "metadata"),
    [
        (
            {"input": 20, "output": 151, "reasoning": 382},
            {"promptTokenCount": 20, "candidatesTokenCount": 151, "totalTokenCount": 553, "thoughtsTokenCount": 382},
        ),
        (
            {"input": 3914, "cache_read": 16298, "output": 931},
            {
                "promptTokenCount": 20212,
                "candidatesTokenCount": 931,
                "totalTokenCount": 21143,
                "cachedContentTokenCount": 16298,
            },
        ),
        (
            {"input": 568, "output": 240, "reasoning": 301},
            {
                "promptTokenCount": 249,
                "candidatesTokenCount": 240,
                "totalTokenCount": 1109,
                "thoughtsTokenCount": 301,
                "toolUsePromptTokenCount": 319,
                "promptTokensDetails": [modality("TEXT", 249)],
            },
        ),
        (
            {
                "input": 1892,
                "cache_read": 12110,
                "input_audio": 21,
                "cache_read_audio": 129,
                "output": 50,
                "output_audio": 10,
                "reasoning": 69,
            },
            {
                "promptTokenCount": 14152,
                "candidatesTokenCount": 60,
                "totalTokenCount": 14281,
                "thoughtsTokenCount": 69,
                "cachedContentTokenCount": 12239,
                "promptTokensDetails": [modality("TEXT", 14002), modality(Modality.AUDIO, 150)],
                "candidatesTokensDetails": [modality("TEXT", 50), modality("AUDIO", 10)],
                "cacheTokensDetails": [modality("AUDIO", 129), modality("TEXT", 12110)],
            },
        ),
        (
            {"input": 9, "output": 5, "output_image": 1290},
            {
                "promptTokenCount": 9,
                "candidatesTokenCount": 1295,
                "totalTokenCount": 1304,
                "candidatesTokensDetails": [modality("TEXT", 5), modality("IMAGE", 1290)],
            },
        ),
        (
            {"input": 115, "input_image": 230},
            {
                "promptTokenCount": 345,
                "totalTokenCount": 345,
                "promptTokensDetails": [
                    modality("TEXT", 87),
                    modality(2, 230),
                    modality("DOCUMENT", 28),
                    {"modality": "AUDIO"},
                ],
            },
        ),
        (
            {"input": 10, "input_audio": 9},
            {
                "promptTokenCount": 10,
                "toolUsePromptTokenCount": 9,
                "totalTokenCount": 19,
                "toolUsePromptTokensDetails": [modality("AUDIO", 9)],
            },
        ),
    ],
)
def test_gemini_counts_become_leaves(expected: dict[str, int], metadata: dict[str, Any]) -> None:
    assert expected == leaves({"usageMetadata": metadata})


def test_both_spellings_and_the_interactions_api_say_the_same() -> None:
    expected = {"input": 7, "cache_read": 2, "output": 13, "reasoning": 211}
    camel = {
        "promptTokenCount": 9,
        "candidatesTokenCount": 13,
        "thoughtsTokenCount": 211,
        "cachedContentTokenCount": 2,
        "totalTokenCount": 233,
    }
    snake = {
        "prompt_token_count": 9,
        "candidates_token_count": 13,
        "thoughts_token_count": 211,
        "cached_content_token_count": 2,
        "total_token_count": 233,
    }
    interaction = {
        "total_input_tokens": 9,
        "total_output_tokens": 13,
        "total_thought_tokens": 211,
        "total_cached_tokens": 2,
        "total_tokens": 233,
        "input_tokens_by_modality": [{"modality": "text", "tokens": 9}],
    }
    for body in (
        {"usageMetadata": camel},
        {"usage_metadata": snake},
        {"usage": interaction},
        camel,
        snake,
        interaction,
    ):
        assert expected == leaves(body)
        assert read_usage(body).notes == ()


@pytest.mark.parametrize(
    ("model", "tier", "body"),
    [
        ("gemini-2.5-pro", None, {"modelVersion": "models/gemini-2.5-pro"}),
        ("gemini-2.5-flash", None, {"model_version": "publishers/google/models/gemini-2.5-flash"}),
        (None, "flex", {"traffic": "ON_DEMAND_FLEX"}),
        (None, "ON_DEMAND", {"traffic": "ON_DEMAND"}),
        (None, "PROVISIONED_THROUGHPUT", {"traffic": 2}),
    ],
)
def test_the_served_model_and_tier_are_read(model: str | None, tier: str | None, body: dict[str, Any]) -> None:
    metadata = {
        "promptTokenCount": 1,
        "candidatesTokenCount": 1,
        "totalTokenCount": 2,
        "trafficType": body.pop("traffic", None),
    }
    read = read_usage({**body, "usageMetadata": metadata})
    assert (model, tier) == (read.model, read.service_tier)


def test_a_blocked_prompt_has_a_prompt_and_no_answer() -> None:
    assert leaves({"usageMetadata": {"promptTokenCount": 15, "totalTokenCount": 15}}) == {"input": 15}


def test_cached_tokens_of_unsaid_modality_are_text_where_the_sum_allows_and_never_refused() -> None:
    read = read_usage(
        {
            "usageMetadata": {
                "promptTokenCount": 100,
                "cachedContentTokenCount": 60,
                "totalTokenCount": 100,
                "promptTokensDetails": [modality("TEXT", 30), modality("AUDIO", 70)],
            }
        }
    )
    found = {str(meter): count for meter, count in read.leaves}
    assert found == {"cache_read": 30, "cache_read_audio": 30, "input_audio": 40}
    assert len(read.notes) == 1
    assert "does not say which cached tokens are audio" in read.notes[0]


@pytest.mark.parametrize(
    ("message", "metadata"),
    [
        (r"usageMetadata.promptTokenCount: .* found 1.5", {"promptTokenCount": 1.5}),
        (
            r"usage.promptTokenCount \(5\) is less than its parts cachedContentTokenCount \(6\)",
            {"promptTokenCount": 5, "cachedContentTokenCount": 6, "toolUsePromptTokenCount": 9, "totalTokenCount": 14},
        ),
        (
            r"usage.promptTokenCount \+ toolUsePromptTokenCount of modality audio \(5\) is less than .* cached \(6\)",
            {
                "promptTokenCount": 50,
                "cachedContentTokenCount": 6,
                "promptTokensDetails": [modality("AUDIO", 5)],
                "cacheTokensDetails": [modality("AUDIO", 6)],
            },
        ),
        (
            r"usageMetadata.promptTokensDetails\[0\].tokenCount: .* found 'many'",
            {"promptTokenCount": 5, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": "many"}]},
        ),
        (r"neither usageMetadata.promptTokenCount nor .* is there; nothing to price", {"trafficType": "ON_DEMAND"}),
    ],
)
def test_gemini_counts_that_cannot_be_are_refused(message: str, metadata: dict[str, Any]) -> None:
    with pytest.raises(UsageInvalid, match=message):
        read_usage({"usageMetadata": metadata})


GROQ_TIMES = {"queue_time": 0.1, "prompt_time": 0.2, "completion_time": 0.3, "total_time": 0.5}


def test_groq_timings_are_ignored_by_name() -> None:
    usage = {"prompt_tokens": 84, "completion_tokens": 58, "total_tokens": 142, **GROQ_TIMES}
    for _ in range(2):
        read = read_usage({"model": "openai/gpt-oss-120b", "x_groq": {"id": "req"}, "usage": usage})
        assert sorted([*(f"usage.{name}" for name in GROQ_TIMES), "usage.total_tokens"]) == sorted(read.ignored)
        assert (read.notes, read.model) == ((), "openai/gpt-oss-120b")


def test_groq_counts_a_usage_once_where_two_fields_hold_it() -> None:
    usage = {"prompt_tokens": 8, "completion_tokens": 5, "total_tokens": 13}
    assert leaves({"x_groq": {"usage": usage}, "usage": usage}) == {"input": 8, "output": 5}
    assert leaves({"x_groq": {"usage": usage}}) == {"input": 8, "output": 5}


def groq_compound(total: int) -> dict[str, Any]:
    """Return a compound body of two calls with 30 prompt tokens, and the given sum."""
    first = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14, **GROQ_TIMES}
    second = {"prompt_tokens": 20, "completion_tokens": 6, "completion_tokens_details": {"reasoning_tokens": 2}}
    return {
        "model": "groq/compound",
        "usage": {"prompt_tokens": total, "completion_tokens": 10, "total_tokens": total + 10},
        "usage_breakdown": {"models": [{"model": "llama-x", "usage": first}, {"model": "gpt-oss", "usage": second}]},
    }


def test_groq_compound_calls_are_parts_with_their_models() -> None:
    read = read_usage(groq_compound(30))
    assert [(part.model, part.input_tokens, part.output_tokens, part.reasoning_tokens) for part in read.parts] == [
        ("llama-x", 10, 4, 0),
        ("gpt-oss", 20, 6, 2),
    ]
    assert "usage_breakdown.models[0].usage.queue_time" in read.ignored


def test_groq_compound_calls_that_do_not_add_up_are_one_call_with_a_note() -> None:
    read = read_usage(groq_compound(31))
    assert (read.parts, read.model, read.input_tokens) == ((), "groq/compound", 31)
    assert "usage_breakdown adds up to 30 input and 10 output tokens" in read.notes[-1]


@pytest.mark.parametrize(
    ("cached", "notes", "fields"),
    [
        (3, 0, {"num_cached_tokens": 3}),
        (3, 0, {"prompt_tokens_details": {"cached_tokens": 3}}),
        (3, 0, {"num_cached_tokens": 3, "prompt_tokens_details": {"cached_tokens": 3}}),
        (3, 1, {"num_cached_tokens": 4, "prompt_tokens_details": {"cached_tokens": 3}}),
        (0, 0, {"prompt_token_details": None, "prompt_audio_seconds": None, "request_count": None}),
        (0, 0, {"prompt_audio_seconds": 12}),
        (0, 0, {"prompt_token_details": {}}),
    ],
)
def test_mistral_says_cached_tokens_in_one_place_or_two(cached: int, notes: int, fields: dict[str, Any]) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, **fields}
    read = read_usage({"model": "mistral-large-latest", "usage": usage}, "mistral")
    assert (cached, 10 - cached, notes) == (read.cache_read_tokens, read.uncached_input_tokens, len(read.notes))
