"""One look at all rules: which of them begin, how they end, what a broken one costs, what is removed later."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from tests.alerts.helpers import Inbox, alerts_of, states
from tokencalc import Budget, Engine
from tokencalc.alerts import checking
from tokencalc.alerts.alerts import Alerts
from tokencalc.alerts.channels import ConsoleChannel
from tokencalc.alerts.profile import SHIPPED
from tokencalc.alerts.rules import BudgetPassed, Metric, Ratio, Rule
from tokencalc.cli.main import main
from tokencalc.errors import AlertInvalid, LedgerClosed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tokencalc.clock import ManualClock

HOUR_S, DAY_S = 3600, 24 * 3600
WAIT_S = 30
"""For what happens at once; a test that waits so long is red."""
LOW = Rule(name="low", severity="LOW", condition=Metric(name="m"), threshold=Decimal(1), unless="high")
HIGH = Rule(name="high", severity="HIGH", condition=Metric(name="m"), threshold=Decimal(10))


def count(alerts: Alerts, *wanted: Any) -> int:
    """Return how many alerts are in these states."""
    return len(alerts.alerts(*wanted))


# one fact, one message


@pytest.mark.parametrize(
    ("expected", "figures"),
    [
        ([["high firing"]], [20]),
        ([["low firing"], ["high firing"], [], ["low resolved", "high resolved"]], [5, 20, 5.5e3, 0]),
        ([["high firing"], ["high resolved", "low firing"], ["low resolved"]], [20, 5, 0]),
    ],
)
def test_a_rule_is_silent_while_the_worse_one_fires(
    expected: list[list[str]], figures: list[float], engine: Engine, clock: ManualClock
) -> None:
    alerts = alerts_of(engine, LOW, HIGH)
    found = []
    for figure in figures:
        engine.record_metric("m", figure)
        found.append(sorted(states(alerts.check())))
        clock.advance(30)
    assert found == [sorted(moved) for moved in expected]


def test_what_a_rule_left_firing_when_it_was_taken_out_keeps_none_silent(engine: Engine) -> None:
    engine.record_metric("m", 20)
    assert states(alerts_of(engine, LOW, HIGH).check()) == ["high firing"]
    assert states(alerts_of(engine, LOW).check()) == ["low firing"]


def test_only_the_same_instance_keeps_a_rule_silent(engine: Engine) -> None:
    engine.record_metric("m", 20, labels={"mount": "/a"})
    engine.record_metric("m", 5, labels={"mount": "/b"})
    assert sorted(states(alerts_of(engine, LOW, HIGH).check())) == ["high firing", "low firing"]


def test_a_full_processor_is_told_once(engine: Engine, clock: ManualClock) -> None:
    alerts = alerts_of(engine, *SHIPPED)
    told: list[str] = []
    for _ in range(4):
        engine.record_metric("system.cpu_share", 0.99)
        told += states(alerts.check())
        clock.advance(30)
    assert told == ["cpu_critical firing"]


def test_every_shipped_high_rule_yields_to_its_critical_one() -> None:
    names = {rule.name for rule in SHIPPED}
    highs = {rule.name: rule.unless for rule in SHIPPED if rule.name.endswith("_high")}
    assert highs
    for name, unless in highs.items():
        assert unless == name.replace("_high", "_critical")
        assert unless in names


def test_rules_that_wait_for_each_other_are_refused(engine: Engine) -> None:
    other = Rule(name="high", severity="HIGH", condition=Metric(name="m"), unless="low")
    itself = Rule(name="r", severity="HIGH", condition=Metric(name="m"), unless="r")
    with pytest.raises(AlertInvalid, match="the rules low, high wait for each other"):
        alerts_of(engine, LOW, other)
    with pytest.raises(AlertInvalid, match="the rules r wait for each other"):
        alerts_of(engine, itself)


@pytest.mark.parametrize(
    ("expected", "amounts"),
    [
        (["budget_full"], ["11"]),
        (["budget_90"], ["9.5"]),
        (["budget_75", "budget_90", "budget_full"], ["7.5", "1.5", "1"]),
        (["budget_75", "budget_full"], ["7.5", "3.5"]),
    ],
)
def test_of_thresholds_that_are_passed_at_once_the_highest_is_told(
    expected: list[str], amounts: list[str], engine: Engine
) -> None:
    engine.set_budget(Budget(name="daily", limit_usd="10", period="day", alert_at=(50, 75, 90, 100)))
    alerts = alerts_of(engine, *SHIPPED)
    told: list[str] = []
    for amount in amounts:
        engine.record(model="acme-1", cost_usd=amount)
        told += states(alerts.check())
        told += states(alerts.check())
    assert told == [f"{name} firing" for name in expected]


def test_a_lower_threshold_is_told_where_no_rule_has_the_higher(engine: Engine) -> None:
    engine.set_budget(Budget(name="daily", limit_usd="10", period="day", alert_at=(75, 90, 100)))
    engine.record(model="acme-1", cost_usd="11")
    rules = [rule for rule in SHIPPED if rule.name != "budget_full"]
    assert states(alerts_of(engine, *rules).check()) == ["budget_90 firing"]


def test_each_budget_has_a_highest_threshold_of_its_own(engine: Engine) -> None:
    for name, limit in (("small", "10"), ("large", "12")):
        engine.set_budget(Budget(name=name, limit_usd=limit, period="day", alert_at=(75, 90, 100)))
    engine.record(model="acme-1", cost_usd="11")
    found = alerts_of(engine, *SHIPPED).check()
    assert {(alert.labels["budget"], alert.labels["percent"]) for alert in found} == {("small", "100"), ("large", "90")}


# how an alert ends


def test_an_end_is_told_with_the_figure_that_ended_it(engine: Engine, clock: ManualClock) -> None:
    inbox = Inbox()
    alerts = alerts_of(engine, HIGH, channels=(inbox,))
    for figure in (50, 3.5):
        engine.record_metric("m", figure)
        alerts.check()
        clock.advance(30)
    alerts.deliver()
    host = alerts.alerts()[0].labels["host"]
    assert [message.text for message in inbox.got] == [
        f"m (host={host}) is 50.0, threshold: above 10",
        f"m (host={host}) is 3.5, threshold: above 10; it was 50.0",
    ]


@pytest.mark.parametrize(
    ("expected", "end"),
    [
        (
            "passed 75 % in 2026-11-20: $8.000000 of $10.000000; its period is over",
            lambda _, clock: clock.advance(DAY_S),
        ),
        (
            "passed 75 % in 2026-11-20: $8.000000 of $10.000000; now $8.000000 of $20.000000",
            lambda engine, _: engine.set_budget(Budget(name="daily", limit_usd="20", period="day", alert_at=(75,))),
        ),
        (
            "passed 75 % in 2026-11-20: $8.000000 of $10.000000; ended by ada",
            lambda engine, _: alerts_of(engine).resolve(alerts_of(engine).alerts()[0].alert_id, by="ada"),
        ),
    ],
)
def test_the_end_of_a_budgets_alert_says_why(
    expected: str, end: Callable[[Engine, ManualClock], object], engine: Engine, clock: ManualClock
) -> None:
    engine.set_budget(Budget(name="daily", limit_usd="10", period="day", alert_at=(75,)))
    alerts = alerts_of(engine, *SHIPPED)
    engine.record(model="acme-1", cost_usd="8")
    alerts.check()
    end(engine, clock)
    alerts.check()
    (alert,) = alerts.alerts("resolved")
    assert alert.text == f"budget daily {expected}"


def test_an_end_has_room_beside_a_long_name(engine: Engine, clock: ManualClock) -> None:
    alerts = alerts_of(engine, HIGH)
    engine.record_metric("m", 50, labels={f"label{number}": "x" * 190 for number in range(9)})
    alerts.check()
    clock.advance(2 * HOUR_S)
    (alert,) = alerts.check()
    assert alert.text.endswith("; it fell silent: no figure for 62 minutes")
    assert len(alert.text) == 1000


@pytest.mark.parametrize(
    ("metric", "silent_s"), [("limiter.success_rate", HOUR_S), ("own", HOUR_S), ("system.disk_share", DAY_S)]
)
def test_an_alert_of_what_fell_silent_ends(metric: str, silent_s: int, engine: Engine, clock: ManualClock) -> None:
    rule = Rule(name="r", severity="HIGH", condition=Metric(name=metric), threshold=Decimal("0.5"))
    inbox = Inbox()
    alerts = alerts_of(engine, rule, channels=(inbox,))
    engine.record_metric(metric, 0.9)
    assert states(alerts.check()) == ["r firing"]
    clock.advance(120 + silent_s)
    assert states(alerts.check()) == []
    clock.advance(1)
    assert states(alerts.check()) == ["r resolved"]
    alerts.deliver()
    assert inbox.got[-1].text.endswith(f"it fell silent: no figure for {2 + silent_s // 60} minutes")


# one that is broken


def test_a_damaged_series_stops_only_its_own_rule(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    other = Rule(name="other", severity="LOW", condition=Metric(name="k"), threshold=Decimal(1))
    alerts = alerts_of(engine, HIGH, other)
    engine.record_metric("m", 50)
    engine.record_metric("k", 50)
    engine.store.samples.flush()
    engine.store.aside(lambda connection: connection.execute("UPDATE series SET labels = '{' WHERE name = 'm'"))
    with caplog.at_level(logging.WARNING):
        assert states(alerts.check()) == ["other firing"]
        alerts.check()
    assert len([one for one in caplog.messages if "rule high cannot be looked at" in one]) == 1
    (problem,) = alerts.problems
    assert "the samples of rule high cannot be read" in problem
    engine.store.aside(lambda connection: connection.execute("UPDATE series SET labels = '{}' WHERE name = 'm'"))
    assert states(alerts.check()) == ["high firing"]
    assert alerts.problems == ()


def test_sums_beyond_every_float_are_not_known(engine: Engine) -> None:
    huge = Metric(name="m", statistic="sum")
    rules = (
        Rule(name="sum", severity="LOW", condition=huge, threshold=Decimal(1)),
        Rule(name="ratio", severity="LOW", condition=Ratio(numerator=huge, denominator=huge), threshold=Decimal("0.5")),
        Rule(name="fine", severity="LOW", condition=Metric(name="k"), threshold=Decimal(1)),
    )
    for value in (1e308, 1.7e308):
        engine.record_metric("m", value)
    engine.record_metric("k", 5)
    alerts = alerts_of(engine, *rules)
    assert states(alerts.check()) == ["fine firing"]
    assert alerts.problems == ()
    assert [alert.value for alert in alerts.alerts()] == [5]


def test_a_closed_ledger_is_no_fault_of_a_rule(engine: Engine) -> None:
    alerts = alerts_of(engine, HIGH)
    engine.close()
    with pytest.raises(LedgerClosed, match="the ledger was closed"):
        alerts.check()


@pytest.mark.parametrize(
    ("expected", "wrong"),
    [
        ("rules: expected a Rule each, found 'x'", {"rules": ("x",)}),
        ("channels: expected a Subscription", {"channels": (ConsoleChannel(name="console"),)}),
    ],
)
def test_what_is_no_rule_and_no_subscription_is_refused(expected: str, wrong: Any, engine: Engine) -> None:
    with pytest.raises(AlertInvalid, match=expected):
        Alerts(engine, **wrong)


def test_a_metric_that_nobody_writes_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "[[alert]]\nname = 'slow'\nmetric = 'operation.duraton_mean_s'\nthreshold = 2\n"
    (tmp_path / "tokencalc.toml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    ledger = str(tmp_path / "usage.db")
    Engine.open(ledger).close()

    def said() -> tuple[str, Any]:
        plain, as_json = (
            CliRunner().invoke(main, ["alerts", "list", "--ledger", ledger, *more]) for more in ((), ("--json",))
        )
        assert plain.exit_code == 0
        return plain.stderr, json.loads(as_json.stdout)["unseen"]

    text, told = said()
    assert text.startswith("rule slow: this ledger has no sample of operation.duraton_mean_s; is that its name")
    assert told == [{"rule": "slow", "metric": "operation.duraton_mean_s"}]
    with Engine.open(ledger) as engine:
        engine.record_metric("operation.duraton_mean_s", 1)
    assert said() == ("", [])


# clocks, two processes, many at once


def test_a_clock_that_was_a_year_ahead_costs_one_repeat(engine: Engine, clock: ManualClock) -> None:
    alerts = alerts_of(engine, HIGH)
    clock.jump_to("2027-11-20T12:00:00Z")
    engine.record_metric("m", 50)
    assert states(alerts.check()) == ["high firing"]
    clock.jump_to("2026-11-20T12:00:00Z")
    begun = []
    for second in range(0, 400, 10):
        engine.record_metric("m", 50 if second % 20 else 0)
        begun += [second for state in states(alerts.check()) if state == "high firing"]
        clock.advance(10)
    assert begun == [10, 310]


def test_a_crossing_of_a_clock_that_was_ahead_is_told_once(engine: Engine, clock: ManualClock) -> None:
    rule = Rule(name="b", severity="LOW", condition=BudgetPassed())
    alerts = alerts_of(engine, rule)
    engine.set_budget(Budget(name="all", limit_usd="10", period="total", alert_at=(75,)))
    clock.jump_to("2027-11-20T12:00:00Z")
    engine.record(model="acme-1", cost_usd="8")
    ((alert),) = alerts.check()
    alerts.resolve(alert.alert_id)
    clock.jump_to("2026-11-20T12:00:00Z")
    assert states(alerts.check()) == []


def test_two_that_look_at_the_same_moment_make_one_alert(
    engine: Engine, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = Inbox()
    first, second = (alerts_of(engine, HIGH, channels=(inbox,)) for _ in range(2))
    aside, told = engine.store.aside, []

    def after_the_other(work: Any) -> Any:
        """Let the other one look and write between this one's look and its transaction."""
        monkeypatch.setattr(engine.store, "aside", aside)
        told.append(states(second.check()))
        return aside(work)

    for figure, expected in ((50, "high firing"), (0, "high resolved")):
        engine.record_metric("m", figure)
        engine.store.samples.flush()
        monkeypatch.setattr(engine.store, "aside", after_the_other)
        assert states(first.check()) == []
        assert told.pop() == [expected]
        clock.advance(30)
    first.deliver()
    assert inbox.events == ["high firing", "high resolved"]


