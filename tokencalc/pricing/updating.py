"""`prices update`: what an offered table would change today, and the tables that lie on top once it is accepted.

Planning writes nothing. An update appends: each price that differs from what applies
becomes a new card, from the day that the provider named or from today; what a card
charged before stays.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tokencalc.clock import instant_from
from tokencalc.errors import PriceJump, PriceTableInvalid, PriceUnknown
from tokencalc.pricing.accepted import accepted_tables, read_record
from tokencalc.pricing.build import ProviderTable
from tokencalc.pricing.catalog import Catalog
from tokencalc.pricing.changes import Changes, RateChange, rate_changes
from tokencalc.pricing.dump import dump_table
from tokencalc.pricing.flat import flat
from tokencalc.pricing.history import digests_of
from tokencalc.pricing.loader import read_toml
from tokencalc.pricing.merging import merged, start_of
from tokencalc.pricing.offers import GENAI, Offer, offer_of_file, offer_of_genai
from tokencalc.pricing.review import review
from tokencalc.pricing.units import instant_of
from tokencalc.pricing.writing import write_accepted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from tokencalc.pricing.card import RateCard
    from tokencalc.pricing.plan import PlannedCard
    from tokencalc.pricing.timeline import Timeline

_HEAD = (
    "# Written by `tokencalc prices update`: cards that you accepted, on top of the packaged ones.\n"
    "# Remove this file to undo its updates; `tokencalc prices check` finds an edited card."
)
_FACTS = (
    "aliases", "dated", "tokenizer", "encoding", "encoding_verified", "context_window_tokens", "output_limit_tokens",
    "mode", "reasoning", "cacheable_from_tokens", "note",
)  # fmt: skip
_RULES = ("name", "aliases", "families", "standard", "means")


class Update(NamedTuple):
    """What an offer changes: ``changes`` against today's list, ``files`` the tables to write, ``jumps`` their leaps.

    ``kept`` names prices of ours that differ from the offer on purpose, ``notes`` what
    else was not taken, both with the reason.
    """

    name: str
    changes: Changes
    jumps: tuple[RateChange, ...]
    files: Mapping[Path, dict[str, Any]]
    folder: Path
    kept: tuple[str, ...]
    notes: tuple[str, ...]
    record: Mapping[str, Mapping[str, str]]


def plan_update(
    what: str | Path, *, folder: Path, now: datetime, provider: str | None = None, file: Path | None = None
) -> Update:
    """Say what accepting an offer would change: a table's path, or ``genai-prices`` (``file``: its wheel).

    Raises PriceTableInvalid where the offer fails the check, or where an accepted
    table was edited; also where genai-prices is not installed.
    """
    now, record = instant_from(now, name="now"), read_record(folder)
    if what == GENAI:
        offer = offer_of_genai(file, provider=provider, today=now.date())
    else:
        path = Path(what)
        offer = offer_of_file(path, provider=provider, record=record.get(str(path.absolute()), {}))
    catalog = Catalog.packaged().with_files((), updates=accepted_tables(folder))
    plans = [_Plan(offer, raw, catalog, folder, record, now) for raw in offer.tables]
    changes = Changes(
        tuple(card for plan in plans for card in plan.new),
        (),
        tuple(change for plan in plans for change in plan.changed),
    )
    fresh = {path: digests_of(ProviderTable(raw)) for plan in plans for path, raw in plan.files.items()}
    if offer.file is not None:
        fresh[offer.file] = digests_of(ProviderTable(offer.tables[0]))
    return Update(
        name=offer.name,
        changes=changes,
        jumps=tuple(change for change in changes.changed if change.is_jump),
        files={path: raw for plan in plans for path, raw in plan.files.items()},
        folder=folder,
        kept=tuple(note for plan in plans for note in plan.kept),
        notes=(*offer.left_out, *(note for plan in plans for note in plan.notes)),
        record={**record, **{str(path): digests for path, digests in fresh.items()}},
    )


def apply_update(update: Update, *, force: bool = False) -> tuple[Path, ...]:
    """Write the tables of an update and return their paths; PriceJump where a price leaps and nobody insists."""
    if update.jumps and not force:
        named = tuple(change_text(jump) for jump in update.jumps)
        more = f", and {len(named) - 10} more" if len(named) > 10 else ""  # noqa: PLR2004  # what fits on a screen
        raise PriceJump(
            f"{'a price moves' if len(named) == 1 else f'{len(named)} prices move'} by ten times or more, "
            f"which is more often a wrong unit than news: "
            f"{', '.join(named[:10])}{more}; look at the source, then accept them with --force (force=True)",
            jumps=named,
        )
    if update.files:
        texts = {path: dump_table(raw, _HEAD) for path, raw in update.files.items()}
        write_accepted(update.folder, texts, {path: dict(digests) for path, digests in update.record.items()})
    return tuple(update.files)


def change_text(change: RateChange) -> str:
    """Name a change: ``openai/gpt-4o input $2.5 -> $25``."""
    where = " ".join(part for part in (change.slot.meter, change.slot.applies) if part)
    old, new = ("unknown" if price is None else f"${price.amount:f}" for price in (change.old, change.new))
    return f"{change.provider}/{change.model} {where} {old} -> {new}"


class _Plan:
    """One provider's part of an update."""

    def __init__(  # noqa: PLR0913, PLR0917  # what decides a plan
        self,
        offer: Offer,
        raw: dict[str, Any],
        catalog: Catalog,
        folder: Path,
        record: Mapping[str, Mapping[str, str]],
        now: datetime,
    ) -> None:
        self._offer, self._raw, self._catalog, self._now = offer, raw, catalog, now
        self._table = ProviderTable(raw, str(offer.file) if offer.file else None)
        self.new: list[RateCard] = []
        self.changed: list[RateChange] = []
        self.kept: list[str] = []
        self.notes: list[str] = []
        path = folder / f"{raw['provider']}.toml"
        known = record.get(str(path), {})
        self._accepted = _accepted(path, raw, known)
        if any([self._model(model) for model in self._table.models]):  # noqa: C419  # every model is looked at
            self._aliases()
            self._check(path, known)
            self.files = {path: self._accepted}
        else:
            self.files = {}

    def _model(self, model: str) -> bool:
        """Append what is new about a model; tell whether there was anything."""
        provider, raws = self._table.provider, self._table.raw_cards(model)
        try:
            timeline = self._catalog.timeline(model, provider)
        except PriceUnknown:
            self._append(
                model, [self._stated(raw, card) for card, raw in zip(self._table.cards(model), raws, strict=True)]
            )
            self.new.extend(self._table.cards(model)[-1:])
            return True
        taken = {start for start, card in zip(timeline.starts, timeline.cards, strict=True) if card is not None}
        written = []
        for card, raw in zip(self._table.cards(model), raws, strict=True):
            if card.effective_until is not None and card.effective_until <= self._now:
                continue
            at = max(self._now, card.effective_from)
            planned = _planned_at(timeline, at)
            found = self._next(card, raw, planned, at)
            if found is not None:
                after = None if planned is None else planned.card.effective_from
                start, is_known = start_of(
                    raw["effective_from"], raw.get("effective_from_known"), after=after, now=self._now, taken=taken
                )
                taken.add(instant_of(start))
                written.append(
                    {**found, "effective_from": start, **({} if is_known else {"effective_from_known": False})}
                )
        self._append(model, written)
        return bool(written)

    def _next(
        self, card: RateCard, raw: Mapping[str, Any], planned: PlannedCard | None, at: datetime
    ) -> dict[str, Any] | None:
        """Return the card to append in place of what applies at an instant; None where nothing differs."""
        if planned is None:
            self.new.append(card)
            return self._stated(raw, card)
        ours = planned.card
        stated = self._stated(raw, card)
        if self._offer.partial:
            news = list(_news(ours, card, at))
            if not news:
                return None
            below = _written(planned)
            because = below.get("differs_because")
            if because:
                self.kept.extend(f"{change_text(change)}: {because}" for change in news)
                return None
            stated = merged(below, stated, at)
            stated["note"] = f"What {self._offer.name} does not list is taken over from {ours.card_id}."
            card = _built(self._raw, card.model, stated)
        changes = list(rate_changes(ours, card, (at, at)))
        self.changed.extend(changes)
        return stated if changes else None

    def _stated(self, raw: Mapping[str, Any], card: RateCard) -> dict[str, Any]:
        """Return a card with all that its table said for it, because it moves into another table."""
        stated = dict(raw)
        if self._table.priced_as or raw.get("priced_as"):
            stated["priced_as"] = {str(meter): str(other) for meter, other in card.priced_as.items()}
        if card.imported:
            stated["imported"] = card.imported
        if card.source:
            stated["source"] = list(card.source)
        checked_on = raw.get("checked_on", self._raw.get("checked_on"))
        return stated | ({"checked_on": checked_on} if checked_on else {})

    def _append(self, model: str, cards: list[dict[str, Any]]) -> None:
        """Put cards among the accepted ones of a model, in the order of their days."""
        if not cards:
            return
        entries: list[dict[str, Any]] = self._accepted["model"]
        entry = next((item for item in entries if item["id"] == model), None)
        if entry is None:
            offered = next(item for item in self._raw["model"] if item["id"] == model)
            entry = {"id": model, **{key: offered[key] for key in _FACTS if key in offered}, "card": []}
            if self._offer.partial:
                entry = self._modest(entry)
            entries.append(entry)
        entry["card"] = sorted([*entry["card"], *cards], key=lambda card: instant_of(card["effective_from"]))

    def _modest(self, entry: dict[str, Any]) -> dict[str, Any]:
        """Take from a set's new model no name that is known already, and from a known one no fact."""
        if self._is_known(entry["id"]):
            return {"id": entry["id"], "card": []}
        return {**entry, "aliases": [name for name in entry.get("aliases", ()) if not self._is_known(name)]}

    def _is_known(self, model: str) -> bool:
        try:
            self._catalog.resolve(model, provider=self._table.provider)
        except PriceUnknown:
            return False
        return True

    def _aliases(self) -> None:
        ids = {entry["id"] for entry in self._accepted["model"]}
        names = {alias["name"] for alias in self._accepted.get("alias", ())}
        for alias in self._raw.get("alias", ()):
            if alias["name"] in names or not ids >= {target["model"] for target in alias["target"]}:
                self.notes.append(
                    f"alias {alias['name']}: left out; it was accepted before, or its models did not change"
                )
            else:
                self._accepted.setdefault("alias", []).append(alias)

    def _check(self, path: Path, known: Mapping[str, str]) -> None:
        """Refuse to write what `prices check` would refuse to read."""
        for item in review(self._accepted, str(path), packaged=False, record=known):
            if item.severity == "error":
                raise PriceTableInvalid(
                    f"{path}: the updated table would fail the check, nothing was changed: {item.path}: {item.message}",
                    file=str(path),
                    path=item.path,
                    found=None,
                )


