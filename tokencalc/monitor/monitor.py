"""`Monitor`: all collectors together, on one thread, into one ledger.

::

    with Engine.open("usage.db") as engine, Monitor(engine):
        ...

    async with Monitor(engine) as monitor:
        monitor.get_current_metrics()["resource_metrics"]["cpu_percent"]

Every 30 seconds by default. Whatever breaks (a sensor, a callback, the disk) is told
once and survived; the calls of the program are never touched.
"""

from __future__ import annotations

import asyncio
import os
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from tokencalc.async_engine import AsyncEngine
from tokencalc.errors import CallInvalid, LedgerClosed, LedgerError, TokencalcError
from tokencalc.limits.locks import own_lock
from tokencalc.monitor.current import current_metrics, limiter_summary
from tokencalc.monitor.lease import HostLease
from tokencalc.monitor.limiter import LimiterCollector
from tokencalc.monitor.operations import PerformanceCollector
from tokencalc.monitor.resource import ProcessCollector, ResourceCollector
from tokencalc.monitor.samples import Sample, Told, bounded, failure_text
from tokencalc.monitor.steady import Steady
from tokencalc.monitor.tracking import operations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime
    from threading import Lock
    from types import TracebackType

    from tokencalc.clock import Clock
    from tokencalc.engine import Engine
    from tokencalc.monitor.limiter import SomeBreakers, SomeLimiters
    from tokencalc.monitor.operations import Operations
    from tokencalc.monitor.samples import Collector, MetricSink

EVERY_S = 30
"""Seconds between two collections, where nothing else is said."""

_LONGEST_EVERY_S = 24 * 3600
_STOP_WAIT_S = 10


