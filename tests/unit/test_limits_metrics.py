"""The limiter's figures: percentiles in bounded memory, rates, health, samples."""

from __future__ import annotations

import math
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokencalc.clock import NS_PER_S, ManualClock
from tokencalc.errors import CallInvalid, Throttled
from tokencalc.limits.limiter import Limiter
from tokencalc.limits.metrics import (
    HISTOGRAM_ERROR,
    RECENT_NS,
    Counts,
    Health,
    HealthThresholds,
    Tally,
    WaitHistogram,
    health_of,
    worst_health,
)
from tokencalc.providers.signals import ProviderSignal, SignalKind

if TYPE_CHECKING:
    from tokencalc.limits.metrics import LimiterMetrics


@given(
    waits=st.lists(st.one_of(st.integers(0, 10**7), st.integers(0, 10**15)), min_size=1, max_size=200),
    zeros=st.integers(0, 100),
    share=st.sampled_from([0.5, 0.9, 0.99]),
)
def test_a_percentile_is_off_by_its_stated_error_at_most(waits: list[int], zeros: int, share: float) -> None:
    histogram = WaitHistogram()
    for wait in waits:
        histogram.add(wait)
    ordered = sorted([0] * zeros + waits)
    true_s = ordered[math.ceil(share * len(ordered)) - 1] / NS_PER_S
    found_s = histogram.percentile_s(share, zeros=zeros)
    assert abs(found_s - true_s) <= true_s * HISTOGRAM_ERROR + 1e-6


def test_the_memory_of_a_histogram_does_not_grow_with_the_waits() -> None:
    histogram, chance = WaitHistogram(), Random(1)  # noqa: S311  # waits of a test
    for _ in range(20_000):
        histogram.add(chance.randrange(10**18))
    assert (len(histogram._counts), histogram.count) == (640, 20_000)


def counts(granted: int = 0, waited: int = 0, refused: int = 0, failed: int = 0, wait_s: float = 0) -> Counts:
    """Make counts."""
    return Counts(granted, waited, refused, failed, round(wait_s * NS_PER_S))


@pytest.mark.parametrize(
    ("expected", "recent"),
    [
        ("healthy", counts()),
        ("healthy", counts(granted=100)),
        ("healthy", counts(granted=100, failed=30)),
        ("critical", counts(granted=100, failed=31)),
        ("critical", counts(granted=69, refused=31)),
        ("healthy", counts(granted=100, waited=50)),
        ("degraded", counts(granted=100, waited=51)),
        ("healthy", counts(granted=100, waited=10, wait_s=500)),
        ("degraded", counts(granted=100, waited=10, wait_s=501)),
        ("critical", counts(granted=100, waited=51, wait_s=501)),
        ("critical", counts(refused=1)),
        ("critical", counts(granted=1, failed=5)),
    ],
)
def test_health_by_thresholds(expected: Health, recent: Counts) -> None:
    health, reasons = health_of(recent, HealthThresholds())
    assert expected == health
    assert bool(reasons) == (health != "healthy")


def test_thresholds_can_be_set() -> None:
    assert health_of(counts(granted=100, waited=11), HealthThresholds(block_rate_max=0.1))[0] == "degraded"


def test_health_looks_at_the_last_minutes_and_totals_stay() -> None:
    tally = Tally(0)
    tally.failed = 90
    assert tally.recent(RECENT_NS, 100).failed == 90
    assert tally.recent(2 * RECENT_NS - 1, 200).failed == 90
    assert tally.recent(2 * RECENT_NS, 200).failed == 0
    assert tally.counts(200).failed == 90


def test_after_a_long_silence_nothing_is_recent() -> None:
    tally = Tally(0)
    tally.failed = 90
    assert tally.recent(5 * RECENT_NS, 100).failed == 0


@pytest.mark.parametrize(
    ("expected", "healths"),
    [("healthy", []), ("healthy", ["healthy"]), ("degraded", ["healthy", "degraded"]),
     ("critical", ["degraded", "critical", "healthy"])],
)  # fmt: skip
def test_the_worst_health_counts(expected: Health, healths: list[Health]) -> None:
    assert expected == worst_health(healths)


def busy(clock: ManualClock) -> LimiterMetrics:
    """Return the metrics after four grants, one refusal, one failure and two retries."""
    limiter = Limiter(60, burst=4, name="openai/gpt-4o", clock=clock)
    for _ in range(4):
        limiter.acquire()
    with pytest.raises(Throttled, match="no permit left"):
        limiter.acquire(timeout_s=0)
    limiter.observe(ProviderSignal(kind="server_error"))
    limiter.retried(1, 0.5)
    limiter.retried(2, 1.0)
    limiter.retried(1, 0.5)
    return limiter.metrics()


def test_rates_are_shares_of_the_attempts() -> None:
    metrics = busy(ManualClock())
    assert (metrics.granted, metrics.refused, metrics.failed) == (4, 1, 1)
    assert (metrics.success_rate, metrics.block_rate, metrics.fill) == (0.6, 0.2, 0.0)
    assert (metrics.retries, metrics.backoff_s) == ({1: 2, 2: 1}, 2.0)
    assert (metrics.health, metrics.reasons) == ("critical", ("success rate 0.60 is below 0.7",))


def test_rates_are_of_the_last_minutes_and_counts_of_the_whole_life() -> None:
    clock = ManualClock()
    limiter = Limiter(600, name="openai/gpt-4o", clock=clock)
    for _ in range(60):
        limiter.acquire()
        clock.advance(60)
        limiter.metrics()
    for _ in range(20):
        limiter.acquire()
        limiter.observe(ProviderSignal(kind="server_error"))
        clock.advance(60)
        metrics = limiter.metrics()
    assert (metrics.granted, metrics.failed) == (80, 20)
    assert metrics.recent_succeeded == 0
    assert 5 <= metrics.recent_attempts <= 10
    assert (metrics.success_rate, metrics.block_rate, metrics.wait_mean_s, metrics.health) == (0, 0, 0, "critical")


def test_before_the_first_attempt_rates_are_unknown_and_not_zero() -> None:
    metrics = Limiter(clock=ManualClock()).metrics()
    assert (metrics.success_rate, metrics.block_rate, metrics.health) == (None, None, "healthy")
    assert "limiter_success_rate" not in {name for name, _, _ in metrics.samples()}


def test_samples_name_the_limiter() -> None:
    found = list(busy(ManualClock()).samples())
    named = {name: value for name, value, _ in found}
    assert (named["limiter_success_rate"], named["limiter_refused"], named["limiter_health"]) == (0.6, 1, 2)
    assert all(labels["limiter"] == "openai/gpt-4o" for _, _, labels in found)
    retries = {labels["attempt"]: value for name, value, labels in found if name == "limiter_retries"}
    assert retries == {"1": 2, "2": 1}


@pytest.mark.parametrize("kind", ["ok", "invalid", "cancelled", "refused", "unauthorized"])
def test_what_is_not_the_providers_doing_is_no_failure(kind: SignalKind) -> None:
    limiter = Limiter(clock=ManualClock())
    limiter.acquire()
    limiter.observe(ProviderSignal(kind=kind))
    assert limiter.metrics().success_rate == 1.0


def test_a_retry_is_numbered_from_one() -> None:
    with pytest.raises(CallInvalid, match=r"^attempt: expected a whole number from 1"):
        Limiter(clock=ManualClock()).retried(0, 1.0)
