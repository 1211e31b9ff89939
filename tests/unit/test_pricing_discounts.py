"""A contract's discount: a true factor on what lies below the user's file, from its day to its end, exact and said."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tokencalc.engine import Engine
from tokencalc.errors import PriceTableInvalid
from tokencalc.money import PICO_PER_USD, round_half_even
from tokencalc.pricing.catalog import Catalog
from tokencalc.usage import Usage

if TYPE_CHECKING:
    from pathlib import Path

    from tokencalc.cost import Cost

MILLION = Usage(input_tokens=1_000_000, cache_read_tokens=400_000, output_tokens=100_000)

CONTRACT = """
provider = "openai"
[[discount]]
factor = "0.88"
effective_from = 2026-01-01
effective_until = 2026-07-01
note = "contract 17"
"""


def priced(folder: Path, *tables: str, model: str = "gpt-4o", at: str = "2026-03-01", **context: str) -> Cost:
    paths = []
    for index, text in enumerate(tables):
        paths.append(folder / f"own-{index}.toml")
        paths[-1].write_text(text, encoding="utf-8")
    with Engine.open(":memory:", prices=paths) as engine:
        return engine.price(model=model, usage=MILLION, at=at, context=context or None)


@pytest.mark.parametrize(
    ("expected", "at"),
    [
        # $2.50, $1.25 and $10.00 for a million: 1.50 + 0.50 + 1.00, and 12 % off while the contract runs.
        ("3", "2025-12-31T23:59:59Z"),
        ("2.64", "2026-01-01"),
        ("2.64", "2026-06-30T23:59:59Z"),
        ("3", "2026-07-01"),
    ],
)
def test_a_discount_holds_from_its_first_instant_up_to_its_last(expected: str, at: str, tmp_path: Path) -> None:
    assert Decimal(expected) == priced(tmp_path, CONTRACT, at=at).total_usd


def test_the_cost_says_the_factor_its_day_its_reason_and_its_file(tmp_path: Path) -> None:
    cost = priced(tmp_path, CONTRACT)
    assert "x 0.88 since 2026-01-01: contract 17 (own-0.toml)" in cost.notes
    assert [(line.meter.value, line.rate, line.card) for line in cost.lines] == [
        ("input", Decimal("2.2"), "openai/gpt-4o@2024-10-02"),
        ("cache_read", Decimal("1.1"), "openai/gpt-4o@2024-10-02"),
        ("output", Decimal("8.8"), "openai/gpt-4o@2024-10-02"),
    ]


def test_a_discount_holds_for_every_name_tier_and_condition_of_the_list(tmp_path: Path) -> None:
    dated = priced(tmp_path, CONTRACT, model="gpt-4o-2024-08-06")
    batch = priced(tmp_path, CONTRACT.replace("2026-07-01", "2027-07-01"), at="2026-11-01", processing="batch")
    list_price = priced(tmp_path, at="2026-11-01", processing="batch")
    assert dated.total_usd == Decimal("2.64")
    assert batch.priced_usd == list_price.priced_usd * Decimal("0.88")


def test_other_providers_keep_their_list(tmp_path: Path) -> None:
    reduced, plain = priced(tmp_path, CONTRACT, model="claude-sonnet-4-5"), priced(tmp_path, model="claude-sonnet-4-5")
    assert reduced == plain


def test_models_and_meters_narrow_a_discount(tmp_path: Path) -> None:
    text = CONTRACT + 'models = ["gpt-4o"]\nmeters = ["output"]\n'
    assert priced(tmp_path, text).total_usd == Decimal("2.88")
    assert priced(tmp_path, text, model="gpt-4o-mini") == priced(tmp_path, model="gpt-4o-mini")


def test_cards_in_the_same_file_are_contracted_already(tmp_path: Path) -> None:
    own = '[[model]]\nid = "gpt-4o"\n[[model.card]]\neffective_from = 2026-02-01\n'
    own += 'rates = { input_per_mtok = "1", cache_read_per_mtok = "1", output_per_mtok = "1" }\n'
    assert priced(tmp_path, CONTRACT + own).total_usd == Decimal("1.1")
    assert priced(tmp_path, CONTRACT + own, at="2026-01-15").total_usd == Decimal("2.64")
    # In a file below, they are part of what the discount is off.
    assert priced(tmp_path, 'provider = "openai"\n' + own, CONTRACT).total_usd == Decimal("0.968")


def test_discounts_of_two_files_stack(tmp_path: Path) -> None:
    assert priced(tmp_path, CONTRACT, CONTRACT.replace("0.88", "0.5")).total_usd == Decimal("1.32")


def test_the_worst_case_is_discounted_too(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(CONTRACT, encoding="utf-8")
    with Engine.open(":memory:", prices=[path]) as engine, Engine.open(":memory:") as plain:
        arguments = {"model": "gpt-4o", "input_tokens": 1000, "max_output_tokens": 100, "at": "2026-03-01"}
        found = engine.estimate(**arguments).cost_max_usd  # type: ignore[arg-type]  # the arguments of estimate
        before = plain.estimate(**arguments).cost_max_usd  # type: ignore[arg-type]  # the same
    assert before is not None
    assert found == before * Decimal("0.88")


@pytest.mark.parametrize(
    ("message", "good", "bad"),
    [
        (r"discount\[0\]\.factor: '1\.2' expected a factor above 0 and at most 1", '"0.88"', '"1.2"'),
        (r"discount\[0\]\.factor: '0' expected a factor above 0", '"0.88"', '"0"'),
        (r"discount\[0\]\.factor: 0\.88 expected a quoted decimal", '"0.88"', "0.88"),
        (r"discount\[0\]\.effective_from: None effective_from is missing", "effective_from = 2026-01-01\n", ""),
        (r"is no key here; did you mean 'factor'", "factor", "facotr"),
        (r"expected an instant after effective_from", "2026-07-01", "2025-07-01"),
        (r"'opneai' has no prices that a discount could lower; did you mean 'openai'", "openai", "opneai"),
        (r"'gpt-4p' has no prices .* did you mean 'gpt-4", "note =", 'models = ["gpt-4p"]\nnote ='),
        (r"discount\[0\]\.models: \[\] expected at least one", "note =", "models = []\nnote ="),
        (r"is not known; did you mean 'output'", "note =", 'meters = ["outptu"]\nnote ='),
        (
            r"discount\[1\]: .* overlaps an earlier discount",
            "note =",
            'meters = "tokens"\n[[discount]]\nfactor = "0.5"\neffective_from = 2026-06-30\nmeters = ["output"]\nnote =',
        ),
    ],
)
def test_a_discount_that_cannot_be_is_refused(message: str, good: str, bad: str, tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(CONTRACT.replace(good, bad), encoding="utf-8")
    with pytest.raises(PriceTableInvalid, match=message):
        Catalog.packaged().with_files([path])


def test_discounts_that_follow_each_other_may_touch(tmp_path: Path) -> None:
    text = CONTRACT + '[[discount]]\nfactor = "0.5"\neffective_from = 2026-07-01\n'
    assert priced(tmp_path, text, at="2026-07-01").total_usd == Decimal("1.5")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(digits=st.integers(1, 10**12), tokens=st.integers(1, 10**9))
def test_a_discounted_line_is_exact(digits: int, tokens: int, tmp_path: Path) -> None:
    factor = Decimal(digits).scaleb(-12)
    path = tmp_path / "own.toml"
    path.write_text(CONTRACT.replace('"0.88"', f'"{factor:f}"'), encoding="utf-8")
    with Engine.open(":memory:", prices=[path]) as engine:
        (line,) = engine.price(model="gpt-4o", usage=Usage(output_tokens=tokens), at="2026-03-01").lines
    exact = Fraction(tokens) * 10 * Fraction(factor) / 10**6 * PICO_PER_USD
    assert line.rate == 10 * factor
    assert line.amount_pico == round_half_even(exact.numerator, exact.denominator)
