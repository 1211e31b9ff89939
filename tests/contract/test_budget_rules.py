"""What a change of a budget does to what is spent and held, by the rules of docs/budgets.md."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.calls import figures, hold, is_admitted, spend, usd
from tokencalc import Budget
from tokencalc.errors import BudgetExceeded, BudgetUnknown, CallInvalid

if TYPE_CHECKING:
    from tests.contract.conftest import Book
    from tokencalc import Engine
    from tokencalc.clock import ManualClock

BEFORE = Budget(name="b", limit_usd=10, scope={"agent_id": "a"})


@pytest.mark.parametrize(
    ("spent", "held", "left", "more", "excess", "change"),
    [
        ("6", "2", "12", "12", [], {"limit_usd": 20}),
        ("6", "2", "0", None, [("limit_lowered", "1")], {"limit_usd": 7}),
        ("6", "2", "0", None, [("limit_lowered", "3")], {"limit_usd": 5}),
        ("6", "2", "0", None, [("limit_lowered", "8")], {"limit_usd": 0}),
        ("6", "2", "2", "100", [], {"policy": "soft"}),
        ("6", "2", "2", "100", [], {"policy": "observe"}),
        ("6", "2", "2", "2", [], {"alert_at": (50,)}),
        # A new revision is counted from the book: the entries and the open holds of its current period.
        ("9", "3", "0", None, [("budget_set", "2")], {"scope": {}}),
        ("3", "1", "6", "6", [], {"scope": {"agent_id": "b"}}),
        ("8", "2", "0", None, [], {"period": "week"}),
        ("6", "2", "2", "2", [], {"timezone": "Asia/Tokyo"}),
        ("6", "2", "2", "2", [], {"notional": True}),
    ],
)
def test_a_change_holds_from_now_on_in_the_current_period_too(
    engine: Engine,
    clock: ManualClock,
    spent: str,
    held: str,
    left: str,
    more: str | None,
    excess: list[tuple[str, str]],
    change: dict[str, Any],
) -> None:
    engine.set_budget(BEFORE)
    clock.jump_to("2026-11-18T12:00:00Z")
    spend(engine, 2, agent_id="a")
    clock.jump_to("2026-11-20T12:00:00Z")
    spend(engine, 6, agent_id="a")
    mine = hold(engine, 2, agent_id="a")
    spend(engine, 3, agent_id="b")
    other = hold(engine, 1, agent_id="b")
    status = engine.set_budget(replace(BEFORE, **change))
    assert usd(spent, held, left) == (status.spent_usd, status.held_usd, status.available_usd)
    assert [(reason, Decimal(amount)) for reason, amount in excess] == [
        (item.reason, item.amount_usd) for item in status.excess
    ]
    agent = "b" if change.get("scope") == {"agent_id": "b"} else "a"
    assert is_admitted(lambda: hold(engine, more or "0.000000000001", agent_id=agent)) is (more is not None)
    if more and status.budget.policy == "hard":
        assert not is_admitted(lambda: hold(engine, "0.000000000001", agent_id=agent)), "and not a pico-dollar more"
    # What was held before the change ends as ever, whatever the limit is by now.
    engine.settle(mine, cost_usd="2.5")
    engine.release(other)
    assert engine.verify().problems == ()


@pytest.mark.parametrize(
    ("policies", "admitted"),
    [
        (("hard", "soft", "hard"), (False, True, False)),
        (("observe", "hard", "observe"), (True, False, True)),
        (("soft", "observe", "hard"), (True, True, False)),
    ],
)
def test_a_policy_holds_from_now_on_and_counts_what_another_one_admitted(
    engine: Engine, policies: tuple[Any, ...], admitted: tuple[bool, ...]
) -> None:
    engine.set_budget(replace(BEFORE, limit_usd=1))
    hold(engine, "0.9", agent_id="a")
    found = []
    for policy in policies:
        engine.set_budget(replace(BEFORE, limit_usd=1, policy=policy))
        found.append(is_admitted(lambda: hold(engine, "0.2", agent_id="a")))
    assert admitted == tuple(found)
    held = figures(engine, "b")[1]
    assert held == Decimal("0.9") + Decimal("0.2") * sum(admitted)


def test_a_hold_stays_in_the_budgets_that_it_was_taken_from(engine: Engine) -> None:
    """A scope that no longer covers it gets nothing of it; the old revision's period keeps its hold until the end."""
    engine.set_budget(BEFORE)
    one = hold(engine, 8, agent_id="a")
    engine.set_budget(replace(BEFORE, scope={"agent_id": "z"}))
    assert usd("0", "0", "10") == figures(engine, "b")
    engine.extend(one, amount_usd=9)
    engine.settle(one, cost_usd=9)
    assert usd("0", "0", "10") == figures(engine, "b")
    engine.set_budget(BEFORE)
    assert usd("9", "0", "1") == figures(engine, "b"), "set back, it counts the book again"


def test_a_template_s_change_holds_for_every_instance_and_for_those_to_come(engine: Engine) -> None:
    engine.set_budget(Budget(name="users", limit_usd=1, scope={"user_id": "*"}))
    spend(engine, "0.8", user_id="old")
    engine.set_budget(Budget(name="users", limit_usd="0.5", scope={"user_id": "*"}))
    assert not is_admitted(lambda: hold(engine, "0.01", user_id="old"))
    assert not is_admitted(lambda: hold(engine, "0.51", user_id="new"))
    assert is_admitted(lambda: hold(engine, "0.5", user_id="new"))
    (excess,) = engine.budget_status("users", "old").excess
    assert ("limit_lowered", Decimal("0.3")) == (excess.reason, excess.amount_usd)


