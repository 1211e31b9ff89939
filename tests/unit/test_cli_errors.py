"""Bad input at the command line: one line on stderr, an object with --json, the right code, never a traceback."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from tokencalc.cli.main import main
from tokencalc.engine import Engine

if TYPE_CHECKING:
    from pathlib import Path

PRICE = ("price", "-m", "gpt-4o")


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


CASES = [
    (2, "No such command 'reprot'; see: tokencalc --help", ("reprot",)),
    (2, r"Missing option '--since'; see: tokencalc reprice --help", ("reprice",)),
    (2, "model: give --model; nothing else names one", ("estimate", "x")),
    (2, "expected an integer from 0 .* found -5", (*PRICE, "--input-tokens", "-5")),
    (2, "'1.5' is not a valid integer", (*PRICE, "--input-tokens", "1.5")),
    (2, "found 9{23}", (*PRICE, "--input-tokens", "9" * 23)),
    (2, "less than its parts cache_read", (*PRICE, "--input-tokens", "1", "--cache-read-tokens", "2")),
    (2, "usage: give --input-tokens", PRICE),
    (2, "model: give --model", ("price", "--input-tokens", "1")),
    (
        2,
        "no price is known for model 'gtp-4o'; the nearest known: gpt-4o",
        ("price", "-m", "gtp-4o", "--input-tokens", "1"),
    ),
    (2, r"found 'gpt\\x1b\[2J'", ("price", "-m", "gpt\x1b[2J", "--input-tokens", "1")),
    (2, "no price is known for 'gpt-4o' of openai at 2020", (*PRICE, "--input-tokens", "1", "--at", "2020-01-01")),
    (2, "'bad' is no condition", (*PRICE, "--input-tokens", "1", "--context", "bad=1")),
    (2, "expected key=value, found 'batch'", (*PRICE, "--input-tokens", "1", "--context", "batch")),
    (2, "text: expected some text to count", ("estimate", "-m", "gpt-4o", "")),
    (2, "nowhere.txt: No such file", ("estimate", "-m", "gpt-4o", "--file", "nowhere.txt")),
    (2, "TEXT or --file, not both", ("estimate", "-m", "gpt-4o", "x", "--file", "y")),
    (2, "give either --request, TEXT or --file", ("estimate", "-m", "gpt-4o", "x", "--request", "list.json")),
    (2, r"list.json: expected a request's body as .* found \[1\]", ("estimate", "--request", "list.json")),
    (2, "bad.db: expected JSON: ", ("estimate", "--request", "bad.db")),
    (2, "max_output_tokens: expected an integer .* found nan", ("estimate", "--request", "limit.json")),
    (2, "ledger: there is none at", ("estimate", "-m", "gpt-4o", "x", "--ledger", "nowhere.db")),
    (1, "the file is not an SQLite database", ("estimate", "-m", "gpt-4o", "x", "--ledger", "bad.db")),
    (2, "ledger: there is none at", ("report",)),
    (2, r"there is none at a\\x1b\[31m\.db", ("report", "--ledger", "a\x1b[31m.db")),
    (2, r"found 'modle'; did you mean model\?", ("report", "--by", "modle", "--ledger", "usage.db")),
    (2, "where: expected one of", ("report", "--where", "colour=red", "--ledger", "usage.db")),
    (2, "--markdown were given; give one", ("report", "--markdown", "--json", "--ledger", "usage.db")),
    (2, "--jsonl and --csv were given; give one", ("report", "--jsonl", "--csv", "--ledger", "usage.db")),
    (
        2,
        "a period or since and until, not both",
        ("report", "--period", "day", "--since", "2026-11-01", "--ledger", "usage.db"),
    ),
    (2, "since: expected an instant", ("report", "--since", "yesterday", "--ledger", "usage.db")),
    (2, "limit_usd: expected a finite decimal", ("budget", "set", "x", "NaN")),
    (2, "budget limit_usd: expected 0 to", ("budget", "set", "x", "--", "-5")),
    (2, "budget scope: expected keys", ("budget", "set", "x", "5", "--scope", "colour=red")),
    (2, "agent_id was given twice", ("budget", "set", "x", "5", "--scope", "agent_id=a", "--scope", "agent_id=b")),
    (2, "alert-at: expected percentages", ("budget", "set", "x", "5", "--alert-at", "most")),
    (2, "budget 'nope' does not exist", ("budget", "status", "nope", "--ledger", "usage.db")),
    (2, "hold 'nope'", ("holds", "release", "nope", "--ledger", "usage.db")),
    (2, "expect: expected a head", ("verify", "--expect", "zzz", "--ledger", "usage.db")),
    (2, "logs: no such file or folder: nowhere", ("import", "nowhere")),
    (2, "logs: Claude Code has left no logs", ("demo", "--logs", "auto")),
    (1, "the file is not an SQLite database; it was left as it is", ("report", "--ledger", "bad.db")),
    (1, "cannot be opened", ("budget", "set", "x", "5", "--ledger", "folder")),
    (2, "did you mean 'model'", (*PRICE, "--input-tokens", "1", "--prices", "misspelt.toml")),
]


@pytest.fixture
def ledgers(tmp_path: Path) -> Path:
    Engine.open(tmp_path / "usage.db").close()
    (tmp_path / "bad.db").write_bytes(b"not a ledger")
    (tmp_path / "folder").mkdir()
    (tmp_path / "list.json").write_text("[1]", encoding="utf-8")
    (tmp_path / "limit.json").write_text('{"model": "gpt-4o", "messages": ["a"], "max_tokens": NaN}', encoding="utf-8")
    (tmp_path / "misspelt.toml").write_text("[[models]]\nx = 1\n", encoding="utf-8")
    return tmp_path


NAMES = [" ".join(case[2])[:40] for case in CASES]


@pytest.mark.parametrize(("code", "message", "arguments"), CASES, ids=NAMES)
def test_a_mistake_is_one_line_and_one_code(code: int, message: str, arguments: tuple[str, ...], ledgers: Path) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == code, result.output
    assert result.stdout == "" or "--json" in arguments
    lines = result.stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].isprintable()
    assert re.match(f"error: .*{message}", lines[0]), lines[0]
    assert (ledgers / "bad.db").read_bytes() == b"not a ledger"


@pytest.mark.parametrize(("code", "message", "arguments"), CASES, ids=NAMES)
@pytest.mark.usefixtures("ledgers")
def test_a_mistake_is_an_object_with_json(code: int, message: str, arguments: tuple[str, ...]) -> None:
    words = 2 if arguments[0] in {"budget", "holds"} else 1
    result = CliRunner().invoke(main, [*arguments[:words], "--json", *arguments[words:]])
    assert result.exit_code == code, result.output
    found = json.loads(result.stdout)
    assert re.search(message, found["message"].replace("\x1b", r"\x1b")), found
    assert found["error"]


def test_no_command_shows_the_help_and_counts_as_a_mistake() -> None:
    result = CliRunner().invoke(main, [])
    assert result.exit_code == 2
    assert "Commands:" in result.stderr


def test_a_damaged_settings_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "tokencalc.toml").write_text("ledgr = 'x'\n", encoding="utf-8")
    result = CliRunner().invoke(main, ["report"])
    assert result.exit_code == 2
    assert "did you mean" in result.stderr
    assert "ledgr" in result.stderr
