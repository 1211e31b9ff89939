"""The outbox: at least once, under one id, whatever fails; a channel that fails makes nobody else wait."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from contextlib import ExitStack
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.alerts.helpers import Inbox, alerts_of, states
from tokencalc import AsyncEngine, Engine, Monitor
from tokencalc.alerts.alerts import Alerts
from tokencalc.alerts.channels import ConsoleChannel, FileChannel, Subscription, failed
from tokencalc.alerts.outbox import FIRST_RETRY_S, LAST_RETRY_S, LEASE_S, Leased, delivered, put_back, retry_s, take
from tokencalc.alerts.rules import Metric, Rule
from tokencalc.clock import ManualClock, micros_from_instant
from tokencalc.config import Settings
from tokencalc.errors import AlertInvalid, DeliveryFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
LOUD = Rule(name="loud", severity="CRITICAL", condition=Metric(name="m"), threshold=Decimal(1), cooldown_s=0)
SOFT = Rule(name="soft", severity="LOW", condition=Metric(name="m"), threshold=Decimal(1), cooldown_s=0)


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[tuple[Engine, Engine, ManualClock]]:
    """Give two engines on one ledger, as two processes have, and the clock of both."""
    clock = ManualClock("2026-11-20T12:00:00Z")
    with ExitStack() as stack:
        first, second = (
            stack.enter_context(Engine.open(tmp_path / "usage.db", clock=clock, settings=Settings())) for _ in range(2)
        )
        yield first, second, clock


def breach(engine: Engine, alerts: Alerts, value: float = 5) -> list[str]:
    """Let the metric be past the threshold, and look."""
    engine.record_metric("m", value)
    return states(alerts.check())


def test_a_receiver_that_was_down_gets_everything_in_order_afterwards(engine: Engine, clock: ManualClock) -> None:
    inbox = Inbox()
    alerts = alerts_of(engine, LOUD, channels=(inbox,))
    inbox.fail()
    breach(engine, alerts)
    assert alerts.deliver() == (0, {"inbox": "channel inbox: nobody is there"})
    clock.advance(1)
    breach(engine, alerts, 0)
    assert alerts.deliver().sent == 0
    assert inbox.tried == 1, "a channel that failed waits for its time"
    assert [(one.channel, one.messages) for one in alerts.waiting()] == [("inbox", 2)]
    inbox.problem = None
    clock.advance(FIRST_RETRY_S)
    assert alerts.deliver() == (2, {})
    assert inbox.events == ["loud firing", "loud resolved"]
    assert alerts.waiting() == ()
    clock.advance(3600)
    assert alerts.deliver().sent == 0


def test_waits_double_up_to_an_hour() -> None:
    waits = [retry_s(attempts) for attempts in range(30)]
    assert waits[:4] == [FIRST_RETRY_S, 2 * FIRST_RETRY_S, 4 * FIRST_RETRY_S, 8 * FIRST_RETRY_S]
    assert waits[-1] == LAST_RETRY_S
    assert waits == sorted(waits)


def test_a_message_that_is_refused_holds_up_no_other(engine: Engine, clock: ManualClock) -> None:
    inbox = Inbox()
    alerts = alerts_of(engine, LOUD, SOFT, channels=(inbox,))
    breach(engine, alerts)
    inbox.fail(only_this=True)
    alerts.deliver()
    assert inbox.tried == 2
    inbox.problem = None
    clock.advance(FIRST_RETRY_S)
    assert alerts.deliver().sent == 2


def test_a_channel_that_fails_or_hangs_makes_no_other_wait_nor_a_call_nor_the_ledger(engine: Engine) -> None:
    hanging, broken, well = Inbox("hanging"), Inbox("broken"), Inbox("well")
    hanging.gate.clear()
    broken.problem = RuntimeError("a bug of somebody's channel")
    alerts = alerts_of(engine, LOUD, channels=(hanging, broken, well))
    engine.record_metric("m", 5)
    alerts.pump()
    threads = {thread.name: thread for thread in threading.enumerate() if thread.name.startswith("tokencalc-alerts-")}
    for name in ("broken", "well"):
        if f"tokencalc-alerts-{name}" in threads:
            threads[f"tokencalc-alerts-{name}"].join(20)
    assert well.events == ["loud firing"]
    assert engine.record(model="acme-1", cost_usd=1).amount_usd == 1
    alerts.pump()  # does not wait for the hanging one either
    assert hanging.tried <= 1
    hanging.gate.set()
    alerts.deliver()
    assert hanging.events == ["loud firing"]
    assert [one.problem for one in alerts.waiting()] == ["channel broken: it raised RuntimeError"]


def test_two_that_look_at_one_ledger_make_one_alert_and_send_it_once(
    shared: tuple[Engine, Engine, ManualClock],
) -> None:
    inbox = Inbox()
    both = [alerts_of(engine, LOUD, channels=(inbox,)) for engine in shared[:2]]
    shared[0].record_metric("m", 5)
    moved: list[str] = []
    start = threading.Barrier(2)

    def look(alerts: Alerts) -> None:
        start.wait(20)
        moved.extend(states(alerts.check()))
        alerts.deliver()

    threads = [threading.Thread(target=look, args=(alerts,)) for alerts in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert moved == ["loud firing"]
    for alerts in both:
        alerts.deliver()
    assert inbox.events == ["loud firing"]


WORKER = """
import sys
from decimal import Decimal
from pathlib import Path
from tokencalc import Engine
from tokencalc.alerts.alerts import Alerts
from tokencalc.alerts.channels import FileChannel, Subscription
from tokencalc.alerts.rules import Metric, Rule
rule = Rule(name="r", severity="HIGH", condition=Metric(name="m"), threshold=Decimal(1))
with Engine.open(sys.argv[1]) as engine:
    alerts = Alerts(engine, rules=(rule,), channels=(Subscription(FileChannel(name="f", path=Path(sys.argv[2]))),))
    sys.stdout.write("ready\\n")
    sys.stdout.flush()
    sys.stdin.readline()
    for _ in range(50):
        engine.record_metric("m", 5)
        alerts.check()
        alerts.deliver()
