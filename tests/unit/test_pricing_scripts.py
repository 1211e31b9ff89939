"""The import script: facts out of the public sets without running them, a diff, and appending only."""

from __future__ import annotations

import json
import tomllib
import zipfile
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from tokencalc.money import decimal_from
from tokencalc.pricing.dump import dump_table
from tokencalc.pricing.schema import TableChecker
from tokencalc.pricing.sets import PriceSet, append_new, differences, genai_facts, litellm_facts
from tokencalc.pricing.sets.common import price_text

if TYPE_CHECKING:
    from pathlib import Path

# The shape of the set's module, with prices of our own making.
DATA_PY = """
from .types import *
providers: list[Provider] = [
    Provider(id='other', models=[]),
    Provider(id='openai', models=[
        ModelInfo(
            id='gpt-x',
            match=ClauseOr(or_=[ClauseEquals(equals='gpt-x'), ClauseEquals(equals='gpt-x-mini'),
                                ClauseRegex(regex='^gpt-x-\\\\d{4}-\\\\d{2}-\\\\d{2}$')]),
            context_window=1000,
            prices=[
                ConditionalPrice(prices=ModelPrice(input_mtok=Decimal('4'), output_mtok=Decimal('8'))),
                ConditionalPrice(
                    constraint=StartDateConstraint(start_date=datetime.date(2026, 5, 1)),
                    prices=ModelPrice(
                        input_mtok=TieredPrices(base=Decimal('2'), tiers=[Tier(start=100, price=Decimal('3'))]),
                        cache_write_mtok=Decimal('2.5'), output_mtok=Decimal('6'), audio_hours=Decimal('1'),
                        web_searches_kcount=Decimal('10.00')),
                ),
            ],
            price_variants=[
                PriceVariant(when={'service_tier': 'default'}, prices=ModelPrice()),
                PriceVariant(when={'processing': 'batch'}, prices=ModelPrice(input_mtok=Decimal('1')),
                             constraint=StartDateConstraint(start_date=datetime.date(2026, 6, 1))),
            ],
        ),
        ModelInfo(id='speaker', match=ClauseStartsWith(starts_with='speaker-'),
                  prices=ModelPrice(input_mchars=Decimal('15'))),
    ]),
]
"""

LITELLM: dict[str, Any] = {
    "sample_spec": {"input_cost_per_token": 0},
    "gpt-x": {
        "litellm_provider": "openai",
        "mode": "chat",
        "max_input_tokens": 900,
        "max_output_tokens": 100,
        "input_cost_per_token": 2e-06,
        "output_cost_per_token": 7e-06,
        "input_cost_per_token_above_200k_tokens": 3e-06,
        "output_cost_per_token_above_200k_tokens": 1.05e-05,
        "input_cost_per_token_flex": 1e-06,
        "output_cost_per_token_flex": 3.5e-06,
        "regional_processing_uplift_multiplier_eu": 1.1,
        "search_context_cost_per_query": {"search_context_size_medium": 0.01},
    },
    "gemini/gemini-x": {"litellm_provider": "gemini", "mode": "embedding", "input_cost_per_token": 1.5e-07},
}

OURS = """
provider = "openai"
[[model]]
id = "gpt-x"
[[model.card]]
effective_from = 2026-01-01
rates = { input_per_mtok = "4", output_per_mtok = "9" }
source = ["https://example.com"]
checked_on = 2026-01-02
"""


@pytest.fixture
def genai(tmp_path: Path) -> dict[str, dict[str, Any]]:
    path = tmp_path / "data.py"
    path.write_text(DATA_PY, encoding="utf-8")
    return genai_facts(path)


@pytest.fixture
def litellm(tmp_path: Path) -> dict[str, dict[str, Any]]:
    path = tmp_path / "litellm.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("litellm/model_prices_and_context_window_backup.json", json.dumps(LITELLM))
    return litellm_facts(path)


def test_genai_prices_is_read_as_dated_cards(genai: dict[str, dict[str, Any]]) -> None:
    model = genai["openai/gpt-x"]
    first, second = model["card"]

    assert (model["aliases"], model["dated"], model["context_window_tokens"]) == (["gpt-x-mini"], True, 1000)
    assert first["rates"] == {"input_per_mtok": "4", "output_per_mtok": "8"}
    assert (None, date(2026, 5, 1)) == (first["effective_from"], second["effective_from"])
    assert second["rates"] == {
        "input_per_mtok": "2",
        "cache_write_30m_per_mtok": "2.5",
        "output_per_mtok": "6",
        "input_audio_second_per_hour": "1",
        "web_search_per_kcall": "10",
    }
    assert [tier["over_input_tokens"] for tier in second["tiers"]] == [100]
    assert second["tiers"][0]["rates"]["output_per_mtok"] == "6"


