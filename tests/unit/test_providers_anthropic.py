"""Anthropic's format: input without cache, writes by lifetime, iterations as calls of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tokencalc.errors import UsageInvalid
from tokencalc.providers.registry import read_usage

if TYPE_CHECKING:
    from tokencalc.usage import Usage


def read(usage: dict[str, Any], model: str = "claude-sonnet-4-5") -> Usage:
    """Read a message with this usage."""
    return read_usage({"type": "message", "model": model, "content": [], "usage": usage})


def leaves(usage: Usage) -> dict[str, int]:
    """Return the leaves by the meters' names."""
    return {meter.value: int(quantity) for meter, quantity in usage.leaves}


@pytest.mark.parametrize(
    ("expected", "usage"),
    [
        (
            {"input": 3, "cache_write_5m": 1956, "cache_read": 9511, "output": 44},
            {
                "input_tokens": 3,
                "output_tokens": 44,
                "cache_creation_input_tokens": 1956,
                "cache_read_input_tokens": 9511,
                "cache_creation": {"ephemeral_5m_input_tokens": 1956, "ephemeral_1h_input_tokens": 0},
            },
        ),
        (
            {"input": 100, "cache_write_5m": 200, "cache_write_1h": 100, "output": 50},
            {
                "input_tokens": 100,
                "output_tokens": 50,
                "cache_creation_input_tokens": 300,
                "cache_creation": {"ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 100},
            },
        ),
        (
            {"input": 1, "cache_write_1h": 7, "output": 2},
            {"input_tokens": 1, "output_tokens": 2, "cache_creation": {"ephemeral_1h_input_tokens": 7}},
        ),
        (
            {"input": 3, "cache_write": 12304, "output": 550},
            {
                "input_tokens": 3,
                "output_tokens": 550,
                "cache_creation_input_tokens": 12304,
                "cache_read_input_tokens": 0,
            },
        ),
        (
            {"input": 3, "cache_write": 4, "cache_write_5m": 6, "output": 1},
            {
                "input_tokens": 3,
                "output_tokens": 1,
                "cache_creation_input_tokens": 10,
                "cache_creation": {"ephemeral_5m_input_tokens": 6},
            },
        ),
        (
            {"input": 6, "cache_read": 20443, "output": 412, "reasoning": 77},
            {
                "input_tokens": 6,
                "output_tokens": 489,
                "cache_read_input_tokens": 20443,
                "output_tokens_details": {"thinking_tokens": 77},
            },
        ),
        (
            {"input": 100, "output": 50, "web_search": 2},
            {
                "input_tokens": 100,
                "output_tokens": 50,
                "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 1},
            },
        ),
        (
            {"input": 11, "output": 5},
            {"input_tokens": 11, "output_tokens": 5, "cache_creation": None, "iterations": None},
        ),
    ],
)
def test_a_usage_becomes_leaves(expected: dict[str, int], usage: dict[str, Any]) -> None:
    assert expected == leaves(read(usage))
    assert expected == leaves(read(usage)), "the quick way, which the second reading takes, says the same"


def test_input_tokens_include_cache_as_everywhere_else() -> None:
    usage = read(
        {"input_tokens": 10, "output_tokens": 1, "cache_read_input_tokens": 20, "cache_creation_input_tokens": 5}
    )
    assert (
        usage.input_tokens,
        usage.cache_read_tokens,
        usage.cache_write_tokens,
        usage.uncached_input_tokens,
    ) == (35, 20, 5, 10)


def test_what_the_response_says_about_its_serving_is_kept() -> None:
    said = {"input_tokens": 1, "output_tokens": 1, "service_tier": "batch", "inference_geo": "us", "speed": "fast"}
    for _ in range(2):
        usage = read(said)
        assert (
            usage.model,
            usage.service_tier,
            usage.region,
            usage.speed,
        ) == ("claude-sonnet-4-5", "batch", "us", "fast")


def test_a_region_that_is_not_available_is_no_region() -> None:
    assert read({"input_tokens": 1, "output_tokens": 1, "inference_geo": "not_available"}).region is None


def iteration(kind: str, fresh: int, output: int, **more: Any) -> dict[str, Any]:
    """Return an iteration without cache."""
    return {"type": kind, "input_tokens": fresh, "output_tokens": output, **more}


def test_a_single_iteration_that_says_the_totals_again_is_one_call() -> None:
    flat = {"input_tokens": 3, "output_tokens": 20, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 0}
    usage = {**flat, "iterations": [{"type": "message", **flat}]}
    for _ in range(2):
        assert read(usage).parts == ()
        assert leaves(read(usage)) == {"input": 3, "cache_read": 100, "output": 20}


def test_a_compaction_is_a_call_beside_the_totals() -> None:
    usage = read(
        {
            "input_tokens": 220,
            "output_tokens": 8,
            "iterations": [iteration("compaction", 55_196, 125), iteration("message", 220, 8)],
        }
    )
    assert [(part.input_tokens, part.output_tokens) for part in usage.parts] == [(220, 8), (55_196, 125)]
    assert usage.input_tokens == 55_416
    assert usage.notes == ("usage.iterations[0] (compaction) is outside the totals: priced as a call of its own",)


def test_an_advisor_is_priced_with_its_own_model_and_messages_each_by_themselves() -> None:
    usage = read(
        {
            "input_tokens": 2390,
            "output_tokens": 121,
            "service_tier": "standard",
            "server_tool_use": {"web_search_requests": 3},
            "iterations": [
                iteration("message", 1128, 110),
                iteration("advisor_message", 2518, 22, model="claude-opus-4-8"),
                iteration("message", 1262, 11),
            ],
        },
        model="claude-sonnet-5",
    )
    assert [(part.model, leaves(part)) for part in usage.parts] == [
        ("claude-sonnet-5", {"input": 1128, "output": 110}),
        ("claude-sonnet-5", {"input": 1262, "output": 11, "web_search": 3}),
        ("claude-opus-4-8", {"input": 2518, "output": 22}),
    ]
    assert {"standard"} == {part.service_tier for part in usage.parts}


def test_thinking_goes_to_the_only_message_and_else_stays_output_with_a_note() -> None:
    details = {"output_tokens_details": {"thinking_tokens": 5}}
    one = read(
        {**iteration("x", 1, 9), **details, "iterations": [iteration("compaction", 2, 2), iteration("message", 1, 9)]}
    )
    assert leaves(one.parts[0]) == {"input": 1, "output": 4, "reasoning": 5}
    two = read(
        {**iteration("x", 2, 9), **details, "iterations": [iteration("message", 1, 4), iteration("message", 1, 5)]}
    )
    assert two.reasoning_tokens == 0
    assert two.output_tokens == 9
    assert any("thinking_tokens (5) are not said for each iteration" in note for note in two.notes)


@pytest.mark.parametrize(
    ("expected", "iterations"),
    [
        # A new kind inside the totals, told by the sum.
        ([(60, 6), (40, 4)], [iteration("message", 60, 6), iteration("retry", 40, 4)]),
        # A new kind beside the totals, told by the sum.
        ([(100, 10), (7, 1)], [iteration("retry", 7, 1), iteration("message", 100, 10)]),
        # More than the totals in every count: what is listed was called.
        ([(160, 16), (7, 1)], [iteration("message", 160, 16), iteration("compaction", 7, 1)]),
        # Nothing adds up: the totals are one call, what is known to be beside them another.
        ([(100, 10), (7, 1)], [iteration("message", 60, 6), iteration("compaction", 7, 1)]),
    ],
)
def test_the_sum_tells_which_iterations_the_totals_cover(expected: list[Any], iterations: list[Any]) -> None:
    usage = read({"input_tokens": 100, "output_tokens": 10, "iterations": iterations})
    assert expected == [(part.input_tokens, part.output_tokens) for part in usage.parts]


@pytest.mark.parametrize(
    ("message", "usage"),
    [
        (r"usage.input_tokens: expected an integer .* found '3'", {"input_tokens": "3", "output_tokens": 1}),
        (
            r"usage.cache_creation_input_tokens \(5\) is less than its parts ephemeral_5m_input_tokens \(6\)",
            {
                "input_tokens": 1,
                "output_tokens": 1,
                "cache_creation_input_tokens": 5,
                "cache_creation": {"ephemeral_5m_input_tokens": 6},
            },
        ),
        (
            r"usage.output_tokens \(1\) is less than its parts thinking_tokens \(2\)",
            {"input_tokens": 1, "output_tokens": 1, "output_tokens_details": {"thinking_tokens": 2}},
        ),
        (
            r"usage.iterations\[0\].output_tokens: expected an integer .* found -1",
            {"input_tokens": 1, "output_tokens": 1, "iterations": [iteration("message", 1, -1)]},
        ),
        (r"usage.iterations: expected a list, found 'x'", {"input_tokens": 1, "output_tokens": 1, "iterations": "x"}),
        (
            r"usage.iterations\[1\]: expected an object, found 4",
            {"input_tokens": 1, "output_tokens": 1, "iterations": [iteration("message", 1, 1), 4]},
        ),
        (
            r"neither usage.input_tokens nor usage.output_tokens is there",
            {"cache_read_input_tokens": 4},
        ),
    ],
)
def test_counts_that_cannot_be_are_refused_with_their_path(message: str, usage: dict[str, Any]) -> None:
    with pytest.raises(UsageInvalid, match=message):
        read(usage)


def test_an_unknown_tool_counter_is_noted() -> None:
    usage = read({"input_tokens": 1, "output_tokens": 1, "server_tool_use": {"code_execution_requests": 2}})
    assert usage.ignored == ("usage.server_tool_use.code_execution_requests",)
    assert "usage.server_tool_use.code_execution_requests (2) is not known" in usage.notes[0]
