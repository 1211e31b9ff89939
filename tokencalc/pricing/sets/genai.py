"""Facts of genai-prices, read from its data module as a syntax tree: nothing of it is imported or run."""

from __future__ import annotations

import ast
import re
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tokencalc.pricing.sets.common import Tiered, data_text, rates_and_tiers, unsaid_write

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PROVIDER_IDS = {"aws": "bedrock", "moonshotai": "moonshot", "voyageai": "voyage", "x-ai": "xai"}
"""Our ids of the providers that the set calls otherwise."""

# Meters of genai-prices that we have, by our key; cache writes depend on the provider and are added below.
_KEYS = {
    "input_mtok": "input_per_mtok",
    "cache_read_mtok": "cache_read_per_mtok",
    "cache_write_5m_mtok": "cache_write_5m_per_mtok",
    "cache_write_1h_mtok": "cache_write_1h_per_mtok",
    "output_mtok": "output_per_mtok",
    "output_reasoning_mtok": "reasoning_per_mtok",
    "output_citation_mtok": "citation_per_mtok",
    "input_audio_mtok": "input_audio_per_mtok",
    "cache_audio_read_mtok": "cache_read_audio_per_mtok",
    "output_audio_mtok": "output_audio_per_mtok",
    "input_image_mtok": "input_image_per_mtok",
    "cache_image_read_mtok": "cache_read_image_per_mtok",
    "output_image_mtok": "output_image_per_mtok",
    "input_video_mtok": "input_video_per_mtok",
    "output_video_mtok": "output_video_per_mtok",
    "audio_hours": "input_audio_second_per_hour",
    "input_audio_hours": "input_audio_second_per_hour",
    "input_mchars": "input_character_per_mcharacter",
    "input_document_kpages": "input_page_per_kpage",
    "input_annotated_document_kpages": "annotated_page_per_kpage",
    "requests_kcount": "request_per_kcall",
    "web_searches_kcount": "web_search_per_kcall",
    "storage_searches_kcount": "file_search_per_kcall",
    "social_searches_kcount": "social_search_per_kcall",
    "code_executions_kcount": "code_execution_per_kcall",
}
_CONDITIONS: tuple[dict[str, str], ...] = (
    {"processing": "batch"},
    {"service_tier": "flex"},
    {"service_tier": "priority"},
    {"speed": "fast"},
)
# Their voice sessions are billed by the time they are connected, which is neither input nor output.
_SESSIONS = frozenset({"elevenlabs", "xai"})
# Other words for an ordinary call, or for a tier that is listed as well.
_SAID_OTHERWISE: tuple[dict[str, str], ...] = ({"service_tier": "default"}, {"service_tier": "fast"})


