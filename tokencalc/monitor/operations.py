"""How operations fare: counts, failures and durations of each, in memory that does not grow.

Each operation has one histogram for what happened since the last collection and one
for all before, so a finished operation costs one addition and a collection gives the
percentiles of its own interval.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from tokencalc.clock import NS_PER_S, SystemClock
from tokencalc.errors import CallInvalid
from tokencalc.limits.locks import own_lock
from tokencalc.limits.metrics import WaitHistogram
from tokencalc.monitor.samples import LONGEST_NAME, Sample, bounded

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from threading import Lock

    from tokencalc.clock import Clock

Status = Literal["success", "failure", "cancelled"]

MOST_OPERATIONS = 500
"""Names that are counted apart; the operations of further names are counted together, as `OTHER`."""

OTHER = "(other)"

_RECENT = 200
_MOST_CONTEXT = 20
_SECRET = re.compile(r"key|token|secret|passw|auth|cookie|credential|session", re.IGNORECASE)
_SECRET_TEXT = re.compile(
    r"(?<=://)[^\s/@]+(?=@)"  # https://user:password@host
    r"|\bsk-(?:ant|or|proj|svcacct)-\S+"
    r"|\b(?:sk|rk|gsk|xai|hf|r8|npm|pypi|glpat|whsec|gh[oprsu]|github_pat|xox[a-z])[-_](?=\S*\d)[\w.+/=-]{8,}"
    r"|\b(?:AKIA|ASIA|AIza|ya29\.)[\w-]{12,}"
    r"|\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*"  # a JSON web token
    r"|(?i:\b(?:bearer|basic)\s+(?=\S*[\d=])\S{8,})"
)
_REDACTED = "(redacted)"
_LONGEST_S = 10**9


class Operation(NamedTuple):
    """What is timed: its name, and the component that it belongs to, or an empty text."""

    name: str
    component: str = ""


class Finished(NamedTuple):
    """One operation that came to its end; ``context`` is what the caller said about it, without secrets."""

    operation: Operation
    at: datetime
    duration_s: float
    status: Status
    error: str | None
    context: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """How one operation fared in some time; durations are in seconds, percentiles are off by at most 1/32.

    ``success_share`` is successes / (successes + failures): what was cancelled says nothing of either.
    """

    operation: str
    component: str
    calls: int
    failures: int
    cancelled: int
    success_share: float | None
    throughput_per_s: float | None
    duration_mean_s: float
    duration_p50_s: float
    duration_p90_s: float
    duration_p99_s: float
    duration_max_s: float


class _Span:
    """Counts of one operation in one stretch of time."""

    __slots__ = ("cancelled", "durations", "failures")

    def __init__(self) -> None:
        self.durations = WaitHistogram()
        self.failures = 0
        self.cancelled = 0

    def figures(self, operation: Operation, elapsed_s: float) -> Figures:
        durations, calls = self.durations, self.durations.count
        judged = calls - self.cancelled
        p50, p90, p99 = (durations.percentile_s(share, zeros=0) if calls else 0.0 for share in (0.5, 0.9, 0.99))
        return Figures(
            operation=operation.name,
            component=operation.component,
            calls=calls,
            failures=self.failures,
            cancelled=self.cancelled,
            success_share=(judged - self.failures) / judged if judged else None,
            throughput_per_s=calls / elapsed_s if elapsed_s > 0 else None,
            duration_mean_s=durations.total_ns / max(1, calls) / NS_PER_S,
            duration_p50_s=p50,
            duration_p90_s=p90,
            duration_p99_s=p99,
            duration_max_s=durations.longest_ns / NS_PER_S,
        )


class Operations:
    """The operations of one process; safe for any number of threads, loops and forks."""

    lock: Lock

    def __init__(self, *, clock: Clock | None = None) -> None:
        """Start with nothing counted."""
        self.clock: Clock = SystemClock() if clock is None else clock
        # Read at both ends of everything that is timed: one attribute less on the way.
        self.now_ns = self.clock.monotonic_ns
        self.forked()
        own_lock(self)

    def forked(self) -> None:
        """Count from nothing: the child of a fork would count its parent's operations once more."""
        self._all: dict[Operation, _Span] = {}
        self._interval: dict[Operation, _Span] = {}
        self._recent: deque[Finished] = deque(maxlen=_RECENT)
        self._started_ns = self._collected_ns = self.now_ns()

    def add(
        self,
        operation: Operation,
        duration_ns: int,
        status: Status = "success",
        error: str | None = None,
        context: Mapping[str, str] | None = None,
    ) -> None:
        """Count one finished operation."""
        finished = Finished(operation, self.clock.now(), duration_ns / NS_PER_S, status, error, context or {})
        with self.lock:
            span = self._interval.get(operation)
            if span is None:
                span = self._new_span(operation)
            span.durations.add(duration_ns)
            if status == "failure":
                span.failures += 1
            elif status == "cancelled":
                span.cancelled += 1
            self._recent.append(finished)

    def record_duration(self, operation: str, duration_s: float, *, status: Status = "success") -> None:
        """Count an operation that was timed elsewhere, in seconds; CallInvalid for what is no duration."""
        if isinstance(duration_s, bool) or not isinstance(duration_s, int | float) or not 0 <= duration_s < _LONGEST_S:
            raise CallInvalid(
                f"duration_s: expected seconds from 0 to {_LONGEST_S}, found {duration_s!r:.60}",
                path="duration_s",
                found=duration_s,
            )
        self.add(named(operation), round(duration_s * NS_PER_S), status_from(status))

    def _new_span(self, operation: Operation) -> _Span:
        if operation not in self._all and len(self._all) >= MOST_OPERATIONS:
            operation = Operation(OTHER)
        self._all.setdefault(operation, _Span())
        return self._interval.setdefault(operation, _Span())

    def take(self) -> list[Figures]:
        """Return the figures since the last `take`, and begin a new interval."""
        with self.lock:
            now_ns = self.now_ns()
            taken, self._interval = self._interval, {}
            elapsed_s, self._collected_ns = (now_ns - self._collected_ns) / NS_PER_S, now_ns
            for operation, span in taken.items():
                _merge(self._all[operation], span)
        return [span.figures(operation, elapsed_s) for operation, span in taken.items()]

    def summary(self) -> list[Figures]:
        """Return the figures of each operation since the start, by name."""
        with self.lock:
            elapsed_s = (self.now_ns() - self._started_ns) / NS_PER_S
            totals: dict[Operation, _Span] = {}
            for operation, span in self._all.items():
                totals[operation] = total = _Span()
                _merge(total, span)
                if operation in self._interval:
                    _merge(total, self._interval[operation])
        return [span.figures(operation, elapsed_s) for operation, span in sorted(totals.items())]

    def recent(self, limit: int = 20) -> list[Finished]:
        """Return the operations that ended last, the newest first, at most 200."""
        with self.lock:
            return list(self._recent)[::-1][: max(0, limit)]


