"""Forecasts against cases computed by hand, and how often the range holds."""

from __future__ import annotations

import random
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest

from tokencalc.budgets.budget import Budget
from tokencalc.clock import ManualClock, instant_from
from tokencalc.engine import Engine
from tokencalc.ledger.report import Report, report
from tokencalc.reports import outlook as outlook_room
from tokencalc.reports.breakdown import Wanted, break_down
from tokencalc.reports.forecast import FEWEST_DAYS, Rates, Slice, forecast, slices_between
from tokencalc.reports.outlook import Outlook, budgets_run_out, look_ahead
from tokencalc.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokencalc.reports.outlook import RunOut

USD = 10**12
MONDAY = date(2026, 11, 2)
END = instant_from("2026-12-01T00:00:00Z", name="until")


def days_at_noon(*dollars: int) -> dict[date, list[int]]:
    """Whole days from a Monday on, whose cost falls into the hour from 12 to 13."""
    return {
        MONDAY + timedelta(days=number): [usd * USD if hour == 12 else 0 for hour in range(24)]
        for number, usd in enumerate(dollars)
    }


def coming(count: int, start: date = date(2026, 11, 23)) -> list[Slice]:
    return [Slice(start + timedelta(days=number)) for number in range(count)]


@pytest.mark.parametrize(
    ("expected", "low", "high", "spent", "dollars", "ahead"),
    [
        # Mean 4, spread sqrt((4+0+4)/2) = 2, t(2) = 1.886; one day of three: 3.772 x sqrt(4/3) = 4.355530...
        # The rest of a period never costs less than nothing.
        ("14", "10", "18.35553", 10, (2, 4, 6), 1),
        # Three days: 3.772 x sqrt(3 + 9/3) = 9.239475...
        ("12", "2.760525", "21.239475", 0, (2, 4, 6), 3),
        # Mean 2, variance (4+1+9)/2 = 7: 1.886 x sqrt(7 x 4/3) = 5.761825...
        ("7", "5", "12.761825", 5, (0, 1, 5), 1),
        # Days that are all alike have no spread.
        ("35", "35", "35", 0, (5, 5, 5, 5), 7),
        ("0", "0", "0", 0, (0, 0, 0), 7),
    ],
)
def test_a_forecast_is_the_mean_of_the_days_with_student_s_range(
    expected: str, low: str, high: str, spent: int, dollars: Sequence[int], ahead: int
) -> None:
    found = forecast(days_at_noon(*dollars), coming(ahead), spent_pico=spent * USD, until=END)
    assert found is not None
    assert (found.method, found.days) == ("days", len(dollars))
    assert [Decimal(text) for text in (expected, low, high)] == [found.expected_usd, found.low_usd, found.high_usd]


