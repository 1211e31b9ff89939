"""The script that takes tables over from both public sets: which set wins, what begins when, the same each time."""

from __future__ import annotations

import tomllib
from datetime import date
from typing import Any

import pytest

from scripts.import_days import Days
from scripts.import_sets import RULES, tables
from tokencalc.pricing.sets import PriceSet

CURATED: list[dict[str, Any]] = [
    {
        "provider": "acme",
        "model": [
            {
                "id": "big-1",
                "dated": True,
                "card": [
                    {"effective_from": date(2025, 1, 1), "rates": {"input_per_mtok": "10", "output_per_mtok": "40"}},
                    {"effective_from": date(2025, 6, 1), "rates": {"input_per_mtok": "2", "output_per_mtok": "8"}},
                    {"effective_from": date(2025, 9, 1), "rates": {"input_per_mtok": "2", "output_per_mtok": "8"}},
                ],
            }
        ],
    }
]


def _model(name: str, rates: dict[str, str], start: date | None = None, **more: Any) -> dict[str, Any]:
    card: dict[str, Any] = {"effective_from": start, "rates": rates, "tiers": [], "variants": [], "multipliers": []}
    return {"id": name, "aliases": [], "mode": "text", "card": [card], **more}


def _asks(low: str, medium: str, high: str) -> dict[str, Any]:
    model = _model("asks", PLAIN | {"request_per_kcall": low})
    model["card"][0]["variants"] = [
        {"when": {"search_context_size": size}, "rates": {"request_per_kcall": fee}, "tiers": [], "unchanged": []}
        for size, fee in (("medium", medium), ("high", high))
    ]
    return model


PLAIN = {"input_per_mtok": "2", "output_per_mtok": "8"}
FIRST = PriceSet(
    "genai-prices 9.9",
    date(2026, 11, 1),
    {
        "router/acme/big-1": _model("acme/big-1", PLAIN, match={"is": "ClauseContains", "contains": "big-1"}),
        "router/acme/big-1:free": _model("acme/big-1:free", {}),
        "router/nothing": _model("nothing", {}, left_out=["odd: we have no meter for it"]),
        "router/told": _model("told", PLAIN, start=date(2026, 3, 3)),
        "router/written": _model("written", PLAIN),
        "asker/asks": _model("asks", PLAIN | {"request_per_kcall": "12"}),
        "openai/kept-by-people": _model("kept-by-people", PLAIN),
    },
)
SECOND = PriceSet(
    "litellm 9.9",
    date(2026, 10, 1),
    {
        "router/acme/big-1": _model(
            "acme/big-1", PLAIN | {"cache_read_per_mtok": "0.2"}, context_window_tokens=100, output_limit_tokens=10
        ),
        "router/x.big-1": _model("x.big-1", PLAIN),
        "router/y.big-1": _model("y.big-1", {"input_per_mtok": "9", "output_per_mtok": "9"}),
        "router/eu/acme/big-1": _model("eu/acme/big-1", {"input_per_mtok": "2", "output_per_mtok": "9"}),
        "router/slip": _model("slip", {"input_per_mtok": "3200"}),
        "router/told": _model("told", {"input_per_mtok": "7"}),
        "router/launched-2025-04-05": _model("launched-2025-04-05", {"input_per_mtok": "1"}),
        "asker/asks": _asks("5", "8", "11"),
        "ollama/local": _model("local", {"input_per_mtok": "1"}),
    },
)
WRITTEN: dict[str, Any] = {
    "default": {"standard": {"processing": ["sync"]}},
    "provider": {
        "router": {"name": "Router", "aliases": ["route-r"]},
        "asker": {"request_is_for": {"search_context_size": "high"}},
    },
    "reviewed": [
        {
            "provider": "router",
            "id": "written",
            "card": [{"effective_from": date(2024, 1, 1), "rates": {"input_per_mtok": "5"}, "source": ["people"]}],
        }
    ],
    "earlier": [
        {
            "provider": "router",
            "id": "told",
            "card": [{"effective_from": date(2026, 1, 1), "rates": {"input_per_mtok": "4"}, "source": ["a bill"]}],
        }
    ],
}
TEXTS, LEFT_OUT = tables(FIRST, SECOND, WRITTEN, CURATED)
TABLE = tomllib.loads(TEXTS["router.toml"])
MODELS = {model["id"]: model for model in TABLE["model"]}


