"""Figures that hardly ever change are recorded when they do, and now and then: not 2,880 times a day."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokencalc.monitor.samples import Sample

AGAIN_S = 600
"""After so many seconds a figure that did not change is recorded all the same."""

_STEADY = ("_total_bytes", "_limit_bytes", "_limit_cores", "_logical_count", "_physical_count", "_mhz")


class Steady:
    """Remembers the steady figures that were recorded; their number is that of a machine's parts."""

    def __init__(self) -> None:
        """Start with nothing recorded."""
        self._recorded: dict[tuple[str, tuple[str, ...]], tuple[float, float]] = {}

    def is_news(self, sample: Sample, now_s: float) -> bool:
        """Tell whether to record a sample: always for what moves; note it as recorded."""
        if not sample.name.endswith(_STEADY):
            return True
        series = (sample.name, tuple(sorted(sample.labels.values())))
        before = self._recorded.get(series)
        if before is not None and before[0] == sample.value and now_s - before[1] < AGAIN_S:
            return False
        self._recorded[series] = (sample.value, now_s)
        return True
