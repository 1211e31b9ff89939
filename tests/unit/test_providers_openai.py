"""OpenAI's formats: totals include their parts, and every part is counted once."""

from __future__ import annotations

from typing import Any

import pytest

from tokencalc.errors import UsageInvalid
from tokencalc.providers.registry import read_usage

SUM = ("usage.total_tokens",)


def leaves(usage: dict[str, Any], **body: Any) -> dict[str, int]:
    """Return the leaves of a body with this usage, by the meters' names."""
    read = read_usage({"model": "gpt-4o", **body, "usage": usage}, "openai")
    return {meter.value: int(quantity) for meter, quantity in read.leaves}


@pytest.mark.parametrize(
    ("expected", "usage"),
    [
        ({"input": 9, "output": 3}, {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}),
        (
            {"input": 8, "cache_read": 4012, "output": 4},
            {
                "prompt_tokens": 4020,
                "completion_tokens": 4,
                "total_tokens": 4024,
                "prompt_tokens_details": {"cached_tokens": 4012, "cache_write_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 0},
            },
        ),
        (
            {"input": 150, "cache_read": 50, "cache_write": 100, "output": 6, "reasoning": 4},
            {
                "prompt_tokens": 300,
                "completion_tokens": 10,
                "total_tokens": 310,
                "prompt_tokens_details": {"cached_tokens": 50, "cache_write_tokens": 100},
                "completion_tokens_details": {"reasoning_tokens": 4, "rejected_prediction_tokens": 2},
            },
        ),
        (
            {"input": 12, "input_audio": 69, "output": 60, "output_audio": 12},
            {
                "prompt_tokens": 81,
                "completion_tokens": 72,
                "total_tokens": 153,
                "prompt_tokens_details": {"audio_tokens": 69, "text_tokens": 12},
                "completion_tokens_details": {"audio_tokens": 12, "text_tokens": 60},
            },
        ),
        (
            {"input": 10, "cache_read": 30, "cache_read_audio": 20, "input_audio": 40, "output": 1},
            {
                "prompt_tokens": 100,
                "completion_tokens": 1,
                "prompt_tokens_details": {
                    "cached_tokens": 50,
                    "audio_tokens": 60,
                    "cached_tokens_details": {"audio_tokens": 20, "text_tokens": 30},
                },
            },
        ),
        (
            {"input": 5, "cache_write": 10, "cache_write_30m": 20, "cache_write_12h": 65, "output": 2},
            {
                "input_tokens": 100,
                "output_tokens": 2,
                "input_tokens_details": {
                    "cached_tokens": 0,
                    "cache_write_tokens": 95,
                    "cache_write_tokens_details": {"ttl_30m_tokens": 20, "ttl_12h_tokens": 65},
                },
            },
        ),
        ({"input": 6}, {"prompt_tokens": 6, "total_tokens": 6}),
        (
            {"input_audio": 1, "output": 5},
            {
                "type": "tokens",
                "total_tokens": 6,
                "input_tokens": 1,
                "output_tokens": 5,
                "input_token_details": {"text_tokens": 0, "audio_tokens": 1},
            },
        ),
    ],
)
def test_a_usage_becomes_leaves_that_do_not_overlap(expected: dict[str, int], usage: dict[str, Any]) -> None:
    assert expected == leaves(usage)
    assert expected == leaves(usage), "the quick way, which the second reading takes, says the same"


def test_the_served_model_and_tier_come_from_the_body() -> None:
    body = {
        "model": "gpt-5-mini-2025-08-07",
        "service_tier": "priority",
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }
    for _ in range(2):
        read = read_usage(body)
        assert (read.model, read.service_tier) == ("gpt-5-mini-2025-08-07", "priority")
        assert read.ignored == SUM


def test_reasoning_is_a_part_of_the_output() -> None:
    read = read_usage(
        {"usage": {"input_tokens": 13, "output_tokens": 77, "output_tokens_details": {"reasoning_tokens": 64}}}
    )
    assert (read.output_tokens, read.reasoning_tokens) == (77, 64)


@pytest.mark.parametrize(
    ("note", "usage"),
    [
        (
            "usage.total_tokens (99) is not prompt_tokens + completion_tokens (12)",
            {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 99},
        ),
        ("usage.completion_tokens is not said; counted as 0", {"prompt_tokens": 9, "completion_tokens": None}),
        (
            "usage.image_count (2) is not known to this reader: unmapped, not in the cost",
            {"prompt_tokens": 9, "completion_tokens": 3, "image_count": 2},
        ),
        (
            "not in the cost; nearest known: usage.prompt_tokens_details.cached_tokens",
            {"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cache_tokens": 7}},
        ),
        (
            "usage.prompt_tokens_details does not say which cached tokens are audio",
            {
                "prompt_tokens": 9,
                "completion_tokens": 3,
                "prompt_tokens_details": {"cached_tokens": 2, "audio_tokens": 3},
            },
        ),
        (
            "usage.completion_tokens_details: 3 reasoning tokens can only be audio or image tokens as well",
            {
                "prompt_tokens": 9,
                "completion_tokens": 4,
                "completion_tokens_details": {"reasoning_tokens": 3, "audio_tokens": 4},
            },
        ),
    ],
)
def test_what_does_not_fit_is_said_in_a_note(note: str, usage: dict[str, Any]) -> None:
    for _ in range(2):  # and again, when the shape was met before
        assert any(note in said for said in read_usage({"usage": usage}).notes)


