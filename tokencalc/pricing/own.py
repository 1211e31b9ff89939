"""The catalog that one user's settings make: our tables, what was accepted from updates, own files on top."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokencalc.config import Settings, default_price_folder
from tokencalc.errors import PriceTableInvalid
from tokencalc.pricing.accepted import accepted_tables
from tokencalc.pricing.catalog import Catalog

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def price_folder(settings: Settings) -> Path:
    """Return the folder of accepted price tables that the settings name, or the user's own."""
    return settings.price_folder or default_price_folder()


def updates_of(settings: Settings) -> tuple[Path, ...]:
    """Return the accepted tables that lie on top of ours.

    The default folder may be closed to us, as it is for a service that runs with another's HOME: then
    what is in there was not accepted by this user. A folder that the settings name has to open.
    """
    try:
        return accepted_tables(price_folder(settings))
    except PriceTableInvalid as error:
        if settings.price_folder is None and isinstance(error.__cause__, PermissionError):
            return ()
        raise


def catalog_with(settings: Settings, files: Sequence[Path] | None) -> Catalog:
    """Return the packaged tables with the accepted ones and then ``files`` on top; the shared catalog without any.

    None leaves accepted tables out as well: no file is read.
    """
    if files is None:
        return Catalog.packaged()
    updates = updates_of(settings)
    return Catalog.packaged().with_files(files, updates=updates) if files or updates else Catalog.packaged()
