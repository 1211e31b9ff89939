"""Cards, changes of prices and updates as plain mappings, for `--json` and for the tool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tokencalc.pricing.flat import FACTOR, LEAST, unit_text, variant_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tokencalc.pricing.card import Rate, RateCard, Tier
    from tokencalc.pricing.changes import Changes, RateChange
    from tokencalc.pricing.flat import Price
    from tokencalc.pricing.updating import Update
    from tokencalc.usage import Meter

Document = dict[str, Any]


def card_document(card: RateCard) -> Document:
    """Everything that a card says, rates by meter with their published units."""
    return {
        "card_id": card.card_id,
        "provider": card.provider,
        "model": card.model,
        "effective_from": card.effective_from,
        "effective_from_known": card.effective_from_known,
        "effective_until": card.effective_until,
        "rates": _rates(card.rates),
        "tiers": _tiers(card.tiers),
        "variants": [
            {
                "when": dict(variant.when),
                "during": None if variant.during is None else str(variant.during),
                "applies": variant_text(variant),
                "effective_from": variant.effective_from,
                "effective_from_known": variant.effective_from_known,
                "effective_until": variant.effective_until,
                "rates": _rates(variant.rates),
                "tiers": _tiers(variant.tiers),
                "unchanged": sorted(variant.unchanged),
            }
            for variant in card.variants
        ],
        "multipliers": [
            {"when": dict(multiplier.when), "factor": multiplier.factor, "meters": sorted(multiplier.meters)}
            for multiplier in card.multipliers
        ],
        "priced_as": card.priced_as,
        "minimums": card.minimums,
        "imported": card.imported,
        "source": card.source,
        "checked_on": card.checked_on,
        "note": card.note,
    }


def _rates(found: Mapping[Meter, Rate]) -> Document:
    return {
        meter.value: {"usd": rate.usd, "per": rate.per, "unit": unit_text(meter, rate.per)}
        for meter, rate in found.items()
    }


def _tiers(tiers: tuple[Tier, ...]) -> list[Document]:
    return [{"min_input_tokens": tier.min_input_tokens, "rates": _rates(tier.rates)} for tier in tiers]


def changes_document(changes: Changes) -> Document:
    """New and ended models with their cards, and each changed price with both values and the percentage."""
    return {
        "new": [card_document(card) for card in changes.new],
        "ended": [card_document(card) for card in changes.ended],
        "changed": [change_document(change) for change in changes.changed],
    }


def change_document(change: RateChange) -> Document:
    """One changed price; ``meter`` is "factor" for a multiplier and "least" for a least quantity."""
    return {
        "provider": change.provider,
        "model": change.model,
        "meter": change.slot.meter,
        "when": change.slot.when,
        "min_input_tokens": change.slot.min_input_tokens,
        "old": _price(change, change.old),
        "new": _price(change, change.new),
        "percent": change.percent,
        "is_jump": change.is_jump,
    }


def _price(change: RateChange, price: Price | None) -> Document | None:
    if price is None:
        return None
    if change.slot.meter in {FACTOR, LEAST}:
        return {"number": price.amount}
    return {"usd": price.amount, "per": price.per, "unit": unit_text(change.slot.meter, price.per)}


def update_document(update: Update, written: tuple[Path, ...]) -> Document:
    """What an update changes or changed: ``applied`` where it was written, and how to undo it."""
    return {
        "source": update.name,
        "applied": bool(written),
        **changes_document(update.changes),
        "jumps": [change_document(change) for change in update.jumps],
        "kept": list(update.kept),
        "left_out": list(update.notes),
        "folder": update.folder,
        "written": list(written),
        "undo": f"remove {' and '.join(map(str, written))}" if written else None,
    }
