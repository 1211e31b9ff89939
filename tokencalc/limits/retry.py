"""When to try again, and how long to wait before: by what the provider said, else doubling, never all at once.

The first attempt runs bare. After a failure, either ask `RetryPolicy.next_wait_s` and wait in your own way,
or hand the rest to `attempts_after` (tenacity), which is loaded only then.
"""

from __future__ import annotations

import random as random_module
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tokencalc.errors import CallInvalid
from tokencalc.providers.signals import read_signal

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    import tenacity

    from tokencalc.providers.signals import ProviderSignal

_MOST_ATTEMPTS = 100
_LONGEST_S = 24 * 3600
_MOST_DOUBLINGS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often to try, and how long to wait between.

    ``attempts_max`` counts the first one too. The wait doubles from ``wait_s`` up to ``wait_s_max``, and is then
    shortened at random to between half and all of it. A provider's own Retry-After is waited in full, plus
    up to ``jitter_share`` of it (and of ``wait_s``) at random: many workers that were told the same number
    must not come back together, nor one of them early. A provider that asks for more than
    ``retry_after_s_max`` is not waited for.
    """

    attempts_max: int = 3
    wait_s: float = 0.5
    wait_s_max: float = 30.0
    retry_after_s_max: float = 120.0
    jitter_share: float = 0.25
    random: Random = field(default_factory=random_module.Random, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Raise CallInvalid for what cannot be."""
        attempts = self.attempts_max
        if isinstance(attempts, bool) or not isinstance(attempts, int) or not 1 <= attempts <= _MOST_ATTEMPTS:
            raise CallInvalid(
                f"attempts_max: expected a whole number from 1 to {_MOST_ATTEMPTS}, found {attempts!r:.60}",
                path="attempts_max",
                found=attempts,
            )
        for name in ("wait_s", "wait_s_max", "retry_after_s_max", "jitter_share"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LONGEST_S:
                raise CallInvalid(
                    f"{name}: expected a number from 0 to {_LONGEST_S}, found {value!r:.60}", path=name, found=value
                )

    def next_wait_s(self, attempt: int, signal: ProviderSignal) -> float | None:
        """Return how long to wait after attempt number ``attempt`` (from 1) failed, in seconds; None to give up."""
        if attempt >= self.attempts_max or not signal.is_retryable:
            return None
        if signal.retry_after_s is not None:
            if signal.retry_after_s > self.retry_after_s_max:
                return None
            return signal.retry_after_s + self.random.random() * self.jitter_share * (
                signal.retry_after_s + self.wait_s
            )
        doubled = min(self.wait_s_max, self.wait_s * (1 << min(attempt - 1, _MOST_DOUBLINGS)))
        return doubled * (0.5 + self.random.random() / 2)


NO_RETRIES = RetryPolicy(attempts_max=1)
"""Every failure goes to the caller."""


def attempts_after(
    error: Exception,
    policy: RetryPolicy,
    *,
    sleep: Callable[[float], None],
    classify: Callable[[BaseException], ProviderSignal] | None = None,
) -> tenacity.Retrying:
    """Return a tenacity loop for the attempts after a first one that raised ``error``; raises it if none is left.

    ::

        try:
            answer = call()
        except Exception as error:
            answer = attempts_after(error, policy, sleep=time.sleep)(call)

    It waits before its first call too. Only errors that ``classify`` (by default `read_signal`) calls
    retryable are retried, never a cancellation or an interrupt; the last error is raised as it is. The loop is
    made for one call, because tenacity's keep state.
    """
    import tenacity  # noqa: PLC0415  # 15 ms that only a failure needs

    judge = classify or (lambda failure: read_signal(error=failure))
    first_wait_s = policy.next_wait_s(1, judge(error))
    if first_wait_s is None:
        raise error
    sleep(first_wait_s)
    waits: dict[int, float] = {}

    def again(state: tenacity.RetryCallState) -> bool:
        failure = state.outcome.exception() if state.outcome is not None else None
        if not isinstance(failure, Exception):
            return False
        # Its first attempt is our second.
        wait_s = policy.next_wait_s(state.attempt_number + 1, judge(failure))
        if wait_s is not None:
            waits[state.attempt_number] = wait_s
        return wait_s is not None

    def wait(state: Any) -> float:
        return waits[state.attempt_number]

    return tenacity.Retrying(retry=again, wait=wait, sleep=sleep, reraise=True)