def _accepted(path: Path, raw: Mapping[str, Any], known: Mapping[str, str]) -> dict[str, Any]:
    """Return the provider's accepted table as it stands, or a new one with the rules that the offer states."""
    if not path.exists():
        return {"provider": raw["provider"], **{key: raw[key] for key in _RULES if raw.get(key)}, "model": []}
    found = read_toml(path)
    for item in review(found, str(path), packaged=False, record=known):
        if item.severity == "error":
            raise PriceTableInvalid(
                f"{path}: an accepted table was changed by hand: {item.path}: {item.message}; or remove the file, "
                "which undoes its updates",
                file=str(path),
                path=item.path,
                found=None,
            )
    return found


def _planned_at(timeline: Timeline, at: datetime) -> PlannedCard | None:
    try:
        return timeline.at(at)
    except PriceUnknown:
        return None


def _news(ours: RateCard, theirs: RateCard, at: datetime) -> Iterator[RateChange]:
    """Yield the prices of a set that differ from ours, or that we lack; what it does not list is no news."""
    listed = flat(theirs, at)
    return (change for change in rate_changes(ours, theirs, (at, at)) if change.slot in listed)


def _written(planned: PlannedCard) -> Mapping[str, Any]:
    table, card = planned.table, planned.card
    return next(
        raw
        for found, raw in zip(table.cards(card.model), table.raw_cards(card.model), strict=True)
        if found.card_id == card.card_id
    )


def _built(raw: Mapping[str, Any], model: str, card: Mapping[str, Any]) -> RateCard:
    return ProviderTable({"provider": raw["provider"], "model": [{"id": model, "card": [card]}]}).cards(model)[0]


def undo_text(paths: tuple[Path, ...]) -> str:
    """Say how an update is undone."""
    return f"to undo it, remove {' and '.join(map(str, paths))}"
