"""Counts of a text's parts, summed; no panic of a tokenizer gets past here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokencalc.tokens.result import Counted

if TYPE_CHECKING:
    from collections.abc import Callable

FORCED_CUT_TOKENS = 64
"""Allowed each way for a cut inside one part; the largest difference that we measured is below a quarter of it."""


def count_or_none(count: Callable[[str], int], text: str) -> int | None:
    """Return ``count(text)``, or None where the tokenizer panics; every other error is raised as it is."""
    try:
        return count(text)
    except BaseException as error:  # bulk: a panic in Rust arrives as a BaseException that no module exports
        if type(error).__name__ != "PanicException":
            raise
        return None


class Summing:
    """The tokens of the parts so far, and how many of the cuts between them were inexact."""

    __slots__ = ("_cuts", "_tokens")

    def __init__(self) -> None:
        """Begin at nothing."""
        self._tokens = self._cuts = 0

    def add(self, count: Callable[[str], int], text: str) -> None:
        """Add a part; what the tokenizer cannot take in one go is counted by halves, which is inexact."""
        tokens = count_or_none(count, text)
        if tokens is not None:
            self._tokens += tokens
            return
        self._cuts += 1
        middle = len(text) // 2
        if not middle:
            self._tokens += len(text.encode())
            return
        self.add(count, text[:middle])
        self.add(count, text[middle:])

    def cut(self, *, forced: bool) -> None:
        """Note the cut after the last part; a forced one is inexact."""
        self._cuts += forced

    def counted(self) -> Counted:
        """Return the sum: exact without an inexact cut, else modelled with room for each."""
        slack = self._cuts * FORCED_CUT_TOKENS
        low, high = max(self._tokens - slack, 0), self._tokens + slack
        return Counted(self._tokens, low, high, "modelled" if self._cuts else "exact")
