"""`tokencalc prices` in process: show, diff, check and update, with real tables and a real folder of accepted ones."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from tokencalc.cli.main import main
from tokencalc.clock import SystemClock

if TYPE_CHECKING:
    from pathlib import Path

OWN = """
provider = "acme"
[sources]
list = "https://example.com/prices"
[[model]]
id = "rocket"
aliases = ["r-1"]
[[model.card]]
effective_from = 2026-01-01
rates = { input_per_mtok = "0.1234567", output_per_mtok = "2", input_audio_second_per_hour = "0.111", output_image_piece_per_piece = "0.04" }
tiers = [{ over_input_tokens = 128000, rates = { input_per_mtok = "0.2", output_per_mtok = "4" } }]
variants = [
  { when = { processing = "batch" }, during = { hours = ["16:30-00:30"], timezone = "Asia/Shanghai" }, rates = { input_per_mtok = "0.05" }, unchanged = ["output"] },
]
multipliers = [{ when = { region = "us" }, factor = "1.1", meters = "tokens" }]
priced_as = { reasoning = "output" }
minimums = { input_audio_second = 10 }
source = ["list"]
checked_on = 2026-01-05
note = "Launch price."
[[model.card]]
effective_from = 2026-06-01
effective_from_known = false
imported = "a set 1.0"
checked_on = 2026-06-02
rates = { input_per_mtok = "0.1", output_per_mtok = "2" }
"""  # noqa: E501  # lists of rates stay on one line

OFFER = """
provider = "acme"
[[model]]
id = "rocket"
[[model.card]]
effective_from = 2026-06-01
rates = { input_per_mtok = "0.1", output_per_mtok = "2.5" }
source = "a letter"
checked_on = 2026-06-02
"""


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TOKENCALC_PRICE_FOLDER", "accepted")
    (tmp_path / "own.toml").write_text(OWN, encoding="utf-8")
    (tmp_path / "offer.toml").write_text(OFFER, encoding="utf-8")


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(main, ["prices", *arguments], input=stdin)


def shown(*arguments: str, code: int = 0) -> str:
    result = run(*arguments)
    assert result.exit_code == code, result.output
    assert all(len(line) <= 80 for line in result.stdout.splitlines() if "/" not in line), result.stdout
    return result.stdout


def parsed(*arguments: str, code: int = 0) -> Any:
    result = run(*arguments, "--json")
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


SHOWN = """\
rocket (acme)
  also called: r-1
  context window: not known; output limit: not known

from 2026-01-01 until 2026-06-01
meter                    rate  for a           applies
────────────────────────────────────────────────────────────────────────────────
input              $0.1234567  million tokens
output                  $2.00  million tokens
input_audio_second     $0.111  hour
output_image_piece      $0.04  image
input                   $0.20  million tokens  from 128,001 input tokens
output                  $4.00  million tokens  from 128,001 input tokens
input                   $0.05  million tokens  processing=batch, 16:30-00:30
                                               Asia/Shanghai
  processing=batch, 16:30-00:30 Asia/Shanghai: ordinary rates for output
  times 1.1 with region=us, on all tokens
  reasoning is priced as output
  input_audio_second: a call is billed for at least 10
  from a table of your own: own.toml
  applies from 2026-01-01: the day is known
  checked on 2026-01-05 against https://example.com/prices
  card: acme/rocket@2026-01-01
  Launch price.

from 2026-06-01
meter   rate  for a           applies
─────────────────────────────────────
input  $0.10  million tokens
output $2.00  million tokens
"""


def test_show_says_everything_that_a_card_says() -> None:
    text = shown("show", "r-1", "--prices", "own.toml")
    assert [" ".join(line.split()) for line in SHOWN.splitlines() if "──" not in line] == [
        " ".join(line.split()) for line in text.splitlines() if "──" not in line
    ][: len([line for line in SHOWN.splitlines() if "──" not in line])]
    assert "  applies from 2026-06-01: the day is not known; no other price is known since" in text
    assert "imported from a set 1.0, of 2026-06-02: nobody compared it with" in text
    assert text.endswith("Before 2026-01-01 the price is unknown.\n")


def test_show_gives_machines_every_digit_and_both_dates() -> None:
    first, second = parsed("show", "rocket", "--prices", "own.toml")["cards"]
    assert first["rates"]["input"] == {"usd": "0.1234567", "per": 1_000_000, "unit": "million tokens"}
    assert first["variants"][0]["during"] == "16:30-00:30 Asia/Shanghai"
    assert (first["minimums"], first["imported"]) == ({"input_audio_second": 10}, None)
    assert (first["applies_until"], first["effective_from_known"]) == ("2026-06-01T00:00:00Z", True)
    assert (second["imported"], second["effective_from_known"], second["checked_on"]) == (
        "a set 1.0",
        False,
        "2026-06-02",
    )


def test_show_at_a_day_without_a_price_says_from_when_one_is_known() -> None:
    result = run("show", "rocket", "--prices", "own.toml", "--at", "2025-12-31")
    assert result.exit_code == 2
    assert "cards begin on 2026-01-01, 2026-06-01" in result.stderr


def test_show_names_a_discount(tmp_path: Path) -> None:
    text = 'provider = "openai"\n[[discount]]\nfactor = "0.88"\neffective_from = 2026-06-01\nnote = "contract 17"\n'
    (tmp_path / "contract.toml").write_text(text, encoding="utf-8")
    text = shown("show", "gpt-4o", "--prices", "contract.toml")
    assert "from 2026-06-01\n" in text
    assert "your discount: x 0.88 since 2026-06-01: contract 17 (contract.toml)" in " ".join(text.split())


DIFF = """\
From 2026-05-01 to 2026-07-01:

