"""How a line follows what a provider says about its limits; under the limiter's lock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokencalc.limits.line import DIMENSIONS

if TYPE_CHECKING:
    from tokencalc.limits.line import Line
    from tokencalc.providers.signals import ProviderSignal

PAUSE_UNSAID_S = 1.0
"""How long a limiter pauses after a provider's "too many" that does not say how long, in seconds."""

PAUSE_MAX_S = 24 * 3600
"""The longest pause that a provider can ask for, in seconds: one day, the longest window that providers count in."""

JITTER_SHARE = 0.25
"""A pause is longer by up to this share, at random, so that many processes do not come back at once."""

_PACED_PERIOD_S = 60


def adapt(line: Line, signal: ProviderSignal, now: int) -> float | None:
    """Lower the gates to a provider's limits and to what it says is left; return how long to pause, in seconds.

    A window of up to a minute changes the gates. A longer one (a day, a month) cannot be kept by a pace of
    minutes: it counts when nothing of it is left, and then until it is whole again.
    """
    pause_s = signal.retry_after_s
    if pause_s is None and signal.kind == "throttled":
        pause_s = PAUSE_UNSAID_S
    for window in signal.windows:
        if window.period_s > _PACED_PERIOD_S:
            if window.remaining == 0 and window.reset_s is not None:
                pause_s = max(pause_s or 0.0, window.reset_s)
            continue
        per_minute = None if window.limit is None else int(window.limit * _PACED_PERIOD_S / window.period_s)
        for index, gate in line.gates:
            if DIMENSIONS[index] in window.dimensions:
                gate.adapt(now, per_minute=per_minute, remaining=window.remaining)
        line.replan()
    return None if pause_s is None else min(pause_s, PAUSE_MAX_S)


def pause_s_max(signal: ProviderSignal) -> float:
    """Return for how long, in seconds, a limiter that is told this may pause at most, beside what windows say."""
    pause_s = signal.retry_after_s
    if pause_s is None:
        pause_s = PAUSE_UNSAID_S if signal.kind == "throttled" else 0.0
    return min(pause_s, PAUSE_MAX_S) * (1 + JITTER_SHARE)
