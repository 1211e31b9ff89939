"""Breakdowns against cases computed by hand: shares, ratios, tags, what changed, and what cannot be told."""

from __future__ import annotations

import os
import subprocess
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from tests.architecture.imports import ROOT
from tests.contract.tables import use_prices
from tokencalc.clock import ManualClock, instant_from
from tokencalc.engine import Engine
from tokencalc.errors import CallInvalid
from tokencalc.periods import PeriodKind, period_at
from tokencalc.reports.before import compared_stretches
from tokencalc.reports.breakdown import Breakdown, Wanted, break_down
from tokencalc.reports.words import change_text
from tokencalc.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

CLOCK = ManualClock("2026-11-20T12:00:00Z")


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Engine.open(":memory:", clock=CLOCK) as opened:
        yield opened


def by(engine: Engine, *keys: str, with_savings: bool = False, where: dict[str, Any] | None = None) -> Breakdown:
    return break_down(engine, Wanted(group_by=keys, where=where), now=CLOCK.now(), with_savings=with_savings)


def month(engine: Engine, *keys: str) -> Breakdown:
    period = period_at("month", CLOCK.now())
    wanted = Wanted(group_by=keys, since=period.start, until=period.end, kind="month")
    return break_down(engine, wanted, now=CLOCK.now())


def test_a_group_with_a_cost_that_nobody_knows_has_no_share(engine: Engine) -> None:
    engine.record(model="gpt-4o", usage=Usage(input_tokens=1000))
    engine.record(model="nobody-1", usage=Usage(input_tokens=1000))
    found = by(engine, "model")
    assert {line.row.model: line.share for line in found.lines} == {"gpt-4o": Decimal(1), "nobody-1": None}
    assert found.total.share is None


def test_a_line_has_its_share_the_mean_cost_of_a_call_and_output_for_input(engine: Engine) -> None:
    # gpt-4o: $2.50 and $10 for a million: 0.0035, 0.0025, and 0.001 of another agent.
    engine.record(model="gpt-4o", usage=Usage(input_tokens=1000, output_tokens=100), agent_id="a")
    engine.record(model="gpt-4o", usage=Usage(input_tokens=1000), agent_id="a")
    engine.record(model="gpt-4o", usage=Usage(input_tokens=400), agent_id="b")
    found = by(engine, "agent_id")
    assert [
        (line.row.agent_id, line.row.cost_usd, line.share, line.cost_per_call_usd, line.efficiency)
        for line in found.lines
    ] == [
        ("a", Decimal("0.006"), Decimal("0.857143"), Decimal("0.003"), Decimal("0.050000")),
        ("b", Decimal("0.001"), Decimal("0.142857"), Decimal("0.001"), None),
    ]
    assert (found.total.share, found.total.cost_per_call_usd) == (Decimal(1), Decimal("0.002333333333"))


def test_what_a_call_costs_is_unknown_where_one_has_no_price(engine: Engine) -> None:
    engine.record(model="gpt-4o", usage=Usage(input_tokens=1000))
    engine.record(model="my-own", usage=Usage(input_tokens=1000))
    assert by(engine).total.cost_per_call_usd is None


def test_an_empty_ledger_has_a_report_without_any_division(engine: Engine) -> None:
    found = month(engine, "model")
    total = found.total
    assert (found.lines, total.share, total.cost_per_call_usd, total.efficiency) == ((), None, None, None)
    assert found.comparison is not None
    assert (found.comparison.total.change_share, change_text(found.comparison.total)) == (None, "-")


def test_a_tag_is_a_key_beside_others_and_calls_without_it_have_a_row(engine: Engine) -> None:
    for model, tags, usd in (("m", {"team": "x"}, 1), ("m", {"team": "y"}, 2), ("n", {"team": "x"}, 4), ("n", {}, 8)):
        engine.record(model=model, cost_usd=usd, tags=tags)
    found = by(engine, "tag:team", "model")
    assert [(line.row.key["tag:team"], line.row.model, line.row.cost_usd) for line in found.lines] == [
        (None, "n", Decimal(8)),
        ("x", "n", Decimal(4)),
        ("y", "m", Decimal(2)),
        ("x", "m", Decimal(1)),
    ]
    only_x = by(engine, "model", where={"tag:team": "x"})
    assert [(line.row.model, line.row.cost_usd) for line in only_x.lines] == [("n", Decimal(4)), ("m", Decimal(1))]
    assert by(engine, where={"tag:team": None}).total.row.cost_usd == 8
    assert by(engine, where={"tag:team": "x", "model": "m"}).total.row.cost_usd == 1


