"""Usages as they would be: by another model, under an output cap, with a cache, without one."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from tokencalc.reports.saving import without_cache
from tokencalc.usage import CACHE_READ_METERS, CACHE_WRITE_METERS, Meter, Usage

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime


__all__ = ["by_another_model", "can_be_cached", "cap_for", "warm_calls", "with_cache", "with_cap", "without_cache"]

CACHE_LIVES = timedelta(minutes=5)
"""The shortest life of a provider's cache, anew with each read."""
KEPT_PERCENT = 95
"""How many calls in a hundred an output cap leaves as they are."""


def by_another_model(usage: Usage) -> Usage:
    """Return the usage as another model's: served in the same tier, region and speed, which have prices of their own.

    A model without a price for them has none for this call.
    """
    return Usage.from_leaves(
        usage.leaves,
        service_tier=usage.service_tier,
        region=usage.region,
        speed=usage.speed,
        conditions=usage.conditions,
    )


def cap_for(output_tokens: Sequence[int]) -> int:
    """Return the 95th percentile of outputs, by the nearest rank: the least that so many calls keep to."""
    rank = -(-KEPT_PERCENT * len(output_tokens) // 100)
    return sorted(output_tokens)[rank - 1]


def with_cap(usage: Usage, cap_tokens: int) -> Usage:
    """Return the usage with its output cut: first the text, which comes last, then the reasoning before it."""
    over = max(0, usage.output_tokens - cap_tokens)
    leaves = dict(usage.leaves)
    for meter in (Meter.OUTPUT, Meter.REASONING):
        cut = min(over, int(leaves.get(meter, 0)))
        if cut:
            leaves[meter] = leaves[meter] - cut
            over -= cut
    return usage.replace(leaves=leaves)


def can_be_cached(usage: Usage, from_tokens: int) -> bool:
    """Whether a usage touched no cache, and half of its plain input is enough for one."""
    cached = any(meter in CACHE_READ_METERS | CACHE_WRITE_METERS for meter, _ in usage.leaves)
    return not cached and int(usage.quantity(Meter.INPUT)) // 2 >= from_tokens


def with_cache(usage: Usage, *, is_warm: bool) -> Usage:
    """Return the usage with half of its plain input read from a cache, or, where it is cold, written for 5 minutes."""
    leaves = dict(usage.leaves)
    half = int(leaves.get(Meter.INPUT, 0)) // 2
    leaves[Meter.INPUT] = leaves.get(Meter.INPUT, 0) - half
    leaves[Meter.CACHE_READ if is_warm else Meter.CACHE_WRITE_5M] = half
    return usage.replace(leaves=leaves)


def warm_calls(calls: Iterable[tuple[int, datetime]]) -> frozenset[int]:
    """Return the numbers of the calls that came within a cache's life of the call before them."""
    found = []
    before: datetime | None = None
    for number, at in sorted(calls, key=lambda call: (call[1], call[0])):
        if before is not None and at - before < CACHE_LIVES:
            found.append(number)
        before = at
    return frozenset(found)
