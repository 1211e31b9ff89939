"""`Limiter`: permits for requests, tokens and concurrent calls, taken together, first come, first served.

::

    limiter = Limiter(requests_per_minute=300, input_tokens_per_minute=200_000, concurrency=8)
    with limiter.acquire(input_tokens=1200, output_tokens=800, timeout_s=30) as permit:
        ...                                                   # the call
        permit.correct(input_tokens=1180, output_tokens=212)  # what it really used

One limiter serves any number of threads and event loops. It starts no thread: a caller who waits sleeps until the
instant computed for it. The rules are in `tokencalc.limits.line`; here are lock, clock, waiting and counting.
"""

from __future__ import annotations

import random as random_module
from collections import deque
from typing import TYPE_CHECKING, Any

from tokencalc.clock import NS_PER_S, SystemClock
from tokencalc.errors import CallInvalid, Throttled
from tokencalc.limits.adapting import JITTER_SHARE, adapt
from tokencalc.limits.gates import gates_for, whole_number
from tokencalc.limits.line import DIMENSIONS, Line
from tokencalc.limits.locks import own_lock
from tokencalc.limits.metrics import HealthThresholds, Tally, measured
from tokencalc.limits.waiting import FOREVER, LoopBell, Sweep, ThreadBell, Ticket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from random import Random
    from threading import Lock

    from tokencalc.clock import Clock
    from tokencalc.limits.metrics import LimiterMetrics
    from tokencalc.limits.permits import Demand, Permit, SlotPermit
    from tokencalc.limits.waiting import Bell
    from tokencalc.providers.signals import ProviderSignal

DEFAULT_REQUESTS_PER_MINUTE = 300

_WITHOUT_BLOCKING = (False,)
_SLOT_RETRY_S = 1.0
_TIMEOUT_MAX_S = 366 * 24 * 3600


