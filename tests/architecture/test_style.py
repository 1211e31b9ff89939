"""The house's measurable rules, each with what to do about a finding; CONTRIBUTING.md gives the reasons."""

from __future__ import annotations

import ast
import re
import statistics
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.architecture.imports import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MONEY_ROOMS = (
    "tokencalc/money.py",
    "tokencalc/cost.py",
    "tokencalc/pricing/",
    "tokencalc/ledger/",
    "tokencalc/budgets/",
)
TIME_READER = "tokencalc/clock.py"
TIME_CALLS = {
    "time",
    "time_ns",
    "monotonic",
    "monotonic_ns",
    "perf_counter",
    "perf_counter_ns",
    "now",
    "utcnow",
    "today",
}
TIME_OWNERS = {"time", "datetime", "date"}
LOCKS = ("poetry.lock", "uv.lock")

Finding = tuple[int, str]


def tracked(*patterns: str) -> list[Path]:
    """Return the repository's tracked files of these patterns; in a copy without git, every file but dot folders."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *patterns],  # noqa: S607  # git by PATH
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    names = listed.stdout.split("\0")[:-1]
    if listed.returncode != 0:
        found = (file for pattern in patterns or ("*",) for file in ROOT.rglob(pattern) if file.is_file())
        names = [str(file.relative_to(ROOT)) for file in found]
    files = (ROOT / name for name in names if not name.startswith((".venv/", ".git/", "build/", "dist/")))
    return sorted(file for file in files if file.is_file())


def relative(file: Path) -> str:
    """Return the path below the root, as text."""
    return file.relative_to(ROOT).as_posix()


def python(*prefixes: str) -> dict[str, ast.Module]:
    """Return the syntax trees of the tracked Python files below the prefixes."""
    return {
        relative(file): ast.parse(file.read_text(encoding="utf-8"))
        for file in tracked("*.py")
        if relative(file).startswith(prefixes)
    }


def findings(rule: Callable[[ast.Module], Iterator[Finding]], trees: dict[str, ast.Module]) -> list[str]:
    """Return where a rule is broken, as file:line what."""
    return [f"{name}:{line} {what}" for name, tree in trees.items() for line, what in rule(tree)]


def float_calls(tree: ast.Module) -> Iterator[Finding]:
    """Find calls of float(...)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "float":
            yield node.lineno, "float(...)"


def time_reads(tree: ast.Module) -> Iterator[Finding]:
    """Find reads of the machine's time: time.time(), datetime.now() and their kin, called or handed on."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in TIME_CALLS:
            owner = node.value.id if isinstance(node.value, ast.Name) else getattr(node.value, "attr", "")
            if owner in TIME_OWNERS:
                yield node.lineno, f"{owner}.{node.attr}"
        elif isinstance(node, ast.ImportFrom) and node.module == "time":
            yield node.lineno, "from time import ..."


def long_functions(tree: ast.Module) -> Iterator[Finding]:
    """Find functions of more than 70 lines, docstring included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (lines := length(node)) > 70:
            yield node.lineno, f"{node.name} has {lines} lines"


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the lines of a function from its def to its end."""
    return (node.end_lineno or node.lineno) - node.lineno + 1


def bulk_catches(tree: ast.Module) -> Iterator[Finding]:
    """Find `except Exception`, `except BaseException` and bare `except`, also inside tuples."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            if any(
                one is None or (isinstance(one, ast.Name) and one.id in {"Exception", "BaseException"})
                for one in caught
            ):
                yield node.lineno, "except ..."


def sleeps(tree: ast.Module) -> Iterator[Finding]:
    """Find time.sleep and asyncio.sleep of more than nothing."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "sleep":
            waits = node.args[0] if node.args else None
            if not (isinstance(waits, ast.Constant) and waits.value == 0):
                yield node.lineno, "sleep(...)"


def silent_skips(tree: ast.Module) -> Iterator[Finding]:
    """Find pytest.skip, mark.skip, skipif and xfail without a reason."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in {"skip", "skipif", "xfail"}:
            call = next((one for one in ast.walk(tree) if isinstance(one, ast.Call) and one.func is node), None)
            named = call is not None and any(word.arg == "reason" for word in call.keywords)
            worded = call is not None and node.attr == "skip" and bool(call.args)
            if not (named or worded):
                yield node.lineno, f"{node.attr} without a reason"


