"""Money is exact to the pico-dollar: in any order, near 63 bits, and whatever the caller's decimal context."""

from __future__ import annotations

from decimal import Decimal, FloatOperation, Inexact, localcontext
from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.calls import MODEL, figures, hold, spend, usd
from tokencalc import Budget, Usage
from tokencalc.config import Settings
from tokencalc.errors import BudgetExceeded, CallInvalid
from tokencalc.usage import Meter

if TYPE_CHECKING:
    from tests.contract.conftest import Book
    from tokencalc import Engine
    from tokencalc.clock import ManualClock

HUGE = "9000000"
MOST = "9223372.036854775807"


def test_sums_are_exact_in_any_order(engine: Engine) -> None:
    amounts = ["0.1"] * 10 + ["0.000000000001", "1234.567890123456", "0.3", "9000000", "0.000000000007"]
    engine.set_budget(Budget(name="b", limit_usd=1, policy="observe"))
    for amount in amounts:
        spend(engine, amount)
    expected = Decimal("9001235.867890123464")
    assert expected == engine.report().total.cost_usd == figures(engine, "b")[0]
    engine.record_many({"model": MODEL, "cost_usd": amount} for amount in reversed(amounts))
    assert expected * 2 == engine.report().total.cost_usd


def test_the_caller_s_decimal_context_changes_no_amount(engine: Engine) -> None:
    with localcontext() as context:
        context.prec = 3
        context.traps[Inexact] = True
        context.traps[FloatOperation] = True
        engine.set_budget(Budget(name="b", limit_usd="1234.567890123456"))
        one = engine.reserve(model="gpt-4o", input_tokens=123_457, max_output_tokens=7)
        engine.settle(one, usage=Usage(input_tokens=123_457, output_tokens=7))
        spend(engine, "1000.123456789012")
        hold(engine, 0.000375)
        status = engine.budget_status("b")
        left, used = status.available_usd, status.utilisation
        total = engine.report().total.cost_usd
        with pytest.raises(BudgetExceeded, match="1234"):
            hold(engine, "1234.567890123456")
        cost = engine.price(model="gpt-4o", usage=Usage(input_tokens=123_457, output_tokens=7)).total_usd
        estimate = engine.estimate(model="gpt-4o", input_tokens=123_457, max_output_tokens=7).cost_max_usd
    assert Decimal("0.3087125") == cost == estimate
    assert Decimal("1000.432169289012") == status.spent_usd == total
    assert usd("0.000375", "234.135345834444") == (status.held_usd, left)
    assert Decimal("0.8104") == used


@pytest.mark.parametrize(("warned", "spent"), [(0, "7378697"), (1, "7378698"), (1, "9223371")])
def test_a_period_near_63_bits_says_so_and_names_what_counts_further(engine: Engine, warned: int, spent: str) -> None:
    engine.set_budget(Budget(name="hard", limit_usd=MOST, period="total"))
    spend(engine, spent)
    found = engine.budget_status("hard").warnings
    assert [warned * ["PostgreSQL"]] == [["PostgreSQL" for text in found if "PostgreSQL" in text]]


def test_a_period_past_63_bits_is_marked_and_refuses_hard_reserves(engine: Engine) -> None:
    engine.set_budget(Budget(name="hard", limit_usd=MOST, period="total"))
    engine.set_budget(Budget(name="soft", limit_usd=1, period="total", policy="soft", scope={"agent_id": "soft"}))
    spend(engine, HUGE)
    assert not engine.budget_status("hard").overflowed
    spend(engine, HUGE)
    status = engine.budget_status("hard")
    assert (True, Decimal(0)) == (status.overflowed, status.available_usd)
    assert "hard reserves are refused until the next period" in status.warnings[0]
    with pytest.raises(BudgetExceeded, match="past what a ledger file can count"):
        hold(engine, 0)
    assert Decimal(HUGE) * 2 == engine.report().total.cost_usd, "the entries hold the truth"
    assert len(list(engine.entries())) == 2
    spend(engine, HUGE, agent_id="soft")
    spend(engine, HUGE, agent_id="soft")


def test_a_period_stays_overflowed_for_the_next_one_who_opens_the_ledger(book: Book) -> None:
    engine = book.open()
    spend(engine, HUGE)
    spend(engine, HUGE)
    engine.set_budget(Budget(name="late", limit_usd=MOST, period="total"))
    again = engine if book.place == ":memory:" else book.open()
    assert again.budget_status("late").overflowed
    with pytest.raises(BudgetExceeded, match="past what a ledger file can count"):
        hold(again, 0)


