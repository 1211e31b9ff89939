"""Every format is parsed back: rows add up to the ledger to the last digit, and no name does any harm."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from tokencalc.cli.main import main
from tokencalc.cli.report_screen import show_breakdown
from tokencalc.clock import ManualClock
from tokencalc.context import label_from
from tokencalc.engine import Engine
from tokencalc.errors import CallInvalid
from tokencalc.ledger.report import Report, ReportRow
from tokencalc.ledger.unpriced import Unpriced
from tokencalc.money import dollars_text, usd_from_pico
from tokencalc.periods import period_at
from tokencalc.reports.advice import Advice, Advised
from tokencalc.reports.before import Change, Compared, Comparison, Stretch
from tokencalc.reports.breakdown import Breakdown, Line, Wanted, break_down
from tokencalc.reports.exports import (
    ROW_SCHEMA,
    ROWS_SCHEMA,
    breakdown_csv,
    breakdown_json,
    breakdown_jsonl,
    breakdown_markdown,
)
from tokencalc.reports.outlook import Outlook, look_ahead
from tokencalc.reports.text import csv_cell, printable
from tokencalc.usage import Usage

if TYPE_CHECKING:
    from tokencalc.ledger.records import Entry

CLOCK = ManualClock("2026-11-20T12:00:00Z")
COUNTS = ("calls", "unpriced_calls", "input_tokens", "output_tokens", "cache_read_tokens", "reasoning_tokens")
EVIL = (
    "=1+1",
    '=HYPERLINK("http://evil.example","x")',
    "+49",
    "-2+3",
    "@SUM(A1)",
    "'=1",
    " =1",
    "|calc",
    "\uff1d1",
    'a,b;c"d',
    "[red]x[/red]",
    "[link=http://evil.example]x[/link]",
    "<script>alert(1)</script>",
    "![x](http://evil.example)",
    "a|b`c",
    "::error::x",
    "x::Error file=a::x",
    "##[error]x",
    "\x1b[31mred\x1b[0m",
    "two\nlines\r\t",
    "\u202egnirts",
    "x" * 10_240,
    "名前",
)  # fmt: skip


def is_taken(name: str) -> bool:
    """Whether the engine takes a name; it refuses control characters and long texts."""
    try:
        label_from(name, name="name")
    except CallInvalid:
        return False
    return True


names = st.one_of(
    st.none(),
    st.sampled_from([name for name in EVIL if is_taken(name)]),
    st.text(min_size=1, max_size=8).filter(is_taken),
)
KEYS = ("provider", "model", "agent_id", "operation", "project", "notional", "day", "hour", "tag:team")
calls = st.lists(
    st.fixed_dictionaries(
        {
            "model": st.sampled_from(["gpt-4o", "claude-sonnet-4-5", "my-own", "=my+own"]),
            "agent_id": names,
            "operation": names,
            "team": names,
            "notional": st.booleans(),
            "at": st.sampled_from(["2026-10-05T03:00:00Z", "2026-11-03T07:00:00Z", "2026-11-19T23:59:59Z"]),
            "cost_usd": st.one_of(st.none(), st.integers(0, 10**15).map(usd_from_pico)),
            "usage": st.builds(
                lambda read, fresh, out: Usage(input_tokens=read + fresh, cache_read_tokens=read, output_tokens=out),
                *[st.integers(0, 10**6)] * 3,
            ),
        }
    ),
    max_size=10,
)


def book(engine: Engine, drawn: list[dict[str, Any]]) -> None:
    for number, call in enumerate(drawn):
        team = call.pop("team")
        said = {key: value for key, value in call.items() if value is not None}
        tags = {} if team is None else {"team": team}
        engine.record(**said, tags=tags, idempotency_key=f"call-{number}")


def asked(engine: Engine, keys: tuple[str, ...]) -> tuple[Breakdown, Outlook | None]:
    period = period_at("month", CLOCK.now())
    wanted = Wanted(group_by=keys, until=period.end)
    found = break_down(engine, wanted, now=CLOCK.now(), with_savings=True)
    return found, look_ahead(engine, found, now=CLOCK.now())


def counted(entry: Entry) -> tuple[int, ...]:
    return (1, entry.unpriced_calls, *(getattr(entry.usage, name) for name in COUNTS[2:]))


def sums(rows: list[dict[str, Any]]) -> list[Decimal]:
    return [sum((Decimal(row[name]) for row in rows), Decimal(0)) for name in ("cost_usd", *COUNTS)]


@settings(max_examples=25)
@given(calls, st.lists(st.sampled_from(KEYS), unique=True, max_size=3).map(tuple))
def test_every_machine_format_adds_up_to_the_ledger(drawn: list[dict[str, Any]], keys: tuple[str, ...]) -> None:
    with Engine.open(":memory:", clock=CLOCK) as engine:
        book(engine, drawn)
        entries = [entry for entry in engine.entries() if entry.kind == "charge"]
        found, outlook = asked(engine, keys)
    counts = [sum(figures) for figures in zip(*map(counted, entries), strict=True)] or [0] * len(COUNTS)
    booked = [sum((entry.counted_usd for entry in entries), Decimal(0)), *map(Decimal, counts)]
    document = json.loads(breakdown_json(found, outlook))
    assert document["schema"] == ROWS_SCHEMA
    assert booked == sums(document["rows"])
    assert booked == sums([document["total"]])
    lines = [json.loads(line) for line in breakdown_jsonl(found).splitlines()]
    assert booked == sums(lines)
    assert {line["schema"] for line in lines} <= {ROW_SCHEMA}
    table = list(csv.DictReader(io.StringIO(breakdown_csv(found))))
    assert booked == sums(table)
    assert [[row[key] for key in keys] for row in table] == [
        [csv_cell({True: "True", False: "False"}.get(row[key], row[key])) for key in keys] for row in lines
    ]
    markdown = breakdown_markdown(found, outlook)
    if not found.report.unpriced_calls:
        total = next(line for line in markdown.splitlines()[2:] if line.startswith("| **Total**") or not keys)
        assert f"| {dollars_text(booked[0])} |" in total
    for text in (breakdown_json(found, outlook), breakdown_jsonl(found), breakdown_csv(found), markdown):
        assert all(char.isprintable() or char == "\n" for char in text)


@settings(max_examples=30)
@given(calls)
def test_shares_add_up_to_one_within_their_rounding(drawn: list[dict[str, Any]]) -> None:
    with Engine.open(":memory:", clock=CLOCK) as engine:
        book(engine, drawn)
        found, _ = asked(engine, ("agent_id", "model"))
    whole = found.total.row.cost_usd
    shares = [line.share for line in found.lines if line.share is not None]
    open_usd = sum((line.row.cost_usd for line in found.lines if line.row.unpriced_calls), Decimal(0))
    assert [line.share is None for line in found.lines] == [
        bool(line.row.unpriced_calls) or not whole for line in found.lines
    ]
    assert not whole or abs(sum(shares) + open_usd / whole - 1) <= Decimal("0.000001") * len(found.lines)


@pytest.mark.parametrize("name", EVIL)
def test_a_cell_is_no_formula_and_its_quote_comes_off(name: str) -> None:
    cell = csv_cell(name)
    assert cell.lstrip()[:1] not in tuple("=+-@|%\uff1d\uff0b\uff0d\uff20")
    assert printable(name) == cell.removeprefix("'")


def named(name: str) -> tuple[Breakdown, Advised]:
    """A report and an advice on one row of that name: the engine refuses some of them, a damaged file does not."""
    row = ReportRow(key={"agent_id": name, f"tag:{name}": name}, calls=2, unpriced_calls=1, cost_pico=5)
    reason = Unpriced(provider=None, model=name, meters=(), reason=name, calls=1)
    report = Report(
        group_by=("agent_id", f"tag:{name}"),
        rows=(row,),
        total=ReportRow(calls=2, unpriced_calls=1, cost_pico=5),
        since=None,
        until=None,
        timezone="UTC",
        unpriced=(reason,),
    )
    change = Change(key=dict(row.key), now=ReportRow(), before=replace(row, unpriced_calls=0))
    stretch = Stretch(CLOCK.now(), CLOCK.now())
    found = Breakdown(
        made_at=CLOCK.now(),
        wanted=Wanted(group_by=report.group_by),
        report=report,
        lines=(Line(row=row, share=Decimal(1)),),
        total=Line(row=report.total, share=Decimal(1)),
        notional_usd=Decimal(0),
        notional_calls=0,
        comparison=Comparison(
            stretches=Compared(stretch, stretch, stretch), total=change, rows=(change,), whole_before=row
        ),
    )
    advice = Advice(
        kind="batch",
        key={"model": name, "operation": name},
        calls=1,
        cost_usd=Decimal(2),
        after_usd=Decimal(1),
        says=f"take {name}",
        provided=name,
        values={"to_model": name},
    )
    return found, Advised(advice=(advice,), calls=1, left_out=0, is_cut=False)


@pytest.mark.parametrize("name", EVIL)
def test_a_name_is_harmless_in_every_form(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    found, advised = named(name)
    show_breakdown(found, None, advised)
    lines = capsys.readouterr().out.splitlines()
    assert all(cell_len(line) <= 80 for line in lines), lines
    markdown = breakdown_markdown(found, None, advised)
    for text in (markdown, breakdown_csv(found), breakdown_json(found, None, advised), breakdown_jsonl(found)):
        assert all(char.isprintable() or char == "\n" for char in text)
    shown = (*lines, *markdown.splitlines(), *breakdown_csv(found).splitlines())
    assert not any("::error" in line or "##[" in line for line in shown)
    # A runner reads ##[...] wherever it stands, and ::...:: where a line begins.
    machine = (*breakdown_json(found, None, advised).splitlines(), *breakdown_jsonl(found).splitlines())
    assert not any("##[" in line or line.lstrip().startswith("::") for line in machine)
    for line in markdown.splitlines():
        outside = re.sub(r"(`+) ?.*? ?\1", "", line.replace("\\|", ""))
        assert not any(mark in outside for mark in ("<script>", "](http:", "http://evil.example"))
    (row,) = csv.DictReader(io.StringIO(breakdown_csv(found)))
    assert row["agent_id"] == csv_cell(name)
    assert json.loads(breakdown_jsonl(found))["agent_id"] == name


@pytest.mark.parametrize("form", ["--json", "--jsonl", "--csv", "--markdown"])
def test_a_ledger_without_a_call_and_one_with_a_single_call_come_out_in_every_form(form: str, tmp_path: Any) -> None:
    path = str(tmp_path / "usage.db")
    for calls_booked in (0, 1):
        with Engine.open(path) as engine:
            if calls_booked:
                engine.record(model="gpt-4o", usage=Usage(input_tokens=1000))
        for options in (("--by", "model"), ("--by", "tag:team", "--advice"), ("--by", "day", "--period", "month")):
            done = CliRunner().invoke(main, ["report", "--ledger", path, form, *options])
            assert done.exit_code == 0, done.output
            assert ("0.0025" in done.stdout) is bool(calls_booked)
