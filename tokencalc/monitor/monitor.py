"""`Monitor`: all collectors together, started and stopped together, into one ledger.

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
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar

from tokencalc.async_engine import AsyncEngine
from tokencalc.errors import CallInvalid, LedgerClosed
from tokencalc.limits.locks import own_lock
from tokencalc.monitor.current import current_metrics, limiter_summary
from tokencalc.monitor.lease import HostLease
from tokencalc.monitor.limiter import LimiterCollector
from tokencalc.monitor.operations import PerformanceCollector
from tokencalc.monitor.recording import Recorder
from tokencalc.monitor.resource import ProcessCollector, ResourceCollector
from tokencalc.monitor.rounds import WAIT_S, Rounds, Work
from tokencalc.monitor.samples import Sample, Told, bounded, failure_text, sample_of
from tokencalc.monitor.tracking import operations

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from threading import Lock
    from types import TracebackType

    from tokencalc.clock import Clock
    from tokencalc.engine import Engine
    from tokencalc.monitor.limiter import SomeBreakers, SomeLimiters
    from tokencalc.monitor.operations import Operations
    from tokencalc.monitor.samples import Collector, MetricSink

_Result = TypeVar("_Result")

EVERY_S = 30
"""Seconds between two collections, where nothing else is said."""

_LONGEST_EVERY_S = 24 * 3600
_HANGING_S = 1.0


class Monitor:
    """Runs the collectors of one process, started and stopped together; a context manager, plain and async.

    ``listeners`` are handed the samples of each collection. ``pumps`` are called with the instant after each, also
    when a sensor hangs, for work that waits in the ledger, such as alerts that are to be delivered; one that has
    ``finish(timeout_s)`` is asked at the end to bring its work to an end, True where it did. ``limiters`` and
    ``breakers`` are what there is, or functions that say so at each collection. ``collectors`` replaces the usual four.
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
        """Be ready to start; CallInvalid for an interval that is not above 0 and up to a day, or for no collector."""
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
        _refuse_others(self.collectors)
        self._listeners, self._pumps = tuple(listeners), tuple(pumps)
        self._lease = HostLease(self.engine.path, host=host)
        self._told = Told()
        queue = self.engine.store.samples
        self._recorder = Recorder(self.engine if sink is None else sink, queue, self._told, self._clock)
        self._latest: tuple[Sample, ...] = ()
        self._collected_at: datetime | None = None
        self.forked()
        own_lock(self)

    def forked(self) -> None:
        """Be stopped: the child of a fork does not have its parent's threads."""
        self._rounds: Rounds | None = None
        self._collecting, self._serving = Work(self._clock), Work(self._clock)
        self._gate = threading.Lock()

    # start and stop

    @property
    def is_running(self) -> bool:
        """Whether it collects."""
        return self._rounds is not None and self._rounds.is_running

    @property
    def records_host(self) -> bool:
        """Whether this process is the one that records the machine's figures."""
        return self._lease.is_held

    def start(self) -> Self:
        """Collect now and every ``every_s`` seconds, on threads of its own; a second start does nothing."""
        with self._gate:
            if not self.is_running:
                self._rounds = Rounds(self._round, self._serve, self._finish, clock=self._clock)
                self._rounds.start(self.every_s)
        return self

    def stop(self) -> None:
        """Collect and serve the pumps once more, let them finish, and end; a second stop does nothing.

        Waits some ten seconds for a stuck sensor and as long for each pump; behind one that hangs, for no other.
        """
        with self._gate:
            rounds, self._rounds = self._rounds, None
        if rounds is None:
            return
        rounds.end()
        # A listener may be the one that stops, and cannot wait for its own thread.
        if not rounds.join(self._serving):
            self._told.tell("stop", "a thread of the monitor hangs, in a sensor or a pump; it ends when that answers")

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

    # on the threads

    def _round(self) -> None:
        self._tell_of_hanging(self._serving, "alerts and whatever else is pumped")
        self._survive("collection", self._collect)
        if not self.is_running:
            self._survive("lease", self._lease.release)

    def _serve(self) -> None:
        self._tell_of_hanging(self._collecting, "figures")
        at = self._clock.now()
        for number, pump in enumerate(self._pumps):
            self._watched(f"pump {number}", partial(pump, at), self._serving)

    def _finish(self) -> None:
        for number, pump in enumerate(self._pumps):
            finish = getattr(pump, "finish", None)
            who = f"end of pump {number}"
            if finish is not None and self._watched(who, partial(finish, WAIT_S), self._serving) is False:
                self._told.tell(
                    who,
                    f"the monitor's pump {number} was not done after {WAIT_S:g} s; what is left waits in the ledger",
                )

    def _tell_of_hanging(self, work: Work, what: str) -> None:
        piece = work.piece
        since_s = 0 if piece is None else self._clock.monotonic() - piece.since_s
        if piece is None or since_s < max(self.every_s, _HANGING_S):
            self._told.works(f"hanging {what}")
        else:
            self._told.tell(
                f"hanging {what}",
                f"the monitor's {piece.who} has been hanging for {since_s:.0f} s, and {what} with it; told once",
            )

    # collecting

    def collect_once(self) -> tuple[Sample, ...]:
        """Collect and record now, tell listeners, run pumps, and return the samples; needs no started thread."""
        samples = self._collect()
        self._serve()
        return samples

    def _collect(self) -> tuple[Sample, ...]:
        with self.lock:
            at, started_s = self._clock.now(), self._clock.monotonic()
            is_ours = self._watched("lease", self._lease.take) is True
            found = [(collector, self._asked(collector)) for collector in self.collectors]
            own = (
                Sample("monitor.collect_s", self._clock.monotonic() - started_s),
                Sample("monitor.problems", len(self.problems)),
                Sample("monitor.lost_samples", self.lost),
            )
            samples = (*(sample for _, samples in found for sample in samples), *own)
            self._latest, self._collected_at = samples, at
            recorded = [(collector.name, some) for collector, some in found if is_ours or not collector.is_host]
            for name, some in (*recorded, ("monitor", own)):
                self._watched(f"recording of {name}", partial(self._recorder.record, some, at, name))
            self._watched("writing of samples", self._recorder.write)
        for number, listener in enumerate(self._listeners):
            self._watched(f"listener {number}", partial(listener, samples))
        return samples

    def _asked(self, collector: Collector) -> list[Sample]:
        who = f"collector {collector.name}"
        found = self._watched(who, lambda: list(collector.collect()))
        samples = [sample for one in found or () if (sample := sample_of(one)) is not None]
        if found is not None and len(samples) < len(found):
            self._recorder.refused += len(found) - len(samples)
            bad = next(one for one in found if sample_of(one) is None)
            self._told.tell(
                f"samples of {who}",
                f"{who}: expected Sample(name, finite number, labels as texts), found {bounded(repr(bad))}; "
                "the others are kept; told once",
            )
        elif found is not None:
            self._told.works(f"samples of {who}")
        return samples

    def _end(self) -> None:
        """Stop without a word: there is nothing left to do."""
        rounds = self._rounds
        if rounds is not None:
            rounds.end()

    def _watched(self, who: str, ask: Callable[[], _Result], at: Work | None = None) -> _Result | None:
        """Survive what is asked, and let the other thread see for how long it takes."""
        with (at or self._collecting).on(who):
            return self._survive(who, ask)

    def _survive(self, who: str, work: Callable[[], _Result]) -> _Result | None:
        """Return what the work gives; what it raises is told once, and gives None."""
        try:
            result = work()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001  # bulk: sensors, callbacks and disks are not ours, nor is it theirs to end a thread
            if isinstance(error, LedgerClosed) and self.engine.store.is_closed:  # a callback may have other ledgers
                self._end()
            else:
                self._told.tell(who, f"the monitor's {who} failed: {failure_text(error)}; told once")
            return None
        self._told.works(who)
        return result

    # looking

    @property
    def problems(self) -> tuple[str, ...]:
        """What is missing or broken now: sensors, collectors, callbacks, the ledger; one text each."""
        of_collectors = [text for one in self.collectors for text in self._problems_of(one)]
        return (*self._told.texts, *of_collectors)

    def _problems_of(self, collector: Any) -> tuple[str, ...]:
        who = f"collector {collector.name}'s list of problems"
        return self._survive(who, lambda: tuple(map(str, getattr(collector, "problems", ())))) or ()

    @property
    def lost(self) -> int:
        """Samples that could not be recorded, or not written: of this process, since the monitor was made."""
        return self._recorder.lost

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


def _refuse_others(collectors: Sequence[Any]) -> None:
    for one in collectors:
        name = getattr(one, "name", None)
        if not isinstance(name, str) or not hasattr(one, "is_host") or not callable(getattr(one, "collect", None)):
            raise CallInvalid(
                f"collectors: expected something with a name, is_host and collect(), found {one!r:.60}",
                path="collectors",
                found=one,
            )
