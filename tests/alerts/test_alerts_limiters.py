"""The shipped rules on limiters, from a limiter through its collector and the ledger to the alert."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tests.alerts.helpers import Inbox, alerts_of, states
from tokencalc import Monitor
from tokencalc.alerts.profile import SHIPPED
from tokencalc.alerts.rules import Ratio
from tokencalc.clock import NS_PER_S
from tokencalc.errors import Throttled
from tokencalc.limits.limiter import Limiter
from tokencalc.limits.metrics import HealthThresholds
from tokencalc.monitor.limiter import LimiterCollector
from tokencalc.providers.signals import ProviderSignal

if TYPE_CHECKING:
    from tokencalc import Engine
    from tokencalc.alerts.alerts import Alerts
    from tokencalc.clock import ManualClock

LIMITERS = tuple(rule for rule in SHIPPED if rule.name.startswith("limiter_"))


class Watched:
    """A limiter, its collector, and alerts of the shipped rules, by one clock."""

    def __init__(self, engine: Engine, clock: ManualClock, **limits: Any) -> None:
        """Watch a limiter with these limits."""
        self.clock, self.inbox = clock, Inbox()
        self.limiter = Limiter(name="openai/gpt-4o", clock=clock, **limits)
        self.alerts: Alerts = alerts_of(engine, *LIMITERS, channels=(self.inbox,))
        self.monitor = Monitor(engine, collectors=[LimiterCollector([self.limiter])])

    def minutes(
        self, count: int, attempts: int = 2, *, failing: bool = False, timeout_s: float | None = 0
    ) -> list[str]:
        """Let so many minutes pass with so many attempts each, a look every half; return what moved."""
        found: list[str] = []
        for _ in range(2 * count):
            for _ in range(attempts // 2):
                with suppress(Throttled):
                    self.limiter.acquire(timeout_s=timeout_s)
                if failing:
                    self.limiter.observe(ProviderSignal(kind="server_error"))
            self.clock.advance(30)
            self.monitor.collect_once()
            found += states(self.alerts.check())
        return found


def test_an_outage_after_long_health_is_told_within_minutes_and_so_is_its_end(
    engine: Engine, clock: ManualClock
) -> None:
    watched = Watched(engine, clock, requests_per_minute=600)
    assert watched.minutes(600) == []
    assert watched.minutes(10, failing=True) == ["limiter_failing firing"]
    (alert,) = watched.alerts.alerts("firing")
    assert alert.severity == "HIGH"
    assert alert.labels["limiter"] == "openai/gpt-4o"
    assert watched.minutes(230, failing=True) == []
    assert watched.minutes(15) == ["limiter_failing resolved"]
    watched.alerts.deliver()
    assert watched.inbox.events == ["limiter_failing firing", "limiter_failing resolved"]


def test_an_outage_after_which_nobody_calls_ends_as_silence_though_samples_go_on(
    engine: Engine, clock: ManualClock
) -> None:
    watched = Watched(engine, clock, requests_per_minute=600)
    assert watched.minutes(20, attempts=4, failing=True) == ["limiter_failing firing"]
    assert watched.minutes(60, attempts=0) == []
    assert watched.minutes(15, attempts=0) == ["limiter_failing resolved"]
    (alert,) = watched.alerts.alerts("resolved")
    assert alert.text.endswith("; it fell silent: no figure for 62 minutes")
    assert watched.minutes(20, attempts=4, failing=True) == ["limiter_failing firing"]
    assert watched.minutes(180, attempts=2, failing=True) == [], "few attempts that fail are no silence"


def test_too_few_attempts_prove_nothing(engine: Engine, clock: ManualClock) -> None:
    watched = Watched(engine, clock, requests_per_minute=1, burst=1)
    for _ in range(4):
        with suppress(Throttled):
            watched.limiter.acquire(timeout_s=0)
    assert (watched.limiter.metrics().granted, watched.limiter.metrics().refused) == (1, 3)
    assert watched.minutes(30, attempts=0) == []
    watched.limiter.acquire()
    watched.limiter.observe(ProviderSignal(kind="server_error"))
    assert watched.minutes(30, attempts=0) == []


def test_an_outage_that_blocks_is_one_message_and_so_is_its_end(engine: Engine, clock: ManualClock) -> None:
    watched = Watched(engine, clock, requests_per_minute=6, burst=1)
    assert watched.minutes(10, attempts=20) == ["limiter_failing firing"]
    watched = Watched(engine, clock, requests_per_minute=600)
    # A limiter that is new in the place of one that refused: its refusals of the last five minutes are still told.
    found = watched.minutes(10, attempts=20)
    assert "limiter_failing resolved" in found
    assert not any(moved.startswith("limiter_blocking") for moved in found)


def test_blocks_of_calls_that_go_well_in_the_end_are_told_and_their_end(engine: Engine, clock: ManualClock) -> None:
    watched = Watched(engine, clock, requests_per_minute=600)
    for _ in range(12):
        watched.limiter.acquire()
        watched.limiter._tally.waits.add(NS_PER_S)  # waits that take no time here
    assert watched.minutes(1, attempts=0) == ["limiter_blocking firing"]
    assert watched.minutes(15) == ["limiter_blocking resolved"]


def test_long_waits_are_told_and_their_end(engine: Engine, clock: ManualClock) -> None:
    watched = Watched(engine, clock, requests_per_minute=600)
    assert watched.minutes(5) == []
    for _ in range(10):
        watched.limiter.acquire()
        watched.limiter._tally.waits.add(20 * NS_PER_S)  # waits that take no time here
    assert "limiter_slow firing" in watched.minutes(1, attempts=0)
    assert "limiter_slow resolved" in watched.minutes(15)


def test_the_rules_and_a_limiters_own_health_have_the_same_thresholds() -> None:
    healthy = HealthThresholds()
    wanted = (healthy.success_rate_min, healthy.block_rate_max, healthy.wait_mean_s_max)
    assert tuple(float(rule.threshold) for rule in LIMITERS if isinstance(rule.condition, Ratio)) == wanted


def test_more_than_ten_refusals_in_five_minutes_are_told_where_most_still_pass(
    engine: Engine, clock: ManualClock
) -> None:
    watched = Watched(engine, clock, requests_per_minute=60, burst=20)
    watched.monitor.collect_once()
    assert watched.minutes(5, attempts=40) == []
    assert watched.limiter.metrics().refused == 0
    assert watched.minutes(1, attempts=50) == []
    assert watched.minutes(1, attempts=58) == ["limiter_refusing firing"]
    assert watched.minutes(8) == ["limiter_refusing resolved"]
