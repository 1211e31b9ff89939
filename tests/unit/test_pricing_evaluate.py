"""From usage to cost: lines, tiers, conditions, parts, and what stays unpriced with its reason."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from tokencalc.errors import CallInvalid, PriceUnknown, TimeInvalid
from tokencalc.pricing.catalog import Catalog
from tokencalc.pricing.evaluate import evaluate, worst_case
from tokencalc.usage import Meter, Usage

if TYPE_CHECKING:
    from pathlib import Path

CATALOG = Catalog.packaged()
AT = datetime(2026, 11, 20, 12, tzinfo=UTC)


def test_each_meter_has_its_line() -> None:
    usage = Usage(input_tokens=1000, cache_read_tokens=300, output_tokens=70, reasoning_tokens=20, web_searches=2)

    cost = evaluate(CATALOG, usage, model="gpt-5", at=AT)

    lines = [(line.meter, line.quantity, line.rate, line.per, line.amount_usd, line.priced_as) for line in cost.lines]
    assert [
        (Meter.INPUT, 700, Decimal("1.25"), 1_000_000, Decimal("0.000875"), None),
        (Meter.CACHE_READ, 300, Decimal("0.125"), 1_000_000, Decimal("0.0000375"), None),
        (Meter.OUTPUT, 50, Decimal(10), 1_000_000, Decimal("0.0005"), None),
        (Meter.REASONING, 20, Decimal(10), 1_000_000, Decimal("0.0002"), Meter.OUTPUT),
        (Meter.WEB_SEARCH, 2, Decimal(10), 1_000, Decimal("0.02"), None),
    ] == lines
    assert Decimal("0.0216125") == cost.total_usd
    assert cost.cards == ("openai/gpt-5@2025-08-07",)
    assert (cost.provider, cost.model, cost.at) == ("openai", "gpt-5", AT)


def test_a_meter_without_a_rate_is_unpriced_with_its_reason() -> None:
    cost = evaluate(CATALOG, Usage(input_tokens=10, input_audio_tokens=4), model="gpt-4o", at=AT)

    assert cost.unpriced == (Meter.INPUT_AUDIO,)
    assert cost.total_usd is None
    assert Decimal("0.000015") == cost.priced_usd
    assert "input_audio: openai/gpt-4o@2024-10-02 has no rate for it" in cost.notes[0]


def test_the_served_model_wins_over_the_requested_one() -> None:
    cost = evaluate(CATALOG, Usage(input_tokens=1_000_000, model="gpt-4o-mini-2024-07-18"), model="gpt-4o", at=AT)

    assert ("gpt-4o-mini", Decimal("0.15")) == (cost.model, cost.total_usd)


@pytest.mark.parametrize(
    ("expected", "model", "at", "size"),
    [
        ("0.6", "claude-sonnet-4-5", "2026-01-15", 200_000),
        ("1.200006", "claude-sonnet-4-5", "2026-01-15", 200_001),
        ("0.68", "gpt-5.4", "2026-11-20", 272_000),
        ("1.360005", "gpt-5.4", "2026-11-20", 272_001),
        ("0.01", "claude-haiku-5-5", "2026-11-20", 100_000),
        ("0.0500005", "claude-haiku-5-5", "2026-11-20", 100_001),
        ("0.25", "gemini-2.5-pro", "2026-11-20", 200_000),
        ("0.5000025", "gemini-2.5-pro", "2026-11-20", 200_001),
    ],
)
def test_a_tier_begins_above_its_size_and_prices_the_whole_call(expected: str, model: str, at: str, size: int) -> None:
    instant = datetime.fromisoformat(at).replace(tzinfo=UTC)

    assert Decimal(expected) == evaluate(CATALOG, Usage(input_tokens=size), model=model, at=instant).total_usd


def test_cached_tokens_count_towards_the_tier() -> None:
    usage = Usage(input_tokens=272_001, cache_read_tokens=272_000, output_tokens=1_000_000)

    cost = evaluate(CATALOG, usage, model="gpt-5.4", at=AT)

    assert [Decimal(5), Decimal("0.5"), Decimal("22.5")] == [line.rate for line in cost.lines]


CONDITIONS = [
    # expected for a million input tokens, model, context, what the response serves
    ("1.25", "gpt-4o", {"processing": "batch"}, {}),
    ("4.25", "gpt-4o", {"service_tier": "priority"}, {}),
    ("4.25", "gpt-4o", {"service_tier": "fast"}, {}),
    ("4.25", "gpt-4o", {"service_tier": " Priority "}, {}),
    ("2.5", "gpt-4o", {"service_tier": "priority"}, {"service_tier": "default"}),
    ("4.25", "gpt-4o", {}, {"service_tier": "priority"}),
    ("2.5", "gpt-4o", {"service_tier": "auto", "region": "global", "processing": "sync"}, {}),
    ("2.5", "gpt-4o", {"service_tier": ""}, {}),
    ("0.625", "gpt-5", {"service_tier": "flex"}, {}),
    ("12", "gpt-6.1-sol", {"service_tier": "ultrafast"}, {}),
    ("2.2", "gpt-6.1-sol", {"region": "eu"}, {}),
    ("1.1", "gpt-6.1-sol", {"region": "eu", "processing": "batch"}, {}),
    ("5.5", "claude-opus-5", {"region": "us"}, {}),
    ("5.5", "claude-opus-5", {}, {"region": "us"}),
    ("11", "claude-opus-5", {}, {"region": "us", "speed": "fast"}),
    ("5", "claude-opus-5", {}, {"region": "not_available", "speed": "standard", "service_tier": "standard"}),
    ("2.5", "claude-opus-5", {"processing": "batch"}, {"service_tier": "standard"}),
    ("2.5", "claude-opus-5", {}, {"service_tier": "batch"}),
    ("0.54", "gemini-2.5-flash", {"service_tier": "priority"}, {}),
    ("0.15", "gemini-2.5-flash", {"service_tier": "flex"}, {}),
    ("0.075", "openai/gpt-oss-120b", {"processing": "batch"}, {"service_tier": "on_demand"}),
    ("0.35", "mistral-large-4", {"processing": "batch"}, {}),
]


@pytest.mark.parametrize(("expected", "model", "context", "served"), CONDITIONS)
def test_conditions_choose_the_list_of_rates(
    expected: str, model: str, context: dict[str, str], served: dict[str, str]
) -> None:
    usage = Usage.from_leaves(((Meter.INPUT, 100_000),), **served)  # type: ignore[arg-type]  # the four served facts

    cost = evaluate(CATALOG, usage, model=model, at=AT, context=context)

    assert Decimal(expected) / 10 == cost.total_usd


@pytest.mark.parametrize(
    ("model", "context", "reason"),
    [
        ("gpt-4o", {"service_tier": "flex"}, r"openai/gpt-4o@2024-10-02 has no rates for service_tier=flex"),
        ("gpt-4o", {"region": "eu"}, r"has no rates for region=eu"),
        ("gpt-4o", {"service_tier": "priority", "processing": "batch"}, r"processing=batch, service_tier=priority"),
        ("claude-opus-4-5", {"region": "us"}, r"has no rates for region=us"),
        ("claude-opus-5", {"speed": "fast", "processing": "batch"}, r"has no rates for processing=batch, speed=fast"),
        ("claude-opus-5", {"service_tier": "priority"}, r"has no rates for service_tier=priority"),
    ],
)
def test_a_condition_without_rates_is_unpriced_and_never_standard(
    model: str, context: dict[str, str], reason: str
) -> None:
    cost = evaluate(CATALOG, Usage(input_tokens=10, output_tokens=1), model=model, at=AT, context=context)

    assert (cost.lines, cost.unpriced) == ((), (Meter.INPUT, Meter.OUTPUT))
    assert cost.total_usd is None
    assert reason in cost.notes[0]


def test_a_condition_before_it_was_known_is_unpriced() -> None:
    early = datetime(2026, 3, 1, tzinfo=UTC)

    cost = evaluate(CATALOG, Usage(input_tokens=10), model="gpt-4o", at=early, context={"service_tier": "priority"})

    assert cost.unpriced == (Meter.INPUT,)
    assert "rates for service_tier=priority are known from 2026-10-12 only" in cost.notes[0]


def test_batch_is_no_factor_on_everything() -> None:
    usage = Usage(input_tokens=2_000_000, cache_read_tokens=1_000_000, output_tokens=0, web_searches=1000)

    cost = evaluate(CATALOG, usage, model="gpt-4.1", at=AT, context={"processing": "batch"})

    assert [Decimal(1), Decimal("0.5"), Decimal(10)] == [line.rate for line in cost.lines]


def test_a_region_does_not_raise_the_price_of_a_search() -> None:
    usage = Usage.from_leaves(((Meter.INPUT, 1_000_000), (Meter.WEB_SEARCH, 1000)), region="us")

    cost = evaluate(CATALOG, usage, model="claude-opus-5", at=AT)

    assert [Decimal("5.5"), Decimal(10)] == [line.rate for line in cost.lines]
    assert cost.notes == ("x 1.1 for region=us",)


def test_a_list_without_sizes_says_so_on_a_long_prompt() -> None:
    def priced(size: int) -> tuple[Decimal | None, int]:
        cost = evaluate(CATALOG, Usage(input_tokens=size), model="gpt-5.4", at=AT, context={"service_tier": "priority"})
        return cost.total_usd, len(cost.notes)

    assert (Decimal("1.36"), 0) == priced(272_000)
    assert (Decimal("1.5"), 1) == priced(300_000)


def test_what_a_variant_leaves_unchanged_keeps_its_tier() -> None:
    usage = Usage(input_tokens=300_000, cache_read_tokens=100_000)

    cost = evaluate(CATALOG, usage, model="gemini-2.5-pro", at=AT, context={"processing": "batch"})

    assert [Decimal("1.25"), Decimal("0.25")] == [line.rate for line in cost.lines]


def test_a_write_of_unstated_lifetime_names_the_rate_that_it_took() -> None:
    cost = evaluate(CATALOG, Usage(input_tokens=9, cache_write_tokens=9), model="claude-opus-5", at=AT)

    assert [(line.meter, line.priced_as) for line in cost.lines] == [(Meter.CACHE_WRITE, Meter.CACHE_WRITE_5M)]


def test_each_part_is_priced_by_itself() -> None:
    parts = [
        Usage(input_tokens=150_000, model="claude-sonnet-4-5"),
        Usage(input_tokens=150_000, model="claude-sonnet-4-5"),
        Usage(output_tokens=1_000_000, model="claude-haiku-4-5"),
    ]

    cost = evaluate(CATALOG, Usage.from_parts(parts), model="claude-sonnet-4-5", at=AT)

    assert Decimal("5.9") == cost.total_usd
    assert cost.cards == ("anthropic/claude-sonnet-4-5@2025-09-29", "anthropic/claude-haiku-4-5@2025-10-01")
    assert cost.model == "claude-sonnet-4-5"


def test_a_part_of_an_unknown_model_leaves_the_rest_priced() -> None:
    parts = [Usage(input_tokens=1_000_000, model="gpt-4o"), Usage(output_tokens=5, model="gpt-99")]

    cost = evaluate(CATALOG, Usage.from_parts(parts), model="gpt-4o", at=AT)

    assert (None, Decimal("2.5"), (Meter.OUTPUT,)) == (cost.total_usd, cost.priced_usd, cost.unpriced)
    assert "no price is known for model 'gpt-99'" in cost.notes[0]


def test_parts_of_unknown_models_only_are_an_unknown_price() -> None:
    usage = Usage.from_parts([Usage(input_tokens=1, model="gpt-99"), Usage(input_tokens=1, model="gpt-98")])

    with pytest.raises(PriceUnknown, match="gpt-99"):
        evaluate(CATALOG, usage, model="gpt-4o", at=AT)


def test_a_usage_of_nothing_costs_nothing() -> None:
    cost = evaluate(CATALOG, Usage(), model="gpt-4o", at=AT)

    assert (Decimal(0), ()) == (cost.total_usd, cost.lines)


def test_a_rate_finer_than_a_pico_dollar_is_rounded_once_a_line(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(
        'provider = "acme"\n[[model]]\nid = "rocket"\n[[model.card]]\neffective_from = 2026-01-01\n'
        'rates = { input_per_mtok = "0.0000015", output_per_mtok = "0.0000005" }\n',
        encoding="utf-8",
    )
    catalog = CATALOG.with_files([path])

    cost = evaluate(catalog, Usage(input_tokens=1, output_tokens=1), model="rocket", at=AT)

    assert [line.amount_pico for line in cost.lines] == [2, 0]


def test_a_price_for_each_call_is_counted_without_being_told(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(
        'provider = "acme"\n[[model]]\nid = "rocket"\n[[model.card]]\neffective_from = 2026-01-01\n'
        'rates = { input_per_mtok = "1", request_per_kcall = "5" }\n',
        encoding="utf-8",
    )
    catalog = CATALOG.with_files([path])
    counted = Usage.from_leaves(((Meter.INPUT, 1_000_000), (Meter.REQUEST, 3)))

    assert Decimal("1.005") == evaluate(catalog, Usage(input_tokens=1_000_000), model="rocket", at=AT).total_usd
    assert Decimal("1.015") == evaluate(catalog, counted, model="rocket", at=AT).total_usd


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ({"tier": "flex"}, r"'tier' is no condition of a price; allowed: processing, region, service_tier, speed"),
        ({"processing": 5}, r"context\.processing: expected a short text"),
        ({"processing": "x" * 81}, r"context\.processing: expected a short text"),
        ({"processing": "batch\x00"}, r"context\.processing: expected a short text"),
    ],
)
def test_a_context_that_cannot_be_is_refused(context: dict[str, str], message: str) -> None:
    with pytest.raises(CallInvalid, match=message):
        evaluate(CATALOG, Usage(input_tokens=1), model="gpt-4o", at=AT, context=context)


def test_an_instant_without_a_zone_is_refused() -> None:
    with pytest.raises(TimeInvalid, match="expected an instant with a time zone"):
        evaluate(CATALOG, Usage(input_tokens=1), model="gpt-4o", at=AT.replace(tzinfo=None))


@pytest.mark.parametrize(
    ("expected", "meters", "model", "context"),
    [
        ("0.004", (Meter.INPUT, Meter.OUTPUT), "gpt-4o", None),
        ("0.035", (Meter.CACHE_WRITE_1H, Meter.OUTPUT), "claude-opus-5", None),
        ("0.07", (Meter.CACHE_WRITE_1H, Meter.OUTPUT), "claude-opus-5", {"speed": "fast"}),
        ("0.0385", (Meter.CACHE_WRITE_1H, Meter.OUTPUT), "claude-opus-5", {"region": "us"}),
        ("0.015", (Meter.CACHE_WRITE_12H, Meter.OUTPUT), "gpt-6.1-sol", None),
    ],
)
def test_the_worst_case_takes_the_dearest_that_tokens_can_become(
    expected: str, meters: tuple[Meter, ...], model: str, context: dict[str, str] | None
) -> None:
    size = {"gpt-4o": (800, 200)}.get(model, (1000, 1000))

    cost = worst_case(CATALOG, model=model, at=AT, input_tokens=size[0], output_tokens=size[1], context=context)

    assert (Decimal(expected), meters) == (cost.total_usd, tuple(line.meter for line in cost.lines))


def test_the_worst_case_takes_the_tier_that_the_input_reaches() -> None:
    cost = worst_case(CATALOG, model="gpt-5.4", at=AT, input_tokens=272_001, output_tokens=10)

    assert [Decimal(5), Decimal("22.5")] == [line.rate for line in cost.lines]


def test_the_worst_case_of_an_embedding_has_no_output() -> None:
    cost = worst_case(CATALOG, model="text-embedding-3-small", at=AT, input_tokens=1_000_000, output_tokens=0)

    assert Decimal("0.02") == cost.total_usd


def test_the_worst_case_under_unknown_conditions_is_unpriced() -> None:
    cost = worst_case(
        CATALOG, model="gpt-4o", at=AT, input_tokens=1, output_tokens=1, context={"service_tier": "scale"}
    )

    assert (cost.total_usd, cost.unpriced) == (None, (Meter.INPUT, Meter.OUTPUT))
