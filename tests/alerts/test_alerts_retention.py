"""What is removed of alerts, when, and that it is never told again."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from tests.alerts.helpers import Inbox, alerts_of
from tokencalc import Budget
from tokencalc.alerts.profile import SHIPPED
from tokencalc.alerts.rules import Metric, Rule

if TYPE_CHECKING:
    from tokencalc import Engine
    from tokencalc.clock import ManualClock

HOUR_S, DAY_S = 3600, 24 * 3600
HIGH = Rule(name="high", severity="HIGH", condition=Metric(name="m"), threshold=Decimal(10))


def test_what_ended_long_ago_is_removed_with_its_messages(engine: Engine, clock: ManualClock) -> None:
    inbox, away = Inbox(), Inbox("away")
    alerts = alerts_of(engine, HIGH, channels=(inbox,))
    for figure in (50, 0):
        clock.advance(1)
        engine.record_metric("m", figure)
        alerts.check()
    alerts.deliver()
    away.fail()
    late = alerts_of(engine, Rule(name="late", severity="LOW", condition=Metric(name="k")), channels=(away,))
    for figure in (50, 0):
        clock.advance(1)
        engine.record_metric("k", figure)
        late.check()
    clock.advance(90 * DAY_S - 2)
    alerts.check()
    assert len(alerts.alerts()) == 2
    clock.advance(1)
    alerts.check()
    assert [alert.rule for alert in alerts.alerts()] == ["late"]
    with engine.store.reading() as connection:
        rows = connection.execute("SELECT DISTINCT alert_id FROM outbox").fetchall()
    assert [number for (number,) in rows] == [2]


def test_a_crossing_that_is_removed_is_not_told_again(engine: Engine, clock: ManualClock) -> None:
    alerts = alerts_of(engine, *SHIPPED)
    for name, period in (("all", "total"), ("daily", "day")):
        engine.set_budget(Budget(name=name, limit_usd="10", period=period, alert_at=(75,)))  # type: ignore[arg-type]
    engine.record(model="acme-1", cost_usd="8")
    for alert in alerts.check():
        alerts.resolve(alert.alert_id)
    engine.record_metric("system.cpu_share", 1)
    alerts.check()
    clock.advance(200 * DAY_S)
    assert alerts.check() == ()
    assert [alert.labels["budget"] for alert in alerts.alerts()] == ["all"]
    assert alerts.check() == ()


def test_a_number_is_never_given_again(engine: Engine, clock: ManualClock) -> None:
    alerts = alerts_of(engine, HIGH)
    numbers = []
    for _ in range(3):
        engine.record_metric("m", 50)
        numbers += [alert.alert_id for alert in alerts.check()]
        engine.record_metric("m", 0)
        clock.advance(1)
        alerts.check()
        clock.advance(100 * DAY_S)
        alerts.check()
    assert len(set(numbers)) == 3


def test_looking_for_what_can_be_removed_is_bounded_work(engine: Engine, clock: ManualClock) -> None:
    alerts = alerts_of(engine, HIGH)
    for number in range(250):
        engine.record_metric("m", 50, labels={"agent": f"a{number}"})
    assert len(alerts.check()) == 250
    clock.advance(2 * HOUR_S)
    assert len(alerts.check()) == 250
    clock.advance(91 * DAY_S)
    left = []
    for _ in range(4):
        alerts.check()
        left.append(len(alerts.alerts(limit=1000)))
    assert left == [201, 101, 1, 1]
