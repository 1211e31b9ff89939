"""Own price tables that bear our cards' ids, say nothing of a check, or are broken: what the commands make of them."""

from __future__ import annotations

import json
import re
import shlex
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from tokencalc.cli.main import main
from tokencalc.cli.output import say_wrapped
from tokencalc.engine import Engine
from tokencalc.errors import PriceTableInvalid
from tokencalc.pricing.sets.finding import _installed
from tokencalc.usage import Meter, Usage

if TYPE_CHECKING:
    from pathlib import Path

CARD = "openai/gpt-4o@2024-10-02"
OURS = """
provider = "openai"
[[model]]
id = "gpt-4o"
[[model.card]]
effective_from = FROM
rates = { input_per_mtok = "USD" }
source = "https://contract.example/17"
"""
ACME = """
provider = "acme"
[[model]]
id = "rocket"
[[model.card]]
effective_from = 2026-01-05
rates = { input_per_mtok = "2" }
"""
AT = "2026-11-10T10:00:00Z"


@pytest.fixture(autouse=True)
def _in_a_folder_of_80_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def ledger(tmp_path: Path) -> str:
    path = tmp_path / "usage.db"
    with Engine.open(path) as engine:
        engine.record(model="gpt-4o", usage=Usage(input_tokens=1000), at=AT)
    return str(path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def use_table(folder: Path, text: str) -> None:
    (folder / "own.toml").write_text(text, encoding="utf-8")
    (folder / "tokencalc.toml").write_text('prices = ["own.toml"]\n', encoding="utf-8")


@pytest.mark.parametrize(("start", "usd"), [("2024-10-02", "1"), ("2020-01-01", "1"), ("2024-10-02", "2.50")])
def test_a_line_is_never_explained_by_an_own_card_with_another_rate(
    ledger: str, tmp_path: Path, start: str, usd: str
) -> None:
    use_table(tmp_path, OURS.replace("FROM", start).replace("USD", usd))
    text = run("explain", "1", "--ledger", ledger).stdout
    assert f"[1] {CARD}, " in text
    assert (usd == "2.50") == ("https://contract.example/17" in text)


def test_a_card_whose_rates_cannot_be_those_of_the_line_is_said_so(tmp_path: Path) -> None:
    use_table(tmp_path, ACME)
    with Engine.open("x.db") as engine:
        engine.record(model="rocket", usage=Usage(input_tokens=1000), at=AT)
    use_table(tmp_path, ACME.replace('"2"', '"3"'))
    text = run("explain", "1", "--ledger", "x.db").stdout
    assert "[1] acme/rocket@2026-01-05: a card of this id has other rates now" in text
    assert "source" not in text


def test_a_rate_with_a_discount_is_that_of_its_card(tmp_path: Path) -> None:
    use_table(
        tmp_path,
        'provider = "openai"\n[[discount]]\nfactor = "0.88"\neffective_from = 2026-01-01\nnote = "contract 17"\n',
    )
    with Engine.open("x.db") as engine:
        entry = engine.record(model="gpt-4o", usage=Usage(input_tokens=1000), at=AT)
        assert entry.lines[0].rate == Decimal("2.2")
        assert [card.is_known for card in engine.explain(entry).cards] == [True]


def test_a_check_that_nobody_made_is_never_shown(tmp_path: Path) -> None:
    use_table(tmp_path, ACME)
    with Engine.open("x.db") as engine:
        engine.record(model="rocket", usage=Usage(input_tokens=1000), at=AT)
    assert "not checked; no source given" in run("prices", "show", "rocket", "--prices", "own.toml").stdout
    assert "[1] acme/rocket@2026-01-05, not checked; no source given" in run("explain", "1", "--ledger", "x.db").stdout
    shown = json.loads(run("prices", "show", "rocket", "--prices", "own.toml", "--json").stdout)
    assert shown["cards"][0]["checked_on"] is None
    assert run("prices", "update", "own.toml", "--yes").exit_code == 0
    assert "0001" not in run("doctor").stdout


@pytest.mark.parametrize(
    ("expected", "command"),
    [
        (0, "verify"), (0, "report"), (0, "holds list"), (0, "budget list"), (0, "explain 1"),
        (2, "report --markdown"), (2, "reprice --since 2026-11-01"),
    ],
)  # fmt: skip
def test_a_broken_table_stops_only_what_needs_its_prices(
    ledger: str, tmp_path: Path, expected: int, command: str
) -> None:
    use_table(tmp_path, ACME.replace('"2"', '"two"'))
    result = run(*command.split(), "--ledger", ledger)
    assert expected == result.exit_code, result.output
    assert "own.toml" in result.stderr


def test_a_report_prints_a_command_that_prices_again(tmp_path: Path) -> None:
    path = str(tmp_path / "x.db")
    usage = Usage.from_leaves([(Meter.INPUT, 1000), (Meter.OUTPUT_IMAGE, 1)])
    with Engine.open(path) as engine:
        engine.record(model="gpt-4o", usage=usage, at="2026-11-12T10:00:00Z")
        engine.record(model="rocket", usage=Usage(input_tokens=10**6), at=AT)
    use_table(tmp_path, ACME)
    for span in ((), ("--since", "2026-11-01", "--until", "2026-11-11")):
        text = run("report", "--ledger", path, *span).stdout
        assert ("$0.002500 + ?" in text) == (not span)
        command = re.search(r"^  tokencalc (reprice .*)$", text, re.MULTILINE)
        assert command is not None
        again = run(*shlex.split(command[1]))
        assert again.exit_code == 0, again.output
        assert re.search(r"^rocket +1 +1 +unknown +\$2.000000", again.stdout, re.MULTILINE)


def test_a_misspelt_model_is_named_with_its_nearest(ledger: str) -> None:
    result = run("reprice", "--since", "2026-11-01", "--model", "gpt-4oo", "--ledger", ledger)
    assert "No charge in this time has the model 'gpt-4oo'" in result.stderr
    assert "gpt-4o" in result.stderr.partition("no price is known")[2]
    assert not run("reprice", "--since", "2026-11-11", "--model", "gpt-4o", "--ledger", ledger).stderr


def test_long_remarks_wrap_between_words(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    say_wrapped("Kept on purpose: " + "a price of ours " * 20)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) > 1
    assert all(len(line) <= 80 for line in lines)


def test_a_missing_price_set_names_the_option_and_the_tool_s_argument() -> None:
    with pytest.raises(PriceTableInvalid, match=r"\(--file, or `wheel` in update_pricing\): pip download"):
        _installed("a-set-that-nobody-has", "data.json")