def vague_raises(tree: ast.Module) -> Iterator[Finding]:
    """Find pytest.raises and pytest.warns that do not say which text they expect."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            named = node.func.attr
            if named in {"raises", "warns"} and not any(word.arg == "match" for word in node.keywords):
                yield node.lineno, f"pytest.{named} without match"


def test_no_module_is_longer_than_400_lines() -> None:
    long = {relative(file): len(file.read_text(encoding="utf-8").splitlines()) for file in tracked("tokencalc/*.py")}
    assert {name: lines for name, lines in long.items() if lines > 400} == {}, "split it where its two subjects meet"


def test_no_function_is_longer_than_70_lines() -> None:
    assert findings(long_functions, python("tokencalc/", "scripts/", "benchmarks/")) == []


def test_the_median_function_has_at_most_12_lines() -> None:
    lengths = [
        length(node)
        for tree in python("tokencalc/").values()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert statistics.median(lengths) <= 12


def test_money_is_never_a_float() -> None:
    assert findings(float_calls, python(*MONEY_ROOMS)) == [], (
        "use tokencalc.money; only ratios for people may be floats"
    )


def test_the_time_is_read_in_the_clock_only() -> None:
    trees = {name: tree for name, tree in python("tokencalc/").items() if name != TIME_READER}
    assert findings(time_reads, trees) == [], "take a Clock and ask it"


def test_nothing_is_caught_in_bulk_without_its_reason() -> None:
    unmarked = [
        finding
        for finding in findings(bulk_catches, python("tokencalc/", "scripts/"))
        if "# bulk: " not in line_at(finding)
    ]
    assert unmarked == [], "name the exceptions, or give the reason on that line: # bulk: reason"


def line_at(finding: str) -> str:
    """Return the source line of a finding."""
    name, line = finding.split(" ", maxsplit=1)[0].split(":")
    return (ROOT / name).read_text(encoding="utf-8").splitlines()[int(line) - 1]


def test_no_test_sleeps() -> None:
    assert findings(sleeps, python("tests/")) == [], "move a ManualClock, or wait on an event with a timeout"


def test_no_test_is_skipped_without_a_reason() -> None:
    assert findings(silent_skips, python("tests/")) == []


def test_every_expected_error_matches_its_text() -> None:
    assert findings(vague_raises, python("tests/")) == [], "add match=, so that the right error is met"


@pytest.mark.parametrize(
    ("what", "pattern", "instead"),
    [
        # Each pattern is written so that it does not find itself. The home of "dev" is invented, in sample logs.
        ("unfinished work", r"\b(TO[D]O|FIX[M]E|XX[X]|HA[C]K)\b", "finish it, or open an issue"),
        (
            "a path of one machine",
            r"(?<![\w./~-])/(wor[k]|tm[p]|roo[t]|(home|Users)/(?!dev\b)\w+)/",
            "write a relative path",
        ),
        ("a package registry", r"(\bpypi\.org/simpl[e]|pythonhosted\.or[g]|index-ur[l]|artifactor[y])", "leave it out"),
    ],
)
def test_no_tracked_file_holds(what: str, pattern: str, instead: str) -> None:
    found = [
        f"{relative(file)}:{number} {line.strip()[:80]}"
        for file in tracked()
        if file.suffix in {".py", ".md", ".toml", ".json", ".jsonl", ".yml", ".yaml", ".cfg", ".sh", ""}
        and file.name not in LOCKS
        for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if re.search(pattern, line)
    ]
    assert found == [], f"{what}: {instead}"


@pytest.mark.parametrize(
    ("rule", "source", "expected"),
    [
        (float_calls, "x = float('1')\ny: float = 2.0", [(1, "float(...)")]),
        (time_reads, "time.monotonic()\nclock.now()", [(1, "time.monotonic")]),
        (time_reads, "datetime.datetime.now()\nnow = date.today", [(1, "datetime.now"), (2, "date.today")]),
        (time_reads, "from time import monotonic", [(1, "from time import ...")]),
        (long_functions, "def f():\n" + "    pass\n" * 70, [(1, "f has 71 lines")]),
        (long_functions, "def f():\n" + "    pass\n" * 69, []),
        (bulk_catches, "try: x\nexcept (OSError, Exception): y", [(2, "except ...")]),
        (bulk_catches, "try: x\nexcept: y", [(2, "except ...")]),
        (bulk_catches, "try: x\nexcept OSError: y", []),
        (sleeps, "time.sleep(1)\nasyncio.sleep(0)", [(1, "sleep(...)")]),
        (silent_skips, "pytest.mark.skip", [(1, "skip without a reason")]),
        (silent_skips, "pytest.mark.skipif(x)", [(1, "skipif without a reason")]),
        (silent_skips, "pytest.skip('no git here')\npytest.mark.skipif(x, reason='why')", []),
        (vague_raises, "pytest.raises(OSError)", [(1, "pytest.raises without match")]),
        (vague_raises, "pytest.raises(OSError, match='x')", []),
    ],
)
def test_each_rule_finds_a_planted_fault(
    rule: Callable[[ast.Module], Iterator[Finding]], source: str, expected: list[Finding]
) -> None:
    assert expected == sorted(rule(ast.parse(source)))
