"""The catalog: which model a name means, and which rate card applies at an instant.

User tables lie on top of the packaged ones and win for the instants that they
cover. An answer is exact or an error that names the nearest known names; the
price of a sibling is never taken.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING, NoReturn

from tokencalc.clock import instant_from
from tokencalc.errors import PriceTableInvalid
from tokencalc.pricing.layers import FileLayer, ImportedLayer, Layer, PackagedLayer
from tokencalc.pricing.plan import PlannedCard
from tokencalc.pricing.search import MOST_NAMES, Search
from tokencalc.pricing.timeline import Timeline, split_at, timeline_of
from tokencalc.pricing.units import instant_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from tokencalc.pricing.build import ProviderTable
    from tokencalc.pricing.card import ModelFacts, RateCard
    from tokencalc.pricing.discounts import Discount

_FACTS = (
    "tokenizer", "encoding", "encoding_verified", "context_window_tokens", "output_limit_tokens", "mode",
    "reasoning", "cacheable_from_tokens",
)  # fmt: skip

STALE_AFTER_DAYS = 60
"""The five curated lists changed a price in use on 14 days between October 2024 and October 2026, about every 54 days:
older than this, a list has probably missed one."""


class Catalog:
    """The set of rate cards and model facts; answers for (provider, model, instant).

    ``files`` are the user's own tables on top, those of updates left out.
    """

    files: tuple[Path, ...] = ()

    def __init__(self, layers: Sequence[Layer]) -> None:
        """Stack layers of tables, the one that wins first; most callers want `packaged`."""
        self._layers = tuple(layers)
        self._timelines: dict[tuple[str, str | None], Timeline] = {}
        self._facts: dict[tuple[str, str | None], ModelFacts] = {}
        self._search = Search(self._layers)
        self._planned: dict[tuple[int, str, tuple[Discount, ...]], PlannedCard] = {}
        self._heights = {
            id(layer.table(layer.provider)): height
            for height, layer in enumerate(self._layers)
            if isinstance(layer, FileLayer)
        }
        self._discounts = [
            (height, discount)
            for height, layer in enumerate(self._layers)
            if isinstance(layer, FileLayer)
            for discount in layer.table(layer.provider).discounts
        ]

    @staticmethod
    @cache
    def packaged() -> Catalog:
        """Return the catalog of the tables that travel with the package; the same one each time."""
        return Catalog((PackagedLayer(), ImportedLayer()))

    def with_files(self, paths: Sequence[Path], *, updates: Sequence[Path] = ()) -> Catalog:
        """Return a catalog with the user's own tables on top; a later file wins over an earlier one.

        A table for a known provider takes over that provider's rules (what counts as
        ordinary, what is priced as what) unless it states its own. ``updates`` are
        tables that `prices update` wrote: they lie below the files, and each of their
        cards ends where the list below begins a newer one.
        """
        layers = self._layers
        for path in (*updates, *paths):
            layer = FileLayer(path, is_update=path in updates)
            for below in layers:
                if layer.provider in below.providers:
                    layer.table(layer.provider).inherit(below.table(layer.provider))
                    break
            layers = (layer, *layers)
            _check_discounts(layer, layers)
        found = Catalog(layers)
        found.files = (*self.files, *paths)
        return found

    @property
    def providers(self) -> tuple[str, ...]:
        """The ids of all providers, in the order of the alphabet."""
        return tuple(sorted({provider for layer in self._layers for provider in layer.providers}))

    @property
    def checked_on(self) -> date:
        """The day of the newest check among the packaged tables."""
        return max((layer.checked_on for layer in self._layers), default=date.min)

    def age_days(self, now: datetime) -> int:
        """Whole days from the newest check to an instant."""
        return (instant_from(now, name="now").date() - self.checked_on).days

    def checked_on_for(self, provider: str) -> date:
        """Return the day of the newest check of one provider's list: ours, or one accepted from an update."""
        tables = (layer.table(provider) for layer in self._layers if provider in layer.providers)
        return max((table.checked_on for table in tables if table.file is None or table.is_update), default=date.min)

    def stale_note(self, provider: str, at: datetime) -> str | None:
        """Say how old a provider's list was at an instant, or None where it was checked lately or is the user's own."""
        checked_on = self.checked_on_for(provider)
        age_days = (at.date() - checked_on).days
        if checked_on == date.min or age_days <= STALE_AFTER_DAYS:
            return None
        return (
            f"the prices of {provider} were checked on {checked_on}, {age_days} days before {at:%Y-%m-%d}; "
            "upgrade tokencalc, or see `tokencalc prices update --help`"
        )

    def resolve(self, model: str, *, provider: str | None = None, at: datetime | None = None) -> ModelFacts:
        """Return the facts of the model that a name means.

        A name that moves between models (``mistral-large-latest``) means the newest
        one, or that of ``at``. Raises PriceUnknown with the nearest known names, and
        CallInvalid for a name that cannot be one.
        """
        if at is not None:
            return self._resolved(model, provider, instant_from(at, name="at"))
        try:
            found = self._facts.get((model, provider))
        except TypeError:
            found = None  # as in `timeline`
        if found is None:
            found = self._resolved(model, provider, None)
            if len(self._facts) >= MOST_NAMES:
                self._facts.clear()
            self._facts[model, provider] = found
        return found

    def _resolved(self, model: str, provider: str | None, at: datetime | None) -> ModelFacts:
        name, hits = self._search.hits(model, provider)
        knowing = [table for table in hits if table.has(_target(table, name, at))]
        table = knowing[0]
        target = _target(table, name, at)
        facts = table.facts(target)
        for below in knowing[1:]:
            other = below.facts(_target(below, name, at))
            missing = {key: getattr(other, key) for key in _FACTS if not table.says(target, key)}
            return replace(facts, **missing)
        return facts

    def card(self, *, model: str, provider: str | None = None, at: datetime) -> RateCard:
        """Return the rate card of a model at an instant; PriceUnknown where there is none."""
        return self.timeline(model, provider).at(instant_from(at, name="at")).card

    def cards(self, provider: str, model: str) -> tuple[RateCard, ...]:
        """Return every card of a model, oldest first."""
        cards = (planned.card for planned in self.timeline(model, provider).cards if planned is not None)
        return tuple({id(card): card for card in cards}.values())

    def cards_by_id(self, card_id: str) -> tuple[RateCard, ...]:
        """Return the cards of an id, the winning layer's first: an own card may bear the id of a packaged one."""
        provider, _, rest = card_id.partition("/")
        model, _, _ = rest.rpartition("@")
        tables = (layer.table(provider) for layer in self._layers if provider in layer.providers)
        return tuple(card for table in tables for card in table.cards(model) if card.card_id == card_id)

    def models(self, provider: str | None = None) -> tuple[ModelFacts, ...]:
        """Return the facts of all models, or of one provider's."""
        chosen = self.providers if provider is None else (self._search.provider(provider, ""),)
        found: dict[tuple[str, str], ModelFacts] = {}
        for layer in self._layers:
            for name in (name for name in chosen if name in layer.providers):
                for model in layer.table(name).models:
                    if (name, model) not in found:
                        found[name, model] = self.resolve(model, provider=name)
        # Two tables may name one model each in its own way.
        return tuple({(facts.provider, facts.model): facts for _, facts in sorted(found.items(), key=_by_key)}.values())

    def timeline(self, model: str, provider: str | None = None) -> Timeline:
        """Return what a name costs over time; the one look-up on the path of every price."""
        try:
            found = self._timelines.get((model, provider))
        except TypeError:
            # A list or a dictionary in place of a name; the search refuses it with its reason.
            found = None
        if found is None:
            name, tables = self._search.hits(model, provider)
            found = self._reduced(timeline_of(name, tables, self._plan))
            if len(self._timelines) >= MOST_NAMES:
                self._timelines.clear()
            self._timelines[model, provider] = found
        return found

    def _plan(self, card: RateCard, table: ProviderTable, discounts: tuple[Discount, ...] = ()) -> PlannedCard:
        key = (id(table), card.card_id, discounts)
        found = self._planned.get(key)
        if found is None:
            found = self._planned.setdefault(key, PlannedCard(card, table, discounts))
        return found

    def _reduced(self, timeline: Timeline) -> Timeline:
        """Put the user's discounts on the cards that lie below them, from their own days on."""
        ours = [(height, item) for height, item in self._discounts if item.provider == timeline.provider]
        if not ours:
            return timeline
        edges = {edge for _, item in ours for edge in (item.effective_from, item.effective_until) if edge is not None}
        split = split_at(timeline, sorted(edges))
        cards: list[PlannedCard | None] = []
        for start, planned in zip(split.starts, split.cards, strict=True):
            if planned is not None:
                lies_at = self._heights.get(id(planned.table), len(self._layers))
                active = [item for height, item in ours if height < lies_at and item.holds(start)]
                cards.append(self._plan(planned.card, planned.table, tuple(_covering(planned, active))))
            else:
                cards.append(None)
        return split._replace(cards=tuple(cards))


