"""Discounts of a contract: a true factor on what lies below the user's own file, between two instants.

A discount holds for a provider's whole list or for named models and meters. It is
off what lies below its file (the list, what was accepted from updates, other
files); cards in the same file are contracted prices already and stay as written.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from tokencalc.pricing.units import instant_of
from tokencalc.usage import TOKEN_METERS, Meter

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Discount:
    """A factor on the rates of ``meters`` (None: all of them) of ``models`` (None: all) of a provider.

    0.88 is 12 % off. Half-open: it holds from its first instant up to, not including, its last.
    """

    provider: str
    factor: Decimal
    effective_from: datetime
    effective_until: datetime | None
    models: frozenset[str] | None
    meters: frozenset[Meter] | None
    note: str | None
    file: str | None

    def holds(self, at: datetime) -> bool:
        """Tell whether the discount is in force at an instant."""
        return self.effective_from <= at and (self.effective_until is None or at < self.effective_until)

    def __str__(self) -> str:
        """Say the factor and where it comes from, as a cost's notes do: ``x 0.88 since 2026-01-01: contract 17``."""
        about = self.note or "a discount of your own"
        return f"x {self.factor} since {self.effective_from:%Y-%m-%d}: {about} ({PurePath(self.file or '').name})"


def discounts_of(raw: Mapping[str, Any], file: str | None) -> tuple[Discount, ...]:
    """Return the discounts of a table that passed the checker."""
    return tuple(_discount(raw["provider"], item, file) for item in raw.get("discount", ()))


def _discount(provider: str, raw: Mapping[str, Any], file: str | None) -> Discount:
    end, meters = raw.get("effective_until"), raw.get("meters")
    return Discount(
        provider=provider,
        factor=Decimal(raw["factor"]),
        effective_from=instant_of(raw["effective_from"]),
        effective_until=None if end is None else instant_of(end),
        models=frozenset(raw["models"]) if "models" in raw else None,
        meters=TOKEN_METERS if meters == "tokens" else frozenset(Meter(meter) for meter in meters) if meters else None,
        note=raw.get("note"),
        file=file,
    )
