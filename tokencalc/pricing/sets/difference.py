"""What a public set says otherwise than a table of ours, and what it has that the table lacks."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from tokencalc.pricing.build import ProviderTable
from tokencalc.pricing.names import forms
from tokencalc.pricing.schema import instant_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_TOKEN_RATES = ("input_per_mtok", "output_per_mtok")
_LIMITS = ("context_window_tokens", "output_limit_tokens")


class PriceSet(NamedTuple):
    """A public set: its name and version as sources say it, its day, and its models by ``provider/model``."""

    name: str
    day: date
    models: Mapping[str, Mapping[str, Any]]


class Difference(NamedTuple):
    """One rate or fact on which a set and our table disagree; None where one side has none."""

    model: str
    day: date
    key: str
    ours: str | None
    theirs: str | None
    because: str | None


def differences(provider: str, raw: Mapping[str, Any], price_set: PriceSet) -> Iterator[Difference]:
    """Yield where our table and a set disagree, for the models that both have."""
    table = ProviderTable(raw)
    by_id = {model["id"]: model for model in raw["model"]}
    for name, theirs in models_of(provider, price_set):
        if known_as(table, name) is None:
            continue
        for index, card in enumerate(theirs["card"]):
            following = theirs["card"][index + 1]["effective_from"] if index + 1 < len(theirs["card"]) else None
            day = following - timedelta(days=1) if following else max(price_set.day, card["effective_from"] or date.min)
            model = by_id[known_as(table, name, day) or ""]
            ours = _card_on(model, day)
            if ours is not None:
                shared = {**table.priced_as, **ours.get("priced_as", {})}
                yield from (
                    item
                    for item in _card_differences(name, day, ours, card)
                    if not _comes_to_the_same(item, ours, shared)
                )


def _comes_to_the_same(item: Difference, ours: Mapping[str, Any], priced_as: Mapping[str, str]) -> bool:
    """Tell whether our table gives a rate that it does not list: as another meter's, or as the one below a tier."""
    prices = dict(_flat(ours, item.day))
    meter, _, rest = item.key.partition("_per_")
    plain = item.key.partition(" over ")[0]
    return item.ours is None and item.theirs in {prices.get(f"{priced_as.get(meter)}_per_{rest}"), prices.get(plain)}


def known_as(table: ProviderTable, name: str, day: date = date.max) -> str | None:
    """Return our model of that name; a moving alias means what it meant on that day."""
    if name in table.moving:
        targets = [item for item in table.moving[name] if instant_of(item["effective_from"]).date() <= day]
        return str((targets or table.moving[name])[-1]["model"])
    for form in forms(name):
        if form.name in table.names and (not form.dated or table.takes_dates(table.names[form.name])):
            return table.names[form.name]
    return None


def models_of(provider: str, price_set: PriceSet) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the set's models of one provider, by their names in lower case."""
    for key, model in price_set.models.items():
        owner, _, name = key.partition("/")
        if owner == provider:
            yield name.lower(), model


def _card_on(model: Mapping[str, Any], day: date) -> Mapping[str, Any] | None:
    found = None
    for card in model["card"]:
        if instant_of(card["effective_from"]).date() <= day:
            found = card
    return found


def _card_differences(name: str, day: date, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[Difference]:
    left, right = dict(_flat(ours, day)), dict(_flat(theirs, day))
    because = ours.get("differs_because")
    for key in sorted(set(left) | set(right)):
        if left.get(key) != right.get(key):
            yield Difference(name, day, key, left.get(key), right.get(key), because)


def _flat(card: Mapping[str, Any], day: date) -> Iterator[tuple[str, str]]:
    """Yield every price of a card on a day under a name of its own."""
    yield from card["rates"].items()
    for tier in card.get("tiers", ()):
        yield from ((f"{key} over {_size(tier)}", price) for key, price in tier["rates"].items())
    for variant in card.get("variants", ()):
        start, end = variant.get("effective_from"), variant.get("effective_until")
        if (start is None or instant_of(start).date() <= day) and (end is None or day < instant_of(end).date()):
            says = ",".join(f"{key}={value}" for key, value in variant["when"].items())
            for key, price in _flat(_with_unchanged(card, variant), day):
                yield f"{key} {says}", price


def _with_unchanged(card: Mapping[str, Any], variant: Mapping[str, Any]) -> dict[str, Any]:
    """Return a variant's list with the ordinary rates that it keeps written out."""
    kept = variant.get("unchanged", ())
    rates = {key: price for key, price in card["rates"].items() if key.rpartition("_per_")[0] in kept}
    tiers = {_size(tier): dict(tier["rates"]) for tier in variant.get("tiers", ())}
    for tier in card.get("tiers", ()):
        same = {key: price for key, price in tier["rates"].items() if key.rpartition("_per_")[0] in kept}
        if same:
            tiers[_size(tier)] = tiers.get(_size(tier), {}) | same
    listed = [{"over_input_tokens": size, "rates": prices} for size, prices in sorted(tiers.items())]
    return {"rates": rates | variant["rates"], "tiers": listed}


def _size(tier: Mapping[str, Any]) -> int:
    return int(tier.get("over_input_tokens") or tier["from_input_tokens"] - 1)


def new_model(name: str, theirs: Mapping[str, Any], limits: Mapping[str, Any], price_set: PriceSet) -> dict[str, Any]:
    """Return a set's model as an entry of ours, its unknown dates marked as such."""
    known = {key: limits.get(key) or theirs.get(key) for key in _LIMITS}
    entry: dict[str, Any] = {"id": name}
    entry["aliases"] = [alias for alias in theirs.get("aliases", ()) if alias == alias.lower()]
    entry["dated"] = bool(theirs.get("dated"))
    entry |= {key: value for key, value in known.items() if value}
    entry["mode"] = limits.get("mode") or theirs.get("mode") or "text"
    entry["card"] = [new_card(card, price_set) for card in theirs["card"]]
    return entry


def new_card(theirs: Mapping[str, Any], price_set: PriceSet) -> dict[str, Any]:
    """Return a set's card as a card of ours; a missing start becomes the set's day, marked as not known."""
    card: dict[str, Any] = {"effective_from": theirs["effective_from"] or price_set.day}
    if theirs["effective_from"] is None:
        card["effective_from_known"] = False
    card |= {key: theirs[key] for key in ("rates", "tiers", "variants", "multipliers") if theirs.get(key)}
    return card | {"source": [price_set.name], "checked_on": price_set.day}


def is_for_us(model: Mapping[str, Any]) -> bool:
    """Tell whether a model is priced in meters that we have, under a name that can be one."""
    rates = model["card"][-1]["rates"]
    return any(key in rates for key in _TOKEN_RATES) and ":" not in model["id"].removeprefix("ft:")


def append_new(provider: str, raw: dict[str, Any], price_set: PriceSet) -> list[str]:
    """Append models and cards that are new, and say which."""
    table = ProviderTable(raw)
    by_id = {model["id"]: model for model in raw["model"]}
    told = []
    for name, theirs in models_of(provider, price_set):
        if known_as(table, name) is None and is_for_us(theirs):
            entry = new_model(name, theirs, {}, price_set)
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