def _covering(planned: PlannedCard, discounts: list[Discount]) -> Iterator[Discount]:
    names = planned.table.names
    for discount in discounts:
        if discount.models is None or planned.card.model in {names.get(name, name) for name in discount.models}:
            yield discount


def _check_discounts(top: FileLayer, layers: Sequence[Layer]) -> None:
    """Refuse a discount on a provider or a model that nobody lists: it would never be given."""
    for discount in top.table(top.provider).discounts:
        for name in sorted(discount.models or ()):
            if not any(top.provider in layer.lookup(name) for layer in layers):
                known = sorted({known for layer in layers for known in layer.names(top.provider)})
                _refuse_discount(top, "discount.models", name, known)
        if not any(top.provider in layer.providers for layer in layers[1:]):
            known = sorted({known for layer in layers[1:] for known in layer.providers})
            _refuse_discount(top, "provider", top.provider, known)


def _refuse_discount(top: FileLayer, path: str, found: str, known: list[str]) -> NoReturn:
    nearest = tuple(get_close_matches(found, known, n=1))
    hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
    file = top.table(top.provider).file
    raise PriceTableInvalid(
        f"{file}: {path}: {found!r:.80} has no prices that a discount could lower{hint}",
        file=file,
        path=path,
        found=found,
        nearest=nearest,
    )


def _target(table: ProviderTable, name: str, at: datetime | None) -> str:
    if name in table.names:
        return table.names[name]
    targets = table.moving[name]
    for target in reversed(targets):
        if at is None or instant_of(target["effective_from"]) <= at:
            return str(target["model"])
    return str(targets[0]["model"])


def _by_key(named: tuple[tuple[str, str], ModelFacts]) -> tuple[str, str]:
    return named[0]
