"""The pytest plugin, in runs of pytest of its own: off unless used, budgets, caps, reports, xdist, benchmarks."""

from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from tests.unit.plugged import COST, HEAD, WORKER, costs, report, run, run_apart

if TYPE_CHECKING:
    from pathlib import Path

pytest_plugins = ["pytester"]

TESTS = f"""{HEAD}
def test_plain():
    pass

@pytest.mark.parametrize("times", [1, 2])
def test_calls(llm_cost, times):
    assert (llm_cost.usd, llm_cost.per_call_usd) == (0, 0)
    for _ in range(times):
        llm_cost.record(**CALL)
    assert (llm_cost.calls, llm_cost.tokens, llm_cost.input_tokens) == (times, 1100 * times, 1000 * times)
    assert llm_cost.usd == times * Decimal("0.0035") == times * llm_cost.per_call_usd
"""


# off unless used


def test_a_run_without_calls_prints_nothing(pytester: pytest.Pytester) -> None:
    result = run(pytester, "def test_plain(): pass")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*LLM cost*")


def test_a_run_that_does_not_use_it_loads_none_of_it(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Others' plugins load what they like: langsmith's, which comes with langchain, pydantic and rich.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    source = """
        import sys
        def test_loaded():
            ours = {name for name in sys.modules if name.startswith("tokencalc")}
            assert ours <= {"tokencalc", "tokencalc.pytest_plugin"}
            assert not {"tiktoken", "pydantic", "rich"} & set(sys.modules)
    """
    run_apart(pytester, source, "-p", "tokencalc.pytest_plugin").assert_outcomes(passed=1)


def test_its_options_are_in_the_help_under_our_own_names(pytester: pytest.Pytester) -> None:
    found = pytester.runpytest_subprocess("--help").stdout.str()
    ours = [line.split()[0].partition("=")[0] for line in found.splitlines() if "--tokencalc" in line]
    assert {"--tokencalc-budget", "--tokencalc-fail", "--tokencalc-report"} <= set(ours)
    assert "--llm-budget" not in found


# what a test cost


def test_each_test_has_its_own_calls_and_its_parameters_are_apart(pytester: pytest.Pytester) -> None:
    assert costs(report(pytester, TESTS)) == {"test_calls[1]": COST, "test_calls[2]": 2 * COST}


def test_the_table_has_the_dearest_test_first(pytester: pytest.Pytester) -> None:
    run(pytester, TESTS).stdout.fnmatch_lines(
        ["*= LLM cost =*", "$0.010500 for 3 calls", "*test_calls?2?", "*test_calls?1?"]
    )


def test_what_fixtures_use_is_theirs_and_not_the_tests(pytester: pytest.Pytester) -> None:
    source = f"""{HEAD}
@pytest.fixture(scope="session")
def warm(llm_cost_engine):
    llm_cost_engine.record(**CALL)
    yield
    llm_cost_engine.record(**CALL)

@pytest.mark.llm_budget(calls=1)
def test_one(warm, llm_cost):
    assert llm_cost.calls == 0
    llm_cost.record(**CALL)
"""
    assert costs(report(pytester, source)) == {"(fixtures)": 2 * COST, "test_one": COST}


def test_a_client_that_was_wrapped_for_the_session_is_counted_for_each_test(pytester: pytest.Pytester) -> None:
    source = f"""{HEAD}
from tokencalc import guard

@pytest.fixture(scope="session")
def ask(llm_cost_engine):
    def answer(**request):
        return {{"model": "gpt-4o", "usage": {{"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}}}}
    return guard(answer, engine=llm_cost_engine, model="gpt-4o", hold_usd="0.01")

@pytest.mark.parametrize("times", [1, 2])
def test_asks(ask, times, llm_cost):
    for _ in range(times):
        ask(model="gpt-4o", messages=[{{"role": "user", "content": "x"}}], max_tokens=100)
    assert llm_cost.calls == times
"""
    assert costs(report(pytester, source)) == {"test_asks[1]": COST, "test_asks[2]": 2 * COST}


def test_a_failed_test_has_cost_what_it_has_cost(pytester: pytest.Pytester) -> None:
    source = f"{HEAD}\ndef test_fails(llm_cost):\n    llm_cost.record(**CALL)\n    assert False\n"
    assert costs(report(pytester, source)) == {"test_fails": COST}


def test_junit_has_properties_of_tests_that_made_calls_only(pytester: pytest.Pytester) -> None:
    run(pytester, TESTS, "--junitxml=junit.xml")
    suite = ET.parse(pytester.path / "junit.xml").getroot()[0]  # noqa: S314  # pytest's own
    found = {
        str(case.get("name")): {
            str(item.get("name")): item.get("value") for item in case.findall("properties/property")
        }
        for case in suite.findall("testcase")
    }
    assert found["test_plain"] == {}
    assert Decimal(found["test_calls[2]"]["llm_cost_usd"] or "") == 2 * COST
    assert found["test_calls[2]"]["llm_tokens_input"] == "2000"


def test_a_cost_that_is_not_known_is_an_error_to_ask_for(pytester: pytest.Pytester) -> None:
    source = """
        import pytest
        from tokencalc import PriceUnknown
        def test_unknown(llm_cost):
            llm_cost.record(model="own-model-7b", input_tokens=1)
            with pytest.raises(PriceUnknown, match="own-model-7b"):
                llm_cost.usd
            assert (llm_cost.priced_usd, llm_cost.tokens) == (0, 1)
    """
    run(pytester, source).assert_outcomes(passed=1)
    assert run(pytester, source, "--tokencalc-strict-prices").ret == 1


def test_the_budgets_of_the_project_refuse_no_test(pytester: pytest.Pytester) -> None:
    (pytester.path / "tokencalc.toml").write_text('[[budgets]]\nname = "none"\nlimit_usd = "0"\n', encoding="utf-8")
    source = """
        def test_reserve(llm_cost):
            llm_cost.engine.release(llm_cost.engine.reserve(model="gpt-4o", input_tokens=1, max_output_tokens=1))
    """
    run(pytester, source).assert_outcomes(passed=1)


# budgets of tests


@pytest.mark.parametrize(
    ("expected", "budget"),
    [
        ({"passed": 1}, 'usd="0.0035"'),
        ({"failed": 1}, 'usd="0.0034"'),
        ({"passed": 1}, "tokens=1100, calls=1"),
        ({"failed": 1}, "tokens=1099"),
        ({"failed": 1}, "calls=0"),
        ({"passed": 1, "warnings": 1}, 'calls=0, on_exceed="warn"'),
        ({"failed": 1}, 'calls=0, on_exceed="stop"'),
        ({"errors": 1}, ""),
        ({"errors": 1}, "1"),
        ({"errors": 1}, 'usd="much"'),
        ({"errors": 1}, "calls=True"),
        ({"errors": 1}, 'calls=1, on_exceed="cry"'),
        ({"errors": 1}, "dollars=1"),
    ],
)
def test_a_mark_holds_a_test_to_its_budget(expected: dict[str, int], budget: str, pytester: pytest.Pytester) -> None:
    source = f"{HEAD}\n@pytest.mark.llm_budget({budget})\ndef test_one(llm_cost):\n    llm_cost.record(**CALL)\n"
    # In our own process every warning is an error, and a warning that is one fails the test.
    runner = run_apart if "warn" in budget else run
    runner(pytester, source).assert_outcomes(**expected)


def test_a_budget_in_dollars_does_not_hold_for_an_unknown_price(pytester: pytest.Pytester) -> None:
    source = f"""{HEAD}
@pytest.mark.llm_budget(usd="1")
def test_unknown(llm_cost):
    llm_cost.record(model="own-model-7b", input_tokens=1)
"""
    result = run(pytester, source)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*nobody knows whether the budget holds*"])


def test_a_mark_that_stops_ends_the_run(pytester: pytest.Pytester) -> None:
    source = f"""{HEAD}
@pytest.mark.llm_budget(calls=0, on_exceed="stop")
def test_one(llm_cost):
    llm_cost.record(**CALL)

def test_two():
    pass
"""
    run(pytester, source).assert_outcomes(failed=1)


def test_an_option_holds_every_test_without_a_mark(pytester: pytest.Pytester) -> None:
    source = f"""{HEAD}
def test_one(llm_cost):
    llm_cost.record(**CALL)

@pytest.mark.llm_budget(usd="1")
def test_two(llm_cost):
    llm_cost.record(**CALL)
"""
    run(pytester, source, "--tokencalc-per-test=0.001").assert_outcomes(passed=1, failed=1)


# the run


MANY = f"{HEAD}\n@pytest.mark.parametrize('n', range(20))\ndef test_one(llm_cost, n):\n    llm_cost.record(**CALL)\n"


def test_a_green_run_above_its_budget_is_red(pytester: pytest.Pytester) -> None:
    result = run(pytester, MANY, "--tokencalc-budget=0.01")
    result.assert_outcomes(passed=20)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["FAILED  budget of the run: $0.070000 of $0.010000, $0.060000 above it"])
    assert run(pytester, MANY, "--tokencalc-budget=0.07").ret == 0


