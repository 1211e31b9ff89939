"""What the gate says where nothing, or not everything, is known: never ok by silence. And what it refuses to take."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.gated import CLASSIFY, SUMMARISE, ci, enter, gate, write
from tokencalc import Budget, Engine
from tokencalc.gate.run import calls_of

if TYPE_CHECKING:
    from pathlib import Path

UNPRICED: dict[str, Any] = {**SUMMARISE, "model": "own-model-7b"}
NOTIONAL: dict[str, Any] = {**SUMMARISE, "notional": True}
FULL = "/dev/full"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder with two calls and their baseline."""
    enter(tmp_path, monkeypatch)
    write(tmp_path, SUMMARISE, CLASSIFY)
    assert gate("--save-baseline", "base.json").exit_code == 0
    return tmp_path


def against(*rules: str) -> tuple[str, ...]:
    """Return the options that compare with the baseline by rules."""
    return ("--baseline", "base.json", *(part for rule in rules for part in ("--fail", rule)))


def checks(*arguments: str) -> list[tuple[str, str]]:
    """Return kind and state of each check."""
    return [(check["kind"], check["state"]) for check in json.loads(gate(*arguments, "--json").stdout)["checks"]]


# nothing was compared


@pytest.mark.parametrize("rule", ["cost:10%", "calls:0", "each:cost:10%", "cost_per_call:10%"])
def test_a_run_without_a_name_of_its_baseline_is_no_silent_pass(rule: str, folder: Path) -> None:
    write(folder, {**SUMMARISE, "operation": "translate", "output_tokens": 90_000})
    found = gate(*against(rule))
    said = "Against base.json: no name in common, so nothing was compared."
    assert (found.exit_code, said in found.stdout) == (0, True)
    assert json.loads(gate(*against(rule), "--json").stdout)["comparison"]["common"] is None
    assert checks(*against(rule)) == [("regression", "warning")]
    assert gate(*against(rule), "--require-usage").exit_code == 6


def test_a_baseline_by_another_key_is_refused(folder: Path) -> None:
    assert gate("--by", "model", "--save-baseline", "models.json").exit_code == 0
    found = gate("--baseline", "models.json", "--fail", "cost:10%")
    assert (found.exit_code, "saved by 'model', and this run is by 'operation'" in found.stderr) == (2, True), folder
    assert gate("--by", "model", "--baseline", "models.json", "--fail", "cost:10%").exit_code == 0


def test_a_budget_that_nothing_was_measured_for_is_no_silent_pass(folder: Path) -> None:
    assert checks("--budget", "sumarise=1") == [("budget", "warning")], folder
    assert gate("--budget", "sumarise=1", "--require-usage").exit_code == 6


# the cost is not known


@pytest.mark.parametrize(
    ("expected", "before", "now"),
    [(5, SUMMARISE, UNPRICED), (5, UNPRICED, SUMMARISE), (5, UNPRICED, UNPRICED), (0, SUMMARISE, SUMMARISE)],
)
@pytest.mark.parametrize("rule", ["cost:10%", "cost:1usd", "each:cost:10%", "cost_per_call:10%"])
def test_a_rule_on_the_cost_cannot_be_kept_by_a_call_without_a_price(
    expected: int, before: dict[str, Any], now: dict[str, Any], rule: str, folder: Path
) -> None:
    write(folder, before)
    gate("--save-baseline", "base.json")
    write(folder, now)
    assert gate(*against(rule), "--strict-prices").exit_code == expected
    assert gate(*against("output_tokens:0%")).exit_code == 0
    assert gate(*against(rule)).exit_code == 0
    assert {state for _, state in checks(*against(rule))} == ({"warning"} if expected else {"ok"})


