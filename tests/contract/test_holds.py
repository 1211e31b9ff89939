"""A hold ends once: settled, released, or written off; what ends it late or twice is told apart."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.calls import MODEL, figures, hold, spend, usd
from tokencalc import Budget, Usage
from tokencalc.config import Settings
from tokencalc.errors import BudgetExceeded, CallInvalid, ClockBehind, HoldNotOpen, HoldUnknown

if TYPE_CHECKING:
    from tests.contract.conftest import Book
    from tokencalc import Engine
    from tokencalc.clock import ManualClock

PAYLOAD = {
    "id": "c1",
    "object": "chat.completion",
    "model": "gpt-4o-2024-08-06",
    "choices": [],
    "usage": {
        "prompt_tokens": 1000,
        "completion_tokens": 200,
        "total_tokens": 1200,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    },
}


@pytest.fixture
def daily(engine: Engine) -> Engine:
    """Give an engine with a hard budget of one dollar a day."""
    engine.set_budget(Budget(name="daily", limit_usd=1))
    return engine


def test_settling_replaces_the_hold_by_the_charge(daily: Engine, clock: ManualClock) -> None:
    one = daily.reserve(model="gpt-4o", input_tokens=1000, max_output_tokens=400, agent_id="a", tags={"t": "x"})
    assert (Decimal("0.0065"), "open") == (one.amount_usd, one.state)
    clock.advance(30)
    entry = daily.settle(one, usage=PAYLOAD, tags={"u": "y"})
    assert (Decimal("0.0045"), one.at, one.hold_id) == (entry.amount_usd, entry.at, entry.hold_id)
    assert dict(entry.tags) == {"t": "x", "u": "y"}
    assert (entry.agent_id, entry.provider, entry.requested_model) == ("a", "openai", "gpt-4o")
    assert usd("0.0045", "0", "0.9955") == figures(daily, "daily")
    (found,) = daily.holds("settled")
    assert entry.entry_id == found.entry_id


def test_settling_twice_with_the_same_payload_returns_the_first_entry(daily: Engine) -> None:
    one = daily.reserve(model="gpt-4o", input_tokens=1000, max_output_tokens=400)
    first = daily.settle(one, usage=PAYLOAD)
    again = daily.settle(one.hold_id, usage=PAYLOAD)
    assert (first.entry_id, False, True) == (again.entry_id, first.replayed, again.replayed)
    assert usd("0.0045", "0", "0.9955") == figures(daily, "daily")


def test_settling_twice_with_another_usage_is_an_error(daily: Engine) -> None:
    one = daily.reserve(model="gpt-4o", input_tokens=1000, max_output_tokens=400)
    daily.settle(one, usage=PAYLOAD)
    with pytest.raises(HoldNotOpen, match="is settled and cannot be settled with other arguments; a hold ends once"):
        daily.settle(one, usage=Usage(input_tokens=1))
    with pytest.raises(HoldNotOpen, match="settled with other arguments"):
        daily.settle(one, usage=PAYLOAD, cost_usd=1)
    assert len(list(daily.entries())) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"context": {"processing": "batch"}},
        {"tags": {"t": "x"}},
        {"operation": "review"},
        {"model": "gpt-4o-mini"},
        {"cost_usd": "0.0045"},
    ],
    ids=lambda other: next(iter(other)),
)
def test_settling_again_with_anything_else_is_an_error(daily: Engine, other: dict[str, Any]) -> None:
    one = daily.reserve(model="gpt-4o", input_tokens=1000, max_output_tokens=400)
    usage: dict[str, Any] = {"input_tokens": 1000, "output_tokens": 200}
    daily.settle(one, **usage)
    assert daily.settle(one, **usage).replayed
    with pytest.raises(HoldNotOpen, match="settled with other arguments"):
        daily.settle(one, **usage, **other)


def test_a_tag_of_the_hold_stays_and_the_settlement_s_is_noted(daily: Engine) -> None:
    one = hold(daily, "0.1", tags={"team": "a"})
    entry = daily.settle(one, cost_usd="0.1", tags={"team": "b", "try": "1"})
    assert dict(entry.tags) == {"team": "a", "try": "1"}
    assert "tag team stays 'a', as reserved; the settlement said 'b'" in entry.notes


def test_an_actual_above_its_hold_is_booked_and_itemised(daily: Engine) -> None:
    one = hold(daily, "0.9")
    spend(daily, "0.05")
    entry = daily.settle(one, cost_usd="1.5")
    status = daily.budget_status("daily")
    assert usd("1.55", "0", "0") == (status.spent_usd, status.held_usd, status.available_usd)
    assert [("overrun", Decimal("0.55"), entry.entry_id)] == [
        (item.reason, item.amount_usd, item.entry_id) for item in status.excess
    ]


def test_releasing_gives_back_and_again_changes_nothing(daily: Engine) -> None:
    one = hold(daily, "0.6")
    first, again = daily.release(one), daily.release(one.hold_id)
    assert [(each.state, each.replayed) for each in (first, again)] == [("released", False), ("released", True)]
    assert usd("0", "0", "1") == figures(daily, "daily")


def test_a_released_hold_is_settled_late_because_the_money_is_gone(daily: Engine) -> None:
    one = hold(daily, "0.6")
    daily.release(one)
    entry = daily.settle(one, cost_usd="0.5")
    assert "the hold was released before this settlement" in entry.notes
    assert usd("0.5", "0", "0.5") == figures(daily, "daily")
    with pytest.raises(HoldNotOpen, match="is settled and cannot be released"):
        daily.release(one)


def test_past_its_lifetime_a_hold_is_suspect_and_still_counted(daily: Engine, clock: ManualClock) -> None:
    one = hold(daily, "0.6", lifetime_s=60)
    other = hold(daily, "0.1")
    clock.advance(59)
    assert Decimal(0) == daily.budget_status("daily").suspect_usd
    clock.advance(1)
    status = daily.budget_status("daily")
    assert usd("0.7", "0.6", "0.3") == (status.held_usd, status.suspect_usd, status.available_usd)
    assert ([one.hold_id], [other.hold_id]) == (
        [each.hold_id for each in daily.holds("suspect")],
        [each.hold_id for each in daily.holds("open")],
    )
    with pytest.raises(BudgetExceeded, match=r"0\.6 USD of what is held is suspect") as refused:
        hold(daily, "0.5")
    assert usd("0.6", "0.7", "0.3", "0.5") == (
        refused.value.suspect_usd,
        refused.value.held_usd,
        refused.value.available_usd,
        refused.value.requested_usd,
    )


def test_a_suspect_is_settled_late_or_given_more_time(daily: Engine, clock: ManualClock) -> None:
    late, alive = hold(daily, "0.3", lifetime_s=60), hold(daily, "0.2", lifetime_s=60)
    clock.advance(3600)
    assert daily.settle(late, cost_usd="0.25").at == late.at
    assert daily.extend(alive, lifetime_s=60).state == "open"
    clock.advance(59)
    assert Decimal(0) == daily.budget_status("daily").suspect_usd
    assert usd("0.25", "0.2", "0.55") == figures(daily, "daily")


def test_a_lost_hold_is_written_off_at_its_expected_cost(book: Book) -> None:
    engine = book.open(settings=Settings(suspect_close_after_s=3600))
    engine.set_budget(Budget(name="b", limit_usd=1, period="month"))
    one = engine.reserve(model="gpt-4o", input_tokens=1000, max_output_tokens=40_000, lifetime_s=600)
    expected = one.expected_usd
    assert Decimal(0) < expected < one.amount_usd
    book.clock.advance(600 + 3599)
    assert (Decimal(0), one.amount_usd) == figures(engine, "b")[:2]
    book.clock.advance(61)
    assert (expected, Decimal(0)) == figures(engine, "b")[:2]
    (entry,) = engine.entries()
    assert ("write_off", expected, one.hold_id) == (entry.kind, entry.amount_usd, entry.hold_id)
    assert "the end of this call was never seen: booked at its expected cost" in entry.notes
    assert engine.holds()[0].state == "written_off"


def test_a_settlement_after_the_write_off_corrects_it(book: Book) -> None:
    engine = book.open(settings=Settings(suspect_close_after_s=60))
    engine.set_budget(Budget(name="b", limit_usd=1, period="month"))
    one = hold(engine, "0.4", lifetime_s=60)
    book.clock.advance(500)
    assert usd("0.4", "0", "0.6") == figures(engine, "b")
    with pytest.raises(HoldNotOpen, match="is written_off and cannot be released"):
        engine.release(one)
    with pytest.raises(HoldNotOpen, match="is written_off and cannot be extended"):
        engine.extend(one, lifetime_s=60)
    engine.settle(one, cost_usd="0.25")
    kinds = [(entry.kind, entry.amount_usd, entry.at) for entry in engine.entries()]
    assert [
        ("charge", Decimal("0.25"), one.at),
        ("correction", Decimal("-0.4"), one.at),
        ("write_off", Decimal("0.4"), one.at),
    ] == kinds
    _, correction, write_off = engine.entries()
    assert write_off.entry_id == correction.corrects
    assert usd("0.25", "0", "0.75") == figures(engine, "b")
    assert engine.report().total.cost_usd == Decimal("0.25")
    assert engine.report().total.calls == 1


def test_a_write_off_and_its_late_settlement_never_count_twice(book: Book) -> None:
    engine = book.open(settings=Settings(suspect_close_after_s=60))
    engine.set_budget(Budget(name="b", limit_usd=1, period="month", alert_at=(75, 100)))
    one = hold(engine, "0.6", lifetime_s=60)
    book.clock.advance(500)
    assert usd("0.6", "0", "0.4") == figures(engine, "b")
    engine.settle(one, cost_usd="0.6")
    status = engine.budget_status("b")
    assert (status.crossings, status.excess) == ((), ())
    assert usd("0.6", "0", "0.4") == figures(engine, "b")


def test_a_hold_made_smaller_is_written_off_at_no_more_than_is_set_aside(book: Book) -> None:
    engine = book.open(settings=Settings(suspect_close_after_s=60))
    engine.set_budget(Budget(name="b", limit_usd=1, period="month"))
    one = hold(engine, "0.9", lifetime_s=60)
    smaller = engine.extend(one, amount_usd="0.2")
    assert usd("0.2", "0.2") == (smaller.amount_usd, smaller.expected_usd)
    hold(engine, "0.8", lifetime_s=3600)
    book.clock.advance(500)
    assert usd("0.2", "0.8", "0") == figures(engine, "b")
    assert engine.budget_status("b").excess == ()


def test_a_hold_belongs_to_the_period_of_its_reserve(daily: Engine, clock: ManualClock) -> None:
    one = hold(daily, "0.6", lifetime_s=86_400)
    clock.advance(86_400 / 2)
    assert usd("0", "0", "1") == figures(daily, "daily"), "a new day has room"
    daily.settle(one, cost_usd="0.5")
    assert usd("0", "0", "1") == figures(daily, "daily")
    assert usd("0.5", "0", "0.5") == figures(daily, "daily", at=one.at)


def test_extending_takes_more_money_where_there_is_room_and_gives_some_back(daily: Engine) -> None:
    one = hold(daily, "0.5")
    assert Decimal("0.8") == daily.extend(one, amount_usd="0.8").amount_usd
    assert usd("0", "0.8", "0.2") == figures(daily, "daily")
    with pytest.raises(BudgetExceeded, match=r"has 0\.2 USD left of 1 .*; 0\.3 USD is needed"):
        daily.extend(one, amount_usd="1.1", lifetime_s=10_000)
    (same,) = daily.holds()
    assert (one.expires_at, Decimal("0.8")) == (same.expires_at, same.amount_usd)
    assert Decimal("0.1") == daily.extend(one, amount_usd="0.1").amount_usd
    assert usd("0", "0.1", "0.9") == figures(daily, "daily")
    daily.release(one)
    assert usd("0", "0", "1") == figures(daily, "daily")


def test_a_hold_of_everything_that_is_left_fits_and_one_pico_dollar_more_does_not(daily: Engine) -> None:
    with pytest.raises(BudgetExceeded, match="has 1 USD left of 1"):
        hold(daily, "1.000000000001")
    hold(daily, "0.999999999999")
    hold(daily, "0.000000000001")
    hold(daily, 0)
    with pytest.raises(BudgetExceeded, match="has 0 USD left of 1"):
        hold(daily, "0.000000000001")


def test_soft_budgets_admit_and_mark_and_observing_ones_count_only(engine: Engine) -> None:
    engine.set_budget(Budget(name="soft", limit_usd=1, policy="soft"))
    engine.set_budget(Budget(name="seen", limit_usd=1, policy="observe"))
    one, two = hold(engine, "0.8"), hold(engine, "0.5")
    assert (one.over_limit, two.over_limit) == ((), ("soft",))
    soft, seen = engine.budget_status("soft"), engine.budget_status("seen")
    assert usd("1.3", "0") == (soft.held_usd, soft.available_usd)
    assert [("soft_reserve", Decimal("0.3"))] == [(item.reason, item.amount_usd) for item in soft.excess]
    assert (Decimal("1.3"), ()) == (seen.held_usd, seen.excess)
    assert engine.holds()[0].over_limit == ("soft",)


def test_a_named_budget_is_added_to_those_in_scope(engine: Engine) -> None:
    engine.set_budget(Budget(name="all", limit_usd=5))
    engine.set_budget(Budget(name="mine", limit_usd=1, scope={"agent_id": "somebody else"}))
    one = hold(engine, "0.7", budget="mine")
    assert usd("0", "0.7", "0.3") == figures(engine, "mine")
    with pytest.raises(BudgetExceeded, match="budget 'mine' has") as refused:
        hold(engine, "0.7", budget=["mine", "all"])
    assert refused.value.budget == "mine"
    engine.settle(one, cost_usd="0.6")
    spend(engine, "0.1", budget="mine")
    assert usd("0.7", "0", "0.3") == figures(engine, "mine")
    assert usd("0.7", "0", "4.3") == figures(engine, "all")


def test_the_tightest_budget_is_named_and_no_budget_is_touched(engine: Engine) -> None:
    engine.set_budget(Budget(name="wide", limit_usd=10))
    engine.set_budget(Budget(name="narrow", limit_usd="0.5", period="hour"))
    engine.set_budget(Budget(name="narrower", limit_usd="0.4", period="total"))
    with pytest.raises(BudgetExceeded, match="raise the limit to go on") as refused:
        hold(engine, 1)
    assert (refused.value.budget, refused.value.resets_at) == ("narrower", None)
    assert usd("0", "0", "10") == figures(engine, "wide")
    assert engine.holds() == ()


def test_a_hold_of_another_ledger_or_none_is_unknown(engine: Engine) -> None:
    one = hold(engine, 1)
    foreign = "00000000" + one.hold_id[8:]
    for name in (foreign, one.hold_id + "7", "h1", "", one.hold_id.replace("-h", "-e"), 5, None):
        with pytest.raises(HoldUnknown, match=r"hold .* (is not of this ledger|does not exist in this ledger)"):
            engine.settle(name, cost_usd=1)  # type: ignore[arg-type]  # what people hand in
        with pytest.raises(HoldUnknown, match="hold"):
            engine.release(name)  # type: ignore[arg-type]


def test_a_clock_that_went_back_refuses_hard_budgets_and_books_all_the_same(book: Book) -> None:
    engine = book.open()
    engine.set_budget(Budget(name="b", limit_usd=1, period="month"))
    one = hold(engine, "0.1")
    book.clock.jump_to("2026-11-20T11:59:01Z")
    hold(engine, "0.1")
    book.clock.jump_to("2026-11-20T11:58:59Z")
    with pytest.raises(
        ClockBehind, match="the clock says 2026-11-20T11:58:59Z, the ledger was last written at"
    ) as late:
        hold(engine, "0.1")
    assert late.value.last > late.value.now
    engine.settle(one, cost_usd="0.1")
    spend(engine, "0.2")
    engine.extend(hold_id_of(engine), amount_usd="0.05")
    assert usd("0.3", "0.05", "0.65") == figures(engine, "b")
    book.clock.jump_to("2026-11-20T12:00:01Z")
    hold(engine, "0.1")


def hold_id_of(engine: Engine) -> str:
    """Return the newest open hold's id."""
    return engine.holds("open")[0].hold_id


