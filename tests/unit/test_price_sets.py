"""The readers of the public sets beyond text tokens: units, hours, conditions, and what they leave out."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from tokencalc.errors import PriceTableInvalid
from tokencalc.pricing.sets import PriceSet, compare, genai_facts, litellm_facts
from tokencalc.pricing.sets.common import published_duration
from tokencalc.pricing.sets.finding import price_set
from tokencalc.pricing.sets.genai import matches

if TYPE_CHECKING:
    from pathlib import Path

GENAI = """
providers = [
    Provider(id='x-ai', models=[
        ModelInfo(id='Grok-X', match=ClauseEquals(equals='Grok-X'), prices=ModelPrice(
            input_mtok=TieredPrices(base=Decimal('2'), tiers=[Tier(start=199999, price=Decimal('4'))]),
            output_mtok=Decimal('6'))),
        ModelInfo(id='voice', match=ClauseEquals(equals='voice'), prices=ModelPrice(
            audio_hours=Decimal('3'), input_text_messages_kcount=Decimal('4'))),
    ]),
    Provider(id='deepseek', models=[
        ModelInfo(id='chat', match=ClauseStartsWith(starts_with='chat'), prices=[
            ConditionalPrice(prices=ModelPrice(input_mtok=Decimal('1'), output_mtok=Decimal('2'))),
            ConditionalPrice(
                constraint=TimeOfDateConstraint(start_time=datetime.time(0, 30), end_time=datetime.time(16)),
                prices=ModelPrice(input_mtok=Decimal('3'))),
        ]),
    ]),
    Provider(id='mistral', models=[
        ModelInfo(id='ocr', match=ClauseEquals(equals='ocr'), prices=ModelPrice(
            input_document_kpages=Decimal('1'), input_annotated_document_kpages=Decimal('3'))),
        ModelInfo(id='reader', match=ClauseAnd(and_=[ClauseContains(contains='read'), ClauseEndsWith(ends_with='er')]),
                  prices=ModelPrice(input_mchars=Decimal('15'), requests_kcount=Decimal('5')),
                  price_variants=[PriceVariant(when={'route': 'eu'}, prices=ModelPrice(input_mchars=Decimal('16')))]),
    ]),
]
"""

LITELLM: dict[str, dict[str, Any]] = {
    "whisper": {"litellm_provider": "azure", "mode": "audio_transcription", "input_cost_per_second": 0.0001},
    "film": {
        "litellm_provider": "vertex_ai-video-models",
        "mode": "video_generation",
        "output_cost_per_second": 0.1,
        "output_cost_per_second_1080p": 0.12,
    },
    "draw": {"litellm_provider": "fal_ai", "mode": "image_generation", "output_cost_per_image": 0.04},
    "xai/grok-y": {
        "litellm_provider": "xai",
        "mode": "chat",
        "input_cost_per_token": 2e-06,
        "output_cost_per_token": 4e-06,
        "input_cost_per_token_above_200k_tokens": 4e-06,
        "output_cost_per_token_above_200k_tokens": 8e-06,
    },
    "perplexity/search-x": {
        "litellm_provider": "perplexity",
        "mode": "chat",
        "input_cost_per_token": 1e-06,
        "output_cost_per_token": 1e-06,
        "search_context_cost_per_query": {
            "search_context_size_low": 0.005,
            "search_context_size_medium": 0.008,
            "search_context_size_high": 0.012,
        },
    },
    "cohere/rank": {"litellm_provider": "cohere", "mode": "rerank", "input_cost_per_query": 0.002},
    "groq/speak": {"litellm_provider": "groq", "mode": "audio_speech", "input_cost_per_character": 2.2e-05},
    "mistral/scan": {
        "litellm_provider": "mistral",
        "mode": "ocr",
        "ocr_cost_per_page": 0.004,
        "annotation_cost_per_page": 0.005,
        "ocr_cost_per_page_batches": 0.002,
    },
    "gemini/says": {
        "litellm_provider": "gemini",
        "mode": "audio_transcription",
        "input_cost_per_token": 2e-06,
        "input_cost_per_audio_token": 2e-06,
        "input_cost_per_second": 5e-05,
        "google_maps_grounding_cost_per_query": 0.014,
    },
    "novita/gratis": {
        "litellm_provider": "novita",
        "mode": "chat",
        "input_cost_per_token": 0,
        "output_cost_per_token": 0,
    },
    "cloudflare/wire": {"litellm_provider": "cloudflare", "mode": "chat", "input_cost_per_pixel": 1e-08},
}


@pytest.fixture
def genai(tmp_path: Path) -> dict[str, dict[str, Any]]:
    path = tmp_path / "data.py"
    path.write_text(GENAI, encoding="utf-8")
    return genai_facts(path)


@pytest.fixture
def litellm(tmp_path: Path) -> dict[str, dict[str, Any]]:
    path = tmp_path / "prices.json"
    path.write_text(json.dumps(LITELLM), encoding="utf-8")
    return litellm_facts(path)


@pytest.mark.parametrize(
    ("unit", "price", "a_second"),
    [
        ("minute", "0.006", "0.0001"),
        ("minute", "0.003", "0.00005"),
        ("minute", "0.0045", "0.000075"),
        # What was rounded on the way stays as it was stated: 0.111 an hour, 0.21 an hour.
        ("second", "0.00003083", "0.00003083"),
        ("second", "0.0000583333", "0.0000583333"),
    ],
)
def test_a_price_a_second_stands_for_the_unit_in_which_it_comes_out_exact(unit: str, price: str, a_second: str) -> None:
    assert (unit, Decimal(price)) == published_duration(Decimal(a_second))


def test_providers_have_our_ids_and_names_are_in_lower_case(genai: dict[str, dict[str, Any]]) -> None:
    assert list(genai) == ["xai/grok-x", "xai/voice", "deepseek/chat", "mistral/ocr", "mistral/reader"]


def test_a_tier_that_begins_just_below_a_round_number_means_at_least(genai: dict[str, dict[str, Any]]) -> None:
    (tier,) = genai["xai/grok-x"]["card"][0]["tiers"]

    assert tier["from_input_tokens"] == 200_000


def test_hours_become_a_variant_of_the_ordinary_card(genai: dict[str, dict[str, Any]]) -> None:
    (card,) = genai["deepseek/chat"]["card"]

    assert card["rates"] == {"input_per_mtok": "1", "output_per_mtok": "2"}
    (variant,) = card["variants"]
    assert (
        variant["during"],
        variant["rates"],
        variant["unchanged"],
    ) == ({"hours": ["00:30-16:00"]}, {"input_per_mtok": "3"}, ["output"])


def test_what_has_no_meter_or_condition_of_ours_is_named(genai: dict[str, dict[str, Any]]) -> None:
    assert (genai["xai/voice"]["left_out"]) == [
        "audio_hours: we have no meter for it",
        "input_text_messages_kcount: we have no meter for it",
    ]
    assert genai["mistral/reader"]["left_out"] == ["route: a condition that we do not have"]
    assert genai["mistral/ocr"]["card"][0]["rates"] == {"input_page_per_kpage": "1", "annotated_page_per_kpage": "3"}
    assert (genai["mistral/reader"]["card"][0]["rates"]) == {
        "input_character_per_mcharacter": "15",
        "request_per_kcall": "5",
    }


@pytest.mark.parametrize(
    ("expected", "name"), [(True, "reader"), (True, "my-reader"), (False, "reading"), (False, "writer")]
)
def test_a_clause_takes_the_names_that_the_set_itself_would_take(
    expected: bool,  # noqa: FBT001  # a column
    name: str,
    genai: dict[str, dict[str, Any]],
) -> None:
    assert expected is matches(genai["mistral/reader"]["match"], name)
    assert genai["mistral/reader"]["aliases"] == []


@pytest.mark.parametrize(
    ("rates", "model"),
    [
        ({"input_audio_second_per_minute": "0.006"}, "azure/whisper"),
        ({"output_video_second_per_second": "0.1"}, "vertex/film"),
        ({"output_image_piece_per_piece": "0.04"}, "fal_ai/draw"),
        ({"input_per_mtok": "1", "output_per_mtok": "1", "request_per_kcall": "5"}, "perplexity/search-x"),
        ({"search_unit_per_kcall": "2"}, "cohere/rank"),
        ({"input_character_per_mcharacter": "22"}, "groq/speak"),
        ({"input_page_per_kpage": "4", "annotated_page_per_kpage": "5"}, "mistral/scan"),
        ({"input_per_mtok": "2", "input_audio_per_mtok": "2", "maps_search_per_kcall": "14"}, "google/says"),
        ({}, "novita/gratis"),
        ({}, "cloudflare/wire"),
    ],
)
def test_litellms_keys_become_rates_in_published_units(
    rates: dict[str, str], model: str, litellm: dict[str, dict[str, Any]]
) -> None:
    assert rates == litellm[model]["card"][0]["rates"]


@pytest.mark.parametrize(
    ("when", "rates", "model"),
    [
        ({"video_resolution": "1080p"}, {"output_video_second_per_second": "0.12"}, "vertex/film"),
        ({"search_context_size": "medium"}, {"request_per_kcall": "8"}, "perplexity/search-x"),
        ({"search_context_size": "high"}, {"request_per_kcall": "12"}, "perplexity/search-x"),
        ({"processing": "batch"}, {"input_page_per_kpage": "2"}, "mistral/scan"),
    ],
)
def test_litellms_conditions_become_variants(
    when: dict[str, str], rates: dict[str, str], model: str, litellm: dict[str, dict[str, Any]]
) -> None:
    variants = [(item["when"], item["rates"]) for item in litellm[model]["card"][0]["variants"]]

    assert (when, rates) in variants


def test_xais_tiers_begin_at_their_size(litellm: dict[str, dict[str, Any]]) -> None:
    assert [tier["from_input_tokens"] for tier in litellm["xai/grok-y"]["card"][0]["tiers"]] == [200_000]


@pytest.mark.parametrize(
    ("reason", "model"),
    [
        ("input_per_mtok of 0: unknown or free, the set does not say which", "novita/gratis"),
        ("input_cost_per_pixel: we have no meter for it", "cloudflare/wire"),
        ("input_audio_second: an estimate beside the price of its tokens", "google/says"),
    ],
)
def test_litellms_reader_names_what_it_leaves_out(reason: str, model: str, litellm: dict[str, dict[str, Any]]) -> None:
    assert reason in litellm[model]["left_out"]


def _table(rates: dict[str, str], **card: Any) -> dict[str, Any]:
    cards = [{"effective_from": date(2026, 1, 1), "rates": rates, **card}]
    return {"provider": "azure", "model": [{"id": "whisper", "card": cards}], "priced_as": {"reasoning": "output"}}


@pytest.mark.parametrize(
    ("agreements", "found", "rates"),
    [
        (1, [], {"input_audio_second_per_minute": "0.006"}),
        (1, [], {"input_audio_second_per_hour": "0.36"}),
        (
            0,
            [("input_audio_second", "0.42 per hour", "0.006 per minute", None)],
            {"input_audio_second_per_hour": "0.42"},
        ),
        (
            0,
            [
                (
                    "input_audio_second",
                    "0.3601 per hour",
                    "0.006 per minute",
                    "the set keeps a price for a smaller unit, which was rounded on the way",
                )
            ],
            {"input_audio_second_per_hour": "0.3601"},
        ),
        (0, [("input_audio_second_per_minute", None, "0.006", None)], {"input_per_mtok": "1"}),
    ],
)
def test_rates_are_compared_whatever_their_unit(
    agreements: int,
    found: list[tuple[str, str | None, str | None, str | None]],
    rates: dict[str, str],
    litellm: dict[str, dict[str, Any]],
) -> None:
    comparison = compare("azure", _table(rates), PriceSet("set 1", date(2026, 11, 1), litellm))

    assert agreements == comparison.agreements
    assert found == [(item.key, item.ours, item.theirs, item.because) for item in comparison.differences]


def test_a_comparison_counts_what_only_one_side_has(litellm: dict[str, dict[str, Any]]) -> None:
    other = {"azure/other": litellm["fal_ai/draw"] | {"id": "other"}}
    raw = _table({"input_audio_second_per_minute": "0.006", "input_per_mtok": "1"})

    comparison = compare("azure", raw, PriceSet("set 1", date(2026, 11, 1), litellm | other))

    assert (comparison.agreements, comparison.only_ours, comparison.not_ours) == (1, 1, ("other",))


@pytest.mark.parametrize(
    ("message", "name", "content"),
    [
        ("holds no model of genai-prices", "genai-prices", "x = 1\n"),
        ("is no data of genai-prices: SyntaxError", "genai-prices", "providers = [\n"),
        ("is no data of litellm: JSONDecodeError", "litellm", "not json"),
        ("is no data of litellm: AttributeError", "litellm", "[1, 2]"),
        ("does not exist", "litellm", None),
    ],
)
def test_a_file_that_is_no_set_is_refused_with_the_reason(
    message: str, name: str, content: str | None, tmp_path: Path
) -> None:
    path = tmp_path / "prices"
    if content is not None:
        path.write_text(content, encoding="utf-8")

    with pytest.raises(PriceTableInvalid, match=message):
        price_set(name, file=path, day=date(2026, 11, 1))


def test_a_wheels_name_says_the_version(tmp_path: Path) -> None:
    path = tmp_path / "litellm-1.2.3-cp310-abi3-manylinux_2_28_x86_64.whl"
    path.write_text("no wheel", encoding="utf-8")

    with pytest.raises(PriceTableInvalid, match="is no data of litellm: BadZipFile"):
        price_set("litellm", file=path, day=date(2026, 11, 1))
