"""What tests of the pytest plugin share: runs of pytest of their own, and what they cost."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tokencalc import Usage
from tokencalc.gate.session import RunSession
from tokencalc.providers.registry import read_usage

if TYPE_CHECKING:
    import pytest

KEPT = (RunSession, Usage, read_usage)
"""pytester forgets what a run has imported; what is imported here stays, and a run takes a third of the time."""

COST = Decimal("0.0035")  # 1000 x $2.50 + 100 x $10, for a million each

WORKER = "PYTEST_XDIST_WORKER"
"""Where a worker of pytest-xdist runs our tests, pytest-benchmark turns itself off in theirs."""

HEAD = """
import pytest
from decimal import Decimal

CALL = {"model": "gpt-4o", "input_tokens": 1000, "output_tokens": 100}
"""


PRODUCT = f"""{HEAD}
import asyncio, pathlib, threading
from tokencalc import AsyncEngine, Engine, guard

ENGINE = Engine.open(":memory:")
ANSWER = {{"model": "gpt-4o", "usage": {{"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}}}}

def ask():
    call = guard(lambda **request: ANSWER, engine=ENGINE, model="gpt-4o", hold_usd="0.01")
    return call(model="gpt-4o", messages=[{{"role": "user", "content": "x"}}], max_tokens=100)
"""


def run(pytester: pytest.Pytester, source: str, *options: str) -> pytest.RunResult:
    """Run pytest over a file."""
    pytester.makepyfile(test_sample=source)
    return pytester.runpytest_inprocess("-q", "-p", "no:cacheprovider", *options)


def run_apart(pytester: pytest.Pytester, source: str, *options: str) -> pytest.RunResult:
    """Run pytest over a file in a process of its own."""
    pytester.makepyfile(test_sample=source)
    return pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider", *options)


def report(pytester: pytest.Pytester, source: str, *options: str) -> Any:
    """Run pytest, and return its JSON report."""
    run(pytester, source, "--tokencalc-report=json:out/run.json", *options)
    return json.loads((pytester.path / "out/run.json").read_text(encoding="utf-8"))


def costs(document: Any) -> dict[str, Decimal]:
    """Return what each test of a report cost, without the file's name."""
    return {row["name"].removeprefix("test_sample.py::"): Decimal(row["cost_usd"]) for row in document["rows"]}