def test_a_change_that_is_not_known_is_no_saving(folder: Path) -> None:
    write(folder, UNPRICED, CLASSIFY)
    text = gate(*against("cost:10%")).stdout
    assert "Against base.json: 1 call has no whole price, so no change of the cost is known." in text
    assert "%" not in text.replace("cost:10%", "")
    found = json.loads(gate(*against(), "--json").stdout)
    rows = {row["name"]: row for row in found["comparison"]["rows"]}
    assert (rows["summarise"]["usage_change_usd"], rows["summarise"]["run"]["cost_now_usd"]) == (None, None)
    assert found["comparison"]["common"]["usage_change_usd"] is None
    assert Decimal(rows["classify"]["usage_change_usd"]) == 0
    assert gate(*against(), "--report", "md:out.md").exit_code == 0
    assert "| `summarise` | $0.003500 | $0.000000 + unknown | unknown | unknown |" in (folder / "out.md").read_text()


@pytest.mark.parametrize(
    ("expected", "budget"),
    [("warning", "1"), ("failed", "0.003"), ("warning", "summarise=1"), ("ok", "classify=1")],
)
def test_a_budget_is_not_called_kept_over_a_call_without_a_price(expected: str, budget: str, folder: Path) -> None:
    write(folder, SUMMARISE, UNPRICED, CLASSIFY)
    assert dict(checks("--budget", budget))["budget"] == expected
    assert gate("--budget", budget).exit_code == (3 if expected == "failed" else 0)
    assert gate("--budget", budget, "--strict-prices").exit_code == (3 if expected == "failed" else 5)


def test_a_price_that_came_later_is_a_price(folder: Path) -> None:
    write(folder, UNPRICED)
    gate("--save-baseline", "base.json")
    table = 'provider = "own"\n[[model]]\nid = "own-model-7b"\n[[model.card]]\neffective_from = 2024-01-01\n'
    rates = 'rates = { input_per_mtok = "1", output_per_mtok = "1" }\nsource = "https://own.example"\n'
    (folder / "own.toml").write_text(table + rates)
    found = gate("--prices", "own.toml", *against("cost:0%"), "--json")
    assert found.exit_code == 0, found.output
    # What had no price has not become dearer by getting one.
    assert json.loads(found.stdout)["comparison"]["common"]["price_change_usd"] is None


def test_a_ledgers_budget_with_an_unpriced_call_is_a_warning(folder: Path) -> None:
    with Engine.open(folder / "usage.db") as engine:
        engine.set_budget(Budget(name="daily", limit_usd="1"))
        engine.record(**UNPRICED)
    found = ci("--ledger", "usage.db")
    assert (found.exit_code, "WARNING budget daily" in found.stdout) == (0, True)


# what a subscription paid


def test_what_a_subscription_paid_is_told_and_breaks_no_budget(folder: Path) -> None:
    write(folder, NOTIONAL, CLASSIFY)
    found = gate("--budget", "0.00021", "--json", "--report", "text:out.txt", "--report", "run:run.json")
    total = json.loads(found.stdout)["total"]
    assert (found.exit_code, total["cost_usd"], total["notional_usd"]) == (0, "0.00371", "0.0035")
    text = (folder / "out.txt").read_text()
    assert "Notional: $0.003500 of it is the list price of calls that a subscription paid." in text
    assert gate("--budget", "0.00020").exit_code == 3
    assert ci("--usage", "run.json", "--budget", "0.00021").exit_code == 0
    write(folder, {**UNPRICED, "notional": True})
    assert gate("--budget", "0.00021").exit_code == 0


# how it ended


