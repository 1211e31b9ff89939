"""What a public set has that a table lacks, in the form of the table: new models, and cards for dated changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tokencalc.pricing.build import ProviderTable
from tokencalc.pricing.sets.difference import is_for_us, known_as, models_of
from tokencalc.pricing.units import instant_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokencalc.pricing.sets.difference import PriceSet

_LIMITS = ("context_window_tokens", "output_limit_tokens")


def new_model(name: str, theirs: Mapping[str, Any], price_set: PriceSet) -> dict[str, Any]:
    """Return a set's model as an entry of ours, its unknown dates marked as such."""
    entry: dict[str, Any] = {"id": name}
    entry["aliases"] = [alias for alias in theirs.get("aliases", ()) if alias == alias.lower()]
    entry["dated"] = bool(theirs.get("dated"))
    entry |= {key: theirs[key] for key in _LIMITS if theirs.get(key)}
    entry["mode"] = theirs.get("mode") or "text"
    entry["card"] = [new_card(card, price_set) for card in theirs["card"]]
    return entry


def new_card(theirs: Mapping[str, Any], price_set: PriceSet) -> dict[str, Any]:
    """Return a set's card as a card of ours; a missing start becomes the set's day, marked as not known."""
    card: dict[str, Any] = {"effective_from": theirs["effective_from"] or price_set.day}
    if theirs["effective_from"] is None:
        card["effective_from_known"] = False
    card |= {key: theirs[key] for key in ("rates", "tiers", "variants", "multipliers") if theirs.get(key)}
    return card | {"source": [price_set.name], "checked_on": price_set.day}


def append_new(provider: str, raw: dict[str, Any], price_set: PriceSet) -> list[str]:
    """Append models and cards that are new, never editing one, and say which."""
    table = ProviderTable(raw)
    by_id = {model["id"]: model for model in raw["model"]}
    told = []
    for name, theirs in models_of(provider, price_set):
        if known_as(table, name) is None and is_for_us(theirs):
            entry = new_model(name, theirs, price_set)
            entry["aliases"] = [alias for alias in entry["aliases"] if alias not in table.names]
            raw["model"].append(entry)
            told.append(f"{name}: new model")
        elif name in table.names:
            model = by_id[table.names[name]]
            last = instant_of(model["card"][-1]["effective_from"]).date()
            for card in theirs["card"]:
                if card["effective_from"] and card["effective_from"] > last:
                    model["card"].append(new_card(card, price_set))
                    told.append(f"{name}: new card from {card['effective_from']}")
    return told
