"""Corrections are folded into what they correct, once, for everything that looks at entries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.contract.tables import use_prices
from tokencalc.clock import ManualClock
from tokencalc.engine import Engine
from tokencalc.reports.corrected import Corrections
from tokencalc.usage import Meter, Usage

if TYPE_CHECKING:
    from pathlib import Path

USAGE = Usage(input_tokens=10**6, output_tokens=10**6)


def test_a_call_has_what_all_its_corrections_add_up_to_and_the_newest_says_what_it_lacks(tmp_path: Path) -> None:
    with Engine.open(":memory:", clock=ManualClock("2026-11-20T12:00:00Z")) as engine:
        engine.record(model="rocket", usage=USAGE, provider="acme")
        engine.record(model="sled", usage=USAGE, provider="acme")
        for rates in ({"input_per_mtok": "2"}, {"input_per_mtok": "2", "output_per_mtok": "8"}):
            use_prices(engine, tmp_path, {"rocket": rates, "sled": {"input_per_mtok": "1"}})
            engine.reprice(since="2026-01-01", apply=True)
        newest_first = list(engine.entries())
    corrections = Corrections()
    seen = [found for entry in newest_first if (found := corrections.see(entry)) is not None]
    assert [
        (found.entry.model, found.pico, found.unpriced_calls, found.said.unpriced, found.is_corrected) for found in seen
    ] == [("sled", 10**12, 1, (Meter.OUTPUT,), True), ("rocket", 10 * 10**12, 0, (), True)]
    assert list(corrections.alone()) == []


def test_corrections_of_what_was_not_seen_stand_alone_one_for_each(tmp_path: Path) -> None:
    with Engine.open(":memory:", clock=ManualClock("2026-11-20T12:00:00Z")) as engine:
        charge = engine.record(model="rocket", usage=USAGE, provider="acme")
        for rates in ({"input_per_mtok": "2"}, {"input_per_mtok": "2", "output_per_mtok": "8"}):
            use_prices(engine, tmp_path, {"rocket": rates})
            engine.reprice(since="2026-01-01", apply=True)
        newest_first = list(engine.entries())
    corrections = Corrections()
    for entry in newest_first[:-1]:
        assert corrections.see(entry) is None
    (alone,) = corrections.alone()
    assert (alone.entry, alone.said) == (newest_first[1], newest_first[0])
    assert (alone.entry.corrects, alone.pico, alone.unpriced_calls) == (charge.entry_id, 10 * 10**12, -1)
