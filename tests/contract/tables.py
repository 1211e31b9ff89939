"""Price tables of a test's own: a provider "acme" with the rates that the test names."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from tokencalc.pricing.catalog import Catalog

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tokencalc import Engine

    Rates = Mapping[str, str]

_numbers = count()

_MODEL = """
[[model]]
id = "{model}"
aliases = ["{model}-latest"]
[[model.card]]
effective_from = 2025-01-01
rates = {{ {rates} }}
source = "https://acme.example/prices"
checked_on = 2026-11-01
"""
_BATCH = """
[[model.card.variants]]
when = {{ processing = "batch" }}
rates = {{ {rates} }}
"""


def write_table(folder: Path, models: Mapping[str, Rates], batch: Mapping[str, Rates] | None = None) -> Path:
    """Write a table of models, each with its rates by key ("input_per_mtok"), and those of batches."""
    text = 'provider = "acme"\nname = "Acme"\n[standard]\nprocessing = ["sync"]\n'
    for model, rates in models.items():
        text += _MODEL.format(model=model, rates=_rates(rates))
        if batch is not None and model in batch:
            text += _BATCH.format(rates=_rates(batch[model]))
    path = folder / f"acme-{next(_numbers)}.toml"
    path.write_text(text, encoding="utf-8")
    return path


def use_prices(
    engine: Engine, folder: Path, models: Mapping[str, Rates], batch: Mapping[str, Rates] | None = None
) -> None:
    """Give an open engine other tables, as if it had been opened with them."""
    tables = Catalog.packaged().with_files([write_table(folder, models, batch)])
    engine.catalog = tables
    object.__setattr__(engine.verbs.drafts, "catalog", tables)


def _rates(rates: Rates) -> str:
    return ", ".join(f'{key} = "{usd}"' for key, usd in rates.items())