@pytest.mark.parametrize(
    "served",
    [
        {"model": "claude-sonnet-4-5", "input_tokens": 1000, "output_tokens": 100},
        {"usage": {"model": "claude-sonnet-4-5", "usage": {"input_tokens": 1000, "output_tokens": 100}}},
    ],
)
def test_what_another_model_served_counts_for_both_who_was_asked_and_who_served(
    engine: Engine, served: dict[str, Any]
) -> None:
    engine.set_budget(Budget(name="openai", limit_usd=1, scope={"provider": "openai"}))
    engine.set_budget(Budget(name="anthropic", limit_usd=1, scope={"provider": "anthropic"}))
    one = engine.reserve(model="gpt-4o", input_tokens=1000, max_output_tokens=100)
    entry = engine.settle(one, **served)
    assert ("anthropic", Decimal("0.0045")) == (entry.provider, entry.amount_usd)
    assert (entry.requested_provider, entry.requested_model) == ("openai", "gpt-4o")
    assert usd("0.0045", "0", "0.9955") == figures(engine, "openai")
    assert usd("0.0045", "0", "0.9955") == figures(engine, "anthropic")


def test_a_settlement_cannot_say_whom_the_call_was_for(engine: Engine) -> None:
    one = hold(engine, 1, agent_id="ann")
    with pytest.raises(CallInvalid, match="settle: unknown argument 'agent_id'"):
        engine.settle(one, cost_usd=1, agent_id="bob")  # type: ignore[call-arg]  # on purpose


