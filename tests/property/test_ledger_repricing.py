"""Random charges, then other tables: after applying, the book says what the new tables say, and twice is once."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contract.tables import use_prices
from tokencalc import Budget, Engine, Usage
from tokencalc.clock import ManualClock
from tokencalc.config import Settings
from tokencalc.errors import PriceUnknown
from tokencalc.ledger.standing import ChargesWanted, charges
from tokencalc.usage import Meter

if TYPE_CHECKING:
    from tokencalc.ledger.standing import Standing

Tables = tuple[dict[str, dict[str, str]], dict[str, dict[str, str]]]

CLOCK = ManualClock("2026-11-20T12:00:00Z")
MODELS = ("rocket", "sled", "kite")
rate = st.integers(0, 10**6).map(lambda micro: str(Decimal(micro).scaleb(-6)))
rates = st.dictionaries(st.sampled_from(["input_per_mtok", "output_per_mtok", "cache_read_per_mtok"]), rate, min_size=1)
tables: st.SearchStrategy[Tables] = st.tuples(
    st.dictionaries(st.sampled_from(MODELS), rates, min_size=1), st.dictionaries(st.sampled_from(MODELS), rates)
)
money = st.none() | st.integers(0, 10**13).map(lambda pico: Decimal(pico).scaleb(-12))
usages = st.builds(
    lambda fresh, read, out, billed: Usage.from_leaves(
        [(Meter.INPUT, fresh), (Meter.CACHE_READ, read), (Meter.OUTPUT, out)], billed_usd=billed
    ),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    money,
)
calls = st.fixed_dictionaries(
    {
        "model": st.sampled_from(MODELS),
        "provider": st.sampled_from([None, "acme"]),
        "usage": usages,
        "cost_usd": money,
        "context": st.sampled_from([None, {"processing": "batch"}]),
        "agent_id": st.sampled_from([None, "a", "b"]),
        "at": st.integers(0, 40).map(lambda hours: f"2026-11-{18 + hours // 24:02}T{hours % 24:02}:07:00Z"),
    }
)


def standings(engine: Engine) -> list[Standing]:
    """Return every charge with its corrections."""
    wanted = ChargesWanted(since=CLOCK.now().replace(year=2026, month=1))
    return [standing for page in charges(engine.store, wanted) for standing in page]


def price_now(engine: Engine, standing: Standing) -> Decimal | None:
    """Return what the tables of now say, None where they do not say all of it."""
    entry = standing.entry
    try:
        return engine.price(
            model=entry.model, provider=entry.provider, usage=entry.usage, at=entry.at, context=entry.context
        ).total_usd
    except PriceUnknown:
        return None


def check_the_book(engine: Engine) -> None:
    """Compare every way to ask for the sums."""
    found = standings(engine)
    assert engine.verify().problems == ()
    counted = sum(standing.counted_pico for standing in found)
    report = engine.report()
    unpriced = sum(standing.is_unpriced for standing in found)
    status = engine.budget_status("all")
    assert (counted, unpriced, unpriced) == (
        report.total.cost_pico, report.unpriced_calls, sum(item.calls for item in report.unpriced),
    )  # fmt: skip
    assert (report.total.cost_usd, unpriced) == (status.spent_usd, status.unpriced_calls)


@settings(max_examples=80)
@given(booked=st.lists(calls, max_size=12), many=st.lists(tables, min_size=2, max_size=4))
def test_after_applying_every_charge_costs_what_the_tables_of_now_say(
    booked: list[dict[str, Any]], many: list[Tables]
) -> None:
    with TemporaryDirectory() as folder, Engine.open(":memory:", clock=CLOCK, settings=Settings()) as engine:
        engine.set_budget(Budget(name="all", limit_usd=1, period="total"))
        engine.set_budget(Budget(name="each", limit_usd=1, scope={"agent_id": "*"}))
        use_prices(engine, Path(folder), *many[0])
        first = [engine.record(**call) for call in booked]
        for models, batch in many[1:]:
            use_prices(engine, Path(folder), models, batch)
            before = {standing.entry.entry_id: standing for standing in standings(engine)}
            shown = engine.reprice(since="2026-01-01")
            done = engine.reprice(since="2026-01-01", apply=True)
            assert [change.new_pico for change in shown.changes] == [change.new_pico for change in done.changes]
            for standing in standings(engine):
                price = price_now(engine, standing)
                if price is not None:
                    assert not standing.is_unpriced
                    # What the response said it was billed stays counted where it is above our price.
                    billed = standing.entry.billed_usd if standing.amount_source == "billed" else None
                    assert max(price, billed or price) == engine.explain(standing.entry).counted_usd
                elif not before[standing.entry.entry_id].is_unpriced:
                    assert before[standing.entry.entry_id] == standing, "a whole price is never given up"
            check_the_book(engine)
            again = engine.reprice(since="2026-01-01", apply=True)
            assert ((), done.unpriced, done.lost) == (again.changes, again.unpriced, again.lost)
        assert first == [standing.entry for standing in sorted(standings(engine), key=lambda one: one.entry.sequence)]