class Monitor:
    """Runs the collectors of one process, started and stopped together; a context manager, plain and async.

    ``listeners`` are handed the samples of each collection. ``pumps`` are called with the instant after each,
    for work that waits in the ledger, such as alerts that are to be delivered. ``limiters`` and ``breakers``
    are what there is, or functions that say so at each collection. ``collectors`` replaces the usual four.
    """

    lock: Lock

    def __init__(  # noqa: PLR0913  # each is one thing that is handed in
        self,
        engine: Engine | AsyncEngine,
        *,
        every_s: float = EVERY_S,
        limiters: SomeLimiters = (),
        breakers: SomeBreakers | None = None,
        operations: Operations = operations,
        collectors: Sequence[Collector] | None = None,
        listeners: Sequence[Callable[[tuple[Sample, ...]], object]] = (),
        pumps: Sequence[Callable[[datetime], object]] = (),
        clock: Clock | None = None,
        sink: MetricSink | None = None,
        host: str | None = None,
    ) -> None:
        """Be ready to start; CallInvalid for an interval that is no number of seconds from above 0 to a day."""
        if isinstance(every_s, bool) or not isinstance(every_s, int | float) or not 0 < every_s <= _LONGEST_EVERY_S:
            raise CallInvalid(
                f"every_s: expected seconds above 0 and up to {_LONGEST_EVERY_S}, found {every_s!r:.60}",
                path="every_s",
                found=every_s,
            )
        self.engine: Engine = engine.engine if isinstance(engine, AsyncEngine) else engine
        self.every_s = every_s
        self._clock = self.engine.clock if clock is None else clock
        self._operations = operations
        self.collectors: tuple[Collector, ...] = (
            (
                ResourceCollector(clock=self._clock),
                ProcessCollector(clock=self._clock),
                LimiterCollector(limiters, breakers),
                PerformanceCollector(operations),
            )
            if collectors is None
            else tuple(collectors)
        )
        self._listeners, self._pumps = tuple(listeners), tuple(pumps)
        self._sink: MetricSink = self.engine if sink is None else sink
        self._lease = HostLease(self.engine.path, host=host)
        self._told = Told()
        self._steady = Steady()
        self._latest: tuple[Sample, ...] = ()
        self._collected_at: datetime | None = None
        self.lost = 0
        self.forked()
        own_lock(self)

    def forked(self) -> None:
        """Be stopped: the child of a fork does not have its parent's thread."""
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._gate = threading.Lock()

    # start and stop

    @property
    def is_running(self) -> bool:
        """Whether the thread collects."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def records_host(self) -> bool:
        """Whether this process is the one that records the machine's figures."""
        return self._lease.is_held

    def start(self) -> Self:
        """Collect now and every ``every_s`` seconds, on a thread of its own; a second start does nothing."""
        with self._gate:
            if not self.is_running:
                self._stop = threading.Event()
                self._thread = threading.Thread(
                    target=self._run, args=(self._stop,), name="tokencalc-monitor", daemon=True
                )
                self._thread.start()
        return self

    def stop(self) -> None:
        """Collect once more, and end; a second stop does nothing. Waits at most ten seconds for a stuck sensor."""
        with self._gate:
            thread, self._thread = self._thread, None
            self._stop.set()
        # A listener may be the one that stops, and cannot wait for its own thread.
        if thread is not None and thread is not threading.current_thread():
            thread.join(_STOP_WAIT_S)
            if thread.is_alive():
                self._told.tell("stop", "the monitor's thread hangs in a sensor; it ends when that answers")

    async def start_async(self) -> Self:
        """Do the same as `start`, for code that awaits."""
        return self.start()

    async def stop_async(self) -> None:
        """Stop without holding up the event loop."""
        await asyncio.to_thread(self.stop)

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    async def __aenter__(self) -> Self:
        """Start."""
        return self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        await self.stop_async()

    def _run(self, stop: threading.Event) -> None:
        due_s = self._clock.monotonic()
        process = os.getpid()
        try:
            while not stop.is_set():
                self._survive("collection", self.collect_once)
                now_s = self._clock.monotonic()
                # After a suspended machine, the rounds that were missed are not made up for.
                due_s = max(due_s + self.every_s, now_s)
                stop.wait(due_s - now_s)
            self._survive("collection", lambda: self._collect(pumps=()))
        finally:
            if process == os.getpid():
                self._survive("lease", self._lease.release)

    # collecting

    def collect_once(self) -> tuple[Sample, ...]:
        """Collect and record now, tell listeners, run pumps, and return the samples; needs no started thread."""
        return self._collect(pumps=self._pumps)

    def _collect(self, *, pumps: Sequence[Callable[[datetime], object]]) -> tuple[Sample, ...]:
        with self.lock:
            at, started_s = self._clock.now(), self._clock.monotonic()
            is_ours = self._survive("lease", self._lease.take) is True
            found = [(collector, self._asked(collector)) for collector in self.collectors]
            own = (
                Sample("monitor.collect_s", self._clock.monotonic() - started_s),
                Sample("monitor.problems", len(self.problems)),
                Sample("monitor.lost_samples", self.lost),
            )
            samples = (*(sample for _, samples in found for sample in samples), *own)
            self._latest, self._collected_at = samples, at
            for collector, some in found:
                if is_ours or not collector.is_host:
                    self._record(some, at, collector.name)
            self._record(own, at, "monitor")
        for number, listener in enumerate(self._listeners):
            self._survive(f"listener {number}", partial(listener, samples))
        for number, pump in enumerate(pumps):
            self._survive(f"pump {number}", partial(pump, at))
        return samples

    def _asked(self, collector: Collector) -> list[Sample]:
        found = self._survive(f"collector {collector.name}", lambda: list(collector.collect()))
        return found if isinstance(found, list) else []

    def _record(self, samples: Iterable[Sample], at: datetime, source: str) -> None:
        now_s = self._clock.monotonic()
        wanted = [sample for sample in samples if self._steady.is_news(sample, now_s)]
        for place, sample in enumerate(wanted):
            try:
                # What the ledger drops under pressure is lost, and counted, as well.
                self.lost += not self._sink.record_metric(
                    sample.name, sample.value, at=at, labels=dict(sample.labels), source=source
                )
            except LedgerClosed:
                # The program closed its engine first: then there is nothing left to do.
                self._stop.set()
                return
            except LedgerError as error:
                # The next would fail as well, and each may wait for a disk.
                self.lost += len(wanted) - place
                self._told.tell("ledger", f"samples are lost: {error.message}; told once")
                return
            except TokencalcError as error:
                self.lost += 1
                self._told.tell(f"sample {bounded(sample.name)}", f"a sample is refused: {error.message}; told once")
        self._told.works("ledger")

    def _survive(self, who: str, work: Callable[[], Any]) -> Any:
        """Return what the work gives; what it raises is told once, and gives None."""
        try:
            result = work()
        except Exception as error:  # noqa: BLE001  # bulk: sensors, callbacks and disks are not ours, and the next round must come
            self._told.tell(who, f"the monitor's {who} failed: {failure_text(error)}; told once")
            return None
        self._told.works(who)
        return result

    # looking

    @property
    def problems(self) -> tuple[str, ...]:
        """What is missing or broken now: sensors, collectors, callbacks, the ledger; one text each."""
        of_collectors = (text for one in self.collectors for text in getattr(one, "problems", ()))
        return (*self._told.texts, *of_collectors)

    @property
    def latest(self) -> tuple[Sample, ...]:
        """The samples of the last collection."""
        return self._latest

    def get_current_metrics(self) -> dict[str, Any]:
        """Return the last figures for people: percent and gigabytes, by groups; before the first, None each."""
        return current_metrics(self._latest, self._operations.summary(), self.problems, self._collected_at)

    def get_rate_limiter_summary(self) -> dict[str, Any]:
        """Return ``total_limiters`` and ``overall_health``, that of the worst one; None where there is none."""
        return limiter_summary(self._latest)
