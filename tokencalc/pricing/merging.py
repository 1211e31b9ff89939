"""Cards for an update: what a public set says, laid over what applies, and appended to the accepted tables.

A set lists fewer meters than we do. What it does not list keeps its price, with a
note that says so: an update must not make a cache write unpriced.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from tokencalc.pricing.units import instant_of
from tokencalc.usage import TOKEN_METERS

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_KEPT = ("multipliers", "priced_as", "minimums")


def merged(ours: Mapping[str, Any], theirs: Mapping[str, Any], at: datetime) -> dict[str, Any]:
    """Return a set's card with all that only our card has; conditions are those of an instant."""
    rates = _over(ours["rates"], theirs["rates"])
    card = {**theirs, "rates": rates}
    card["tiers"] = _tiers(ours.get("tiers", ()), theirs.get("tiers", ()), rates)
    variants = {_key(item): dict(item) for item in ours.get("variants", ()) if lasts(item, at)}
    for item in theirs.get("variants", ()):
        if lasts(item, at):
            below = variants.get(_key(item), {"rates": {}})
            variants[_key(item)] = _variant(below, item, rates)
    card["variants"] = [from_now(item, at) for item in variants.values()]
    return card | {key: ours[key] for key in _KEPT if ours.get(key)}


def _over(below: Mapping[str, str], top: Mapping[str, str]) -> dict[str, str]:
    """Lay rates over others, meter by meter: a meter may be sold in another unit now."""
    listed = {_meter(key) for key in top}
    return {key: price for key, price in below.items() if _meter(key) not in listed} | dict(top)


def _meter(key: str) -> str:
    return key.rpartition("_per_")[0]


def _tiers(
    ours: Collection[Mapping[str, Any]], theirs: Collection[Mapping[str, Any]], rates: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return the set's tiers, or ours where it has none; each lists all token meters, as a tier must."""
    by_size = {_size(tier): tier["rates"] for tier in ours}
    base = {key: price for key, price in rates.items() if _meter(key) in TOKEN_METERS}
    return [
        {**tier, "rates": _over(_over(base, by_size.get(_size(tier), {})), tier["rates"])} for tier in theirs or ours
    ]


def _size(tier: Mapping[str, Any]) -> int:
    return int(tier["over_input_tokens"]) + 1 if "over_input_tokens" in tier else int(tier["from_input_tokens"])


def _variant(below: Mapping[str, Any], top: Mapping[str, Any], base: Mapping[str, str]) -> dict[str, Any]:
    rates = _over(below["rates"], top["rates"])
    listed = {_meter(key) for key in rates}
    unchanged = {*below.get("unchanged", ()), *top.get("unchanged", ())} - listed
    tiers = _tiers(below.get("tiers", ()), top.get("tiers", ()), rates)
    kept = {_meter(key) for key in base}
    return {**below, **top, "rates": rates, "tiers": tiers, "unchanged": sorted(unchanged & kept)}


def _key(variant: Mapping[str, Any]) -> str:
    return f"{sorted(variant.get('when', {}).items())} {variant.get('during')}"


def lasts(variant: Mapping[str, Any], at: datetime) -> bool:
    """Tell whether a variant, as written, goes on after an instant."""
    end = variant.get("effective_until")
    return end is None or instant_of(end) > at


def from_now(variant: Mapping[str, Any], at: datetime) -> dict[str, Any]:
    """Let a variant that has begun hold from the card's own start on; one that is announced keeps its day."""
    start = variant.get("effective_from")
    if start is not None and instant_of(start) > at:
        return dict(variant)
    return {key: value for key, value in variant.items() if key not in {"effective_from", "effective_from_known"}}


def start_of(
    stated: date | datetime, known: object, *, after: datetime | None, now: datetime, taken: Collection[datetime]
) -> tuple[date | datetime, bool]:
    """Return from when a new card applies, and whether the provider named that day.

    A stated start counts where it is known and later than the card that it replaces;
    else the card begins today, because history stays. Where a card begins then already,
    it is a second later.
    """
    if after is None:
        start, is_known = instant_of(stated), known is not False
    elif known is not False and instant_of(stated) > after:
        start, is_known = instant_of(stated), True
    else:
        start, is_known = max(datetime.combine(now.date(), time.min, tzinfo=UTC), after), False
    while start in taken:
        start += timedelta(seconds=1)
    return (start.date() if start.time() == time.min else start), is_known