def test_by_tags_the_figures_are_those_of_the_ledger_s_own_report(engine: Engine, tmp_path: Path) -> None:
    usage = Usage(input_tokens=2000, cache_read_tokens=500, output_tokens=100, reasoning_tokens=40)
    for model in ("gpt-4o", "rocket", "rocket", "sled"):
        engine.record(model=model, usage=usage, tags={"team": model[0]}, notional=model == "gpt-4o")
    rates = {"input_per_mtok": "2", "cache_read_per_mtok": "1", "output_per_mtok": "3"}
    use_prices(engine, tmp_path, {"rocket": {**rates, "reasoning_per_mtok": "3"}, "sled": rates})
    engine.reprice(since="2026-01-01", apply=True)
    tagged, plain = by(engine, "model", "day", "notional", "tag:none"), by(engine, "model", "day", "notional")
    assert plain.total.row == tagged.total.row
    assert [{**line.row.key, "tag:none": None} for line in plain.lines] == [line.row.key for line in tagged.lines]
    assert plain.report.unpriced == tagged.report.unpriced
    assert by(engine, where={"tag:team": "s"}).report.unpriced == plain.report.unpriced
    assert by(engine, where={"tag:team": "r"}).report.unpriced == ()


@pytest.mark.parametrize("keys", [("modle",), ("tag:",), ("tag:team", "modle"), ("tag:team", "colour")])
def test_a_key_that_is_none_is_refused(engine: Engine, keys: tuple[str, ...]) -> None:
    with pytest.raises(CallInvalid, match="report key: expected one of"):
        by(engine, *keys)


def test_what_caching_saved_is_told_for_each_group_and_adds_up(engine: Engine) -> None:
    # claude-sonnet-4-5 for a million: input $3, cache read $0.30.
    usage = Usage(input_tokens=1000, cache_read_tokens=1000)
    for agent, calls in (("a", 2), ("b", 1)):
        for _ in range(calls):
            engine.record(model="claude-sonnet-4-5", usage=usage, agent_id=agent, tags={"team": "x"})
    engine.record(model="my-own", usage=usage, agent_id="b")
    found = by(engine, "agent_id", with_savings=True)
    savings = {line.row.agent_id: line.saving for line in found.lines if line.saving is not None}
    assert {name: (saving.saved_usd, saving.left_out) for name, saving in savings.items()} == {
        "a": (Decimal("0.0054"), 0),
        "b": (Decimal("0.0027"), 1),
    }
    assert found.total.saving is not None
    assert (found.total.saving.saved_usd, found.total.saving.calls) == (Decimal("0.0081"), 3)
    only_x = by(engine, "model", with_savings=True, where={"tag:team": "x", "agent_id": "a"})
    assert only_x.total.saving is not None
    assert only_x.total.saving.saved_usd == Decimal("0.0054")
    assert by(engine, "agent_id").total.saving is None


def test_a_running_month_is_compared_with_as_long_a_part_of_the_one_before(engine: Engine) -> None:
    for model, at, usd in (
        ("m", "2026-10-10", 4),
        ("m", "2026-10-25", 100),
        ("gone", "2026-10-02", 1),
        ("m", "2026-11-03", 6),
        ("new", "2026-11-20T11:59:59Z", 2),
    ):
        engine.record(model=model, cost_usd=usd, at=at)
    comparison = month(engine, "model").comparison
    assert comparison is not None
    assert (comparison.total.before.cost_usd, comparison.total.now.cost_usd) == (Decimal(5), Decimal(8))
    assert (comparison.total.change_usd, comparison.total.change_share) == (Decimal(3), Decimal("0.6"))
    assert comparison.whole_before.cost_usd == 105
    assert [(row.key["model"], row.change_usd, change_text(row)) for row in comparison.rows] == [
        ("m", Decimal(2), "+50.0 %"),
        ("new", Decimal(2), "new"),
        ("gone", Decimal(-1), "gone"),
    ]


def test_days_and_hours_are_compared_in_total_only(engine: Engine) -> None:
    engine.record(model="m", cost_usd=1, at="2026-10-03")
    engine.record(model="m", cost_usd=3, at="2026-11-03")
    comparison = month(engine, "model", "day").comparison
    assert comparison is not None
    assert (comparison.rows, comparison.total.change_usd) == ((), Decimal(2))


