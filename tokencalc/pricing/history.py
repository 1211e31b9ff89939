"""Cards that were released stay as they were: a digest of each, and what differs from it.

Entries were booked by cards and name them, so a card must say tomorrow what it said
then. A digest covers what a card charges and when, in one form: ``"2.50"`` and
``"2.5"`` are the same, notes, sources and days of checks may be amended.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tokencalc.clock import instant_text
from tokencalc.money import EXACT, decimal_text
from tokencalc.pricing.flat import flat, variant_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokencalc.pricing.build import ProviderTable
    from tokencalc.pricing.card import RateCard

RELEASED = Path(__file__).with_name("released.json")
"""The digests of all cards of the last release; `make prices-release` writes it, and the package ships it."""

_DIGITS = 16


class Broken(NamedTuple):
    """A card of a record that is not what it was: ``edited``, or ``missing``."""

    card_id: str
    what: str


def digest_of(card: RateCard, shared: Mapping[Any, Any]) -> str:
    """Return the digest of what a card charges and when.

    ``shared`` is what the whole table prices as something else: a rule added there for a new meter edits no card.
    """
    priced_as = {meter: other for meter, other in card.priced_as.items() if shared.get(meter) != other}
    content = {
        "from": instant_text(card.effective_from),
        "until": None if card.effective_until is None else instant_text(card.effective_until),
        "prices": sorted(
            (*slot, decimal_text(price.amount.normalize(EXACT)), price.per) for slot, price in flat(card).items()
        ),
        "variants": sorted(
            (variant_text(variant), *_instants(variant.effective_from, variant.effective_until))
            for variant in card.variants
        ),
        "priced_as": sorted(priced_as.items()),
    }
    text = json.dumps(content, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


def _instants(*instants: Any) -> tuple[str, ...]:
    return tuple("" if instant is None else instant_text(instant) for instant in instants)


def digests_of(table: ProviderTable) -> dict[str, str]:
    """Return the digest of every card of a table, by card id.

    The end of a card that ends only because the next one begins is left out: appending is no edit.
    """
    return {card.card_id: digest_of(card, table.priced_as) for model in table.models for card in table.own_cards(model)}


def broken(record: Mapping[str, str], found: Mapping[str, str]) -> list[Broken]:
    """Return the cards of a record that are missing or edited; cards that the record does not have are new."""
    return [
        Broken(card_id, "missing" if card_id not in found else "edited")
        for card_id, digest in record.items()
        if found.get(card_id) != digest
    ]


def released(path: Path = RELEASED) -> dict[str, str]:
    """Return the digests of the last release by card id; empty before the first one."""
    if not path.exists():
        return {}
    record: dict[str, dict[str, dict[str, str]]] = json.loads(path.read_text(encoding="utf-8"))["cards"]
    return {
        f"{provider}/{model}@{day}": digest
        for provider, models in record.items()
        for model, days in models.items()
        for day, digest in days.items()
    }


def cards_of(provider: str, record: Mapping[str, str]) -> dict[str, str]:
    """Return the part of a record that is about one provider."""
    return {card_id: digest for card_id, digest in record.items() if card_id.startswith(f"{provider}/")}


def released_text(digests: Mapping[str, str], corrections: list[Mapping[str, str]]) -> str:
    """Return the text of the list of released cards, one line for each provider's model."""
    nested: dict[str, dict[str, dict[str, str]]] = {}
    for card_id, digest in sorted(digests.items()):
        provider, _, rest = card_id.partition("/")
        model, _, day = rest.rpartition("@")
        nested.setdefault(provider, {}).setdefault(model, {})[day] = digest
    lines = ['{"cards": {']
    for index, (provider, models) in enumerate(nested.items()):
        lines.append(f"{json.dumps(provider)}: {{")
        rows = [f"{json.dumps(model)}: {json.dumps(days)}" for model, days in models.items()]
        lines.append(",\n".join(rows) + "}" + ("," if index + 1 < len(nested) else ""))
    lines.append(f'}}, "corrections": {json.dumps(corrections, ensure_ascii=False)}}}')
    return "\n".join(lines) + "\n"


def corrections(path: Path = RELEASED) -> list[Mapping[str, str]]:
    """Return the corrections of released cards that were made on purpose, each with its reason and its old digest."""
    if not path.exists():
        return []
    found: list[Mapping[str, str]] = json.loads(path.read_text(encoding="utf-8"))["corrections"]
    return found
