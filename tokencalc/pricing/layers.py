"""Layers of tables under one catalog: what the package ships, and files of the user's own."""

from __future__ import annotations

from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from tokencalc.pricing.loader import packaged_index, packaged_table, read_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from tokencalc.pricing.build import ProviderTable


class Layer(Protocol):
    """A set of tables, at most one for each provider."""

    @property
    def providers(self) -> tuple[str, ...]:
        """The ids of the providers in this layer."""

    @property
    def providers_by_name(self) -> Mapping[str, str]:
        """Provider ids by every name that a provider goes by, ids included."""

    @property
    def checked_on(self) -> date:
        """The day of the newest check; the first day there is where a layer does not say."""

    def table(self, provider: str) -> ProviderTable:
        """Return one provider's table."""

    def lookup(self, name: str) -> tuple[str, ...]:
        """Return the providers that list exactly this name."""

    def names(self, provider: str | None) -> Iterable[str]:
        """Return all names, or one provider's."""


class PackagedLayer:
    """The tables that travel with the package; each is read when its provider is first needed."""

    def __init__(self, index_name: str = "index") -> None:
        """Read the index only."""
        index = packaged_index(index_name)
        self._names: dict[str, str] = index["names"]
        self._tables: dict[str, ProviderTable] = {}
        self.providers = tuple(index["providers"])
        self.providers_by_name: dict[str, str] = {
            name: provider for provider, names in index["providers"].items() for name in (provider, *names)
        }
        self.checked_on = date.fromisoformat(index["checked_on"])

    def table(self, provider: str) -> ProviderTable:
        """Return one provider's table, reading it once."""
        found = self._tables.get(provider)
        if found is None:
            found = self._tables.setdefault(provider, packaged_table(provider))
        return found

    def lookup(self, name: str) -> tuple[str, ...]:
        """Return the providers that list exactly this name, without reading their tables."""
        return tuple(self._names.get(name, "").split())

    def names(self, provider: str | None) -> Iterable[str]:
        """Return all names, or one provider's."""
        return (name for name, owners in self._names.items() if provider is None or provider in owners.split())


class ImportedLayer:
    """The packaged tables that were taken over from public sets: looked at only where the curated ones have no answer.

    The index is read when it is first needed, so that a program whose models are all curated never pays for it.
    """

    @cached_property
    def _tables(self) -> PackagedLayer:
        return PackagedLayer("imported")

    @property
    def providers(self) -> tuple[str, ...]:
        """The ids of the providers whose tables were imported."""
        return self._tables.providers

    @property
    def providers_by_name(self) -> Mapping[str, str]:
        """Provider ids by every name that a provider goes by."""
        return self._tables.providers_by_name

    @property
    def checked_on(self) -> date:
        """Nobody compared these with the providers' lists."""
        return date.min

    def table(self, provider: str) -> ProviderTable:
        """Return one provider's table."""
        return self._tables.table(provider)

    def lookup(self, name: str) -> tuple[str, ...]:
        """Return the providers that list exactly this name."""
        return self._tables.lookup(name)

    def names(self, provider: str | None) -> Iterable[str]:
        """Return all names, or one provider's."""
        return self._tables.names(provider)


class FileLayer:
    """One price table file of the user's own."""

    checked_on = date.min

    def __init__(self, path: Path, *, is_update: bool = False) -> None:
        """Read and check the file; ``is_update`` where `prices update` wrote it."""
        self._table = read_table(path)
        self._table.is_update = is_update
        self.provider = self._table.provider
        self.providers = (self.provider,)
        self.providers_by_name = dict.fromkeys((self.provider, *self._table.aliases), self.provider)

    def table(self, provider: str) -> ProviderTable:  # noqa: ARG002  # the layer has one
        """Return the file's one table."""
        return self._table

    def lookup(self, name: str) -> tuple[str, ...]:
        """Return the file's provider where it lists exactly this name."""
        return (self.provider,) if name in self._table.names or name in self._table.moving else ()

    def names(self, provider: str | None) -> Iterable[str]:
        """Return all names of the file where it is about this provider."""
        return (*self._table.names, *self._table.moving) if provider in {None, self.provider} else ()
