"""What a public set says otherwise than a table of ours: rate by rate, on the days on which the set has a card."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

from tokencalc.pricing.build import ProviderTable
from tokencalc.pricing.names import forms
from tokencalc.pricing.units import instant_of, units_of
from tokencalc.usage import TOKEN_METERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_ROUNDED = "the set keeps a price for a smaller unit, which was rounded on the way"
_ROUNDED_BY = Fraction(1, 1000)
_SETS = ("genai-prices", "litellm")


class PriceSet(NamedTuple):
    """A public set: its name and version as sources say it, its day, and its models by ``provider/model``."""

    name: str
    day: date
    models: Mapping[str, Mapping[str, Any]]


class Difference(NamedTuple):
    """One rate on which a set and our table disagree; None where one side has none.

    ``because`` is the reason for which ours is kept; None where nobody has decided yet.
    """

    model: str
    day: date
    key: str
    ours: str | None
    theirs: str | None
    because: str | None


class Comparison(NamedTuple):
    """One provider's table beside a set: agreements, differences, rates that only ours has, names that only theirs has.

    A difference has both values; a rate that the set lacks is only counted, because no set has them all.
    """

    provider: str
    agreements: int
    differences: tuple[Difference, ...]
    only_ours: int
    not_ours: tuple[str, ...]


class _Price(NamedTuple):
    text: str
    unit: str
    a_piece: Fraction


def compare(provider: str, raw: Mapping[str, Any], price_set: PriceSet) -> Comparison:
    """Compare one provider's table, as it was written, with a set."""
    table = ProviderTable(raw)
    names = [name for name, _ in models_of(provider, price_set)]
    pairs = list(_pairs(provider, raw, price_set))
    found = [item for _, items in pairs for item in items]
    differing = tuple(item for item in found if item.theirs is not None)
    return Comparison(
        provider=provider,
        agreements=sum(count for count, _ in pairs),
        differences=differing,
        only_ours=len(found) - len(differing),
        not_ours=tuple(name for name in names if known_as(table, name) is None),
    )


def differences(provider: str, raw: Mapping[str, Any], price_set: PriceSet) -> Iterator[Difference]:
    """Yield where our table and a set disagree, for the models that both have; a rate that one side lacks too."""
    for _, items in _pairs(provider, raw, price_set):
        yield from items


def _pairs(provider: str, raw: Mapping[str, Any], price_set: PriceSet) -> Iterator[tuple[int, list[Difference]]]:
    """Yield for each card of the set how many rates agree with ours, and which do not."""
    table = ProviderTable(raw)
    by_id = {model["id"]: model for model in raw["model"]}
    for name, theirs in models_of(provider, price_set):
        if known_as(table, name) is None:
            continue
        for index, card in enumerate(theirs["card"]):
            following = theirs["card"][index + 1]["effective_from"] if index + 1 < len(theirs["card"]) else None
            day = following - timedelta(days=1) if following else max(price_set.day, card["effective_from"] or date.min)
            ours = _card_on(by_id[known_as(table, name, day) or ""], day)
            if ours is not None:
                shared = {**table.priced_as, **ours.get("priced_as", {})}
                because = _reason(ours.get("differs_because"), price_set.name)
                yield _card_differences((name, day, because), ours, card, shared)


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


def _reason(because: str | None, price_set: str) -> str | None:
    """Return a card's reason to differ where it is about this set; a reason names the set, or it is about all."""
    named = [name for name in _SETS if because is not None and name in because]
    return because if not named or price_set.partition(" ")[0] in named else None


def _card_differences(
    about: tuple[str, date, str | None],
    ours: Mapping[str, Any],
    theirs: Mapping[str, Any],
    priced_as: Mapping[str, str],
) -> tuple[int, list[Difference]]:
    name, day, because = about
    left, right = dict(_flat(ours, day)), dict(_flat(theirs, day))
    agreements, found = 0, []
    for meter in sorted(set(left) | set(right)):
        mine, other = left.get(meter), right.get(meter)
        if other is not None and _agree(meter, mine, other, left, priced_as):
            agreements += 1
        else:
            why = because or (_ROUNDED if _is_rounded(mine, other) else None)
            found.append(Difference(name, day, *_told(meter, mine, other), why))
    return agreements, found


def _agree(
    name: str, mine: _Price | None, other: _Price, ours: Mapping[str, _Price], priced_as: Mapping[str, str]
) -> bool:
    """Tell whether our rate is theirs; one that we do not list may be another meter's, or the one below a tier."""
    if mine is not None:
        return mine.a_piece == other.a_piece
    meter, _, rest = name.partition(" ")
    borrowed = f"{priced_as.get(meter)} {rest}".rstrip()
    plain = name.partition(" over ")[0]
    return any(known in ours and ours[known].a_piece == other.a_piece for known in (borrowed, plain))


def _is_rounded(ours: _Price | None, theirs: _Price | None) -> bool:
    if ours is None or theirs is None or ours.unit == theirs.unit or not ours.a_piece:
        return False
    return abs(theirs.a_piece - ours.a_piece) <= ours.a_piece * _ROUNDED_BY


def _told(name: str, ours: _Price | None, theirs: _Price | None) -> tuple[str, str | None, str | None]:
    """Return a rate's key and both prices; the units go to the prices where they differ."""
    meter, _, rest = name.partition(" ")
    units = {price.unit for price in (ours, theirs) if price is not None}
    if len(units) > 1:
        told = [f"{price.text} per {price.unit}" for price in (ours, theirs) if price is not None]
        return name, told[0], told[-1]
    key = f"{meter}_per_{units.pop()} {rest}".rstrip()
    return key, ours and ours.text, theirs and theirs.text


def _flat(card: Mapping[str, Any], day: date) -> Iterator[tuple[str, _Price]]:
    """Yield every price of a card on a day under a name of its own: the meter, and when it applies."""
    for key, text in card["rates"].items():
        meter, _, unit = key.rpartition("_per_")
        yield meter, _Price(text, unit, Fraction(Decimal(text)) / units_of(meter)[unit])
    for tier in card.get("tiers", ()):
        yield from ((f"{name} over {_size(tier)}", price) for name, price in _flat({"rates": tier["rates"]}, day))
    for variant in card.get("variants", ()):
        start, end = variant.get("effective_from"), variant.get("effective_until")
        if (start is None or instant_of(start).date() <= day) and (end is None or day < instant_of(end).date()):
            says = _says(variant)
            yield from ((f"{name} {says}", price) for name, price in _flat(_with_unchanged(card, variant), day))


def _says(variant: Mapping[str, Any]) -> str:
    said = [f"{key}={value}" for key, value in variant.get("when", {}).items()]
    if "during" in variant:
        said.append(f"hours={' '.join(variant['during'].get('hours', ()))}")
    return ",".join(said)


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


def is_for_us(model: Mapping[str, Any]) -> bool:
    """Tell whether a model is priced in tokens or another meter of ours, under a name that can be one."""
    rates = model["card"][-1]["rates"]
    return any(key.rpartition("_per_")[0] not in TOKEN_METERS or "put_per_" in key for key in rates) and not (
        ":" in model["id"].removeprefix("ft:") or "-x-" in model["id"]
    )
