"""How a limiter fares: rates, waits, fill, retries, and one word for its health, in bounded memory."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from tokencalc.clock import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tokencalc.limits.line import Line

Health = Literal["healthy", "degraded", "critical"]

_WORSE: tuple[Health, ...] = ("healthy", "degraded", "critical")

HISTOGRAM_ERROR = 1 / 32
"""The most by which a percentile may differ from the true wait, as a share of it (and a microsecond on top)."""

RECENT_NS = 300 * NS_PER_S
"""Health and rates look at the last five to ten minutes."""

_MOST_ATTEMPTS = 32
_STEP_BITS = 4  # sixteen steps for each doubling: a step is 1/16 wide, and its middle 1/32 from its ends
_STEPS = 1 << _STEP_BITS
_SIZE = 40 * _STEPS


class WaitHistogram:
    """Waits by size, sixteen steps for each doubling of microseconds: 640 numbers, however many waits.

    A percentile is the middle of its step, so it is at most 1/32 off (`HISTOGRAM_ERROR`);
    waits above 100 days count as 100 days.
    """

    __slots__ = ("_counts", "count", "longest_ns", "total_ns")

    def __init__(self) -> None:
        """Start empty; the numbers are made for the first wait, because most limiters never make anybody wait."""
        self._counts: list[int] = []
        self.count = 0
        self.total_ns = 0
        self.longest_ns = 0

    def add(self, wait_ns: int) -> None:
        """Count one wait."""
        if not self._counts:
            self._counts = [0] * _SIZE
        micros = wait_ns // 1000
        doubling = max(0, micros.bit_length() - _STEP_BITS - 1)
        self._counts[min(_SIZE - 1, doubling * _STEPS + (micros >> doubling))] += 1
        self.count += 1
        self.total_ns += wait_ns
        self.longest_ns = max(self.longest_ns, wait_ns)

    def merge(self, other: WaitHistogram) -> None:
        """Count all waits of another histogram, too."""
        if other.count:
            counts = self._counts or [0] * _SIZE
            self._counts = [ours + theirs for ours, theirs in zip(counts, other._counts, strict=True)]
            self.count += other.count
            self.total_ns += other.total_ns
            self.longest_ns = max(self.longest_ns, other.longest_ns)

    def percentile_s(self, share: float, *, zeros: int) -> float:
        """Return the wait that this share of all did not exceed, with so many that did not wait at all; seconds."""
        rank = share * (self.count + zeros) - zeros
        if rank <= 0:
            return 0.0
        for index, number in enumerate(self._counts):
            rank -= number
            if number and rank <= 0:
                return min(_middle_s(index), self.longest_ns / NS_PER_S)
        return self.longest_ns / NS_PER_S


def _middle_s(index: int) -> float:
    doubling = max(0, index // _STEPS - 1)
    lower = (index - doubling * _STEPS) << doubling
    return (lower + (1 << doubling) / 2) / 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthThresholds:
    """Where health ends: the least share of good attempts, the largest share of blocked ones, the longest mean wait."""

    success_rate_min: float = 0.7
    block_rate_max: float = 0.5
    wait_mean_s_max: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LimiterMetrics:
    """What a limiter did since its start, and how it fares lately.

    An attempt is one `acquire`: ``granted`` ones got their permit (``waited`` of them
    later than at once), ``refused`` ones did not. ``failed`` counts granted calls of which a
    provider then said that they failed or were too many.

    The rates, ``wait_mean_s``, ``health`` and what begins with ``recent`` are of the last five to ten
    minutes (`RECENT_NS`), because an outage does not show in the figures of a lifetime. Rates are shares from 0 to 1,
    None without an attempt: ``recent_succeeded`` / ``recent_attempts`` and ``recent_blocked`` / ``recent_attempts``,
    where ``recent_succeeded`` is granted - failed, and ``recent_blocked`` waited + refused.

    Waits are of granted attempts, in seconds, those of no wait included; percentiles are off by at
    most `HISTOGRAM_ERROR`. ``fill`` is the share of the burst of requests that is there.
    ``retries`` counts retries by their number (1 is the first retry); ``backoff_s`` is what they waited together.
    """

    name: str
    granted: int
    waited: int
    refused: int
    failed: int
    refunded: int
    recent_attempts: int
    recent_succeeded: int
    recent_blocked: int
    recent_granted: int
    recent_wait_s: float
    success_rate: float | None
    block_rate: float | None
    wait_mean_s: float
    wait_p50_s: float
    wait_p90_s: float
    wait_p99_s: float
    wait_max_s: float
    fill: float
    waiting: int
    in_flight: int
    paused_s: float
    retries: dict[int, int]
    backoff_s: float
    health: Health
    reasons: tuple[str, ...]

    def samples(self) -> Iterator[tuple[str, float, dict[str, str]]]:
        """Give each number as (name, value, labels), for a ledger of samples; what is unknown is left out."""
        labels = {"limiter": self.name}
        for name in _SAMPLED:
            value = getattr(self, name)
            if value is not None:
                yield f"limiter_{name}", value, labels
        yield "limiter_health", _WORSE.index(self.health), {**labels, "health": self.health}
        for attempt, count in sorted(self.retries.items()):
            yield "limiter_retries", count, {**labels, "attempt": str(attempt)}


_SAMPLED = (
    "granted", "waited", "refused", "failed", "refunded", "recent_attempts", "recent_succeeded", "recent_blocked",
    "recent_granted", "recent_wait_s", "success_rate", "block_rate", "wait_mean_s", "wait_p50_s", "wait_p90_s",
    "wait_p99_s", "wait_max_s", "fill", "waiting", "in_flight", "paused_s", "backoff_s",
)  # fmt: skip


class Counts(NamedTuple):
    """Totals at one instant."""

    granted: int
    waited: int
    refused: int
    failed: int
    wait_ns: int

    def since(self, before: Counts) -> Counts:
        """Return what happened since then."""
        return Counts(*(now - then for now, then in zip(self, before, strict=True)))

    @property
    def attempts(self) -> int:
        """Calls of `acquire` that came to their end."""
        return self.granted + self.refused

    @property
    def succeeded(self) -> int:
        """Attempts that went well; a late failure of an earlier call cannot make them negative."""
        return max(0, self.granted - self.failed)

    @property
    def blocked(self) -> int:
        """Attempts that were refused or had to wait."""
        return self.waited + self.refused

    @property
    def success_rate(self) -> float | None:
        """The share of attempts that went well."""
        return self.succeeded / self.attempts if self.attempts else None

    @property
    def block_rate(self) -> float | None:
        """The share of attempts that were refused or had to wait."""
        return self.blocked / self.attempts if self.attempts else None

    @property
    def wait_mean_s(self) -> float:
        """The mean wait of the granted ones, in seconds."""
        return self.wait_ns / max(1, self.granted) / NS_PER_S


class Tally:
    """Counts of one limiter beside its permits; used under the limiter's lock."""

    __slots__ = ("_before", "_recent", "_since", "backoff_ns", "failed", "refunded", "refused", "retries", "waits")

    def __init__(self, now: int) -> None:
        """Start at nothing."""
        self.refused = 0
        self.failed = 0
        self.refunded = 0
        self.waits = WaitHistogram()
        self.retries: Counter[int] = Counter()
        self.backoff_ns = 0
        self._before = self._recent = Counts(0, 0, 0, 0, 0)
        self._since = now

    def counts(self, granted: int) -> Counts:
        """Return the totals of now."""
        return Counts(granted, self.waits.count, self.refused, self.failed, self.waits.total_ns)

    def recent(self, now: int, granted: int) -> Counts:
        """Return what happened in the last five to ten minutes."""
        self.turn(now, granted)
        return self.counts(granted).since(self._before)

    def turn(self, now: int, granted: int) -> None:
        """Turn the page when five minutes are over; called whenever something is counted that is not good."""
        if now - self._since >= RECENT_NS:
            counts = self.counts(granted)
            # After ten minutes in which nobody came by, nothing is recent.
            self._before = self._recent if now - self._since < 2 * RECENT_NS else counts
            self._recent, self._since = counts, now

    def retried(self, attempt: int, wait_ns: int) -> None:
        """Count one retry and what it waited."""
        self.retries[min(attempt, _MOST_ATTEMPTS)] += 1
        self.backoff_ns += wait_ns