def test_a_variants_day_of_check_is_no_known_start(genai: dict[str, dict[str, Any]]) -> None:
    first, second = genai["openai/gpt-x"]["card"]

    assert first["variants"] == []
    (batch,) = second["variants"]
    assert (batch["when"], batch["rates"]) == ({"processing": "batch"}, {"input_per_mtok": "1"})
    assert (date(2026, 6, 1), False) == (batch["effective_from"], batch["effective_from_known"])
    assert batch["unchanged"] == ["cache_write_30m", "input_audio_second", "output", "web_search"]


def test_litellm_is_read_from_its_wheel(litellm: dict[str, dict[str, Any]]) -> None:
    model = litellm["openai/gpt-x"]
    (card,) = model["card"]

    assert (model["context_window_tokens"], model["output_limit_tokens"], model["mode"]) == (900, 100, "text")
    assert card["rates"] == {"input_per_mtok": "2", "output_per_mtok": "7", "web_search_per_kcall": "10"}
    assert [(tier["over_input_tokens"], tier["rates"]) for tier in card["tiers"]] == [
        (200_000, {"input_per_mtok": "3", "output_per_mtok": "10.5"})
    ]
    assert [(v["when"], v["unchanged"]) for v in card["variants"]] == [({"service_tier": "flex"}, ["web_search"])]
    assert card["multipliers"] == [{"when": {"region": "eu"}, "factor": "1.1", "meters": "tokens"}]
    assert (
        litellm["google/gemini-x"]["mode"],
        litellm["google/gemini-x"]["card"][0]["rates"],
    ) == ("embedding", {"input_per_mtok": "0.15"})


@pytest.mark.parametrize(
    ("expected", "price"), [("10", "10.00"), ("0.1", "1e-1"), ("100", "1E+2"), ("0", "0.0"), ("0.054", "5.4e-2")]
)
def test_a_price_is_written_plainly(expected: str, price: str) -> None:
    assert expected == price_text(decimal_from(price, name="price"))


def test_the_diff_names_both_values(genai: dict[str, dict[str, Any]]) -> None:
    found = list(differences("openai", tomllib.loads(OURS), PriceSet("set 1", date(2026, 11, 1), genai)))

    launch = [(item.key, item.ours, item.theirs) for item in found if item.day == date(2026, 4, 30)]
    assert launch == [("output_per_mtok", "9", "8")]
    assert ("input_per_mtok", "4", "2") in [(item.key, item.ours, item.theirs) for item in found]
    assert {None} == {item.because for item in found}


def test_a_difference_that_is_kept_on_purpose_carries_its_reason(genai: dict[str, dict[str, Any]]) -> None:
    raw = tomllib.loads(OURS + 'differs_because = "we asked them"\n')

    found = list(differences("openai", raw, PriceSet("set 1", date(2026, 11, 1), genai)))

    assert {"we asked them"} == {item.because for item in found}


def test_a_reason_about_one_set_excuses_no_difference_from_another(genai: dict[str, dict[str, Any]]) -> None:
    raw = tomllib.loads(OURS + 'differs_because = "litellm rounds it"\n')

    found = list(differences("openai", raw, PriceSet("genai-prices 1", date(2026, 11, 1), genai)))

    assert {item.because for item in found} == {None}


def test_appending_adds_cards_and_never_edits_one(genai: dict[str, dict[str, Any]]) -> None:
    raw = tomllib.loads(OURS)
    price_set = PriceSet("set 1", date(2026, 11, 1), genai)

    told = append_new("openai", raw, price_set)

    assert told == ["gpt-x: new card from 2026-05-01", "speaker: new model"]
    assert tomllib.loads(OURS)["model"][0]["card"][0] == raw["model"][0]["card"][0]
    assert raw["model"][0]["card"][1]["source"] == ["set 1"]
    assert append_new("openai", raw, price_set) == []


def test_a_new_model_comes_with_its_unknown_day_marked(genai: dict[str, dict[str, Any]]) -> None:
    raw: dict[str, Any] = {"provider": "openai", "model": []}

    told = append_new("openai", raw, PriceSet("set 1", date(2026, 11, 1), {"openai/gpt-x": genai["openai/gpt-x"]}))

    assert told == ["gpt-x: new model"]
    assert False is raw["model"][0]["card"][0]["effective_from_known"]


def test_a_written_table_reads_back_the_same() -> None:
    raw = tomllib.loads(
        OURS
        + 'note = "\\"quoted\\" and 100 %"\n'
        + 'tiers = [{ over_input_tokens = 5, rates = { input_per_mtok = "5", output_per_mtok = "9" } }]\n'
        + 'variants = [{ when = { processing = "batch" }, rates = {}, unchanged = ["input"] }]\n'
        + '[priced_as]\nreasoning = "output"\n'
        + '[[alias]]\nname = "x-latest"\ntarget = [{ model = "gpt-x", effective_from = 2026-01-01 }]\n'
    )

    text = dump_table(raw, "# head")

    assert text.startswith("# head\nprovider")
    assert raw == tomllib.loads(text)
    TableChecker("written", packaged=True).table(tomllib.loads(text))