def test_a_cap_stops_the_run(pytester: pytest.Pytester) -> None:
    result = run(pytester, MANY, "--tokencalc-budget=0.01", "--tokencalc-stop")
    result.assert_outcomes(passed=3)
    assert result.ret != 0


def test_workers_send_what_they_used(pytester: pytest.Pytester) -> None:
    run_apart(pytester, TESTS, "--tokencalc-report=json:run.json", "-n2", "-p", "no:benchmark")
    found = json.loads((pytester.path / "run.json").read_text(encoding="utf-8"))
    assert costs(found) == {"test_calls[1]": COST, "test_calls[2]": 2 * COST}


def grown(more: int) -> str:
    """Return a test that makes one call, and some more."""
    return f"{HEAD}\ndef test_one(llm_cost):\n    [llm_cost.record(**CALL) for _ in range({1 + more})]\n"


@pytest.mark.parametrize(
    ("expected", "rule"), [(0, "cost:0%"), (1, "each:calls:0"), (1, "calls:0"), (0, "each:calls:1")]
)
def test_a_run_is_compared_with_a_baseline(expected: int, rule: str, pytester: pytest.Pytester) -> None:
    assert run(pytester, grown(0), "--tokencalc-report=run:base.json").ret == 0
    source = grown(0 if rule.startswith("cost") else 1)
    found = run(pytester, source, "--tokencalc-baseline=base.json", f"--tokencalc-fail={rule}")
    assert found.ret == expected, found.stdout.str()


