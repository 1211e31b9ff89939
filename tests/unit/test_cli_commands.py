"""The commands, in process: what they print for people, what they print as JSON, and their exit codes."""

from __future__ import annotations

import json
import re
import sqlite3
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from tokencalc.budgets.budget import Budget
from tokencalc.cli.main import main
from tokencalc.engine import Engine
from tokencalc.usage import Usage

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def ledger(tmp_path: Path) -> str:
    path = tmp_path / "usage.db"
    with Engine.open(path) as engine:
        for agent, model, at in (
            ("analyzer", "gpt-4o", "2026-11-10T10:00:00Z"),
            ("analyzer", "gpt-4o", "2026-11-11T10:00:00Z"),
            ("[red]evil\u200b[/red]", "gpt-4o", "2026-11-11T11:00:00Z"),
            ("writer", "my-own-model", "2026-11-11T12:00:00Z"),
        ):
            usage = Usage(input_tokens=1000, cache_read_tokens=400, output_tokens=100)
            engine.record(model=model, usage=usage, at=at, agent_id=agent, operation="chat")
    return str(path)


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(main, arguments, input=stdin)


def shown(*arguments: str, stdin: str | None = None, code: int = 0) -> str:
    result = run(*arguments, stdin=stdin)
    assert result.exit_code == code, result.output
    assert all(len(line) <= 80 for line in result.stdout.splitlines() if "/" not in line), result.stdout
    return result.stdout


def parsed(*arguments: str, stdin: str | None = None, code: int = 0) -> Any:
    result = run(*arguments, "--json", stdin=stdin)
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def test_estimate_shows_tokens_cost_and_the_worst_case() -> None:
    text = shown("estimate", "--model", "gpt-4o", "--max-output-tokens", "10", "Explain this function")
    assert "input, exact" in text
    # $10 for a million: 10 tokens of output are $0.0001.
    # The text is sent as a message: 3 tokens and 7 around it.
    assert "At most $0.000125, with 10 tokens of output." in text


@pytest.mark.parametrize("how", ["argument", "stdin", "dash", "file"])
def test_estimate_reads_its_text_from_anywhere(how: str, tmp_path: Path) -> None:
    (tmp_path / "prompt.txt").write_text("Explain this", encoding="utf-8")
    arguments = {"argument": ["Explain this"], "stdin": [], "dash": ["-"], "file": ["--file", "prompt.txt"]}[how]
    payload = parsed("estimate", "-m", "gpt-4o", *arguments, stdin="Explain this")
    assert payload["input_tokens"] == 2 + 7
    assert payload["cost_usd"] == "0.0010225"


TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
SAID = [{"role": "user", "content": "Explain this"}]
TURNS = [{"role": "user", "parts": [{"text": "Explain this"}]}]


@pytest.mark.parametrize(
    ("most", "arguments", "body"),
    [
        (16384, [], {"model": "gpt-4o", "messages": SAID, "tools": [TOOL]}),
        (70, [], {"model": "gpt-4o", "messages": SAID, "tools": [TOOL], "max_completion_tokens": 70}),
        (140, [], {"model": "gpt-4o", "input": "Explain this", "max_output_tokens": 70, "n": 2}),
        (9, ["--max-output-tokens", "9"], {"model": "gpt-4o", "messages": SAID, "max_tokens": 70}),
        (50, ["-m", "gemini-2.5-flash"], {"contents": TURNS, "generationConfig": {"maxOutputTokens": 50}}),
        (60, ["-m", "claude-haiku-4-5"], {"system": "Be brief.", "messages": SAID, "max_tokens": 60}),
    ],
)
@pytest.mark.parametrize("how", ["file", "stdin"])
def test_estimate_reads_a_request_as_it_would_be_sent(
    most: int, arguments: list[str], body: dict[str, Any], how: str, tmp_path: Path
) -> None:
    (tmp_path / "body.json").write_text(json.dumps(body), encoding="utf-8")
    file = {"file": "body.json", "stdin": "-"}[how]
    payload = parsed("estimate", *arguments, "--request", file, stdin=json.dumps(body))
    with Engine.open(":memory:") as engine:
        expected = engine.count(payload["model"], body)
    assert (expected.tokens, expected.high) == (payload["input_tokens"], payload["input_tokens_high"])
    assert most == payload["output_tokens_max"]