def genai_facts(path: Path) -> dict[str, dict[str, Any]]:
    """Return genai-prices' models by ``provider/model``, with our ids of the providers.

    What has no meter of ours is in a model's ``left_out``, with the reason.
    """
    tree = ast.parse(data_text(path, "genai_prices/data.py"))
    found: dict[str, dict[str, Any]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _name(node.func) == "Provider":
            provider = {word.arg: word.value for word in node.keywords}
            theirs = ast.literal_eval(provider["id"])
            owner = PROVIDER_IDS.get(theirs, theirs)
            for item in ast.literal_eval(_plain(provider["models"])):
                found[f"{owner}/{item['id'].lower()}"] = _model(owner, item)
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


def _model(provider: str, raw: Mapping[str, Any]) -> dict[str, Any]:
    prices = raw["prices"]
    listed = prices if isinstance(prices, list) else [{"constraint": None, "prices": prices}]
    by_hour = [item for item in listed if (item.get("constraint") or {}).get("is") == "TimeOfDateConstraint"]
    dated = [item for item in listed if item not in by_hour]
    starts = [_start(item.get("constraint")) for item in dated]
    left_out: set[str] = set()
    cards = []
    for index, item in enumerate(dated):
        following = starts[index + 1] if index + 1 < len(dated) else None
        base = _prices(provider, item.get("prices", {}), left_out)
        card = {"effective_from": starts[index], **rates_and_tiers(base)}
        card["variants"] = _variants(provider, raw.get("price_variants") or [], base, starts[index], following)
        cards.append(card)
    for item in by_hour:
        cards[-1]["variants"].append(_at_hours(provider, item, _prices(provider, dated[-1]["prices"], set())))
    for item in raw.get("price_variants") or ():
        if item["when"] not in (*_CONDITIONS, *_SAID_OTHERWISE):
            left_out.add(f"{' '.join(item['when'])}: a condition that we do not have")
    names, takes_dates = _clauses(raw["match"])
    return {
        "id": raw["id"].lower(),
        "aliases": sorted({name.lower() for name in names} - {raw["id"].lower()}),
        "dated": takes_dates,
        "context_window_tokens": raw.get("context_window"),
        "comment": raw.get("price_comments"),
        "match": raw["match"],
        "left_out": sorted(left_out),
        "card": cards,
    }


def matches(clause: Mapping[str, Any], name: str) -> bool:
    """Tell whether a match clause of the set takes a name, as the set itself would."""
    kind = clause["is"]
    if kind == "ClauseOr":
        return any(matches(item, name) for item in clause["or_"])
    if kind == "ClauseAnd":
        return all(matches(item, name) for item in clause["and_"])
    (value,) = (value for key, value in clause.items() if key != "is")
    if kind == "ClauseRegex":
        return re.search(value, name) is not None
    value = value.lower()
    if kind == "ClauseEquals":
        return bool(name == value)
    if kind == "ClauseStartsWith":
        return name.startswith(value)
    return name.endswith(value) if kind == "ClauseEndsWith" else value in name


def _hour(parts: str) -> str:
    hour, _, rest = parts.partition("-")
    return f"{hour}:{rest[:2] or '00'}"


def _at_hours(provider: str, item: Mapping[str, Any], base: Tiered) -> dict[str, Any]:
    start, end = (_hour(item["constraint"][key]) for key in ("start_time", "end_time"))
    prices = _prices(provider, item["prices"], set())
    unchanged = sorted(key.rpartition("_per_")[0] for key in base if key not in prices)
    return {"during": {"hours": [f"{start}-{end}"]}, **rates_and_tiers(prices), "unchanged": unchanged}


def _start(constraint: Mapping[str, Any] | None) -> date | None:
    return date.fromisoformat(constraint["start_date"]) if constraint and "start_date" in constraint else None


def _prices(provider: str, raw: Mapping[str, Any], left_out: set[str]) -> Tiered:
    keys = _KEYS | {"cache_write_mtok": unsaid_write(provider)}
    if provider in _SESSIONS:
        del keys["audio_hours"]
    prices: Tiered = {}
    for key, value in raw.items():
        if key == "is" or value is None:
            continue
        if key not in keys:
            left_out.add(f"{key}: we have no meter for it")
        elif isinstance(value, dict):
            tiers = {tier["start"]: Decimal(tier["price"]) for tier in value["tiers"]}
            prices[keys[key]] = (Decimal(value["base"]), tiers)
        else:
            prices[keys[key]] = (Decimal(value), {})
    return prices


def _variants(
    provider: str, raw: list[Mapping[str, Any]], base: Tiered, since: date | None, until: date | None
) -> list[dict[str, Any]]:
    """Cut the set's variants to a card's interval; a key that a variant leaves out keeps the ordinary rate."""
    found = []
    for when in _CONDITIONS:
        same = [item for item in raw if item["when"] == when]
        starts = sorted({max(_start(item.get("constraint")) or date.min, since or date.min) for item in same})
        starts = [start for start in starts if until is None or start < until]
        for index, start in enumerate(starts):
            prices: Tiered = {}
            for item in same:
                if (_start(item.get("constraint")) or date.min) <= start:
                    prices = _prices(provider, item["prices"], set()) | prices
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
        dated = any(dates for _, dates in parts)
        # Names that must hold together are parts of names.
        return {name for names, _ in parts for name in names} if kind == "ClauseOr" else set(), dated
    (value,) = (value for key, value in clause.items() if key != "is")
    if kind == "ClauseEquals":
        return {value}, False
    if kind == "ClauseRegex":
        return set(), r"\d{8}" in value or r"\d{4}" in value
    return ({value} if value[-1].isalnum() else set()), kind in {"ClauseStartsWith", "ClauseContains"}
