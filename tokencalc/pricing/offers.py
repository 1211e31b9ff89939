"""What `prices update` is given: a table of our form, or the data of genai-prices, as tables to compare with.

The data of genai-prices is read, never imported: from the installed distribution, a
wheel, or the one file inside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tokencalc.errors import CallInvalid, PriceTableInvalid
from tokencalc.pricing.loader import read_toml
from tokencalc.pricing.merging import from_now, lasts
from tokencalc.pricing.review import review
from tokencalc.pricing.sets.appending import new_model
from tokencalc.pricing.sets.finding import price_set as price_set_of
from tokencalc.pricing.units import instant_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date
    from pathlib import Path

    from tokencalc.pricing.sets import PriceSet

GENAI = "genai-prices"
"""The name by which `prices update` takes the public set."""


class Offer(NamedTuple):
    """Tables that somebody offers: ``name`` says whose; ``file`` is the user's own, None for a public set.

    A set is ``partial``: a meter that it does not list keeps the price that applies.
    ``left_out`` names what was not taken, with the reason.
    """

    name: str
    file: Path | None
    partial: bool
    tables: tuple[dict[str, Any], ...]
    left_out: tuple[str, ...]


def offer_of_file(path: Path, *, provider: str | None, record: Mapping[str, str]) -> Offer:
    """Read a table of our form; PriceTableInvalid, with all that is wrong, where it fails the check."""
    _refuse_odd(path)
    raw = read_toml(path)
    errors = [item for item in review(raw, str(path), packaged=False, record=record) if item.severity == "error"]
    if errors:
        told = "; ".join(_told(item.message, item.path) for item in errors[:10])
        more = f"; and {len(errors) - 10} more" if len(errors) > 10 else ""  # noqa: PLR2004  # what fits on a screen
        raise PriceTableInvalid(
            f"{path}: the table fails the check, nothing was changed: {told}{more}",
            file=str(path),
            path=errors[0].path,
            found=None,
        )
    if raw.get("discount"):
        raise PriceTableInvalid(
            f"{path}: discount: a discount is no list price; name the file in the setting `prices` instead",
            file=str(path),
            path="discount",
            found=None,
        )
    if provider is not None and raw["provider"] != provider:
        raise CallInvalid(
            f"provider: the table is of {raw['provider']!r}, not of {provider!r}", path="provider", found=provider
        )
    return Offer(path.name, path.absolute(), partial=False, tables=(raw,), left_out=())


def _told(message: str, path: str) -> str:
    return message if path and path in message else f"{path}: {message}"


def _refuse_odd(path: Path) -> None:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise CallInvalid("file: expected a path, found text that is no Unicode", path="file", found=None) from None
    if "\0" in str(path):
        raise CallInvalid("file: a path holds no null character", path="file", found=None)


def offer_of_genai(file: Path | None, *, provider: str | None, today: date) -> Offer:
    """Read the set as tables of ours; a model that fails the check is left out, with the reason."""
    price_set = _dated(_read_set(file, today), today)
    name = price_set.name
    tables: dict[str, dict[str, Any]] = {}
    left_out = []
    for key, facts in price_set.models.items():
        owner, _, model = key.partition("/")
        if owner.startswith("huggingface"):
            owner = owner.replace("_", "-")  # as the imported tables name the sellers behind that door
        if provider is not None and owner != provider:
            continue
        if not facts["card"][-1]["rates"] or not model[-1:].isalnum():
            left_out.append(f"{key}: no price in a unit that we have, or a prefix in place of a name")
            continue
        head = {"provider": owner, "imported": name, "checked_on": price_set.day}
        told = {**facts, "card": _datable(facts["card"], price_set.day)}
        entry = new_model(model.lower(), told, price_set)
        entry["card"] = [_clipped(card) for card in entry["card"]]
        faults = review(head | {"model": [entry]}, name, packaged=False, record={})
        first = next((item for item in faults if item.severity == "error"), None)
        if first is not None:
            left_out.append(f"{key}: {first.message}")
        else:
            tables.setdefault(owner, head | {"model": []})["model"].append(entry)
    if provider is not None and provider not in tables:
        known = sorted({key.partition("/")[0] for key in price_set.models})
        raise CallInvalid(
            f"provider: {name} has no prices of {provider!r}; it has {', '.join(known)}",
            path="provider",
            found=provider,
        )
    return Offer(name, None, partial=True, tables=tuple(tables.values()), left_out=tuple(left_out))


def _datable(cards: Sequence[Mapping[str, Any]], day: date) -> list[Mapping[str, Any]]:
    """Drop a card without a start that is over: nobody could say from when to when it applied."""
    following = [card["effective_from"] for card in cards[1:]] + [None]
    return [
        card for card, end in zip(cards, following, strict=True) if card["effective_from"] or end is None or end > day
    ]


def _clipped(card: Mapping[str, Any]) -> dict[str, Any]:
    """Return a card whose variants lie inside it: where the set does not date a card, they may have begun before."""
    start = instant_of(card["effective_from"])
    lasting = [item for item in card.get("variants", ()) if lasts(item, start)]
    return {**card, "variants": [from_now(item, start) for item in lasting]}


def _read_set(file: Path | None, today: date) -> PriceSet:
    if file is not None:
        _refuse_odd(file)
    try:
        return price_set_of(GENAI, file=file, day=today)
    # Nested deeper than Python reads, on purpose or by damage.
    except (RecursionError, MemoryError, LookupError) as error:
        raise PriceTableInvalid(
            f"{file or GENAI}: is no data of {GENAI} ({type(error).__name__})", file=str(file), path="", found=None
        ) from error


def _dated(price_set: PriceSet, today: date) -> PriceSet:
    """Give a set the newest day of any of its prices that is not to come: it dates itself nowhere else."""
    cards = [card for model in price_set.models.values() for card in model["card"]]
    items = [*cards, *(variant for card in cards for variant in card.get("variants", ()))]
    days = {item["effective_from"] for item in items if item.get("effective_from")}
    return price_set._replace(day=max((day for day in days if day <= today), default=today))
