"""Rules: every shipped one from inactive to resolved by a clock in the test, and what no rule can be."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.alerts.helpers import Inbox, alerts_of, states
from tokencalc import Budget
from tokencalc.alerts.lifecycle import Seen, Standing, moved
from tokencalc.alerts.profile import SHIPPED
from tokencalc.alerts.rules import BudgetPassed, Cost, Metric, Ratio, Rule, figure_from, severity_from
from tokencalc.errors import AlertInvalid, AlertNotOpen, AlertUnknown, CallInvalid

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokencalc import Engine
    from tokencalc.alerts.alerts import Alerts
    from tokencalc.clock import ManualClock

BY_NAME = {rule.name: rule for rule in SHIPPED}
MOUNT = {"mount": "/data"}


def count(alerts: Alerts, *wanted: Any) -> int:
    """Return how many alerts are in these states."""
    return len(alerts.alerts(*wanted))


# rule, metric, labels, a figure at its threshold and one past it, seconds that it must hold
METRICS = [
    ("cpu_high", "system.cpu_share", {}, 0.7, 0.71, 60),
    ("cpu_critical", "system.cpu_share", {}, 0.9, 0.91, 60),
    ("memory_high", "system.memory_share", {}, 0.7, 0.71, 60),
    ("memory_critical", "system.memory_share", {}, 0.85, 0.86, 60),
    ("swap_high", "system.swap_share", {}, 0.6, 0.61, 60),
    ("swap_critical", "system.swap_share", {}, 0.8, 0.81, 60),
    ("disk_high", "system.disk_share", MOUNT, 0.8, 0.81, 60),
    ("disk_critical", "system.disk_share", MOUNT, 0.9, 0.91, 60),
]


@pytest.mark.parametrize(("name", "metric", "labels", "calm", "bad", "for_s"), METRICS, ids=str)
def test_a_shipped_rule_goes_from_inactive_to_resolved(
    name: str,
    metric: str,
    labels: dict[str, str],
    calm: float,
    bad: float,
    for_s: int,
    engine: Engine,
    clock: ManualClock,
) -> None:
    inbox = Inbox()
    alerts = alerts_of(engine, BY_NAME[name], channels=(inbox,))

    def look(figure: float) -> list[str]:
        engine.record_metric(metric, figure, labels=labels)
        found = states(alerts.check())
        clock.advance(30)
        return found

    assert look(calm) == []
    assert count(alerts, "inactive", "pending", "firing") == 0
    for _ in range(for_s // 30):
        assert look(bad) == []
        assert count(alerts, "pending") == 1
    assert look(bad) == [f"{name} firing"]
    (alert,) = alerts.alerts("firing")
    assert labels.items() <= alert.labels.items()
    assert alerts.acknowledge(alert.alert_id, by="ada").acknowledged_by == "ada"
    assert look(bad) == []
    assert count(alerts, "acknowledged") == 1
    assert look(calm) == [f"{name} resolved"]
    assert look(calm) == []
    alerts.deliver()
    assert inbox.events == [f"{name} firing", f"{name} resolved"]


def spend(dollars: str) -> Callable[[Engine], None]:
    """Book a call of so many dollars."""
    return lambda engine: engine.record(model="acme-1", cost_usd=dollars) and None


@pytest.mark.parametrize(
    ("name", "calm", "more"),
    [
        ("budget_early", "4.99", "0.01"),
        ("budget_75", "7.49", "0.01"),
        ("budget_90", "8.99", "0.01"),
        ("budget_full", "9.99", "0.01"),
        ("cost_day", "100", "0.01"),
    ],
)
def test_a_shipped_rule_of_money_goes_from_inactive_to_resolved(
    name: str, calm: str, more: str, engine: Engine, clock: ManualClock
) -> None:
    engine.set_budget(Budget(name="daily", limit_usd="10", period="day", alert_at=(50, 75, 90, 100)))
    alerts = alerts_of(engine, BY_NAME[name])
    spend(calm)(engine)
    assert states(alerts.check()) == []
    spend(more)(engine)
    assert states(alerts.check()) == [f"{name} firing"]
    assert states(alerts.check()) == []
    (alert,) = alerts.alerts()
    alerts.acknowledge(alert.alert_id)
    clock.advance(12 * 3600)  # the day is over
    assert states(alerts.check()) == [f"{name} resolved"]
    assert states(alerts.check()) == []


def test_every_shipped_rule_is_driven_here() -> None:
    money = {"budget_early", "budget_75", "budget_90", "budget_full", "cost_day"}
    limiters = {f"limiter_{word}" for word in ("failing", "blocking", "slow", "refusing")}  # in test_alerts_limiters.py
    operations = {"operation_failing", "operation_slow"}  # in test_alerts_operations.py
    assert set(BY_NAME) == money | limiters | operations | {row[0] for row in METRICS}


def test_a_crossing_that_nobody_saw_before_midnight_is_told_once(engine: Engine, clock: ManualClock) -> None:
    engine.set_budget(Budget(name="daily", limit_usd="10", period="day", alert_at=(75,)))
    alerts = alerts_of(engine, BY_NAME["budget_75"])
    spend("8")(engine)
    clock.advance(12 * 3600 + 5)
    assert [states(alerts.check()) for _ in range(3)] == [["budget_75 firing"], ["budget_75 resolved"], []]
    clock.advance(48 * 3600)
    assert states(alerts.check()) == []


def test_a_crossing_is_told_once_also_after_it_was_resolved_by_hand(engine: Engine, clock: ManualClock) -> None:
    engine.set_budget(Budget(name="all", limit_usd="10", period="total", alert_at=(75,)))
    alerts = alerts_of(engine, BY_NAME["budget_75"])
    spend("8")(engine)
    ((alert),) = alerts.check()
    assert alerts.resolve(alert.alert_id, by="ada").resolved_by == "ada"
    clock.advance(3600)
    assert states(alerts.check()) == []


def test_a_raised_limit_resolves_the_alert(engine: Engine) -> None:
    engine.set_budget(Budget(name="all", limit_usd="10", period="total", alert_at=(75,)))
    alerts = alerts_of(engine, BY_NAME["budget_75"])
    spend("8")(engine)
    assert states(alerts.check()) == ["budget_75 firing"]
    engine.set_budget(Budget(name="all", limit_usd="20", period="total", alert_at=(75,)))
    assert states(alerts.check()) == ["budget_75 resolved"]


def test_ten_thousand_breaches_within_a_cooldown_are_one_alert(engine: Engine, clock: ManualClock) -> None:
    condition = Metric(name="errors", within_s=1)
    rule = Rule(name="flaps", severity="HIGH", condition=condition, threshold=Decimal(1), cooldown_s=300)
    inbox = Inbox()
    alerts = alerts_of(engine, rule, channels=(inbox,))
    begun = []
    for number in range(20_000):
        engine.record_metric("errors", number % 2 * 5)
        begun += [alert for alert in alerts.check() if alert.state == "firing"]
        clock.advance(0.0149)
    assert len(begun) == 1
    alerts.deliver()
    assert inbox.events == ["flaps firing", "flaps resolved"]
    clock.advance(60)
    engine.record_metric("errors", 5)
    assert states(alerts.check()) == ["flaps firing"]


def test_what_breaks_again_within_the_cooldown_is_told_when_it_is_over(engine: Engine, clock: ManualClock) -> None:
    rule = Rule(name="flaps", severity="HIGH", condition=Metric(name="errors"), threshold=Decimal(1))
    alerts = alerts_of(engine, rule)
    seen = []
    for second in range(0, 361, 30):
        engine.record_metric("errors", 0 if second == 30 else 5)
        seen += [f"{second}: {state}" for state in states(alerts.check())]
        clock.advance(30)
    assert seen == ["0: flaps firing", "30: flaps resolved", "300: flaps firing"]


def test_a_metric_that_falls_silent_neither_resolves_nor_proves_a_duration(engine: Engine, clock: ManualClock) -> None:
    now = Rule(name="now", severity="HIGH", condition=Metric(name="errors"), threshold=Decimal(1))
    later = Rule(name="later", severity="HIGH", condition=Metric(name="errors"), threshold=Decimal(1), for_s=600)
    alerts = alerts_of(engine, now, later)
    engine.record_metric("errors", 5)
    assert states(alerts.check()) == ["now firing"]
    clock.advance(3600)
    assert states(alerts.check()) == []
    assert count(alerts, "firing") == 1
    assert count(alerts, "pending") == 0
    engine.record_metric("errors", 5)
    assert states(alerts.check()) == []


def test_each_series_is_an_instance_and_each_process_counts(engine: Engine) -> None:
    rule = Rule(name="disk", severity="HIGH", condition=Metric(name="disk"), threshold=Decimal("0.8"))
    alerts = alerts_of(engine, rule)
    for mount, share in (("/", 0.5), ("/data", 0.9), ("/logs", 0.95)):
        engine.record_metric("disk", share, labels={"mount": mount})
    assert [alert.labels["mount"] for alert in alerts.check()] == ["/data", "/logs"]


@pytest.mark.parametrize(
    ("expected", "statistic", "operator", "threshold"),
    [
        (True, "last", "<", "4"),
        (False, "last", ">", "4"),
        (True, "max", ">=", "9"),
        (False, "max", ">", "9"),
        (True, "min", "<=", "1"),
        (True, "sum", "==", "13"),
        (False, "sum", "!=", "13"),
        (True, "mean", ">", "4.3"),
        (False, "mean", ">", "4.4"),
    ],
)
def test_statistics_and_operators(
    statistic: Any, operator: Any, threshold: str, engine: Engine, clock: ManualClock, *, expected: bool
) -> None:
    condition = Metric(name="m", statistic=statistic)
    rule = Rule(name="r", severity="LOW", condition=condition, operator=operator, threshold=Decimal(threshold))
    for value in (1, 9, 3):
        clock.advance(1)
        engine.record_metric("m", value)
    assert expected is bool(alerts_of(engine, rule).check())


@pytest.mark.parametrize(
    ("expected", "failures", "calls", "minimum"),
    [(True, 3, 20, 10), (False, 2, 20, 10), (False, 3, 9, 10), (False, 0, 0, 10), (False, 3, 0, 0), (True, 1, 1, 0)],
)
def test_a_ratio_needs_its_least_denominator(
    failures: int, calls: int, minimum: int, engine: Engine, *, expected: bool
) -> None:
    ratio = Ratio(
        numerator=Metric(name="failures", statistic="sum"),
        denominator=Metric(name="calls", statistic="sum"),
        minimum=Decimal(minimum),
    )
    rule = Rule(name="errors", severity="HIGH", condition=ratio, threshold=Decimal("0.1"))
    engine.record_metric("failures", failures, labels={"a": "b"})
    engine.record_metric("calls", calls, labels={"a": "b"})
    alerts = alerts_of(engine, rule)
    assert expected is bool(alerts.check())
    assert alerts.problems == ()


def test_costs_by_model_are_instances(engine: Engine) -> None:
    rule = Rule(name="models", severity="MEDIUM", condition=Cost(by=("provider", "model")), threshold=Decimal(5))
    engine.record(provider="acme", model="small", cost_usd="4")
    engine.record(provider="acme", model="large", cost_usd="6")
    (alert,) = alerts_of(engine, rule).check()
    assert (alert.labels["model"], alert.value) == ("large", Decimal(6))


def test_a_clock_that_jumps_is_survived(engine: Engine, clock: ManualClock) -> None:
    rule = Rule(name="r", severity="LOW", condition=Metric(name="m"), threshold=Decimal(1), for_s=60)
    inbox = Inbox()
    alerts = alerts_of(engine, rule, channels=(inbox,))
    engine.record_metric("m", 5)
    alerts.check()
    clock.jump_to("2026-11-19T12:00:00Z")
    for _ in range(4):
        engine.record_metric("m", 5)
        alerts.check()
        clock.advance(30)
    alerts.deliver()
    assert inbox.events == ["r firing"]


def test_answers_to_alerts_that_are_not_firing_are_refused(engine: Engine) -> None:
    rule = Rule(name="r", severity="LOW", condition=Metric(name="m"), threshold=Decimal(1), for_s=60)
    alerts = alerts_of(engine, rule)
    engine.record_metric("m", 5)
    alerts.check()
    (pending,) = alerts.alerts("pending")
    for answer in (alerts.acknowledge, alerts.resolve):
        with pytest.raises(AlertNotOpen, match="it is pending, and only what fires"):
            answer(pending.alert_id)
        for unknown in ("nonsense", f"{pending.alert_id}9", "ffffffff-a1"):
            with pytest.raises(AlertUnknown, match="this ledger has none of that id"):
                answer(unknown)
    with pytest.raises(CallInvalid, match="state: expected one of inactive"):
        alerts.alerts("burning")  # type: ignore[arg-type]  # what a caller may write


@pytest.mark.parametrize(
    ("expected", "wrong"),
    [
        ("name: expected text of 1 to 200", {"name": "\x1b[2J"}),
        ("name: expected text of 1 to 200", {"name": "x" * 10_000}),
        ("severity: expected one of CRITICAL", {"severity": "awful"}),
        ("operator: expected one of >", {"operator": "=>"}),
        ("threshold: expected a number", {"threshold": "many"}),
        ("threshold: expected a number", {"threshold": float("nan")}),
        ("threshold: expected a number", {"threshold": True}),
        ("for_s: expected whole seconds from 0", {"for_s": -1}),
        ("cooldown_s: expected whole seconds", {"cooldown_s": 1.5}),
        ("condition: expected a Metric", {"condition": "cpu"}),
        ("channels: expected a list", {"channels": "ops"}),
    ],
)
def test_a_rule_that_cannot_be_is_refused(expected: str, wrong: dict[str, Any]) -> None:
    given_ = {"name": "r", "severity": "LOW", "condition": Metric(name="m"), "threshold": Decimal(1)}
    with pytest.raises(AlertInvalid, match=expected):
        Rule(**{**given_, **wrong})


@pytest.mark.parametrize(
    ("expected", "make"),
    [
        ("metric: expected text", lambda: Metric(name="")),
        ("statistic: expected one of last", lambda: Metric(name="m", statistic="median")),  # type: ignore[arg-type]
        ("within_s: expected whole seconds from 1", lambda: Metric(name="m", within_s=0)),
        ("labels: expected a mapping", lambda: Metric(name="m", labels=["a"])),  # type: ignore[arg-type]
        ("by: expected one of provider", lambda: Cost(by=("colour",))),
        ("budget_percent: expected whole percentages", lambda: BudgetPassed(from_percent=90, below_percent=75)),
    ],
)
def test_a_condition_that_cannot_be_is_refused(expected: str, make: Callable[[], object]) -> None:
    with pytest.raises(AlertInvalid, match=expected):
        make()


@pytest.mark.parametrize(("expected", "word"), [("MEDIUM", "warning"), ("INFO", "Informational"), ("HIGH", "high")])
def test_severities_have_aliases(expected: str, word: str) -> None:
    assert severity_from(word) == expected


@pytest.mark.parametrize(
    ("expected", "value"),
    [("0.7", 0.7), ("0.30000000000000004", 0.1 + 0.2), ("5", 5), ("0.90", " 0.90 "), ("1E+17", 1e17), ("0", 0)],
)
def test_a_figure_is_the_shortest_text_of_its_float(expected: str, value: object) -> None:
    assert figure_from(value, "threshold") == Decimal(expected)


@given(
    st.lists(
        st.tuples(st.integers(0, 400), st.none() | st.builds(Seen, is_breach=st.booleans(), is_proved=st.booleans())),
        max_size=60,
    ),
    st.integers(0, 600),
)
def test_no_two_alerts_begin_within_a_cooldown_and_each_was_earned(
    looks: list[tuple[int, Seen | None]], cooldown_s: int
) -> None:
    rule = Rule(name="r", severity="LOW", condition=Metric(name="m"), cooldown_s=cooldown_s)
    standing, now_us, begun = Standing(), 10**15, []
    for seconds, seen in looks:
        now_us += seconds * 10**6
        before, standing = standing, moved(rule, standing, seen, now_us=now_us)
        if standing.state == "firing" and before.state != "firing":
            assert seen is not None
            assert seen.is_breach
            assert seen.is_proved
            begun.append(now_us)
        if standing.state == "resolved":
            assert seen is not None
            assert not seen.is_breach
            standing = Standing(fired_us=standing.fired_us)
    assert all(later - sooner >= cooldown_s * 10**6 for sooner, later in pairwise(begun))
