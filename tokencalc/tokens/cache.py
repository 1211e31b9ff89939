"""One bounded store of counts, shared by threads: by what counted, and by the hash of the whole text.

Only digests are kept: a prompt never stays in memory because it was counted.
"""

from __future__ import annotations

import threading
from hashlib import blake2b
from typing import TYPE_CHECKING

from cachetools import LRUCache

from tokencalc.tokens.result import CacheInfo, Counted

if TYPE_CHECKING:
    from collections.abc import Callable

COUNTS_MAX = 8192
"""Counts kept; about 2 MB when full."""

CHARS_MIN = 512
"""Shorter texts are counted anew: a miss costs 5 microseconds, which is a fifth and more of counting them."""

_CHUNK_CHARS = 1 << 20

_Key = tuple[str, bytes]


class CountCache:
    """A bounded least-recently-used store of counts."""

    def __init__(self, counts_max: int = COUNTS_MAX) -> None:
        """Make an empty store for at most ``counts_max`` counts."""
        self._lock = threading.Lock()
        self._counts: LRUCache[_Key, Counted] = LRUCache(counts_max)
        self._hits = 0
        self._misses = 0

    def get_or_count(self, text: str, counter: str, count: Callable[[str, str], Counted], name: str) -> Counted:
        """Return ``count(text, name)``, from the store where the same text was counted by the same counter.

        Counting happens outside the lock: two threads that meet the same new
        text both count it, which is dearer once and never blocks the others.
        Raises UnicodeEncodeError for a text with a lone surrogate.
        """
        if len(text) < CHARS_MIN:
            text.encode()
            return count(text, name)
        key = (counter, digest(text))
        with self._lock:
            found = self._counts.get(key)
            if found is not None:
                self._hits += 1
                return found
            self._misses += 1
        counted = count(text, name)
        with self._lock:
            self._counts[key] = counted
        return counted

    def info(self) -> CacheInfo:
        """Return hits, misses and size so far."""
        with self._lock:
            return CacheInfo(self._hits, self._misses, len(self._counts))


def digest(text: str) -> bytes:
    """128-bit hash of a whole text of valid characters; long texts are encoded chunk by chunk."""
    if len(text) <= _CHUNK_CHARS:
        return blake2b(text.encode(), digest_size=16).digest()
    state = blake2b(digest_size=16)
    for start in range(0, len(text), _CHUNK_CHARS):
        state.update(text[start : start + _CHUNK_CHARS].encode())
    return state.digest()