@pytest.mark.parametrize(
    ("expected", "warnings", "options"),
    [
        ("$0.003500 for 2 calls and 1 without a whole price: 2 warnings", 2, ("--budget", "0.01")),
        ("$0.003500 for 2 calls and 1 without a whole price: 1 failed", 1, ("--budget", "0.001")),
        ("$0.003500 for 1 call: 1 warning", 1, ("--where", "operation=summarise", "--budget", "sumarise=1")),
        ("$0.003500 for 1 call: 1 warning", 1, ("--where", "operation=summarise", *against("cost:1%"))),
        ("$0.003500 for 1 call: nothing was judged", 0, ("--where", "operation=summarise", "--baseline", "none.json")),
        ("$0.003500 for 1 call: within what is allowed", 0, ("--where", "operation=summarise", "--budget", "1")),
        ("No call: 1 warning", 1, ("--where", "operation=nobody", "--budget", "sumarise=1")),
    ],
)
def test_a_run_is_called_well_only_where_all_is_known(
    expected: str, warnings: int, options: tuple[str, ...], folder: Path
) -> None:
    write(folder, CLASSIFY)
    gate("--save-baseline", "base.json")
    write(folder, SUMMARISE, {**UNPRICED, "operation": "own"})
    found = gate(*options, "--json", "--report", "md:out.md", "--report", "text:out.txt")
    document = json.loads(found.stdout)
    assert (document["warnings"], document["ok"]) == (warnings, found.exit_code == 0)
    assert " ".join((folder / "out.txt").read_text().split()).startswith(expected)
    assert (folder / "out.md").read_text().startswith(f"## LLM cost: {expected.rpartition(': ')[2]}\n")


def test_a_correction_of_a_call_before_the_interval_hides_no_missing_price(folder: Path) -> None:
    table = 'provider = "own"\n[[model]]\nid = "own-model-7b"\n[[model.card]]\neffective_from = 2024-01-01\n'
    rates = 'rates = { input_per_mtok = "1", output_per_mtok = "1" }\nsource = "https://own.example"\n'
    (folder / "own.toml").write_text(table + rates)
    with Engine.open(folder / "usage.db") as engine:
        engine.record(**UNPRICED, provider="own")
    with Engine.open(folder / "usage.db", prices=[folder / "own.toml"]) as engine:
        assert engine.reprice(since="2024-01-01", apply=True)
        (correction,) = [entry for entry in engine.entries() if entry.corrects is not None]
    (calls,) = calls_of([correction], lambda _: "own")
    assert (calls.calls, calls.booked_pico, calls.unpriced_calls) == (0, 1_100_000_000, 0)


# each call


@pytest.mark.parametrize(
    ("expected", "said", "noise"),
    [
        # Ten calls of 300 output tokens more at $10 a million: $0.003 each, $0.03 in all.
        (4, "no", "0.0299"),
        (4, "no", "0.03"),
        (0, "below the noise", "0.030001"),
    ],
)
def test_noise_is_said_for_the_sum_also_where_a_rule_is_per_call(
    expected: int, said: str, noise: str, folder: Path
) -> None:
    write(folder, *[SUMMARISE] * 20)
    gate("--save-baseline", "base.json")
    write(folder, *[{**SUMMARISE, "output_tokens": 400}] * 10)
    found = gate(*against("cost_per_call:10%"), "--noise", noise)
    assert found.exit_code == expected
    assert " ".join(found.stdout.split()).endswith(f"allowed by cost_per_call:10%: {said}")


@pytest.mark.parametrize(
    ("expected", "rule"),
    [
        (0, "cost_per_call:0%"),
        (0, "output_tokens_per_call:0"),
        (0, "each:tokens_per_call:0%"),
        (4, "cost:10%"),
        (4, "calls:0"),
    ],
)
def test_more_calls_of_one_kind_are_no_growth_per_call(expected: int, rule: str, folder: Path) -> None:
    write(folder, *[SUMMARISE] * 17)
    gate("--save-baseline", "base.json")
    write(folder, *[SUMMARISE] * 40)
    assert gate(*against(rule)).exit_code == expected


