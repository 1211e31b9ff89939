"""`prices check`: everything that can be wrong with a table, one finding for each.

Schema first, model by model, so that one misspelt key hides no other; then, for
a table that can be read, bounds, oddities and edited history.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from tokencalc.errors import PriceTableInvalid
from tokencalc.pricing.bounds import faults, is_answered, oddities
from tokencalc.pricing.build import ProviderTable
from tokencalc.pricing.catalog import Catalog
from tokencalc.pricing.history import broken, cards_of, digests_of, released
from tokencalc.pricing.loader import packaged_index, packaged_raw, read_toml
from tokencalc.pricing.schema import TableChecker

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

Severity = Literal["error", "warning"]

_HISTORY = {
    "missing": "the card was released or accepted and is gone; entries were booked by it, so put it back",
    "edited": "the card was released or accepted and now charges something else; put it back, and append a new card",
}


class Finding(NamedTuple):
    """One thing about a table: an ``error`` must be mended, a ``warning`` wants a look or a note on the card."""

    severity: Severity
    file: str
    path: str
    message: str


def review_file(path: Path, *, record: Mapping[str, str] | None = None) -> list[Finding]:
    """Review a table of the user's own; ``record`` are the digests with which it was accepted."""
    try:
        raw = read_toml(path)
    except PriceTableInvalid as error:
        return [Finding("error", str(path), error.path, error.message)]
    found = review(raw, str(path), packaged=False, record=record or {})
    if any(finding.severity == "error" for finding in found):
        return found
    try:
        # What only shows beside the other tables: a discount on what nobody lists.
        Catalog.packaged().with_files([path])
    except PriceTableInvalid as error:
        return [*found, Finding("error", str(path), error.path, error.message)]
    return [*found, *_at_list_price(ProviderTable(raw), str(path))]


def _at_list_price(table: ProviderTable, file: str) -> Iterator[Finding]:
    """Name dated versions with cards of their own, which a person's prices for the undated name do not reach."""
    catalog = Catalog.packaged()
    if table.provider not in catalog.providers:
        return
    listed = [facts.model for facts in catalog.models(table.provider)]
    for model in table.models:
        dated = [name for name in listed if name.startswith(f"{model}-20") and name not in table.names]
        if dated:
            text = f"{', '.join(dated)}: another model, at list price unless your file lists it"
            yield Finding("warning", file, f"{table.provider}/{model}", text)


class Packaged(NamedTuple):
    """The review of the packaged tables: how many there are, and what was found."""

    tables: int
    findings: list[Finding]


def review_packaged() -> Packaged:
    """Review the tables that travel with the package, and hold them to the cards of the last release."""
    tables = {
        provider: packaged_raw(provider)
        for index in ("index", "imported")
        for provider in packaged_index(index)["providers"]
    }
    record = released()
    found = [
        finding
        for provider, raw in tables.items()
        for finding in review(raw, f"packaged {provider}", packaged=True, record=cards_of(provider, record))
    ]
    gone = sorted({card_id.partition("/")[0] for card_id in record} - set(tables))
    found += [
        Finding("error", f"packaged {name}", name, "the table was released and is gone; put it back") for name in gone
    ]
    return Packaged(len(tables), found)


def review(raw: dict[str, Any], file: str, *, packaged: bool, record: Mapping[str, str]) -> list[Finding]:
    """Return everything that is wrong or odd about a table, the order of the file kept."""
    found = list(_schema(raw, file, packaged=packaged))
    if found:
        return found
    table = ProviderTable(raw)
    for model in table.models:
        mode = table.facts(model).mode
        for card, written in zip(table.cards(model), table.raw_cards(model), strict=True):
            found += [Finding("error", file, card.card_id, text) for text in faults(card)]
            if not is_answered(written):
                found += [Finding("warning", file, card.card_id, text) for text in oddities(card, mode)]
    if not packaged:
        found += _unsourced(table, file)
    found += [Finding("error", file, item.card_id, _HISTORY[item.what]) for item in broken(record, digests_of(table))]
    return found


def _schema(raw: dict[str, Any], file: str, *, packaged: bool) -> Iterator[Finding]:
    """Yield the first fault of each model and of the rest; faults between models where there are no others."""
    models = raw.get("model")
    parts: list[dict[str, Any]] = []
    if isinstance(models, list) and len(models) > 1:
        shared = {key: raw[key] for key in ("provider", "imported", "checked_on") if key in raw}
        parts = [shared | {"model": [model]} for model in models]
        parts.insert(0, {key: value for key, value in raw.items() if key != "alias"} | {"model": []})
    hidden = False
    for index, part in enumerate(parts):
        for finding in _first_fault(part, file, packaged=packaged):
            hidden = True
            place = finding.path.replace("model[0]", f"model[{index - 1}]") if index else finding.path
            yield finding._replace(path=place, message=finding.message.replace(finding.path, place))
    if not hidden:
        yield from _first_fault(raw, file, packaged=packaged)


def _first_fault(raw: dict[str, Any], file: str, *, packaged: bool) -> Iterator[Finding]:
    try:
        TableChecker(file, packaged=packaged).table(raw)
    except PriceTableInvalid as error:
        yield Finding("error", file, error.path, error.message)


def _unsourced(table: ProviderTable, file: str) -> Iterator[Finding]:
    for model in table.models:
        for card, written in zip(table.cards(model), table.raw_cards(model), strict=True):
            lacking = [key for key in ("source", "checked_on") if not written.get(key)]
            if lacking and card.imported is None:
                text = f"no {' and no '.join(lacking)}: nobody can look this price up again"
                yield Finding("warning", file, card.card_id, text)