def test_many_alerts_are_written_in_pieces(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "_PIECE", 10)
    alerts = alerts_of(engine, LOW, HIGH)
    for number in range(45):
        engine.record_metric("m", 50, labels={"agent": f"a{number}"})
    aside, pieces = engine.store.aside, []

    def counted(work: Any) -> Any:
        found = aside(work)
        pieces.append(len(found or ()))
        return found

    engine.store.samples.flush()
    monkeypatch.setattr(engine.store, "aside", counted)
    assert states(alerts.check()) == ["high firing"] * 45
    assert max(pieces) == 10
    assert count(alerts, "pending") == 45
    pieces.clear()
    assert alerts.check() == ()
    assert pieces == []


def test_a_function_of_ones_own_is_asked_and_none_is_not_known(engine: Engine, clock: ManualClock) -> None:
    figures: list[object] = [None, 0.5, 5, None, "many", 0.5]
    rule = Rule(name="r", severity="LOW", condition=lambda: figures.pop(0), threshold=Decimal(1))  # type: ignore[arg-type,return-value]
    alerts = alerts_of(engine, rule)
    found = []
    while figures:
        found.append((states(alerts.check()), len(alerts.problems)))
        clock.advance(30)
    assert found == [([], 0), ([], 0), (["r firing"], 0), ([], 0), ([], 1), (["r resolved"], 0)]
    assert alerts.alerts()[0].text == "r is 0.5, threshold: above 1; it was 5"