@pytest.mark.parametrize(
    ("expected", "rule"),
    [
        # 110 output tokens a call instead of 100; $0.0036 instead of $0.0035.
        (0, "output_tokens_per_call:10"),
        (4, "output_tokens_per_call:9"),
        (0, "output_tokens_per_call:10%"),
        (4, "output_tokens_per_call:9.99%"),
        (0, "cost_per_call:0.0001usd"),
        (4, "cost_per_call:0.000099usd"),
    ],
)
def test_growth_per_call_is_exact(expected: int, rule: str, folder: Path) -> None:
    write(folder, *[SUMMARISE] * 3)
    gate("--save-baseline", "base.json")
    write(folder, SUMMARISE, {**SUMMARISE, "output_tokens": 120})
    assert gate(*against(rule)).exit_code == expected


def test_a_share_of_a_token_is_shown(folder: Path) -> None:
    write(folder, *[SUMMARISE] * 2, {**SUMMARISE, "output_tokens": 105})
    found = gate(*against("output_tokens_per_call:2%"))
    assert "output_tokens per call +1.67 (+1.7 %), from 100 to 101.67;" in " ".join(found.stdout.split())


# edges


@pytest.mark.parametrize(
    ("expected", "more", "options"),
    [
        (0, 2, ("--fail", "calls:2")),
        (4, 3, ("--fail", "calls:2")),
        # A call more costs $0.0035: as much as that is no noise any more.
        (4, 1, ("--fail", "cost:0%", "--noise", "0.0035")),
        (0, 1, ("--fail", "cost:0%", "--noise", "0.003501")),
        (0, 1, ("--fail", "cost:0.0035usd")),
        (4, 1, ("--fail", "cost:0.003499usd")),
    ],
)
def test_a_rule_holds_up_to_its_edge(expected: int, more: int, options: tuple[str, ...], folder: Path) -> None:
    write(folder, *[SUMMARISE] * (1 + more), CLASSIFY)
    assert gate("--baseline", "base.json", *options).exit_code == expected


def test_what_grows_in_one_name_and_shrinks_in_another_is_seen_by_each_alone(folder: Path) -> None:
    write(folder, {**SUMMARISE, "output_tokens": 150}, {**CLASSIFY, "output_tokens": 50})
    assert gate(*against("output_tokens:0%")).exit_code == 0
    assert gate(*against("each:output_tokens:0%")).exit_code == 4


@pytest.mark.parametrize(("expected", "percent"), [("warning", "50"), ("ok", "51")])
def test_a_warning_comes_at_its_part_of_a_budget(expected: str, percent: str, folder: Path) -> None:
    assert checks("--budget", "0.00742", "--warn-at", percent) == [("budget", expected)], folder


# what is written


