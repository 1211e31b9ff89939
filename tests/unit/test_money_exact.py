"""Money is exact, rounded once and half to even, and foreign numbers are read strictly."""

from __future__ import annotations

import decimal
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokencalc.errors import MoneyInvalid
from tokencalc.money import (
    MAX_PICO,
    decimal_from,
    decimal_text,
    display_usd,
    line_pico,
    pico_from_usd,
    rate_fraction,
    round_half_even,
    usd_from_pico,
)

MTOK = 10**6
picos = st.integers(min_value=-MAX_PICO, max_value=MAX_PICO)
rates = st.decimals(min_value=0, max_value=10_000, places=12, allow_nan=False, allow_infinity=False)


class Loud(float):
    """A float whose text is not a number, as in some numerical libraries."""

    def __repr__(self) -> str:
        """Write the type too."""
        return f"Loud({float(self)})"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.000375, "0.000375"),
        (0.1, "0.1"),
        (1e-7, "0.0000001"),
        ("0.15", "0.15"),
        (" 2.50\n", "2.50"),
        ("1e3", "1000"),
        (-3, "-3"),
        (Decimal("1.10"), "1.10"),
        ("-0", "0"),
        ("0e-999999999999", "0"),
        ("0e999999999999", "0"),
        (Loud(0.5), "0.5"),
        ("9" * 18, "9" * 18),
        ("0." + "1" * 39, "0." + "1" * 39),
    ],
)
def test_a_number_is_read_through_its_text(value: object, expected: str) -> None:
    assert Decimal(expected) == decimal_from(value, name="cost_usd")


@pytest.mark.parametrize(
    "value",
    [
        True,
        None,
        float("nan"),
        float("inf"),
        "-inf",
        "sNaN",
        Decimal("NaN"),
        "",
        "ten",
        "1_000",
        "1,5",
        "$5",
        "1e18",
        10**18,
        10**400,
        "1e-41",
        "1" * 41,
        "1e999999999",
        b"1",
        [1],
        1 + 0j,
    ],
    ids=repr,
)
def test_what_is_no_sensible_number_is_refused_by_name(value: object) -> None:
    with pytest.raises(MoneyInvalid, match=r"^cost_usd: expected a finite decimal number .* found ") as caught:
        decimal_from(value, name="cost_usd")
    assert caught.value.path == "cost_usd"
    assert len(caught.value.message) < 250


def test_a_lenient_decimal_context_of_the_caller_changes_nothing() -> None:
    with decimal.localcontext(decimal.Context(prec=3, traps=[])):
        assert Decimal("0.123456789012") == decimal_from("0.123456789012", name="x")
        assert usd_from_pico(123_456_789_012) == Decimal("0.123456789012")
        assert pico_from_usd("1.000000000001", name="x") == 1_000_000_000_001
        with pytest.raises(MoneyInvalid, match="found 'ten'"):
            decimal_from("ten", name="x")


def test_a_strict_decimal_context_of_the_caller_changes_nothing() -> None:
    traps = [decimal.Inexact, decimal.Rounded, decimal.FloatOperation]
    with decimal.localcontext(decimal.Context(prec=1, traps=traps)):
        assert Decimal("0.1") == decimal_from(0.1, name="x")
        assert display_usd(Decimal("12.345678")) == "12.345678"


@pytest.mark.parametrize(
    ("numerator", "denominator", "expected"),
    [(0, 7, 0), (1, 2, 0), (3, 2, 2), (5, 2, 2), (-1, 2, 0), (-3, 2, -2), (7, 3, 2), (8, 3, 3), (-8, 3, -3)],
)
def test_halves_are_rounded_to_even(numerator: int, denominator: int, expected: int) -> None:
    assert expected == round_half_even(numerator, denominator)


@given(st.integers(), st.integers(min_value=1))
def test_rounding_agrees_with_exact_fractions(numerator: int, denominator: int) -> None:
    assert round(Fraction(numerator, denominator)) == round_half_even(numerator, denominator)


