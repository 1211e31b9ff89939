"""Which card applies on which day, and how a user's own tables lie on top of ours."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from tokencalc.errors import PriceUnknown
from tokencalc.pricing.card import Rate
from tokencalc.pricing.catalog import Catalog
from tokencalc.pricing.evaluate import evaluate
from tokencalc.usage import Meter, Usage

if TYPE_CHECKING:
    from pathlib import Path

CATALOG = Catalog.packaged()
MILLION = Usage(input_tokens=1_000_000)


def _day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _own(folder: Path, text: str, name: str = "own.toml") -> Catalog:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return CATALOG.with_files([path])


def _cost(catalog: Catalog, model: str, day: str, provider: str | None = None) -> Decimal | None:
    return evaluate(catalog, MILLION, model=model, provider=provider, at=_day(day)).total_usd


@pytest.mark.parametrize(
    ("expected", "model", "day"),
    [
        ("5", "gpt-4o", "2024-10-01"),
        ("2.5", "gpt-4o", "2024-10-02"),
        ("2.5", "gpt-4o-2024-08-06", "2024-10-01"),
        ("10", "o3", "2025-06-09"),
        ("2", "o3", "2025-06-10"),
        ("2", "gpt-5.6-luna", "2026-07-29"),
        ("0.4", "gpt-5.6-luna", "2026-07-30"),
        ("1", "claude-3-5-haiku", "2024-11-15"),
        ("0.8", "claude-3-5-haiku", "2024-12-03"),
        ("10", "claude-opus-4-6", "2026-03-12"),
        ("5", "claude-opus-4-6", "2026-03-13"),
        ("2", "gemini-4-argon", "2026-11-30"),
        ("4", "gemini-4-argon", "2026-12-01"),
        ("2", "mistral-large-latest", "2025-12-01"),
        ("0.5", "mistral-large-latest", "2025-12-02"),
        ("0.4", "mistral-medium-latest", "2026-06-15"),
        ("1.5", "mistral-medium-latest", "2026-06-16"),
    ],
)
def test_the_card_of_the_day_prices(expected: str, model: str, day: str) -> None:
    assert Decimal(expected) == _cost(CATALOG, model, day)


def test_the_last_microsecond_belongs_to_the_old_card() -> None:
    last = datetime(2025, 6, 9, 23, 59, 59, 999_999, tzinfo=UTC)

    assert CATALOG.card(model="o3", at=last).card_id == "openai/o3@2025-04-16"
    assert CATALOG.card(model="o3", at=_day("2025-06-10")).card_id == "openai/o3@2025-06-10"


def test_an_instant_in_another_zone_is_the_same_instant() -> None:
    evening_in_new_york = datetime.fromisoformat("2025-06-09T20:00:00-04:00")

    assert CATALOG.card(model="o3", at=evening_in_new_york).card_id == "openai/o3@2025-06-10"


def test_before_the_first_known_day_the_price_is_unknown() -> None:
    with pytest.raises(PriceUnknown, match=r"'o3' of openai at 2025-04-15T00:00:00Z; cards begin on 2025-04-16"):
        CATALOG.card(model="o3", at=_day("2025-04-15"))


def test_models_of_early_2026_price_on_their_days() -> None:
    names = [
        "gpt-5.2",
        "gpt-5.2-codex",
        "claude-opus-4-5-20251101",
        "claude-sonnet-4-5-20250929",
        "gemini-3-pro-preview",
    ]
    names += [
        "gemini-2.5-flash",
        "claude-haiku-4-5-20251001",
        "gpt-4o-mini",
        "llama-3.3-70b-versatile",
        "openai/gpt-oss-120b",
    ]

    unpriced = [name for name in names if _cost(CATALOG, name, "2026-01-02") is None]

    assert unpriced == []


def test_a_card_knows_its_neighbours_and_its_source() -> None:
    first, second = CATALOG.cards("openai", "o3")

    assert first.effective_until == second.effective_from
    assert second.effective_until is None
    assert "https://developers.openai.com/api/docs/pricing" in second.source
    assert Rate(usd=Decimal(2), per=1_000_000) == second.rate(Meter.INPUT)
    assert second.rate(Meter.CACHE_WRITE_1H) is None


def test_the_catalog_says_how_old_it_is() -> None:
    assert date(2026, 11, 9) == CATALOG.checked_on
    assert CATALOG.age_days(_day("2026-11-20")) == 11


def test_the_catalog_lists_providers_and_models() -> None:
    assert {"anthropic", "bedrock", "deepseek", "google", "groq", "mistral", "openai"} < set(CATALOG.providers)
    assert {"anthropic"} == {facts.provider for facts in CATALOG.models("claude")}
    assert len(CATALOG.models()) > len(CATALOG.models("openai")) > 90


OWN_PROVIDER = """
provider = "homelab"
aliases = ["home"]
[[model]]
id = "qwen-local"
tokenizer = "llama"
[[model.card]]
effective_from = 2026-01-01
rates = { input_per_mtok = "0", output_per_mtok = "0" }
"""

CONTRACT = """
provider = "openai"
[[model]]
id = "gpt-4o"
[[model.card]]
effective_from = 2026-01-01
effective_until = 2026-07-01
rates = { input_per_mtok = "2", output_per_mtok = "8" }
source = "contract 17"
"""


def test_a_model_of_ones_own_has_an_explicit_price_of_nothing(tmp_path: Path) -> None:
    catalog = _own(tmp_path, OWN_PROVIDER)

    assert Decimal(0) == _cost(catalog, "qwen-local", "2026-02-01")
    assert catalog.resolve("home/qwen-local").provider == "homelab"
    assert "homelab" in catalog.providers
    assert tuple(facts.model for facts in catalog.models("homelab")) == ("qwen-local",)


def test_a_contracted_price_wins_while_it_lasts(tmp_path: Path) -> None:
    catalog = _own(tmp_path, CONTRACT)

    prices = [_cost(catalog, "gpt-4o", day) for day in ("2025-12-31", "2026-01-01", "2026-06-30", "2026-07-01")]

    assert [Decimal("2.5"), Decimal(2), Decimal(2), Decimal("2.5")] == prices
    assert catalog.card(model="gpt-4o", at=_day("2026-02-01")).source == ("contract 17",)


def test_a_contracted_model_keeps_the_facts_and_rules_that_it_does_not_state(tmp_path: Path) -> None:
    catalog = _own(tmp_path, CONTRACT)

    assert catalog.resolve("gpt-4o").encoding == "o200k_base"
    cost = evaluate(catalog, Usage(output_tokens=10, reasoning_tokens=10), model="gpt-4o", at=_day("2026-02-01"))
    assert cost.lines[0].priced_as == Meter.OUTPUT


def test_the_packaged_catalog_is_untouched_by_own_tables(tmp_path: Path) -> None:
    _own(tmp_path, CONTRACT)

    assert Decimal("2.5") == _cost(CATALOG, "gpt-4o", "2026-02-01")


def test_a_later_file_wins_over_an_earlier_one(tmp_path: Path) -> None:
    paths = [tmp_path / "a.toml", tmp_path / "b.toml"]
    paths[0].write_text(CONTRACT, encoding="utf-8")
    paths[1].write_text(CONTRACT.replace('"2"', '"1"'), encoding="utf-8")

    assert Decimal(1) == _cost(CATALOG.with_files(paths), "gpt-4o", "2026-02-01")


def test_a_gap_between_cards_has_no_price(tmp_path: Path) -> None:
    catalog = _own(tmp_path, CONTRACT.replace("openai", "acme").replace("gpt-4o", "rocket"))

    with pytest.raises(PriceUnknown, match=r"'rocket' of acme at 2026-07-01T00:00:00Z; cards begin on 2026-01-01"):
        catalog.card(model="rocket", at=_day("2026-07-01"))


def test_a_name_that_two_providers_sell_wants_a_provider(tmp_path: Path) -> None:
    catalog = _own(tmp_path, OWN_PROVIDER.replace("qwen-local", "llama-3.3-70b-versatile"))

    with pytest.raises(PriceUnknown, match=r"is sold by groq, homelab at their own prices; say which") as caught:
        catalog.resolve("llama-3.3-70b-versatile")

    assert caught.value.nearest == ("groq/llama-3.3-70b-versatile", "homelab/llama-3.3-70b-versatile")
    assert catalog.resolve("llama-3.3-70b-versatile", provider="groq").provider == "groq"


def test_a_name_of_the_family_decides_between_two_sellers() -> None:
    assert CATALOG.resolve("claude-opus-4-5").provider == "anthropic"


def test_many_names_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tokencalc.pricing.catalog.MOST_NAMES", 3)
    monkeypatch.setattr("tokencalc.pricing.search.MOST_NAMES", 3)
    catalog = CATALOG.with_files([])

    for number in range(1, 9):
        catalog.timeline(f"claude-opus-5-2026010{number}")
        catalog.resolve(f"claude-opus-5-2026010{number}")
        with pytest.raises(PriceUnknown, match="no price is known"):
            catalog.timeline(f"nothing-{number}")

    assert len(catalog._timelines) <= 3
    assert len(catalog._search._unknown) <= 3


def test_a_model_is_listed_once() -> None:
    listed = [(facts.provider, facts.model) for facts in Catalog.packaged().models()]
    assert len(listed) == len(set(listed))
