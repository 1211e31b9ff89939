"""What the gate prints: annotations as GitHub's runner reads them, and text that fits into 80 columns."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tokencalc.clock import instant_from
from tokencalc.gate.annotations import verdict_annotations
from tokencalc.gate.expressions import cap_from
from tokencalc.gate.judging import Check, Demands, Verdict, judged
from tokencalc.gate.run import CallKind, Calls, Run
from tokencalc.gate.text import verdict_text
from tokencalc.gate.words import cells, folded, log_text, middle_cut, percent_change
from tokencalc.pricing.catalog import Catalog

CATALOG = Catalog.packaged()
AT = instant_from("2026-11-20T12:00:00Z", name="at")
USAGE = '{"q":{"input":1000,"output":100}}'
HOSTILE = st.one_of(
    st.text(min_size=1, max_size=60),
    st.sampled_from(
        [
            "100 %",
            "%0A::error::x",
            "%250A::error::x",
            "a%3Ab%2Cc%25",
            "::error::x",
            "a b ::stop-commands::x",
            "##[error]x",
            "two\r\nlines,and:more",
            "名前" * 60,
            "x" * 10_000,
            "tests/unit/test_a.py::test_b[1-2]",
        ]
    ),
)


def run_of_names(*names: str) -> Run:
    """Return a run of one call for each name."""
    calls = tuple(Calls(CallKind(name, "gpt-4o", "openai", usage=USAGE), 1, 3_500_000_000, 0) for name in names)
    return Run(by="test", made_at=AT, prices_checked_on=CATALOG.checked_on, calls=calls)


def verdict_of(*names: str) -> Verdict:
    """Judge such a run by a budget for each name."""
    demands = Demands(caps=tuple(cap_from(f"{name}=0.001") for name in names))
    return judged(run_of_names(*names), CATALOG, AT, demands)


def read_back(line: str) -> tuple[str, dict[str, str], str]:
    """Read a workflow command as GitHub's runner does: command, properties and text, un-escaped in its order."""
    assert line.lstrip().startswith("::"), line
    head, _, data = line.lstrip()[2:].partition("::")
    command, _, said = head.partition(" ")
    properties = dict(pair.split("=", 1) for pair in said.split(",") if "=" in pair)
    marks = (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%"))

    def unescaped(text: str, *, is_property: bool) -> str:
        for escape, mark in marks:
            if is_property or mark not in ":,":
                text = text.replace(escape, mark)
        return text

    return (
        command,
        {key: unescaped(value, is_property=True) for key, value in properties.items()},
        unescaped(data, is_property=False),
    )


def annotated(check: Check) -> tuple[str, dict[str, str], str]:
    """Return what the runner should understand of a check that failed."""
    return "error", {"title": log_text(f"tokencalc: {check.what}")}, log_text(check.text, longest=1000)


@given(HOSTILE)
def test_an_annotation_says_after_the_runners_reading_what_the_check_says(name: str) -> None:
    verdict = verdict_of(name)
    lines = verdict_annotations(verdict).splitlines()
    assert [read_back(line) for line in lines] == [annotated(check) for check in verdict.failed]
    assert not any(re.search("[\r\n]", part) for line in lines for part in read_back(line)[2:])


def test_ten_annotations_of_a_level_are_all_that_github_shows() -> None:
    assert len(verdict_annotations(verdict_of(*(f"test {number}" for number in range(12)))).splitlines()) == 10


# 80 columns


@given(st.lists(HOSTILE, min_size=1, max_size=4, unique=True), st.booleans())
def test_every_line_fits_and_none_is_a_command(names: list[str], is_compared: bool) -> None:  # noqa: FBT001
    verdict = verdict_of(*names)
    if is_compared:
        from tokencalc.gate.baseline import Baseline  # noqa: PLC0415

        verdict = judged(run_of_names(*names), CATALOG, AT, Demands(), Baseline(place="b", run=run_of_names("b")))
    lines = verdict_text(verdict).splitlines()
    assert [line for line in lines if cells(line) > 80] == []
    assert not any(line.lstrip().startswith("::") or "##[" in line for line in lines)


@given(st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), max_size=200) | st.text("a :", max_size=99))
def test_folding_loses_nothing_but_spaces(text: str) -> None:
    lines = list(folded(log_text(text, longest=1000), 20))
    said = log_text(text, longest=1000)
    joined = "".join(lines).replace(" ", "").replace("\\x3a", ":")
    assert joined == said.replace(" ", "").replace("\\x3a", ":")
    assert all(cells(line) <= 20 for line in lines)


@given(st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z", "M")), max_size=99), st.integers(8, 60))
def test_a_long_name_keeps_both_ends(name: str, width: int) -> None:
    short = middle_cut(name, width)
    assert cells(short) <= width
    head, dots, tail = short.partition("...") if short != name else (name, "", "")
    assert name.startswith(head)
    assert name.endswith(tail)
    assert bool(dots) == (short != name)


@pytest.mark.parametrize("text", ["plain", "名前", "e\u0301", "\uff21"])
def test_columns_are_those_of_the_screen(text: str) -> None:
    assert cells(text) == cell_len(text)


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        (["x" * 20, "x" * 5], "x" * 25),
        (["one two", "x" * 19], f"one two {'x' * 19}"),
        (["名" * 10, "前"], "名" * 10 + "前"),
        (["a " * 9 + "aa"], "a " * 9 + "aa"),
    ],
)
def test_a_line_is_filled_and_cut_at_a_space_where_there_is_one(expected: list[str], text: str) -> None:
    assert list(folded(text, 20)) == expected


@pytest.mark.parametrize(
    ("expected", "base", "run"),
    [("+0.0 %", 0, 0), ("-", 0, 1), ("+8.4 %", 1000, 1084), ("-100.0 %", 7, 0), ("+0.2 %", 2000, 2005)],
)
def test_a_percentage_is_rounded_half_to_even_and_none_of_nothing(expected: str, base: int, run: int) -> None:
    assert percent_change(base, run) == expected


def test_the_end_of_a_tests_name_shows_and_no_column_is_empty() -> None:
    name = f"tests/unit/test_something_with_a_long_name.py::test_{'flaky_' * 12}one (rerun 2)"
    lines = verdict_text(judged(run_of_names(name), CATALOG, AT, Demands())).splitlines()
    assert lines[-1].endswith("one (rerun 2)")
    assert "change" not in lines[-2]
    assert len(lines[-1]) == 80
