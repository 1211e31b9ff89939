"""`for_s` is proved by samples: whoever looks, however often, and whatever a process that is gone wrote last."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.alerts.helpers import alerts_of, states
from tokencalc import Engine, Monitor
from tokencalc.alerts.figures import _OF_HOSTS
from tokencalc.alerts.rules import Metric, Ratio, Rule
from tokencalc.clock import ManualClock
from tokencalc.config import Settings
from tokencalc.ledger.samples import Sample
from tokencalc.monitor.resource import ResourceCollector

if TYPE_CHECKING:
    from tokencalc.alerts.alerts import Alerts


def rule_of(metric: str = "m", for_s: int = 60, **more: Any) -> Rule:
    """Return a rule that asks for a figure above 0.9."""
    condition = Metric(name=metric, **more)
    return Rule(name="r", severity="HIGH", condition=condition, threshold=Decimal("0.9"), for_s=for_s)


def wrote(engine: Engine, metric: str, value: float, process: int = 1) -> None:
    """Write a sample of a process at the clock's instant."""
    engine.store.samples.offer(Sample(name=metric, at=engine.clock.now(), value=value, process=process))


def looked(alerts: Alerts, clock: ManualClock, seconds: float) -> list[str]:
    """Let time pass, and look."""
    clock.advance(seconds)
    return states(alerts.check())


@pytest.mark.parametrize("metric", ["system.cpu_share", "queue_share"])
def test_the_last_figure_of_a_dead_process_proves_nothing(metric: str, engine: Engine, clock: ManualClock) -> None:
    alerts = alerts_of(engine, rule_of(metric))
    wrote(engine, metric, 0.95, process=111)
    assert states(alerts.check()) == []
    for _ in range(6):
        clock.advance(30)
        wrote(engine, metric, 0.10, process=222)
        assert states(alerts.check()) == []
    assert alerts.alerts("pending") == ()


def test_the_newest_sample_of_a_machine_is_the_machines(engine: Engine, clock: ManualClock) -> None:
    alerts = alerts_of(engine, rule_of("system.cpu_share", for_s=0))
    wrote(engine, "system.cpu_share", 0.95, process=111)
    clock.advance(1)
    wrote(engine, "system.cpu_share", 0.10, process=222)
    assert states(alerts.check()) == []


def test_figures_of_the_machine_are_named_as_such(engine: Engine) -> None:
    collector = ResourceCollector(clock=engine.clock)
    assert collector.is_host
    samples = Monitor(engine, collectors=(collector,)).collect_once()
    named = {sample.name for sample in samples if not sample.name.startswith("monitor.")}
    assert named
    assert all(name.startswith(_OF_HOSTS) for name in named)


def test_of_two_processes_the_one_that_holds_it_longest_counts(engine: Engine, clock: ManualClock) -> None:
    alerts = alerts_of(engine, rule_of("queue_share"))
    found = []
    for second in (0, 30, 60):
        wrote(engine, "queue_share", 0.95, process=111)
        wrote(engine, "queue_share", 0.95 if second == 60 else 0.1, process=222)
        found += looked(alerts, clock, 30)
    assert found == ["r firing"]


def test_one_sample_and_then_silence_is_no_alert(engine: Engine, clock: ManualClock) -> None:
    alerts = alerts_of(engine, rule_of())
    wrote(engine, "m", 0.95)
    assert [looked(alerts, clock, 30) for _ in range(8)] == [[]] * 8
    assert alerts.alerts("pending", "firing") == ()


def test_two_looks_that_lie_far_apart_prove_nothing(engine: Engine, clock: ManualClock) -> None:
    alerts = alerts_of(engine, rule_of())
    for _ in range(3):
        wrote(engine, "m", 0.95)
        assert looked(alerts, clock, 8 * 3600) == []


def test_who_looks_seldom_sees_what_samples_prove(engine: Engine, clock: ManualClock) -> None:
    alerts = alerts_of(engine, rule_of())
    for _ in range(3):
        wrote(engine, "m", 0.95)
        clock.advance(30)
    (alert,) = alerts.check()
    assert (alert.fired_at, alert.since) == (clock.now(), ManualClock("2026-11-20T12:00:00Z").now())


@pytest.mark.parametrize(
    ("expected", "statistic", "values"),
    [
        (True, "min", (5, 5, 5, 5)),
        (False, "min", (5, 5, 0, 5)),
        (True, "mean", (5, 5, 0, 5)),
        (True, "max", (5, 0, 0, 5)),
        (False, "max", (0, 0, 5, 5)),
        (False, "sum", (0, 0, 0, 5)),
    ],
)
def test_a_statistic_is_looked_at_over_the_whole_time(
    statistic: Any, values: tuple[int, ...], engine: Engine, clock: ManualClock, *, expected: bool
) -> None:
    alerts = alerts_of(engine, rule_of(statistic=statistic, within_s=61))
    for value in values:
        clock.advance(30)
        wrote(engine, "m", value)
    assert expected is bool(alerts.check())


def test_a_ratio_must_have_held_at_each_sample_too(engine: Engine, clock: ManualClock) -> None:
    above, below = Metric(name="failures", within_s=60), Metric(name="calls", within_s=60)
    ratio = Ratio(numerator=above, denominator=below, minimum=Decimal(10))
    alerts = alerts_of(engine, Rule(name="r", severity="LOW", condition=ratio, threshold=Decimal("0.1"), for_s=60))
    found = []
    for failures in (0, 5, 5, 5, 0):
        wrote(engine, "failures", failures)
        wrote(engine, "calls", 20)
        found.append(states(alerts.check()))
        clock.advance(30)
    assert found == [[], [], [], ["r firing"], ["r resolved"]]


def test_of_too_few_calls_nothing_begins_but_what_fires_may_end(engine: Engine, clock: ManualClock) -> None:
    ratio = Ratio(numerator=Metric(name="failures"), denominator=Metric(name="calls"), minimum=Decimal(10))
    alerts = alerts_of(engine, Rule(name="r", severity="LOW", condition=ratio, threshold=Decimal("0.1")))
    found = []
    for failures, calls in ((5, 9), (5, 10), (5, 9), (0, 9)):
        wrote(engine, "failures", failures)
        wrote(engine, "calls", calls)
        found.append(looked(alerts, clock, 30))
    assert found == [[], ["r firing"], [], ["r resolved"]]


@given(
    st.lists(st.tuples(st.integers(1, 200), st.sampled_from([0.1, 0.95])), min_size=1, max_size=12),
    st.integers(0, 300),
    st.integers(1, 150),
)
def test_what_fires_held_at_every_sample_of_that_time(
    steps: list[tuple[int, float]], for_s: int, within_s: int
) -> None:
    clock = ManualClock("2026-11-20T12:00:00Z")
    with Engine.open(":memory:", clock=clock, settings=Settings()) as engine:
        at_s, written = 0, []
        for seconds, value in steps:
            clock.advance(seconds)
            at_s += seconds
            wrote(engine, "m", value)
            written.append((at_s, value))
        has_fired = bool(alerts_of(engine, rule_of(for_s=for_s, within_s=within_s)).check())
    run = [at_s]
    for second, value in written[::-1]:
        if value < 0.9 or run[-1] - second > within_s:
            break
        run.append(second)
    assert has_fired is (len(run) > 1 and any(at_s - second >= for_s for second in run[1:]))
    assert all(later - sooner <= within_s for later, sooner in pairwise(run))
