"""The catalog: which model a name means, and which rate card applies at an instant.

User tables lie on top of the packaged ones and win for the instants that they
cover. An answer is exact or an error that names the nearest known names; the
price of a sibling is never taken.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from functools import cache
from typing import TYPE_CHECKING

from tokencalc.clock import instant_from
from tokencalc.pricing.layers import FileLayer, ImportedLayer, Layer, PackagedLayer
from tokencalc.pricing.plan import PlannedCard
from tokencalc.pricing.schema import instant_of
from tokencalc.pricing.search import MOST_NAMES, Search
from tokencalc.pricing.timeline import Timeline, timeline_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from tokencalc.pricing.build import ProviderTable
    from tokencalc.pricing.card import ModelFacts, RateCard

_FACTS = (
    "tokenizer", "encoding", "encoding_verified", "context_window_tokens", "output_limit_tokens", "mode",
)  # fmt: skip


class Catalog:
    """The set of rate cards and model facts; answers for (provider, model, instant)."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        """Stack layers of tables, the one that wins first; most callers want `packaged`."""
        self._layers = tuple(layers)
        self._timelines: dict[tuple[str, str | None], Timeline] = {}
        self._facts: dict[tuple[str, str | None], ModelFacts] = {}
        self._search = Search(self._layers)
        self._planned: dict[tuple[int, str], PlannedCard] = {}

    @staticmethod
    @cache
    def packaged() -> Catalog:
        """Return the catalog of the tables that travel with the package; the same one each time."""
        return Catalog((PackagedLayer(), ImportedLayer()))

    def with_files(self, paths: Sequence[Path]) -> Catalog:
        """Return a catalog with the user's own tables on top; a later file wins over an earlier one.

        A table for a known provider takes over that provider's rules (what counts as
        ordinary, what is priced as what) unless it states its own.
        """
        layers = self._layers
        for path in paths:
            layer = FileLayer(path)
            for below in layers:
                if layer.provider in below.providers:
                    layer.table(layer.provider).inherit(below.table(layer.provider))
                    break
            layers = (layer, *layers)
        return Catalog(layers)

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
        table = hits[0]
        target = _target(table, name, at)
        facts = table.facts(target)
        for below in hits[1:]:
            other = below.facts(_target(below, name, at))
            missing = {key: getattr(other, key) for key in _FACTS if not table.says(target, key)}
            return replace(facts, **missing)
        return facts

    def card(self, *, model: str, provider: str | None = None, at: datetime) -> RateCard:
        """Return the rate card of a model at an instant; PriceUnknown where there is none."""
        return self.timeline(model, provider).at(instant_from(at, name="at")).card

    def cards(self, provider: str, model: str) -> tuple[RateCard, ...]:
        """Return every card of a model, oldest first."""
        found = dict.fromkeys(planned for planned in self.timeline(model, provider).cards if planned is not None)
        return tuple(planned.card for planned in found)

    def models(self, provider: str | None = None) -> tuple[ModelFacts, ...]:
        """Return the facts of all models, or of one provider's."""
        chosen = self.providers if provider is None else (self._search.provider(provider, ""),)
        found: dict[tuple[str, str], ModelFacts] = {}
        for layer in self._layers:
            for name in (name for name in chosen if name in layer.providers):
                for model in layer.table(name).models:
                    if (name, model) not in found:
                        found[name, model] = self.resolve(model, provider=name)
        return tuple(found[key] for key in sorted(found))

    def timeline(self, model: str, provider: str | None = None) -> Timeline:
        """Return what a name costs over time; the one look-up on the path of every price."""
        try:
            found = self._timelines.get((model, provider))
        except TypeError:
            # A list or a dictionary in place of a name; the search refuses it with its reason.
            found = None
        if found is None:
            name, tables = self._search.hits(model, provider)
            found = timeline_of(name, tables, self._plan)
            if len(self._timelines) >= MOST_NAMES:
                self._timelines.clear()
            self._timelines[model, provider] = found
        return found

    def _plan(self, card: RateCard, table: ProviderTable) -> PlannedCard:
        key = (id(table), card.card_id)
        found = self._planned.get(key)
        if found is None:
            found = self._planned.setdefault(key, PlannedCard(card, table))
        return found


def _target(table: ProviderTable, name: str, at: datetime | None) -> str:
    if name in table.names:
        return table.names[name]
    targets = table.moving[name]
    for target in reversed(targets):
        if at is None or instant_of(target["effective_from"]) <= at:
            return str(target["model"])
    return str(targets[0]["model"])