class Limiter:
    """Hands out permits at a steady pace; safe among threads, event loops and forks.

    In any time of t minutes at most ``burst + requests_per_minute * t`` requests pass, so up to twice the
    limit in the first minute with the default burst of one minute's permits. ``strict=True`` lets at
    most the limit pass in any 60 seconds, wherever they begin. Tokens go by the same rule, with a burst
    of one minute's. ``concurrency`` is the most calls between `acquire` and `Permit.release`.

    A process that forks has the whole limit in each of the two.
    """

    __slots__ = (
        "__weakref__", "_callback", "_clock", "_is_callback_broken", "_line", "_now", "_random", "_released", "_sweep",
        "_tally", "_thresholds", "lock", "name", "requests_per_minute", "strict",
    )  # fmt: skip

    lock: Lock

    def __init__(  # noqa: PLR0913  # each is one limit, or one thing that is handed in
        self,
        requests_per_minute: int = DEFAULT_REQUESTS_PER_MINUTE,
        *,
        burst: int | None = None,
        input_tokens_per_minute: int | None = None,
        output_tokens_per_minute: int | None = None,
        concurrency: int | None = None,
        strict: bool = False,
        name: str = "limiter",
        clock: Clock | None = None,
        monitoring_callback: Callable[[LimiterMetrics], object] | None = None,
        thresholds: HealthThresholds | None = None,
        random: Random | None = None,
    ) -> None:
        """Start full; CallInvalid for a limit that is no whole number from 1.

        ``burst`` is how many requests may pass at once, one minute's if None. ``monitoring_callback`` gets
        the metrics after each wait, outside of any lock; if it raises, that is logged once.
        """
        self._clock = SystemClock() if clock is None else clock
        self._now = self._clock.monotonic_ns
        now = self._now()
        limits = (requests_per_minute, input_tokens_per_minute, output_tokens_per_minute)
        bursts = (burst, None, None)
        gates = []
        for index, (limit, its_burst) in enumerate(zip(limits, bursts, strict=True)):
            if index == 0 or limit is not None:
                per_minute = whole_number(limit, name=f"{DIMENSIONS[index]}_per_minute")
                size = None if its_burst is None else whole_number(its_burst, name="burst")
                gates += [(index, gate) for gate in gates_for(per_minute, size, strict=strict, now=now)]
        if concurrency is not None:
            whole_number(concurrency, name="concurrency")
        self.name = name
        self.requests_per_minute = requests_per_minute
        self.strict = strict
        self._callback = monitoring_callback
        self._is_callback_broken = False
        self._thresholds = HealthThresholds() if thresholds is None else thresholds
        self._random = random_module.Random() if random is None else random  # noqa: S311  # jitter is no secret
        self._tally = Tally(now)
        self._line = Line(gates, concurrency, self, self._waited)
        self._released: deque[SlotPermit] = deque()
        self._sweep = Sweep()
        own_lock(self)

    def acquire(
        self, requests: int = 1, input_tokens: int = 0, output_tokens: int = 0, *, timeout_s: float | None = None
    ) -> Permit:
        """Take permits of all dimensions together, waiting for them in line; returns when the call may go out.

        Raises Throttled, with the seconds until there would be room, at once when that is later than
        ``timeout_s`` (None waits as long as it takes, 0 never waits); CallInvalid for what can never pass.
        Whatever else ends the wait, nothing stays taken.
        """
        demand = (requests, input_tokens, output_tokens)
        found: Permit | Ticket | None = None
        try:
            found = self._passed(demand, timeout_s)
            if found is not None:
                return found
            bell = ThreadBell()
            found = self._joined(demand, timeout_s, bell)
            if isinstance(found, Ticket):
                while timeout_ns := self._look(found):
                    bell.wait(timeout_ns)
                return self._ended(found)
        except BaseException:  # bulk: an interrupt at any point gives everything back
            self._abandon(found)
            raise
        return found

    async def acquire_async(
        self, requests: int = 1, input_tokens: int = 0, output_tokens: int = 0, *, timeout_s: float | None = None
    ) -> Permit:
        """Do as `acquire` does, in the same line, without blocking the loop; cancellation gives everything back."""
        demand = (requests, input_tokens, output_tokens)
        found: Permit | Ticket | None = None
        try:
            found = self._passed(demand, timeout_s)
            if found is not None:
                return found
            bell = LoopBell()
            found = self._joined(demand, timeout_s, bell)
            if isinstance(found, Ticket):
                while timeout_ns := self._look(found):
                    await bell.wait(timeout_ns)
                return self._ended(found)
        except BaseException:  # bulk: a cancellation at any point gives everything back
            self._abandon(found)
            raise
        return found

    def _passed(self, demand: Demand, timeout_s: float | None) -> Permit | None:
        """Let a caller through at once, or return None: the way of every call that need not wait."""
        requests, input_tokens, output_tokens = demand
        if not (
            type(requests) is type(input_tokens) is type(output_tokens) is int
            and requests > 0 <= input_tokens
            and output_tokens >= 0
        ):
            _check_demand(demand)
        if timeout_s is not None:
            _check_timeout(timeout_s)
        found = None
        try:
            with self.lock:
                found = self._line.passed(demand, self._now())
            if self._released:
                self._take_released()
        except BaseException:  # bulk: an interrupt after the permit was taken
            self._abandon(found)
            raise
        return found

    def _joined(self, demand: Demand, timeout_s: float | None, bell: Bell) -> Permit | Ticket:
        """Let a caller through, put it in line, or refuse it."""
        found: Permit | Ticket | None = None
        wait_ns = 0
        try:
            with self.lock:
                found = self._join(demand, timeout_s, bell)
                if found is None:
                    wait_ns = self._refused(demand)
            if self._released:
                self._take_released()
        except BaseException:  # bulk: as above
            self._abandon(found)
            raise
        if found is None:
            raise self._throttled(demand, wait_ns)
        return found

    def _join(self, demand: Demand, timeout_s: float | None, bell: Bell) -> Permit | Ticket | None:
        """Stand in line, or return None where that is no use; under the lock."""
        now, line = self._now(), self._line
        line.check(demand)
        # Those in line may all be due by now.
        line.pump(now)
        permit = line.passed(demand, now)
        if permit is not None:
            return permit
        deadline = FOREVER if timeout_s is None else now + round(timeout_s * NS_PER_S)
        if now < deadline and line.planned_at(demand, now) <= deadline:
            return line.join(demand, now, deadline, bell)
        return None

    def _look(self, ticket: Ticket) -> int:
        """Return for how many nanoseconds a ticket's owner may sleep; 0 when its wait is over."""
        with self.lock:
            timeout_ns = self._line.look(ticket, self._now())
        if timeout_ns and self._line.is_full:
            self._sweep.run(self._now)
        if self._released:
            self._take_released()
        return timeout_ns

    def _ended(self, ticket: Ticket) -> Permit:
        """Return the permit of a wait that is over, or refuse; tell the callback."""
        if ticket.permit is None:
            with self.lock:
                wait_ns = self._refused(ticket.demand)
        if self._callback is not None:
            self._tell(self._callback)
        if ticket.permit is None:
            raise self._throttled(ticket.demand, wait_ns)
        return ticket.permit

    def _abandon(self, found: Permit | Ticket | None) -> None:
        """Give back whatever a caller had when it was interrupted."""
        if found is None:
            return
        with self.lock:
            now = self._now()
            permit = found.permit if isinstance(found, Ticket) else found
            if isinstance(found, Ticket):
                self._line.leave(found, now)
            if permit is not None:
                self._line.put_back(permit, now)
                self._line.pump(now)

    def _waited(self, wait_ns: int, now: int) -> None:
        self._tally.turn(now, self._line.granted)
        self._tally.waits.add(wait_ns)

    def _refused(self, demand: Demand) -> int:
        """Count a refusal; return how long it would take, in nanoseconds, as far as that can be known."""
        now = self._now()
        self._tally.turn(now, self._line.granted)
        self._tally.refused += 1
        return self._line.planned_at(demand, now) - now

    def _throttled(self, demand: Demand, wait_ns: int) -> Throttled:
        line = self._line
        asked = ", ".join(f"{amount} {name}" for amount, name in zip(demand, DIMENSIONS, strict=True) if amount)
        if wait_ns > 0:
            retry_after_s, why = wait_ns / NS_PER_S, f"no permit left for {asked}"
        else:
            retry_after_s, why = _SLOT_RETRY_S, f"all {line.concurrency} concurrent calls are in flight"
        return Throttled(
            f"{self.name}: {why}; retry in {retry_after_s:.3f} s",
            retry_after_s=retry_after_s,
            limiter=self.name,
            **dict(zip(DIMENSIONS, demand, strict=True)),
        )

    def correct(self, permit: Permit, used: tuple[int, int | None, int | None]) -> None:
        """Book what a permit's call used; see `Permit.correct`."""
        for amount, name in zip(used, DIMENSIONS, strict=True):
            if amount is not None:
                whole_number(amount, name=name, minimum=0)
        with self.lock:
            if permit.settle() and permit.generation == self._line.generation:
                now = self._now()
                for (index, gate), mark in zip(self._line.gates, permit.marks, strict=True):
                    amount = used[index]
                    more = 0 if amount is None else amount - permit.demand[index]
                    if more > 0:
                        gate.owe(now, more)
                    elif more < 0:
                        gate.give_back(-more, mark)
                self._line.replan()
                self._line.pump(now)
        if self._released:
            self._take_released()

    def refund(self, permit: Permit) -> None:
        """Take a permit back whose call never went out; see `Permit.refund`."""
        with self.lock:
            now = self._now()
            self._tally.refunded += self._line.put_back(permit, now)
            self._line.pump(now)
        if self._released:
            self._take_released()

    def take_back(self, permit: SlotPermit) -> None:
        """Take a permit's place among the concurrent calls back; never blocks.

        A finalizer may run in the middle of anything, in a thread that holds the lock already.
        So the permit is put down first, and whoever has the lock looks after letting go of it.
        """
        self._released.append(permit)
        self._take_released()

    def _take_released(self) -> None:
        while self._released:
            got: list[bool] = []
            try:
                # By extend, because what acquire returned is in the list before an interrupt can be handled.
                got.extend(map(self.lock.acquire, _WITHOUT_BLOCKING))
                if not got[0]:
                    return
                now = self._now()
                while self._released:
                    self._line.return_slot(self._released[0], now)
                    self._released.popleft()
                self._line.pump(now)
            finally:
                if got and got[0]:
                    self.lock.release()

    def wake(self) -> None:
        """Let through whoever's turn has come; only needed where the clock is moved by hand."""
        with self.lock:
            self._line.pump(self._now())
        if self._released:
            self._take_released()

    def observe(self, signal: ProviderSignal) -> None:
        """Follow what a provider answered: pause as long as it asks, go no faster than it allows.

        Of two pauses the later end counts. A limit above the own one changes nothing.
        """
        with self.lock:
            now, line = self._now(), self._line
            self._tally.turn(now, line.granted)
            if signal.is_failure or signal.kind == "throttled":
                self._tally.failed += 1
            pause_s = adapt(line, signal, now)
            if pause_s is not None and pause_s > 0:
                pause_s *= 1 + JITTER_SHARE * self._random.random()
                line.pause(now + round(pause_s * NS_PER_S), now)
            line.pump(now)
        if self._released:
            self._take_released()

    def retried(self, attempt: int, wait_s: float) -> None:
        """Count a retry: its number, 1 for the first, and how long it waited before, in seconds."""
        whole_number(attempt, name="attempt")
        with self.lock:
            self._tally.retried(attempt, round(wait_s * NS_PER_S))

    def metrics(self) -> LimiterMetrics:
        """Return how the limiter fares."""
        with self.lock:
            metrics = measured(self.name, self._line, self._tally, self._thresholds, self._now())
        if self._released:
            self._take_released()
        return metrics

    def samples(self) -> Iterator[tuple[str, float, dict[str, str]]]:
        """Give the metrics as (name, value, labels), for a ledger of samples."""
        return self.metrics().samples()

    def forked(self) -> None:
        """Start anew in the child of a fork."""
        self._released.clear()
        self._line.forked()

    def _tell(self, callback: Callable[[LimiterMetrics], object]) -> None:
        try:
            callback(self.metrics())
        except Exception:  # bulk: the callback is somebody else's code and must not cost the caller its permit
            if not self._is_callback_broken:
                import logging  # noqa: PLC0415  # 4 ms for what hardly ever happens

                self._is_callback_broken = True
                logging.getLogger("tokencalc").exception("the monitoring callback of %s raised; told once", self.name)


def _check_demand(demand: Demand) -> None:
    for amount, name in zip(demand, DIMENSIONS, strict=True):
        whole_number(amount, name=name, minimum=int(name == "requests"))


def _check_timeout(value: Any) -> None:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _TIMEOUT_MAX_S:
        return
    raise CallInvalid(
        f"timeout_s: expected seconds from 0 to {_TIMEOUT_MAX_S}, or None, found {value!r:.60}",
        path="timeout_s",
        found=value,
    )
