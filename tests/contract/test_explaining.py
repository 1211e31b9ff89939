"""An explanation adds up by hand, whatever the entry is, and names everything its amount rests on."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.calls import usd
from tests.contract.tables import use_prices
from tokencalc import Budget, Usage
from tokencalc.config import Settings
from tokencalc.errors import EntryUnknown
from tokencalc.pricing.catalog import Catalog
from tokencalc.usage import Meter

if TYPE_CHECKING:
    from pathlib import Path

    from tests.contract.conftest import Book
    from tokencalc import Engine

SINCE = "2026-01-01"
CHEAP = {"rocket": {"input_per_mtok": "2"}}
DEAR = {"rocket": {"input_per_mtok": "3", "output_per_mtok": "10"}}
IN = Usage(input_tokens=1_000_000)
BOTH = Usage(input_tokens=1_000_000, output_tokens=100_000)


def test_lines_add_up_and_name_their_cards(engine: Engine, tmp_path: Path) -> None:
    use_prices(engine, tmp_path, DEAR)
    found = engine.explain(engine.record(model="rocket", usage=BOTH))
    assert usd("3", "1") == tuple(line.quantity * line.rate / line.per for line in found.entry.lines)
    assert usd("4", "4", "4") == (found.lines_usd, found.price_usd, found.counted_usd)
    (card,) = found.cards
    assert ("acme/rocket@2025-01-01", True, ("https://acme.example/prices",), date(2026, 11, 1)) == (
        card.card, card.is_known, card.source, card.checked_on,
    )  # fmt: skip
    assert (
        found.corrections, found.corrected, found.hold, found.unpriced_reason, found.assumed,
    ) == ((), None, None, None, ())  # fmt: skip


def test_a_card_that_the_tables_no_longer_have_is_said_so(engine: Engine, tmp_path: Path) -> None:
    use_prices(engine, tmp_path, DEAR)
    entry = engine.record(model="rocket", usage=IN)
    use_prices(engine, tmp_path, {"sled": {"input_per_mtok": "1"}})
    for catalog in (engine.catalog, Catalog.packaged()):
        engine.catalog = catalog
        (card,) = engine.explain(entry).cards
        assert (card.is_known, card.source, card.checked_on) == (False, (), None)
    assert Decimal(3) == engine.explain(entry).lines_usd


def test_a_packaged_card_is_found_by_its_id(engine: Engine) -> None:
    (card,) = engine.explain(engine.record(model="gpt-4o", usage=IN)).cards
    assert card.is_known
    assert card.source
    assert card.checked_on is not None


def test_an_entry_is_found_by_record_id_and_number(engine: Engine) -> None:
    entry = engine.record(model="rocket", cost_usd=1)
    assert [entry] * 3 == [engine.explain(by).entry for by in (entry, entry.entry_id, str(entry.sequence))]


@pytest.mark.parametrize(
    "name", ["", "0", "9", "-1", "1.0", "\u0661", "zzzzzzzz-e1", "e1", 1, None, "9" * 30, "deadbeef-h1"]
)
def test_an_id_that_this_ledger_does_not_have_is_refused(engine: Engine, name: Any) -> None:
    engine.record(model="rocket", cost_usd=1)
    with pytest.raises(EntryUnknown, match=f"is not in this ledger, whose entries are named {engine.store.chain_id}-e"):
        engine.explain(name)


def test_a_charge_and_its_corrections_explain_each_other(engine: Engine, tmp_path: Path) -> None:
    use_prices(engine, tmp_path, CHEAP)
    charge = engine.record(model="rocket", usage=BOTH, cost_usd=None)
    for rates in (DEAR, {"rocket": {"input_per_mtok": "1", "output_per_mtok": "1"}}):
        use_prices(engine, tmp_path, rates)
        engine.reprice(since=SINCE, apply=True)
    found = engine.explain(charge)
    assert usd("2", "1.1", "1.1") == (found.lines_usd, found.price_usd, found.counted_usd)
    assert found.unpriced_reason == "output: acme/rocket@2025-01-01 has no rate for it under these conditions"
    assert [Decimal(2), Decimal("-2.9")] == [one.amount_usd for one in found.corrections]
    last = engine.explain(found.corrections[-1])
    assert (charge, *usd("4", "1.1")) == (last.corrected, last.counted_before_usd, last.lines_usd)
    assert last.entry.amount_usd == last.lines_usd - Decimal(4)
    assert (last.unpriced_reason, last.corrections) == (None, ())


@pytest.mark.parametrize(
    ("expected", "booked"),
    [
        (("0.5", "-1"), {"cost_usd": "3.5", "usage": Usage.from_leaves(IN.leaves, billed_usd=Decimal(2))}),
        ((None, "0"), {"usage": Usage.from_leaves(IN.leaves, billed_usd=Decimal(3))}),
        (("0", None), {"cost_usd": "3", "usage": IN}),
        ((None, None), {"usage": IN}),
    ],
)
def test_other_figures_stand_beside_our_price(
    engine: Engine, tmp_path: Path, expected: tuple[str | None, str | None], booked: dict[str, Any]
) -> None:
    use_prices(engine, tmp_path, DEAR)
    found = engine.explain(engine.record(model="rocket", **booked))
    assert [None if gap is None else Decimal(gap) for gap in expected] == [found.caller_gap_usd, found.billed_gap_usd]


def test_figures_are_compared_with_the_corrected_price(engine: Engine, tmp_path: Path) -> None:
    entry = engine.record(model="rocket", usage=IN, cost_usd="2.5")
    assert (engine.explain(entry).price_usd, engine.explain(entry).caller_gap_usd) == (None, None)
    use_prices(engine, tmp_path, DEAR)
    engine.reprice(since=SINCE, apply=True)
    assert usd("3", "-0.5") == (engine.explain(entry).price_usd, engine.explain(entry).caller_gap_usd)


def test_assumptions_and_reasons_are_told_apart(engine: Engine) -> None:
    usage = Usage.from_leaves([(Meter.INPUT, 10), (Meter.OUTPUT_IMAGE, 1)], notes=("assumed to be one call",))
    found = engine.explain(engine.record(model="gpt-4o", usage=usage))
    assert found.assumed == ("assumed to be one call",)
    assert (found.unpriced_reason or "").startswith("output_image: openai/gpt-4o@")
    only = engine.explain(engine.record(model="rocket", cost_usd=1))
    assert "rocket" in (only.unpriced_reason or "")
    assert only.assumed == ()


def test_the_hold_and_the_end_of_a_lost_one_are_told(book: Book) -> None:
    engine = book.open(settings=Settings(suspect_close_after_s=60))
    held = engine.reserve(model="rocket", amount_usd="0.5")
    settled = engine.explain(engine.settle(held, cost_usd="0.2"))
    assert settled.hold is not None
    assert (held.hold_id, "settled", Decimal("0.5")) == (
        settled.hold.hold_id, settled.hold.state, settled.hold.amount_usd,
    )  # fmt: skip
    lost = engine.reserve(model="rocket", amount_usd=1, lifetime_s=1)
    book.clock.advance(7200)
    engine.settle(lost, cost_usd=2)
    charge, reversal, write_off, _ = engine.entries()
    assert (write_off.entry_id, None) == (reversal.corrects, engine.explain(charge).corrected)
    assert write_off == engine.explain(reversal).corrected
    assert [reversal] == list(engine.explain(write_off).corrections)
    assert Decimal(0) == engine.explain(write_off).counted_usd


def test_a_budget_s_entry_costs_nothing(engine: Engine) -> None:
    engine.set_budget(Budget(name="b", limit_usd=1))
    found = engine.explain("1")
    assert ("budget", Decimal(0)) == (found.entry.kind, found.counted_usd)