def test_cached_tokens_that_must_be_audio_are_counted_once() -> None:
    usage = {
        "prompt_tokens": 9,
        "completion_tokens": 0,
        "prompt_tokens_details": {"cached_tokens": 6, "audio_tokens": 5},
    }
    assert leaves(usage) == {"cache_read": 4, "cache_read_audio": 2, "input_audio": 3}


def test_an_unknown_counter_of_zero_is_ignored_without_a_note() -> None:
    read = read_usage({"usage": {"prompt_tokens": 1, "completion_tokens": 1, "future_tokens": 0}})
    assert (read.ignored, read.notes) == (("usage.future_tokens",), ())


TEXT = {"input_tokens": 9, "output_tokens": 3, "total_tokens": 12}
OPENED = {"type": "web_search_call", "action": {"type": "open_page"}}
SEARCHED = {"type": "web_search_call", "action": {"type": "search", "query": "x"}}


@pytest.mark.parametrize(
    ("expected", "notes", "body"),
    [
        ({}, 0, {"output": [{"type": "message"}]}),
        ({"web_search": 2}, 0, {"output": [SEARCHED], "tool_usage": {"web_search": {"num_requests": 2}}}),
        ({}, 0, {"output": [SEARCHED], "tool_usage": {"web_search": {"num_requests": 0}}}),
        ({"web_search": 2}, 0, {"output": [SEARCHED, OPENED, {"type": "web_search_call"}]}),
        ({"file_search": 1}, 0, {"output": [{"type": "file_search_call"}]}),
        ({}, 1, {"output": [{"type": "code_interpreter_call"}]}),
        ({}, 1, {"output": [{"type": "image_generation_call"}]}),
        ({}, 1, {"tool_usage": {"image_gen": {"output_tokens": 9}}}),
        ({}, 0, {"output": "text"}),
    ],
)
def test_tools_are_counted_where_they_are_billed_by_the_call_and_noted_where_not(
    expected: dict[str, int], notes: int, body: dict[str, Any]
) -> None:
    read = read_usage({"model": "gpt-5", "usage": TEXT, **body})
    assert {"input": 9, "output": 3, **expected} == {str(meter): count for meter, count in read.leaves}
    assert (notes, "gpt-5") == (len(read.notes), read.model)


@pytest.mark.parametrize(
    ("message", "usage"),
    [
        (r"usage.prompt_tokens: expected an integer from 0 .*, found True", {"prompt_tokens": True}),
        (r"usage.prompt_tokens: expected an integer from 0 .*, found 7.9", {"prompt_tokens": 7.9}),
        (r"usage.prompt_tokens: expected an integer from 0 .*, found '7'", {"prompt_tokens": "7"}),
        (
            r"usage.completion_tokens: expected an integer from 0 .*, found -1",
            {"prompt_tokens": 1, "completion_tokens": -1},
        ),
        (r"usage.prompt_tokens: .*, found 1{16}$", {"prompt_tokens": int("1" * 16)}),
        (r"usage.prompt_tokens: .*, found nan", {"prompt_tokens": float("nan")}),
        (
            r"usage.prompt_tokens \(5\) is less than its parts cached_tokens \(6\)",
            {"prompt_tokens": 5, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 6}},
        ),
        (
            r"usage.completion_tokens \(1\) is less than its parts reasoning_tokens \(2\)",
            {"prompt_tokens": 5, "completion_tokens": 1, "completion_tokens_details": {"reasoning_tokens": 2}},
        ),
        (
            r"usage.prompt_tokens_details: expected an object, found 3",
            {"prompt_tokens": 5, "completion_tokens": 1, "prompt_tokens_details": 3},
        ),
        (
            r"neither usage.prompt_tokens nor usage.completion_tokens is there",
            {"prompt_tokens": None, "completion_tokens": None},
        ),
    ],
)
def test_counts_that_cannot_be_are_refused_with_their_path(message: str, usage: dict[str, Any]) -> None:
    with pytest.raises(UsageInvalid, match=message):
        read_usage({"usage": usage})


@pytest.mark.parametrize("bad", [True, False, 7.5, "7", -1, 10**16, [], {}])
@pytest.mark.parametrize(
    ("section", "name"),
    [
        (None, "prompt_tokens"),
        (None, "total_tokens"),
        ("prompt_tokens_details", "cached_tokens"),
        ("prompt_tokens_details", "audio_tokens"),
        ("completion_tokens_details", "reasoning_tokens"),
    ],
)
def test_the_quick_way_refuses_what_the_careful_one_refuses(bad: object, section: str | None, name: str) -> None:
    usage: dict[str, Any] = {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 15,
        "prompt_tokens_details": {"cached_tokens": 1, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 1},
    }
    read_usage({"usage": usage})  # the shape is known from here on
    (usage if section is None else usage[section])[name] = bad
    with pytest.raises(UsageInvalid, match=name):
        read_usage({"usage": usage})


def test_a_whole_float_is_a_count_because_some_languages_know_no_integers() -> None:
    assert leaves({"prompt_tokens": 9.0, "completion_tokens": 3.0, "total_tokens": 12.0}) == {"input": 9, "output": 3}


def test_an_answer_that_says_zero_of_everything_has_a_note() -> None:
    usage = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0, "input_tokens_details": {"cached_tokens": 0}}
    read = read_usage({"output": [{"type": "message"}], "usage": usage})
    assert read.leaves == ()
    assert read.notes == ("usage says 0 tokens in and out, although the body has an answer; nothing was counted",)
    assert read_usage({"usage": usage}).notes == ()
