"""The pytest plugin sees whatever engine the product books in, says whose it was, and stops where it should."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from tests.unit.plugged import COST, HEAD, PRODUCT, WORKER, costs, report, run, run_apart
from tokencalc import Engine
from tokencalc.gate.run import packed
from tokencalc.gate.session import RunSession
from tokencalc.gate.watching import FIXTURES, LlmCost, RunWatch
from tokencalc.ledger.witnesses import WITNESSES

if TYPE_CHECKING:
    from pathlib import Path

    from tokencalc.gate.run import Calls

pytest_plugins = ["pytester"]

WAYS = f"""{PRODUCT}
def test_guarded():
    ask()

def test_recorded_in_an_engine_that_is_closed_again(tmp_path):
    with Engine.open(tmp_path / "usage.db") as engine:
        engine.record(**CALL)

def test_settled():
    ENGINE.settle(ENGINE.reserve(model="gpt-4o", input_tokens=1000, max_output_tokens=100), **dict(CALL, model=None))

def test_two_engines_on_one_file(tmp_path):
    with Engine.open(tmp_path / "usage.db") as one, Engine.open(tmp_path / "usage.db") as two:
        one.record(**CALL)
        two.record(**CALL)

def test_many():
    ENGINE.record_many([CALL, CALL])

def test_repeated():
    for _ in range(3):
        ENGINE.record(**CALL, idempotency_key="once")

def test_awaited():
    async def main():
        async with AsyncEngine.open(":memory:") as engine:
            await asyncio.gather(engine.record(**CALL), engine.record(**CALL))
    asyncio.run(main())

def test_in_threads():
    threads = [threading.Thread(target=ask) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]

def test_plain():
    pass
"""


# whatever engine


def test_what_the_product_books_is_measured_without_a_line_of_code(pytester: pytest.Pytester) -> None:
    assert costs(report(pytester, WAYS)) == {
        "test_guarded": COST,
        "test_recorded_in_an_engine_that_is_closed_again": COST,
        "test_settled": COST,
        "test_two_engines_on_one_file": 2 * COST,
        "test_many": 2 * COST,
        "test_repeated": COST,
        "test_awaited": 2 * COST,
        "test_in_threads": 4 * COST,
    }


@pytest.mark.parametrize(("expected", "cap"), [(1, "0.0034"), (0, "0.0035")])
def test_an_option_alone_holds_the_product_to_a_budget(expected: int, cap: str, pytester: pytest.Pytester) -> None:
    result = run(pytester, f"{PRODUCT}\ndef test_asks():\n    ask()\n", f"--tokencalc-budget={cap}")
    result.assert_outcomes(passed=1)
    assert result.ret == expected
    result.stdout.fnmatch_lines(["*$0.003500*test_sample.py::test_asks"])


def test_a_mark_alone_holds_the_product_to_a_budget(pytester: pytest.Pytester) -> None:
    source = f"{PRODUCT}\n@pytest.mark.llm_budget(calls=1)\ndef test_asks():\n    ask()\n    ask()\n"
    run(pytester, source).assert_outcomes(failed=1)


def test_the_fixture_sees_the_products_calls_beside_its_own_and_each_once(pytester: pytest.Pytester) -> None:
    source = f"""{PRODUCT}
def test_first():
    ask()

def test_both(llm_cost):
    assert llm_cost.calls == 0
    ask()
    llm_cost.record(**CALL)
    guard(lambda **_: ANSWER, engine=llm_cost.engine, model="gpt-4o", hold_usd="0.01")(model="gpt-4o", max_tokens=1)
    assert (llm_cost.calls, llm_cost.usd) == (3, 3 * Decimal("0.0035"))
"""
    result = run(pytester, source)
    result.assert_outcomes(passed=2)
    # A test that comes before the one that asks is measured like the others.
    result.stdout.fnmatch_lines(["$0.014000 for 4 calls"])


def test_a_fixture_that_is_asked_for_at_run_time_is_enough(pytester: pytest.Pytester) -> None:
    source = f"""{PRODUCT}
def test_late(request):
    llm_cost = request.getfixturevalue("llm_cost")
    ask()
    assert llm_cost.calls == 1
"""
    run(pytester, source).assert_outcomes(passed=1)


def test_nobody_looks_at_a_run_that_does_not_ask(pytester: pytest.Pytester) -> None:
    source = f"""{PRODUCT}
from tokencalc.ledger.witnesses import WITNESSES
def test_asks():
    ask()
    assert len(WITNESSES) == {len(WITNESSES)}
