"""The commands explain and reprice: what they print for people and for machines, and how wrong use ends."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from tests.contract.tables import write_table
from tokencalc.cli.lines import exact_dollars
from tokencalc.cli.main import main
from tokencalc.cli.progress import progress_bar
from tokencalc.engine import Engine
from tokencalc.usage import Meter, Usage

if TYPE_CHECKING:
    from pathlib import Path

CHEAP = {"rocket": {"input_per_mtok": "2"}}
DEAR = {"rocket": {"input_per_mtok": "3", "output_per_mtok": "4.5"}}
AT = "2026-11-10T10:00:00Z"


@pytest.fixture(autouse=True)
def _in_a_folder_of_80_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def ledger(tmp_path: Path) -> str:
    """Give a ledger that was booked by cheap tables, with settings that name dear ones."""
    path = tmp_path / "usage.db"
    with Engine.open(path, prices=[write_table(tmp_path, CHEAP)]) as engine:
        usage = Usage.from_leaves([(Meter.INPUT, 1_000_001), (Meter.OUTPUT, 7)], billed_usd=Decimal("3.5"))
        engine.record(model="rocket", usage=Usage(input_tokens=1_000_001), at=AT, agent_id="[b]a\u200b", cost_usd="2.5")
        engine.record(model="rocket", usage=usage, at=AT, context={"processing": "batch"}, notional=True)
        engine.record(model="sled", usage=usage, cost_usd="0.1", at=AT)
        engine.record(model="sled", usage=Usage(input_tokens=5), at=AT)
    table = write_table(tmp_path, DEAR)
    (tmp_path / "tokencalc.toml").write_text(f'prices = ["{table.name}"]\n', encoding="utf-8")
    return str(path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def shown(*arguments: str, code: int = 0) -> str:
    result = run(*arguments)
    assert result.exit_code == code, result.output
    assert all(len(line) <= 80 for line in result.stdout.splitlines()), result.stdout
    return result.stdout


def parsed(*arguments: str, code: int = 0) -> Any:
    result = run(*arguments, "--json")
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


EXPLAINED = """\
Charge XXXXXXXX-e1
rocket (acme)
2026-11-10T10:00:00Z, written NOW
agent [b]a\\u200b

meter   quantity  x rate      / per   = amount  card
────────────────────────────────────────────────────
input  1,000,001   $2.00  1,000,000  $2.000002   [1]

sum                                  $2.000002

[1] acme/rocket@2025-01-01: a card of this id has other rates now

Amount: $2.000002
The caller said $2.500000: $0.499998 more than our price.
"""

CORRECTED = """\
Correction XXXXXXXX-e5
rocket (acme)
2026-11-10T10:00:00Z, written NOW
agent [b]a\\u200b

meter   quantity  x rate      / per   = amount  card
────────────────────────────────────────────────────
input  1,000,001   $3.00  1,000,000  $3.000003   [1]

sum                                  $3.000003

[1] acme/rocket@2025-01-01, checked on 2026-11-01
    https://acme.example/prices

Amount: $1.000001 = $3.000003 (the sum) - $2.000002 (counted before)
It corrects charge XXXXXXXX-e1.
"""

REPRICED = """\
entry        model         old        new  difference
─────────────────────────────────────────────────────
XXXXXXXX-e1  rocket  $2.000002  $3.000003   $1.000001

model   charges  filled        old        new  difference
─────────────────────────────────────────────────────────
rocket        1       0  $2.000002  $3.000003   $1.000001

total         1       0  $2.000002  $3.000003   $1.000001

Rate card: acme/rocket@2025-01-01

4 charges: 1 correction would be appended. Nothing was written; --apply does it.

Still without a whole price: 1 charge
"""


def without_names(text: str) -> str:
    """Return the text without the ledger's own id and the time of the test."""
    return re.sub(r"written \S+Z", "written NOW", re.sub(r"\b[0-9a-f]{8}-e", "XXXXXXXX-e", text))


def test_explain_shows_a_sum_to_be_checked_by_hand(ledger: str) -> None:
    assert without_names(shown("explain", "1", "--ledger", ledger)) == EXPLAINED