@pytest.mark.parametrize(
    ("usd", "expected"),
    [
        ("1", 10**12),
        ("0.000000000001", 1),
        ("0.0000000000005", 0),
        ("0.0000000000015", 2),
        ("-0.0000000000025", -2),
        ("1e3", 10**15),
        (0.000375, 375_000_000),
    ],
)
def test_dollars_become_whole_pico_dollars(usd: object, expected: int) -> None:
    assert expected == pico_from_usd(usd, name="x")


@given(picos)
def test_pico_dollars_survive_the_way_to_dollars_and_back(pico: int) -> None:
    usd = usd_from_pico(pico)
    assert pico == pico_from_usd(usd, name="x") == pico_from_usd(decimal_text(usd), name="x")


@pytest.mark.parametrize(
    ("pico", "expected"),
    [(0, "0"), (10**12, "1"), (10**14, "100"), (375_000_000, "0.000375"), (-1, "-0.000000000001")],
)
def test_dollars_are_written_plainly(pico: int, expected: str) -> None:
    assert expected == decimal_text(usd_from_pico(pico))


@given(st.lists(picos), st.randoms())
def test_a_sum_does_not_depend_on_its_order(amounts: list[int], random: object) -> None:
    shuffled = amounts[:]
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis' strategy yields random.Random
    assert usd_from_pico(sum(amounts)) == usd_from_pico(sum(shuffled))


@pytest.mark.parametrize(
    ("quantity", "rate", "per", "expected"),
    [
        (0, "3.75", MTOK, 0),
        (1, "3.75", MTOK, 3_750_000),
        (200_000, "3.75", MTOK, 750_000_000_000),
        (1, "0.0000001", MTOK, 0),
        (5, "0.0000001", MTOK, 0),
        (15, "0.0000001", MTOK, 2),
        (1, "0.111", 3600, 30_833_333),
        (3600, "0.111", 3600, 111_000_000_000),
        (1000, "10", 1000, 10 * 10**12),
        (Decimal("0.5"), "0.006", 60, 50_000_000),
    ],
)
def test_a_line_is_quantity_times_rate_over_published_unit(
    quantity: int | Decimal, rate: str, per: int, expected: int
) -> None:
    assert expected == line_pico(quantity, *rate_fraction(Decimal(rate), per))


@given(st.integers(min_value=0, max_value=10**15), rates, st.sampled_from([1, 60, 1000, 3600, MTOK]))
def test_a_line_is_rounded_once_from_the_exact_product(quantity: int, rate: Decimal, per: int) -> None:
    exact = Fraction(quantity) * Fraction(rate) / per * 10**12
    assert round(exact) == line_pico(quantity, *rate_fraction(rate, per))


@given(st.decimals(min_value=0, max_value=10**6, places=6, allow_nan=False, allow_infinity=False), rates)
def test_a_line_of_a_duration_is_rounded_once_too(quantity: Decimal, rate: Decimal) -> None:
    exact = Fraction(quantity) * Fraction(rate) / 3600 * 10**12
    assert round(exact) == line_pico(quantity, *rate_fraction(rate, 3600))


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        (None, "unknown"),
        ("0", "0.000000"),
        ("0.000000999999", "<0.000001"),
        ("-0.000000000001", "-<0.000001"),
        ("0.000001", "0.000001"),
        ("0.0000025", "0.000002"),
        ("0.0000035", "0.000004"),
        ("1234567.5", "1,234,567.500000"),
        ("-1234.5", "-1,234.500000"),
        ("0.9999999", "1.000000"),
    ],
)
def test_people_see_six_decimals(amount: str | None, expected: str) -> None:
    assert expected == display_usd(None if amount is None else Decimal(amount))


@given(picos)
def test_what_people_see_is_the_amount_rounded_half_to_even(pico: int) -> None:
    shown = display_usd(usd_from_pico(pico))
    if "<" in shown:
        assert 0 < abs(pico) < 10**6
    else:
        with decimal.localcontext(prec=40):
            expected = Decimal(pico).scaleb(-12).quantize(Decimal("0.000001"), rounding=ROUND_HALF_EVEN)
        assert expected == Decimal(shown.replace(",", ""))
