"""Facts of the two public price sets, in the shape of our own tables.

Neither set is imported or run: genai-prices' data module is read as a syntax
tree of constructor calls, litellm's data is JSON. Both may be given as the wheel
file or as the one file inside it.
"""

from __future__ import annotations

import ast
import json
import re
import zipfile
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PROVIDERS = {"anthropic": "anthropic", "google": "gemini", "groq": "groq", "mistral": "mistral", "openai": "openai"}
"""Our providers, with the name that litellm gives each."""

# Meters of genai-prices that we have, by our key; cache writes depend on the provider and are added below.
_GENAI_KEYS = {
    "input_mtok": "input_per_mtok",
    "cache_read_mtok": "cache_read_per_mtok",
    "cache_write_1h_mtok": "cache_write_1h_per_mtok",
    "output_mtok": "output_per_mtok",
    "input_audio_mtok": "input_audio_per_mtok",
    "cache_audio_read_mtok": "cache_read_audio_per_mtok",
    "output_audio_mtok": "output_audio_per_mtok",
    "input_image_mtok": "input_image_per_mtok",
    "cache_image_read_mtok": "cache_read_image_per_mtok",
    "output_image_mtok": "output_image_per_mtok",
    "input_video_mtok": "input_video_per_mtok",
    "web_searches_kcount": "web_search_per_kcall",
    "storage_searches_kcount": "file_search_per_kcall",
}
_LITELLM_KEYS = {
    "input_cost_per_token": "input_per_mtok",
    "cache_read_input_token_cost": "cache_read_per_mtok",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h_per_mtok",
    "cache_creation_input_token_cost_above_12hr": "cache_write_12h_per_mtok",
    "output_cost_per_token": "output_per_mtok",
    "input_cost_per_audio_token": "input_audio_per_mtok",
    "cache_read_input_audio_token_cost": "cache_read_audio_per_mtok",
    "output_cost_per_audio_token": "output_audio_per_mtok",
    "input_cost_per_image_token": "input_image_per_mtok",
    "cache_read_input_image_token_cost": "cache_read_image_per_mtok",
    "output_cost_per_image_token": "output_image_per_mtok",
    "input_cost_per_video_token": "input_video_per_mtok",
}
_LITELLM_VARIANTS = {
    "batches": {"processing": "batch"},
    "flex": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"},
    "ultrafast": {"service_tier": "ultrafast"},
}
_LITELLM_KEY = re.compile(
    r"^(?P<base>.*?)(?:_above_(?P<size>\d+)k_tokens)?(?:_(?P<variant>batches|flex|priority|ultrafast))?$"
)
# The write whose lifetime the sets leave unsaid is the provider's shortest.
_SHORTEST_WRITE = {"openai": "cache_write_30m_per_mtok"}
_MODES = {"chat": "text", "responses": "text", "completion": "text", "embedding": "embedding"}

Tiered = dict[str, tuple[Decimal, dict[int, Decimal]]]
"""By rate key: the base price, and the prices above a number of input tokens."""


def price_text(price: Decimal) -> str:
    """Return a price as the tables write it: plain decimal text without trailing zeros."""
    return format(price.normalize(), "f")


