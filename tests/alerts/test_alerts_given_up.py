"""Where trying ends: what was refused for good, what was tried for days, what waits for a channel that nobody has."""

from __future__ import annotations

import logging
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from tests.alerts.helpers import Inbox, alerts_of
from tests.alerts.receivers import MESSAGE, NOW, Receiver, webhook
from tokencalc import Engine
from tokencalc.alerts.outbox import (
    FIRST_RETRY_S,
    GIVE_UP_S,
    LAST_RETRY_S,
    LEASE_S,
    MOST_ATTEMPTS,
    NOTED_S,
    TOLD_S,
    retry_s,
    take,
)
from tokencalc.alerts.rules import Metric, Rule
from tokencalc.cli.alerts import waiting_text
from tokencalc.clock import micros_from_instant
from tokencalc.config import Settings
from tokencalc.errors import DeliveryFailed

if TYPE_CHECKING:
    from pathlib import Path

    from tokencalc.alerts.alerts import Alerts
    from tokencalc.clock import ManualClock

FIRST, SECOND = (
    Rule(name=name, severity="HIGH", condition=Metric(name=name), threshold=Decimal(1), cooldown_s=0)
    for name in ("first", "second")
)
HOUR_S = 3600


def breach(engine: Engine, alerts: Alerts, name: str) -> None:
    """Let a metric be past its threshold, and look."""
    engine.record_metric(name, 5)
    assert alerts.check()


def counted(alerts: Alerts) -> list[tuple[str, int, int]]:
    """Return each channel with what waits for it and what was given up."""
    return [(one.channel, one.messages, one.given_up) for one in alerts.waiting()]


def test_the_attempts_that_are_counted_take_the_days_that_are_promised() -> None:
    waits_s = sum(retry_s(attempts) for attempts in range(MOST_ATTEMPTS - 1))
    assert abs(waits_s - GIVE_UP_S) < HOUR_S


def test_what_is_refused_for_good_is_not_tried_again_and_holds_up_no_other(engine: Engine, clock: ManualClock) -> None:
    inbox = Inbox()
    alerts = alerts_of(engine, FIRST, SECOND, channels=(inbox,))
    breach(engine, alerts, "first")
    inbox.fail(for_good=True)
    assert alerts.deliver() == (0, {"inbox": "channel inbox: nobody is there"})
    inbox.problem = None
    breach(engine, alerts, "second")
    clock.advance(GIVE_UP_S)
    assert alerts.deliver() == (1, {})
    assert (inbox.tried, inbox.events) == (2, ["second firing"])
    assert counted(alerts) == [("inbox", 0, 1)]
    clock.advance(TOLD_S)
    assert counted(alerts) == [], "after a month nobody wants to hear of it"


@pytest.mark.parametrize("damaged", ["{", "[]", '{"newer": 1}'])
def test_a_message_whose_row_is_damaged_holds_up_no_other(damaged: str, engine: Engine) -> None:
    inbox = Inbox()
    alerts = alerts_of(engine, FIRST, SECOND, channels=(inbox,))
    breach(engine, alerts, "first")
    engine.store.aside(lambda connection: connection.execute("UPDATE outbox SET message = ?", (damaged,)))
    breach(engine, alerts, "second")
    assert alerts.deliver() == (1, {"inbox": "channel inbox: a message in the ledger cannot be read"})
    assert inbox.events == ["second firing"]
    assert counted(alerts) == [("inbox", 0, 1)]


def test_what_is_refused_without_end_is_given_up_after_three_days(engine: Engine, clock: ManualClock) -> None:
    inbox = Inbox()
    alerts = alerts_of(engine, FIRST, channels=(inbox,))
    breach(engine, alerts, "first")
    inbox.fail(only_this=True)
    for _ in range(30 * 24):
        alerts.deliver()
        clock.advance(HOUR_S)
    assert inbox.tried == MOST_ATTEMPTS
    assert counted(alerts) == [("inbox", 0, 1)]


def test_a_receiver_that_never_comes_back_costs_what_waited_as_long_and_nothing_younger(
    engine: Engine, clock: ManualClock
) -> None:
    inbox = Inbox()
    alerts = alerts_of(engine, FIRST, SECOND, channels=(inbox,))
    inbox.fail()
    breach(engine, alerts, "first")
    alerts.deliver()
    breach(engine, alerts, "second")
    while inbox.tried < MOST_ATTEMPTS - 1:
        clock.advance(HOUR_S)
        alerts.deliver()
    young = Rule(name="young", severity="HIGH", condition=Metric(name="young"), threshold=Decimal(1))
    breach(engine, alerts_of(engine, young, channels=(inbox,)), "young")
    assert counted(alerts) == [("inbox", 3, 0)]
    clock.advance(HOUR_S)
    alerts.deliver()
    assert counted(alerts) == [("inbox", 1, 2)]
    inbox.problem = None
    clock.advance(FIRST_RETRY_S)
    alerts.deliver()
    assert inbox.events == ["young firing"]