def measured(name: str, line: Line, tally: Tally, thresholds: HealthThresholds, now: int) -> LimiterMetrics:
    """Return how a limiter fares; under its lock."""
    waits, recent = tally.waits, tally.recent(now, line.granted)
    zeros = max(0, line.granted - waits.count)
    health, reasons = health_of(recent, thresholds)
    return LimiterMetrics(
        name=name,
        granted=line.granted,
        waited=waits.count,
        refused=tally.refused,
        failed=tally.failed,
        refunded=tally.refunded,
        recent_attempts=recent.attempts,
        recent_succeeded=recent.succeeded,
        recent_blocked=recent.blocked,
        recent_granted=recent.granted,
        recent_wait_s=recent.wait_ns / NS_PER_S,
        success_rate=recent.success_rate,
        block_rate=recent.block_rate,
        wait_mean_s=recent.wait_mean_s,
        wait_p50_s=waits.percentile_s(0.5, zeros=zeros),
        wait_p90_s=waits.percentile_s(0.9, zeros=zeros),
        wait_p99_s=waits.percentile_s(0.99, zeros=zeros),
        wait_max_s=waits.longest_ns / NS_PER_S,
        fill=min(max(0.0, gate.level(now) / gate.most) for index, gate in line.gates if index == 0),
        waiting=len(line.tickets),
        in_flight=line.in_flight,
        paused_s=max(0, line.paused_until - now) / NS_PER_S,
        retries=dict(tally.retries),
        backoff_s=tally.backoff_ns / NS_PER_S,
        health=health,
        reasons=reasons,
    )


def health_of(recent: Counts, thresholds: HealthThresholds) -> tuple[Health, tuple[str, ...]]:
    """Return the health and what speaks against it.

    Too few successes are critical by themselves; many blocks or long waits are what a
    limiter is for, so one of them is degraded, and both are critical.
    """
    reasons: list[str] = []
    success, block = recent.success_rate, recent.block_rate
    if success is None or block is None:
        return "healthy", ()
    failing = success < thresholds.success_rate_min
    if failing:
        reasons.append(f"success rate {success:.2f} is below {thresholds.success_rate_min:g}")
    if block > thresholds.block_rate_max:
        reasons.append(f"block rate {block:.2f} is above {thresholds.block_rate_max:g}")
    if recent.wait_mean_s > thresholds.wait_mean_s_max:
        reasons.append(f"mean wait of {recent.wait_mean_s:.1f} s is above {thresholds.wait_mean_s_max:g} s")
    if not reasons:
        return "healthy", ()
    return ("critical" if failing or len(reasons) > 1 else "degraded"), tuple(reasons)


def worst_health(healths: Iterable[Health]) -> Health:
    """Return the worst of several; of none, healthy."""
    return max(healths, key=_WORSE.index, default="healthy")
