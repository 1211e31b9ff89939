"""Alerts by hand: begun once for the same name and labels, ended by hand alone, told and shown like all others."""

from __future__ import annotations

import json
import threading
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from tests.alerts.helpers import Inbox, alerts_of, states
from tokencalc import Engine
from tokencalc.alerts.alerts import Alerts
from tokencalc.alerts.channels import Subscription
from tokencalc.alerts.profile import SHIPPED
from tokencalc.alerts.retention import KEPT_S
from tokencalc.alerts.rules import Metric, Rule
from tokencalc.config import Settings
from tokencalc.errors import AlertInvalid

if TYPE_CHECKING:
    from pathlib import Path

    from tokencalc.clock import ManualClock

DAY_S = 24 * 3600
QUEUE = Rule(name="queue", severity="HIGH", condition=Metric(name="queue_length"), threshold=Decimal(1))


def test_an_alert_by_hand_is_an_ordinary_alert_from_its_firing_to_its_end(engine: Engine, clock: ManualClock) -> None:
    inbox = Inbox()
    alerts = alerts_of(engine, channels=(inbox,))
    began = alerts.trigger("import_failed", "it stopped at file 7", severity="warning", labels={"feed": "eu"})
    assert (began.rule, began.text, began.severity) == ("import_failed", "it stopped at file 7", "MEDIUM")
    assert (began.state, began.labels, began.fired_at) == ("firing", {"feed": "eu"}, clock.now())
    assert began.value is None
    assert alerts.alerts("firing") == (began,)
    clock.advance(60)
    assert alerts.acknowledge(began.alert_id, by="ada").acknowledged_by == "ada"
    ended = alerts.resolve(began.alert_id, by="ada")
    assert (ended.state, ended.text) == ("resolved", "it stopped at file 7; ended by ada")
    alerts.deliver()
    assert inbox.events == ["import_failed firing", "import_failed resolved"]
    told = json.loads(inbox.got[0].payload)["data"]
    assert (told["value"], told["labels"], told["severity"]) == (None, {"feed": "eu"}, "MEDIUM")


def test_without_a_severity_or_labels_it_is_medium_and_has_none(engine: Engine) -> None:
    alert = alerts_of(engine).trigger("import_failed", "it stopped")
    assert (alert.severity, alert.labels) == ("MEDIUM", {})


@pytest.mark.parametrize(
    ("is_same", "after_s", "answer"),
    [
        (True, 0, None),
        (True, 299, None),
        (True, 30 * DAY_S, None),
        (True, 30 * DAY_S, "acknowledge"),
        (True, 0, "resolve"),
        (True, 299, "resolve"),
        (False, 300, "resolve"),
        (False, -10, "resolve"),
    ],
)
def test_what_is_there_or_began_within_the_cooldown_is_returned_and_nothing_is_sent(
    after_s: int, answer: str | None, engine: Engine, clock: ManualClock, *, is_same: bool
) -> None:
    inbox = Inbox()
    alerts = alerts_of(engine, channels=(inbox,))
    first = alerts.trigger("import_failed", "it stopped at file 7")
    if answer is not None:
        first = getattr(alerts, answer)(first.alert_id)
    if after_s < 0:
        clock.jump_to(clock.now().replace(hour=1))
    else:
        clock.advance(after_s)
    again = alerts.trigger("import_failed", "it stopped at file 8", severity="CRITICAL")
    assert (again == first) is is_same
    alerts.deliver()
    assert inbox.events.count("import_failed firing") == (1 if is_same else 2)


def test_an_open_alert_is_returned_also_where_the_clock_went_back(engine: Engine, clock: ManualClock) -> None:
    alerts = alerts_of(engine)
    first = alerts.trigger("import_failed", "it stopped")
    clock.jump_to(clock.now().replace(hour=1))
    assert alerts.trigger("import_failed", "it stopped") == first


def test_other_labels_are_another_alert_and_their_order_says_nothing(engine: Engine) -> None:
    alerts = alerts_of(engine)
    found = {
        alerts.trigger("import_failed", "it stopped", labels=labels).alert_id
        for labels in ({"feed": "eu", "day": "1"}, {"day": "1", "feed": "eu"}, {"feed": "us", "day": "1"}, {}, None)
    }
    assert len(found) == 3


def test_ten_thousand_in_a_row_are_one_alert_with_one_message(engine: Engine) -> None:
    inbox = Inbox()
    alerts = alerts_of(engine, channels=(inbox,))
    assert len({alerts.trigger("import_failed", f"file {number}").alert_id for number in range(10_000)}) == 1
    assert alerts.deliver().sent == 1


