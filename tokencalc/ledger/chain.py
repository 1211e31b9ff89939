"""The hash chain over entries: each digest covers its row and the digest before it.

An edited, removed or reordered row breaks the chain at that place, unless whoever
did it computed every later digest anew; nothing here is secret. A chain computed
anew, and a tail that was cut off, are found by comparing with a head that was kept
elsewhere (``verify --expect HEAD``).
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from tokencalc.ledger.records import DIMENSION_KEYS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokencalc.ledger.records import Dimension

_VERSION = b"tokencalc entry 1\n"
"""Names the form of the hashed bytes; a later form gets a number of its own."""


def first_digest(chain_id: str) -> bytes:
    """Return the digest before the first entry; it binds the chain to its ledger's id."""
    return hashlib.sha256(b"tokencalc chain 1\n" + chain_id.encode()).digest()


def entry_digest(previous: bytes, sequence: int, dimension: Dimension, columns: Sequence[object]) -> bytes:
    """Return the digest of one entry: SHA-256 over the previous digest and the row as stored.

    ``columns`` are kind, at_us, recorded_us, amount_pico, amount_source,
    caller_pico, unpriced, usage, lines, detail and corrects, as they stand in the table.
    """
    about = [*(getattr(dimension, key) for key in DIMENSION_KEYS), dimension.notional]
    text = json.dumps([sequence, about, *columns], separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(_VERSION + previous + text.encode()).digest()


def head_text(sequence: int, digest: bytes) -> str:
    """Return the chain's head as ``SEQUENCE:HEX``, to be kept elsewhere and handed to verify."""
    return f"{sequence}:{digest.hex()}"
