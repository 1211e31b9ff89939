"""The two price tables of a simulation, the model's `RATES` as the package reads them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from tests.contract.tables import write_table
from tests.simulation.model import RATES
from tokencalc.pricing.catalog import Catalog

if TYPE_CHECKING:
    from tokencalc import Engine


_folder = TemporaryDirectory()


@cache
def table_file(table: str) -> Path:
    """Return the file of one of the tables; a rate per million tokens is pico-dollars over a million."""
    rates = {}
    for model, (rate_in, rate_out) in RATES[table].items():
        rates[model] = {"input_per_mtok": f"{rate_in / 10**6:f}"}
        if rate_out is not None:
            rates[model]["output_per_mtok"] = f"{rate_out / 10**6:f}"
    return write_table(Path(_folder.name), rates)


@cache
def catalog(table: str) -> Catalog:
    """Return the packaged tables with one of ours on top."""
    return Catalog.packaged().with_files([table_file(table)])


def give_prices(engine: Engine, table: str) -> None:
    """Give an open engine one of the tables, as if it had been opened with it."""
    engine.catalog = catalog(table)
    object.__setattr__(engine.verbs.drafts, "catalog", engine.catalog)