def test_from_two_weeks_on_each_weekday_has_its_own_mean() -> None:
    # Weekdays cost 10 and 12, weekends nothing: 14 days, 7 means, five residual pairs of +-1: 10 / 7 is the variance.
    days = days_at_noon(10, 10, 10, 10, 10, 0, 0, 12, 12, 12, 12, 12, 0, 0)
    found = forecast(days, coming(7), spent_pico=0, until=END)
    assert found is not None
    # 7 days, each of a mean of two: sqrt(10/7 x 7 x (1 + 1/2)) = sqrt(15) = 3.872983...; t(7) = 1.415: 5.480271.
    assert (found.method, found.expected_usd) == ("weekdays", Decimal(55))
    assert (found.low_usd, found.high_usd) == (Decimal("49.519729"), Decimal("60.480271"))
    assert [rest.expected_pico // USD for rest in Rates(days).rests(coming(7))] == [11, 22, 33, 44, 55, 55, 55]


@pytest.mark.parametrize(
    ("expected", "first_hour", "end_hour"),
    [("0", 13, 24), ("4", 12, 24), ("2", Fraction(25, 2), 24), ("1", 12, Fraction(49, 4)), ("0", 0, 12)],
)
def test_of_a_day_that_has_begun_only_the_hours_that_are_left_count(
    expected: str, first_hour: Fraction, end_hour: Fraction
) -> None:
    piece = Slice(date(2026, 11, 23), Fraction(first_hour), Fraction(end_hour))
    found = forecast(days_at_noon(4, 4, 4), [piece], spent_pico=0, until=END)
    assert found is not None
    assert Decimal(expected) == found.expected_usd


def test_too_few_days_or_none_ahead_give_no_forecast() -> None:
    assert forecast(days_at_noon(*[1] * (FEWEST_DAYS - 1)), coming(1), spent_pico=0, until=END) is None
    assert forecast(days_at_noon(1, 1, 1), [], spent_pico=0, until=END) is None


def test_slices_are_local_days_with_both_ends_cut() -> None:
    zone = ZoneInfo("Europe/Berlin")
    start = datetime(2026, 10, 24, 18, 30, tzinfo=zone)
    assert slices_between(start, datetime(2026, 10, 26, 6, tzinfo=zone), zone) == [
        Slice(date(2026, 10, 24), Fraction(37, 2), Fraction(24)),
        Slice(date(2026, 10, 25)),  # of 25 hours; its local clock has 24
        Slice(date(2026, 10, 26), Fraction(0), Fraction(6)),
    ]
    assert slices_between(start, start, zone) == []


def test_the_range_holds_four_times_in_five() -> None:
    chance = random.Random(8)  # noqa: S311  # the same days every time
    held = 0
    for _ in range(400):
        dollars = [chance.randint(0, 100) for _ in range(20)]
        found = forecast(days_at_noon(*dollars[:10]), coming(10), spent_pico=0, until=END)
        assert found is not None
        held += found.low_usd <= sum(dollars[10:]) <= found.high_usd
    assert 300 <= held <= 340


# the same from a ledger

NOW = "2026-11-20T12:00:00Z"


def ledger_with(*dollars: str) -> Engine:
    """A ledger with one call at 18:00 on each of the days before the 20th of November, the last of them the 19th."""
    engine = Engine.open(":memory:", clock=ManualClock(NOW))
    for number, usd in enumerate(reversed(dollars), start=1):
        at = instant_from("2026-11-20T18:00:00Z", name="at") - timedelta(days=number)
        engine.record(model="my-own", cost_usd=usd, at=at, agent_id="a")
    return engine


def outlook(engine: Engine, since: str | None = "2026-11-01", until: str | None = "2026-12-01") -> Outlook | None:
    now = engine.clock.now()
    ends = [None if text is None else instant_from(text, name="end") for text in (since, until)]
    return look_ahead(engine, break_down(engine, Wanted(since=ends[0], until=ends[1]), now=now), now=now)


def test_a_ledger_s_month_is_forecast_from_its_own_days() -> None:
    with ledger_with("2", "4", "6") as engine:
        found = outlook(engine)
        assert found is not None
        assert found.forecast is not None
        # 12 are spent; today from noon on and ten days: 11 x 4.
        assert (found.forecast.spent_usd, found.forecast.expected_usd) == (Decimal(12), Decimal(56))
        assert found.forecast.days_since == date(2026, 11, 17)
        engine.record(model="my-own", cost_usd="1")
        again = outlook(engine)
        assert again is not None
        assert again.forecast is not None
        assert again.forecast.expected_usd == Decimal(57), "today is spent, and no whole day"


@pytest.mark.parametrize(
    ("reason", "dollars"),
    [
        ("nothing was booked on the 56 days before today", ()),
        ("it needs 3 whole days before today, and there are 1", ("5",)),
        ("it needs 3 whole days before today, and there are 2", ("5", "5")),
    ],
)
def test_without_enough_days_the_reason_is_said(reason: str, dollars: tuple[str, ...]) -> None:
    with ledger_with(*dollars) as engine:
        engine.set_budget(Budget(name="b", limit_usd=100, period="month"))
        found = outlook(engine)
        assert found is not None
        assert (found.forecast, found.reason) == (None, reason)
        assert [(item.day, item.reason) for item in found.run_outs] == [(None, reason)]


@pytest.mark.parametrize(
    ("reason", "budget_reason", "day"),
    [
        # Within the days that are looked at, and within the month; and today, which is of the month alone.
        ("1 call of it has no whole price", "1 call of its period has no whole price", "2026-11-18"),
        ("1 call of it has no whole price", "1 call of its period has no whole price", "2026-11-20"),
        ("1 call of the 40 days before today has no whole price",) * 2 + ("2026-10-11",),
    ],
)
def test_days_without_a_price_are_not_free_and_give_no_forecast(reason: str, budget_reason: str, day: str) -> None:
    with ledger_with("4", "4", "4") as engine:
        engine.record(model="my-own", usage=Usage(input_tokens=1), agent_id="a", at=f"{day}T03:00:00Z")
        engine.set_budget(Budget(name="b", limit_usd=20, period="month"))
        found = outlook(engine)
    assert found is not None
    assert (found.forecast, found.reason) == (None, reason)
    (item,) = found.run_outs
    assert (item.day, item.earliest, item.reason) == (None, None, budget_reason)


def test_nothing_is_forecast_for_an_end_that_is_farther_than_a_year() -> None:
    with ledger_with("4", "4", "4") as engine:
        near, far = outlook(engine, until="2027-11-21"), outlook(engine, until="8998-01-01")
    assert near is not None
    assert near.forecast is not None
    assert far is not None
    assert (far.forecast, far.reason) == (None, "its end is more than 366 days ahead")


def test_many_budgets_of_one_period_are_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    reads = []

    def counted(*given: Any, **asked: Any) -> Report:
        reads.append(asked)
        return report(*given, **asked)

    monkeypatch.setattr(outlook_room, "report", counted)
    with ledger_with("4", "4", "4") as engine:
        for number in range(5):
            engine.set_budget(Budget(name=f"b{number}", limit_usd=20 + number, period="month"))
        found, _ = budgets_run_out(engine, now=engine.clock.now())
    assert [item.day for item in found] == [date(2026, 11, 21), *[date(2026, 11, 22)] * 4]
    assert len(reads) == 2, "the days before, and the month"


@pytest.mark.parametrize(("since", "until"), [("2026-10-01", "2026-11-01"), ("2026-12-01", "2027-01-01"), (None, None)])
def test_what_is_over_has_not_begun_or_has_no_end_is_not_forecast(since: str | None, until: str | None) -> None:
    with ledger_with("1", "1", "1") as engine:
        assert outlook(engine, since, until) is None


def only(found: tuple[tuple[RunOut, ...], int]) -> RunOut:
    ((item,), _) = found
    return item


@pytest.mark.parametrize(
    ("day", "limit", "settings"),
    [
        # 12 are spent by the 19th, 4 come each evening: 16 by the 20th, 20 by the 21st.
        (date(2026, 11, 20), "16", {"period": "month"}),
        (date(2026, 11, 21), "16.000001", {"period": "month"}),
        (date(2026, 11, 30), "56", {"period": "month"}),
        (None, "56.000001", {"period": "month"}),
        (date(2026, 12, 1), "60", {"period": "total"}),
        (date(2026, 11, 20), "4", {"period": "day"}),
        (None, "4.000001", {"period": "day"}),
        (date(2026, 11, 21), "20", {"period": "month", "scope": {"agent_id": "*"}}),
        (date(2026, 11, 21), "20", {"period": "month", "scope": {"agent_id": "a"}}),
    ],
)
def test_a_budget_runs_out_on_the_day_on_which_its_limit_is_reached(
    day: date | None, limit: str, settings: dict[str, object]
) -> None:
    with ledger_with("4", "4", "4") as engine:
        engine.set_budget(Budget(name="b", limit_usd=limit, **settings))  # type: ignore[arg-type]  # a table's row
        found = only(budgets_run_out(engine, now=engine.clock.now()))
    assert (day, day, day, "") == (found.day, found.earliest, found.latest, found.reason)


def test_the_range_of_the_days_gives_the_earliest_and_the_latest_day() -> None:
    with ledger_with("2", "4", "6") as engine:
        engine.set_budget(Budget(name="b", limit_usd=32, period="month"))
        found = only(budgets_run_out(engine, now=engine.clock.now()))
    # 20 are left, 4 a day: the fifth day, were each like the mean.
    assert (found.day, found.earliest) == (date(2026, 11, 24), date(2026, 11, 22))
    assert found.latest is None, "eleven days of the low end do not reach it"


@pytest.mark.parametrize(
    ("reason", "settings"),
    [
        ("the days before say nothing about one hour", {"period": "hour"}),
        ("the days before say nothing about one run", {"period": "run"}),
        ("tags are not in the rollups that a forecast reads", {"scope": {"tag:team": "x"}}),
        ("nothing was booked on the 56 days before today", {"scope": {"agent_id": "nobody"}}),
    ],
)
def test_a_budget_of_which_nothing_can_be_said_says_why(reason: str, settings: dict[str, object]) -> None:
    with ledger_with("4", "4", "4") as engine:
        engine.set_budget(Budget(name="b", limit_usd=5, **settings))  # type: ignore[arg-type]  # a table's row
        found = only(budgets_run_out(engine, now=engine.clock.now()))
    assert (None, None, reason) == (found.day, found.earliest, found.reason)


def test_a_budget_that_counts_more_than_its_scope_is_not_looked_ahead_for() -> None:
    with ledger_with("4", "4", "4") as engine:
        engine.set_budget(Budget(name="b", limit_usd=50, period="month", scope={"agent_id": "a"}))
        engine.record(model="my-own", cost_usd="9", agent_id="z", budget="b")
        found = only(budgets_run_out(engine, now=engine.clock.now()))
    assert found.status.spent_usd == Decimal(21)
    assert (found.day, found.reason[:34]) == (None, "it counts calls that named it, or ")


def test_a_budget_that_is_used_up_says_so_without_any_days_before() -> None:
    with ledger_with() as engine:
        engine.set_budget(Budget(name="b", limit_usd=1, period="month"))
        engine.record(model="my-own", cost_usd="1")
        found = only(budgets_run_out(engine, now=engine.clock.now()))
    assert (found.is_used_up, found.day) == (True, date(2026, 11, 20))


def test_money_that_a_subscription_paid_runs_no_budget_out() -> None:
    with ledger_with("4", "4", "4") as engine:
        for day in (17, 18, 19):
            engine.record(model="my-own", cost_usd="100", notional=True, at=f"2026-11-{day}T18:00:00Z")
        engine.set_budget(Budget(name="b", limit_usd=20, period="month"))
        assert only(budgets_run_out(engine, now=engine.clock.now())).day == date(2026, 11, 21)


def test_only_the_budgets_nearest_to_their_limits_are_looked_ahead_for() -> None:
    with ledger_with("1", "1", "1") as engine:
        engine.set_budget(Budget(name="each", limit_usd=10, period="month", scope={"agent_id": "*"}))
        for number in range(24):
            engine.record(model="my-own", cost_usd=number + 1, agent_id=f"agent-{number}")
        items, left_out = budgets_run_out(engine, now=engine.clock.now())
    assert (len(items), left_out) == (20, 5)
    assert items[0].status.scope_value == "agent-23"