"""
    result = run(pytester, source)
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*LLM cost*")


def test_a_watch_that_is_closed_sees_nothing_more() -> None:
    watch, other = RunWatch(), RunWatch()
    watch.close()
    with Engine.open(":memory:") as engine:
        engine.record(model="gpt-4o", input_tokens=1)
    assert (watch.taken(), len(other.taken())) == ((), 1)
    other.close()


# whose it was


SCOPES = f"""{PRODUCT}
@pytest.fixture(scope="session")
def wide():
    ask()
    yield
    ask(); ask()

@pytest.fixture
def own(wide):
    ask()
    yield
    ask()

@pytest.fixture(scope="module")
def late():
    ask()
"""


def test_what_a_tests_own_fixtures_use_is_the_tests_and_of_wider_ones_theirs(pytester: pytest.Pytester) -> None:
    source = f"""{SCOPES}
@pytest.mark.parametrize("n", [1, 2])
def test_one(own, n, request, llm_cost):
    assert llm_cost.calls == 1
    request.getfixturevalue("late")
    ask()
    assert llm_cost.calls == 2
"""
    found = report(pytester, source)
    assert costs(found) == {FIXTURES: 4 * COST, "test_one[1]": 3 * COST, "test_one[2]": 3 * COST}


@pytest.mark.parametrize(("expected", "calls"), [({"passed": 1}, 2), ({"failed": 1}, 1)])
def test_a_budget_counts_what_a_tests_own_fixtures_used(
    expected: dict[str, int], calls: int, pytester: pytest.Pytester
) -> None:
    source = f"{SCOPES}\n@pytest.mark.llm_budget(calls={calls})\ndef test_one(own):\n    ask()\n"
    run(pytester, source).assert_outcomes(**expected)


def test_junit_has_all_that_a_test_used_once(pytester: pytest.Pytester) -> None:
    source = f"{SCOPES}\ndef test_one(own, llm_cost, record_property):\n    record_property('mine', 1)\n    ask()\n"
    run(pytester, source, "--junitxml=junit.xml", "-o", "junit_family=xunit1")
    assert properties(pytester) == [[("llm_calls", "3"), ("llm_cost_usd", "0.0105"), ("mine", "1")]]


def properties(pytester: pytest.Pytester) -> list[list[tuple[str, str]]]:
    """Return a few properties of each case of a JUnit file."""
    cases = ET.parse(pytester.path / "junit.xml").getroot().iter("testcase")  # noqa: S314  # pytest's own
    found = [[(str(item.get("name")), str(item.get("value"))) for item in case.iter("property")] for case in cases]
    return [sorted(pair for pair in case if pair[0] in {"mine", "llm_calls", "llm_cost_usd"}) for case in found]


def test_a_test_that_runs_again_has_its_properties_once_and_a_name_for_each_attempt(pytester: pytest.Pytester) -> None:
    source = f"{PRODUCT}\nTRIES = []\ndef test_flaky(llm_cost):\n    TRIES.append(ask())\n    assert len(TRIES) == 3\n"
    options = ("--reruns=2", "--junitxml=junit.xml", "--tokencalc-report=json:run.json", "-p", "no:benchmark")
    result = run_apart(pytester, source, *options)
    assert result.parseoutcomes() == {"passed": 1, "rerun": 2}
    found = json.loads((pytester.path / "run.json").read_text(encoding="utf-8"))
    assert costs(found) == {"test_flaky": COST, "test_flaky (rerun 1)": COST, "test_flaky (rerun 2)": COST}
    assert properties(pytester) == 3 * [[("llm_calls", "1"), ("llm_cost_usd", "0.0035")]]


# stopping


@pytest.mark.parametrize("body", ["pass", "assert False", "pytest.skip('no')"])
def test_a_mark_that_stops_does_so_however_the_test_ends(body: str, pytester: pytest.Pytester) -> None:
    source = f"""{PRODUCT}
@pytest.mark.llm_budget(calls=0, on_exceed="stop")
def test_one():
    ask()
    {body}

def test_two():
    pass
"""
    found = run(pytester, source).parseoutcomes()
    assert sum(found.get(outcome, 0) for outcome in ("passed", "failed", "skipped")) == 1


def test_a_fixture_that_fails_after_spending_stops_as_well(pytester: pytest.Pytester) -> None:
    source = f"""{PRODUCT}
@pytest.fixture
def broken():
    ask()
    raise RuntimeError

@pytest.mark.llm_budget(calls=0, on_exceed="stop")
def test_one(broken):
    pass

def test_two():
    pass
