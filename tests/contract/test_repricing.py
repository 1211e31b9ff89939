"""Repricing appends what is missing to the right amount, once, in the call's own period, and changes nothing else."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.calls import figures, spend, usd
from tests.contract.tables import use_prices
from tokencalc import AsyncEngine, Budget, Usage
from tokencalc.budgets.booking import book_corrections
from tokencalc.config import Settings
from tokencalc.errors import CallInvalid, HoldNotOpen, TimeInvalid
from tokencalc.ledger.standing import charges
from tokencalc.ledger.store import Step
from tokencalc.repricing import charges_wanted, priced_again
from tokencalc.usage import Meter

if TYPE_CHECKING:
    from pathlib import Path

    from tests.contract.conftest import Book
    from tokencalc import Engine
    from tokencalc.clock import ManualClock

SINCE = "2026-01-01"
CHEAP = {"rocket": {"input_per_mtok": "2"}}
DEAR = {"rocket": {"input_per_mtok": "3", "output_per_mtok": "10"}}
IN = Usage(input_tokens=1_000_000)
BOTH = Usage(input_tokens=1_000_000, output_tokens=100_000)


@pytest.fixture
def cheap(engine: Engine, tmp_path: Path) -> Engine:
    """Give an engine whose tables know the input of one model."""
    use_prices(engine, tmp_path, CHEAP)
    return engine


def test_without_apply_nothing_is_written(cheap: Engine, tmp_path: Path) -> None:
    entry = cheap.record(model="rocket", usage=IN)
    use_prices(cheap, tmp_path, DEAR)
    head = cheap.verify().head
    found = cheap.reprice(since=SINCE)
    (change,) = found.changes
    assert (entry.entry_id, *usd("2", "3", "1"), None) == (
        change.entry_id, change.old_usd, change.new_usd, change.difference_usd, change.correction_id,
    )  # fmt: skip
    assert (found.applied, found.charges, change.cards) == (False, 1, ("acme/rocket@2025-01-01",))
    assert head == cheap.verify().head


def test_a_correction_is_the_difference_with_the_new_lines(cheap: Engine, tmp_path: Path) -> None:
    about: dict[str, Any] = {"agent_id": "a", "user_id": "u", "project": "p", "api_key_id": "k", "operation": "o"}
    first = cheap.record(model="rocket", usage=IN, tags={"team": "x"}, at="2026-10-02T03:04:05Z", **about)
    use_prices(cheap, tmp_path, DEAR)
    done = cheap.reprice(since=SINCE, apply=True)
    correction, charge = cheap.entries()
    assert charge == first
    assert ("correction", first.entry_id, first.at, "acme", "rocket") == (
        correction.kind, correction.corrects, correction.at, correction.provider, correction.model,
    )  # fmt: skip
    assert correction.tags == {"team": "x"}
    assert about == {name: getattr(correction, name) for name in about}
    assert usd("1", "3") == (correction.amount_usd, sum(line.amount_usd for line in correction.lines))
    assert [(correction.entry_id, True)] == [(change.correction_id, done.applied) for change in done.changes]
    row = cheap.report().total
    assert (1, Decimal(3), 1_000_000) == (row.calls, row.cost_usd, row.input_tokens), "usage is counted once"


def test_again_appends_nothing_and_a_lower_price_is_corrected_downwards(cheap: Engine, tmp_path: Path) -> None:
    cheap.record(model="rocket", usage=IN)
    for rates, expected in ((DEAR, "3"), (DEAR, "3"), (CHEAP, "2"), (CHEAP, "2"), (DEAR, "3")):
        use_prices(cheap, tmp_path, rates)
        cheap.reprice(since=SINCE, apply=True)
        assert Decimal(expected) == cheap.report().total.cost_usd
    assert [str(entry.amount_usd) for entry in cheap.entries()] == ["1", "-1", "1", "2"]


def test_a_correction_counts_in_the_period_and_the_budgets_of_its_charge(
    cheap: Engine, clock: ManualClock, tmp_path: Path
) -> None:
    cheap.set_budget(Budget(name="day", limit_usd="2.5", scope={"tag:team": "x"}))
    cheap.set_budget(Budget(name="named", limit_usd=100, period="month", scope={"agent_id": "nobody"}))
    cheap.record(model="rocket", usage=IN, tags={"team": "x"}, budget="named")
    clock.advance(3 * 86_400)
    use_prices(cheap, tmp_path, DEAR)
    cheap.reprice(since=SINCE, apply=True)
    assert usd("0", "0", "2.5") == figures(cheap, "day")
    assert usd("3", "0", "0") == figures(cheap, "day", at="2026-11-20")
    assert Decimal(3) == cheap.budget_status("named").spent_usd
    status = cheap.budget_status("day", at="2026-11-20")
    assert [("correction", Decimal("0.5"))] == [(item.reason, item.amount_usd) for item in status.excess]
    assert [(one.threshold_percent, one.in_open_period) for one in status.crossings] == [
        (75, True),
        (90, False),
        (100, False),
    ], "in a period that is over, a crossing is stored"


def test_a_run_s_budget_counts_the_corrections_of_its_calls(book: Book, tmp_path: Path) -> None:
    engine = book.open(run="nightly")
    use_prices(engine, tmp_path, CHEAP)
    engine.set_budget(Budget(name="run", limit_usd=10, period="run"))
    engine.record(model="rocket", usage=IN)
    use_prices(engine, tmp_path, DEAR)
    engine.reprice(since=SINCE, apply=True)
    assert Decimal(3) == engine.budget_status("run").spent_usd


def test_a_missing_price_is_unpriced_until_it_is_filled(engine: Engine, tmp_path: Path) -> None:
    engine.set_budget(Budget(name="b", limit_usd=100))
    engine.record(model="rocket", usage=BOTH)
    engine.record(model="sled", usage=IN)
    assert 2 == engine.budget_status("b").unpriced_calls == engine.report().unpriced_calls
    use_prices(engine, tmp_path, DEAR)
    found = engine.reprice(since=SINCE, apply=True)
    assert [(None, Decimal(4), True, ())] == [
        (change.old_usd, change.new_usd, change.was_unpriced, change.unpriced) for change in found.changes
    ]
    assert [(item.model, item.meters, item.calls) for item in found.unpriced] == [("sled", (), 1)]
    assert found.unpriced == engine.report().unpriced
    assert (1, Decimal(4)) == (engine.budget_status("b").unpriced_calls, engine.budget_status("b").spent_usd)
    rows = {row.model: row.unpriced_calls for row in engine.report(group_by=("model",)).rows}
    assert rows == {"rocket": 0, "sled": 1}
    engine.set_budget(Budget(name="late", limit_usd=100))
    late = engine.budget_status("late")
    assert (1, Decimal(4)) == (late.unpriced_calls, late.spent_usd), "a budget set later counts the same from the book"


def test_a_part_that_gets_a_price_is_counted_and_stays_unpriced(engine: Engine, tmp_path: Path) -> None:
    engine.set_budget(Budget(name="b", limit_usd=100))
    engine.record(model="rocket", usage=BOTH)
    use_prices(engine, tmp_path, CHEAP)
    found = engine.reprice(since=SINCE, apply=True)
    assert [(None, Decimal(2), (Meter.OUTPUT,))] == [
        (change.old_usd, change.new_usd, change.unpriced) for change in found.changes
    ]
    (missing,) = engine.report().unpriced
    assert (missing.meters, missing.calls) == ((Meter.OUTPUT,), 1)
    assert "output: acme/rocket@2025-01-01 has no rate for it" in missing.reason
    assert (1, Decimal(2)) == (engine.budget_status("b").unpriced_calls, engine.budget_status("b").spent_usd)
    assert engine.reprice(since=SINCE, apply=True).changes == ()
    use_prices(engine, tmp_path, DEAR)
    engine.reprice(since=SINCE, apply=True)
    assert (0, Decimal(4)) == (engine.budget_status("b").unpriced_calls, engine.budget_status("b").spent_usd)
    assert engine.report().unpriced == ()


@pytest.mark.parametrize(
    ("expected", "source", "booked"),
    [
        ("3", "caller", {"usage": IN, "cost_usd": "7"}),
        ("3", "billed", {"usage": Usage.from_leaves([(Meter.INPUT, 10**6)], billed_usd=Decimal("2.5"))}),
        ("3", "caller", {"usage": IN, "cost_usd": "3"}),
    ],
)
def test_our_whole_price_takes_the_place_of_another_s_figure(
    engine: Engine, tmp_path: Path, expected: str, source: str, booked: dict[str, Any]
) -> None:
    first = engine.record(model="rocket", **booked)
    assert source == first.amount_source
    use_prices(engine, tmp_path, DEAR)
    engine.reprice(since=SINCE, apply=True)
    assert Decimal(expected) == engine.report().total.cost_usd
    found = engine.explain(first)
    assert (first.caller_cost_usd, first.billed_usd) == (found.entry.caller_cost_usd, found.entry.billed_usd)
    assert engine.reprice(since=SINCE, apply=True).changes == ()


@pytest.mark.parametrize("booked", [{"cost_usd": "7"}, {"usage": BOTH, "cost_usd": "7"}])
def test_a_caller_s_figure_stays_where_we_have_no_whole_price(
    engine: Engine, tmp_path: Path, booked: dict[str, Any]
) -> None:
    engine.record(model="rocket", **booked)
    use_prices(engine, tmp_path, CHEAP)
    found = engine.reprice(since=SINCE, apply=True)
    assert (found.changes, found.unpriced, found.lost) == ((), (), ())
    assert Decimal(7) == engine.report().total.cost_usd


@pytest.mark.parametrize("models", [CHEAP, {"sled": {"input_per_mtok": "1"}}])
def test_a_price_that_the_tables_lost_is_kept_and_named(
    engine: Engine, tmp_path: Path, models: dict[str, dict[str, str]]
) -> None:
    use_prices(engine, tmp_path, DEAR)
    engine.record(model="rocket", usage=BOTH)
    use_prices(engine, tmp_path, models)
    found = engine.reprice(since=SINCE, apply=True)
    assert (
        found.changes, found.unpriced, [(item.model, item.calls) for item in found.lost],
    ) == ((), (), [("rocket", 1)])  # fmt: skip
    assert (0, Decimal(4)) == (engine.report().unpriced_calls, engine.report().total.cost_usd)


def test_the_context_of_the_booking_prices_it_again(engine: Engine, tmp_path: Path) -> None:
    batch = {"processing": "batch"}
    use_prices(engine, tmp_path, CHEAP, {"rocket": {"input_per_mtok": "1"}})
    engine.record(model="rocket", usage=IN, context=batch)
    held = engine.reserve(model="rocket", input_tokens=10, amount_usd=1, context=batch)
    engine.settle(held, usage=IN)
    plain = engine.reserve(model="rocket", input_tokens=10, amount_usd=1)
    engine.settle(plain, usage=IN, context=batch)
    assert [batch] * 3 == [dict(entry.context) for entry in engine.entries()]
    assert engine.reprice(since=SINCE).changes == ()
    use_prices(engine, tmp_path, DEAR, {"rocket": {"input_per_mtok": "1.5"}})
    engine.reprice(since=SINCE, apply=True)
    assert Decimal("4.5") == engine.report().total.cost_usd


def test_the_same_settlement_is_the_first_one_even_when_prices_have_changed(engine: Engine, tmp_path: Path) -> None:
    use_prices(engine, tmp_path, CHEAP)
    held = engine.reserve(model="rocket", input_tokens=10, amount_usd=1)
    first = engine.settle(held, usage=IN)
    use_prices(engine, tmp_path, DEAR)
    again = engine.settle(held, usage=IN)
    assert (True, first.entry_id, first.amount_usd) == (again.replayed, again.entry_id, again.amount_usd)
    with pytest.raises(HoldNotOpen, match="settled with other arguments"):
        engine.settle(held, usage=IN, context={"processing": "batch"})


def test_write_offs_and_corrections_are_not_priced_again(book: Book, tmp_path: Path) -> None:
    engine = book.open(settings=Settings(suspect_close_after_s=60))
    use_prices(engine, tmp_path, DEAR)
    lost = engine.reserve(model="rocket", input_tokens=10**6, max_output_tokens=10, lifetime_s=1)
    book.clock.advance(7200)
    spend(engine, 1)
    use_prices(engine, tmp_path, {"rocket": {"input_per_mtok": "9", "output_per_mtok": "9"}})
    found = engine.reprice(since=SINCE, apply=True)
    assert (found.charges, found.changes) == (1, ())
    engine.settle(lost, usage=IN)
    assert engine.reprice(since=SINCE).changes == ()
    assert [entry.kind for entry in engine.entries()] == ["charge", "correction", "charge", "write_off"]


def test_what_no_entry_can_hold_stays_unpriced(engine: Engine, tmp_path: Path) -> None:
    engine.record(model="rocket", usage=Usage(input_tokens=10**15))
    use_prices(engine, tmp_path, {"rocket": {"input_per_mtok": "1000000"}})
    found = engine.reprice(since=SINCE, apply=True)
    assert (found.changes, len(found.unpriced)) == ((), 1)
    assert "1000000000000000 USD is more than one entry can hold" in found.unpriced[0].reason


@pytest.mark.parametrize(
    ("expected", "span"),
    [
        (3, {"since": "2026-11-01"}),
        (2, {"since": "2026-11-01T00:00:00.000001Z"}),
        (2, {"since": "2026-11-01", "until": "2026-11-03T00:00:00Z"}),
        (1, {"since": "2026-11-01", "until": "2026-11-02"}),
        (2, {"since": "2026-11-01", "model": "rocket"}),
        (2, {"since": "2026-11-01", "model": "rocket-latest"}),
        (1, {"since": "2026-11-01", "model": "sled", "provider": "acme"}),
        (0, {"since": "2026-11-01", "model": "sled", "provider": "openai"}),
        (3, {"since": "2026-11-01", "provider": "acme"}),
        (0, {"since": "2026-11-01", "provider": "no-such-provider"}),
        (0, {"since": "2026-11-01", "model": "no-such-model"}),
        (0, {"since": "2027-01-01"}),
    ],
)
def test_only_the_charges_that_were_asked_for_are_looked_at(
    engine: Engine, tmp_path: Path, expected: int, span: dict[str, Any]
) -> None:
    use_prices(engine, tmp_path, {**CHEAP, "sled": {"input_per_mtok": "1"}})
    for day, model in (("01", "rocket"), ("02", "sled"), ("03", "rocket")):
        engine.record(model=model, usage=IN, at=f"2026-11-{day}T00:00:00Z")
    use_prices(engine, tmp_path, {**DEAR, "sled": {"input_per_mtok": "2"}})
    told: list[tuple[int, int]] = []
    found = engine.reprice(**span, progress=lambda done, total: told.append((done, total)))
    assert (expected, expected) == (found.charges, len(found.changes))
    assert [(expected, expected)] * bool(expected) == told


@pytest.mark.parametrize(
    ("error", "message", "arguments"),
    [
        (CallInvalid, "since: expected an instant or a date", {"since": None}),
        (CallInvalid, "until: expected an instant after since", {"since": "2026-11-02", "until": "2026-11-02"}),
        (TimeInvalid, "since: ", {"since": "yesterday"}),
        (CallInvalid, "model: ", {"since": SINCE, "model": ""}),
        (CallInvalid, "provider: ", {"since": SINCE, "provider": "a\nb"}),
    ],
)
def test_a_span_that_cannot_be_is_refused(
    engine: Engine, error: type[Exception], message: str, arguments: dict[str, Any]
) -> None:
    with pytest.raises(error, match=message):
        engine.reprice(**arguments)


def test_models_are_summed_with_the_largest_difference_first(engine: Engine, tmp_path: Path) -> None:
    use_prices(engine, tmp_path, {**CHEAP, "sled": {"input_per_mtok": "5"}})
    for model in ("rocket", "sled", "rocket", "kite"):
        engine.record(model=model, usage=IN, provider="acme")
    use_prices(engine, tmp_path, {**DEAR, "sled": {"input_per_mtok": "1"}, "kite": {"input_per_mtok": "1"}})
    found = engine.reprice(since=SINCE)
    assert [(row.model, row.charges, row.filled, str(row.difference_usd)) for row in found.models] == [
        ("sled", 1, 0, "-4"),
        ("rocket", 2, 0, "2"),
        ("kite", 1, 1, "1"),
    ]
    assert usd("9", "8", "-1") == (found.old_usd, found.new_usd, found.difference_usd)


def test_a_correction_that_somebody_else_has_made_is_left_out(cheap: Engine, tmp_path: Path) -> None:
    for _ in range(2):
        cheap.record(model="rocket", usage=IN)
    use_prices(cheap, tmp_path, DEAR)
    (page,) = charges(cheap.store, charges_wanted(cheap.catalog, since=SINCE))
    seen = [found.correction for standing in page if (found := priced_again(cheap.catalog, standing)).correction]
    corrections = [correction for correction in seen if correction is not None]

    def append(some: slice) -> list[bool]:
        step = Step(lambda transaction: book_corrections(transaction, corrections[some]))
        return [entry is not None for entry in cheap.store.writer.run(step)]

    assert append(slice(1)) == [True]
    assert append(slice(2)) == [False, True]
    assert append(slice(2)) == [False, False]
    assert Decimal(6) == cheap.report().total.cost_usd


def test_several_that_apply_at_once_correct_each_charge_once(book: Book, tmp_path: Path) -> None:
    first = book.open()
    use_prices(first, tmp_path, CHEAP)
    engines = [first, *((book.open() if book.place != ":memory:" else first) for _ in range(2))]
    first.record_many({"model": "rocket", "usage": IN} for _ in range(450))
    for engine in engines:
        use_prices(engine, tmp_path, DEAR)
    with ThreadPoolExecutor(len(engines)) as pool:
        done = list(pool.map(lambda engine: engine.reprice(since=SINCE, apply=True), engines))
    assert sum(len(found.changes) for found in done) == 450
    assert Decimal(1350) == first.report().total.cost_usd
    assert first.verify().entries == 900


async def _reprice_awaited(engine: Engine) -> tuple[int, str | None]:
    awaited = AsyncEngine(engine)
    done = await awaited.reprice(since=SINCE, apply=True, model="rocket")
    explained = await awaited.explain(done.changes[0].entry_id)
    return len(done.changes), explained.corrections[0].corrects


def test_the_async_twin_does_the_same(cheap: Engine, tmp_path: Path) -> None:
    entry = cheap.record(model="rocket", usage=IN)
    use_prices(cheap, tmp_path, DEAR)
    assert (1, entry.entry_id) == asyncio.run(_reprice_awaited(cheap))