def test_a_machine_that_slept_for_a_week_gives_nothing_up_at_its_first_failure(
    engine: Engine, clock: ManualClock
) -> None:
    inbox = Inbox()
    alerts = alerts_of(engine, FIRST, channels=(inbox,))
    breach(engine, alerts, "first")
    clock.advance(7 * 24 * HOUR_S)
    inbox.fail()  # the network is not there yet
    alerts.deliver()
    inbox.problem = None
    clock.advance(FIRST_RETRY_S)
    assert alerts.deliver().sent == 1


NOBODY = "no process that delivers has this channel"


@pytest.mark.parametrize("is_tried", [False, True])
def test_messages_for_a_channel_that_no_process_has_are_noted_after_three_days_and_given_up_after_another(
    engine: Engine, clock: ManualClock, *, is_tried: bool
) -> None:
    removed = Inbox("removed")
    removed.fail()
    before = alerts_of(engine, FIRST, channels=(removed,))
    breach(engine, before, "first")
    if is_tried:
        before.deliver()
    others = alerts_of(engine, channels=(Inbox("kept"),))
    clock.advance(GIVE_UP_S - 1)
    others.deliver()
    assert [one.problem for one in others.waiting()] == ["channel removed: nobody is there" if is_tried else None]
    clock.advance(1 + FIRST_RETRY_S)
    assert others.deliver() == (0, {})
    assert others.waiting() == (("removed", 1, NOBODY, 0, 0),)
    clock.advance(NOTED_S - 1)
    others.deliver()
    assert counted(others) == [("removed", 1, 0)]
    clock.advance(1)
    assert others.deliver() == (0, {})
    assert others.waiting() == (("removed", 0, NOBODY, 1, 0),)


def test_a_clock_that_was_a_year_ahead_gives_up_nothing_of_a_channel_that_another_process_has(
    engine: Engine, clock: ManualClock
) -> None:
    inbox, at = Inbox(), clock.now()
    mine, others = alerts_of(engine, FIRST, channels=(inbox,)), alerts_of(engine, channels=(Inbox("kept"),))
    breach(engine, mine, "first")
    clock.jump_to(at + timedelta(days=365))
    for _ in range(3):
        others.deliver()
        clock.advance(HOUR_S)
    clock.jump_to(at + timedelta(seconds=GIVE_UP_S))  # as late, by the right clock, and never tried
    for _ in range(3):
        others.deliver()
        clock.advance(HOUR_S)
    assert counted(others) == [("inbox", 1, 0)]
    assert mine.deliver() == (1, {})


def test_a_channel_that_one_process_tries_daily_is_not_given_up_by_one_that_has_it_not(
    engine: Engine, clock: ManualClock
) -> None:
    inbox = Inbox()
    mine, others = alerts_of(engine, FIRST, SECOND, channels=(inbox,)), alerts_of(engine, channels=(Inbox("kept"),))
    inbox.fail()
    for name in ("first", "second"):  # the second waits behind it, and nobody ever tries it
        breach(engine, mine, name)
    for _ in range(10):
        mine.deliver()
        clock.advance(12 * HOUR_S)
        others.deliver()
        clock.advance(12 * HOUR_S)
    inbox.problem = None
    assert mine.deliver() == (2, {})


def test_what_another_process_is_sending_is_told_as_on_its_way(engine: Engine, clock: ManualClock) -> None:
    alerts = alerts_of(engine, FIRST, SECOND, channels=(Inbox(),))
    for name in ("first", "second"):
        breach(engine, alerts, name)
    engine.store.aside(lambda connection: take(connection, "inbox", micros_from_instant(clock.now())))
    (one,) = alerts.waiting()
    assert waiting_text(one) == "channel inbox: 2 messages not delivered yet, 1 on its way by another process"
    clock.advance(LEASE_S)
    (one,) = alerts.waiting()
    assert waiting_text(one) == "channel inbox: 2 messages not delivered yet"