def test_a_limit_lowered_below_what_is_spent_is_back_with_the_next_period(engine: Engine, clock: ManualClock) -> None:
    engine.set_budget(BEFORE)
    spend(engine, 6, agent_id="a")
    engine.set_budget(replace(BEFORE, limit_usd=5))
    with pytest.raises(BudgetExceeded, match=r"has 0 USD left of 5 .*resets at 2026-11-21T00:00:00Z"):
        hold(engine, "0.01", agent_id="a")
    clock.advance(86_400)
    hold(engine, 5, agent_id="a")
    assert engine.budget_status("b").excess == ()


def test_a_threshold_is_crossed_once_a_period_whatever_the_limit_becomes(engine: Engine) -> None:
    """A raised limit takes back no crossing, so the same percentage is not told again before the next period."""
    engine.set_budget(replace(BEFORE, alert_at=(50, 100)))
    spend(engine, 6, agent_id="a")
    engine.set_budget(replace(BEFORE, limit_usd=100, alert_at=(50, 100)))
    spend(engine, 90, agent_id="a")
    spend(engine, 90, agent_id="a")
    assert [(50, Decimal(10)), (100, Decimal(100))] == [
        (crossing.threshold_percent, crossing.limit_usd) for crossing in engine.crossings()
    ]


@pytest.mark.parametrize("lower", [5, "6.000000000001"])
def test_a_release_under_a_lowered_limit_gives_back_what_it_held(engine: Engine, lower: Any) -> None:
    engine.set_budget(BEFORE)
    spend(engine, 4, agent_id="a")
    one = hold(engine, 6, agent_id="a")
    engine.set_budget(replace(BEFORE, limit_usd=lower))
    engine.release(one)
    left = Decimal(str(lower)) - 4
    assert (Decimal(4), Decimal(0), left) == figures(engine, "b")
    assert is_admitted(lambda: hold(engine, left, agent_id="a"))


@pytest.mark.parametrize(
    ("zone", "key", "spent", "resets"),
    [
        ("Asia/Tokyo", "2026-11-21", "2", "2026-11-21T15:00:00+00:00"),
        ("America/Los_Angeles", "2026-11-20", "6", "2026-11-21T08:00:00+00:00"),
        ("Asia/Kathmandu", "2026-11-20", "6", "2026-11-20T18:15:00+00:00"),
    ],
)
def test_another_zone_counts_its_own_day_and_says_when_it_ends(
    engine: Engine, clock: ManualClock, zone: str, key: str, spent: str, resets: str
) -> None:
    """Two dollars at 17:00 of the day before, 08:30, 14:30, 15:30: Tokyo's day began at 15:00, Nepal's at 18:15."""
    clock.jump_to("2026-11-20T16:00:00Z")
    engine.set_budget(BEFORE)
    for hour in ("08:30", "14:30", "15:30"):
        spend(engine, 2, agent_id="a", at=f"2026-11-20T{hour}:00Z")
    spend(engine, 2, agent_id="a", at="2026-11-19T17:00:00Z")
    status = engine.set_budget(replace(BEFORE, timezone=zone))
    assert (key, Decimal(spent)) == (status.period.key, status.spent_usd)
    assert status.period.end is not None
    assert resets == status.period.end.isoformat()


def test_a_budget_is_never_deleted_but_can_be_made_to_refuse_nothing(book: Book) -> None:
    """There is no verb to delete one: what refused a call, and when, stays in the book."""
    engine = book.open()
    assert not [verb for verb in dir(engine) if "budget" in verb and verb.startswith(("delete", "remove", "drop"))]
    engine.set_budget(BEFORE)
    engine.set_budget(replace(BEFORE, policy="observe", alert_at=()))
    spend(engine, 100, agent_id="a")
    hold(engine, 100, agent_id="a")
    assert (engine.crossings(), engine.budget_status("b").excess) == ((), ())
    assert engine.verify().entries == 3, "two changes and a charge: each change is an entry of the chain"
    with pytest.raises(BudgetUnknown, match="budget 'c' does not exist; known: b"):
        engine.budget_status("c")


def test_what_the_settings_no_longer_declare_stays_as_it_was(book: Book) -> None:
    """A declaration that goes from the settings frees nobody's limit: the ledger keeps the budget."""
    if book.place == ":memory:":
        return
    book.open().set_budget(BEFORE)
    later = book.open()
    assert [budget.name for budget in later.budgets()] == ["b"]
    assert not is_admitted(lambda: hold(later, 11, agent_id="a"))


def test_a_run_of_another_name_starts_at_nothing_and_a_repeated_name_goes_on(book: Book) -> None:
    if book.place == ":memory:":
        return
    first = book.open(run="one")
    first.set_budget(Budget(name="run", limit_usd=5, period="run"))
    spend(first, 4)
    assert not is_admitted(lambda: hold(book.open(run="one"), 2))
    assert is_admitted(lambda: hold(book.open(run="two"), 2))


def test_a_template_has_no_status_of_its_own_but_names_its_instances(engine: Engine) -> None:
    engine.set_budget(Budget(name="users", limit_usd=1, scope={"user_id": "*"}))
    with pytest.raises(CallInvalid, match=r"value: budget 'users' .* expected one of them \(none yet\), found none"):
        engine.budget_status("users")
    for number in range(7):
        spend(engine, "0.1", user_id=f"u{number}")
    with pytest.raises(CallInvalid, match=r"\('u0', 'u1', 'u2', 'u3', 'u4' and 2 more\), found none"):
        engine.budget_status("users")
    assert engine.budget_status("users", "u1").spent_usd == Decimal("0.1")
    assert len(engine.budget_statuses("users")) == 7
    hold(engine, "0.2", budget="users")
    assert engine.budget_status("users", "").held_usd == Decimal("0.2")
