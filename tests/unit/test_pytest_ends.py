"""What comes late is counted where it belongs: corrections, what is booked after the last test; a stop is an end."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from tests.unit.plugged import COST, PRODUCT, costs, report, run, run_apart
from tokencalc import Engine
from tokencalc.gate.watching import FIXTURES

pytest_plugins = ["pytester"]

CORRECTED = f"""{PRODUCT}
TABLE = '''provider = "house"
[[model]]
id = "house-1"
[[model.card]]
effective_from = 2026-01-01
rates = {{ input_per_mtok = "1", output_per_mtok = "1" }}
source = "https://house.example"
'''
HOUSE = dict(CALL, model="house-1", provider="house")

@pytest.fixture(scope="module")
def book(tmp_path_factory):
    return tmp_path_factory.mktemp("book") / "usage.db"

def correct(book):
    table = book.with_suffix(".toml")
    table.write_text(TABLE)
    with Engine.open(book, prices=[table]) as engine:
        assert engine.reprice(since="2026-01-01", apply=True)
"""
ASKS_AND_CORRECTS = f"""{CORRECTED}
def test_asks(book):
    with Engine.open(book) as engine:
        engine.record(**HOUSE)

def test_corrects(book):
    correct(book)

def test_asks_more(book):
    ask()
"""


@pytest.mark.parametrize("workers", [(), ("-n1", "-p", "no:benchmark")])
def test_a_correction_counts_for_the_test_that_made_the_call(
    workers: tuple[str, ...], pytester: pytest.Pytester
) -> None:
    options = ("--tokencalc-strict-prices", "--tokencalc-report=json:run.json,run:base.json", *workers)
    result = run_apart(pytester, ASKS_AND_CORRECTS, *options)
    assert (result.parseoutcomes()["passed"], result.ret) == (3, 0), result.stdout.str()
    found = json.loads((pytester.path / "run.json").read_text(encoding="utf-8"))
    assert costs(found) == {"test_asks": Decimal("0.0011"), "test_asks_more": COST}
    assert (found["total"]["calls"], found["total"]["unpriced_calls"]) == (2, 0)
    # What was saved can be read again.
    assert run_apart(pytester, ASKS_AND_CORRECTS, "--tokencalc-baseline=base.json", "-p", "no:xdist").ret == 0


def test_a_correction_of_a_call_that_no_test_made_hides_no_missing_price(pytester: pytest.Pytester) -> None:
    source = f"""{CORRECTED}
def test_corrects(llm_cost, book):
    correct(book)
    ENGINE.record(**HOUSE)
    assert (llm_cost.calls, llm_cost.priced_usd) == (1, Decimal("0.0011"))
"""
    with Engine.open(pytester.path / "usage.db") as engine:
        engine.record(model="house-1", provider="house", input_tokens=1000, output_tokens=100)
    source = source.replace('tmp_path_factory.mktemp("book") / "usage.db"', "pathlib.Path('usage.db').absolute()")
    found = report(pytester, source)
    assert found["total"]["unpriced_calls"] == 1
    assert run(pytester, source, "--tokencalc-strict-prices").ret == 1


def test_what_is_booked_after_the_last_test_is_the_runs(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("""
def pytest_sessionfinish():
    import test_sample
    test_sample.ask()
""")
    result = run_apart(pytester, f"{PRODUCT}\ndef test_plain():\n    pass\n", "--tokencalc-budget=0.001")
    result.stdout.fnmatch_lines(["FAILED *budget of the run: $0.003500 of $0.001000*"])
    assert (result.parseoutcomes()["passed"], result.ret) == (1, 1)


def test_what_a_worker_books_after_its_last_test_is_the_runs(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("""
def pytest_sessionfinish(session):
    if hasattr(session.config, "workerinput"):
        import test_sample
        test_sample.ask()
""")
    options = ("-n2", "-p", "no:benchmark", "--tokencalc-report=json:run.json")
    run_apart(pytester, f"{PRODUCT}\ndef test_plain():\n    pass\n", *options)
    found = json.loads((pytester.path / "run.json").read_text(encoding="utf-8"))
    assert costs(found) == {FIXTURES: 2 * COST}


@pytest.mark.parametrize("mark", ["", "@pytest.mark.flaky(reruns=4, condition=True)\n"])
@pytest.mark.parametrize(
    ("budget", "options"),
    [
        ("", ("--tokencalc-budget=0.001", "--tokencalc-stop")),
        ('@pytest.mark.llm_budget(usd="0.001", on_exceed="stop")\n', ()),
    ],
)
def test_a_stop_is_no_reason_to_try_again(
    mark: str, budget: str, options: tuple[str, ...], pytester: pytest.Pytester
) -> None:
    source = f"{PRODUCT}\n{mark}{budget}def test_one():\n    ask()\n    assert False\n\ndef test_two():\n    ask()\n"
    result = run_apart(pytester, source, "--reruns=4", "-p", "no:benchmark", "--strict-markers", *options)
    assert result.parseoutcomes() == {"failed": 1}
    assert result.ret == pytest.ExitCode.INTERRUPTED
