"""Events are frozen records with names of their own, and every one of them is in the union that listeners take."""

from __future__ import annotations

import dataclasses
import inspect
import logging
import os
import threading
from datetime import UTC, datetime
from decimal import Decimal
from typing import get_args

import pytest

from tokencalc import events
from tokencalc.events import Announcer, BudgetCrossed, Event, Listener

RECORDS = [value for value in vars(events).values() if dataclasses.is_dataclass(value)]
CROSSED = BudgetCrossed(
    budget="daily",
    period_key="2026-11-20",
    threshold_percent=75,
    spent_usd=Decimal("7.50"),
    limit_usd=Decimal(10),
    at=datetime(2026, 11, 20, 12, tzinfo=UTC),
)


def test_the_union_holds_every_event() -> None:
    assert set(get_args(Event)) == set(RECORDS)


@pytest.mark.parametrize("record", RECORDS)
def test_an_event_is_frozen_by_keyword_and_says_when(record: type) -> None:
    fields = dataclasses.fields(record)
    assert all(field.kw_only for field in fields)
    assert "at" in {field.name for field in fields}
    assert "__dict__" not in dir(record)
    assert inspect.getdoc(record)


def test_an_event_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'budget'"):
        CROSSED.budget = "other"  # type: ignore[misc]  # what is tested


def test_anything_that_can_be_called_with_an_event_is_a_listener() -> None:
    seen: list[Event] = []
    listener: Listener = seen.append
    listener(CROSSED)
    assert seen == [CROSSED]


def crossed(percent: int) -> BudgetCrossed:
    """Make an event that can be told from others."""
    return dataclasses.replace(CROSSED, threshold_percent=percent)


def test_listeners_hear_every_event_in_order_before_close_returns() -> None:
    first: list[Event] = []
    second: list[Event] = []
    announcer = Announcer([first.append, second.append])
    announcer.tell([crossed(75), crossed(90)])
    announcer.tell([])
    announcer.tell([crossed(100)])
    announcer.close()
    assert first == second == [crossed(75), crossed(90), crossed(100)]


def test_listeners_run_on_a_thread_of_their_own() -> None:
    heard_on: list[str] = []
    announcer = Announcer([lambda _: heard_on.append(threading.current_thread().name)])
    announcer.tell([CROSSED])
    announcer.close()
    assert heard_on == ["tokencalc-listeners"]


def test_without_listeners_nothing_is_started() -> None:
    announcer = Announcer([])
    before = threading.active_count()
    announcer.tell([CROSSED])
    assert (announcer.is_heard, threading.active_count()) == (False, before)
    announcer.close()


def test_a_listener_that_raises_is_logged_once_and_disturbs_nobody(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[Event] = []

    def broken(_: Event) -> None:
        raise RuntimeError("broken listener")  # as a listener would

    announcer = Announcer([broken, heard.append])
    with caplog.at_level(logging.ERROR):
        announcer.tell([crossed(75), crossed(90)])
        announcer.close()
    assert heard == [crossed(75), crossed(90)]
    assert len(caplog.records) == 1


def test_it_closes_twice_and_speaks_again_after_closing() -> None:
    heard: list[Event] = []
    announcer = Announcer([heard.append])
    announcer.close()
    announcer.tell([crossed(75)])
    announcer.close()
    announcer.close()
    announcer.tell([crossed(90)])
    announcer.close()
    assert heard == [crossed(75), crossed(90)]


def test_a_listener_may_close_what_it_listens_to() -> None:
    closed = threading.Event()

    def close(_: Event) -> None:
        announcer.close()
        closed.set()

    announcer = Announcer([close])
    announcer.tell([CROSSED])
    assert closed.wait(timeout=30)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # a fork beside a thread is what is tested
def test_the_child_of_a_fork_hears_its_own_events() -> None:
    heard: list[Event] = []
    first = threading.Event()
    announcer = Announcer([heard.append, lambda _: first.set()])
    announcer.tell([crossed(75)])
    assert first.wait(timeout=30)
    child = os.fork()
    if child == 0:
        announcer.tell([crossed(90)])
        announcer.close()
        os._exit(len(heard))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
    announcer.close()
    assert heard == [crossed(75)]