def genai_facts(path: Path) -> dict[str, dict[str, Any]]:
    """Return genai-prices' models of our providers, by ``provider/model``."""
    tree = ast.parse(_text(path, "genai_prices/data.py"))
    found: dict[str, dict[str, Any]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _name(node.func) == "Provider":
            provider = {word.arg: word.value for word in node.keywords}
            owner = ast.literal_eval(provider["id"])
            if owner in PROVIDERS:
                for item in ast.literal_eval(_plain(provider["models"])):
                    found[f"{owner}/{item['id']}"] = _genai_model(owner, item)
    return found


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


class _Plain(ast.NodeTransformer):
    """Turns constructor calls into literals: dictionaries with their class under ``is``, decimals and dates as text."""

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        kind = _name(node.func)
        if kind == "Decimal":
            return node.args[0]
        if kind in {"date", "time"}:
            parts = [ast.literal_eval(arg) for arg in node.args]
            return ast.Constant("-".join(f"{part:02d}" for part in parts))
        keys: list[ast.expr | None] = [ast.Constant("is"), *(ast.Constant(word.arg) for word in node.keywords)]
        return ast.Dict(keys=keys, values=[ast.Constant(kind), *(word.value for word in node.keywords)])


def _plain(node: ast.expr) -> ast.expr:
    plain = _Plain().visit(node)
    assert isinstance(plain, ast.expr)  # noqa: S101  # for the type checker; the transformer returns expressions
    return plain


def _genai_model(provider: str, raw: Mapping[str, Any]) -> dict[str, Any]:
    prices = raw["prices"]
    dated = prices if isinstance(prices, list) else [{"constraint": None, "prices": prices}]
    starts = [_start(item.get("constraint")) for item in dated]
    cards = []
    for index, item in enumerate(dated):
        following = starts[index + 1] if index + 1 < len(dated) else None
        base = _genai_prices(provider, item["prices"])
        card = {"effective_from": starts[index], **_rates_and_tiers(base)}
        card["variants"] = _genai_variants(provider, raw.get("price_variants") or [], base, starts[index], following)
        cards.append(card)
    names, takes_dates = _clauses(raw["match"])
    return {
        "id": raw["id"],
        "aliases": sorted(names - {raw["id"]}),
        "dated": takes_dates,
        "context_window_tokens": raw.get("context_window"),
        "comment": raw.get("price_comments"),
        "card": cards,
    }


def _start(constraint: Mapping[str, Any] | None) -> date | None:
    return date.fromisoformat(constraint["start_date"]) if constraint and "start_date" in constraint else None


def _genai_prices(provider: str, raw: Mapping[str, Any]) -> Tiered:
    keys = _GENAI_KEYS | {"cache_write_mtok": _SHORTEST_WRITE.get(provider, "cache_write_5m_per_mtok")}
    prices: Tiered = {}
    for key, value in raw.items():
        if key not in keys or value is None:
            continue
        if isinstance(value, dict):
            tiers = {tier["start"]: Decimal(tier["price"]) for tier in value["tiers"]}
            prices[keys[key]] = (Decimal(value["base"]), tiers)
        else:
            prices[keys[key]] = (Decimal(value), {})
    return prices


def _rates_and_tiers(prices: Tiered) -> dict[str, Any]:
    sizes = sorted({size for _, tiers in prices.values() for size in tiers})
    tiers = [
        {
            "over_input_tokens": size,
            "rates": {
                key: price_text(steps.get(size, base)) for key, (base, steps) in prices.items() if key.endswith("_mtok")
            },
        }
        for size in sizes
    ]
    return {"rates": {key: price_text(base) for key, (base, _) in prices.items()}, "tiers": tiers}


def _genai_variants(
    provider: str, raw: list[Mapping[str, Any]], base: Tiered, since: date | None, until: date | None
) -> list[dict[str, Any]]:
    """Cut the set's variants to a card's interval; a key that a variant leaves out keeps the ordinary rate."""
    found = []
    for when in ({"processing": "batch"}, *({"service_tier": t} for t in ("flex", "priority")), {"speed": "fast"}):
        same = [item for item in raw if item["when"] == when]
        starts = sorted({max(_start(item.get("constraint")) or date.min, since or date.min) for item in same})
        starts = [start for start in starts if until is None or start < until]
        for index, start in enumerate(starts):
            prices: Tiered = {}
            for item in same:
                if (_start(item.get("constraint")) or date.min) <= start:
                    prices = _genai_prices(provider, item["prices"]) | prices
            variant: dict[str, Any] = {"when": when, **_rates_and_tiers(prices)}
            variant["unchanged"] = sorted(key.rpartition("_per_")[0] for key in base if key not in prices)
            if start > (since or date.min):
                variant |= {"effective_from": start, "effective_from_known": False}
            if index + 1 < len(starts):
                variant["effective_until"] = starts[index + 1]
            found.append(variant)
    return found


def _clauses(clause: Mapping[str, Any]) -> tuple[set[str], bool]:
    """Return the literal names of a match clause, and whether it takes dates behind them."""
    kind = clause["is"]
    if kind in {"ClauseOr", "ClauseAnd"}:
        parts = [_clauses(item) for item in clause["or_" if kind == "ClauseOr" else "and_"]]
        return {name for names, _ in parts for name in names}, any(dated for _, dated in parts)
    (value,) = (value for key, value in clause.items() if key != "is")
    if kind == "ClauseEquals":
        return {value}, False
    if kind == "ClauseRegex":
        return set(), r"\d{8}" in value or r"\d{4}" in value
    return ({value} if value[-1].isalnum() else set()), True


def litellm_facts(path: Path) -> dict[str, dict[str, Any]]:
    """Return litellm's models of our providers, by ``provider/model``; one card each, without a date."""
    raw = json.loads(_text(path, "litellm/model_prices_and_context_window_backup.json"), parse_float=Decimal)
    owners = {theirs: ours for ours, theirs in PROVIDERS.items()} | {"text-completion-openai": "openai"}
    found = {}
    for name, entry in raw.items():
        provider = owners.get(entry.get("litellm_provider"))
        if provider is not None:
            model = name.removeprefix(f"{PROVIDERS[provider]}/")
            found[f"{provider}/{model}"] = _litellm_model(provider, model, entry)
    return found


def _litellm_model(provider: str, model: str, raw: Mapping[str, Any]) -> dict[str, Any]:
    keys = _LITELLM_KEYS | {"cache_creation_input_token_cost": _SHORTEST_WRITE.get(provider, "cache_write_5m_per_mtok")}
    lists: dict[str | None, Tiered] = {}
    for key, value in raw.items():
        match = _LITELLM_KEY.match(key)
        if match is None or match["base"] not in keys or not isinstance(value, int | Decimal):
            continue
        prices = lists.setdefault(match["variant"], {})
        ours, price = keys[match["base"]], Decimal(value) * 10**6
        below, tiers = prices.get(ours, (Decimal(0), {}))
        if match["size"]:
            prices[ours] = (below, tiers | {int(match["size"]) * 1000: price})
        else:
            prices[ours] = (price, tiers)
    base = lists.get(None, {})
    if raw.get("mode") == "embedding":
        for prices in lists.values():
            prices.pop("output_per_mtok", None)
    search = raw.get("search_context_cost_per_query", {}).get("search_context_size_medium")
    if search is not None:
        base["web_search_per_kcall"] = (Decimal(search) * 1000, {})
    card = {"effective_from": None, **_rates_and_tiers(base)}
    card["variants"] = [
        {
            "when": when,
            **_rates_and_tiers(lists[suffix]),
            "unchanged": sorted(key.rpartition("_per_")[0] for key in base if key.endswith("_kcall")),
        }
        for suffix, when in _LITELLM_VARIANTS.items()
        if suffix in lists and not {"input_per_mtok", "output_per_mtok"} & set(base) - set(lists[suffix])
    ]
    card["multipliers"] = _multipliers(raw)
    return {
        "id": model,
        "context_window_tokens": raw.get("max_input_tokens"),
        "output_limit_tokens": raw.get("max_output_tokens"),
        "mode": _MODES.get(raw.get("mode", ""), "other"),
        "source": raw.get("source"),
        "card": [card],
    }


def _multipliers(raw: Mapping[str, Any]) -> list[dict[str, Any]]:
    factors = {"us": (raw.get("provider_specific_entry") or {}).get("us")}
    for region in ("eu", "us"):
        factors[region] = raw.get(f"regional_processing_uplift_multiplier_{region}") or factors.get(region)
    return [
        {"when": {"region": region}, "factor": price_text(Decimal(factor)), "meters": "tokens"}
        for region, factor in sorted(factors.items())
        if factor is not None
    ]


def _text(path: Path, member: str) -> str:
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            return wheel.read(member).decode("utf-8")
    return path.read_text(encoding="utf-8")