model   price                                         old      new   change
rocket  input                                  $0.1234567    $0.10  -19.0 %
rocket  input_audio_second                    $0.111/hour  unknown
rocket  output_image_piece                    $0.04/image  unknown
"""


def test_diff_shows_both_values_and_the_percentage() -> None:
    text = shown("diff", "2026-05-01", "2026-07-01", "--provider", "acme", "--prices", "own.toml")
    lines = [" ".join(line.split()) for line in text.splitlines() if "──" not in line]
    assert [" ".join(line.split()) for line in DIFF.splitlines()] == lines[:6]
    assert "rocket input, from 128,001 input tokens $0.20 $0.10 -50.0 %" in lines
    assert "rocket factor, region=us on tokens 1.1 unknown" in lines
    assert "rocket least, input_audio_second 10 unknown" in lines


def test_diff_lists_what_is_new_and_what_is_gone() -> None:
    payload = parsed("diff", "2025-12-31", "2026-01-01", "-m", "rocket", "--prices", "own.toml")
    assert [card["card_id"] for card in payload["new"]] == ["acme/rocket@2026-01-01"]
    back = parsed("diff", "2026-01-01", "2025-12-31", "-m", "rocket", "--prices", "own.toml")
    assert [card["card_id"] for card in back["ended"]] == ["acme/rocket@2026-01-01"]
    assert "No longer priced: 1 model" in shown(
        "diff", "2026-01-01", "2025-12-31", "-m", "rocket", "--prices", "own.toml"
    )


def test_diff_of_our_own_history_is_exact() -> None:
    payload = parsed("diff", "2025-06-09", "2025-06-10", "--model", "o3")
    found = {
        change["meter"]: (change["old"]["usd"], change["new"]["usd"], change["percent"])
        for change in payload["changed"]
    }
    assert found == {
        "input": ("10", "2", "-80.0"),
        "cache_read": ("2.5", "0.5", "-80.0"),
        "output": ("40", "8", "-80.0"),
    }
    assert "Nothing differs." in shown("diff", "2025-06-10", "2025-06-11", "--model", "o3")


def test_check_is_content_with_ours_and_tells_faults_of_others(tmp_path: Path) -> None:
    assert "0 errors" in shown("check").splitlines()[-1]
    assert shown("check", "own.toml") == "1 table checked: 0 errors, 0 warnings.\n"
    (tmp_path / "bad.toml").write_text(OFFER.replace('"2.5"', "2.5").replace("source", "sauce"), encoding="utf-8")
    payload = parsed("check", "bad.toml", "own.toml", code=1)
    assert (payload["ok"], payload["tables"]) == (False, 2)
    assert [(item["severity"], item["file"]) for item in payload["findings"]] == [("error", "bad.toml")]
    assert "error: bad.toml" in shown("check", "bad.toml", code=1)
    assert "does not exist" in shown("check", "missing.toml", code=1)


def test_update_needs_a_yes_where_nobody_can_be_asked(tmp_path: Path) -> None:
    result = run("update", "offer.toml")
    assert result.exit_code == 2
    assert "nobody can be asked here; look at what changes, then add --yes" in result.stderr
    assert "New: 1 model" in result.stdout
    assert not (tmp_path / "accepted").exists()


def test_an_update_prices_from_then_on_and_says_how_to_undo_it(tmp_path: Path) -> None:
    text = shown("update", "offer.toml", "--yes")
    table = tmp_path / "accepted" / "acme.toml"
    assert f"To undo it, remove {table}." in " ".join(text.split())
    payload = json.loads(
        CliRunner().invoke(main, ["price", "-m", "rocket", "--output-tokens", "1000000", "--json"]).stdout
    )
    assert payload["total_usd"] == "2.5"
    assert "from a table accepted from an update" in shown("show", "rocket")
    assert parsed("show", "rocket")["cards"][0]["is_update"] is True
    doctor = " ".join(CliRunner().invoke(main, ["doctor"]).stdout.split())
    assert "accepted from updates" in doctor
    assert "remove the file to undo them" in doctor
    assert shown("update", "offer.toml", "--yes").endswith("Nothing differs.\n")
    table.unlink()
    assert CliRunner().invoke(main, ["price", "-m", "rocket", "--output-tokens", "1"]).exit_code == 2


def test_check_finds_an_accepted_card_that_was_edited(tmp_path: Path) -> None:
    shown("update", "offer.toml", "--yes")
    table = tmp_path / "accepted" / "acme.toml"
    table.write_text(table.read_text(encoding="utf-8").replace('"2.5"', '"2.4"'), encoding="utf-8")
    (tmp_path / "offer.toml").write_text(OFFER.replace('"2.5"', '"2.4"'), encoding="utf-8")
    for arguments in (("check",), ("check", "offer.toml")):
        findings = parsed(*arguments, code=1)["findings"]
        errors = [item["path"] for item in findings if item["severity"] == "error"]
        assert errors == ["acme/rocket@2026-06-01"]


def test_a_jump_exits_with_3_and_names_each_price(tmp_path: Path) -> None:
    shown("update", "offer.toml", "--yes")
    day = SystemClock().now().date().isoformat()
    grown = (
        OFFER + f'[[model.card]]\neffective_from = {day}\nrates = {{ input_per_mtok = "1", output_per_mtok = "0.2" }}\n'
    )
    (tmp_path / "offer.toml").write_text(grown, encoding="utf-8")
    result = run("update", "offer.toml", "--yes")
    assert result.exit_code == 3
    assert "acme/rocket input $0.1 -> $1, acme/rocket output $2.5 -> $0.2" in result.stderr
    assert parsed("update", "offer.toml", "--yes", code=3)["error"] == "price_jump"
    payload = parsed("update", "offer.toml", "--yes", "--force")
    assert (payload["applied"], len(payload["jumps"])) == (True, 2)
    assert payload["undo"] == f"remove {tmp_path / 'accepted' / 'acme.toml'}"


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        ("is no key here", ("bad.toml", "--yes")),
        ("does not exist", ("missing.toml", "--yes")),
        ("--file goes with genai-prices", ("offer.toml", "--file", "offer.toml")),
        ("not of 'openai'", ("offer.toml", "--provider", "openai")),
        ("genai-prices", ("genai-prices", "--file", "offer.toml")),
    ],
)
def test_an_offer_that_cannot_be_is_refused(message: str, arguments: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text(OFFER.replace("rates", "rates_"), encoding="utf-8")
    result = run("update", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "accepted").exists()


@pytest.mark.parametrize(("code", "answer"), [(0, b"y\n"), (3, b"n\n")])
def test_on_a_terminal_update_asks(code: int, answer: bytes, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "tokencalc", "prices", "update", "offer.toml"]
    with subprocess.Popen(
        command, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
    ) as process:
        os.write(ours, answer)
        _, talk = process.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert (code, code == 0) == (process.returncode, (tmp_path / "accepted" / "acme.toml").exists()), talk
    assert b"Accept these prices?" in talk


def test_a_list_that_was_checked_long_before_the_day_says_its_age() -> None:
    arguments = ["price", "-m", "gpt-4o", "--input-tokens", "10"]
    old = CliRunner().invoke(main, [*arguments, "--at", "2027-03-01"])
    assert "the prices of openai were checked on 2026-" in " ".join(old.stdout.split())
    assert "tokencalc prices update --help" in " ".join(old.stdout.split())
    assert "were checked on" not in CliRunner().invoke(main, [*arguments, "--at", "2026-11-20"]).stdout
    estimate = ["estimate", "-m", "gpt-4o", "hello", "--json", "--at"]
    late, fresh = (
        json.loads(CliRunner().invoke(main, [*estimate, day]).stdout) for day in ("2027-03-01", "2026-11-20")
    )
    assert [note for note in late["notes"] if "days before 2027-03-01" in note]
    assert [note for note in fresh["notes"] if "were checked on" in note] == []


def test_tables_of_ones_own_are_never_stale() -> None:
    arguments = ["price", "-m", "rocket", "--prices", "own.toml", "--input-tokens", "10", "--at", "2030-01-01"]
    assert "were checked on" not in CliRunner().invoke(main, arguments).stdout
