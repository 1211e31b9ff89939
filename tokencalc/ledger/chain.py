"""The hash chain over entries: each digest covers its row and the digest before it.

An edited, removed or reordered row breaks the chain at that place, unless whoever
did it computed every later digest anew; nothing here is secret. A chain computed
anew, and a tail that was cut off, are found by comparing with a head that was kept
elsewhere (``verify --expect HEAD``).

The hashed bytes are one line for each value: first how many of the columns are
empty, so that nothing written into an empty one goes unseen; then the place, the
dimension as JSON and the columns. No value that we write holds a line break.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokencalc.ledger.records import Dimension

_VERSION = b"tokencalc entry 1\n"
"""Names the form of the hashed bytes; a later form gets a number of its own."""


def first_digest(chain_id: str) -> bytes:
    """Return the digest before the first entry; it binds the chain to its ledger's id."""
    return hashlib.sha256(b"tokencalc chain 1\n" + chain_id.encode()).digest()


def entry_digest(previous: bytes, sequence: int, dimension: Dimension, columns: tuple[object, ...]) -> bytes:
    """Return the digest of one entry: SHA-256 over the previous digest and the row as stored.

    ``columns`` are kind, at_us, recorded_us, amount_pico, amount_source, caller_pico,
    unpriced, the basis as text, usage, lines, detail and corrects, as they stand in the table.
    """
    values = "\n".join(map(str, columns))
    text = f"{columns.count(None)}\n{sequence}\n{_dimension_text(dimension)}\n{values}"
    # What SQLite cannot store it refuses itself, with the row's other columns.
    return hashlib.sha256(_VERSION + previous + text.encode("utf-8", "surrogatepass")).digest()


@lru_cache(maxsize=4096)
def _dimension_text(dimension: Dimension) -> str:
    return json.dumps([*dimension[:-1], bool(dimension.notional)], separators=(",", ":"))


def head_text(sequence: int, digest: bytes) -> str:
    """Return the chain's head as ``SEQUENCE:HEX``, to be kept elsewhere and handed to verify."""
    return f"{sequence}:{digest.hex()}"