def test_tags_of_the_hold_win_over_those_of_its_settlement(engine: Engine) -> None:
    engine.set_budget(Budget(name="x", limit_usd=1, scope={"tag:team": "x"}))
    one = hold(engine, 1, tags={"team": "x"})
    entry = engine.settle(one, cost_usd="0.25", tags={"team": "y", "step": "2"})
    assert entry.tags == {"team": "x", "step": "2"}
    assert usd("0.25", "0", "0.75") == figures(engine, "x")


def test_usage_that_a_subscription_paid_counts_only_where_a_budget_says_so(engine: Engine) -> None:
    engine.set_budget(Budget(name="money", limit_usd=1))
    engine.set_budget(Budget(name="use", limit_usd=1, notional=True))
    spend(engine, "0.5", notional=True)
    assert usd("0", "0", "1") == figures(engine, "money")
    assert usd("0.5", "0", "0.5") == figures(engine, "use")
    hold(engine, "0.5")


def test_holds_are_listed_newest_first_up_to_a_limit(engine: Engine) -> None:
    made = [hold(engine, 1).hold_id for _ in range(5)]
    assert made[::-1] == [one.hold_id for one in engine.holds()]
    assert made[:2:-1] == [one.hold_id for one in engine.holds(limit=2)]
    assert engine.holds("settled") == ()


def test_everything_a_hold_says_is_read_back(book: Book) -> None:
    engine = book.open(run="nightly")
    one = engine.reserve(
        model=MODEL, amount_usd="0.5", agent_id="a", user_id="u", project="p", api_key_id="k", operation="o",
        tags={"team": "x"}, idempotency_key="key-1", context={"processing": "batch"}, lifetime_s=3600,
    )  # fmt: skip
    assert engine.holds() == (one,)
    assert (one.run, one.idempotency_key, dict(one.context)) == ("nightly", "key-1", {"processing": "batch"})
    entry = engine.settle(one, cost_usd="0.4")
    assert (
        entry.agent_id, entry.user_id, entry.project, entry.api_key_id, entry.operation,
    ) == ("a", "u", "p", "k", "o")  # fmt: skip
    assert (entry.run, entry.idempotency_key) == ("nightly", "key-1")
    assert [entry] == list(engine.entries())
