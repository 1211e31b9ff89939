"""The names that other people's code may use; taking one away, or adding one, is a decision and is made here."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import tokencalc

NAMES = [
    "Alerts",
    "AsyncEngine",
    "BreakerOpen",
    "Budget",
    "BudgetExceeded",
    "BudgetStatus",
    "Cost",
    "CostLine",
    "Engine",
    "Entry",
    "Estimate",
    "Hold",
    "InvalidInput",
    "LedgerError",
    "Meter",
    "MetersUnpriced",
    "Monitor",
    "PriceUnknown",
    "PromptAdvice",
    "Refused",
    "Throttled",
    "TokenCalculatorTool",
    "TokenCount",
    "TokencalcError",
    "Usage",
    "attribution",
    "count",
    "guard",
    "read_usage",
    "to_json",
    "track",
    "wrap",
]


def test_the_exported_names_are_these() -> None:
    assert sorted(tokencalc.__all__) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_an_exported_name_is_there(name: str) -> None:
    assert getattr(tokencalc, name) is not None
    assert name in dir(tokencalc)


def test_an_unknown_name_is_an_attribute_error_as_everywhere() -> None:
    missing = "Engin"
    with pytest.raises(AttributeError, match="no attribute 'Engin'"):
        getattr(tokencalc, missing)


def test_attribution_is_the_function_whatever_was_imported_before() -> None:
    # Importing a submodule sets it on its package: a module of this name would hide the function.
    code = "import tokencalc, tokencalc.context, tokencalc.engine; assert tokencalc.attribution(agent_id='a')"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", NAMES)
def test_an_exported_name_is_documented(name: str) -> None:
    assert inspect.getdoc(getattr(tokencalc, name))
