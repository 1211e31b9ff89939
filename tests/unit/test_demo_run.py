"""The demo on the sample logs: every promised line is there, is true, and the next commands work when pasted."""

from __future__ import annotations

import json
import re
import shlex
import stat
import subprocess
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from tokencalc.cli.main import main
from tokencalc.cli.sample_budgets import sample_limit
from tokencalc.config import Settings
from tokencalc.engine import Engine
from tokencalc.money import decimal_from

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")


def demo(*arguments: str) -> str:
    result = CliRunner().invoke(main, ["demo", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_its_first_line_says_what_it_reads() -> None:
    assert demo().startswith("Reading the sample logs that ship with tokencalc")


def test_it_tells_everything_that_it_promises(tmp_path: Path) -> None:
    text = demo()
    for promised in (
        r"^Total \$[\d.]+ \(notional\), 2026-11-09 to 2026-11-15$",
        r"^Caching saved \$[\d.]+, against the same tokens at the plain input rate\.$",
        r"^Dearest models$",
        r"^\[#+\|#+\.+\|\.+\] 8\d\.\d %   \| alerts at 75, 90, 100 %$",
        r"Alerts passed: 75 %\.",
        r"\$0\.010000 is left\. Refused before it was made\.",
        r"^claude-orion-preview +3  no price is known",
        r"^Prices checked on \d{4}-\d\d-\d\d;",
        r"^Reports: \.tokencalc/report\.md, \.tokencalc/report\.json$",
    ):
        assert re.search(promised, text, re.MULTILINE), promised
    assert all(len(line) <= 80 for line in text.splitlines() if not line.startswith("  /"))
    assert "\x1b" not in text
    assert (tmp_path / ".tokencalc" / "report.md").exists()


def test_its_figures_are_those_of_its_ledger(tmp_path: Path) -> None:
    text = demo()
    document = json.loads((tmp_path / ".tokencalc" / "report.json").read_text(encoding="utf-8"))
    with Engine.open(tmp_path / ".tokencalc" / "sample.db") as engine:
        total = engine.report().total
        entries = list(engine.entries())
        assert engine.verify().ok
    assert document["schema"] == "tokencalc.report/1"
    assert Decimal(document["total"]["cost_usd"]) == total.cost_usd == sum(e.amount_usd or 0 for e in entries)
    for rows in document["by"].values():
        assert sum(Decimal(row["cost_usd"]) for row in rows) == total.cost_usd
    assert document["total"]["unpriced_calls"] == 3
    assert f"{total.calls} calls in" in text


def test_the_screen_and_the_report_show_the_same_shares(tmp_path: Path) -> None:
    text = demo()
    report = (tmp_path / ".tokencalc" / "report.md").read_text(encoding="utf-8")
    shares = re.findall(r"\d+\.\d %", text)
    assert len(shares) == 4
    assert [share for share in shares if f"| {share} |" not in report] == []


def test_its_budgets_count_what_a_subscription_paid() -> None:
    assert "It was set to count notional calls." in " ".join(demo().split())
    budget = json.loads(demo("--json"))["report"]["budgets"][0]
    assert budget["notional"] is True
    assert Decimal(budget["spent_usd"]) > 0


def test_the_refused_call_left_nothing_in_the_ledger(tmp_path: Path) -> None:
    demo()
    with Engine.open(tmp_path / ".tokencalc" / "sample.db") as engine:
        assert engine.holds() == ()
        cap = engine.budget_status("sample cap")
    assert (cap.held_usd, cap.available_usd) == (Decimal(0), Decimal("0.01"))


def test_a_second_run_books_nothing_twice() -> None:
    first, second = demo(), demo()
    assert "0 new in this ledger" in second
    assert [line for line in first.splitlines() if "new in" not in line] == [
        line for line in second.splitlines() if "new in" not in line
    ]


def test_its_folder_is_private_and_stays_out_of_repositories(tmp_path: Path) -> None:
    demo()
    folder = tmp_path / ".tokencalc"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert (folder / ".gitignore").read_text(encoding="utf-8") == "*\n"
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir() if file.name != ".gitignore"} == {0o600}


def test_the_persons_own_ledger_and_budgets_stay_untouched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENCALC_LEDGER", str(tmp_path / "mine.db"))
    (tmp_path / "tokencalc.toml").write_text('[[budgets]]\nname = "mine"\nlimit_usd = "0"\n', encoding="utf-8")
    demo()
    assert not (tmp_path / "mine.db").exists()
    with Engine.open(tmp_path / ".tokencalc" / "sample.db", settings=Settings()) as engine:
        assert {budget.name for budget in engine.budgets()} == {"sample daily", "sample cap"}


def test_other_logs_have_a_ledger_of_their_own(tmp_path: Path) -> None:
    usage = {"input_tokens": 10, "output_tokens": 5}
    message = {"id": "msg_1", "model": "claude-sonnet-4-5", "usage": usage}
    line = {"type": "assistant", "timestamp": "2026-11-12T10:00:00Z", "requestId": "req_1", "message": message}
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    text = demo("--logs", "logs")
    assert text.startswith("Reading logs in logs\n1 call in 1 file, 1 new in this ledger.")
    # 10 x $3 + 5 x $15, for a million each.
    assert "Total $0.000105 (notional), 2026-11-12 to 2026-11-12" in text
    assert "Nothing: every call has a price." in text
    assert len(list((tmp_path / ".tokencalc").glob("logs-*.db"))) == 1


def test_logs_without_any_priced_call_are_no_failure(tmp_path: Path) -> None:
    message = {"id": "m", "model": "my-own-model", "usage": {"input_tokens": 1, "output_tokens": 1}}
    line = {"type": "assistant", "timestamp": "2026-11-12T10:00:00Z", "message": message}
    (tmp_path / "a.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    text = demo("--logs", "a.jsonl")
    assert "None has a price." in text
    assert "my-own-model" in text


def test_the_next_commands_work_when_pasted() -> None:
    commands = [line.strip() for line in demo().splitlines() if line.startswith("  ") and " --l" in line]
    assert len(commands) == 3
    for command in commands[:2]:
        done = subprocess.run(shlex.split(command), capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout


def test_as_json_it_is_one_object() -> None:
    payload = json.loads(demo("--json"))
    assert payload["refusal"]["available_usd"] == "0.01"
    assert payload["report"]["budgets"][0]["alerts_passed"] == [75]


@given(st.integers(min_value=1, max_value=10**16))
def test_the_sample_limit_always_passes_the_first_alert_only(spent_micro_pico: int) -> None:
    spent = decimal_from(f"{spent_micro_pico}e-9", name="spent")
    limit = sample_limit(spent)
    assert Decimal("0.75") <= spent / limit < Decimal("0.9")
    assert len(limit.normalize().as_tuple().digits) <= 2
