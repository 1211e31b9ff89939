"""Write pricing/imported/*.toml: every provider of the public price sets whose table people do not keep.

    python -m scripts.import_sets --genai genai_prices-0.2.3-py3-none-any.whl
        --litellm litellm-1.109.1-...whl [--to pricing/imported]

Get the sets as scripts/import_prices.py says. genai-prices is taken where it has a
model (dates, history, decimals), litellm adds limits, missing rates and models. What the sets do not know
(other names of a provider, whose a bare name is, days of launch, cards that people
wrote) is in scripts/import_rules.toml. Nothing is dropped in silence: what no meter or
condition of ours can say is counted at the end, with the reason. The same sets and
rules give the same files.
"""

from __future__ import annotations

import argparse
import tomllib
from collections import Counter, defaultdict
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.compile_prices import EDITED, ROOT
from scripts.import_days import Days
from scripts.import_merge import Merge
from tokencalc.pricing.bounds import faults
from tokencalc.pricing.build import ProviderTable
from tokencalc.pricing.dump import dump_table
from tokencalc.pricing.loader import read_toml
from tokencalc.pricing.schema import TableChecker
from tokencalc.pricing.sets import PriceSet, genai_facts, litellm_facts
from tokencalc.pricing.sets.common import CURATED

if TYPE_CHECKING:
    from collections.abc import Mapping

RULES = ROOT / "scripts" / "import_rules.toml"
# Local models and subscriptions: their zeros and entries without a price are no price list.
_NO_SELLERS = frozenset({"ollama", "lemonade", "chatgpt", "sample_spec", "huggingface", "microsoft_365_copilot"})
_HEAD = """# Prices of {name}, taken over from {sets}.
# Written by scripts/import_sets.py, which says how; please do not edit: scripts/import_rules.toml is for people."""


def tables(
    first: PriceSet, second: PriceSet, rules: Mapping[str, Any], curated: list[dict[str, Any]]
) -> tuple[dict[str, str], Counter[str]]:
    """Return the text of each imported table by file name, and the count of what was left out by reason."""
    days = Days(curated, rules.get("launch", {}), [*_names_in(first), *_names_in(second)])
    ours, theirs = _by_provider(first), _by_provider(second)
    texts, left_out = {}, Counter[str]()
    for provider in sorted({*ours, *theirs} - CURATED - _NO_SELLERS):
        said = rules.get("provider", {}).get(provider, {})
        merge = Merge(
            provider,
            first,
            second,
            days,
            days_are_of_checks=said.get("days_are_of_checks", False),
            request_is_for=said.get("request_is_for"),
        )
        merge.reviewed([model for model in rules.get("reviewed", ()) if model["provider"] == provider])
        merge.from_first(ours.get(provider, {}).values())
        kept = _kept(said.get("besides"), curated)
        merge.from_second({name: model for name, model in theirs.get(provider, {}).items() if name not in kept})
        merge.more([model for model in rules.get("more", ()) if model["provider"] == provider])
        merge.earlier([model for model in rules.get("earlier", ()) if model["provider"] == provider])
        left_out.update(merge.left_out)
        if not merge.models:
            left_out["a provider without any price"] += 1
            continue
        raw = _table(provider, merge.models, rules, first)
        implausible = [model for model in raw["model"] if _is_implausible(raw, model)]
        left_out += Counter({"a price that cannot be right in its unit": len(implausible)})
        raw["model"] = [model for model in raw["model"] if model not in implausible]
        TableChecker(f"{provider}.toml", packaged=True).table(raw)
        sets = f"{first.name} and {second.name}"
        texts[f"{provider}.toml"] = dump_table(raw, _HEAD.format(name=raw["name"], sets=sets))
    return texts, left_out


def _is_implausible(raw: Mapping[str, Any], model: Mapping[str, Any]) -> bool:
    """Tell whether a price is far outside what its meter costs anywhere: a price a step, say, listed as one a token."""
    cards = ProviderTable({**raw, "model": [model]}).cards(model["id"])
    return any(True for card in cards for _ in faults(card))


def _kept(provider: str | None, curated: list[dict[str, Any]]) -> set[str]:
    return {name for raw in curated if raw["provider"] == provider for name in ProviderTable(raw).names}


def _names_in(price_set: PriceSet) -> list[str]:
    return [name for model in price_set.models.values() for name in (model["id"], *model.get("aliases", ()))]


def _by_provider(price_set: PriceSet) -> dict[str, dict[str, Mapping[str, Any]]]:
    found: dict[str, dict[str, Mapping[str, Any]]] = defaultdict(dict)
    for key, model in price_set.models.items():
        provider, _, name = key.partition("/")
        found[provider.replace("_", "-") if provider.startswith("huggingface") else provider][name] = model
    return found


def _table(
    provider: str, models: list[dict[str, Any]], rules: Mapping[str, Any], price_set: PriceSet
) -> dict[str, Any]:
    said = rules.get("provider", {}).get(provider, {})
    default = rules.get("default", {})
    raw: dict[str, Any] = {"provider": provider, "name": said.get("name", provider)}
    raw |= {key: said[key] for key in ("note", "aliases", "families") if key in said}
    raw |= {"imported": price_set.name, "checked_on": price_set.day}
    raw |= {key: said.get(key, default.get(key, {})) for key in ("standard", "priced_as")}
    raw["model"] = [_plain(model) for model in models]
    return raw


def _plain(model: Mapping[str, Any]) -> dict[str, Any]:
    """Return a model in one order of keys, without what says nothing."""
    keys = ("id", "aliases", "dated", "context_window_tokens", "output_limit_tokens", "mode")
    found = {key: model[key] for key in keys if model.get(key)}
    found["aliases"] = sorted(found.get("aliases", ()))
    if found.get("mode") == "text":
        del found["mode"]
    return found | {"card": model["card"]}


def main() -> int:
    """Write the tables, and say what could not be taken over."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--genai", type=Path, required=True, help="genai-prices: its wheel, or data.py from it")
    parser.add_argument("--genai-name", default="genai-prices 0.2.3", help="what the cards call it")
    parser.add_argument("--genai-day", type=date.fromisoformat, default=date(2026, 11, 9), help="the newest day in it")
    parser.add_argument("--litellm", type=Path, required=True, help="litellm: its wheel, or the JSON of prices from it")
    parser.add_argument("--litellm-name", default="litellm 1.109.1", help="what the cards call it")
    parser.add_argument(
        "--litellm-day", type=date.fromisoformat, default=date(2026, 10, 26), help="the newest day in it"
    )
    parser.add_argument("--to", type=Path, default=EDITED / "imported", help="the folder to write to")
    arguments = parser.parse_args()
    first = PriceSet(arguments.genai_name, arguments.genai_day, genai_facts(arguments.genai))
    second = PriceSet(arguments.litellm_name, arguments.litellm_day, litellm_facts(arguments.litellm))
    curated = [read_toml(path) for path in sorted(EDITED.glob("*.toml"))]
    texts, left_out = tables(first, second, tomllib.loads(RULES.read_text(encoding="utf-8")), curated)
    arguments.to.mkdir(exist_ok=True)
    for path in arguments.to.glob("*.toml"):
        if path.name not in texts:
            path.unlink()
    for name, text in texts.items():
        (arguments.to / name).write_text(text, encoding="utf-8")
    print(f"{len(texts)} tables in {arguments.to}")
    for reason, count in left_out.most_common():
        print(f"  left out {count:5}  {reason}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
