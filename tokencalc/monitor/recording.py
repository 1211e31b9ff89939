"""What collectors gave goes into the ledger; what is lost on the way is counted, and told once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokencalc.errors import LedgerClosed, LedgerError, TokencalcError
from tokencalc.monitor.samples import bounded
from tokencalc.monitor.steady import Steady

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from tokencalc.clock import Clock
    from tokencalc.ledger.samples import SampleQueue
    from tokencalc.monitor.samples import MetricSink, Sample, Told


class Recorder:
    """Records samples in one ledger. Raises LedgerClosed alone; what else goes wrong is told.

    ``refused`` counts samples that the ledger did not take.
    """

    def __init__(self, sink: MetricSink, queue: SampleQueue, told: Told, clock: Clock) -> None:
        """Hand samples to the sink; the queue is where they wait to be written."""
        self._sink, self._queue, self._told, self._clock = sink, queue, told, clock
        self._steady = Steady()
        self._before = self._seen = queue.lost
        self.refused = 0

    @property
    def lost(self) -> int:
        """Samples that were not taken, or taken and then not written."""
        return self.refused + self._queue.lost - self._before

    def record(self, samples: Iterable[Sample], at: datetime, source: str) -> None:
        """Queue the samples of one collector."""
        now_s = self._clock.monotonic()
        wanted = [sample for sample in samples if self._steady.is_news(sample, now_s)]
        for place, sample in enumerate(wanted):
            try:
                # What the ledger drops under pressure is lost, and counted, as well.
                self.refused += not self._sink.record_metric(
                    sample.name, sample.value, at=at, labels=dict(sample.labels), source=source
                )
            except LedgerClosed:
                raise
            except LedgerError as error:
                # The next would fail as well, and each may wait for a disk.
                self.refused += len(wanted) - place
                self._told.tell("ledger", f"samples are lost: {error.message}; told once")
                return
            except TokencalcError as error:
                self.refused += 1
                self._told.tell(f"sample {bounded(sample.name)}", f"a sample is refused: {error.message}; told once")
        self._told.works("ledger")

    def write(self) -> None:
        """Have what waits written now, so that a disk that takes no samples is told of in the same round."""
        try:
            self._queue.flush()
        except LedgerClosed:
            raise
        except LedgerError as error:
            problem = error.message
        else:
            problem = self._queue.problem if self._queue.lost > self._seen else ""
        self._seen = self._queue.lost
        if problem:
            self._told.tell("written", f"samples are lost: {problem}; told once")
        else:
            self._told.works("written")