def test_only_what_nobody_keeps_is_taken_over() -> None:
    assert list(TEXTS) == ["asker.toml", "router.toml"]
    assert ("Router", ["route-r"], "genai-prices 9.9", date(2026, 11, 1)) == (
        TABLE["name"],
        TABLE["aliases"],
        TABLE["imported"],
        TABLE["checked_on"],
    )


def test_the_second_set_adds_limits_rates_and_names_where_the_prices_agree() -> None:
    model = MODELS["acme/big-1"]

    assert (
        model["aliases"],
        model["context_window_tokens"],
        model["output_limit_tokens"],
    ) == (["x.big-1"], 100, 10)
    assert model["card"][0]["rates"] == PLAIN | {"cache_read_per_mtok": "0.2"}


def test_another_price_under_a_name_like_it_is_a_model_of_its_own() -> None:
    assert MODELS["y.big-1"]["card"][0]["rates"] == {"input_per_mtok": "9", "output_per_mtok": "9"}
    assert MODELS["y.big-1"]["card"][0]["imported"] == "litellm 9.9"


def test_a_region_in_front_of_a_name_is_a_condition() -> None:
    (variant,) = MODELS["acme/big-1"]["card"][0]["variants"]

    assert variant == {"when": {"region": "eu"}, "rates": {"output_per_mtok": "9"}, "unchanged": ["input"]}


def test_a_price_of_people_is_never_changed_by_a_set() -> None:
    (card,) = MODELS["written"]["card"]

    assert (card["rates"], card["imported"], card["source"]) == ({"input_per_mtok": "5"}, "", ["people"])
    assert [date(2026, 1, 1), date(2026, 3, 3)] == [card["effective_from"] for card in MODELS["told"]["card"]]


def test_a_fee_that_holds_for_one_size_is_no_ordinary_fee() -> None:
    (model,) = tomllib.loads(TEXTS["asker.toml"])["model"]
    (card,) = model["card"]
    fees = {
        variant["when"]["search_context_size"]: variant["rates"]["request_per_kcall"] for variant in card["variants"]
    }

    assert card["rates"] == PLAIN | {"request_per_kcall": "5"}
    assert fees == {"medium": "8", "high": "12"}


def test_what_is_free_is_free_by_name() -> None:
    assert MODELS["acme/big-1:free"]["card"][0]["rates"] == {"input_per_mtok": "0", "output_per_mtok": "0"}


@pytest.mark.parametrize(
    "reason",
    [
        "odd: we have no meter for it",
        "a model without any price",
        "a slip of the set: a thousand times what the like of it costs",
        "a price of litellm beside another one of genai-prices",
    ],
)
def test_what_is_left_out_is_counted_with_its_reason(reason: str) -> None:
    assert LEFT_OUT[reason] == 1


def test_a_rerun_on_the_same_sets_changes_nothing() -> None:
    assert tables(FIRST, SECOND, WRITTEN, CURATED) == (TEXTS, LEFT_OUT)


def _dated(name: str, *prices: tuple[date | None, dict[str, str]]) -> dict[str, Any]:
    cards = [_model(name, rates, start)["card"][0] for start, rates in prices]
    return _model(name, {}) | {"card": cards}


CHANGE = date(2026, 10, 19)
SEEN = PriceSet(
    "genai-prices 9.9",
    date(2026, 11, 1),
    {
        "seller/big-1": _dated("big-1", (None, {"input_per_mtok": "10", "output_per_mtok": "40"}), (CHANGE, PLAIN)),
        "seller/else": _dated("else", (None, {"input_per_mtok": "10"}), (CHANGE, {"input_per_mtok": "9"})),
    },
)


