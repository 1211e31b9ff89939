"""Commands for whoever runs a ledger: backups, and what the doctor says of a spool."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from tests.faults.spoiling import moved_away
from tokencalc import Engine
from tokencalc.cli.main import main
from tokencalc.errors import UsageSpooled
from tokencalc.ledger.spool import Spool

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the path of a ledger with an entry, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "usage.db"
    with Engine.open(path) as engine:
        engine.record(model="gpt-4o", input_tokens=1000)
    return path


def run(*arguments: object) -> Result:
    """Run a command."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def parsed(*arguments: object, code: int = 0) -> Any:
    """Run a command with --json, and return what it prints."""
    result = run(*arguments, "--json")
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def spool_one(ledger: Path) -> None:
    """Let one call wait in the spool."""
    with Engine.open(ledger) as engine, moved_away(engine), pytest.raises(UsageSpooled, match="safe in"):
        engine.record(model="gpt-4o", input_tokens=1000)


def checks(ledger: Path, *, code: int = 0) -> list[tuple[str, str]]:
    """Return the state and the text of what the doctor says of a spool."""
    found = parsed("doctor", "--ledger", ledger, code=code)["checks"]
    return [(check["state"], check["text"]) for check in found if check["name"] == "spool"]


def test_the_doctor_shows_what_waits_and_leaves_it_there(ledger: Path) -> None:
    spool_one(ledger)
    for _ in range(2):
        ((state, text),) = checks(ledger)
        assert (state, text.split(",")[0]) == ("note", "1 call not booked yet")
    assert parsed("report", "--ledger", ledger)["total"]["calls"] == 2
    assert checks(ledger) == []


def test_the_doctor_shows_what_could_not_be_booked(ledger: Path) -> None:
    spool = Spool(ledger)
    spool.path.write_text("torn", encoding="utf-8")
    assert run("report", "--ledger", ledger).exit_code == 0
    ((state, text),) = checks(ledger, code=1)
    assert (state, text.split(",")[0]) == ("bad", "1 call could not be booked")
    assert "the line is damaged: its checksum does not fit; book by hand" in text
    spool.refused_path.unlink()
    assert checks(ledger) == []


def test_the_doctor_says_that_a_spool_cannot_be_read(ledger: Path) -> None:
    Spool(ledger).path.mkdir()
    ((state, text),) = checks(ledger, code=1)
    assert (state, text.split(":")[0]) == ("bad", "cannot be read")


def test_backup_makes_a_ledger_that_verifies_and_tells_its_head(ledger: Path) -> None:
    made = parsed("backup", "copy.db", "--ledger", ledger)
    assert (made["entries"], made["path"]) == (1, str(ledger.with_name("copy.db")))
    assert parsed("verify", "--ledger", "copy.db", "--expect", made["head"])["ok"]
    text = run("backup", "again.db", "--ledger", ledger).stdout
    assert "Copied: 1 entry to" in text
    assert made["head"] in text


def test_backup_refuses_to_overwrite_and_to_copy_what_is_not_there(ledger: Path) -> None:
    assert parsed("backup", ledger, "--ledger", ledger, code=2)["error"] == "call_invalid"
    assert parsed("backup", "copy.db", "--ledger", "none.db", code=2)["error"] == "call_invalid"
    assert not ledger.with_name("copy.db").exists()
