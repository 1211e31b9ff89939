"""A budget may be set and changed at any time; what was spent and held before is counted."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from tests.contract.calls import MODEL, figures, hold, spend, usd
from tokencalc import Budget
from tokencalc.config import Settings
from tokencalc.errors import BudgetExceeded, BudgetUnknown, CallInvalid

if TYPE_CHECKING:
    from tests.contract.conftest import Book
    from tokencalc import Engine
    from tokencalc.clock import ManualClock


def test_setting_the_same_again_changes_nothing(engine: Engine) -> None:
    engine.set_budget(Budget(name="b", limit_usd=10, alert_at=(90, 75)))
    head = engine.verify().head
    for same in ("10", "10.000", 10.0, Decimal("1E+1")):
        engine.set_budget(Budget(name="b", limit_usd=same, alert_at=(75, 90)))
    assert head == engine.verify().head
    engine.set_budget(Budget(name="b", limit_usd=11, alert_at=(75, 90)))
    assert head != engine.verify().head


def test_a_raised_limit_makes_room_at_once(engine: Engine) -> None:
    engine.set_budget(Budget(name="b", limit_usd=1))
    hold(engine, 1)
    with pytest.raises(BudgetExceeded, match="has 0 USD left of 1"):
        hold(engine, 1)
    assert Decimal(1) == engine.set_budget(Budget(name="b", limit_usd=2)).available_usd
    hold(engine, 1)
    assert len(engine.budgets()) == 1


def test_a_limit_lowered_below_what_is_spent_itemises_the_excess_once(engine: Engine) -> None:
    engine.set_budget(Budget(name="b", limit_usd=10))
    spend(engine, 6)
    hold(engine, 2)
    status = engine.set_budget(Budget(name="b", limit_usd=5))
    assert usd("5", "6", "2", "0") == (status.limit_usd, status.spent_usd, status.held_usd, status.available_usd)
    assert Decimal("1.2") == status.utilisation
    assert [("limit_lowered", Decimal(3), None)] == [(i.reason, i.amount_usd, i.entry_id) for i in status.excess]
    assert [crossing.threshold_percent for crossing in status.crossings] == [75, 90, 100]
    lower = engine.set_budget(Budget(name="b", limit_usd=4))
    assert [Decimal(3), Decimal(1)] == [item.amount_usd for item in lower.excess]
    assert len(lower.crossings) == 3
    with pytest.raises(BudgetExceeded, match="has 0 USD left of 4"):
        hold(engine, "0.01")


def test_a_closed_period_keeps_its_limit_and_its_thresholds(engine: Engine, clock: ManualClock) -> None:
    engine.set_budget(Budget(name="b", limit_usd=10))
    spend(engine, 2)
    yesterday = clock.now()
    clock.advance(86_400)
    engine.set_budget(Budget(name="b", limit_usd=2))
    spend(engine, 1, at=yesterday)
    closed = engine.budget_status("b", at=yesterday)
    assert usd("10", "3") == (closed.limit_usd, closed.spent_usd)
    assert (closed.crossings, closed.excess) == ((), ())
    spend(engine, "4.5", at=yesterday)
    (crossing,) = engine.budget_status("b", at=yesterday).crossings
    assert (75, Decimal("7.5"), Decimal(10), False) == (
        crossing.threshold_percent, crossing.spent_usd, crossing.limit_usd, crossing.in_open_period,
    )  # fmt: skip


def test_a_budget_counts_what_was_booked_and_is_held_before_it_was_set(engine: Engine, clock: ManualClock) -> None:
    spend(engine, 1, agent_id="a", at="2026-11-19T12:00:00Z")
    spend(engine, 2, agent_id="a")
    spend(engine, 4, agent_id="b")
    mine, other = hold(engine, 8, agent_id="a"), hold(engine, 16, agent_id="b")
    engine.set_budget(Budget(name="day", limit_usd=100, scope={"agent_id": "a"}))
    engine.set_budget(Budget(name="month", limit_usd=100, scope={"agent_id": "a"}, period="month"))
    engine.set_budget(Budget(name="each", limit_usd=100, scope={"agent_id": "*"}, period="total"))
    assert usd("2", "8", "90") == figures(engine, "day")
    assert usd("3", "8", "89") == figures(engine, "month")
    assert [("a", Decimal(3), Decimal(8)), ("b", Decimal(4), Decimal(16))] == sorted(
        (status.scope_value or "", status.spent_usd, status.held_usd) for status in engine.budget_statuses("each")
    )
    engine.settle(mine, cost_usd=7)
    engine.release(other)
    assert usd("9", "0", "91") == figures(engine, "day")
    assert usd("4", "0", "96") == figures(engine, "each", "b")
    clock.advance(86_400)
    assert usd("0", "0", "100") == figures(engine, "day")
    assert usd("1", "0", "99") == figures(engine, "day", at="2026-11-19T00:00:00Z")


def test_another_scope_is_a_new_revision_counted_from_the_book(engine: Engine) -> None:
    engine.set_budget(Budget(name="b", limit_usd=10, scope={"agent_id": "a"}))
    spend(engine, 1, agent_id="a", project="p")
    spend(engine, 2, agent_id="b", project="p", tags={"team": "x"})
    open_hold = hold(engine, 3, agent_id="b", project="p")
    spend(engine, "0.5", agent_id="z", budget="b")
    assert usd("1.5", "0", "8.5") == figures(engine, "b")

    engine.set_budget(Budget(name="b", limit_usd=10, scope={"project": "p"}))
    assert usd("3.5", "3", "3.5") == figures(engine, "b"), "what named the budget stays in it"
    engine.set_budget(Budget(name="b", limit_usd=10, scope={"tag:team": "x"}))
    assert usd("2.5", "0", "7.5") == figures(engine, "b")
    engine.set_budget(Budget(name="b", limit_usd=10, scope={"project": "p"}))
    assert usd("3.5", "3", "3.5") == figures(engine, "b")
    engine.extend(open_hold, amount_usd=4)
    assert usd("3.5", "4", "2.5") == figures(engine, "b")
    engine.settle(open_hold, cost_usd="2.5")
    assert usd("6", "0", "4") == figures(engine, "b")


def test_another_zone_or_period_moves_the_borders(engine: Engine, clock: ManualClock) -> None:
    clock.jump_to("2026-11-20T02:00:00Z")
    spend(engine, 1, at="2026-11-20T00:30:00Z")
    spend(engine, 2, at="2026-11-19T23:30:00Z")
    spend(engine, 4, at="2026-11-16T12:00:00Z")
    engine.set_budget(Budget(name="b", limit_usd=10))
    assert Decimal(1) == engine.budget_status("b").spent_usd
    engine.set_budget(Budget(name="b", limit_usd=10, timezone="America/Sao_Paulo"))
    assert (Decimal(3), "2026-11-19") == (engine.budget_status("b").spent_usd, engine.budget_status("b").period.key)
    engine.set_budget(Budget(name="b", limit_usd=10, period="week"))
    assert Decimal(7) == engine.budget_status("b").spent_usd
    assert Decimal(4) == engine.budget_status("b", at="2026-11-16T12:00:00Z").spent_usd - 3
    engine.set_budget(Budget(name="b", limit_usd=10))
    assert Decimal(2) == engine.budget_status("b", at="2026-11-19T01:00:00Z").spent_usd


def test_holds_opened_in_a_past_period_are_counted_when_its_row_is_made_late(
    engine: Engine, clock: ManualClock
) -> None:
    one = hold(engine, 3, lifetime_s=10 * 86_400)
    clock.advance(86_400)
    engine.set_budget(Budget(name="b", limit_usd=10))
    assert usd("0", "0", "10") == figures(engine, "b")
    engine.settle(one, cost_usd=2)
    assert usd("0", "0", "10") == figures(engine, "b")
    assert usd("2", "0", "8") == figures(engine, "b", at=one.at)


def test_entries_of_the_future_count_in_their_own_period(engine: Engine, clock: ManualClock) -> None:
    spend(engine, 3, at="2026-11-22T12:00:00Z")
    engine.set_budget(Budget(name="b", limit_usd=10))
    spend(engine, 4, at="2026-11-23T12:00:00Z")
    assert usd("0", "0", "10") == figures(engine, "b")
    clock.advance(2 * 86_400)
    hold(engine, 1)
    assert usd("3", "1", "6") == figures(engine, "b")
    clock.advance(86_400)
    assert usd("4", "0", "6") == figures(engine, "b")


def test_entries_of_the_future_count_for_each_value_of_a_star(engine: Engine, clock: ManualClock) -> None:
    spend(engine, 3, at="2026-11-22T12:00:00Z", user_id="u")
    engine.set_budget(Budget(name="users", limit_usd=10, scope={"user_id": "*"}))
    clock.advance(2 * 86_400)
    assert figures(engine, "users", "u") == usd("3", "0", "7")
    assert figures(engine, "users", "nobody") == usd("0", "0", "10")
    hold(engine, 1, user_id="u")
    assert figures(engine, "users", "u") == usd("3", "1", "6")


def test_a_run_budget_counts_each_run_by_itself_from_its_beginning(book: Book) -> None:
    first, second, none = book.open(run="one"), book.open(run="two"), book.open()
    if book.place == ":memory:":
        second = none = first  # a ledger in memory has one engine
    spend(first, 1)
    one = hold(first, 2, lifetime_s=60 * 86_400)
    first.set_budget(Budget(name="run", limit_usd=5, period="run"))
    assert usd("1", "2", "2") == figures(first, "run")
    book.clock.advance(40 * 86_400)
    spend(first, "0.5")
    assert usd("1.5", "2", "1.5") == figures(first, "run")
    first.settle(one, cost_usd=3)
    assert usd("4.5", "0", "0.5") == figures(first, "run")
    if second is not first:
        assert usd("0", "0", "5") == figures(second, "run")
        hold(second, 5)
        hold(none, 100)
        assert usd("0", "5", "0") == figures(none, "run", run="two")
        assert usd("4.5", "0", "0.5") == figures(none, "run", run="one")


def test_scopes_of_several_stars_name_their_instances_by_all_values(engine: Engine) -> None:
    engine.set_budget(Budget(name="b", limit_usd=1, scope={"user_id": "*", "tag:team": "*", "project": "p"}))
    hold(engine, "0.6", user_id="u", tags={"team": "x"}, project="p")
    hold(engine, "0.6", user_id="u", tags={"team": "y"}, project="p")
    hold(engine, "0.6", user_id="u", project="p")
    with pytest.raises(BudgetExceeded, match=r"has 0.4 USD left of 1") as refused:
        hold(engine, "0.6", user_id="u", tags={"team": "x"}, project="p")
    assert refused.value.values["scope_value"] == '["x", "u"]'
    assert sorted(str(s.scope_value) for s in engine.budget_statuses() if s.held_usd) == ['["x", "u"]', '["y", "u"]']


def test_a_model_in_a_scope_is_the_one_that_was_asked_for(engine: Engine) -> None:
    dated = {"model": "gpt-4o-2024-08-06", "object": "chat.completion", "choices": [],
             "usage": {"prompt_tokens": 1000, "completion_tokens": 1000, "total_tokens": 2000}}  # fmt: skip
    engine.record(model="gpt-4o", usage=dated)
    engine.set_budget(Budget(name="b", limit_usd=1, scope={"model": "gpt-4o"}))
    assert Decimal("0.0125") == engine.budget_status("b").spent_usd
    one = engine.reserve(model="gpt-4o", input_tokens=1000, max_output_tokens=1000)
    entry = engine.settle(one, usage=dated)
    assert (entry.model, entry.requested_model) == ("gpt-4o-2024-08-06", "gpt-4o")
    assert usd("0.025", "0", "0.975") == figures(engine, "b")


def test_an_unknown_named_budget_is_refused_before_the_call_and_noted_after_it(engine: Engine) -> None:
    engine.set_budget(Budget(name="b", limit_usd=1))
    with pytest.raises(BudgetUnknown, match=r"budget 'c' does not exist; known: b. Set it first") as unknown:
        hold(engine, 1, budget=["b", "c"])
    assert (unknown.value.budget, unknown.value.known) == ("c", ("b",))
    entry = spend(engine, "0.5", budget=["c", "b"])
    assert entry.notes[-1] == "budget 'c' does not exist: this was not counted there"
    assert usd("0.5", "0", "0.5") == figures(engine, "b")
    engine.set_budget(Budget(name="c", limit_usd=1, scope={"user_id": "u"}))
    assert usd("0", "0", "1") == figures(engine, "c")


def test_the_state_of_a_budget_or_instance_that_is_not_there_is_an_error(engine: Engine) -> None:
    engine.set_budget(Budget(name="b", limit_usd=1))
    with pytest.raises(BudgetUnknown, match="budget 'nope' does not exist; known: b"):
        engine.budget_status("nope")
    with pytest.raises(CallInvalid, match=r"budget 'b' has no [*] in its scope and so no instance 'u'"):
        engine.budget_status("b", "u")


def test_budgets_of_the_settings_are_set_when_the_ledger_opens(book: Book) -> None:
    definition = {"name": "daily", "limit_usd": "2.5", "scope": {"agent_id": "a"}, "policy": "soft"}
    engine = book.open(settings=Settings(budgets=(definition,)))
    (found,) = engine.budgets()
    assert ("daily", Decimal("2.5"), {"agent_id": "a"}, "soft") == (
        found.name, found.limit_usd, dict(found.scope), found.policy,
    )  # fmt: skip
    head = engine.verify().head
    if book.place != ":memory:":
        assert head == book.open(settings=Settings(budgets=(definition,))).verify().head


def test_unpriced_calls_are_counted_where_they_happen(engine: Engine) -> None:
    engine.set_budget(Budget(name="b", limit_usd=1))
    engine.record(model=MODEL, input_tokens=5)
    engine.record(model=MODEL, input_tokens=5, cost_usd="0.1")
    status = engine.budget_status("b")
    assert (1, Decimal("0.1")) == (status.unpriced_calls, status.spent_usd)
    assert engine.report().unpriced_calls == 1
    assert [entry.amount_source for entry in engine.entries()][::-1] == [None, "caller"]


def test_a_budget_of_nothing_refuses_all_that_costs(engine: Engine) -> None:
    status = engine.set_budget(Budget(name="b", limit_usd=0))
    assert (None, Decimal(0)) == (status.utilisation, status.available_usd)
    hold(engine, 0)
    with pytest.raises(BudgetExceeded, match="has 0 USD left of 0"):
        hold(engine, "0.000000000001")
    spend(engine, 0)
    assert engine.crossings() == ()
    spend(engine, "0.000000000001")
    assert [crossing.threshold_percent for crossing in engine.crossings()] == [75, 90, 100]


def test_a_hold_from_before_the_clock_went_back_counts_when_its_day_comes(engine: Engine, clock: ManualClock) -> None:
    day_s = 24 * 3600
    clock.advance(day_s)
    ahead = hold(engine, 8, lifetime_s=7 * day_s)
    clock.jump_to(ahead.at - timedelta(days=1))
    engine.set_budget(Budget(name="b", limit_usd=10))
    assert usd("0", "0", "10") == figures(engine, "b")
    clock.advance(day_s)
    with pytest.raises(BudgetExceeded, match="has 2 USD left of 10"):
        hold(engine, 3)
    assert usd("0", "8", "2") == figures(engine, "b")
    engine.release(ahead)
    assert usd("0", "0", "10") == figures(engine, "b")
