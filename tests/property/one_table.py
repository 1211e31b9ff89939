"""A catalog layer of one model of one card, for properties over random cards."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from tokencalc.pricing.build import ProviderTable
from tokencalc.pricing.schema import TableChecker

if TYPE_CHECKING:
    from collections.abc import Mapping


class OneTable:
    """A layer with one model of one card."""

    providers = ("acme",)
    providers_by_name: Mapping[str, str] = {"acme": "acme"}  # never changed
    checked_on = date.min

    def __init__(self, card: dict[str, Any]) -> None:
        """Check the card as a person's own table would be, and build it."""
        raw = {"provider": "acme", "model": [{"id": "rocket", "card": [card]}]}
        TableChecker("acme.toml", packaged=False).table(raw)
        self._table = ProviderTable(raw)

    def table(self, provider: str) -> ProviderTable:  # noqa: ARG002  # there is one
        """Return the table."""
        return self._table

    def lookup(self, name: str) -> tuple[str, ...]:
        """Find the one model."""
        return ("acme",) if name == "rocket" else ()

    def names(self, provider: str | None) -> tuple[str, ...]:  # noqa: ARG002  # there is one
        """Return the one name."""
        return ("rocket",)
