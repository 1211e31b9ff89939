"""Expected output per operation type."""

from __future__ import annotations

import pytest

from tokencalc.errors import CallInvalid
from tokencalc.tokens.output import OUTPUT_RULES, expected_output_tokens

NINE = {"embedding", "simple_chat", "code_generation", "data_analysis", "text_generation"}
NINE |= {"translation", "summarization", "explanation", "creative_writing"}


def test_there_are_nine_operation_types_each_with_its_reason() -> None:
    assert set(OUTPUT_RULES) == NINE
    assert all(len(rule.reason) > 30 for rule in OUTPUT_RULES.values())


@pytest.mark.parametrize(
    ("expected", "operation", "input_tokens", "limit"),
    [
        (0, "embedding", 5000, 8191),
        (50, "simple_chat", 10, None),
        (400, "simple_chat", 100_000, None),
        (1500, "code_generation", 1000, None),
        (800, "code_generation", 1000, 800),
        (1100, "translation", 1000, 8192),
        (200, "summarization", 1000, None),
        (100, None, 0, None),
        (500, None, 1000, None),
        (1, "creative_writing", 1000, 1),
        (0, "creative_writing", 1000, 0),
    ],
)
def test_expected_output_follows_the_table_and_never_passes_the_limit(
    expected: int, operation: str | None, input_tokens: int, limit: int | None
) -> None:
    assert expected == expected_output_tokens(operation, input_tokens, limit)


@pytest.mark.parametrize("operation", [None, *sorted(OUTPUT_RULES)])
@pytest.mark.parametrize("limit", [0, 1, 77, 4096])
@pytest.mark.parametrize("input_tokens", [0, 1, 999, 10**9])
def test_expected_output_is_a_count_within_the_limit(operation: str | None, limit: int, input_tokens: int) -> None:
    assert 0 <= expected_output_tokens(operation, input_tokens, limit) <= limit


def test_unknown_operation_type_is_refused_with_the_nine_that_are_known() -> None:
    with pytest.raises(CallInvalid, match=r"expected one of embedding, .*creative_writing, found 'poetry'") as refused:
        expected_output_tokens("poetry", 10, None)
    assert set(refused.value.values["allowed"]) == NINE  # type: ignore[call-overload]