@pytest.mark.parametrize(
    ("expected", "error"),
    [
        ("ZeroDivisionError", ZeroDivisionError()),
        ("SystemExit", SystemExit(3)),
        ("CancelledError", asyncio.CancelledError()),
        ("the ledger of another program was closed", LedgerClosed("the ledger of another program was closed")),
    ],
)
def test_a_function_that_raises_stops_no_other_rule(expected: str, error: BaseException, engine: Engine) -> None:
    def broken() -> Decimal:
        raise error

    first = Rule(name="broken", severity="LOW", condition=broken, threshold=Decimal(1))
    fine = Rule(name="fine", severity="LOW", condition=lambda: Decimal(5), threshold=Decimal(1))
    alerts = alerts_of(engine, first, fine, HIGH)
    engine.record_metric("m", 50)
    assert states(alerts.check()) == ["high firing", "fine firing"]
    assert alerts.problems == (f"rule broken cannot be looked at: {expected}",)


def test_an_interrupt_in_a_function_is_the_programs(engine: Engine) -> None:
    def interrupted() -> Decimal:
        raise KeyboardInterrupt

    rule = Rule(name="r", severity="LOW", condition=interrupted, threshold=Decimal(1))
    with pytest.raises(KeyboardInterrupt, match=r"^$"):
        alerts_of(engine, rule).check()


def test_what_the_ledger_answers_is_told_before_a_function_that_hangs(engine: Engine) -> None:
    inbox, hangs, gate = Inbox(), threading.Event(), threading.Event()

    def stuck() -> Decimal:
        hangs.set()
        assert gate.wait(WAIT_S)
        return Decimal(5)

    rule = Rule(name="stuck", severity="LOW", condition=stuck, threshold=Decimal(1))
    alerts = alerts_of(engine, rule, HIGH, channels=(inbox,))
    engine.record_metric("m", 50)
    pumping = threading.Thread(target=alerts.pump)
    pumping.start()
    assert hangs.wait(WAIT_S)
    assert inbox.came.acquire(timeout=WAIT_S)
    assert inbox.events == ["high firing"]
    gate.set()
    pumping.join(WAIT_S)
    assert inbox.came.acquire(timeout=WAIT_S)
    assert inbox.events == ["high firing", "stuck firing"]