def test_estimate_expects_what_the_ledger_s_own_calls_gave_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Engine.open(tmp_path / "usage.db") as engine:
        usage = Usage(input_tokens=10, output_tokens=321)
        engine.record_many({"model": "gpt-4o", "usage": usage, "operation": "review"} for _ in range(30))
    own, asked = ("--ledger", str(tmp_path / "usage.db")), ("estimate", "-m", "gpt-4o", "Explain this")
    assert parsed(*asked)["output_method"] == "table"
    for found in (parsed(*asked, *own), parsed(*asked, "--label", "review", "--operation", "summarization", *own)):
        assert (found["output_tokens"], found["output_method"]) == (321, "ledger")
    assert parsed(*asked, "--operation", "summarization", *own)["output_method"] == "table"
    monkeypatch.setenv("TOKENCALC_LEDGER", str(tmp_path / "usage.db"))
    assert parsed(*asked)["output_method"] == "ledger"


def test_estimate_goes_on_without_a_ledger_that_nobody_named_and_nobody_can_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bad.db").write_bytes(b"not a ledger, and longer than a database's first sixteen bytes")
    monkeypatch.setenv("TOKENCALC_LEDGER", str(tmp_path / "bad.db"))
    result = run("estimate", "-m", "gpt-4o", "Explain this", "--json")
    assert (result.exit_code, json.loads(result.stdout)["output_method"]) == (0, "table")
    assert "The ledger is left out, for it cannot be opened: " in result.stderr


PRICED = """\
gpt-4o (openai), 2026-11-20

meter       quantity              rate       cost
─────────────────────────────────────────────────
input            600   $2.50 a million  $0.001500
cache_read       400   $1.25 a million  $0.000500
output           100  $10.00 a million  $0.001000

total                                   $0.003000

Rate card: openai/gpt-4o@2024-10-02
"""


def test_price_shows_each_line_and_a_total() -> None:
    counts = ("--input-tokens", "1000", "--cache-read-tokens", "400", "--output-tokens", "100")
    assert shown("price", "-m", "gpt-4o", *counts, "--at", "2026-11-20") == PRICED