"""


def test_two_processes_on_one_ledger_give_one_alert(tmp_path: Path) -> None:
    ledger, told = tmp_path / "usage.db", tmp_path / "told.jsonl"
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(ledger), str(told)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        worker.communicate("go\n", timeout=120)
    assert [worker.returncode for worker in workers] == [0, 0]
    assert len(told.read_text(encoding="utf-8").splitlines()) == 1


def test_a_restart_neither_forgets_nor_repeats(tmp_path: Path) -> None:
    clock, inbox = ManualClock("2026-11-20T12:00:00Z"), Inbox()
    later = Rule(name="later", severity="LOW", condition=Metric(name="m"), threshold=Decimal(1), for_s=60)
    seen = []
    for _ in range(4):
        with Engine.open(tmp_path / "usage.db", clock=clock, settings=Settings()) as engine:
            alerts = alerts_of(engine, later, channels=(inbox,))
            seen += breach(engine, alerts)
            alerts.deliver()
        clock.advance(30)
    assert seen == ["later firing"]
    assert inbox.events == ["later firing"]


def test_a_process_that_dies_while_sending_loses_nothing_and_the_id_is_the_same(
    shared: tuple[Engine, Engine, ManualClock],
) -> None:
    first, second, clock = shared
    inbox = Inbox()
    alerts, began = alerts_of(first, LOUD, channels=(inbox,)), clock.now()
    breach(first, alerts)
    # It takes the row, and nothing is heard of it again.
    assert first.store.aside(lambda connection: take(connection, "inbox", micros_from_instant(clock.now())))
    heir = alerts_of(second, LOUD, channels=(inbox,))
    assert heir.deliver().sent == 0, "the row is leased"
    clock.advance(LEASE_S)
    assert heir.deliver().sent == 1
    assert [message.message_id for message in inbox.got] == [
        f"{heir.alerts()[0].alert_id}-firing-{micros_from_instant(began)}"
    ]


def test_a_clock_that_goes_back_delays_no_delivery_for_long(engine: Engine, clock: ManualClock) -> None:
    inbox = Inbox()
    alerts = alerts_of(engine, LOUD, channels=(inbox,))
    inbox.fail()
    breach(engine, alerts)
    alerts.deliver()
    inbox.problem = None
    clock.jump_to("2026-11-10T12:00:00Z")
    assert alerts.deliver().sent == 1


def test_a_lease_that_a_clock_took_ahead_with_it_ends_all_the_same(shared: tuple[Engine, Engine, ManualClock]) -> None:
    first, second, clock = shared
    inbox = Inbox()
    breach(first, alerts_of(first, LOUD, channels=(inbox,)))
    assert first.store.aside(lambda connection: take(connection, "inbox", micros_from_instant(clock.now())))
    clock.jump_to("2026-11-10T12:00:00Z")
    assert alerts_of(second, LOUD, channels=(inbox,)).deliver().sent == 1


def test_who_fails_after_its_lease_ended_changes_nothing_for_the_heir(engine: Engine, clock: ManualClock) -> None:
    breach(engine, alerts_of(engine, LOUD, channels=(Inbox(),)))

    def taken() -> Leased | None:
        return engine.store.aside(lambda connection: take(connection, "inbox", micros_from_instant(clock.now())))

    late = taken()
    clock.advance(LEASE_S)
    heir = taken()
    assert late
    assert heir
    error = failed("inbox", "too late")
    engine.store.aside(lambda connection: put_back(connection, late, error, micros_from_instant(clock.now())))
    clock.advance(LEASE_S - 1)
    assert taken() is None, "the heir still has it"
    assert engine.store.aside(lambda connection: delivered(connection, heir, micros_from_instant(clock.now())))


def test_channels_hear_from_their_least_severity_on_and_of_the_rules_that_name_them(engine: Engine) -> None:
    high, every = Inbox("high"), Inbox("every")
    named = Rule(name="named", severity="LOW", condition=Metric(name="m"), threshold=Decimal(1), channels=("every",))
    alerts = Alerts(
        engine, rules=(LOUD, SOFT, named), channels=(Subscription(high, "HIGH"), Subscription(every, "INFO"))
    )
    breach(engine, alerts)
    alerts.deliver()
    assert high.events == ["loud firing"]
    assert sorted(every.events) == ["loud firing", "named firing", "soft firing"]
    with pytest.raises(AlertInvalid, match="rule named: it tells channel 'every'; there are: none"):
        Alerts(engine, rules=(named,), channels=())
    with pytest.raises(AlertInvalid, match="rule: the name 'loud' is there twice"):
        Alerts(engine, rules=(LOUD, LOUD))


def test_who_heard_of_an_alert_hears_that_somebody_resolved_it(engine: Engine) -> None:
    inbox = Inbox()
    alerts = alerts_of(engine, LOUD, channels=(inbox,))
    breach(engine, alerts)
    (alert,) = alerts.alerts()
    for _ in range(2):
        Alerts(engine, channels=()).resolve(alert.alert_id)
    alerts.deliver()
    assert inbox.events == ["loud firing", "loud resolved"]


def test_a_monitor_checks_and_delivers(engine: Engine) -> None:
    inbox = Inbox()
    alerts = alerts_of(engine, LOUD, channels=(inbox,))
    monitor = Monitor(engine, collectors=(), pumps=(alerts.pump,))
    engine.record_metric("m", 5)
    monitor.collect_once()
    alerts.deliver()
    assert (monitor.problems, inbox.events) == ((), ["loud firing"])


def test_the_file_holds_a_line_for_each_message_and_survives_half_a_line(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    path.write_text('{"half', encoding="utf-8")
    channel = FileChannel(name="file", path=path)
    alerts = Alerts(engine, rules=(LOUD,), channels=(Subscription(channel),))
    breach(engine, alerts)
    assert alerts.deliver().sent == 1
    half, line = path.read_text(encoding="utf-8").splitlines()
    assert half == '{"half'
    assert '"type": "alert.firing"' in line
    path.unlink()
    alerts.test("file")
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_a_full_disk_is_told_and_retried(engine: Engine) -> None:
    channel = FileChannel(name="file", path=Path("/dev/full"))
    alerts = Alerts(engine, rules=(LOUD,), channels=(Subscription(channel),))
    breach(engine, alerts)
    assert alerts.deliver().problems == {"file": "channel file: the file cannot be written: No space left on device"}
    assert len(alerts.waiting()) == 1


def test_a_file_that_cannot_be_synced_has_not_taken_the_message(engine: Engine, tmp_path: Path) -> None:
    """A pipe takes what is written and refuses the sync: so the sync is asked for, and what it says counts."""
    os.mkfifo(tmp_path / "pipe")
    alerts = Alerts(engine, rules=(), channels=(Subscription(FileChannel(name="file", path=tmp_path / "pipe")),))
    with pytest.raises(DeliveryFailed, match="channel file: the file cannot be written"):
        alerts.test("file")


def test_a_console_that_is_closed_is_a_failure(engine: Engine) -> None:
    stream = StringIO()
    stream.close()
    alerts = Alerts(engine, rules=(), channels=(Subscription(ConsoleChannel(name="console", stream=stream)),))
    with pytest.raises(DeliveryFailed, match="channel console: the stream takes nothing"):
        alerts.test("console")


def test_an_async_engine_has_alerts_too(tmp_path: Path) -> None:
    async def work() -> list[str]:
        async with AsyncEngine.open(tmp_path / "usage.db", settings=Settings()) as engine:
            await engine.record_metric("m", 5)
            alerts = Alerts(engine, rules=(LOUD,), channels=())
            assert len(Alerts.of(engine, environ={}).rules) > 10
            return states(await asyncio.to_thread(alerts.check))

    assert asyncio.run(work()) == ["loud firing"]
