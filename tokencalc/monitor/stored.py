"""Samples of all processes, back from the ledger: what a screen shows of their limiters."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

from tokencalc.monitor.samples import Sample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from tokencalc.engine import Engine
    from tokencalc.ledger.samples import Sample as Stored

LATELY = timedelta(minutes=2)
"""Figures of limiters that are older say nothing about now: their process has ended, or hangs."""

_MOST_SAMPLES = 500

# Of several processes with the same limiter, a screen shows the one that fares worst.
_WORST: dict[str, Callable[[float, float], float]] = {
    "limiter.fill": min,
    "limiter.success_rate": min,
    "limiter.block_rate": max,
    "limiter.wait_mean_s": max,
    "limiter.health": max,
    "breaker.state": max,
}


class Histories(Protocol):
    """What gives stored samples back, the newest first: an engine."""

    def metric_history(self, name: str, *, since: datetime, limit: int) -> Iterable[Stored]:
        """Yield a metric's samples since an instant."""


def latest_limiter_samples(engine: Engine) -> tuple[Sample, ...]:
    """Return the newest samples that processes recorded of their limiters and breakers in the last two minutes."""
    return tuple(newest_of_limiters(engine, engine.clock.now()))


def newest_of_limiters(histories: Histories, now: datetime) -> Iterable[Sample]:
    """Yield one sample for each figure of each limiter: the newest of each process, and of these the worst."""
    for name, worst in _WORST.items():
        newest: dict[tuple[Any, ...], Stored] = {}
        for stored in histories.metric_history(name, since=now - LATELY, limit=_MOST_SAMPLES):
            newest.setdefault((stored.host, stored.process, *sorted(stored.labels.items())), stored)
        found: dict[tuple[tuple[str, str], ...], float] = {}
        for stored in newest.values():
            labels = tuple(sorted(stored.labels.items()))
            found[labels] = worst(found[labels], stored.value) if labels in found else stored.value
        for labels, value in found.items():
            yield Sample(name, value, dict(labels))