@pytest.mark.parametrize(("before", "now"), [("my-own", "gpt-4o"), ("gpt-4o", "my-own")])
def test_a_change_is_unknown_where_a_call_has_no_price(engine: Engine, before: str, now: str) -> None:
    engine.record(model=before, usage=Usage(input_tokens=1), at="2026-10-03")
    engine.record(model=now, usage=Usage(input_tokens=1), at="2026-11-03")
    comparison = month(engine).comparison
    assert comparison is not None
    assert change_text(comparison.total) == "unknown"


@pytest.mark.parametrize(
    ("now_part", "before_part", "whole", "since", "until", "kind"),
    [
        # A month that runs: 19.5 days of each. A month that is over: both whole, of 31 and 30 days.
        ("1120T12", ("1001T00", "1020T12"), ("1001T00", "1101T00"), "1101T00", "1201T00", "month"),
        ("1101T00", ("0901T00", "1001T00"), ("0901T00", "1001T00"), "1001T00", "1101T00", "month"),
        # Without a calendar's period, as long a time just before.
        ("1120T12", ("1109T00", "1113T12"), ("1109T00", "1116T00"), "1116T00", "1123T00", None),
        ("1112T00", ("1108T00", "1110T00"), ("1108T00", "1110T00"), "1110T00", "1112T00", None),
        ("1120T12", ("1112T12", "1116T12"), ("1112T12", "1116T12"), "1116T12", None, None),
    ],
)
def test_like_is_put_beside_like(  # a table's row
    now_part: str,
    before_part: tuple[str, str],
    whole: tuple[str, str],
    since: str,
    until: str | None,
    kind: PeriodKind | None,
) -> None:
    def at(text: str) -> datetime:
        return instant_from(f"2026-{text[:2]}-{text[2:]}:00:00Z", name="at")

    end = None if until is None else at(until)
    found = compared_stretches(at(since), end, now=CLOCK.now(), kind=kind, timezone="UTC")
    assert found is not None
    assert (found.now, found.before, found.whole_before) == (
        (at(since), at(now_part)),
        (at(before_part[0]), at(before_part[1])),
        (at(whole[0]), at(whole[1])),
    )


def test_a_month_longer_than_the_one_before_is_compared_with_all_of_it() -> None:
    now = instant_from("2026-03-31T12:00:00Z", name="now")
    march = period_at("month", now)
    found = compared_stretches(march.start, march.end, now=now, kind="month", timezone="UTC")
    assert found is not None
    assert found.before == found.whole_before


@pytest.mark.parametrize(
    ("since", "kind"),
    [(None, None), (None, "total"), ("2026-12-01", "month"), ("1970-01-01", "month"), ("1970-01-01", None)],
)
def test_without_a_beginning_or_before_it_nothing_is_compared(since: str | None, kind: PeriodKind | None) -> None:
    start = None if since is None else instant_from(since, name="since")
    assert compared_stretches(start, None, now=CLOCK.now(), kind=kind, timezone="UTC") is None


@pytest.mark.parametrize("until", ["8998-01-01", "2090-01-01"])
def test_an_interval_longer_than_all_the_time_before_it_is_compared_with_nothing(until: str, engine: Engine) -> None:
    engine.record(model="m", cost_usd=1)
    ends = [instant_from(text, name="end") for text in ("2026-11-20", until)]
    found = break_down(engine, Wanted(since=ends[0], until=ends[1]), now=CLOCK.now())
    assert (found.comparison, found.total.row.cost_usd) == (None, Decimal(1))


def test_what_is_booked_ahead_of_its_time_is_in_the_report_and_not_in_the_comparison(engine: Engine) -> None:
    for at, usd in (("2026-10-03", 1), ("2026-11-03", 3), ("2026-11-25", 50)):
        engine.record(model="m", cost_usd=usd, at=at)
    found = month(engine, "model")
    assert found.comparison is not None
    assert (found.total.row.cost_usd, found.comparison.total.now.cost_usd) == (Decimal(53), Decimal(3))
    assert [(row.now.cost_usd, row.before.cost_usd) for row in found.comparison.rows] == [(Decimal(3), Decimal(1))]


def test_the_picture_of_a_report_is_drawn_again_as_the_docs_show_it(tmp_path: Path) -> None:
    picture = tmp_path / "report.svg"
    command = [sys.executable, "-m", "scripts.capture_report", "--output", str(picture)]
    environment = {**os.environ, "HOME": str(tmp_path)}
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT, env=environment)
    drawn = picture.read_text(encoding="utf-8")
    assert drawn == (ROOT / "docs" / "report.svg").read_text(encoding="utf-8"), "run python -m scripts.capture_report"
    assert "@font-face" not in drawn
