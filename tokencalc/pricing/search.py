"""From a name to the tables that have it: one provider's, or an error that names the nearest known names."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, NoReturn

from tokencalc.errors import PriceUnknown
from tokencalc.pricing.layers import ImportedLayer, PackagedLayer
from tokencalc.pricing.names import forms, plain_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokencalc.pricing.build import ProviderTable
    from tokencalc.pricing.layers import Layer

MOST_NAMES = 4096
"""How many different names are remembered, known and unknown ones each; callers hand in what they like."""


class Search:
    """Finds names in layers of tables; remembers what it did not find, because lists of nearest names are dear."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        """Search these layers, the one that wins first."""
        self._layers = tuple(layers)
        self._imported = tuple(layer for layer in layers if isinstance(layer, ImportedLayer))
        self._first = tuple(layer for layer in layers if not isinstance(layer, ImportedLayer))
        self._curated = {name for layer in layers if isinstance(layer, PackagedLayer) for name in layer.providers}
        self._unknown: dict[tuple[str, tuple[str | None, ...]], PriceUnknown] = {}

    def hits(self, model: str, provider: str | None) -> tuple[str, tuple[ProviderTable, ...]]:
        """Return the name as the tables write it, and the tables of one provider that have it, top first."""
        name = plain_name(model, path="model")
        owners = (None,) if provider is None else self._owners(provider, name)
        before = self._unknown.get((name, owners))
        if before is not None:
            # A new one each time: an exception that was raised holds on to the frames it came through.
            raise PriceUnknown(before.message, **before.values)
        for owner in owners:
            found = self._search(name, owner) if owner is not None or "/" not in name else None
            found = found or self._behind_a_path(name, owner)
            if found is not None:
                return found
        return self._refuse(name, owners)

    def _behind_a_path(self, name: str, known: str | None) -> tuple[str, tuple[ProviderTable, ...]] | None:
        """Look for a name whose first part may be its provider's: that provider is meant, not one who resells it."""
        head, slash, tail = name.partition("/")
        owner = self._owner(head) if slash else None
        if known is not None:
            return self._search(tail, owner) if owner == known else None
        if not slash:
            return None
        found = self._search_in(self._first, name, None)
        if found is None and owner is not None:
            return self._search(tail, owner) or self._search(name, owner)
        return found or self._search(name, None)

    def _search(self, name: str, provider: str | None) -> tuple[str, tuple[ProviderTable, ...]] | None:
        """Look in the curated tables and people's own first; in imported ones for what those do not know."""
        found = self._search_in(self._first, name, provider)
        if found is None:
            return self._search_in(self._imported, name, provider)
        known, tables = found
        owner = tables[0].provider
        if owner not in self._curated:
            # A table of one's own about a seller whose list was imported lies on top of that list.
            below = [layer for layer in self._imported if owner in layer.lookup(known)]
            tables += tuple(layer.table(owner) for layer in below)
        return known, tables

    def _search_in(
        self, layers: Sequence[Layer], name: str, provider: str | None
    ) -> tuple[str, tuple[ProviderTable, ...]] | None:
        for form in forms(name):
            tables = [
                layer.table(owner) for layer in layers for owner in layer.lookup(form.name) if provider in {None, owner}
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
        return next(iter(self._sellers(name)), None)

    def _sellers(self, name: str) -> tuple[str, ...]:
        found = (layer.providers_by_name.get(name) for layer in self._layers)
        return tuple(dict.fromkeys(owner for owner in found if owner is not None))

    def _owners(self, provider: str, model: str) -> tuple[str, ...]:
        """Return the providers that go by a name: vertex is Google's list first, then what only Vertex sells."""
        owners = self._sellers(plain_name(provider, path="provider"))
        return owners or (self.provider(provider, model),)

    def provider(self, provider: str, model: str) -> str:
        """Return the id of a provider by any of its names; PriceUnknown, about ``model``, for an unknown one."""
        name = plain_name(provider, path="provider")
        owner = self._owner(name)
        if owner is None:
            known = sorted({name for layer in self._layers for name in layer.providers})
            nearest = get_close_matches(name, known, n=3)
            hint = f"; the nearest known: {', '.join(nearest)}" if nearest else ""
            raise PriceUnknown(
                f"no prices for provider {provider!r}{hint}; {len(known)} are known; "
                f"a provider of your own can be added in a price table",
                provider=provider,
                model=model,
                at=None,
                nearest=tuple(nearest[:1]),
            )
        return owner

    def _refuse(self, name: str, owners: tuple[str | None, ...]) -> NoReturn:
        provider = owners[0]
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
        if len(self._unknown) >= MOST_NAMES:
            self._unknown.clear()
        self._unknown[name, owners] = error
        raise PriceUnknown(error.message, **error.values)

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
