"""How long a hold lives, and what a clock that jumps does to it: told and counted, never freed in silence."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from tests.contract.calls import figures, hold, is_admitted, spend, usd
from tokencalc import Budget
from tokencalc.errors import BudgetExceeded, ClockBehind, InvalidInput

if TYPE_CHECKING:
    from tests.contract.conftest import Book
    from tokencalc import Engine
    from tokencalc.clock import ManualClock

DAY_S = 86_400


@pytest.mark.parametrize(
    ("state", "given_s", "after_s"),
    [
        ("open", None, 599),
        ("suspect", None, 600),
        ("suspect", None, 600 + DAY_S - 61),
        ("written_off", None, 600 + DAY_S + 61),
        ("open", 1, 0),
        ("suspect", 1, 1),
        ("written_off", 1, DAY_S + 62),
        ("open", 366 * DAY_S, 366 * DAY_S - 1),
        ("suspect", 366 * DAY_S, 366 * DAY_S),
    ],
)
def test_a_hold_lives_ten_minutes_or_as_long_as_was_said_and_is_suspect_for_a_day(
    engine: Engine, clock: ManualClock, state: str, given_s: int | None, after_s: int
) -> None:
    engine.set_budget(Budget(name="b", limit_usd=1, period="total"))
    one = hold(engine, "0.4") if given_s is None else hold(engine, "0.4", lifetime_s=given_s)
    clock.advance(after_s)
    status = engine.budget_status("b")
    assert status.spent_usd + status.held_usd == Decimal("0.4"), "counted in every state"
    assert state == engine.holds()[0].state
    assert status.suspect_usd == (Decimal("0.4") if state == "suspect" else 0)
    engine.settle(one, cost_usd="0.3")
    assert usd("0.3", "0", "0.7") == figures(engine, "b")


@pytest.mark.parametrize("given_s", [0, -1, 366 * DAY_S + 1, 1.5, True, "60"])
def test_a_lifetime_that_cannot_be_is_refused(engine: Engine, given_s: object) -> None:
    one = hold(engine, 1)
    with pytest.raises(InvalidInput, match="lifetime_s: expected"):
        hold(engine, 1, lifetime_s=given_s)
    with pytest.raises(InvalidInput, match="lifetime_s: expected"):
        engine.extend(one, lifetime_s=given_s)  # type: ignore[arg-type]  # what people hand in


def test_an_extension_counts_from_now_and_may_shorten(engine: Engine, clock: ManualClock) -> None:
    one = hold(engine, 1, lifetime_s=1000)
    clock.advance(900)
    assert (engine.extend(one, lifetime_s=50).expires_at - clock.now()).total_seconds() == 50
    clock.advance(50)
    assert engine.holds()[0].state == "suspect"
    assert engine.extend(one, lifetime_s=60).state == "open", "it gave a sign of life"
    clock.advance(59)
    assert engine.holds()[0].state == "open"


def test_a_stream_that_goes_on_extends_its_hold_across_midnight_in_the_day_of_its_reserve(
    engine: Engine, clock: ManualClock
) -> None:
    engine.set_budget(Budget(name="b", limit_usd=1))
    clock.jump_to("2026-11-20T23:55:00Z")
    one = hold(engine, "0.4")
    clock.advance(540)
    engine.extend(one, amount_usd="0.9", lifetime_s=600)
    assert usd("0", "0.9", "0.1") == figures(engine, "b", at=one.at)
    assert usd("0", "0", "1") == figures(engine, "b")


def test_a_clock_that_jumps_ahead_and_back_frees_nothing_and_loses_nothing(book: Book) -> None:
    """A year ahead every hold is lost and written off; back again hard budgets refuse, and settlements correct."""
    engine = book.open()
    engine.set_budget(Budget(name="hard", limit_usd=1, period="total"))
    engine.set_budget(Budget(name="soft", limit_usd=1, period="total", policy="soft", scope={"agent_id": "s"}))
    one, two = hold(engine, "0.4"), hold(engine, "0.3", lifetime_s=366 * DAY_S)
    book.clock.jump_to("2027-11-20T12:00:00Z")
    book.clock.advance(61)
    assert usd("0.4", "0.3", "0.3") == figures(engine, "hard")
    spend(engine, "0.1")
    book.clock.jump_to("2026-11-20T12:05:00Z")
    with pytest.raises(ClockBehind, match="the clock says 2026-11-20T12:05:00Z, the ledger was last written at 2027"):
        hold(engine, "0.01")
    engine.settle(one, cost_usd="0.2")
    engine.release(two)
    spend(engine, "0.1")
    assert usd("0.4", "0", "0.6") == figures(engine, "hard")
    assert engine.report(group_by=("day",), since="2026-11-20", until="2026-11-21").total.cost_usd == Decimal("0.3")
    book.clock.jump_to("2027-11-20T12:01:02Z")
    assert is_admitted(lambda: hold(engine, "0.6"))


def test_a_clock_that_is_behind_stops_no_soft_and_no_uncovered_call(engine: Engine, clock: ManualClock) -> None:
    engine.set_budget(Budget(name="soft", limit_usd=1, policy="soft", scope={"agent_id": "s"}))
    engine.set_budget(Budget(name="hard", limit_usd=1, scope={"agent_id": "h"}))
    spend(engine, 1)
    clock.jump_to("2026-11-20T11:00:00Z")
    hold(engine, "0.1", agent_id="s")
    hold(engine, "0.1", agent_id="nobody")
    with pytest.raises(ClockBehind, match="hard budget 'hard' cannot know its period"):
        hold(engine, "0.1", agent_id="h")


def test_thousands_of_suspects_do_not_make_a_refusal_read_them_all(engine: Engine, clock: ManualClock) -> None:
    engine.set_budget(Budget(name="b", limit_usd=100))
    for _ in range(100):
        engine.reserve(model="acme-1", amount_usd=1, lifetime_s=1)
    clock.advance(2)
    engine.store._transaction.abandon()  # the holds are to be found in the file, not in the cache
    with pytest.raises(BudgetExceeded, match="100 USD of what is held is suspect"):
        engine.reserve(model="acme-1", amount_usd=1)
    assert not engine.store._transaction._holds  # none was made a row of
    assert engine.budget_status("b").suspect_usd == 100
