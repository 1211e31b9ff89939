"""The writing of accepted price tables: each as a whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tokencalc.pricing.accepted import RECORD, Record, unusable

if TYPE_CHECKING:
    from collections.abc import Mapping


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
        raise unusable(folder, f"cannot be written ({error.strerror})") from error


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
