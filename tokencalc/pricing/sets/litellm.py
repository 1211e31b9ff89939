"""Facts of litellm's table of models, which is JSON; nothing of it is imported or run."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tokencalc.pricing.sets.common import CURATED, data_text, price_text, rates_and_tiers, unsaid_write
from tokencalc.pricing.sets.litellm_keys import OF_MODE, RATES, SIZED, UNMETERED, VARIANTS, rate_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tokencalc.pricing.sets.common import Tiered

PROVIDER_IDS = {
    "azure_ai": "azure", "azure_text": "azure", "bedrock_converse": "bedrock", "bedrock_mantle": "bedrock",
    "bigmodel": "zhipuai", "cohere_chat": "cohere", "fireworks_ai": "fireworks",
    "fireworks_ai-embedding-models": "fireworks", "gemini": "google", "github_copilot": "github-copilot",
    "meta_llama": "meta-llama-api", "text-completion-codestral": "codestral", "text-completion-inception": "inception",
    "text-completion-openai": "openai", "together_ai": "together",
}  # fmt: skip
"""Our ids of the providers that the set calls otherwise; every ``vertex_ai...`` is ``vertex``."""

_KEY = re.compile(
    r"^(?P<base>.*?)(?:_above_(?P<size>\d+)k_tokens)?(?:_(?P<variant>batches|flex|priority|ultrafast|decisions|balanced))?$"
)
_MODES = {"chat": "text", "responses": "text", "completion": "text", "embedding": "embedding"}
_AT_LEAST = frozenset({"xai"})
_PRICE = re.compile(r"cost|price|multiplier")
_CONTEXT_SIZES = ("low", "medium", "high")


def litellm_facts(path: Path) -> dict[str, dict[str, Any]]:
    """Return litellm's models by ``provider/model``, with our ids of the providers; one card each, without a date.

    What has no meter of ours is in a model's ``left_out``, with the reason.
    """
    raw = json.loads(data_text(path, "litellm/model_prices_and_context_window_backup.json"), parse_float=Decimal)
    found: dict[str, dict[str, Any]] = {}
    for name, entry in raw.items():
        theirs = entry.get("litellm_provider") or ""
        provider = "vertex" if theirs.startswith("vertex_ai") else PROVIDER_IDS.get(theirs, theirs)
        if not provider or " " in provider:
            continue
        model = _without_provider(name.lower(), {theirs.lower(), provider, theirs.partition("-")[0]})
        # A name that is listed with and without its provider is one model; the plain entry is older.
        if f"{provider}/{model}" not in found or name.lower() != model:
            found[f"{provider}/{model}"] = _model(provider, model, entry)
    return found


def _without_provider(name: str, heads: set[str]) -> str:
    head, slash, tail = name.partition("/")
    return tail if slash and head in heads else name


def _model(provider: str, model: str, raw: Mapping[str, Any]) -> dict[str, Any]:
    left_out: set[str] = set()
    lists = _lists(provider, raw, left_out)
    base = lists.pop(None, {})
    if raw.get("mode") in {"embedding", "rerank"}:
        for prices in (base, *lists.values()):
            prices.pop("output_per_mtok", None)
    _drop_estimates(base, left_out)
    if raw.get("mode") == "image_generation" and base and set(base) <= {"input_per_mtok", "output_per_mtok"}:
        base.clear()
        left_out.add("a price a token of a model that draws: what it counts is not said")
    by_search = _by_search_size(provider, raw, base)
    variants = [*_by_condition(base, lists, left_out), *by_search, *_by_size(raw, base)]
    card = {"effective_from": None, **rates_and_tiers(base), "variants": variants}
    card["multipliers"] = _multipliers(raw)
    for tier in card["tiers"]:
        if provider in _AT_LEAST and "over_input_tokens" in tier:
            tier["from_input_tokens"] = tier.pop("over_input_tokens")
    return {
        "id": model,
        "context_window_tokens": raw.get("max_input_tokens"),
        "output_limit_tokens": raw.get("max_output_tokens"),
        "mode": _MODES.get(raw.get("mode", ""), "other"),
        "source": raw.get("source"),
        "left_out": sorted(left_out),
        "card": [card],
    }


def _lists(provider: str, raw: Mapping[str, Any], left_out: set[str]) -> dict[str | None, Tiered]:
    """Return the prices below each condition: None for the ordinary ones."""
    keys = RATES | {"cache_creation_input_token_cost": (unsaid_write(provider), 10**6)}
    keys |= OF_MODE.get(raw.get("mode", ""), {})
    lists: dict[str | None, Tiered] = {}
    for key, value in raw.items():
        if not _PRICE.search(key) or not isinstance(value, int | Decimal):
            continue
        match = _KEY.match(key)
        parts = match.groupdict() if match else {"base": key, "size": None, "variant": None}
        if parts["base"] not in keys:
            if value and parts["base"] not in UNMETERED and not SIZED.fullmatch(key):
                left_out.add(f"{parts['base']}: we have no meter for it")
            continue
        ours, price = rate_of(keys[parts["base"]], Decimal(value))
        prices = lists.setdefault(parts["variant"], {})
        below, tiers = prices.get(ours, (Decimal(0), {}))
        if parts["size"]:
            prices[ours] = (below, tiers | {int(parts["size"]) * 1000: price})
        else:
            prices.setdefault(ours, (price, tiers))
            prices[ours] = (price, prices[ours][1])
    _drop_zeros(lists, raw.get("mode", ""), left_out, keep_tokens=provider in CURATED)
    return lists


def _drop_zeros(lists: dict[str | None, Tiered], mode: str, left_out: set[str], *, keep_tokens: bool) -> None:
    """Take a zero for unknown: the set has no other word for it, and what is free is free by name or nature."""
    for prices in lists.values():
        for key in [key for key, (price, _) in prices.items() if not price]:
            if keep_tokens and key.endswith("_mtok"):
                continue
            if key == "output_per_mtok" and mode in {"decisions", "moderation"}:
                continue
            del prices[key]
            if mode in {"chat", "responses", "completion"} and key in {"input_per_mtok", "output_per_mtok"}:
                left_out.add(f"{key} of 0: unknown or free, the set does not say which")


def _drop_estimates(base: Tiered, left_out: set[str]) -> None:
    """Drop a price a second or an image where the same is priced in tokens: providers state it as an estimate."""
    for meter in ("input_audio", "input_video", "output_audio", "output_image"):
        if f"{meter}_per_mtok" in base:
            for key in [key for key in base if key.startswith((f"{meter}_second_per_", f"{meter}_piece_per_"))]:
                del base[key]
                left_out.add(f"{key.rpartition('_per_')[0]}: an estimate beside the price of its tokens")
    if "output_per_mtok" in base and "input_image_piece_per_piece" in base:
        del base["input_image_piece_per_piece"]
        left_out.add("input_image_piece: an estimate beside the price of its tokens")


def _by_condition(base: Tiered, lists: Mapping[str | None, Tiered], left_out: set[str]) -> list[dict[str, Any]]:
    found = []
    for suffix, prices in lists.items():
        when = VARIANTS.get(suffix or "")
        if when is None:
            left_out.add(f"{suffix}: a condition that we do not have")
        elif not {"input_per_mtok", "output_per_mtok"} & set(base) - set(prices):
            kept = sorted(key.rpartition("_per_")[0] for key in base if key.endswith("_kcall") and key not in prices)
            found.append({"when": when, **rates_and_tiers(prices), "unchanged": kept})
    return sorted(found, key=lambda variant: list(VARIANTS.values()).index(variant["when"]))


def _by_search_size(provider: str, raw: Mapping[str, Any], base: Tiered) -> list[dict[str, Any]]:
    """Read what a search costs by how much it brings in; the size that a provider takes unasked is the ordinary one."""
    sizes = raw.get("search_context_cost_per_query") or {}
    prices = {size: sizes.get(f"search_context_size_{size}") for size in _CONTEXT_SIZES}
    listed = {size: Decimal(price) * 1000 for size, price in prices.items() if price}
    if not listed:
        return []
    meter, ordinary = ("request", "low") if provider == "perplexity" else ("web_search", "medium")
    if len(set(listed.values())) == 1 and meter == "request":
        meter = "web_search"
    key = f"{meter}_per_kcall"
    base.setdefault(key, (listed.get(ordinary, next(iter(listed.values()))), {}))
    others = sorted(name.rpartition("_per_")[0] for name in base if name != key)
    return [
        {
            "when": {"search_context_size": size},
            "rates": {key: price_text(price)},
            "tiers": [],
            "unchanged": others,
        }
        for size, price in listed.items()
        if price != base[key][0]
    ]


def _by_size(raw: Mapping[str, Any], base: Tiered) -> list[dict[str, Any]]:
    """Read what a video or an image costs by how large it is."""
    found = []
    for name, value in raw.items():
        match = SIZED.fullmatch(name)
        if match and isinstance(value, int | Decimal) and value:
            is_video = match["video"] is not None
            key = "output_video_second_per_second" if is_video else "output_image_piece_per_piece"
            when = {"video_resolution" if is_video else "image_size": (match["video"] or match["image"]).lower()}
            kept = sorted(other.rpartition("_per_")[0] for other in base if other != key)
            found.append({"when": when, "rates": {key: price_text(Decimal(value))}, "tiers": [], "unchanged": kept})
    return found


def _multipliers(raw: Mapping[str, Any]) -> list[dict[str, Any]]:
    factors = {"us": (raw.get("provider_specific_entry") or {}).get("us")}
    for region in ("eu", "us"):
        factors[region] = raw.get(f"regional_processing_uplift_multiplier_{region}") or factors.get(region)
    factors["regional"] = raw.get("regional_endpoint_uplift_multiplier")
    return [
        {"when": {"region": region}, "factor": price_text(Decimal(factor)), "meters": "tokens"}
        for region, factor in sorted(factors.items())
        if factor is not None
    ]
