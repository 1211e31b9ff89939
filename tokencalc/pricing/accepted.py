"""The folder of price tables that the user accepted from `prices update`, and the record of their cards.

One table for each provider, ``openai.toml``, lies there; `Engine.open` puts them on
top of the packaged tables. ``accepted.json`` keeps the digest of every card by file,
so that `prices check` finds an edit. Removing a table undoes its updates.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tokencalc.errors import PriceTableInvalid

if TYPE_CHECKING:
    from collections.abc import Mapping

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
        raise _unusable(folder, f"cannot be read ({error.strerror})") from error


def read_record(folder: Path) -> Record:
    """Return the record of accepted cards; empty where nothing was accepted yet."""
    path = folder / RECORD
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:
        raise _unusable(path, f"cannot be read: {error}") from error
    files = found.get("files") if isinstance(found, dict) else None
    if not isinstance(files, dict) or not all(_is_digests(digests) for digests in files.values()):
        raise _unusable(path, "is no record of accepted price cards; remove it to begin a new one")
    return files


def _is_digests(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(digest, str) for digest in value.values())


def write_accepted(folder: Path, tables: Mapping[Path, str], record: Record) -> None:
    """Write tables and their record, each as a whole or not at all; the tables first.

    Should the record be lost in between, cards are merely not recorded yet. Folder
    0700, files 0600: contracts are nobody else's business.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path, text in tables.items():
            _replace(path, text)
        _replace(folder / RECORD, json.dumps({"files": record}, indent=1, sort_keys=True) + "\n")
    except OSError as error:
        raise _unusable(folder, f"cannot be written ({error.strerror})") from error


def _replace(path: Path, text: str) -> None:
    # mkstemp makes the file 0600; a reader sees the old table or the new one, never half of it.
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:  # bulk: whatever interrupts the writing, no half file stays behind
        Path(name).unlink(missing_ok=True)
        raise


def _unusable(path: Path, why: str) -> PriceTableInvalid:
    return PriceTableInvalid(f"{path}: {why}", file=str(path), path="", found=None)
