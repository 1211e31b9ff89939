"""A threshold is crossed once for each budget, period and threshold, at the exact pico-dollar."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from threading import Event
from typing import TYPE_CHECKING

import pytest

from tests.contract.calls import hold, spend
from tokencalc import Budget
from tokencalc.errors import BudgetExceeded
from tokencalc.events import BudgetCrossed, EntryBooked, HoldOpened, HoldRefused, HoldReleased, HoldSettled

if TYPE_CHECKING:
    from tests.contract.conftest import Book
    from tokencalc import Engine
    from tokencalc.clock import ManualClock
    from tokencalc.events import Event as Happened


@pytest.mark.parametrize(
    ("limit", "before", "last"),
    [
        ("1", "0.749999999999", "0.000000000001"),
        ("0.000000000004", "0.000000000002", "0.000000000001"),
        ("0.000000000005", "0.000000000003", "0.000000000001"),
        ("9223372", "6917528.999999999999", "0.000000000001"),
    ],
)
def test_a_threshold_is_met_by_the_exact_amount(engine: Engine, limit: str, before: str, last: str) -> None:
    engine.set_budget(Budget(name="b", limit_usd=limit, alert_at=(75,)))
    spend(engine, before)
    assert engine.crossings() == ()
    spend(engine, last)
    (crossing,) = engine.crossings()
    assert (75, Decimal(before) + Decimal(last)) == (crossing.threshold_percent, crossing.spent_usd)


def test_each_threshold_is_crossed_once_a_period(engine: Engine, clock: ManualClock) -> None:
    engine.set_budget(Budget(name="b", limit_usd=1))
    for _ in range(11):
        spend(engine, "0.1")
    assert [(one.threshold_percent, str(one.spent_usd)) for one in engine.crossings()] == [
        (75, "0.8"),
        (90, "0.9"),
        (100, "1"),
    ]
    clock.advance(86_400)
    spend(engine, 5)
    found = engine.crossings()
    assert [(key, sum(one.period_key == key for one in found)) for key in ("2026-11-20", "2026-11-21")] == [
        ("2026-11-20", 3),
        ("2026-11-21", 3),
    ]
    assert engine.budget_status("b").crossings == found[3:]


def test_holds_cross_nothing_until_they_are_spent(engine: Engine) -> None:
    engine.set_budget(Budget(name="b", limit_usd=1))
    one = hold(engine, "0.95")
    assert engine.crossings() == ()
    engine.settle(one, cost_usd="0.8")
    assert [crossing.threshold_percent for crossing in engine.crossings()] == [75]


def test_racing_records_cross_each_threshold_once(engine: Engine) -> None:
    engine.set_budget(Budget(name="b", limit_usd=1))
    engine.set_budget(Budget(name="each", limit_usd=1, scope={"agent_id": "*"}, alert_at=(50,)))
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda n: spend(engine, "0.05", agent_id=f"a{n % 2}"), range(40)))
    found = engine.crossings()
    assert [(one.budget, one.threshold_percent) for one in found if one.budget == "b"] == [
        ("b", 75),
        ("b", 90),
        ("b", 100),
    ]
    assert sorted(one.scope_value or "" for one in found if one.budget == "each") == ["a0", "a1"]


def test_a_crossing_in_a_period_that_is_over_is_stored_and_not_announced(book: Book) -> None:
    heard: list[Happened] = []
    engine = book.open(listeners=(heard.append,))
    engine.set_budget(Budget(name="b", limit_usd=1))
    spend(engine, "0.8", at="2026-11-19T12:00:00Z")
    spend(engine, "0.8", at="2026-11-21T12:00:00Z")
    spend(engine, "0.95")
    engine.close()
    assert [(event.period_key, event.threshold_percent) for event in heard if isinstance(event, BudgetCrossed)] == [
        ("2026-11-20", 75),
        ("2026-11-20", 90),
    ]


def test_stored_crossings_say_whether_their_period_was_open(engine: Engine) -> None:
    engine.set_budget(Budget(name="b", limit_usd=1))
    spend(engine, "0.8", at="2026-11-19T12:00:00Z")
    spend(engine, "0.8")
    assert [(one.period_key, one.in_open_period) for one in engine.crossings()] == [
        ("2026-11-19", False),
        ("2026-11-20", True),
    ]


def test_setting_a_budget_after_the_spending_crosses_at_once(engine: Engine) -> None:
    spend(engine, "0.95")
    status = engine.set_budget(Budget(name="b", limit_usd=1))
    assert [one.threshold_percent for one in status.crossings] == [75, 90]
    status = engine.set_budget(Budget(name="b", limit_usd=1, alert_at=(50, 75, 90, 100)))
    assert [one.threshold_percent for one in status.crossings] == [75, 90, 50]


def test_listeners_hear_what_happened_in_order_after_the_fact(book: Book) -> None:
    heard: list[Happened] = []
    engine = book.open(listeners=(heard.append,))
    engine.set_budget(Budget(name="b", limit_usd=1, alert_at=(75,)))
    one = hold(engine, "0.9")
    with pytest.raises(BudgetExceeded, match="budget 'b' has"):
        hold(engine, "0.2")
    entry = engine.settle(one, cost_usd="0.95")
    two = hold(engine, "0.05")
    engine.release(two)
    engine.close()
    assert [HoldOpened, HoldRefused, BudgetCrossed, EntryBooked, HoldSettled, HoldOpened, HoldReleased] == [
        type(event) for event in heard
    ]
    (settled,) = (event for event in heard if isinstance(event, HoldSettled))
    assert (one.hold_id, entry.entry_id, Decimal("0.95"), Decimal("0.05")) == (
        settled.hold_id, settled.entry_id, settled.actual_usd, settled.overrun_usd,
    )  # fmt: skip


def test_a_listener_that_raises_hurts_nobody(book: Book, caplog: pytest.LogCaptureFixture) -> None:
    heard: list[Happened] = []

    def broken(event: Happened) -> None:
        raise RuntimeError(f"no use for {type(event).__name__}")

    engine = book.open(listeners=(broken, heard.append))
    for _ in range(5):
        spend(engine, "0.1")
    assert engine.verify().ok
    engine.close()
    assert len(heard) == 5
    assert [one.message for one in caplog.records] == ["a listener of tokencalc raised on EntryBooked; told once"]


def test_a_listener_may_use_the_engine_itself(book: Book) -> None:
    totals: list[Decimal] = []
    seen = Event()

    def note(_: object) -> None:
        totals.append(engine.report().total.cost_usd)
        if len(totals) == 2:
            seen.set()

    engine = book.open(listeners=(note,))
    spend(engine, "0.1")
    spend(engine, "0.1")
    assert seen.wait(timeout=30)
    assert totals[-1] == Decimal("0.2")
