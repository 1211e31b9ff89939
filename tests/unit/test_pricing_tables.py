"""The packaged tables: in step with what people edit, valid, sourced, sane."""

from __future__ import annotations

import re
import tomllib
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from scripts.compile_prices import COMPILED, compiled
from tests.architecture.imports import ROOT
from tokencalc.errors import PriceTableInvalid, PriceUnknown
from tokencalc.pricing.card import ModelFacts, Rate, RateCard
from tokencalc.pricing.catalog import Catalog
from tokencalc.pricing.layers import ImportedLayer, PackagedLayer
from tokencalc.usage import CACHE_READ_METERS, Meter

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CATALOG = Catalog.packaged()
CURATED = PackagedLayer().providers
IMPORTED = ImportedLayer().providers
MODELS = [facts for provider in CURATED for facts in CATALOG.models(provider)]
CARDS = [(facts, card) for facts in MODELS for card in CATALOG.cards(facts.provider, facts.model)]
SOURCE = re.compile(
    r"https://\S+|genai-prices [\d.]+|litellm [\d.]+|.*(?:written down from memory|recalled, not compared).*"
)
"""A page, a set with its version, or the words that nobody compared: `recalled` in a table's sources."""

# What our users' examples, logs and tests name; a model may retire, its price may not.
_NAMES = """
gpt-4 gpt-4-32k gpt-4-turbo gpt-4o gpt-4o-mini gpt-4.1 gpt-4.1-mini gpt-4.1-nano gpt-3.5-turbo o1 o1-mini o3 o3-mini
o4-mini gpt-5 gpt-5-mini gpt-5-nano gpt-5-codex gpt-5.1 gpt-5.2 gpt-5.2-codex gpt-5.3-codex gpt-5.4 gpt-5.5 gpt-5.6
gpt-6-sol gpt-6.1-sol text-embedding-3-small text-embedding-3-large text-embedding-ada-002 claude-3-opus-20240229
claude-3-sonnet-20240229 claude-3-haiku-20240307 claude-3-5-sonnet-20240620 claude-3-5-sonnet-20241022
claude-3-5-haiku-20241022 claude-3-7-sonnet-20250219 claude-sonnet-4-20250514 claude-opus-4-20250514
claude-opus-4-1-20250805 claude-sonnet-4-5 claude-haiku-4-5 claude-opus-4-5 claude-opus-4-6 claude-sonnet-4-6
claude-opus-4-7 claude-opus-4-8 claude-fable-5 claude-sonnet-5 claude-opus-5 claude-haiku-5-5 gemini-1.5-flash
gemini-1.5-pro gemini-2.0-flash gemini-2.5-flash gemini-2.5-flash-lite gemini-2.5-pro gemini-3-pro-preview
gemini-3-flash-preview gemini-3.5-flash gemini-4-argon llama-3.3-70b-versatile llama3-8b-8192 openai/gpt-oss-120b
qwen/qwen3-32b mistral-large-latest mistral-medium-latest mistral-small-latest codestral-latest mistral-embed
"""
NAMED = _NAMES.split()


def _ids(item: object) -> str:
    return item.card_id if isinstance(item, RateCard) else item.model if isinstance(item, ModelFacts) else ""


def test_the_compiled_tables_are_in_step_with_the_edited_ones() -> None:
    texts = compiled()

    assert sorted(texts) == sorted(path.name for path in COMPILED.glob("*.json"))
    for name, text in texts.items():
        assert text == (COMPILED / name).read_text(encoding="utf-8"), "run: make prices"


@pytest.mark.parametrize("name", NAMED)
def test_every_model_that_people_name_has_a_price_today(name: str) -> None:
    card = CATALOG.card(model=name, at=datetime(2026, 11, 20, 12, tzinfo=UTC))

    assert card.rate(Meter.INPUT) is not None


@pytest.mark.parametrize("model", ["gemini-pro", "gemini-1.0-pro", "gemini-1.0-pro-vision-001"])
def test_a_price_for_a_million_characters_is_no_price_for_a_million_tokens(model: str) -> None:
    card = CATALOG.card(model=model, provider="google", at=datetime(2024, 6, 1, tzinfo=UTC))

    assert (Decimal("0.5"), Decimal("1.5")) == (card.rates[Meter.INPUT].usd, card.rates[Meter.OUTPUT].usd)


@pytest.mark.parametrize(("facts", "card"), CARDS, ids=_ids)
def test_every_card_is_sourced_and_sane(facts: ModelFacts, card: RateCard) -> None:
    assert card.source
    assert [source for source in card.source if not SOURCE.fullmatch(source)] == []
    assert card.effective_from < datetime(2027, 6, 1, tzinfo=UTC)
    # What is spoken, drawn or filmed is billed by the second, the image, the page or the character.
    assert Meter.INPUT in card.rates or (facts.mode == "other" and card.rates)
    assert Meter.OUTPUT in card.rates or facts.mode == "embedding" or Meter.INPUT not in card.rates
    for rates in _lists(card):
        for meter, rate in rates.items():
            assert Decimal(0) <= rate.usd <= Decimal(1000)
            if meter in CACHE_READ_METERS and Meter.INPUT in rates and meter is Meter.CACHE_READ:
                assert rate.usd <= rates[Meter.INPUT].usd