def test_a_run_is_read_by_the_command_and_costs_the_same(pytester: pytest.Pytester) -> None:
    run(pytester, TESTS, "--tokencalc-report=run:run.json,md:run.md")
    command = [sys.executable, "-m", "tokencalc", "ci", "--usage", "run.json", "--json"]
    done = subprocess.run(command, cwd=pytester.path, capture_output=True, text=True, check=True)
    assert Decimal(json.loads(done.stdout)["total"]["cost_usd"]) == 3 * COST
    assert "## LLM cost: nothing was judged" in (pytester.path / "run.md").read_text(encoding="utf-8")


def test_a_run_that_measured_nothing_is_red_where_usage_is_required(pytester: pytest.Pytester) -> None:
    assert run(pytester, "def test_plain(): pass", "--tokencalc-require-usage").ret == 1


@pytest.mark.parametrize(
    ("expected", "option"),
    [
        ("expected USD or NAME=USD", "--tokencalc-budget=much"),
        ("expected dollars", "--tokencalc-budget=a=1"),
        ("say with --tokencalc-budget when to stop", "--tokencalc-stop"),
        ("a run of tests has no samples", "--tokencalc-fail=metric:x<=1"),
        ("expected FORMAT:FILE", "--tokencalc-report=pdf:x"),
        ("git knows no revision", "--tokencalc-baseline=git:nowhere"),
    ],
)
def test_a_wrong_option_stops_pytest_with_its_reason(expected: str, option: str, pytester: pytest.Pytester) -> None:
    result = run(pytester, TESTS, option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{expected}*"])


# beside others


def test_a_benchmark_asserts_on_cost_as_on_time(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(WORKER, raising=False)
    source = f"""{HEAD}
@pytest.mark.llm_budget(calls=5)
def test_both(benchmark, llm_cost):
    benchmark.pedantic(lambda: llm_cost.record(**CALL), rounds=5)
    assert benchmark.stats["mean"] < 1
    assert llm_cost.per_call_usd == Decimal("0.0035")
"""
    result = run(pytester, source)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*$0.017500*test_sample.py::test_both"])


def test_our_own_benchmark_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(WORKER, raising=False)
    file = "benchmarks/bench_cost_and_time.py"
    done = subprocess.run([sys.executable, file], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "LLM cost" in done.stdout, tmp_path
