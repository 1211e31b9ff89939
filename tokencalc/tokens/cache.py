"""One bounded store of counts, shared by threads: by what counted, and by the hash of the whole text.

Only hashes are kept: a prompt never stays in memory because it was counted.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from tokencalc.tokens.result import CacheInfo, Counted

if TYPE_CHECKING:
    from collections.abc import Callable

COUNTS_MAX = 8192
"""Counts kept; about 2 MB when full."""

CHARS_MIN = 512
"""Shorter texts are counted anew: a miss costs 2 microseconds, which is a tenth and more of counting them."""

_Key = tuple[str, int, int]


class CountCache:
    """A bounded least-recently-used store of counts."""

    def __init__(self, counts_max: int = COUNTS_MAX) -> None:
        """Make an empty store for at most ``counts_max`` counts."""
        self._lock = threading.Lock()
        self._counts_max = counts_max
        self._counts: OrderedDict[_Key, Counted] = OrderedDict()
        self._hits = 0
        self._misses = 0

    def get_or_count(self, text: str, counter: str, count: Callable[[str, str], Counted], name: str) -> Counted:
        """Return ``count(text, name)``, from the store where the same text was counted by the same counter.

        Counting happens outside the lock: two threads that meet the same new
        text both count it, which is dearer once and never blocks the others.
        What ``count`` raises is raised, and nothing is kept.
        """
        if len(text) < CHARS_MIN:
            return count(text, name)
        key = (counter, *text_key(text))
        with self._lock:
            found = self._counts.get(key)
            if found is not None:
                self._hits += 1
                self._counts.move_to_end(key)
                return found
            self._misses += 1
        counted = count(text, name)
        with self._lock:
            self._counts[key] = counted
            if len(self._counts) > self._counts_max:
                self._counts.popitem(last=False)
        return counted

    def info(self) -> CacheInfo:
        """Return hits, misses and size so far."""
        with self._lock:
            return CacheInfo(self._hits, self._misses, len(self._counts))


def text_key(text: str) -> tuple[int, int]:
    """Return the length of a text and Python's hash of the whole of it: SipHash by this process's secret key.

    64 bits are few for a file's name and plenty for 8,192 counts: a wrong hit is one in 2e15. A cryptographic hash
    would take a third of the time that fastokens counts in. Not ``hash(text)``, which a subclass may answer itself.
    """
    return len(text), str.__hash__(text)