def test_explain_shows_a_correction_and_what_it_corrects(ledger: str) -> None:
    assert run("reprice", "--since", "2026-11-01", "--apply", "--ledger", ledger).exit_code == 0
    assert without_names(shown("explain", "5", "--ledger", ledger)) == CORRECTED
    both = shown("explain", "1", "--ledger", ledger)
    assert "It was corrected; what counts is the sum:" in both
    assert re.search(r"^sum +\$3.000003$", both, re.MULTILINE)
    assert "The caller said $2.500000: $0.500003 less than our price." in both


@pytest.mark.parametrize(
    ("expected", "entry"),
    [
        ("Amount: $3.500000, what the response says it was billed", "2"),
        ("No price for input, output: acme/rocket@2025-01-01 has no rates for", "2"),
        ("processing=batch, notional: paid by a subscription", "2"),
        ("The response says that it was billed $3.500000; there is no whole price of ours", "2"),
        ("Amount: $0.100000, the caller's figure", "3"),
        ("The caller said $0.100000; there is no whole price of ours", "3"),
        ("No price of ours: no price is known for model 'sled'", "4"),
        ("Amount: unknown; totals and budgets count nothing for it.", "4"),
    ],
)
def test_explain_says_where_an_amount_is_from_and_why_one_is_missing(ledger: str, expected: str, entry: str) -> None:
    assert expected in " ".join(shown("explain", entry, "--ledger", ledger).split())