def test_processes_that_trigger_the_same_at_once_make_one_alert(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "usage.db"
    with (
        Engine.open(path, clock=clock, settings=Settings()) as one,
        Engine.open(path, clock=clock, settings=Settings()) as other,
    ):
        inbox = Inbox()
        each = [alerts_of(engine, channels=(inbox,)) for engine in (one, other)]
        found: set[str] = set()
        start = threading.Barrier(8)

        def trigger(alerts: Alerts) -> None:
            start.wait(20)
            found.add(alerts.trigger("import_failed", "it stopped").alert_id)

        threads = [threading.Thread(target=trigger, args=(each[number % 2],)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 1
        assert len(one.store.aside(lambda connection: connection.execute("SELECT 1 FROM outbox").fetchall())) == 1


def test_neither_silence_nor_a_look_nor_time_ends_it(engine: Engine, clock: ManualClock) -> None:
    alerts = alerts_of(engine, *SHIPPED, QUEUE)
    first = alerts.trigger("import_failed", "it stopped")
    for _ in range(3):
        assert alerts.check() == ()
        clock.advance(KEPT_S)
    assert alerts.alerts() == (first,)


def test_a_rule_of_another_process_with_its_name_leaves_it_alone(engine: Engine, clock: ManualClock) -> None:
    first = alerts_of(engine).trigger("queue", "it is stuck")
    own = Rule(name="own", severity="LOW", condition=lambda: 5, threshold=Decimal(1), unless="queue")
    others = alerts_of(engine, QUEUE, own)
    assert states(others.check()) == ["own firing"]
    engine.record_metric("queue_length", 5)
    assert states(others.check()) == ["queue firing"]
    clock.advance(30)
    engine.record_metric("queue_length", 0)
    assert states(others.check()) == ["queue resolved"]
    clock.advance(DAY_S)
    others.check()
    assert first in others.alerts("firing")


def test_one_that_ended_is_removed_with_the_others_after_ninety_days(engine: Engine, clock: ManualClock) -> None:
    alerts = alerts_of(engine)
    old = alerts.trigger("import_failed", "it stopped")
    alerts.resolve(old.alert_id)
    newer = alerts.trigger("export_failed", "it stopped")
    clock.advance(KEPT_S + 1)
    alerts.check()
    assert alerts.alerts() == (newer,)


def test_it_is_told_by_the_channels_of_its_severity(engine: Engine) -> None:
    every, worst = Inbox("every"), Inbox("worst")
    alerts = Alerts(engine, rules=(), channels=(Subscription(every), Subscription(worst, "HIGH")))
    alerts.trigger("small", "it is slow", severity="LOW")
    alerts.trigger("large", "it stands", severity="error")
    alerts.deliver()
    assert (every.events, worst.events) == (["small firing", "large firing"], ["large firing"])


def test_ten_kilobytes_with_control_characters_are_told_as_one_bounded_line(engine: Engine) -> None:
    inbox = Inbox()
    alerts = alerts_of(engine, channels=(inbox,))
    alert = alerts.trigger("import_failed", "\x1b[2J\r\n<b>@all \ud800\u202e" * 1000)
    alerts.resolve(alert.alert_id)
    alerts.deliver()
    for said in (alert.text, *(message.text for message in inbox.got)):
        assert said.isprintable()
        assert len(said) <= 1000
    assert inbox.got[1].text.endswith("; ended by hand")


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        ("name: 'queue' is that of a rule, whose looks begin and end its alerts; take another", {"name": "queue"}),
        ("name: expected text of 1 to 200 characters without control characters, found ''", {"name": ""}),
        ("name: expected text of 1 to 200 characters", {"name": "x" * 201}),
        ("name: expected text of 1 to 200 characters", {"name": "a\x1b[2J"}),
        ("text: expected a sentence, found ' '", {"text": " "}),
        ("text: expected a sentence, found None", {"text": None}),
        ("severity: expected one of CRITICAL, HIGH, MEDIUM, LOW, INFO, found 'loud'", {"severity": "loud"}),
        ("labels: expected a mapping of at most 20 texts", {"labels": {str(number): "x" for number in range(21)}}),
        ("labels: expected a mapping of at most 20 texts, found 'eu'", {"labels": "eu"}),
        ("labels.feed: expected text of 1 to 200 characters", {"labels": {"feed": "a\nb"}}),
        ("labels.feed: expected text of 1 to 200 characters", {"labels": {"feed": 7}}),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_begins(expected: str, said: dict[str, Any], engine: Engine) -> None:
    alerts = alerts_of(engine, QUEUE)
    with pytest.raises(AlertInvalid, match=f"^{expected.replace('[', '.')}"):
        alerts.trigger(**{"name": "import_failed", "text": "it stopped", **said})
    assert alerts.alerts() == ()
