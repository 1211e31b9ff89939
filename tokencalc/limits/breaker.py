"""A circuit breaker: after failures it refuses for a while, then lets a few probes through.

No lock is held during a call. `Breaker.enter` gives a lease, and the lease is told how the
call ended, once::

    lease = breaker.enter()          # raises BreakerOpen
    try:
        answer = call()
    except BaseException as error:
        lease.ended(error)           # a provider's failure counts, a cancellation or a refusal of ours does not
        raise
    lease.succeeded()

Each change of state begins a new generation, and a lease of an older one no longer counts: what an
answer from before the opening says is history.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

from tokencalc.clock import NS_PER_S, SystemClock
from tokencalc.errors import BreakerOpen, CallInvalid
from tokencalc.limits.locks import own_lock
from tokencalc.providers.signals import read_signal

if TYPE_CHECKING:
    from threading import Lock
    from types import TracebackType

    from tokencalc.clock import Clock
    from tokencalc.providers.signals import ProviderSignal

BreakerState = Literal["closed", "open", "half_open"]

Happening = Literal["tripped", "time_over", "probe_failed", "probes_succeeded"]

MAX_OPEN_S = 7 * 24 * 3600
"""A week: a breaker that stays open longer is a switch, and hides that nobody looks."""

TRANSITIONS: dict[tuple[BreakerState, Happening], BreakerState] = {
    ("closed", "tripped"): "open",
    ("open", "time_over"): "half_open",
    ("half_open", "probe_failed"): "open",
    ("half_open", "probes_succeeded"): "closed",
}
"""Every change of state there is; anything else that happens changes none."""

_SLOTS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerProfile:
    """When a breaker opens, and for how long.

    With ``failure_rate`` (above 0, up to 1) it opens when that share of the calls of the last ``window_s``
    seconds failed, of at least ``minimum_calls``; without, after ``failures`` in a row. It
    stays open ``open_s`` seconds, then lets ``probes`` calls through at a time and closes when as many
    went well. A probe of which nothing is heard for ``open_s`` gives its place back.
    """

    failures: int = 5
    open_s: float = 300
    failure_rate: float | None = None
    window_s: float = 60
    minimum_calls: int = 10
    probes: int = 1

    def __post_init__(self) -> None:
        """Raise CallInvalid for what cannot be."""
        for name in ("failures", "minimum_calls", "probes"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise CallInvalid(
                    f"{name}: expected a whole number from 1, found {value!r:.60}", path=name, found=value
                )
        for name, most in (("open_s", MAX_OPEN_S), ("window_s", MAX_OPEN_S), ("failure_rate", 1)):
            value = getattr(self, name)
            if name == "failure_rate" and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= most:
                unit = "a share" if name == "failure_rate" else "seconds"
                raise CallInvalid(
                    f"{name}: expected {unit} above 0 and at most {most}, found {value!r:.60}", path=name, found=value
                )


FIVE_FAILURES = BreakerProfile()
"""The default: five failures in a row open it for 300 seconds."""

HALF_FAILING = BreakerProfile(failure_rate=0.5, window_s=60, minimum_calls=10, open_s=30, probes=2)
"""For busy clients, where five in a row may never happen: half of at least ten calls within a minute."""


class Lease:
    """Leave for one call through a breaker; the first of `succeeded`, `failed` and `neutral` counts.

    As a context manager it tells the breaker by itself how the block ended.
    """

    # Of the class, because every call gets a lease: set only where it is otherwise.
    _is_over = False

    def __init__(self, breaker: Breaker, generation: int) -> None:
        """Belong to a breaker in one generation of it."""
        self._breaker = breaker
        self.generation = generation

    def succeeded(self) -> None:
        """Tell that the call went well."""
        if not self._is_over:
            self._is_over = True
            self._breaker.told(self, ok=True)

    def failed(self) -> None:
        """Tell that the provider failed."""
        if not self._is_over:
            self._is_over = True
            self._breaker.told(self, ok=False)

    def neutral(self) -> None:
        """Tell that the call says nothing about the provider: it was cancelled, refused by us, or a mistake."""
        self._is_over = True

    def told(self, signal: ProviderSignal) -> None:
        """Take what a signal says about the provider."""
        if signal.is_failure:
            self.failed()
        elif signal.is_neutral:
            self.neutral()
        else:
            self.succeeded()

    def ended(self, error: BaseException | None) -> None:
        """Take how the call ended: with an exception, or with None."""
        if error is None:
            self.succeeded()
        else:
            self.told(read_signal(error=error))

    def __enter__(self) -> Self:
        """Return the lease itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Tell how the block ended."""
        self.ended(error)


class _Place:
    """One of the places for probes, taken until an instant at the latest."""

    __slots__ = ("is_free", "until")

    def __init__(self, until: int) -> None:
        self.until = until
        self.is_free = False


class _Probe(Lease):
    """A lease in half-open; one that is dropped without a word gives its place back."""

    # Of the class, for a probe whose making was interrupted.
    place = _Place(0)

    def __init__(self, breaker: Breaker, generation: int, place: _Place) -> None:
        super().__init__(breaker, generation)
        self.place = place

    def succeeded(self) -> None:
        self.place.is_free = True
        super().succeeded()

    def failed(self) -> None:
        self.place.is_free = True
        super().failed()

    def neutral(self) -> None:
        self.place.is_free = True
        super().neutral()

    def __del__(self) -> None:
        # An assignment and no lock: a finalizer may run while this thread holds it.
        self.place.is_free = True


class Breaker:
    """Opens after failures as its profile says; safe among threads, loops and forks, never waits."""

    __slots__ = (
        "__weakref__", "_clock", "_generation", "_open_ns", "_places", "_row", "_state", "_until", "_window",
        "_worked", "lock", "profile",
    )  # fmt: skip

    lock: Lock

    def __init__(self, profile: BreakerProfile = FIVE_FAILURES, *, clock: Clock | None = None) -> None:
        """Start closed."""
        self.profile = profile
        # Whole nanoseconds, so that waiting for exactly what a refusal says is enough.
        self._open_ns = max(1, round(profile.open_s * NS_PER_S))
        self._clock: Clock = SystemClock() if clock is None else clock
        self._state: BreakerState = "closed"
        self._generation = 0
        self._row = 0
        self._window = None if profile.failure_rate is None else _Window(round(profile.window_s * NS_PER_S))
        self._until = 0
        self._worked = 0
        self._places: list[_Place] = []
        own_lock(self)

    @property
    def state(self) -> BreakerState:
        """closed, open or half_open; an open one stays so until a caller enters after its time."""
        return self._state

    @property
    def generation(self) -> int:
        """How often the state has changed."""
        return self._generation

    def look(self) -> None:
        """Raise BreakerOpen if a call could not go out now; takes no probe's place."""
        if self._state == "closed":
            return
        with self.lock:
            refused = self._refusal(self._clock.monotonic_ns())
        if refused is not None:
            raise refused

    def enter(self) -> Lease:
        """Return a lease for one call; raises BreakerOpen, with the seconds until the next probe."""
        generation = self._generation
        # Without the lock: a change in this very moment makes it a lease of the generation before, which is no more.
        if self._state == "closed":
            return Lease(self, generation)
        with self.lock:
            now = self._clock.monotonic_ns()
            refused = self._refusal(now)
            if refused is None:
                return self._lease(now)
        raise refused

    def _lease(self, now: int) -> Lease:
        """Return a lease where nothing refuses; under the lock."""
        if self._state == "closed":
            return Lease(self, self._generation)
        if self._state == "open":
            self._move("time_over")
            self._places, self._worked = [], 0
        probe = _Probe(self, self._generation, _Place(now + self._open_ns))
        # The place is taken last: an interrupt before leaves it free, one after it drops the probe, which frees it.
        self._places = [*(one for one in self._places if not one.is_free and now < one.until), probe.place]
        return probe

    def told(self, lease: Lease, *, ok: bool) -> None:
        """Take the outcome of a lease; for leases."""
        # The common case, without the lock: nothing failed lately, and nothing fails now.
        if ok and not self._row and self._window is None and self._state == "closed":
            return
        with self.lock:
            if lease.generation != self._generation:
                return
            now = self._clock.monotonic_ns()
            if self._state == "half_open":
                self._worked += ok
                if not ok:
                    self._open("probe_failed", now)
                elif self._worked >= self.profile.probes:
                    self._move("probes_succeeded")
            elif self._state == "closed" and self._trips(now, ok=ok):
                self._open("tripped", now)

    def forked(self) -> None:
        """Forget the probes of the parent."""
        self._places = []

    def _trips(self, now: int, *, ok: bool) -> bool:
        """Count an outcome, and tell whether it is one too many."""
        self._row = 0 if ok else self._row + 1
        if self._window is None or self.profile.failure_rate is None:
            return self._row >= self.profile.failures
        calls, failures = self._window.add(now, ok=ok)
        return not ok and calls >= self.profile.minimum_calls and failures >= self.profile.failure_rate * calls

    def _refusal(self, now: int) -> BreakerOpen | None:
        if self._state == "closed":
            return None
        if self._state == "open":
            wait_ns, why = self._until - now, f"after {self._why()}"
        else:
            taken = [place.until - now for place in self._places if not place.is_free and now < place.until]
            wait_ns = min(taken) if len(taken) >= self.profile.probes else 0
            why = f"after failures; {len(taken)} of {self.profile.probes} probes are on their way"
        if wait_ns <= 0:
            return None
        return BreakerOpen(
            f"the breaker is {self._state} {why}; retry in {wait_ns / NS_PER_S:.3f} s",
            retry_after_s=wait_ns / NS_PER_S,
            state=self._state,
        )

    def _why(self) -> str:
        profile = self.profile
        if profile.failure_rate is None:
            return f"{profile.failures} failures in a row"
        return f"{profile.failure_rate:.0%} of the calls within {profile.window_s:g} s failed"

    def _open(self, happening: Happening, now: int) -> None:
        self._move(happening)
        self._until = now + self._open_ns

    def _move(self, happening: Happening) -> None:
        self._state = TRANSITIONS[self._state, happening]
        self._generation += 1
        self._row = 0
        if self._window is not None:
            self._window.clear()


class _Window:
    """Calls and failures of the last so many nanoseconds, in ten slots: the oldest slot goes as a whole."""

    __slots__ = ("_slot_ns", "_slots")

    def __init__(self, length_ns: int) -> None:
        self._slot_ns = max(1, length_ns // _SLOTS)
        self._slots: deque[tuple[int, int, int]] = deque(maxlen=_SLOTS)

    def add(self, now: int, *, ok: bool) -> tuple[int, int]:
        """Count one outcome; return the calls and the failures within the window."""
        number = now // self._slot_ns
        while self._slots and self._slots[0][0] <= number - _SLOTS:
            self._slots.popleft()
        if self._slots and self._slots[-1][0] >= number:
            last, calls, failures = self._slots.pop()
            self._slots.append((last, calls + 1, failures + (not ok)))
        else:
            self._slots.append((number, 1, int(not ok)))
        return sum(calls for _, calls, _ in self._slots), sum(failures for _, _, failures in self._slots)

    def clear(self) -> None:
        self._slots.clear()
