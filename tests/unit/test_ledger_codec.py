"""Usage and cost lines in a row and back: what a price depended on is not lost."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokencalc.cost import CostLine
from tokencalc.ledger.codec import (
    money_from_row,
    money_texts,
    usage_from_text,
    usage_text,
)
from tokencalc.money import line_pico, rate_fraction
from tokencalc.usage import Meter, Usage

FACTS = (("search_context_size", "high"),)


@pytest.mark.parametrize(
    ("expected", "usage"),
    [
        ('{"q":{"input":1}}', Usage.from_leaves([(Meter.INPUT, 1)])),
        (
            '{"q":{"input":1},"conditions":{"search_context_size":"high"}}',
            Usage.from_leaves([(Meter.INPUT, 1)], conditions=FACTS),
        ),
    ],
)
def test_served_facts_beyond_the_four_are_written_where_there_are_any_and_read_back(
    expected: str, usage: Usage
) -> None:
    assert expected == usage_text(usage)
    assert usage == usage_from_text(expected)


def line(meter: Meter, quantity: int | Decimal, rate: str, per: int = 1_000_000) -> CostLine:
    amount = line_pico(quantity, *rate_fraction(Decimal(rate), per))
    return CostLine(meter, quantity, Decimal(rate), per, amount, "openai/gpt-4o@2024-10-02")


RATES = (
    '{"rates":[["input","2.5",1000000,"openai/gpt-4o@2024-10-02"],["output","10",1000000,"openai/gpt-4o@2024-10-02"]]'
)
PLAIN = (line(Meter.INPUT, 1000, "2.5"), line(Meter.OUTPUT, 500, "10"))
LEAVES = [(Meter.INPUT, 1000), (Meter.OUTPUT, 500)]


@pytest.mark.parametrize(
    ("expected", "usage", "lines"),
    [
        ((RATES + ',"served":{}}', None, "[1000,500]"), Usage.from_leaves(LEAVES), PLAIN),
        (
            (RATES + ',"served":{"model":"m","service_tier":"flex"}}', None, "[1000,500]"),
            Usage.from_leaves(LEAVES, model="m", service_tier="flex"),
            PLAIN,
        ),
        (
            (RATES + ',"served":{}}', '{"billed":"0.01","interrupted":true}', "[1000,500]"),
            Usage.from_leaves(LEAVES, billed_usd=Decimal("0.01"), is_interrupted=True),
            PLAIN,
        ),
        ((RATES + "}", '{"q":{"input":1000}}', "[1000,500]"), Usage.from_leaves(LEAVES[:1]), PLAIN),
        ((RATES + "}", None, "[1000,500]"), None, PLAIN),
        ((None, '{"q":{"input":1000,"output":500}}', None), Usage.from_leaves(LEAVES), ()),
        ((None, None, None), None, ()),
        (
            ('{"rates":[["input","0.111",3600,"openai/gpt-4o@2024-10-02"]]}', None, "[[7,215833333]]"),
            None,
            (line(Meter.INPUT, 7, "0.111", 3600),),
        ),
    ],
)
def test_a_row_keeps_quantities_and_the_basis_what_many_rows_share(
    expected: tuple[str | None, ...], usage: Usage | None, lines: tuple[CostLine, ...]
) -> None:
    assert expected == money_texts(usage, lines)
    assert (usage, lines) == money_from_row(*expected)


quantities = st.one_of(st.integers(1, 10**15), st.decimals("0.001", 10**6, places=3))
rates = st.decimals("0", 1000, places=6).map(str)


@st.composite
def priced(draw: st.DrawFn) -> tuple[Usage | None, tuple[CostLine, ...]]:
    meters = draw(st.lists(st.sampled_from(Meter), max_size=5, unique=True))
    leaves = [(meter, draw(quantities)) for meter in meters]
    usage = Usage.from_leaves(
        leaves,
        model=draw(st.none() | st.text(min_size=1)),
        region=draw(st.none() | st.just("eu")),
        billed_usd=draw(st.none() | st.just(Decimal("0.5"))),
    )
    kept = draw(st.sampled_from([leaves, leaves[1:], [*leaves, *leaves]]))
    per = draw(st.sampled_from([1, 1000, 3600, 1_000_000]))
    lines = [line(meter, quantity, draw(rates), per) for meter, quantity in kept]
    shifted = tuple(one._replace(amount_pico=one.amount_pico + draw(st.sampled_from([0, 0, 1]))) for one in lines)
    parts = Usage.from_parts([usage, usage])
    return draw(st.sampled_from([usage, parts, None])), shifted


@given(case=priced())
def test_whatever_was_booked_reads_back_to_the_last_digit(case: tuple[Usage | None, tuple[CostLine, ...]]) -> None:
    usage, lines = case
    found, back = money_from_row(*money_texts(usage, lines))
    assert (None if usage is None else usage_text(usage)) == (None if found is None else usage_text(found))
    assert repr(lines) == repr(back)
