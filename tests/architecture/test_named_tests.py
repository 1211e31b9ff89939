"""The pages that answer with tests: each case is there once, each property is used, each test exists."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import pytest

from tests.architecture.imports import ROOT

if TYPE_CHECKING:
    from pathlib import Path

FAILURES = ROOT / "docs" / "known_failures.md"
CASES = {FAILURES: range(1, 107)}
"""59 cases of budgets and ledger, then 47 of limits and clients."""
PAGES = [*CASES, ROOT / "docs" / "rules.md"]
COLUMNS = 4
LONGEST_LINE = 140


def rows(page: str) -> list[list[str]]:
    """Return the cells of every row of a case."""
    lines = re.findall(r"^\| *\d+ *\|.*\|$", page, re.MULTILINE)
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def properties(page: str) -> dict[str, list[str]]:
    """Return the tests that each heading of the third level names."""
    found: dict[str, list[str]] = {}
    for part in re.split(r"^### ", page, flags=re.MULTILINE)[1:]:
        heading, _, text = part.partition("\n")
        found[heading] = re.findall(r"^- (\S+)$", text.split("\n## ")[0], re.MULTILINE)
    return found


def is_there(test: str) -> bool:
    """Whether a file of tests has a function of that name."""
    path, _, name = test.partition("::")
    file = ROOT / path
    if not path.startswith("tests/") or not file.is_file():
        return False
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return name.startswith("test_") and any(
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name for node in tree.body
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_that_a_page_names_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = [test for tests in properties(text).values() for test in tests]
    assert [test for test in named if not is_there(test)] == [], "was it renamed? then rename it here too"
    assert len(named) == len(re.findall(r"::test_", text)), "a test is named on a line of its own: - path::name"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_rule_or_property_names_a_test_and_lines_are_short(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    tested = {name for name, tests in properties(text).items() if tests}
    groups = {name for name in properties(text) if not re.match(r"P\d+: ", name)} if page in CASES else set()
    assert set(properties(text)) - tested - groups == set()
    assert [line for line in text.splitlines() if len(line) > LONGEST_LINE] == []


@pytest.mark.parametrize("page", CASES, ids=lambda page: page.name)
def test_every_case_is_there_once_with_a_property_or_a_reason(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    found = rows(text)
    assert [int(row[0]) for row in found] == list(CASES[page])
    assert [row for row in found if len(row) != COLUMNS or not all(row)] == []
    known = {name.partition(":")[0] for name in properties(text) if re.match(r"P\d+: ", name)}
    answers = [row[3] for row in found]
    unanswered = [one for one in answers if not re.fullmatch(r"P\d+(, P\d+)*", one) and not one.startswith("cannot: ")]
    assert unanswered == []
    used = {name for one in answers for name in re.findall(r"P\d+", one)}
    assert used == known, "a property that answers no case, or a case whose property is missing"


@pytest.mark.parametrize(
    ("expected", "test"),
    [
        (True, "tests/architecture/test_named_tests.py::test_the_reader_of_names_sees_what_is_missing"),
        (False, "tests/architecture/test_named_tests.py::test_nothing_of_this_name"),
        (False, "tests/architecture/test_named_tests.py::is_there"),
        (False, "tests/architecture/no_such_file.py::test_x"),
        (False, "README.md::test_x"),
    ],
)
def test_the_reader_of_names_sees_what_is_missing(test: str, *, expected: bool) -> None:
    assert expected is is_there(test)
