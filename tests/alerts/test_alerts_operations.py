"""The shipped rules on operations, and how a counter grew, from what is timed to the alert."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from tests.alerts.helpers import alerts_of, states
from tokencalc import Monitor
from tokencalc.alerts.profile import SHIPPED
from tokencalc.alerts.rules import Metric, Ratio, Rule
from tokencalc.ledger.samples import Sample
from tokencalc.monitor.operations import Operations, PerformanceCollector

if TYPE_CHECKING:
    from tokencalc import Engine
    from tokencalc.clock import ManualClock


class Timed:
    """Operations, their collector, and alerts of the shipped rules, by one clock."""

    def __init__(self, engine: Engine, clock: ManualClock) -> None:
        """Watch operations of their own."""
        self.clock, self.operations = clock, Operations(clock=clock)
        self.monitor = Monitor(engine, collectors=[PerformanceCollector(self.operations)])
        self.alerts = alerts_of(engine, *SHIPPED)

    def round(self, calls: int, failures: int = 0, seconds: float = 1) -> list[str]:
        """Let half a minute pass with so many calls, and look."""
        for number in range(calls):
            self.operations.record_duration("search", seconds, status="failure" if number < failures else "success")
        self.clock.advance(30)
        self.monitor.collect_once()
        return states(self.alerts.check())


def test_an_operation_that_fails_too_often_is_one_alert_and_has_an_end(engine: Engine, clock: ManualClock) -> None:
    timed = Timed(engine, clock)
    assert timed.round(9, failures=9) == [], "of nine calls nothing is said"
    clock.advance(600)
    assert timed.round(20, failures=2) == []
    assert timed.round(20, failures=3) == ["operation_failing firing"]
    (alert,) = timed.alerts.alerts("firing")
    assert (alert.severity, alert.labels["operation"], alert.value) == ("HIGH", "search", Decimal("0.125"))
    assert timed.round(20) == ["operation_failing resolved"]


def test_an_operation_that_takes_long_is_told_when_it_does_for_a_minute(engine: Engine, clock: ManualClock) -> None:
    timed = Timed(engine, clock)
    assert [timed.round(1, seconds=6) for _ in range(3)] == [[], [], ["operation_slow firing"]]
    found: list[str] = []
    for _ in range(10):
        found += timed.round(5)
    assert found == ["operation_slow resolved"]


@pytest.mark.parametrize(
    ("expected", "samples"),
    [
        (0, [(10, 1, 500)]),
        (30, [(10, 1, 500), (20, 1, 530)]),
        (34, [(10, 1, 500), (20, 1, 530), (30, 1, 4)]),
        (12, [(10, 1, 500), (10, 2, 9), (20, 1, 505), (20, 2, 2), (30, 2, 7)]),
        (5, [(-50, 1, 500), (-10, 1, 520), (10, 1, 525)]),
        (5, [(-50, 1, 500), (10, 1, 505)]),
    ],
)
def test_an_increase_is_what_each_process_counted_also_from_0_again(
    expected: int, samples: list[tuple[int, int, float]], engine: Engine, clock: ManualClock
) -> None:
    at = clock.now()
    rule = Rule(
        name="r",
        severity="LOW",
        condition=Metric(name="count", statistic="increase", within_s=60),
        operator="==",
        threshold=Decimal(expected),
    )
    for second, process, value in samples:
        clock.jump_to(at)
        clock.advance(second + 100)
        engine.store.samples.offer(Sample(name="count", at=clock.now(), value=value, process=process))
    clock.jump_to(at)
    clock.advance(160)
    assert states(alerts_of(engine, rule).check()) == ["r firing"]


def test_a_growth_is_told_as_a_growth_and_not_as_a_total(engine: Engine, clock: ManualClock) -> None:
    grown = Metric(name="count", statistic="increase", within_s=300)
    alerts = alerts_of(engine, Rule(name="r", severity="LOW", condition=grown, threshold=Decimal(10)))
    for value in (1000, 1015):
        engine.record_metric("count", value)
        clock.advance(30)
    (alert,) = alerts.check()
    assert alert.text.endswith(" grew by 15.0 in 300 s, threshold: above 10")


@pytest.mark.parametrize("statistic", ["sum", "increase"])
def test_an_operation_that_is_called_no_more_ends_its_alert_as_silence(
    statistic: str, engine: Engine, clock: ManualClock
) -> None:
    failures, calls = (Metric(name=name, statistic=statistic) for name in ("failures", "calls"))  # type: ignore[arg-type]
    rule = Rule(name="r", severity="LOW", condition=Ratio(numerator=failures, denominator=calls), threshold=Decimal(0))
    alerts = alerts_of(engine, rule)
    moved: dict[int, list[str]] = {}
    counts = [5, 10] + [10 if statistic == "increase" else 0] * 250
    for at_s, count in zip(range(0, 30 * len(counts), 30), counts, strict=True):
        for name in ("failures", "calls"):
            engine.record_metric(name, count)
        if found := states(alerts.check()):
            moved[at_s // 60] = found
        clock.advance(30)
    (began, first), (ended, second) = moved.items()
    assert (began, first, second) == (0, ["r firing"], ["r resolved"])
    assert 62 <= ended <= 64
