"""Summaries against hand-computed cases: caching, notional parts, reasons, and sums that equal the ledger's."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.contract.tables import use_prices
from tokencalc.budgets.budget import Budget
from tokencalc.clock import ManualClock
from tokencalc.engine import Engine
from tokencalc.reports.corrected import Corrections
from tokencalc.reports.document import alerts_passed, summary_document, summary_json
from tokencalc.reports.markdown import summary_markdown
from tokencalc.reports.saving import CacheSaving, saving_of, without_cache
from tokencalc.reports.summary import Summary, summarise
from tokencalc.usage import Meter, Usage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CLOCK = ManualClock("2026-11-20T12:00:00Z")


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Engine.open(":memory:", clock=CLOCK) as opened:
        yield opened


def summary(engine: Engine) -> Summary:
    return summarise(engine, now=CLOCK.now())


@pytest.mark.parametrize(
    ("expected", "model", "usage"),
    [
        # claude-sonnet-4-5 for a million: input $3, cache read $0.30, writes $3.75 and $6, output $15.
        ("0.0027", "claude-sonnet-4-5", Usage(input_tokens=1000, cache_read_tokens=1000)),
        ("-0.00075", "claude-sonnet-4-5", Usage(input_tokens=1000, cache_write_5m_tokens=1000)),
        ("-0.003", "claude-sonnet-4-5", Usage(input_tokens=1000, cache_write_1h_tokens=1000)),
        ("0.00195", "claude-sonnet-4-5", Usage(input_tokens=2000, cache_read_tokens=1000, cache_write_5m_tokens=1000)),
        ("0", "claude-sonnet-4-5", Usage(input_tokens=1000, output_tokens=1000)),
        # gpt-4o: input $2.50, cache read $1.25.
        ("0.00125", "gpt-4o", Usage(input_tokens=1500, cache_read_tokens=1000, output_tokens=9)),
    ],
)
def test_a_saving_is_the_plain_price_minus_the_actual_one(
    engine: Engine, expected: str, model: str, usage: Usage
) -> None:
    engine.record(model=model, usage=usage)
    assert Decimal(expected) == summary(engine).saving.saved_usd


def test_each_call_of_a_response_loses_its_cache_by_itself() -> None:
    part = Usage(input_tokens=10, cache_read_tokens=4, cache_write_5m_tokens=2, output_tokens=3, model="m")
    plain = without_cache(Usage.from_parts([part, part]))
    assert [(call.input_tokens, call.cache_read_tokens, call.model) for call in plain.calls] == [(10, 0, "m")] * 2
    assert (plain.input_tokens, plain.cache_write_tokens, plain.output_tokens) == (20, 0, 6)


def test_what_cannot_be_compared_is_counted_and_not_guessed(engine: Engine) -> None:
    usage = Usage(input_tokens=10, cache_read_tokens=5)
    engine.record(model="my-own-model", usage=usage)
    engine.record(model="my-own-model", usage=usage, cost_usd="0.1")
    found = summary(engine).saving
    assert (found.saved_usd, found.calls, found.left_out) == (Decimal(0), 0, 2)


def test_a_cache_read_without_a_rate_is_no_saving(engine: Engine, tmp_path: Path) -> None:
    use_prices(engine, tmp_path, {"rocket": {"input_per_mtok": "2"}})
    engine.record(model="rocket", usage=Usage(input_tokens=10**6, cache_read_tokens=5 * 10**5))
    found = summary(engine).saving
    assert (found.saved_usd, found.calls, found.left_out) == (Decimal(0), 0, 1)
    use_prices(engine, tmp_path, {"rocket": {"input_per_mtok": "2", "cache_read_per_mtok": "1"}})
    engine.reprice(since="2026-01-01", apply=True)
    found = summary(engine).saving
    assert (found.saved_usd, found.calls, found.left_out) == (Decimal("0.5"), 1, 0)


def test_an_entry_without_usage_saves_nothing(engine: Engine) -> None:
    entry = engine.record(model="gpt-4o", cost_usd="0.1")
    seen = Corrections().see(entry)
    assert seen is not None
    assert saving_of(engine, seen) == CacheSaving()


def test_a_summary_tells_notional_money_and_unpriced_calls_apart(engine: Engine) -> None:
    usage = Usage(input_tokens=1000)
    engine.record(model="gpt-4o", usage=usage, notional=True, agent_id="a", at="2026-11-10T00:00:00Z")
    engine.record(model="gpt-4o", usage=usage, agent_id="b", at="2026-11-12T00:00:00Z")
    engine.record(model="my-own-model", usage=usage, agent_id="b")
    found = summary(engine)
    assert (found.total.cost_usd, found.notional_usd) == (Decimal("0.005"), Decimal("0.0025"))
    assert (found.total.calls, found.notional_calls, found.unpriced_calls) == (3, 1, 1)
    assert [(item.model, item.calls) for item in found.unpriced] == [("my-own-model", 1)]
    assert "no price is known for" in found.unpriced[0].reason
    assert (str(found.first_at), str(found.last_at)) == ("2026-11-10 00:00:00+00:00", "2026-11-20 12:00:00+00:00")
    assert [row.key["day"] for row in found.sections["day"]] == ["2026-11-10", "2026-11-12", "2026-11-20"]


def test_what_is_unpriced_is_named_in_both_reports_also_in_part(engine: Engine) -> None:
    engine.record(model="gpt-4o", usage=Usage.from_leaves([(Meter.INPUT, 1000), (Meter.OUTPUT_IMAGE, 1)]))
    engine.record(model="my-own|model", usage=Usage(input_tokens=1))
    found = summary(engine)
    assert [{**item, "reason": item["reason"][:30]} for item in json.loads(summary_json(found))["unpriced"]] == [
        {
            "provider": None,
            "model": "my-own|model",
            "meters": [],
            "reason": "no price is known for model 'm",
            "calls": 1,
        },
        {
            "provider": "openai",
            "model": "gpt-4o",
            "meters": ["output_image"],
            "reason": "output_image: openai/gpt-4o@20",
            "calls": 1,
        },
    ]
    text = summary_markdown(found)
    assert "- Not in the total, or only in part: 2 calls" in text
    assert "| `my-own\\|model` | 1 | everything | no price is known for" in text
    assert "| `gpt-4o` | 1 | output_image | output" in text


def test_a_saving_is_measured_against_the_corrected_amount_and_by_the_call_s_context(
    engine: Engine, tmp_path: Path
) -> None:
    usage = Usage(input_tokens=2_000_000, cache_read_tokens=1_000_000)
    rates = {"input_per_mtok": "2", "cache_read_per_mtok": "1"}
    for price, expected in (("1", "1"), ("0.5", "1.5")):
        use_prices(engine, tmp_path, {"rocket": rates | {"cache_read_per_mtok": price}})
        if price == "1":
            engine.record(model="rocket", usage=usage)
        engine.reprice(since="2026-01-01", apply=True)
        assert Decimal(expected) == summary(engine).saving.saved_usd
    use_prices(engine, tmp_path, {"sled": rates}, {"sled": {"input_per_mtok": "1", "cache_read_per_mtok": "0.5"}})
    engine.record(model="sled", usage=usage, context={"processing": "batch"}, at="2026-11-18")
    found = summarise(engine, now=CLOCK.now(), until=CLOCK.now() - timedelta(days=1))
    assert Decimal("0.5") == found.saving.saved_usd


def test_an_empty_ledger_has_a_report_that_says_so(engine: Engine) -> None:
    found = summary(engine)
    assert summary_markdown(found).startswith("# LLM cost report\n\n**$0.000000** for 0 calls.\n")
    assert json.loads(summary_json(found))["total"]["cost_usd"] == "0"


@pytest.mark.parametrize(
    ("expected", "limit", "spent"),
    [
        ((), "1", "0.749999"),
        ((75,), "1", "0.75"),
        ((75, 90), "1", "0.9"),
        ((75, 90, 100), "1", "1"),
        ((), "0", "0"),
        ((75, 90, 100), "0", "0.000001"),
    ],
)
def test_an_alert_is_passed_at_its_threshold(engine: Engine, expected: tuple[int, ...], limit: str, spent: str) -> None:
    engine.set_budget(Budget(name="b", limit_usd=limit))
    engine.record(model="my-own-model", cost_usd=spent)
    assert expected == alerts_passed(engine.budget_status("b"))


def test_budgets_stand_in_both_reports(engine: Engine) -> None:
    engine.set_budget(Budget(name="each", limit_usd=1, scope={"agent_id": "*"}))
    engine.record(model="gpt-4o", usage=Usage(input_tokens=320_000), agent_id="a|b`c")
    found = summary(engine)
    assert "| `` each a\\|b`c `` | `2026-11-20` | $1.000000 | $0.800000 | $0.000000 | 80.0 % | 75 % |" in (
        summary_markdown(found)
    )
    assert "a|b`c" in [budget["scope_value"] for budget in summary_document(found)["budgets"]]


CALLS = st.lists(
    st.tuples(
        st.sampled_from(["gpt-4o", "gpt-4", "claude-sonnet-4-5", "my-own-model"]),
        st.sampled_from(["a", "b|`c", "<b>x</b>", "![x](http://evil.example)", "@team #1"]),
        st.integers(min_value=0, max_value=10**6),
        st.integers(min_value=0, max_value=10**6),
        st.booleans(),
    ),
    max_size=12,
)


@given(CALLS)
def test_both_reports_add_up_to_the_ledger_and_no_name_gets_out(
    calls: list[tuple[str, str, int, int, bool]],
) -> None:
    with Engine.open(":memory:", clock=CLOCK) as engine:
        for model, agent, tokens_in, tokens_out, notional in calls:
            usage = Usage(input_tokens=tokens_in, output_tokens=tokens_out)
            engine.record(model=model, usage=usage, agent_id=agent, notional=notional)
        booked = sum((entry.amount_usd or Decimal(0) for entry in engine.entries()), Decimal(0))
        found = summary(engine)
    document = json.loads(summary_json(found))
    assert booked == Decimal(document["total"]["cost_usd"])
    for rows in document["by"].values():
        assert booked == sum(Decimal(row["cost_usd"]) for row in rows)
    rows = [line for line in summary_markdown(found).splitlines() if line.startswith("| ")]
    for line in rows:
        outside = "".join(line.replace("\\|", "").split("`")[::2])
        assert not any(mark in outside for mark in ("<b>", "](http", "@team"))