def test_price_reads_a_response_that_names_its_model() -> None:
    body = {"model": "gpt-4o-2024-08-06", "usage": {"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11}}
    payload = parsed("price", "--file", "-", "--provider", "openai", stdin=json.dumps(body))
    assert payload["total_usd"] == "0.000035"


def test_price_uses_the_card_of_the_day() -> None:
    early = parsed("price", "-m", "gpt-4o", "--input-tokens", "1000000", "--at", "2024-06-01")
    late = parsed("price", "-m", "gpt-4o", "--input-tokens", "1000000", "--at", "2026-11-01")
    assert (early["total_usd"], late["total_usd"]) == ("5", "2.5")


def test_price_takes_a_context() -> None:
    payload = parsed("price", "-m", "gpt-4o", "--input-tokens", "1000000", "--context", "processing=batch")
    assert payload["total_usd"] == "1.25"


def test_an_unpriced_meter_is_told_and_exits_with_5_where_asked() -> None:
    arguments = ("price", "-m", "gpt-4", "--input-tokens", "10", "--cache-read-tokens", "5")
    result = run(*arguments)
    assert result.exit_code == 0
    assert "priced part" in result.stdout
    assert "No price for: cache_read. The total is unknown." in result.stderr
    assert run(*arguments, "--strict-prices").exit_code == 5
    assert parsed(*arguments, "--strict-prices", code=5)["total_usd"] is None


def test_a_report_groups_and_adds_up(ledger: str) -> None:
    payload = parsed("report", "--ledger", ledger, "--by", "agent_id,model")
    assert payload["total_cost_usd"] == "0.009"
    assert {row["agent_id"]: row["cost_usd"] for row in payload["rows"]}["analyzer"] == "0.006"
    assert payload["unpriced_calls"] == 1


def test_a_report_for_people_shows_foreign_names_harmless(ledger: str) -> None:
    text = shown("report", "--ledger", ledger, "--by", "agent_id")
    assert r"[red]evil\u200b[/red]" in text
    assert "unknown" in text
    assert "Not in the total, or only in part: 1 call that could not be priced." in text


def test_a_report_by_day_is_in_order_of_days(ledger: str) -> None:
    text = shown("report", "--ledger", ledger, "--by", "day,agent_id")
    assert text.index("2026-11-10") < text.index("2026-11-11")


def test_a_report_can_be_narrowed_and_cut(ledger: str) -> None:
    assert parsed("report", "--ledger", ledger, "--where", "agent_id=analyzer")["total"]["calls"] == 2
    assert parsed("report", "--ledger", ledger, "--since", "2026-11-11")["total"]["calls"] == 3
    assert "2 more rows" in shown("report", "--ledger", ledger, "--by", "agent_id", "--top", "1")
    assert "Nothing was booked" in shown("report", "--ledger", ledger, "--period", "hour")


def test_the_dearest_rows_are_chosen_before_they_are_put_in_order_of_time(tmp_path: Path) -> None:
    path = str(tmp_path / "days.db")
    with Engine.open(path) as engine:
        for day, cost in enumerate(("1", "5", "2", "9", "3"), start=1):
            engine.record(model="m", cost_usd=cost, at=f"2026-11-0{day}T10:00:00Z")
    lines = shown("report", "--ledger", path, "--by", "day", "--top", "3").splitlines()
    assert [line.split()[:2] for line in lines if line.startswith("2026")] == [
        ["2026-11-02", "$5.000000"],
        ["2026-11-04", "$9.000000"],
        ["2026-11-05", "$3.000000"],
    ]
    assert "2 more rows; leave out --top to see them." in lines


def test_cached_tokens_are_those_that_were_read(tmp_path: Path) -> None:
    path = str(tmp_path / "cache.db")
    with Engine.open(path) as engine:
        usage = Usage(input_tokens=9_000_000, cache_read_tokens=1_576_836, cache_write_5m_tokens=5_000_000)
        engine.record(model="claude-sonnet-4-5", usage=usage)
    (row,) = figures_shown(shown("report", "--ledger", path))
    assert row["cached"] == "1.58M"


def figures_shown(text: str) -> list[dict[str, str]]:
    """The rows of a report's tables, each with the figures that all of them show of it."""
    rows: dict[str, dict[str, str]] = {}
    heads: list[str] = []
    for line in text.splitlines():
        cells = re.split(" {2,}", line.strip())
        if cells[0] in {"provider", "model", "agent"}:
            heads = cells
        elif heads and len(cells) == len(heads):
            rows.setdefault(cells[0], {}).update(zip(heads, cells, strict=True))
    return list(rows.values())


def test_every_figure_of_a_report_is_on_a_screen_of_80_columns(tmp_path: Path) -> None:
    path = str(tmp_path / "usage.db")
    with Engine.open(path) as engine:
        for at in (None, engine.clock.now() - timedelta(days=31)):
            usage = Usage(input_tokens=3000, cache_read_tokens=1000, output_tokens=200)
            engine.record(model="claude-sonnet-4-5", usage=usage, at=at)
    since = (datetime.now(UTC) - timedelta(days=30)).isoformat()
    (row,) = figures_shown(shown("report", "--ledger", path, "--since", since, "--advice"))
    assert row == {
        "provider": "anthropic",
        "model": "claude-sonnet-4-5",
        "cost": "$0.009300",
        "share": "100.0 %",
        "calls": "1",
        "a call": "$0.009300",
        "change": "+0.0 %",
        "saved": "$0.002700",
        "input": "3,000",
        "cached": "1,000",
        "output": "200",
        "out/in": "0.067",
    }
    markdown = run("report", "--ledger", path, "--since", since, "--advice", "--markdown").stdout
    heads, _, total = (markdown.splitlines()[line].strip("| ").split(" | ") for line in (0, 1, 2))
    found = dict(zip(heads, total, strict=True))
    assert (found["Out/in"], found["Change"], found["Saved by caching"]) == ("0.067", "+0.0 %", "$0.002700")


@pytest.mark.parametrize("form", ["--csv", "--jsonl", "--json", "--markdown"])
def test_the_top_rows_are_for_the_screen_and_no_other_form_drops_any(form: str, ledger: str) -> None:
    result = run("report", "--ledger", ledger, form, "--top", "1")
    assert result.exit_code == 2
    assert f"top: {form} has every row, so that they add up; leave out --top" in result.stderr


def test_a_report_exits_with_5_for_unpriced_calls_where_asked(ledger: str) -> None:
    assert run("report", "--ledger", ledger, "--strict-prices").exit_code == 5
    assert run("report", "--ledger", ledger, "--strict-prices", "--where", "model=gpt-4o").exit_code == 0


def test_the_markdown_report_is_whole_and_harmless(ledger: str) -> None:
    result = run("report", "--ledger", ledger, "--markdown")
    assert result.exit_code == 0
    assert "**$0.009000** for 4 calls from 2026-11-10 to 2026-11-11." in result.stdout
    assert r"| `[red]evil\u200b[/red]` |" in result.stdout
    assert "| `my-own-model` | 1 unpriced |" in result.stdout


def test_budgets_are_set_listed_and_shown(ledger: str) -> None:
    shown("budget", "set", "daily", "0.008", "--ledger", ledger, "--scope", "agent_id=analyzer", "--alert-at", "50")
    status = parsed("budget", "status", "daily", "--at", "2026-11-11", "--ledger", ledger)
    assert (status["spent_usd"], status["available_usd"]) == ("0.003", "0.005")
    text = shown("budget", "status", "daily", "--at", "2026-11-11", "--ledger", ledger)
    assert "] 37.5 %" in text
    assert "left                  $0.005000" in text
    listed = parsed("budget", "list", "--ledger", ledger)["budgets"]
    assert [budget["budget"] for budget in listed] == ["daily"]
    assert "daily" in shown("budget", "list", "--ledger", ledger)


def test_a_budget_counts_what_a_subscription_paid_where_it_says_so(ledger: str) -> None:
    shown("budget", "set", "money", "1", "--ledger", ledger)
    shown("budget", "set", "all", "1", "--notional", "--ledger", ledger)
    with Engine.open(ledger) as engine:
        engine.record(model="gpt-4o", cost_usd="0.5", notional=True)
    listed = {status["budget"]: status for status in parsed("budget", "list", "--ledger", ledger)["budgets"]}
    assert (listed["money"]["notional"], listed["money"]["spent_usd"]) == (False, "0")
    assert (listed["all"]["notional"], listed["all"]["spent_usd"]) == (True, "0.5")
    text = shown("budget", "list", "--ledger", ledger)
    assert ("all *" in text, "money *" in text) == (True, False)
    assert "* also counts usage that a subscription paid" in text
    assert "notional usage counted" in " ".join(shown("budget", "status", "all", "--ledger", ledger).split())
    assert "not counted" in shown("budget", "status", "money", "--ledger", ledger)


def test_an_amount_that_does_not_fit_exits_with_3(ledger: str) -> None:
    shown("budget", "set", "daily", "0.5", "--ledger", ledger)
    assert shown("budget", "check", "daily", "0.5", "--ledger", ledger).startswith("It fits: $0.500000")
    assert shown("budget", "check", "daily", "0.500001", "--ledger", ledger, code=3).startswith("It does not fit")
    assert parsed("budget", "check", "daily", "1", "--ledger", ledger, code=3)["allowed"] is False


def test_holds_are_listed_and_released(ledger: str) -> None:
    with Engine.open(ledger) as engine:
        engine.set_budget(Budget(name="daily", limit_usd=1))
        hold = engine.reserve(model="gpt-4o", input_tokens=100, max_output_tokens=10, agent_id="a")
    listed = parsed("holds", "list", "--ledger", ledger)["holds"]
    assert [(found["hold_id"], found["amount_usd"]) for found in listed] == [(hold.hold_id, "0.00035")]
    assert hold.hold_id in shown("holds", "list", "--ledger", ledger)
    assert "$0.000350 is free again" in shown("holds", "release", hold.hold_id, "--ledger", ledger)
    assert shown("holds", "list", "--ledger", ledger) == "No open holds.\n"


def test_verify_is_clean_and_gives_a_head_to_keep(ledger: str) -> None:
    found = parsed("verify", "--ledger", ledger)
    assert (found["ok"], found["entries"]) == (True, 4)
    assert shown("verify", "--ledger", ledger, "--expect", found["head"]).startswith("Clean: 4 entries")


def test_verify_finds_an_edited_entry_and_exits_with_1(ledger: str) -> None:
    with sqlite3.connect(ledger) as connection:
        connection.execute("UPDATE entry SET amount_pico = 1 WHERE sequence = 2")
    connection.close()
    assert shown("verify", "--ledger", ledger, code=1).startswith("NOT clean")
    found = parsed("verify", "--ledger", ledger, code=1)
    assert (found["ok"], bool(found["problems"])) == (False, True)
    assert "verify" in {check["name"] for check in parsed("doctor", "--ledger", ledger, code=1)["checks"]}


def test_a_ledger_from_the_future_is_left_as_it_is(ledger: str) -> None:
    connection = sqlite3.connect(ledger)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    assert parsed("report", "--ledger", ledger, code=1)["error"] == "ledger_version_unsupported"


def test_import_books_each_call_once(ledger: str) -> None:
    first = parsed("import", "sample", "--ledger", ledger)
    second = parsed("import", "sample", "--ledger", ledger)
    assert (first["calls"], 0, first["calls"]) == (first["new"], second["new"], second["known"])
    assert run("import", "auto", "--ledger", ledger).exit_code == 2


def test_import_says_where_notional_calls_count(tmp_path: Path) -> None:
    line = "Notional calls are in reports, and count only in budgets set with --notional."
    assert line in run("import", "sample", "--ledger", str(tmp_path / "own.db")).stdout
    assert line not in run("import", "sample", "--billed", "--ledger", str(tmp_path / "billed.db")).stdout


def test_prices_show_cards_with_dates_and_sources() -> None:
    text = shown("prices", "show", "gpt-4o")
    assert "from 2024-05-13 until 2024-10-02" in text
    assert "checked on" in text
    cards = parsed("prices", "show", "gpt-4o", "--at", "2024-06-01")["cards"]
    assert [card["rates"]["input"]["usd"] for card in cards] == ["5"]


def test_prices_list_every_model_of_a_provider() -> None:
    payload = parsed("prices", "list", "--provider", "anthropic")
    assert {item["model"]["provider"] for item in payload["models"]} == {"anthropic"}
    assert "claude-sonnet-4-5" in shown("prices", "list", "--provider", "anthropic")


SET = """
providers = [Provider(id='openai', models=[
    ModelInfo(id='gpt-4', match=ClauseEquals(equals='gpt-4'),
              prices=ModelPrice(input_mtok=Decimal('30'), output_mtok=Decimal('61'))),
    ModelInfo(id='gpt-4p', match=ClauseEquals(equals='gpt-4p'), prices=ModelPrice(input_mtok=Decimal('1'))),
])]
"""


def test_prices_are_compared_with_a_set_that_is_never_run(tmp_path: Path) -> None:
    path = tmp_path / "data.py"
    path.write_text(f"raise SystemExit\n{SET}", encoding="utf-8")
    arguments = ("prices", "compare", "--with", "genai-prices", "--file", str(path), "--provider", "open-ai")

    payload = parsed(*arguments, "--at", "2026-11-20")

    assert (payload["agreements"], payload["providers"][0]["not_ours"]) == (1, ["gpt-4p"])
    (found,) = payload["differences"]
    assert (found["model"], found["key"], found["ours"], found["theirs"]) == ("gpt-4", "output_per_mtok", "60", "61")
    text = shown(*arguments)
    assert "output_per_mtok: ours 60, theirs 61" in " ".join(text.split())
    assert "1 difference to decide on." in text


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        ("no table of 'nobody'", ("--provider", "nobody")),
        ("is no data of genai-prices: SyntaxError", ()),
        ("does not exist", ("--file", "missing.py")),
    ],
)
def test_a_comparison_that_cannot_be_made_says_why(message: str, arguments: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "data.py"
    path.write_text("(" if not arguments else SET, encoding="utf-8")

    found = run("prices", "compare", "--with", "genai-prices", "--file", str(path), *arguments)

    assert found.exit_code == 2
    assert message in " ".join(found.output.split())


def test_the_doctor_is_content_with_an_empty_home() -> None:
    payload = parsed("doctor")
    assert payload["healthy"] is True
    assert {"tokencalc", "python", "ledger", "prices", "tokenizers", "logs"} <= {c["name"] for c in payload["checks"]}


def test_the_doctor_looks_at_the_ledger_and_at_logs(
    ledger: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = tmp_path / "config" / "projects" / "p"
    logs.mkdir(parents=True)
    (logs / "a.jsonl").write_text("{}\n", encoding="utf-8")
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(tmp_path / "config"))
    text = " ".join(shown("doctor", "--ledger", ledger).split())
    assert "clean, 4 entries" in text
    assert "1 file of Claude Code" in text
    assert "deletes logs after 30 days" in text


def test_the_doctor_finds_a_damaged_ledger(tmp_path: Path) -> None:
    (tmp_path / "bad.db").write_text("not a ledger", encoding="utf-8")
    payload = parsed("doctor", "--ledger", "bad.db", code=1)
    assert [check["name"] for check in payload["checks"] if check["state"] == "bad"] == ["ledger"]


def test_a_budget_above_its_limit_says_by_what(ledger: str) -> None:
    shown("budget", "set", "day of the eleventh", "0.004", "--ledger", ledger)
    with Engine.open(ledger) as engine:
        engine.record(model="gpt-4o", cost_usd="0.01")
    text = shown("budget", "status", "day of the eleventh", "--ledger", ledger)
    assert "above the limit       $0.006000 by record without hold (" in text
    assert "alerts passed         75 %, 90 %, 100 %" in text
