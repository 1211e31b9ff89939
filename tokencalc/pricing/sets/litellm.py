"""Facts of litellm's table of models, which is JSON; nothing of it is imported or run."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tokencalc.pricing.sets.common import PROVIDERS, SHORTEST_WRITE, Tiered, data_text, price_text, rates_and_tiers

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

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
_MODES = {"chat": "text", "responses": "text", "completion": "text", "embedding": "embedding"}


def litellm_facts(path: Path) -> dict[str, dict[str, Any]]:
    """Return litellm's models of our providers, by ``provider/model``; one card each, without a date."""
    raw = json.loads(data_text(path, "litellm/model_prices_and_context_window_backup.json"), parse_float=Decimal)
    owners = {theirs: ours for ours, theirs in PROVIDERS.items()} | {"text-completion-openai": "openai"}
    found = {}
    for name, entry in raw.items():
        provider = owners.get(entry.get("litellm_provider"))
        if provider is not None:
            model = name.removeprefix(f"{PROVIDERS[provider]}/")
            found[f"{provider}/{model}"] = _litellm_model(provider, model, entry)
    return found


def _litellm_model(provider: str, model: str, raw: Mapping[str, Any]) -> dict[str, Any]:
    keys = _LITELLM_KEYS | {"cache_creation_input_token_cost": SHORTEST_WRITE.get(provider, "cache_write_5m_per_mtok")}
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
    card = {"effective_from": None, **rates_and_tiers(base)}
    card["variants"] = [
        {
            "when": when,
            **rates_and_tiers(lists[suffix]),
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
