"""What holds for every usage and every card: sums, order, growth, and exactness against plain fractions."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.property.one_table import OneTable
from tokencalc.counts import MAX_QUANTITY
from tokencalc.errors import CallInvalid, PriceUnknown
from tokencalc.money import PICO_PER_USD, round_half_even
from tokencalc.pricing.card import CONDITION_KEYS
from tokencalc.pricing.catalog import Catalog
from tokencalc.pricing.evaluate import evaluate, worst_case
from tokencalc.pricing.plan import NOTHING_SAID
from tokencalc.usage import INPUT_METERS, TOKEN_METERS, Meter, Usage

if TYPE_CHECKING:
    from decimal import Decimal
    from random import Random

    from tokencalc.cost import Cost

CATALOG = Catalog.packaged()
AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
MODELS = [
    (facts.provider, facts.model)
    for facts in CATALOG.models()
    if CATALOG.cards(facts.provider, facts.model)[0].effective_from <= AT
]
CURATED = [
    (provider, model)
    for provider, model in MODELS
    if CATALOG.card(model=model, provider=provider, at=AT).imported is None
    and CATALOG.resolve(model, provider=provider).mode != "other"
]

models = st.sampled_from(MODELS)
quantities = st.integers(0, 2_000_000)
leaves = st.dictionaries(st.sampled_from(list(Meter)), quantities, max_size=8)
contexts = st.sampled_from(
    [None, {"processing": "batch"}, {"service_tier": "priority"}, {"region": "us"}, {"speed": "fast"}]
)


def _cost(found: tuple[str, str], usage: Usage, context: dict[str, str] | None = None) -> Cost:
    return evaluate(CATALOG, usage, model=found[1], provider=found[0], at=AT, context=context)


@given(found=models, counted=leaves, context=contexts)
def test_the_lines_add_up_to_the_cost(
    found: tuple[str, str], counted: dict[Meter, int], context: dict[str, str] | None
) -> None:
    cost = _cost(found, Usage.from_leaves(counted), context)

    assert cost.priced_pico == sum(line.amount_pico for line in cost.lines)
    used = {meter for meter, quantity in counted.items() if quantity}
    assert used == {line.meter for line in cost.lines} | set(cost.unpriced)
    assert bool(cost.unpriced) == (cost.total_usd is None)
    assert not cost.unpriced or cost.notes


@given(found=models, counted=leaves, context=contexts)
def test_each_line_is_quantity_times_rate_rounded_once(
    found: tuple[str, str], counted: dict[Meter, int], context: dict[str, str] | None
) -> None:
    for line in _cost(found, Usage.from_leaves(counted), context).lines:
        exact = Fraction(line.quantity) * Fraction(line.rate) / line.per * PICO_PER_USD
        assert line.amount_pico == round_half_even(exact.numerator, exact.denominator)


@given(found=models, counted=leaves, order=st.randoms())
def test_the_order_of_the_meters_does_not_matter(
    found: tuple[str, str], counted: dict[Meter, int], order: Random
) -> None:
    pairs = list(counted.items())
    order.shuffle(pairs)

    one, other = _cost(found, Usage.from_leaves(counted)), _cost(found, Usage.from_leaves(pairs))

    assert (one.priced_pico, sorted(one.lines), set(one.unpriced)) == (
        other.priced_pico,
        sorted(other.lines),
        set(other.unpriced),
    )


@given(found=models, counted=leaves, meter=st.sampled_from(sorted(TOKEN_METERS)), more=st.integers(1, 10_000))
def test_more_of_anything_never_costs_less_within_a_tier(
    found: tuple[str, str], counted: dict[Meter, int], meter: Meter, more: int
) -> None:
    grown = counted | {meter: counted.get(meter, 0) + more}
    sizes = CATALOG.timeline(found[1], found[0]).at(AT).plan(NOTHING_SAID, AT).sizes
    before, after = (sum(q for m, q in leaf.items() if m in INPUT_METERS) for leaf in (counted, grown))

    if not any(before < size <= after for size in sizes):
        assert (
            _cost(found, Usage.from_leaves(counted)).priced_pico <= _cost(found, Usage.from_leaves(grown)).priced_pico
        )


@given(found=models, parts=st.lists(leaves, min_size=1, max_size=4))
def test_a_usage_of_parts_costs_what_its_parts_cost(found: tuple[str, str], parts: list[dict[Meter, int]]) -> None:
    calls = [Usage.from_leaves(part) for part in parts]

    assert _cost(found, Usage.from_parts(calls)).priced_pico == sum(_cost(found, call).priced_pico for call in calls)


@given(found=models, read=quantities, write=quantities, plain=quantities, out=quantities, thought=quantities)
def test_no_use_of_the_tokens_costs_more_than_the_worst_case(  # one for each use
    found: tuple[str, str], read: int, write: int, plain: int, out: int, thought: int
) -> None:
    usage = Usage(
        input_tokens=read + write + plain,
        cache_read_tokens=read,
        cache_write_tokens=write,
        output_tokens=out + thought,
        reasoning_tokens=thought,
    )
    worst = worst_case(
        CATALOG, provider=found[0], model=found[1], at=AT, input_tokens=usage.input_tokens, output_tokens=out + thought
    )

    if worst.total_pico is not None:
        # Lines are rounded one by one, so that two halves of a pico-dollar may round up twice.
        assert _cost(found, usage).priced_pico <= worst.total_pico + len(usage.leaves)


@given(name=st.text(max_size=60), provider=st.none() | st.sampled_from(CATALOG.providers) | st.text(max_size=20))
def test_any_name_is_answered_or_refused_properly(name: str, provider: str | None) -> None:
    with suppress(PriceUnknown, CallInvalid):
        assert CATALOG.resolve(name, provider=provider).provider in CATALOG.providers


@given(
    context=st.dictionaries(st.sampled_from(CONDITION_KEYS), st.text(st.characters(codec="ascii"), max_size=12)),
    found=models,
)
def test_any_context_is_priced_or_refused_properly(context: dict[str, str], found: tuple[str, str]) -> None:
    with suppress(CallInvalid):
        cost = _cost(found, Usage(input_tokens=10), context)
        assert len(cost.lines) + len(cost.unpriced) == 1


prices = st.decimals("0", "1000", places=7)


@given(
    listed=st.dictionaries(st.sampled_from(sorted(TOKEN_METERS)), prices, min_size=1),
    long=st.integers(1, 500_000),
    factor=st.decimals("1", "3", places=2),
    counted=leaves,
    region=st.sampled_from([None, "us"]),
)
def test_a_random_card_prices_like_the_sum_by_hand(
    listed: dict[Meter, Decimal], long: int, factor: Decimal, counted: dict[Meter, int], region: str | None
) -> None:
    card = {
        "effective_from": AT.replace(month=1),
        "rates": {f"{meter}_per_mtok": str(price) for meter, price in listed.items()},
        "tiers": [
            {
                "over_input_tokens": long,
                "rates": {f"{meter}_per_mtok": str(2 * price) for meter, price in listed.items()},
            }
        ],
        "multipliers": [{"when": {"region": "us"}, "factor": str(factor), "meters": "tokens"}],
    }
    catalog = Catalog((OneTable(card),))

    cost = evaluate(catalog, Usage.from_leaves(counted, region=region), model="rocket", at=AT)

    size = sum(quantity for meter, quantity in counted.items() if meter in INPUT_METERS)
    times = (2 if size > long else 1) * (Fraction(factor) if region else 1)
    exact = {
        meter: quantity * Fraction(listed[meter]) * times * 10**6
        for meter, quantity in counted.items()
        if meter in listed
    }
    by_hand = sum(round_half_even(amount.numerator, amount.denominator) for amount in exact.values())
    assert by_hand == cost.priced_pico
    assert {meter for meter, quantity in counted.items() if quantity and meter not in listed} == set(cost.unpriced)


def test_the_largest_believable_usage_is_exact() -> None:
    cost = evaluate(CATALOG, Usage(output_tokens=MAX_QUANTITY), model="gpt-5-pro", at=AT)

    assert cost.priced_pico == MAX_QUANTITY * 120_000_000


@pytest.mark.parametrize("found", CURATED, ids="/".join)
def test_every_curated_model_prices_a_plain_call(found: tuple[str, str]) -> None:
    facts = CATALOG.resolve(found[1], provider=found[0])
    output = 0 if facts.mode == "embedding" else 20

    cost = _cost(found, Usage(input_tokens=100, output_tokens=output, reasoning_tokens=output // 2))

    assert cost.unpriced == ()
    assert cost.total_usd is not None


def test_every_model_prices_one_of_each_meter_that_its_card_lists() -> None:
    for provider, model in MODELS:
        card = CATALOG.card(model=model, provider=provider, at=AT)
        cost = _cost((provider, model), Usage.from_leaves(dict.fromkeys(card.rates, 1)))
        assert ((), set(card.rates)) == (cost.unpriced, {line.meter for line in cost.lines}), (provider, model)
