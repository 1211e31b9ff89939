"""Random usages on random cards of every kind: units, tiers, hours, least quantities, factors, borrowed rates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from tests.property.one_table import OneTable
from tokencalc.money import PICO_PER_USD, round_half_even
from tokencalc.pricing.catalog import Catalog
from tokencalc.pricing.evaluate import evaluate
from tokencalc.pricing.plan import NOTHING_SAID
from tokencalc.pricing.units import units_of
from tokencalc.usage import INPUT_METERS, TOKEN_METERS, Meter, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from random import Random

    from tokencalc.cost import Cost
    from tokencalc.usage import Quantity

START = datetime(2026, 1, 1, tzinfo=UTC)
METERS: list[Meter] = [meter for meter in Meter if meter is not Meter.REQUEST]


@st.composite
def cards(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a card that the schema accepts."""
    listed = draw(st.lists(st.sampled_from(METERS), unique=True, min_size=1, max_size=8))
    price = st.decimals("0", "1000", places=6)

    def rates(meters: Sequence[Meter]) -> dict[str, str]:
        return {f"{meter}_per_{draw(st.sampled_from(sorted(units_of(meter))))}": str(draw(price)) for meter in meters}

    base = rates(listed)
    card: dict[str, Any] = {"effective_from": START, "rates": base}
    tokens = [meter for meter in listed if meter in TOKEN_METERS]
    flips = st.booleans()
    has_tiers = draw(flips)
    if tokens and has_tiers:
        kind = draw(st.sampled_from(["over_input_tokens", "from_input_tokens"]))
        card["tiers"] = [{kind: draw(st.integers(2, 100_000)), "rates": rates(tokens)}]
    if draw(flips):
        during = {"hours": [draw(st.sampled_from(["16:30-00:30", "01:00-02:00"]))], "timezone": "Asia/Shanghai"}
        card["variants"] = [{"during": during, "rates": rates(listed)}]
    seconds = [meter for meter in listed if meter.endswith("_second")]
    card["minimums"] = {meter: draw(st.integers(1, 60)) for meter in seconds if draw(flips)}
    unlisted = [meter for meter in METERS if meter not in listed]
    card["priced_as"] = {meter: draw(st.sampled_from(listed)) for meter in unlisted[:2]}
    if draw(flips):
        factor = str(draw(st.decimals("1", "3", places=2)))
        card["multipliers"] = [{"when": {"region": "us"}, "factor": factor, "meters": "tokens"}]
    return card


@st.composite
def usages(draw: st.DrawFn) -> dict[Meter, Quantity]:
    """Draw leaves: whole counts, and exact decimals for durations."""
    meters = draw(st.lists(st.sampled_from(METERS), unique=True, max_size=8))
    whole, exact = st.integers(0, 300_000), st.decimals("0", "100000", places=3)
    return {meter: draw(exact) if meter.endswith("_second") else draw(whole) for meter in meters}


instants = st.integers(0, 3 * 24 * 60).map(lambda minutes: START + timedelta(minutes=minutes))
regions = st.sampled_from([None, "us"])


def _price(card: dict[str, Any], counted: Mapping[Meter, Quantity], at: datetime, region: str | None) -> Cost:
    return evaluate(Catalog((OneTable(card),)), Usage.from_leaves(counted, region=region), model="rocket", at=at)


@given(card=cards(), counted=usages(), at=instants, region=regions)
def test_every_line_can_be_done_by_hand_and_they_add_up(
    card: dict[str, Any], counted: dict[Meter, Quantity], at: datetime, region: str | None
) -> None:
    cost = _price(card, counted, at, region)

    assert cost.priced_pico == sum(line.amount_pico for line in cost.lines)
    for line in cost.lines:
        assert line.quantity >= counted[line.meter] > 0
        exact = Fraction(line.quantity) * Fraction(line.rate) / line.per * PICO_PER_USD
        assert line.amount_pico == round_half_even(exact.numerator, exact.denominator) >= 0
    used = {meter for meter, quantity in counted.items() if quantity}
    assert used == {line.meter for line in cost.lines} | set(cost.unpriced)
    assert not cost.unpriced or cost.notes
    assert (cost.total_usd is None) == bool(cost.unpriced)


@given(card=cards(), counted=usages(), at=instants, region=regions, order=st.randoms())
def test_the_order_of_the_meters_does_not_matter(
    card: dict[str, Any], counted: dict[Meter, Quantity], at: datetime, region: str | None, order: Random
) -> None:
    pairs = list(counted.items())
    order.shuffle(pairs)

    one, other = _price(card, counted, at, region), _price(card, dict(pairs), at, region)

    assert (one.priced_pico, sorted(one.lines), set(one.unpriced)) == (
        other.priced_pico,
        sorted(other.lines),
        set(other.unpriced),
    )


@given(
    card=cards(), counted=usages(), at=instants, region=regions,
    meter=st.sampled_from(METERS), more=st.integers(1, 10_000),
)  # fmt: skip
def test_more_of_anything_never_costs_less_within_a_tier(  # one argument for each thing drawn
    card: dict[str, Any],
    counted: dict[Meter, Quantity],
    at: datetime,
    region: str | None,
    meter: Meter,
    more: int,
) -> None:
    grown = counted | {meter: counted.get(meter, 0) + more}
    sizes = Catalog((OneTable(card),)).timeline("rocket").at(at).plan(NOTHING_SAID, at).sizes
    before, after = (sum(q for m, q in leaf.items() if m in INPUT_METERS) for leaf in (counted, grown))

    if not any(before < size <= after for size in sizes):
        assert _price(card, counted, at, region).priced_pico <= _price(card, grown, at, region).priced_pico


@given(card=cards(), quantity=st.decimals("0.001", "1000", places=3))
def test_a_decimal_quantity_costs_what_its_fraction_says(card: dict[str, Any], quantity: Decimal) -> None:
    cost = _price(card | {"minimums": {}}, {Meter.INPUT_AUDIO_SECOND: quantity}, START, None)
    for line in cost.lines:
        assert quantity == line.quantity
        assert Decimal(line.amount_pico) / PICO_PER_USD == line.amount_usd
