"""`tokencalc ci` over a sample repository: red for each reason, green again, and told in every format."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.gated import CLASSIFY, SUMMARISE, ci, enter, gate, write
from tokencalc import Budget, Engine
from tokencalc.gate.annotations import verdict_annotations
from tokencalc.gate.document import verdict_document, verdict_json
from tokencalc.gate.expressions import cap_from
from tokencalc.gate.judging import Demands, judged
from tokencalc.gate.junit import verdict_junit
from tokencalc.gate.markdown import verdict_markdown
from tokencalc.gate.run import run_of
from tokencalc.gate.run_file import run_json
from tokencalc.gate.text import verdict_text
from tokencalc.pricing.catalog import Catalog

if TYPE_CHECKING:
    from pathlib import Path

    from tokencalc.gate.judging import Verdict
    from tokencalc.gate.run import Run

COST = Decimal("0.0035") + Decimal(
    "0.00021"
)  # 1000 x 2.50 + 100 x 10, and 1000 x 0.15 + 100 x 0.60, for a million each

TABLE = """
provider = "openai"
[[model]]
id = "gpt-4o"
[[model.card]]
effective_from = 2024-01-01
rates = { input_per_mtok = "5", output_per_mtok = "20" }
source = "https://contract.example/17"
"""


def git(folder: Path, *arguments: str) -> None:
    """Run git in a folder, without anybody's settings."""
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)  # noqa: S607


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a repository with two calls and a baseline of them, committed on main."""
    enter(tmp_path, monkeypatch)
    git(tmp_path, "init", "-q", "-b", "main")
    write(tmp_path, SUMMARISE, CLASSIFY)
    assert ci("--usage", "calls.jsonl", "--save-baseline", "tokencalc-baseline.json").exit_code == 0
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "calls and their baseline")
    return tmp_path


# red and green


def test_a_repository_goes_red_by_budget_and_green_again(repository: Path) -> None:
    assert gate("--budget", "0.01").exit_code == 0
    write(repository, *[SUMMARISE] * 3)
    red = gate("--budget", "0.01")
    assert (red.exit_code, "$0.010500 of $0.010000, $0.000500 above it" in red.stdout) == (3, True)
    write(repository, SUMMARISE, CLASSIFY)
    assert gate("--budget", "0.01").exit_code == 0


def test_a_budget_of_one_name_goes_red_alone(repository: Path) -> None:
    del repository
    assert gate("--budget", "summarise=0.0035", "--budget", "classify=0.0002").exit_code == 3
    assert gate("--budget", "summarise=0.0035", "--budget", "nobody=0.0002").exit_code == 0


@pytest.mark.parametrize(
    ("expected", "rule"),
    [
        (4, "cost:10%"),
        (4, "cost:0.001usd"),
        (0, "cost:0.01usd"),
        (0, "cost:200%"),
        (4, "output_tokens:20%"),
        (0, "input_tokens:0%"),
        (4, "each:cost:50%"),
        (0, "calls:0"),
        (4, "tokens:99"),
    ],
)
def test_a_repository_goes_red_by_regression_against_a_revision_and_green_again(
    expected: int, rule: str, repository: Path
) -> None:
    write(repository, {**SUMMARISE, "output_tokens": 400}, CLASSIFY)
    assert gate("--baseline", "git:main", "--fail", rule).exit_code == expected
    write(repository, SUMMARISE, CLASSIFY)
    assert gate("--baseline", "git:main", "--fail", rule).exit_code == 0


def test_a_repository_goes_red_by_an_unpriced_model_and_green_again(repository: Path) -> None:
    write(repository, SUMMARISE, {**CLASSIFY, "model": "own-model-7b"})
    assert gate().exit_code == 0
    red = gate("--strict-prices")
    assert (red.exit_code, "own-model-7b" in red.stdout) == (5, True)
    write(repository, SUMMARISE, {**CLASSIFY, "model": "own-model-7b", "cost_usd": "0.001"})
    assert gate("--strict-prices").exit_code == 0


def test_a_repository_goes_red_by_a_metric_and_green_again(repository: Path) -> None:
    latencies = {"0.9": 4, "0.2": 0, "0.3": 0}
    for latency, expected in latencies.items():
        with Engine.open(repository / "usage.db") as engine:
            engine.record_metric("latency_s", float(latency))
        found = gate("--ledger", "usage.db", "--fail", "metric:latency_s<=0.5")
        assert found.exit_code == expected, found.output
    assert gate("--ledger", "usage.db", "--fail", "metric:avg(latency_s)<0.46").exit_code == 4
    assert gate("--ledger", "usage.db", "--fail", "metric:avg(latency_s)<0.47").exit_code == 0


def test_a_metric_without_a_sample_is_no_silent_pass(repository: Path) -> None:
    Engine.open(repository / "usage.db").close()
    options = ("--ledger", "usage.db", "--fail", "metric:latency_s<=0.5")
    assert "WARNING metric:latency_s<=0.5: there is no sample" in gate(*options).stdout
    assert gate(*options, "--require-usage").exit_code == 6


@pytest.mark.parametrize(("expected", "options"), [(0, ()), (6, ("--require-usage",)), (0, ("--budget", "1"))])
def test_nothing_measured_is_said_and_fails_where_usage_is_required(
    expected: int, options: tuple[str, ...], repository: Path
) -> None:
    write(repository)
    found = gate(*options)
    assert (found.exit_code, "Nothing was measured" in found.stdout) == (expected, True)


def test_the_first_of_budget_regression_and_prices_decides_on_the_exit_code(repository: Path) -> None:
    write(repository, *[SUMMARISE] * 3, {**CLASSIFY, "model": "own-model-7b"})
    demands = ["--strict-prices", "--baseline", "git:main", "--fail", "calls:1", "--budget", "0.001"]
    assert [gate(*demands[:count]).exit_code for count in (1, 5, 7)] == [5, 4, 3]
    assert gate(*demands, "--exit-zero").exit_code == 0


# over a ledger


def test_a_ledger_is_judged_by_its_own_budgets(repository: Path) -> None:
    with Engine.open(repository / "usage.db") as engine:
        engine.set_budget(Budget(name="seen", limit_usd="0.001", policy="observe"))
        engine.record(**SUMMARISE)
    assert ci("--ledger", "usage.db").exit_code == 0
    with Engine.open(repository / "usage.db") as engine:
        engine.set_budget(Budget(name="daily", limit_usd="0.001", period="day"))
    found = ci("--ledger", "usage.db", "--json")
    assert found.exit_code == 3
    assert [check["state"] for check in json.loads(found.stdout)["checks"]] == ["failed"]


def test_a_ledger_is_grouped_and_filtered_as_asked(repository: Path) -> None:
    with Engine.open(repository / "usage.db") as engine:
        engine.record(**SUMMARISE, agent_id="one", tags={"team": "search"})
        engine.record(**CLASSIFY, agent_id="two")
    found = ci("--ledger", "usage.db", "--by", "tag:team", "--json")
    assert {row["name"] for row in json.loads(found.stdout)["rows"]} == {"search", "(none)"}
    found = ci("--ledger", "usage.db", "--where", "agent_id=two", "--json")
    assert [row["name"] for row in json.loads(found.stdout)["rows"]] == ["classify"]


def test_a_repriced_ledger_costs_what_its_book_says(repository: Path) -> None:
    table = repository / "own.toml"
    table.write_text(TABLE, encoding="utf-8")
    with Engine.open(repository / "usage.db") as engine:
        engine.record(**SUMMARISE)
    with Engine.open(repository / "usage.db", prices=[table]) as engine:
        engine.reprice(since="2020-01-01", apply=True)
        booked = engine.report().rows[0].cost_usd
    found = json.loads(ci("--ledger", "usage.db", "--prices", "own.toml", "--json").stdout)
    assert found["total"]["cost_usd"] == str(booked) == found["total"]["cost_now_usd"]
    assert found["total"]["calls"] == 1


# the baseline


def test_a_change_of_prices_is_told_apart_from_a_change_of_usage(repository: Path) -> None:
    (repository / "own.toml").write_text(TABLE, encoding="utf-8")
    write(repository, {**SUMMARISE, "output_tokens": 200}, CLASSIFY)
    found = gate("--prices", "own.toml", "--baseline", "git:main", "--fail", "cost:30%", "--json")
    common = json.loads(found.stdout)["comparison"]["common"]
    # Both sides at the new 5 and 20 dollars: 0.007 before, 0.009 now; the old prices made it 0.0035.
    assert Decimal(common["usage_change_usd"]) == Decimal("0.002")
    assert Decimal(common["price_change_usd"]) == Decimal("0.0035")
    assert found.exit_code == 0
    assert gate("--prices", "own.toml", "--baseline", "git:main", "--fail", "cost:20%").exit_code == 4


def test_a_change_of_prices_alone_is_no_regression(repository: Path) -> None:
    (repository / "own.toml").write_text(TABLE, encoding="utf-8")
    found = gate("--prices", "own.toml", "--baseline", "git:main", "--fail", "cost:0%")
    assert (found.exit_code, "Prices: +$0.003500 (+94.3 %)" in found.stdout) == (0, True)


@pytest.mark.parametrize("baseline", ["nothing.json", "git:main:nothing.json"])
def test_a_missing_baseline_is_a_notice(baseline: str, repository: Path) -> None:
    del repository
    found = gate("--baseline", baseline, "--fail", "cost:10%")
    assert (found.exit_code, "No baseline yet" in found.stdout) == (0, True)


def test_a_baseline_of_another_version_is_a_notice(repository: Path) -> None:
    (repository / "old.json").write_text('{"schema": "tokencalc.run/99", "calls": 7}', encoding="utf-8")
    found = gate("--baseline", "old.json", "--fail", "cost:10%")
    assert (found.exit_code, "'tokencalc.run/99'" in found.stdout) == (0, True)


def broken(**changes: Any) -> str:
    """Return a run with fields that cannot be."""
    call = {"name": "a", "model": "m", "calls": 1, "booked_usd": "0", "unpriced_calls": 0, **changes}
    document = {"by": "operation", "made_at": "2026-11-20T00:00:00Z", "prices_checked_on": "2026-11-01"}
    return json.dumps({"schema": "tokencalc.run/1", **document, "calls": [call]})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "not json",
        "{}",
        '{"schema": "tokencalc.run/1"}',
        broken(calls=-1),
        broken(calls=True),
        broken(booked_usd="much"),
        broken(usage={"q": {"input": -1}}),
        broken(usage={"q": {"nothing": 1}}),
        broken(usage=7),
        broken(name=""),
        broken(context=7),
    ],
)
def test_a_broken_baseline_is_refused_in_a_line(text: str, repository: Path) -> None:
    (repository / "broken.json").write_text(text, encoding="utf-8")
    found = gate("--baseline", "broken.json")
    assert (found.exit_code, found.stderr.count("\n")) == (2, 1)
    assert "expected a run" in found.stderr


@pytest.mark.parametrize("revision", ["nowhere", "--upload-pack=x", ""])
def test_a_revision_that_is_not_there_is_an_error_and_not_a_green_run(revision: str, repository: Path) -> None:
    del repository
    assert gate("--baseline", f"git:{revision}").exit_code == 2


def test_new_and_removed_names_are_listed_and_not_failed(repository: Path) -> None:
    write(repository, SUMMARISE, {**SUMMARISE, "operation": "translate", "output_tokens": 9000})
    found = gate("--baseline", "git:main", "--fail", "cost:0%", "--fail", "each:cost:0%", "--json")
    comparison = json.loads(found.stdout)["comparison"]
    assert (found.exit_code, comparison["added"], comparison["removed"]) == (0, ["translate"], ["classify"])


def test_what_grows_from_nothing_is_above_any_percentage(repository: Path) -> None:
    write(repository, {**SUMMARISE, "reasoning_tokens": 50}, CLASSIFY)
    assert gate("--baseline", "git:main", "--fail", "reasoning_tokens:900%").exit_code == 4


def test_noise_is_no_regression(repository: Path) -> None:
    write(repository, {**SUMMARISE, "output_tokens": 101}, CLASSIFY)
    options = ("--baseline", "git:main", "--fail", "cost:0%")
    assert [gate(*options).exit_code, gate(*options, "--noise", "0.001").exit_code] == [4, 0]


# what comes in


@pytest.mark.parametrize(
    ("expected", "line"),
    [
        ("calls.jsonl, line 1: expected one JSON object on a line", "[1, 2]"),
        ("calls.jsonl, line 1: expected one JSON object on a line", "{"),
        ("unknown argument 'colour'", '{"model": "gpt-4o", "colour": 1, "input_tokens": 1}'),
        ("calls.jsonl, line 1: ", '{"model": "gpt-4o", "input_tokens": true}'),
        ("calls.jsonl, line 1: ", '{"model": "gpt-4o"}'),
    ],
)
def test_a_bad_line_is_named(expected: str, line: str, repository: Path) -> None:
    (repository / "calls.jsonl").write_text(f"{line}\n", encoding="utf-8")
    found = gate()
    assert (found.exit_code, expected in found.stderr) == (2, True), found.stderr


def test_providers_answers_are_taken_as_they_came(repository: Path) -> None:
    answer: dict[str, Any] = {
        "id": "a",
        "model": "gpt-4o",
        "choices": [],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 100},
    }
    write(repository, {**answer, "usage": {**answer["usage"], "total_tokens": 1100}})
    assert json.loads(gate("--json").stdout)["total"]["cost_usd"] == "0.0035"


def test_a_saved_run_is_read_as_usage_and_several_files_add_up(repository: Path) -> None:
    del repository
    found = json.loads(gate("--usage", "tokencalc-baseline.json", "--json").stdout)
    assert (Decimal(found["total"]["cost_usd"]), found["total"]["calls"]) == (2 * COST, 4)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--fail", "cost"),
        ("--fail", "cost:10"),
        ("--fail", "colour:10%"),
        ("--fail", "calls:-1"),
        ("--fail", "calls:1.5"),
        ("--fail", "cost:-5%"),
        ("--fail", "cost:nan%"),
        ("--fail", "metric:x"),
        ("--fail", "metric:x<=nan"),
        ("--budget", "much"),
        ("--budget", "=1"),
        ("--budget", "-1"),
        ("--report", "pdf:x"),
        ("--report", "json"),
        ("--by", "colour"),
        ("--where", "colour=red"),
        ("--since", "2026-11-01"),
        ("--noise", "much"),
        ("--usage", "nothing.jsonl"),
        ("--warn-at", "0"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_why(arguments: tuple[str, ...], repository: Path) -> None:
    del repository
    found = gate(*arguments)
    assert (found.exit_code, found.stderr.startswith("error: ")) == (2, True), found.output


# what goes out


def test_every_format_is_written_and_the_summary_of_the_job(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(repository / "summary.md"))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    reports = [f"--report={form}:out/{form}" for form in ("json", "junit", "md", "text", "run")]
    found = gate("--budget", "0.001", "--warn-at", "50", *reports)
    assert found.stderr.startswith("::error title=tokencalc%3A budget of the run::budget of the run: $0.003710 of")
    written = {file.name: file.read_text(encoding="utf-8") for file in (repository / "out").iterdir()}
    assert written["text"] == found.stdout
    assert json.loads(written["json"])["schema"] == "tokencalc.ci/1"
    assert json.loads(written["run"])["schema"] == "tokencalc.run/1"
    assert ET.fromstring(written["junit"]).get("failures") == "1"  # noqa: S314  # our own
    assert "## LLM cost: 1 failed" in written["md"]
    assert "## LLM cost: 1 failed" in (repository / "summary.md").read_text(encoding="utf-8")


HOSTILE = st.one_of(
    st.text(min_size=1, max_size=60),
    st.sampled_from(
        [
            "::error::x",
            "  ::set-env name=A::b",
            "##[error]x",
            "=cmd|' /C calc'!A0",
            "<script>alert(1)</script>",
            "](http://x) | `a` | @all #1",
            "\x1b[31m\r\n::error::y",
            "]]>&amp;\x00\ufffe",
            "x" * 10_000,
            "\ud800",
        ]
    ),
)


def verdict_of(*names: str) -> Verdict:
    """Judge a run whose models, tests and budgets have these names."""
    calls = tuple(
        one._replace(kind=one.kind._replace(name=name, model=name), unpriced_calls=1)
        for name in names
        for one in one_run().calls
    )
    demands = Demands(caps=tuple(cap_from(f"{name}=0.001") for name in names), strict_prices=True)
    run = replace(one_run(), by="test", calls=calls)
    return judged(run, Catalog.packaged(), run.made_at, demands)


@cache
def one_run() -> Run:
    """Return a run of one call."""
    with Engine.open(":memory:") as engine:
        engine.record(**SUMMARISE)
        return run_of(engine)


@given(HOSTILE)
def test_no_name_is_a_command_for_the_log(name: str) -> None:
    verdict = verdict_of(name)
    annotations = verdict_annotations(verdict).splitlines()
    machine = verdict_json(verdict_document(verdict, exit_code=3)) + run_json(verdict.run)
    logged = [*verdict_text(verdict).splitlines(), *machine.splitlines()]
    assert not any(line.lstrip().startswith("::") for line in logged)
    assert not any("##[" in line for line in (*logged, *annotations))
    assert all(re.match(r"::(error|warning|notice) title=[^:,]*::[^\r\n]*$", line) for line in annotations)
    assert len(annotations) == len(verdict.failed)


@given(HOSTILE)
def test_the_text_has_one_line_for_a_name_and_the_junit_file_can_be_read_back(name: str) -> None:
    verdict = verdict_of(name)
    suite = ET.fromstring(verdict_junit(verdict))[0]  # noqa: S314  # our own
    assert [len(suite.findall(f".//{tag}")) for tag in ("testcase", "failure")] == [
        len(verdict.checks) + 1,
        len(verdict.failed),
    ]
    assert suite.find("properties/property[@name='llm_cost_usd']").get("value") == "0.0035"  # type: ignore[union-attr]
    assert all(len(line) < 500 and line.isprintable() for line in verdict_text(verdict).splitlines())


@given(HOSTILE)
def test_no_name_is_markup_in_markdown(name: str) -> None:
    page = verdict_markdown(verdict_of(name))
    outside = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", page)
    assert "<script" not in outside
    assert not re.search(r"(?<!\\)\]\(", outside)
    assert "@all" not in outside


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 10**6), st.integers(0, 10**6)), max_size=12))
def test_every_machine_format_adds_up_to_the_ledger(calls: list[tuple[str, int, int]]) -> None:
    with Engine.open(":memory:") as engine:
        for name, read, wrote in calls:
            engine.record(model="gpt-4o", input_tokens=read, output_tokens=wrote, operation=name)
        booked = sum((row.cost_usd for row in engine.report().rows), Decimal(0))
        run = run_of(engine)
        verdict = judged(run, engine.catalog, run.made_at, Demands())
    document = json.loads(verdict_json(verdict_document(verdict, exit_code=0)))
    suite = ET.fromstring(verdict_junit(verdict))[0]  # noqa: S314  # our own
    costs = [item.get("value") for item in suite.findall("testcase/properties/property[@name='llm_cost_usd']")]
    assert sum((Decimal(row["cost_usd"]) for row in document["rows"]), Decimal(0)) == booked
    assert sum((Decimal(cost) for cost in costs if cost), Decimal(0)) == booked
    assert sum(row["calls"] for row in document["rows"]) == len(calls)


# init


def test_init_writes_a_workflow_once(repository: Path) -> None:
    assert ci("init", "--budget", "0.50").exit_code == 0
    text = (repository / ".github/workflows/llm-cost.yml").read_text(encoding="utf-8")
    assert "--budget 0.50 --fail cost:10% " in text
    assert "${{ github.base_ref }}" in text
    assert ci("init").exit_code == 2
    assert ci("init", "--force", "--json").exit_code == 0


@pytest.mark.parametrize(
    "arguments",
    [("--budget", "a=1"), ("--fail", "metric:x; rm -rf .<=1"), ("--fail", "cost:$(x)%"), ("--budget", "$x")],
)
def test_init_takes_nothing_that_a_shell_would_read(arguments: tuple[str, ...], repository: Path) -> None:
    assert ci("init", *arguments).exit_code == 2
    assert not (repository / ".github").exists()