def test_a_day_of_a_check_is_no_start_and_an_older_price_holds_only_where_the_vendor_had_it() -> None:
    rules = {"provider": {"seller": {"days_are_of_checks": True}}}
    texts, left_out = tables(SEEN, SECOND._replace(models={}), rules, CURATED)

    models = {model["id"]: model["card"] for model in tomllib.loads(texts["seller.toml"])["model"]}

    assert [(date(2025, 1, 1), False), (date(2025, 6, 1), False)] == [
        (card["effective_from"], card["effective_from_known"]) for card in models["big-1"]
    ]
    assert models["big-1"][0]["effective_until"] == date(2025, 6, 1)
    assert [(card["effective_from"], card["effective_from_known"]) for card in models["else"]] == [(CHANGE, False)]
    assert left_out["an old price whose days nobody wrote down"] == 1


def test_a_regional_name_of_bedrock_goes_by_the_names_that_the_set_takes() -> None:
    match = {"is": "ClauseContains", "contains": "acme.small-2"}
    models = {
        "bedrock/global.acme.small-2": _model("global.acme.small-2", PLAIN, match=match | {"contains": "global.acme"}),
        "bedrock/regional.acme.small-2": _model("regional.acme.small-2", PLAIN, match=match),
    }

    texts, _ = tables(FIRST._replace(models=models), SECOND._replace(models={}), {}, CURATED)

    aliases = {model["id"]: model.get("aliases", []) for model in tomllib.loads(texts["bedrock.toml"])["model"]}
    assert {"acme.small-2", "us.acme.small-2", "eu.acme.small-2"} < set(aliases["regional.acme.small-2"])
    assert aliases["global.acme.small-2"] == []


def test_rates_that_neither_set_has_are_added_with_what_backs_them() -> None:
    more = {"provider": "router", "id": "told", "rates": {"request_per_kcall": "1"}, "note": "A bill said so."}

    texts, _ = tables(FIRST, SECOND, {"more": [more]}, CURATED)

    (card,) = next(model for model in tomllib.loads(texts["router.toml"])["model"] if model["id"] == "told")["card"]
    assert (card["rates"], card["note"]) == (PLAIN | {"request_per_kcall": "1"}, "A bill said so.")


DAYS = Days(CURATED, {"llama-9": date(2026, 2, 2), "llama-9.1": date(2026, 4, 4)}, ["z/glm-x-20260816", "glm-y"])


@pytest.mark.parametrize(
    ("day", "name", "rates"),
    [
        # The vendor's rates have been these since June; the card of September says nothing new.
        (date(2025, 6, 1), "seller/big-1", PLAIN),
        (date(2025, 6, 1), "us.acme.big-1-2025-01-01-v1:0", PLAIN),
        (date(2025, 1, 1), "big-1", {"input_per_mtok": "10", "output_per_mtok": "40"}),
        # A seller with its own margin: since the vendor's last change.
        (date(2025, 6, 1), "big-1", {"input_per_mtok": "2.2", "output_per_mtok": "8.8"}),
        (date(2025, 4, 5), "other-2025-04-05", {}),
        (date(2025, 11, 1), "other-2511", {}),
        (date(2026, 8, 16), "seller/glm-x", {}),
        (date(2026, 2, 2), "meta/llama-9-70b", {}),
        (date(2026, 4, 4), "llama-9.1-70b", {}),
        (None, "unheard-of", {}),
    ],
)
def test_a_card_begins_on_the_best_day_that_something_backs(day: date | None, name: str, rates: dict[str, str]) -> None:
    assert day == DAYS.first([name], {"rates": rates})


def test_the_rules_name_every_seller_once() -> None:
    rules = tomllib.loads(RULES.read_text(encoding="utf-8"))
    names = [name for said in rules["provider"].values() for name in said.get("aliases", ())]

    assert sorted(set(names)) == sorted(names)
    assert not set(names) & set(rules["provider"])