class PerformanceCollector:
    """The figures of each operation that ended since the last collection."""

    name = "performance"
    is_host = False

    def __init__(self, operations: Operations) -> None:
        """Take the figures of these operations; the interval ends with each collection."""
        self._operations = operations

    def collect(self) -> list[Sample]:
        """Return the figures of the interval; an operation that did not run has none."""
        return [sample for figures in self._operations.take() for sample in _samples(figures)]


def _samples(figures: Figures) -> Iterator[Sample]:
    labels = {"operation": figures.operation} | ({"component": figures.component} if figures.component else {})
    for name in _SAMPLED:
        value = getattr(figures, name)
        if value is not None:
            yield Sample(f"operation.{name}", value, labels)


_SAMPLED = (
    "calls", "failures", "cancelled", "success_share", "throughput_per_s",
    "duration_mean_s", "duration_p50_s", "duration_p90_s", "duration_p99_s", "duration_max_s",
)  # fmt: skip


def _merge(into: _Span, span: _Span) -> None:
    into.durations.merge(span.durations)
    into.failures += span.failures
    into.cancelled += span.cancelled


def named(name: object, component: object = "") -> Operation:
    """Return the operation of these names, cut to a bounded length; CallInvalid for what is no text."""
    for value, path in ((name, "name"), (component, "component")):
        if not isinstance(value, str) or (path == "name" and not value):
            raise CallInvalid(f"{path}: expected the name of an operation, found {value!r:.60}", path=path, found=value)
    return Operation(bounded(str(name)), bounded(str(component)) if component else "")


def status_from(value: object) -> Status:
    """Return how an operation ended; CallInvalid names what is allowed."""
    for status in get_args(Status):
        if value == status:
            return status  # type: ignore[no-any-return]  # one of the literals
    raise CallInvalid(
        f"status: expected one of {', '.join(get_args(Status))}, found {value!r:.60}", path="status", found=value
    )


def kept_context(context: Mapping[str, Any]) -> dict[str, str]:
    """Return what may be kept of a caller's keywords: bounded texts, without what looks like a secret."""
    return {bounded(key): _kept(key, value) for key, value in list(context.items())[:_MOST_CONTEXT]}


def _kept(key: str, value: Any) -> str:
    if value is None or isinstance(value, bool | int | float):
        return f"{value!r:.40}"
    if _SECRET.search(key):
        return _REDACTED
    # The text of any other object is foreign code, and may hold a whole prompt.
    return bounded(without_secrets(value)) if isinstance(value, str) else type(value).__name__


def without_secrets(text: str) -> str:
    """Return the beginning of a text without passwords in addresses, and without what begins as well-known keys do."""
    return _SECRET_TEXT.sub(_REDACTED, text[: 2 * LONGEST_NAME])
