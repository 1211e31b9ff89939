"""Figures for people: counts of tokens are rounded, not cut, and every digit is there up to a million."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokencalc.cli.output import tokens


@pytest.mark.parametrize(
    ("expected", "count"),
    [
        ("0", 0),
        ("999,999", 999_999),
        ("1.00M", 1_000_000),
        ("1.58M", 1_576_836),
        ("1.00M", 1_005_000),  # half to even
        ("1.02M", 1_015_000),
        ("1.01M", 1_005_001),
        ("999.99M", 999_994_999),
        ("1.00B", 999_995_000),
        ("1.00B", 1_000_000_000),
        ("12.35B", 12_349_000_000),
        ("1,234.57B", 1_234_567_890_123),
    ],
)
def test_a_count_of_tokens_is_rounded_to_two_places(expected: str, count: int) -> None:
    assert expected == tokens(count)


@given(st.integers(min_value=10**6, max_value=10**15))
def test_a_shortened_count_is_as_near_as_two_places_can_be(count: int) -> None:
    text = tokens(count)
    size = {"M": 10**6, "B": 10**9}[text[-1]]
    hundredths = int(text[:-1].replace(",", "").replace(".", ""))
    assert abs(hundredths * size - count * 100) * 2 <= size
