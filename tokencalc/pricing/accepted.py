"""The folder of price tables that the user accepted from `prices update`, and the record of their cards.

One table for each provider, ``openai.toml``, lies there; `Engine.open` puts them on
top of the packaged tables. ``accepted.json`` keeps the digest of every card by file,
so that `prices check` finds an edit. Removing a table undoes its updates.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tokencalc.errors import PriceTableInvalid

if TYPE_CHECKING:
    from pathlib import Path

RECORD = "accepted.json"

Record = dict[str, dict[str, str]]
"""Digests by card id, by the absolute path of the file that the cards stood in."""


def accepted_tables(folder: Path) -> tuple[Path, ...]:
    """Return the accepted tables, in the order of their names; none where the folder is not there."""
    try:
        return tuple(sorted(path for path in folder.iterdir() if path.suffix == ".toml" and path.name[0] != "."))
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        raise unusable(folder, f"cannot be read ({error.strerror})") from error


def read_record(folder: Path) -> Record:
    """Return the record of accepted cards; empty where nothing was accepted yet."""
    path = folder / RECORD
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:
        raise unusable(path, f"cannot be read: {error}") from error
    files = found.get("files") if isinstance(found, dict) else None
    if not isinstance(files, dict) or not all(_is_digests(digests) for digests in files.values()):
        raise unusable(path, "is no record of accepted price cards; remove it to begin a new one")
    return files


def _is_digests(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(digest, str) for digest in value.values())


def unusable(path: Path, why: str) -> PriceTableInvalid:
    """Return the error for a file or folder of accepted prices that cannot be used."""
    return PriceTableInvalid(f"{path}: {why}", file=str(path), path="", found=None)
