"""The catalog: which model a name means, and which rate card applies at an instant.

User tables lie on top of the packaged ones and win for the instants that they
cover. An answer is exact or an error that names the nearest known names; the
price of a sibling is never taken.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import replace
from datetime import UTC, date, datetime
from difflib import get_close_matches
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from tokencalc.clock import instant_from, instant_text
from tokencalc.errors import PriceUnknown
from tokencalc.pricing.layers import FileLayer, Layer, PackagedLayer
from tokencalc.pricing.names import forms, plain_name
from tokencalc.pricing.plan import PlannedCard
from tokencalc.pricing.schema import instant_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tokencalc.pricing.build import ProviderTable
    from tokencalc.pricing.card import ModelFacts, RateCard

_MOST_NAMES = 4096
_FACTS = (
    "tokenizer", "encoding", "encoding_verified", "context_window_tokens", "output_limit_tokens", "mode",
)  # fmt: skip
_Span = tuple[datetime, datetime | None, PlannedCard]


class Timeline(NamedTuple):
    """What a name costs over time: from ``starts[i]`` on, ``cards[i]``; None where no price is known."""

    name: str
    provider: str
    starts: tuple[datetime, ...]
    cards: tuple[PlannedCard | None, ...]

    def at(self, instant: datetime) -> PlannedCard:
        """Return the card that applies; PriceUnknown before the first one and in a gap."""
        index = bisect_right(self.starts, instant) - 1
        found = self.cards[index] if index >= 0 else None
        if found is None:
            self._unknown(instant)
        return found

    def _unknown(self, instant: datetime) -> NoReturn:
        known = ", ".join(
            start.date().isoformat() for start, card in zip(self.starts, self.cards, strict=True) if card is not None
        )
        raise PriceUnknown(
            f"no price is known for {self.name!r} of {self.provider} at {instant_text(instant)}; "
            f"cards begin on {known}; an earlier one can be added in a price table of your own",
            provider=self.provider,
            model=self.name,
            at=instant,
            nearest=(),
        )


class Catalog:
    """The set of rate cards and model facts; answers for (provider, model, instant)."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        """Stack layers of tables, the one that wins first; most callers want `packaged`."""
        self._layers = tuple(layers)
        self._timelines: dict[tuple[str, str | None], Timeline] = {}
        self._facts: dict[tuple[str, str | None], ModelFacts] = {}
        self._unknown: dict[tuple[str, str | None], PriceUnknown] = {}
        self._planned: dict[tuple[int, str], PlannedCard] = {}

    @staticmethod
    @cache
    def packaged() -> Catalog:
        """Return the catalog of the tables that travel with the package; the same one each time."""
        return Catalog((PackagedLayer(),))

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
        found = self._facts.get((model, provider)) if at is None else None
        if found is None:
            found = self._resolved(model, provider, at)
            if at is None:
                if len(self._facts) >= _MOST_NAMES:
                    self._facts.clear()
                self._facts[model, provider] = found
        return found

    def _resolved(self, model: str, provider: str | None, at: datetime | None) -> ModelFacts:
        name, hits = self._hits(model, provider)
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
        chosen = self.providers if provider is None else (self._provider(provider, ""),)
        found: dict[tuple[str, str], ModelFacts] = {}
        for layer in self._layers:
            for name in (name for name in chosen if name in layer.providers):
                for model in layer.table(name).models:
                    if (name, model) not in found:
                        found[name, model] = self.resolve(model, provider=name)
        return tuple(found[key] for key in sorted(found))

    def timeline(self, model: str, provider: str | None = None) -> Timeline:
        """Return what a name costs over time; the one look-up on the path of every price."""
        found = self._timelines.get((model, provider))
        if found is None:
            found = self._timeline(model, provider)
            if len(self._timelines) >= _MOST_NAMES:
                self._timelines.clear()
            self._timelines[model, provider] = found
        return found

    def _timeline(self, model: str, provider: str | None) -> Timeline:
        name, hits = self._hits(model, provider)
        spans = list(self._spans(hits[-1], name))
        for table in reversed(hits[:-1]):
            spans = _laid_over(list(self._spans(table, name)), spans)
        starts: list[datetime] = []
        cards: list[PlannedCard | None] = []
        for index, (start, end, card) in enumerate(spans):
            starts.append(start)
            cards.append(card)
            following = spans[index + 1][0] if index + 1 < len(spans) else None
            if end is not None and end != following:
                starts.append(end)
                cards.append(None)
        return Timeline(name, hits[0].provider, tuple(starts), tuple(cards))

    def _spans(self, table: ProviderTable, name: str) -> Iterator[_Span]:
        if name in table.names:
            yield from self._model_spans(table, table.names[name], None, None)
            return
        targets = table.moving[name]
        for index, target in enumerate(targets):
            until = instant_of(targets[index + 1]["effective_from"]) if index + 1 < len(targets) else None
            yield from self._model_spans(table, target["model"], instant_of(target["effective_from"]), until)

    def _model_spans(
        self, table: ProviderTable, model: str, since: datetime | None, until: datetime | None
    ) -> Iterator[_Span]:
        for card in table.cards(model):
            start = card.effective_from if since is None else max(card.effective_from, since)
            ends = [end for end in (card.effective_until, until) if end is not None]
            end = min(ends) if ends else None
            if end is None or start < end:
                yield start, end, self._plan(card, table)

    def _plan(self, card: RateCard, table: ProviderTable) -> PlannedCard:
        key = (id(table), card.card_id)
        found = self._planned.get(key)
        if found is None:
            found = self._planned.setdefault(key, PlannedCard(card, table))
        return found

    def _hits(self, model: str, provider: str | None) -> tuple[str, tuple[ProviderTable, ...]]:
        """Return the name as the tables write it, and the tables of one provider that have it, top first."""
        asked = (model, provider)
        before = self._unknown.get(asked)
        if before is not None:
            # A new one each time: an exception that is raised twice drags its old traceback along.
            raise PriceUnknown(before.message, **before.values)
        name = plain_name(model, path="model")
        known = None if provider is None else self._provider(provider, name)
        found = self._search(name, known)
        if found is None and "/" in name:
            head, _, tail = name.partition("/")
            owner = self._owner(head)
            if owner is not None and known in {None, owner}:
                found = self._search(tail, owner)
        if found is None:
            self._refuse(asked, name, known)
        return found

    def _search(self, name: str, provider: str | None) -> tuple[str, tuple[ProviderTable, ...]] | None:
        for form in forms(name):
            tables = [
                layer.table(owner)
                for layer in self._layers
                for owner in layer.lookup(form.name)
                if provider in {None, owner}
            ]
            if form.dated:
                tables = [table for table in tables if _takes_dates(table, form.name)]
            owners = {table.provider for table in tables}
            if len(owners) > 1:
                owners = {table.provider for table in tables if form.name.startswith(table.families)} or owners
            if len(owners) > 1:
                self._refuse_ambiguous(form.name, owners)
            if owners:
                return form.name, tuple(table for table in tables if table.provider in owners)
        return None

    def _owner(self, name: str) -> str | None:
        for layer in self._layers:
            owner = layer.providers_by_name.get(name)
            if owner is not None:
                return owner
        return None

    def _provider(self, provider: str, model: str) -> str:
        name = plain_name(provider, path="provider")
        owner = self._owner(name)
        if owner is None:
            known = self.providers
            raise PriceUnknown(
                f"no prices for provider {provider!r}; known: {', '.join(known)}; "
                f"a provider of your own can be added in a price table",
                provider=provider,
                model=model,
                at=None,
                nearest=tuple(get_close_matches(name, known, n=1)),
            )
        return owner

    def _refuse(self, asked: tuple[str, str | None], name: str, provider: str | None) -> NoReturn:
        known = sorted({known for layer in self._layers for known in layer.names(provider)})
        nearest = tuple(get_close_matches(name, known, n=3, cutoff=0.6))
        hint = f"; the nearest known: {', '.join(nearest)}" if nearest else ""
        where = f" of {provider}" if provider else ""
        error = PriceUnknown(
            f"no price is known for model {name!r}{where}{hint}; a model of your own can be added in a price table",
            provider=provider,
            model=name,
            at=None,
            nearest=nearest,
        )
        if len(self._unknown) >= _MOST_NAMES:
            self._unknown.clear()
        self._unknown[asked] = error
        raise error

    def _refuse_ambiguous(self, name: str, owners: set[str]) -> NoReturn:
        listed = ", ".join(sorted(owners))
        raise PriceUnknown(
            f"model {name!r} is sold by {listed} at their own prices; say which with provider=",
            provider=None,
            model=name,
            at=None,
            nearest=tuple(f"{owner}/{name}" for owner in sorted(owners)),
        )


def _takes_dates(table: ProviderTable, name: str) -> bool:
    return name in table.names and table.takes_dates(table.names[name])


def _target(table: ProviderTable, name: str, at: datetime | None) -> str:
    if name in table.names:
        return table.names[name]
    targets = table.moving[name]
    for target in reversed(targets):
        if at is None or instant_of(target["effective_from"]) <= at:
            return str(target["model"])
    return str(targets[0]["model"])


def _laid_over(top: list[_Span], below: list[_Span]) -> list[_Span]:
    """Put one table's spans over another's: the top wins where it has a card, the rest shows through."""
    far = datetime.max.replace(tzinfo=UTC)
    edges = sorted({edge for start, end, _ in (*top, *below) for edge in (start, end or far)})
    merged: list[_Span] = []
    for start, end in pairwise(edges):
        cards = [card for spans in (top, below) for begin, until, card in spans if begin <= start < (until or far)]
        if cards:
            merged.append((start, None if end == far else end, cards[0]))
    return merged
