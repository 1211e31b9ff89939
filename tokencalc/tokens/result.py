"""What a count answers: a number, how it was found, and the range that the true one lies in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

Method = Literal["exact", "modelled", "estimated"]
"""``exact``: the provider's own vocabulary and nothing assumed. ``modelled``: that vocabulary inside an envelope
that was measured, not published. ``estimated``: measured factors from another vocabulary."""

_CERTAINTY: tuple[Method, ...] = ("exact", "modelled", "estimated")


class Counted(NamedTuple):
    """One text's count inside this room; cheap to make and to keep."""

    tokens: int
    low: int
    high: int
    method: Method


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCount:
    """Input tokens of a text or of messages, as far as they can be known before the call.

    ``low`` and ``high`` bound what can be counted; who reserves money takes
    ``high``. ``unaccounted`` names what is in the request and in no number here
    (images, documents, reasoning signatures): the range does not cover it.
    """

    tokens: int
    method: Method
    low: int
    high: int
    unaccounted: tuple[str, ...] = ()


class CacheInfo(NamedTuple):
    """How the store of counts did so far: lookups answered, lookups not answered, counts kept."""

    hits: int
    misses: int
    size: int


def least_certain(*methods: Method) -> Method:
    """Return the weakest of the given methods, because a sum is as sure as its weakest part."""
    return max(methods, key=_CERTAINTY.index, default="exact")
