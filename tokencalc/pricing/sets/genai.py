"""Facts of genai-prices, read from its data module as a syntax tree: nothing of it is imported or run."""

from __future__ import annotations

import ast
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tokencalc.pricing.sets.common import PROVIDERS, SHORTEST_WRITE, Tiered, data_text, rates_and_tiers

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

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


def genai_facts(path: Path) -> dict[str, dict[str, Any]]:
    """Return genai-prices' models of our providers, by ``provider/model``."""
    tree = ast.parse(data_text(path, "genai_prices/data.py"))
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
        card = {"effective_from": starts[index], **rates_and_tiers(base)}
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
    keys = _GENAI_KEYS | {"cache_write_mtok": SHORTEST_WRITE.get(provider, "cache_write_5m_per_mtok")}
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
            variant: dict[str, Any] = {"when": when, **rates_and_tiers(prices)}
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
