"""A report is the sum of its entries: any interval, grouping, filter and zone, to the pico-dollar."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokencalc import Budget, Engine, Usage
from tokencalc.clock import ManualClock
from tokencalc.config import Settings
from tokencalc.errors import LedgerCorrupt
from tokencalc.money import usd_from_pico
from tokencalc.periods import PERIOD_KINDS, period_at

if TYPE_CHECKING:
    from pathlib import Path

    from tokencalc.ledger.records import Entry

ZONES = ("UTC", "Europe/Berlin", "America/Sao_Paulo", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns")
KEYS = ("provider", "model", "agent_id", "user_id", "project", "operation", "notional", "day", "hour")
START = datetime(2026, 10, 24, 22, tzinfo=UTC)
SPAN_US = 36 * 3600 * 1_000_000

# Around the end of summer time in Europe, to the microsecond, with whole quarter-hours and equal instants among them.
instants = st.one_of(
    st.integers(0, SPAN_US),
    st.integers(0, SPAN_US // 900_000_000).map(lambda quarter: quarter * 900_000_000),
    st.sampled_from([1, 700_000_001, 899_999_999, 900_000_001, 1_500_000_000]),
).map(lambda micros: START + timedelta(microseconds=micros))
names = st.sampled_from([None, "a", "b"])
calls = st.fixed_dictionaries(
    {
        "at": instants,
        "model": st.sampled_from(["acme-1", "acme-2", "gpt-4o"]),
        "agent_id": names,
        "user_id": names,
        "project": names,
        "operation": names,
        "notional": st.booleans(),
        "usage": st.builds(
            lambda read, fresh, out, reasoning: Usage(
                input_tokens=read + fresh,
                cache_read_tokens=read,
                output_tokens=out + reasoning,
                reasoning_tokens=reasoning,
            ),
            *[st.integers(0, 5_000)] * 4,
        ),
        "cost_usd": st.one_of(st.none(), st.integers(0, 2**63 - 1).map(usd_from_pico)),
    }
)


def expected_rows(entries: list[Entry], keys: tuple[str, ...], zone: str) -> dict[tuple[object, ...], list[int]]:
    """Sum entries one by one, as a person would."""
    rows: defaultdict[tuple[object, ...], list[int]] = defaultdict(lambda: [0] * 8)
    for entry in entries:
        local = entry.at.astimezone(ZoneInfo(zone))
        said = {"day": local.strftime("%Y-%m-%d"), "hour": local.strftime("%Y-%m-%dT%H:00%z")}
        group = tuple(said[key] if key in said else getattr(entry, key) for key in keys)
        usage = entry.usage or Usage()
        for index, figure in enumerate(
            (
                int(entry.kind == "charge"),
                int(entry.amount_usd is None),
                entry.amount_pico or 0,
                usage.input_tokens,
                usage.cache_read_tokens,
                usage.cache_write_tokens,
                usage.output_tokens,
                usage.reasoning_tokens,
            )
        ):
            rows[group][index] += figure
    return dict(rows)


@settings(max_examples=60)
@given(
    booked=st.lists(calls, max_size=25),
    keys=st.lists(st.sampled_from(KEYS), unique=True, max_size=4).map(tuple),
    zone=st.sampled_from(ZONES),
    since=st.none() | instants,
    until=st.none() | instants,
    where=st.dictionaries(
        st.sampled_from(["agent_id", "user_id", "model", "notional"]), st.sampled_from(["a", None]), max_size=2
    ),
)
def test_a_report_equals_the_sum_of_its_entries(
    booked: list[dict[str, Any]],
    keys: tuple[str, ...],
    zone: str,
    since: datetime | None,
    until: datetime | None,
    where: dict[str, str | None],
) -> None:
    with Engine.open(":memory:", clock=ManualClock(), settings=Settings()) as engine:
        half = len(booked) // 2
        for call in booked[:half]:
            engine.record(**call)
        engine.record_many(booked[half:])
        report = engine.report(group_by=keys, since=since, until=until, where=where, timezone=zone)
        entries = [
            entry
            for entry in engine.entries(since=since, until=until)
            if all((getattr(entry, key) or None) == value for key, value in where.items())
        ]
        assert engine.verify().problems == ()
    found = {
        tuple(row.key[key] for key in keys): [
            row.calls, row.unpriced_calls, row.cost_pico, row.input_tokens, row.cache_read_tokens,
            row.cache_write_tokens, row.output_tokens, row.reasoning_tokens,
        ]
        for row in report.rows
    }  # fmt: skip
    assert expected_rows(entries, keys, zone) == found
    assert sum(entry.amount_pico or 0 for entry in entries) == report.total.cost_pico
    assert list(report.rows) == sorted(report.rows, key=lambda row: -row.cost_pico)


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        (None, None, 4),
        ("10:07:00", "10:14:59.999999", 1),
        ("10:07:00.000001", "10:15:00", 1),
        ("10:06:59.999999", "10:07:00", 0),
        ("10:07:00", "10:15:00", 2),
        ("10:07:00", "10:15:00.000001", 3),
        ("10:15:00", "10:15:00.000001", 1),
        ("10:00:00", "10:31:00", 4),
        ("10:15:00.000001", None, 1),
        (None, "10:15:00", 2),
        ("10:30:00", "10:30:00", 0),
        ("10:31:00", "10:00:00", 0),
    ],
)
def test_a_report_includes_its_first_instant_and_excludes_its_last(
    since: str | None, until: str | None, expected: int
) -> None:
    day = "2026-11-20T"
    with Engine.open(":memory:", clock=ManualClock(), settings=Settings()) as engine:
        for at in ("10:07:00", "10:14:59.999999", "10:15:00", "10:30:00"):
            engine.record(model="acme-1", cost_usd=1, at=f"{day}{at}Z")
        found = engine.report(since=since and f"{day}{since}Z", until=until and f"{day}{until}Z").total
        assert (expected, Decimal(expected)) == (found.calls, found.cost_usd)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("kind", [kind for kind in PERIOD_KINDS if kind != "run"])
@pytest.mark.parametrize("year_day", [(2026, 3, 28), (2026, 4, 4), (2026, 10, 3), (2026, 10, 24), (2017, 10, 14)])
def test_a_budget_counts_what_its_period_holds_around_a_change_of_the_clock(
    zone: str, kind: str, year_day: tuple[int, int, int]
) -> None:
    first = datetime(*year_day, 10, 7, tzinfo=UTC)
    calls_made = [first + timedelta(minutes=29 * number) for number in range(100)]
    clock = ManualClock(first + timedelta(hours=20))
    budget = Budget(name="b", limit_usd=1000, period=kind, timezone=zone)  # type: ignore[arg-type]  # one of the kinds
    with Engine.open(":memory:", clock=clock, settings=Settings()) as engine:
        engine.record_many({"model": "acme-1", "cost_usd": 1, "at": at} for at in calls_made[::2])
        engine.set_budget(budget)
        engine.record_many({"model": "acme-1", "cost_usd": 1, "at": at} for at in calls_made[1::2])
        spans = {period_at(budget.period, at, timezone=zone).key: at for at in calls_made}
        for key, at in spans.items():
            status = engine.budget_status("b", at=at)
            assert status.period.key == key
            assert sum(status.period.contains(one) for one in calls_made) == status.spent_usd
        assert engine.verify().problems == ()
    ends = sorted({period_at(budget.period, at, timezone=zone).end or at for at in calls_made})
    assert kind == "total" or len(ends) == len(spans)


@settings(max_examples=30)
@given(st.lists(calls, max_size=12), st.lists(st.sampled_from(KEYS), unique=True, max_size=4), st.data())
def test_a_report_by_fewer_keys_is_that_of_the_ledger(
    drawn: list[dict[str, Any]], keys: list[str], data: st.DataObject
) -> None:
    fewer = data.draw(st.lists(st.sampled_from(keys), unique=True)) if keys else []
    with Engine.open(":memory:", clock=ManualClock(START + timedelta(days=30))) as engine:
        engine.record_many(drawn)
        assert engine.report(group_by=keys).by(fewer) == engine.report(group_by=fewer)


@pytest.mark.parametrize("keys", [(), ("model",), ("day",)])
def test_a_sum_without_its_dimension_is_found_out_and_not_left_out(keys: tuple[str, ...], tmp_path: Path) -> None:
    with Engine.open(tmp_path / "usage.db", clock=ManualClock(START)) as engine:
        engine.record(model="gpt-4o", usage=Usage(input_tokens=10))
        engine.record(model="gpt-4.1", usage=Usage(input_tokens=10))
    with closing(sqlite3.connect(tmp_path / "usage.db")) as connection, connection:
        connection.execute("DELETE FROM dimension WHERE model = 'gpt-4o'")
    with Engine.open(tmp_path / "usage.db") as engine, pytest.raises(LedgerCorrupt, match="cannot be read"):
        engine.report(group_by=keys, where={"model": "gpt-4.1"})
