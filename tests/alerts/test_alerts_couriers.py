"""Whoever delivers: beside a channel's worst, after a fork, at a program's end, without one of its channels."""

from __future__ import annotations

import json
import logging
import os
import threading
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from tests.alerts.helpers import Inbox, alerts_of
from tests.alerts.receivers import Receiver, webhook
from tokencalc import Engine
from tokencalc.alerts.alerts import Alerts
from tokencalc.alerts.channels import BrokenChannel, Subscription
from tokencalc.alerts.outbox import FIRST_RETRY_S, GIVE_UP_S, NOTED_S
from tokencalc.alerts.rules import Metric, Rule
from tokencalc.cli.main import main
from tokencalc.config import Settings
from tokencalc.errors import DeliveryFailed, LedgerClosed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tokencalc.clock import ManualClock

LOUD = Rule(name="loud", severity="HIGH", condition=Metric(name="m"), threshold=Decimal(1), cooldown_s=0)
CHILD_S = 20


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.mark.parametrize("problem", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_a_channel_that_wants_to_end_the_program_is_a_channel_that_failed(
    problem: BaseException, engine: Engine, clock: ManualClock
) -> None:
    inbox = Inbox()
    inbox.problem = problem
    alerts = alerts_of(engine, LOUD, channels=(inbox,))
    engine.record_metric("m", 5)
    alerts.check()
    assert alerts.deliver() == (0, {"inbox": f"channel inbox: it raised {type(problem).__name__}"})
    inbox.problem = None
    clock.advance(15)
    assert alerts.deliver() == (1, {}), "it waits for its next attempt, not for the end of a lease"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # a fork beside a thread is what is tested
def test_a_fork_while_another_thread_delivers_does_not_block_the_child(tmp_path: Path) -> None:
    with Engine.open(tmp_path / "usage.db", settings=Settings()) as engine:
        alerts = alerts_of(engine, LOUD, channels=(Inbox(),))
        engine.record_metric("m", 5)
        alerts.check()
        held, done = threading.Event(), threading.Event()

        def hold() -> None:
            with alerts._courier.lock:
                held.set()
                done.wait(timeout=30)

        thread = threading.Thread(target=hold)
        thread.start()
        held.wait(timeout=30)
        child = os.fork()
        if child == 0:
            import signal  # noqa: PLC0415  # in the child only

            signal.alarm(CHILD_S)
            os._exit(40 + alerts.deliver().sent)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 41
        done.set()
        thread.join(timeout=30)


def test_a_short_program_has_told_its_alerts_when_it_ends(engine: Engine, receiver: Receiver) -> None:
    alerts = Alerts(engine, rules=(LOUD,), channels=(Subscription(webhook(receiver)),))
    alerts.pump()
    engine.record_metric("m", 5)
    assert alerts.pump.finish(20)
    (got,) = receiver.got
    assert json.loads(got.body)["data"]["rule"] == "loud"
    assert alerts.waiting() == ()


def test_a_program_ends_although_a_receiver_does_not_answer_and_what_it_took_is_noted(
    engine: Engine, receiver: Receiver
) -> None:
    alerts = Alerts(engine, rules=(LOUD,), channels=(Subscription(webhook(receiver)), Subscription(Inbox())))
    receiver.gate.clear()
    engine.record_metric("m", 5)
    assert not alerts.pump.finish(0.1)
    assert [(one.channel, one.messages) for one in alerts.waiting()] == [("ops", 1)]
    receiver.gate.set()
    assert alerts.pump.finish(20)
    assert alerts.waiting() == ()
    assert len(receiver.got) == 1


class Gate(logging.Handler):
    """Holds whoever tells something, until it is opened."""

    def __init__(self) -> None:
        """Be closed."""
        super().__init__()
        self.reached, self.opened = threading.Event(), threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        """Wait."""
        del record
        self.reached.set()
        self.opened.wait(20)


def test_what_falls_due_while_a_thread_is_about_to_end_is_delivered_at_the_end(
    engine: Engine, clock: ManualClock
) -> None:
    inbox, gate = Inbox(), Gate()
    alerts = alerts_of(engine, LOUD, channels=(inbox,))
    logger = logging.getLogger("tokencalc")
    logger.addHandler(gate)
    try:
        inbox.fail()
        engine.record_metric("m", 5)
        alerts.pump()
        assert gate.reached.wait(20), "the thread has failed, tells it, and looks for nothing more"
        inbox.problem = None
        clock.advance(FIRST_RETRY_S)
        threading.Timer(0.05, gate.opened.set).start()
        assert alerts.pump.finish(20)
    finally:
        logger.removeHandler(gate)
    assert inbox.events == ["loud firing"]


def test_what_waits_is_delivered_at_the_end_even_where_the_rules_cannot_be_checked(
    engine: Engine, receiver: Receiver
) -> None:
    alerts = Alerts(engine, rules=(LOUD,), channels=(Subscription(webhook(receiver)),))
    engine.record_metric("m", 5)
    alerts.check()

    def broken() -> None:
        raise LedgerClosed("closed")

    with pytest.raises(LedgerClosed, match="closed"):
        type(alerts.pump)(broken, alerts._courier).finish(20)
    assert len(receiver.got) == 1


def test_an_engine_that_is_closed_while_a_message_is_on_its_way_is_told_to_nobody(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    inbox = Inbox()
    alerts = Alerts(engine, rules=(LOUD,), channels=(Subscription(inbox),))
    engine.record_metric("m", 5)
    alerts.check()
    inbox.fail()
    inbox.gate.clear()
    (thread,) = alerts._courier.start()
    while not inbox.tried:
        thread.join(0.001)
    engine.close()
    inbox.gate.set()
    thread.join(20)
    assert not thread.is_alive()
    assert [record.message for record in caplog.records] == []


def test_a_channel_that_cannot_be_made_fails_alone_and_leaves_its_messages_to_who_can(
    engine: Engine, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    well, ops = Inbox("well"), Inbox("ops")
    broken = BrokenChannel(name="ops", problem="the variable 'OPS' is not set")
    without = Alerts(engine, rules=(LOUD,), channels=(Subscription(broken), Subscription(well)))
    engine.record_metric("m", 5)
    without.check()
    for _ in range(3):
        assert without.deliver().problems == {"ops": broken.problem}
        clock.advance(3600)
    assert well.events == ["loud firing"]
    assert [record.message.partition(";")[0] for record in caplog.records] == [broken.problem]
    with pytest.raises(DeliveryFailed, match="the variable 'OPS' is not set"):
        without.test("ops")
    assert alerts_of(engine, LOUD, channels=(ops,)).deliver() == (1, {}), "no attempt was counted, and no wait begun"
    engine.record_metric("m", 0)
    without.check()
    for seconds in (GIVE_UP_S, NOTED_S):
        clock.advance(seconds)
        without.deliver()
    assert [(one.channel, one.messages, one.given_up) for one in without.waiting()] == [("ops", 0, 1)]


SETTINGS = """
[channel.ops]
kind = "webhook"
url = "https://ops.example/hook"
secret_env = "NOT_SET_HERE"

[channel.log]
kind = "file"
path = "told/alerts.jsonl"
"""


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a ledger with a day that cost too much, and a settings file with a broken and a file channel."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NOT_SET_HERE", raising=False)
    (tmp_path / "tokencalc.toml").write_text(SETTINGS, encoding="utf-8")
    with Engine.open(tmp_path / "usage.db") as engine:
        engine.record(model="acme-1", cost_usd=101)
    return tmp_path / "usage.db"


def parsed(*arguments: object, code: int) -> Any:
    """Run a command with --json, and return what it prints."""
    result = CliRunner().invoke(main, [*map(str, arguments), "--json"])
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def doctor(ledger: Path, *, code: int) -> list[tuple[str, str]]:
    """Return what the doctor says of alerts: state and text."""
    checks = parsed("doctor", "--ledger", ledger, code=code)["checks"]
    return [(one["state"], one["text"]) for one in checks if one["name"] == "alerts" or "channel " in one["text"]]


def test_one_unset_variable_stops_neither_the_rules_nor_another_channel(ledger: Path) -> None:
    (ledger.parent / "told").mkdir()
    found = parsed("alerts", "deliver", "--ledger", ledger, code=1)
    assert [one["rule"] for one in found["moved"]] == ["cost_day"]
    assert found["sent"] == 1
    assert "channel.ops.secret_env: the variable 'NOT_SET_HERE' is not set" in found["problems"]["ops"]
    tested = parsed("alerts", "test", "--ledger", ledger, code=1)["channels"]
    assert {name: one["ok"] for name, one in tested.items()} == {"ops": False, "log": True}
    told = doctor(ledger, code=1)
    assert (told[0][0], told[0][1].rpartition("; ")[2]) == ("ok", "channels: ops, log")
    assert told[1][0] == "bad"
    assert "channel ops cannot be used: " in told[1][1]
    assert told[2] == ("note", "channel ops: 1 message not delivered yet")


def test_a_channel_that_is_down_is_told_by_each_exit_code_until_it_works(ledger: Path) -> None:
    (ledger.parent / "tokencalc.toml").write_text(SETTINGS.partition("\n\n")[2], encoding="utf-8")
    problem = "channel log: the file cannot be written: No such file or directory"
    for _ in range(2):  # the second time it waits for its next attempt
        assert parsed("alerts", "deliver", "--ledger", ledger, code=1)["problems"] == {"log": problem}
    listed = CliRunner().invoke(main, ["alerts", "list", "--ledger", str(ledger)])
    assert listed.exit_code == 0
    assert "channel log: 1 message not delivered yet: the file cannot be written" in listed.stderr
    assert doctor(ledger, code=1)[1] == (
        "bad",
        "channel log: 1 message not delivered yet: the file cannot be written: No such file or directory",
    )


def test_what_was_given_up_is_listed_and_no_longer_a_failure(ledger: Path) -> None:
    (ledger.parent / "tokencalc.toml").write_text(SETTINGS.partition("\n\n")[2], encoding="utf-8")
    inbox = Inbox("gone")
    with Engine.open(ledger) as engine:
        engine.record_metric("m", 5)
        alerts = alerts_of(engine, LOUD, channels=(inbox,))
        alerts.check()
        inbox.fail(for_good=True)
        assert alerts.deliver().problems
    text = "channel gone: 1 message given up in the last 30 days: nobody is there"
    assert ("note", text) in doctor(ledger, code=0)
    assert text in CliRunner().invoke(main, ["alerts", "list", "--ledger", str(ledger)]).stderr
    assert parsed("alerts", "list", "--ledger", ledger, code=0)["waiting"] == [
        {"channel": "gone", "messages": 0, "problem": "channel gone: nobody is there", "given_up": 1, "on_its_way": 0}
    ]


def test_a_rule_that_cannot_be_is_told_by_the_doctor(ledger: Path) -> None:
    (ledger.parent / "tokencalc.toml").write_text("[[alert]]\nname = 'r'\nmetric = 'm'\n", encoding="utf-8")
    ((state, text), *_) = doctor(ledger, code=1)
    assert (state, "threshold: it is missing" in text) == ("bad", True)