"""
    run(pytester, source).assert_outcomes(errors=1)


MANY = f"{PRODUCT}\n@pytest.mark.parametrize('n', range(60))\ndef test_one(n):\n    ask()\n"


@pytest.mark.parametrize("workers", [2, 3])
def test_a_cap_stops_workers_but_for_the_tests_that_run(workers: int, pytester: pytest.Pytester) -> None:
    options = (f"-n{workers}", "-p", "no:benchmark", "--tokencalc-budget=0.02", "--tokencalc-stop")
    result = run_apart(pytester, MANY, *options)
    # The sixth takes the run to 0.021; of each other worker one test may be running then.
    assert 6 <= result.parseoutcomes()["passed"] <= 6 + workers - 1
    assert result.ret != 0
    result.stdout.fnmatch_lines(["*--tokencalc-budget: * of $0.020000 are spent*"])


def test_a_subscriptions_calls_spend_no_cap(pytester: pytest.Pytester) -> None:
    source = MANY.replace("    ask()\n", "    ENGINE.record(**CALL, notional=True)\n").replace("range(60)", "range(9)")
    result = run(pytester, source, "--tokencalc-budget=0.01", "--tokencalc-per-test=0.001", "--tokencalc-stop")
    result.assert_outcomes(passed=9)
    assert result.ret == 0


# what is asked for wrongly, and what cannot be written


def test_a_wrong_name_in_a_mark_is_said_in_our_words(pytester: pytest.Pytester) -> None:
    result = run(pytester, f"{HEAD}\n@pytest.mark.llm_budget(dollars=1)\ndef test_one():\n    pass\n")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["mark llm_budget: expected usd, tokens, calls, on_exceed, found 'dollars'"])
    result.stdout.no_fnmatch_line("*another exception*")


def test_a_baseline_of_other_names_stops_pytest_with_its_reason(pytester: pytest.Pytester) -> None:
    document = {"schema": "tokencalc.run/1", "by": "model", "made_at": "2026-11-20T00:00:00Z", "calls": []}
    text = json.dumps({**document, "prices_checked_on": "2026-11-01"})
    (pytester.path / "base.json").write_text(text, encoding="utf-8")
    result = run(pytester, MANY, "--tokencalc-baseline=base.json")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*was saved by 'model', and this run is by 'test'*"])


def test_a_report_that_cannot_be_written_is_named_below_the_table(pytester: pytest.Pytester) -> None:
    result = run(pytester, f"{PRODUCT}\ndef test_asks():\n    ask()\n", "--tokencalc-report=md:.")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*$0.003500*test_asks", "error: .: could not be written: *"])


# beside a benchmark, and many tests


def test_a_benchmark_that_chooses_its_rounds_is_compared_per_call(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(WORKER, raising=False)
    source = f"{PRODUCT}\ndef test_fast(benchmark):\n    benchmark(ask)\n"
    few = ("--benchmark-min-rounds=2", "--benchmark-max-time=0.0001", "--benchmark-warmup=off")
    assert run(pytester, source, *few, "--tokencalc-report=run:base.json").ret == 0
    source = source.replace("benchmark(ask)", "benchmark.pedantic(ask, rounds=99)")
    against = "--tokencalc-baseline=base.json"
    assert run(pytester, source, against, "--tokencalc-fail=cost_per_call:0%").ret == 0
    assert run(pytester, source, against, "--tokencalc-fail=cost:10%").ret == 1


def test_many_tests_take_as_long_as_their_number(tmp_path: Path) -> None:
    def steps(tests: int) -> int:
        session, count = RunSession(), 0

        def counted(*_: object) -> None:
            nonlocal count
            count += 1

        rows = [packed(one._replace(kind=one.kind._replace(name=f"test {n}"))) for n in range(tests)]
        sys.setprofile(counted)
        try:
            for row in rows:
                session.add([row])
        finally:
            sys.setprofile(None)
        return count

    one = recorded(tmp_path)
    assert steps(400) < 2.2 * steps(200)


def test_a_look_after_each_call_takes_as_long_as_the_number_of_calls() -> None:
    def steps(calls: int) -> int:
        watch, count = RunWatch(), 0
        cost = LlmCost(watch)
        watch.begin("test")

        def counted(*_: object) -> None:
            nonlocal count
            count += 1

        with Engine.open(":memory:") as engine:
            for number in range(calls):
                engine.record(model="gpt-4o", input_tokens=number)
                sys.setprofile(counted)
                assert cost.calls == number + 1
                sys.setprofile(None)
        watch.close()
        return count

    assert steps(400) < 2.2 * steps(200)


def recorded(folder: Path) -> Calls:
    """Return one call, as the plugin takes it."""
    watch = RunWatch()
    with Engine.open(folder / "usage.db") as engine:
        engine.record(model="gpt-4o", input_tokens=1000, output_tokens=100)
    (one,) = watch.taken()
    watch.close()
    return one