def test_holds_past_63_bits_are_refused_by_any_policy(engine: Engine) -> None:
    engine.set_budget(Budget(name="soft", limit_usd=1, policy="soft"))
    first = hold(engine, HUGE)
    with pytest.raises(BudgetExceeded, match="past what a ledger file can count"):
        hold(engine, HUGE)
    with pytest.raises(BudgetExceeded, match="past what a ledger file can count"):
        engine.extend(hold(engine, 1), amount_usd=HUGE)
    engine.release(first)
    assert usd("0", "1", "0") == figures(engine, "soft")


def test_holds_of_no_budget_may_sum_to_anything(engine: Engine) -> None:
    made = [hold(engine, HUGE) for _ in range(3)]
    engine.set_budget(Budget(name="late", limit_usd=1, policy="soft"))
    assert engine.budget_status("late").overflowed
    for one in made:
        engine.settle(one, cost_usd=HUGE)
    assert Decimal(HUGE) * 3 == engine.report().total.cost_usd


def test_lost_holds_of_huge_sums_are_written_off(book: Book) -> None:
    engine = book.open(settings=Settings(suspect_close_after_s=60))
    for _ in range(3):
        hold(engine, HUGE, lifetime_s=1)
    book.clock.advance(7200)
    spend(engine, 1)
    assert [entry.kind for entry in engine.entries()] == ["charge", "write_off", "write_off", "write_off"]
    assert Decimal(HUGE) * 3 + 1 == engine.report().total.cost_usd


def test_one_entry_beyond_63_bits_is_noted_and_not_counted(engine: Engine) -> None:
    engine.set_budget(Budget(name="b", limit_usd=1))
    entry = engine.record(model="gpt-4o", usage=Usage(input_tokens=10**15))
    assert (entry.amount_usd, entry.amount_source) == (None, None)
    assert entry.notes[-1] == f"2500000000 USD is more than one entry can hold ({MOST} USD)"
    assert Decimal(2_500_000_000) == sum((line.amount_usd for line in entry.lines), Decimal(0))
    status = engine.budget_status("b")
    assert (1, True, Decimal(0)) == (status.unpriced_calls, status.overflowed, status.spent_usd)
    assert engine.report().unpriced_calls == 1
    assert list(engine.entries()) == [entry]


@pytest.mark.parametrize("amount", [MOST, "0.000000000001", 0, 0.1, "1e-12", Decimal("1E+3")])
def test_amounts_at_the_ends_of_the_range_are_kept(engine: Engine, amount: Any) -> None:
    expected = Decimal(str(amount))
    assert expected == spend(engine, amount).amount_usd == hold(engine, amount).amount_usd
    assert expected == engine.report().total.cost_usd


@pytest.mark.parametrize("amount", ["9223372.036854775808", 10**17, "-0.000000000001"])
def test_amounts_outside_are_refused(engine: Engine, amount: Any) -> None:
    with pytest.raises(CallInvalid, match="cost_usd: expected 0 to 9223372 dollars"):
        spend(engine, amount)
    with pytest.raises(CallInvalid, match="amount_usd: expected 0 to 9223372 dollars"):
        hold(engine, amount)


def test_a_caller_s_figure_is_kept_beside_ours(engine: Engine) -> None:
    entry = engine.record(model="gpt-4o", input_tokens=1000, cost_usd="0.003")
    assert ("priced", *usd("0.0025", "0.003", "0.0005")) == (
        entry.amount_source, entry.amount_usd, entry.caller_cost_usd, entry.cost_gap_usd,
    )  # fmt: skip
    same = engine.record(model="gpt-4o", input_tokens=1000, cost_usd=0.0025)
    assert same.cost_gap_usd is None
    unknown = spend(engine, "0.5", input_tokens=7)
    assert ("caller", Decimal("0.5"), None) == (unknown.amount_source, unknown.amount_usd, unknown.cost_gap_usd)


def test_a_caller_s_figure_below_what_has_a_price_does_not_hide_the_rest(engine: Engine) -> None:
    engine.set_budget(Budget(name="b", limit_usd=1))
    usage = Usage.from_leaves([(Meter.INPUT, 1000), (Meter.OUTPUT_IMAGE, 1)])
    low = engine.record(model="gpt-4o", usage=usage, cost_usd="0.001")
    assert (None, "priced", *usd("0.0025", "0.001")) == (
        low.amount_usd, low.amount_source, low.counted_usd, low.caller_cost_usd,
    )  # fmt: skip
    assert "the caller's 0.001 USD is less than the 0.0025 USD of what has a price: the larger is counted" in low.notes
    high = engine.record(model="gpt-4o", usage=usage, cost_usd="0.004")
    assert ("caller", Decimal("0.004")) == (high.amount_source, high.amount_usd)
    status = engine.budget_status("b")
    assert (1, Decimal("0.0065")) == (status.unpriced_calls, status.spent_usd)