@pytest.mark.parametrize("place", [FULL, "."])
def test_a_summary_that_cannot_be_written_costs_no_verdict(
    place: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", place)
    red = gate("--budget", "0.001", "--annotations")
    assert (red.exit_code, "FAILED " in red.stdout, "::error title=" in red.stderr) == (3, True, True), folder
    assert f"warning: GITHUB_STEP_SUMMARY {place}: could not be written: " in red.stderr
    assert gate("--budget", "1").exit_code == 0


@pytest.mark.parametrize("option", [("--report", f"md:{FULL}"), ("--report", "json:."), ("--save-baseline", FULL)])
def test_a_file_that_cannot_be_written_is_named_and_costs_no_verdict(option: tuple[str, str], folder: Path) -> None:
    red = gate("--budget", "0.001", *option)
    place = option[1].rpartition(":")[2]
    assert (red.exit_code, "FAILED " in red.stdout) == (3, True), folder
    assert f"error: {place}: could not be written: " in red.stderr
    assert gate("--budget", "1", *option).exit_code == 1


def test_an_empty_run_is_no_baseline(folder: Path) -> None:
    before = (folder / "base.json").read_bytes()
    write(folder)
    found = gate("--save-baseline", "base.json")
    assert (found.exit_code, "base.json: not saved, because nothing was measured" in found.stderr) == (6, True)
    assert (folder / "base.json").read_bytes() == before


def test_a_failed_run_is_saved_and_said_to_be_one(folder: Path) -> None:
    found = gate("--budget", "0.001", "--save-baseline", "base.json")
    assert "Saved the run to base.json, in which 1 of 1 checks failed." in found.stderr, folder


# what is taken


@pytest.mark.parametrize(
    ("expected", "options"),
    [
        ("--where: run.json is a run that was saved by 'operation'", ("--where", "agent_id=one")),
        ("--by model: run.json is a run that was saved by 'operation'", ("--by", "model")),
        ("ledger: with --usage the files are the run", ("--ledger", "usage.db")),
    ],
)
def test_an_option_that_could_not_hold_is_refused(expected: str, options: tuple[str, ...], folder: Path) -> None:
    assert gate("--report", "run:run.json").exit_code == 0
    found = ci("--usage", "run.json", *options)
    assert (found.exit_code, expected in found.stderr) == (2, True), (found.output, folder)
    assert ci("--usage", "run.json", "--by", "operation").exit_code == 0


@pytest.mark.parametrize("text", [json.dumps([SUMMARISE]), json.dumps(SUMMARISE, indent=2), json.dumps([1], indent=1)])
def test_json_over_several_lines_is_told_what_is_wanted(text: str, folder: Path) -> None:
    (folder / "calls.jsonl").write_text(text)
    found = gate()
    assert (found.exit_code, "line 1: expected one JSON object on a line" in found.stderr) == (2, True)


def test_calls_are_filtered_by_tag(folder: Path) -> None:
    write(folder, {**SUMMARISE, "tags": {"team": "search"}}, CLASSIFY)
    found = json.loads(gate("--where", "tag:team=search", "--json").stdout)
    assert [row["name"] for row in found["rows"]] == ["summarise"]


@pytest.mark.parametrize(
    ("expected", "where"),
    [
        (["all", "each one", "each two", "of one", "team x"], ()),
        (["all", "each one", "of one", "team x"], ("agent_id=one",)),
        (["all", "team x"], ("agent_id=nobody",)),
        (["all", "each one", "each two", "of one"], ("tag:team=y",)),
        (["all", "each one", "each two", "of one", "team x"], ("operation=summarise",)),
    ],
)
def test_a_ledger_is_judged_by_budgets_that_the_filter_can_touch(
    expected: list[str], where: tuple[str, ...], folder: Path
) -> None:
    scopes: dict[str, dict[str, str]] = {
        "all": {},
        "each": {"agent_id": "*"},
        "of one": {"agent_id": "one"},
        "team x": {"tag:team": "x"},
    }
    with Engine.open(folder / "usage.db") as engine:
        for name, scope in scopes.items():
            engine.set_budget(Budget(name=name, limit_usd="1", scope=scope))
        for agent in ("one", "two"):
            engine.record(**SUMMARISE, agent_id=agent, tags={"team": "x"})
    found = ci("--ledger", "usage.db", "--json", *(part for pair in where for part in ("--where", pair)))
    labels = [check["what"].removeprefix("budget ").partition(",")[0] for check in json.loads(found.stdout)["checks"]]
    assert sorted(label for label in labels if label != "usage") == expected


def test_a_budget_of_two_stars_is_known_by_both_values(folder: Path) -> None:
    with Engine.open(folder / "usage.db") as engine:
        engine.set_budget(Budget(name="pairs", limit_usd="1", scope={"agent_id": "*", "tag:team": "*"}))
        for agent, team in (("one", "x"), ("one", "y"), ("two", "y")):
            engine.record(**SUMMARISE, agent_id=agent, tags={"team": team})
    found = ci("--ledger", "usage.db", "--json", "--where", "agent_id=one", "--where", "tag:team=y")
    assert [check["what"].partition(",")[0] for check in json.loads(found.stdout)["checks"]] == ['budget pairs ["one"']