@pytest.mark.parametrize(
    ("expected_s", "asked_s"),
    [
        (FIRST_RETRY_S, None),
        (FIRST_RETRY_S, 0),
        (FIRST_RETRY_S, 3),
        (121, 120.5),
        (LAST_RETRY_S, 7200),
        (LAST_RETRY_S, float("inf")),
    ],
)
def test_a_receiver_is_left_alone_as_long_as_it_asks_within_an_hour(
    expected_s: int, asked_s: float | None, engine: Engine, clock: ManualClock
) -> None:
    inbox = Inbox()
    alerts = alerts_of(engine, FIRST, channels=(inbox,))
    breach(engine, alerts, "first")
    inbox.problem = DeliveryFailed("channel inbox: not now", channel="inbox", retry_after_s=asked_s)
    alerts.deliver()
    inbox.problem = None
    clock.advance(expected_s - 1)
    assert alerts.deliver().sent == 0
    clock.advance(1)
    assert alerts.deliver().sent == 1


@pytest.mark.parametrize(
    ("for_good", "only_this", "retry_after_s", "status", "header"),
    [
        (False, False, 120, 429, "120"),
        (False, False, 90, 503, f"{NOW + timedelta(seconds=90):%a, %d %b %Y %H:%M:%S} GMT"),
        (False, False, None, 503, "soon"),
        (False, True, None, 400, ""),
        (False, False, None, 404, ""),
        (True, True, None, 410, ""),
        (True, True, None, 413, ""),
        (True, True, None, 422, ""),
    ],
)
def test_what_an_answer_says_of_the_next_attempt(
    status: int, header: str, retry_after_s: float | None, *, for_good: bool, only_this: bool
) -> None:
    receiver = Receiver()
    receiver.status, receiver.more = status, {"Retry-After": header}
    try:
        with pytest.raises(DeliveryFailed, match=f"answered {status}") as caught:
            webhook(receiver).send(MESSAGE, NOW)
    finally:
        receiver.close()
    error = caught.value
    assert (error.for_good, error.only_this, error.retry_after_s) == (for_good, only_this, retry_after_s)


def test_a_channel_in_trouble_is_told_once_however_many_of_its_messages_arrive(
    engine: Engine, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    inbox = Inbox()
    alerts = alerts_of(engine, FIRST, SECOND, channels=(inbox,))
    breach(engine, alerts, "first")
    with caplog.at_level(logging.WARNING, "tokencalc"):
        for value in (5, 0) * 5:
            inbox.fail(only_this=True)
            alerts.deliver()  # the first is refused
            inbox.problem = None
            clock.advance(1)
            engine.record_metric("second", value)
            assert alerts.check()
            alerts.deliver()  # the second is taken
            clock.advance(LAST_RETRY_S - 2)
    assert len(inbox.events) > 5
    assert [record.message for record in caplog.records] == [
        "channel inbox: nobody is there; told once, `tokencalc alerts list` says what waits"
    ]


def test_what_is_wrong_with_a_channel_is_what_its_ledger_says_whoever_tried_it(
    tmp_path: Path, clock: ManualClock
) -> None:
    with (
        Engine.open(tmp_path / "usage.db", clock=clock, settings=Settings()) as one,
        Engine.open(tmp_path / "usage.db", clock=clock, settings=Settings()) as other,
    ):
        inbox = Inbox()
        mine, theirs = (alerts_of(engine, FIRST, channels=(inbox,)) for engine in (one, other))
        breach(one, mine, "first")
        inbox.fail()
        mine.deliver()
        assert theirs.deliver() == (0, {"inbox": "channel inbox: nobody is there"}), "it is down, though not its turn"
        inbox.problem = None
        clock.advance(FIRST_RETRY_S)
        assert theirs.deliver() == (1, {})
        assert mine.deliver() == (0, {})


def test_a_restored_ledger_gives_another_alert_another_messages_id(tmp_path: Path, clock: ManualClock) -> None:
    inbox = Inbox()
    with Engine.open(tmp_path / "usage.db", clock=clock, settings=Settings()) as engine:
        engine.backup(tmp_path / "copy.db")
        alerts = alerts_of(engine, FIRST, channels=(inbox,))
        breach(engine, alerts, "first")
        alerts.deliver()
    clock.advance(1)
    with Engine.open(tmp_path / "copy.db", clock=clock, settings=Settings()) as restored:
        alerts = alerts_of(restored, SECOND, channels=(inbox,))
        breach(restored, alerts, "second")
        alerts.deliver()
    assert inbox.events == ["first firing", "second firing"]
    assert len({message.message_id for message in inbox.got}) == 2