PARTLY = ((Meter.INPUT, 1000), (Meter.OUTPUT_IMAGE, 1))
WHOLE = ((Meter.INPUT, 1000),)


@pytest.mark.parametrize(
    ("amount", "source", "unpriced", "model", "leaves", "caller", "billed"),
    [
        # gpt-4o: $2.50 for a million of input, nothing known of images.
        ("0.0025", "priced", 0, "gpt-4o", WHOLE, "0.9", None),
        ("0.0025", "priced", 0, "gpt-4o", WHOLE, "0.9", "0.0025"),
        ("0.0025", "priced", 0, "gpt-4o", WHOLE, "0.9", "0.002"),
        # The answer did something that its usage does not say: an advisor, a plug-in.
        ("0.8", "billed", 0, "gpt-4o", WHOLE, "0.9", "0.8"),
        ("0.9", "caller", 0, "gpt-4o", PARTLY, "0.9", "0.8"),
        ("0.8", "billed", 0, "gpt-4o", PARTLY, "0.001", "0.8"),
        ("0.8", "billed", 0, "gpt-4o", PARTLY, None, "0.8"),
        (None, "priced", 1, "gpt-4o", PARTLY, None, "0.001"),
        (None, "priced", 1, "gpt-4o", PARTLY, "0.001", None),
        (None, "priced", 1, "gpt-4o", PARTLY, None, None),
        (None, "priced", 1, "gpt-4o", PARTLY, None, "-0.1"),
        ("0.9", "caller", 0, MODEL, WHOLE, "0.9", "0.8"),
        ("0.8", "billed", 0, MODEL, WHOLE, None, "0.8"),
        (None, None, 1, MODEL, WHOLE, None, "0"),
        (None, None, 1, MODEL, WHOLE, None, None),
    ],
)
def test_the_best_figure_that_is_known_is_booked(  # a row of the table
    engine: Engine,
    amount: str | None,
    source: str | None,
    unpriced: int,
    model: str,
    leaves: tuple[tuple[Meter, int], ...],
    caller: str | None,
    billed: str | None,
) -> None:
    usage = Usage.from_leaves(leaves, billed_usd=None if billed is None else Decimal(billed))
    settled = engine.settle(engine.reserve(model=model, amount_usd=1), usage=usage, cost_usd=caller)
    for entry in (settled, engine.record(model=model, usage=usage, cost_usd=caller)):
        assert (None if amount is None else Decimal(amount), source) == (entry.amount_usd, entry.amount_source)
        assert usage.billed_usd == entry.billed_usd
    assert engine.report().unpriced_calls == 2 * unpriced
    again = list(engine.entries())
    assert [(source, usage.billed_usd, unpriced)] * 2 == [
        (entry.amount_source, entry.billed_usd, entry.unpriced_calls) for entry in again
    ]


def test_a_report_names_what_is_unpriced_by_model_and_reason(engine: Engine, clock: ManualClock) -> None:
    for agent in ("a", "b"):
        clock.advance(3600)
        engine.record(model="gpt-4o", usage=Usage.from_leaves(PARTLY), agent_id=agent)
        engine.record(model="gpt-4o", usage=Usage.from_leaves(WHOLE), agent_id=agent)
        engine.record(model="o3", usage=Usage(input_tokens=1), at=f"200{len(agent)}-01-01", agent_id=agent)
    engine.record(model=MODEL, usage=Usage(input_tokens=1), agent_id="a")
    found = engine.report()
    assert [(item.model, item.meters, item.calls) for item in found.unpriced] == [
        ("gpt-4o", (Meter.OUTPUT_IMAGE,), 2),
        ("o3", (), 2),
        (MODEL, (), 1),
    ]
    assert "T00:00:00" not in found.unpriced[1].reason, "calls of different instants have one reason"
    assert found.unpriced_calls == sum(item.calls for item in found.unpriced)
    assert [(item.model, item.calls) for item in engine.report(where={"agent_id": "b"}).unpriced] == [
        ("gpt-4o", 1),
        ("o3", 1),
    ]
    assert engine.report(since="2026-11-21").unpriced == ()
    assert [(item.model, item.calls) for item in engine.report(until="2026-11-01").unpriced] == [("o3", 2)]