@pytest.mark.parametrize(("facts", "card"), CARDS, ids=_ids)
def test_every_tier_costs_at_least_what_is_below_it(facts: ModelFacts, card: RateCard) -> None:
    assert facts.provider == card.provider
    for tier in card.tiers:
        for meter, rate in tier.rates.items():
            assert rate.usd >= card.rates[meter].usd


@pytest.mark.parametrize("facts", MODELS, ids=_ids)
def test_every_alias_means_its_model(facts: ModelFacts) -> None:
    for alias in facts.aliases:
        assert facts.model == CATALOG.resolve(alias, provider=facts.provider).model


@pytest.mark.parametrize("facts", MODELS, ids=_ids)
def test_limits_are_possible(facts: ModelFacts) -> None:
    # Speech and images have an input limit of their own, which says nothing about the output.
    if facts.mode != "other" and facts.context_window_tokens is not None and facts.output_limit_tokens is not None:
        assert 0 < facts.output_limit_tokens <= facts.context_window_tokens
    assert facts.tokenizer is not None or facts.provider != "openai"
    assert facts.tokenizer is not None or facts.provider != "anthropic"


def _lists(card: RateCard) -> list[Mapping[Meter, Rate]]:
    lists = [card.rates, *(tier.rates for tier in card.tiers)]
    return lists + [rates for item in card.variants for rates in (item.rates, *(tier.rates for tier in item.tiers))]


@pytest.mark.parametrize("provider", IMPORTED)
def test_an_imported_table_says_where_it_is_from_and_is_sane(provider: str) -> None:
    table = ImportedLayer().table(provider)

    cards = [card for model in table.models for card in table.cards(model)]

    assert [card.card_id for card in cards if not card.rates] == []
    assert [card.card_id for card in cards if not card.source] == []
    assert {source for card in cards for source in card.source if not SOURCE.fullmatch(source)} == set()
    assert [card.card_id for card in cards if card.effective_from.date() > date(2027, 1, 1)] == []
    assert [
        card.card_id for card in cards for rates in _lists(card) for rate in rates.values() if rate.usd > 1000
    ] == []
    for card in cards:
        for tier in card.tiers:
            assert [meter for meter, rate in tier.rates.items() if rate.usd < card.rates[meter].usd] == []


def test_an_imported_price_without_a_day_of_its_own_begins_no_later_than_its_set() -> None:
    for provider in IMPORTED:
        table = ImportedLayer().table(provider)
        for model in table.models:
            first = table.cards(model)[0]
            assert first.checked_on is not None
            assert first.effective_from_known or first.effective_from.date() <= first.checked_on


def test_a_sellers_old_price_is_not_told_before_the_vendor_changed_it() -> None:
    # o3 cost five times as much before 2025-06-10, and no set remembers what the seller asked then.
    with pytest.raises(PriceUnknown, match="cards begin on 2025-06-10"):
        CATALOG.card(model="openai/o3", provider="openrouter", at=datetime(2025, 6, 1, tzinfo=UTC))


def test_text_models_of_the_main_families_know_their_output_limit() -> None:
    names = [name for name in NAMED if name.startswith(("gpt-", "o1", "o3", "o4", "claude-", "gemini-"))]

    unknown = [name for name in names if CATALOG.resolve(name).output_limit_tokens is None]

    assert unknown == []


@pytest.mark.parametrize(
    ("reasoning", "from_tokens", "model"),
    [
        ("never", None, "gpt-4.1"),
        ("on_request", None, "gpt-5.1"),
        ("by_default", None, "gpt-5-mini"),
        ("on_request", 4096, "claude-haiku-4-5"),
        ("on_request", 1024, "claude-sonnet-4-5-20250929"),
        ("by_default", 512, "claude-opus-5-5"),
        ("by_default", None, "gemini-2.5-flash"),
        (None, None, "gpt-5.3"),
    ],
)
def test_what_advice_rests_on_is_known_of_models_or_left_out(
    reasoning: str | None, from_tokens: int | None, model: str
) -> None:
    facts = CATALOG.resolve(model)
    assert (reasoning, from_tokens) == (facts.reasoning, facts.cacheable_from_tokens)


@pytest.mark.parametrize(("fact", "source"), [("reasoning", "reasoning"), ("cacheable_from_tokens", "caching")])
def test_a_table_that_states_such_a_fact_says_where_it_stands(fact: str, source: str) -> None:
    tables = [tomllib.loads(path.read_text(encoding="utf-8")) for path in (ROOT / "pricing").glob("*.toml")]
    stating = [table for table in tables if any(fact in model for model in table["model"])]
    assert stating
    assert all(SOURCE.fullmatch(table["sources"][source]) for table in stating)


def test_the_file_must_bear_the_providers_name(tmp_path: Path) -> None:
    text = 'provider = "acme"\nmodel = []\n'
    (tmp_path / "other.toml").write_text(text, encoding="utf-8")

    with pytest.raises(PriceTableInvalid, match="the file must bear its name"):
        compiled(tmp_path)


def test_a_packaged_card_without_its_source_is_refused(tmp_path: Path) -> None:
    text = 'provider = "acme"\n[[model]]\nid = "r"\n[[model.card]]\neffective_from = 2026-01-01\nrates = {}\n'
    (tmp_path / "acme.toml").write_text(text, encoding="utf-8")

    with pytest.raises(PriceTableInvalid, match="source is missing"):
        compiled(tmp_path)
