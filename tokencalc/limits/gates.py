"""What lets permits through in one dimension: a steady pace with a burst, or a strict rolling minute.

Both say at which instant an amount is there, take it at an instant, and take
back what was not used after all. Instants are whole nanoseconds of a clock that never goes
back. Neither has a lock or waits: the limiter does both.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol, Self

from tokencalc.clock import NS_PER_S
from tokencalc.errors import CallInvalid

MINUTE_NS = 60 * NS_PER_S

MAX_PERMITS = 10**12
"""The largest rate, burst and amount that make sense; provider limits on LLM tokens stay far below."""

_SLOTS = 1024
_REFUNDS = 64


class Gate(Protocol):
    """One dimension of a limiter; ``most`` is the largest amount that can ever pass at once."""

    most: int

    def ready_at(self, amount: int) -> int:
        """Return the instant from which the amount may be taken; one in the past means now."""

    def pass_at(self, now: int, amount: int) -> int | None:
        """Take the amount if it is ready, and return a mark for `give_back`; None if it is not."""

    def take(self, now: int, amount: int) -> int:
        """Take the amount, ready or not, and return a mark for `give_back`."""

    def give_back(self, amount: int, mark: int) -> None:
        """Take back an amount of what was taken under a mark, as far as that lets nothing more through than allowed."""

    def owe(self, now: int, amount: int) -> None:
        """Take an amount that was used without asking; later ones wait until it is made up for."""

    def level(self, now: int) -> int:
        """Return how much is there; negative when more was used than allowed."""

    def adapt(self, now: int, *, per_minute: int | None, remaining: int | None) -> None:
        """Follow what a provider says: its limit where it is below the own one, and what it says is left."""

    def copy(self) -> Self:
        """Return a copy to try things on."""


class Pace:
    """Permits come back evenly, ``burst`` of them can be saved up; full at the start.

    In any time of t minutes it lets at most ``burst + per_minute * t`` through, not counting what was
    given back. Kept as one integer, the instant at which it will be full again (GCRA), in
    nanoseconds times ``per_minute``: a permit then costs a whole number of units at every
    rate, and nothing is ever rounded away.
    """

    __slots__ = ("_burst", "_full_at", "_refunds", "_returned", "_taken_at", "_told", "burst", "most", "per_minute")

    def __init__(self, per_minute: int, burst: int, *, now: int) -> None:
        """Start full at this instant."""
        self.most = burst
        self._told = per_minute
        self.per_minute = per_minute
        self.burst = burst
        self._burst = burst * MINUTE_NS
        self._full_at = now * per_minute
        self._taken_at = self._full_at
        self._returned = 0
        # Those that are forgotten make later refunds smaller, never larger.
        self._refunds: deque[tuple[int, int]] = deque(maxlen=_REFUNDS)

    def ready_at(self, amount: int) -> int:
        """Return the instant from which the amount is there."""
        cost = amount * MINUTE_NS
        # After a provider lowered the burst, a larger amount waits for a full bucket and leaves a debt.
        missing = self._full_at + min(cost, self._burst) - self._burst
        return -(-missing // self.per_minute)

    def pass_at(self, now: int, amount: int) -> int | None:
        """Do as `ready_at` and `take` do, in one step: this is where every call comes by."""
        at = now * self.per_minute
        cost = amount * MINUTE_NS
        full_at = self._full_at
        if full_at < at:  # noqa: PLR1730  # a call of max costs a tenth of the whole
            full_at = at
        if full_at + cost - at > self._burst and (cost <= self._burst or full_at > at):
            return None
        self._full_at = full_at = full_at + cost
        self._taken_at = at
        return full_at + self._returned

    def take(self, now: int, amount: int) -> int:
        """Take the amount; the mark is the instant of fullness, shifted by what was given back so far."""
        at = now * self.per_minute
        # Readings of the clock that go back mint nothing.
        self._full_at = full_at = max(self._full_at, at) + amount * MINUTE_NS
        self._taken_at = at
        return full_at + self._returned

    def give_back(self, amount: int, mark: int) -> None:
        """Take back what cannot have come back by itself in the meantime.

        Time that a later taker found the bucket full is lost to everybody: giving it back too
        would let burst and refund through together. At the last taker the bucket still lacked
        at least what this mark lacked then, so that much is safe.
        """
        # What came back since lowers it, but not what was taken later only: both are in `_returned`.
        later = sum(back for its_mark, back in self._refunds if its_mark > mark)
        lacking = mark - self._returned + later - self._taken_at
        back = min(amount * MINUTE_NS, lacking)
        if back > 0:
            self._full_at -= back
            self._returned += back
            self._refunds.append((mark, back))

    def owe(self, now: int, amount: int) -> None:
        """Add to what must come back first."""
        self.take(now, amount)

    def level(self, now: int) -> int:
        """Return the whole permits that are there."""
        return (self._burst - max(0, self._full_at - now * self.per_minute)) // MINUTE_NS

    def adapt(self, now: int, *, per_minute: int | None, remaining: int | None) -> None:
        """Follow a lower rate and a lower level; both come back to the own ones when the provider says so."""
        if per_minute is not None:
            self._change_rate(now, min(self._told, max(1, per_minute)))
        if remaining is not None and remaining < self.level(now):
            self._full_at = now * self.per_minute + self._burst - max(0, remaining) * MINUTE_NS

    def _change_rate(self, now: int, per_minute: int) -> None:
        if per_minute == self.per_minute:
            return
        # What is lacking is counted in permits and stays; only the scale of the instants changes.
        shift = now * (per_minute - self.per_minute)
        self._full_at = max(self._full_at, now * self.per_minute) + shift
        self._returned -= shift
        self._taken_at = now * per_minute
        self.per_minute = per_minute
        self.burst = min(self.most, per_minute) if per_minute < self._told else self.most
        self._burst = self.burst * MINUTE_NS

    def copy(self) -> Self:
        """Return a copy to try things on."""
        twin = object.__new__(type(self))
        for name in Pace.__slots__:
            setattr(twin, name, getattr(self, name))
        return twin


class Window:
    """At most ``limit`` in any 60 seconds, both ends included.

    It remembers what it let through, oldest first. Above 1,024 a minute what falls
    into the same 1/1,024 of a minute shares one place, which is kept until its latest
    is a minute old: the memory is bounded, and at most a thousandth of the limit is lost.
    """

    __slots__ = ("_places", "_resolution", "_told", "_total", "limit", "most")

    def __init__(self, limit: int) -> None:
        """Start empty."""
        self.most = limit
        self.limit = limit
        self._told = limit
        self._resolution = MINUTE_NS // _SLOTS if limit > _SLOTS else 0
        # Each place: its first instant, its latest instant, its amount.
        self._places: deque[tuple[int, int, int]] = deque()
        self._total = 0

    def ready_at(self, amount: int) -> int:
        """Return the instant at which enough of the oldest is more than a minute ago."""
        excess = self._total + min(amount, self.limit) - self.limit
        at = -2 * MINUTE_NS
        for _, latest, amount_then in self._places:
            if excess <= 0:
                break
            excess -= amount_then
            at = latest
        # The nanosecond: a minute with both its ends must not hold the two.
        return at + MINUTE_NS + 1

    def pass_at(self, now: int, amount: int) -> int | None:
        """Do as `ready_at` and `take` do."""
        return self.take(now, amount) if self.ready_at(amount) <= now else None

    def take(self, now: int, amount: int) -> int:
        """Take the amount; the mark is the instant.

        Without a call between two changes: a signal is handled at calls and at the ends of loops
        only, so an interrupt finds this all done or not begun.
        """
        places = self._places
        while places and places[0][1] + MINUTE_NS < now:
            self._total -= places[0][2]
            del places[0]
        begun, latest, amount_then = places[-1] if places else (now, -1, 0)
        now = now if now > latest else latest  # noqa: FURB136  # max would be a call
        if places and (now - begun < self._resolution or now == latest):
            places[-1] = (begun, now, amount_then + amount)
        else:
            places += ((now, now, amount),)
        self._total += amount
        return now

    def give_back(self, amount: int, mark: int) -> None:
        """Forget the amount, if it is remembered still."""
        for index in range(len(self._places) - 1, -1, -1):
            first, latest, amount_then = self._places[index]
            if first <= mark <= latest:
                back = min(amount, amount_then)
                self._places[index] = (first, latest, amount_then - back)
                self._total -= back
                return
            if latest < mark:
                return

    def owe(self, now: int, amount: int) -> None:
        """Remember the amount from now on."""
        self.take(now, amount)

    def level(self, now: int) -> int:
        """Return what could pass now."""
        gone = 0
        for _, latest, amount in self._places:
            if latest + MINUTE_NS >= now:
                break
            gone += amount
        return self.limit - self._total + gone

    def adapt(self, now: int, *, per_minute: int | None, remaining: int | None) -> None:
        """Follow a lower limit, and remember what the provider has counted and we have not."""
        if per_minute is not None:
            self.limit = min(self._told, max(1, per_minute))
        if remaining is not None and (unknown := self.level(now) - max(0, remaining)) > 0:
            self.owe(now, unknown)

    def copy(self) -> Self:
        """Return a copy to try things on."""
        twin = object.__new__(type(self))
        for name in Window.__slots__:
            setattr(twin, name, getattr(self, name))
        twin._places = self._places.copy()  # of the same class
        return twin


def gates_for(per_minute: int, burst: int | None, *, strict: bool, now: int) -> tuple[Gate, ...]:
    """Return the gates of one dimension; a strict one has a pace only where its burst is below the limit."""
    gates: list[Gate] = []
    if not strict or (burst is not None and burst < per_minute):
        gates.append(Pace(per_minute, per_minute if burst is None else burst, now=now))
    if strict:
        gates.append(Window(per_minute))
    return tuple(gates)


def whole_number(value: object, *, name: str, minimum: int = 1) -> int:
    """Return a whole number from the minimum to `MAX_PERMITS`, or raise CallInvalid."""
    if isinstance(value, int) and not isinstance(value, bool) and minimum <= value <= MAX_PERMITS:
        return value
    raise CallInvalid(
        f"{name}: expected a whole number from {minimum} to {MAX_PERMITS}, found {value!r:.60}", path=name, found=value
    )
