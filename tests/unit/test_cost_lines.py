"""A cost is the sum of its lines, and no number at all while something is unpriced."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tokencalc.cost import Cost, CostLine
from tokencalc.usage import Meter

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
LINE = CostLine(Meter.INPUT, 150, Decimal("2.50"), 10**6, 375_000_000, "openai/gpt-4o@2024-10-02")


def cost(*lines: CostLine, unpriced: tuple[Meter, ...] = ()) -> Cost:
    """Make a cost whose sum is that of its lines."""
    return Cost(lines, unpriced, sum(line.amount_pico for line in lines), "openai", "gpt-4o", AT)


def test_a_line_says_its_amount_in_exact_dollars() -> None:
    assert (Decimal("0.000375"), "0.000375") == (LINE.amount_usd, str(LINE.amount_usd))


def test_a_cost_without_lines_is_zero() -> None:
    assert (Decimal(0), Decimal(0), 0) == (cost().total_usd, cost().priced_usd, cost().total_pico)


def test_a_cost_with_something_unpriced_has_no_total_but_tells_the_rest() -> None:
    found = cost(LINE, unpriced=(Meter.WEB_SEARCH,))
    assert (None, None, Decimal("0.000375")) == (found.total_usd, found.total_pico, found.priced_usd)


def test_cards_are_named_once_in_order() -> None:
    found = cost(LINE, LINE._replace(card="b"), LINE._replace(meter=Meter.OUTPUT))
    assert found.cards == ("openai/gpt-4o@2024-10-02", "b")


@given(st.lists(st.integers(min_value=0, max_value=10**18)))
def test_the_lines_add_up_to_the_total_to_the_last_digit(amounts: list[int]) -> None:
    found = cost(*(LINE._replace(amount_pico=amount) for amount in amounts))
    assert found.total_usd == sum((line.amount_usd for line in found.lines), Decimal(0))