def test_explain_says_that_the_tables_lost_a_card_and_that_a_line_was_rounded(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    text = write_table(tmp_path, {"lathe": {"compute_second_per_hour": "1"}}).read_text(encoding="utf-8")
    own.write_text(text, encoding="utf-8")
    with Engine.open(tmp_path / "x.db", prices=[own]) as engine:
        engine.record(model="lathe", provider="acme", usage=Usage.from_leaves([(Meter.COMPUTE_SECOND, 1)]))
    text = shown("explain", "1", "--ledger", "x.db")
    assert "$0.000277777778" in text
    assert "Each line is rounded once, half to even, to 12 decimals." in text
    assert "[1] acme/lathe@2025-01-01: the price tables have no card of that id any more" in text


def test_explain_answers_machines_with_every_digit(ledger: str) -> None:
    found = parsed("explain", "1", "--ledger", ledger)
    (line,) = found["entry"]["lines"]
    assert found["schema"] == "tokencalc.explanation/1"
    assert (
        line["meter"], line["quantity"], line["rate"], line["per"], line["amount_usd"],
    ) == ("input", 1_000_001, "2", 1_000_000, "2.000002")  # fmt: skip
    assert (found["lines_usd"], found["caller_cost_usd"], found["caller_gap_usd"]) == ("2.000002", "2.5", "0.499998")
    assert [{"card": line["card"], "is_known": False, "has_other_rates": True}] == [
        {key: card[key] for key in ("card", "is_known", "has_other_rates")} for card in found["cards"]
    ]


def test_reprice_shows_what_it_would_append_and_writes_nothing(ledger: str) -> None:
    text = without_names(shown("reprice", "--since", "2026-11-01", "--ledger", ledger))
    assert text.startswith(REPRICED)
    assert "sled         1  no price is known for model 'sled'" in text
    assert "4 entries" in run("verify", "--ledger", ledger).stdout


def test_reprice_appends_once_and_leaves_a_clean_ledger(ledger: str) -> None:
    arguments = ("reprice", "--since", "2026-11-01", "--ledger", ledger, "--apply")
    assert "4 charges: 1 correction appended." in shown(*arguments)
    assert "4 charges: every amount is what the price tables say now." in shown(*arguments)
    assert "Clean: 5 entries" in run("verify", "--ledger", ledger).stdout
    assert parsed("report", "--by", "model", "--where", "model=rocket", "--ledger", ledger)["total"]["cost_usd"] == (
        "6.500003"
    )


def test_reprice_answers_machines(ledger: str) -> None:
    found = parsed("reprice", "--since", "2026-11-01", "--model", "rocket", "--ledger", ledger)
    (change,) = found["changes"]
    assert (
        found["applied"], found["charges"], found["difference_usd"], found["unpriced"],
    ) == (False, 2, "1.000001", [])  # fmt: skip
    assert (
        change["old_usd"], change["new_usd"], change["difference_usd"], change["cards"], change["correction_id"],
    ) == ("2.000002", "3.000003", "1.000001", ["acme/rocket@2025-01-01"], None)  # fmt: skip
    assert [(row["model"], row["charges"], row["difference_usd"]) for row in found["models"]] == [
        ("rocket", 1, "1.000001")
    ]


def test_reprice_names_what_the_tables_lost(ledger: str, tmp_path: Path) -> None:
    table = write_table(tmp_path, {"rocket": {"output_per_mtok": "1"}})
    (tmp_path / "tokencalc.toml").write_text(f'prices = ["{table.name}"]\n', encoding="utf-8")
    text = shown("reprice", "--since", "2026-11-01", "--ledger", ledger)
    assert "The tables lost the price of these, which keep what was booked: 1 charge" in text


def test_reprice_says_when_there_is_nothing_there(ledger: str) -> None:
    assert shown("reprice", "--since", "2027-01-01", "--ledger", ledger) == "No charges there.\n"


def test_a_long_list_is_cut_and_counted(tmp_path: Path) -> None:
    with Engine.open(tmp_path / "x.db", prices=[write_table(tmp_path, CHEAP)]) as engine:
        engine.record_many({"model": "rocket", "usage": Usage(input_tokens=10**6)} for _ in range(25))
    table = write_table(tmp_path, DEAR)
    (tmp_path / "tokencalc.toml").write_text(f'prices = ["{table.name}"]\n', encoding="utf-8")
    text = shown("reprice", "--since", "2026-01-01", "--ledger", "x.db")
    assert "5 more with smaller differences: see --json." in text
    assert re.search(r"^total +25 +0 +\$50.000000 +\$75.000000 +\$25.000000$", text, re.MULTILINE)
    assert len(parsed("reprice", "--since", "2026-01-01", "--ledger", "x.db")["changes"]) == 25


def test_a_bar_is_drawn_for_many_charges_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    for total, expected in ((100, ""), (5000, "pricing again")):
        with progress_bar("pricing again", least=3000) as progress:
            assert progress is not None
            progress(total // 2, total)
            progress(total, total)
        assert expected in capsys.readouterr().err


@pytest.mark.parametrize(
    ("expected", "arguments"),
    [
        ("Missing argument 'ENTRY'", ("explain",)),
        ("entry '99' is not in this ledger", ("explain", "99")),
        ("entry 'nonsense' is not in this ledger", ("explain", "nonsense")),
        ("Missing option '--since'", ("reprice",)),
        ("since: ", ("reprice", "--since", "soon")),
        ("until: expected an instant after since", ("reprice", "--since", "2026-11-02", "--until", "2026-11-01")),
        ("No such option", ("reprice", "--since", "2026-11-02", "--force")),
        ("model: ", ("reprice", "--since", "2026-11-02", "--model", " ")),
    ],
)
def test_wrong_use_is_one_line_and_exits_with_2(ledger: str, expected: str, arguments: tuple[str, ...]) -> None:
    result = run(*arguments, "--ledger", ledger)
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1), result.output
    assert expected in result.stderr
    assert json.loads(run(*arguments, "--ledger", ledger, "--json").stdout)["message"]


@pytest.mark.parametrize("command", [("explain", "1"), ("reprice", "--since", "2026-01-01")])
def test_a_ledger_that_is_not_there_is_not_made(tmp_path: Path, command: tuple[str, ...]) -> None:
    assert "there is none at missing.db" in run(*command, "--ledger", "missing.db").stderr
    assert not (tmp_path / "missing.db").exists()


@pytest.mark.parametrize(
    ("expected", "amounts"),
    [
        (["$1.000000", "$2.500000"], ("1", "2.5")),
        (["$0.000000000001", "-$1,234.500000000000"], ("0.000000000001", "-1234.5")),
        (["-$0.500000"], ("-0.5",)),
        ([], ()),
    ],
)
def test_exact_amounts_have_every_digit_and_equal_decimals(expected: list[str], amounts: tuple[str, ...]) -> None:
    assert expected == exact_dollars(Decimal(amount) for amount in amounts)
