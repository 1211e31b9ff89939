"""`tokencalc monitor`: the screen at 80 columns, live and once, and what it exports."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from contextlib import suppress
from functools import partial
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result
from rich.cells import cell_len
from rich.console import Console

from tests.unit.machines import GB
from tokencalc.alerts.profile import SHIPPED
from tokencalc.alerts.rules import Metric
from tokencalc.budgets.budget import Budget
from tokencalc.cli.main import main
from tokencalc.cli.monitor import live
from tokencalc.cli.monitor_export import overview_document, overview_markdown
from tokencalc.cli.monitor_screen import screen
from tokencalc.clock import ManualClock
from tokencalc.engine import Engine
from tokencalc.jsontext import to_json
from tokencalc.monitor.alert_lines import AlertLine, recent_alerts
from tokencalc.monitor.marks import marks_of, severity_of_crossing
from tokencalc.monitor.overview import Overview, look
from tokencalc.monitor.samples import Sample

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
MARKUP = "[red]a|b`<b>*_[/red]"
EVIL = f"{MARKUP}\u200b\u202e\x1b[2J\r\n"
MACHINE = (
    Sample("system.cpu_share", 0.95),
    Sample("system.cpu_logical_count", 8),
    Sample("system.memory_share", 0.5),
    Sample("system.memory_total_bytes", 16 * GB),
    Sample("system.swap_share", 0.1),
    Sample("system.swap_total_bytes", 2 * GB),
    Sample("system.load_1m", 3.25),
    Sample("system.disk_share", 0.4, {"mount": "/"}),
    Sample("system.disk_share", 0.91, {"mount": "/data"}),
    Sample("limiter.fill", 0.25, {"limiter": "openai/gpt-4o"}),
    Sample("limiter.success_rate", 0.99, {"limiter": "openai/gpt-4o"}),
    Sample("limiter.wait_mean_s", 0.125, {"limiter": "openai/gpt-4o"}),
    Sample("limiter.health", 1, {"limiter": "openai/gpt-4o"}),
    Sample("limiter.retries", 3, {"limiter": "openai/gpt-4o", "attempt": "1"}),
    Sample("breaker.state", 2, {"breaker": "openai/gpt-4o"}),
)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock("2026-11-20T12:00:00Z")


@pytest.fixture
def engine(clock: ManualClock) -> Iterator[Engine]:
    with Engine.open(":memory:", clock=clock) as opened:
        yield opened


def drawn(overview: Overview, *, width: int = 80) -> str:
    """Return the screen as text, and prove that it fits."""
    console = Console(file=StringIO(), width=width)
    with console.capture() as captured:
        console.print(screen(overview))
    lines = captured.get().splitlines()
    assert max(cell_len(line) for line in lines) <= width
    assert all(line.isprintable() for line in lines)
    return "\n".join(lines)


def call(engine: Engine, **more: Any) -> None:
    """Book a call of gpt-4o: a million tokens of input are $2.50."""
    engine.record(**{"model": "gpt-4o", "input_tokens": 1_000_000, "output_tokens": 0, "agent_id": "analyzer", **more})


def test_an_empty_ledger_has_a_screen(engine: Engine) -> None:
    text = drawn(look(engine, host="here"))
    for expected in ("None is set", "Nothing was booked.", "No process has recorded any", "None.", "unknown"):
        assert expected in text


def test_the_screen_shows_budgets_spending_limiters_machine_and_alerts(engine: Engine, clock: ManualClock) -> None:
    engine.set_budget(Budget(name="daily", limit_usd="10", period="day", alert_at=(50, 75, 90)))
    engine.set_budget(Budget(name="roomy", limit_usd="100", period="total"))
    call(engine)
    clock.advance(600)
    call(engine, agent_id="writer")
    call(engine, model="own-model")
    clock.advance(30)
    overview = look(engine, MACHINE, host="here")
    assert (overview.spend.minute_calls, overview.spend.hour_calls) == (2, 3)
    text = drawn(overview)
    for expected in (
        "daily",
        "50.0 % $5.00 of $10.00 11 h left",
        "5.0 %",
        "last minute $2.500000 2 calls",
        "a minute, 1 h $0.083333 3 calls",
        "1 call",
        "analyzer",
        "own-model unknown -",
        "95 % of 8 cores",
        "50 % of 16.0 GB",
        "91 % /data",
        "3.25",
        "openai/gpt-4o",
        "25 % 99 %",
        "0.12 s degraded open",
        "12:10:00 LOW crossed budget daily passed 50 %: $5.000000 of $10.000000",
    ):
        assert expected in " ".join(text.split()), text
    # The budget that is used most stands first.
    assert text.index("daily") < text.index("roomy")


def test_more_than_fits_is_counted(engine: Engine) -> None:
    engine.set_budget(Budget(name="each", limit_usd="10", scope={"agent_id": "*"}))
    for number in range(9):
        call(engine, agent_id=f"agent-{number}", input_tokens=1000 + number)
    samples = [Sample("limiter.fill", 1, {"limiter": f"limiter-{number}"}) for number in range(7)]
    text = drawn(look(engine, samples))
    for expected in ("3 more budgets", "4 more rows", "1 more limiter:"):
        assert expected in text


@pytest.mark.parametrize("width", [80, 60, 200])
def test_foreign_names_are_harmless_on_a_terminal_in_markdown_and_in_json(width: int, engine: Engine) -> None:
    long = "x" * 10_000
    named = Sample("system.disk_share", 0.5, {"mount": f"{EVIL}\x1b[2J{long}"})
    limiter = Sample("limiter.fill", 0.5, {"limiter": f"\x1b]0;title\x07{EVIL}{long}"})
    engine.record(model=MARKUP, cost_usd="1", input_tokens=1, output_tokens=1, agent_id="evil | agent")
    overview = look(engine, (named, limiter), problems=(f"\x1b[31m{EVIL}{long}",), host=f"{EVIL}\n{long}")
    alert = AlertLine(at=overview.made_at, severity="HIGH", state=f"\x1b{EVIL}", text=f"\r{EVIL}{long}")
    overview = Overview(**{**{name: getattr(overview, name) for name in Overview.__slots__}, "alerts": (alert,)})
    text = drawn(overview, width=width)
    assert "\x1b" not in text
    markdown = overview_markdown(overview)
    assert all(line.isprintable() for line in markdown.splitlines())
    assert max(len(line) for line in markdown.splitlines()) < 3000
    # A cell ends nowhere but at its own bars.
    rows = [line for line in markdown.splitlines() if line.startswith("| `` ")]
    assert {line.replace("\\|", "").count("|") for line in rows} <= {3, 5, 8}
    assert json.loads(to_json(overview_document(overview)))["problems"] == [f"\x1b[31m{EVIL}{long}"]


def test_the_document_has_every_digit(engine: Engine) -> None:
    call(engine, input_tokens=1)
    document = json.loads(to_json(overview_document(look(engine, MACHINE, host="here"))))
    assert document["schema"] == "tokencalc.monitor/1"
    assert document["spend"]["day_usd"] == "0.0000025"
    assert document["agents"][0] | {"agent_id": "analyzer", "cost_usd": "0.0000025", "share": "1"} == document[
        "agents"
    ][0] | {"share": "1"}
    assert document["limiters"][0]["breaker"] == "open"
    assert document["resource_metrics"]["disk_percent"] == {"/": 40.0, "/data": 91.0}


def test_live_looks_again_until_it_is_ended(engine: Engine, clock: ManualClock) -> None:
    seen: list[Overview] = []
    waits: list[float] = []

    def look_again() -> Overview:
        seen.append(look(engine, MACHINE))
        return seen[-1]

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        clock.advance(seconds)
        call(engine)
        return len(waits) == 3

    live(look_again, Console(file=StringIO(), width=120), every_s=5, wait=wait)
    assert waits == [5, 5, 5]
    assert [overview.spend.day_calls for overview in seen] == [0, 1, 2]


def test_ctrl_c_ends_live_as_people_end_it(engine: Engine) -> None:
    def interrupted(_: float) -> bool:
        raise KeyboardInterrupt

    file = StringIO()
    live(lambda: look(engine), Console(file=file, force_terminal=True, width=80), every_s=5, wait=interrupted)
    assert "every 5 s, Ctrl-C ends" in file.getvalue()


def full(engine: Engine) -> Overview:
    """Return an overview that has much of everything."""
    for number in range(9):
        engine.set_budget(Budget(name=f"b{number}", limit_usd="10", period="day", alert_at=(50, 75, 90)))
    for number in range(9):
        call(engine, agent_id=f"agent-{number}")
    limiters = [Sample("limiter.fill", 1, {"limiter": f"limiter-{number}"}) for number in range(7)]
    return look(engine, [*MACHINE, *limiters], problems=("a sensor is missing",))


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (60, ""),
        (40, "no room for: Agents, Models"),
        (24, "no room for: Spend, Machine, Limiters, Agents, Models"),
        (20, "no room for: Problems, Spend, Machine, Limiters, Agents, Models"),
        (12, "no room for: Recent alerts, Problems, Spend, Machine, Limiters, Agents, Models"),
    ],
)
def test_what_a_small_terminal_cannot_show_is_said(lines: int, expected: str, engine: Engine) -> None:
    console = Console(file=StringIO(), width=80, height=lines)
    with console.capture() as captured:
        console.print(screen(full(engine), lines=lines))
    shown = captured.get().splitlines()
    assert len(shown) <= lines
    assert (shown[-1] if "no room" in shown[-1] else "") == expected
    assert ("Recent alerts" in captured.get()) or lines < 20


def test_live_says_what_does_not_fit_into_its_terminal(engine: Engine) -> None:
    file = StringIO()
    live(
        lambda: full(engine),
        Console(file=file, force_terminal=True, width=80, height=24),
        every_s=5,
        wait=lambda _: True,
    )
    assert "no room for: Spend, Machine" in file.getvalue()


@pytest.mark.parametrize("metric", ["cpu", "memory", "swap", "disk"])
def test_colours_change_where_the_shipped_rules_do(metric: str) -> None:
    thresholds = [
        rule.threshold
        for rule in SHIPPED
        if isinstance(rule.condition, Metric) and rule.condition.name == f"system.{metric}_share"
    ]
    assert marks_of(f"system.{metric}_share") == tuple(threshold * 100 for threshold in sorted(thresholds))
    assert len(thresholds) == 2


@pytest.mark.parametrize(
    ("expected", "percent"),
    [("LOW", 1), ("LOW", 50), ("MEDIUM", 75), ("HIGH", 90), ("CRITICAL", 100), ("CRITICAL", 500)],
)
def test_a_crossing_is_as_bad_as_its_shipped_rule_says(expected: str, percent: int) -> None:
    assert severity_of_crossing(percent) == expected


def test_only_the_newest_crossings_are_read(engine: Engine, clock: ManualClock) -> None:
    engine.set_budget(Budget(name="each", limit_usd="1", scope={"agent_id": "*"}, alert_at=(50, 75)))
    for number in range(200):
        call(engine, agent_id=f"agent-{number}")
        clock.advance(1)
    steps: list[None] = []
    with engine.store.reading() as connection:
        connection.set_progress_handler(lambda: steps.append(None), 1)
    lines = recent_alerts(engine, 4)
    with engine.store.reading() as connection:
        connection.set_progress_handler(None, 0)
    assert [line.text.split(" ")[3] for line in lines] == ["agent-199", "agent-199", "agent-198", "agent-198"]
    assert 0 < len(steps) < 1000


# the command


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    with Engine.open(tmp_path / "usage.db") as engine:
        engine.set_budget(Budget(name="daily", limit_usd="10", period="day"))
        call(engine)
    return str(tmp_path / "usage.db")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["monitor", *arguments])


@pytest.mark.parametrize("way", [(), ("--once",)])
def test_once_shows_the_screen_and_this_machine(way: tuple[str, ...], ledger: str) -> None:
    result = run(*way, "--ledger", ledger)
    assert result.exit_code == 0, result.output
    assert "25.0 % $2.50 of $10.00" in result.stdout
    assert "memory" in result.stdout
    assert max(len(line) for line in result.stdout.splitlines()) <= 80


@pytest.mark.parametrize("way", [("--json",), ("--export", "json"), ("--export", "json", "--json")])
def test_export_json(way: tuple[str, ...], ledger: str) -> None:
    result = run(*way, "--ledger", ledger)
    document = json.loads(result.stdout)
    assert document["budgets"][0]["spent_usd"] == "2.5"
    assert document["resource_metrics"]["memory_total_gb"] > 0
    assert document["resource_metrics"]["cpu_percent"] is not None


def test_live_with_alerts_records_the_machine_and_tells_the_console_when_the_screen_has_ended(
    ledger: str, request: pytest.FixtureRequest
) -> None:
    with Engine.open(ledger) as engine:
        call(engine, cost_usd="100", model="acme-1")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "tokencalc", "monitor", "--live", "--alerts", "--every", "0.2", "--ledger", ledger]
    environ = {**os.environ, "TERM": "xterm", "PYTHONPATH": str(ROOT)}
    # Who runs tests in the background may have them ignore Ctrl-C, and a process that is started inherits that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(partial(signal.signal, signal.SIGINT, before))
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, text=True, env=environ
    ) as shown:
        os.close(theirs)
        seen = ""
        # An alert on the screen: then it was checked, and told.
        while "firing" not in seen:
            seen += os.read(ours, 4096).decode(errors="replace")
        shown.send_signal(signal.SIGINT)
        with suppress(OSError):  # the other side was closed
            while os.read(ours, 4096):
                pass
        _, said = shown.communicate(timeout=60)
    os.close(ours)
    assert shown.returncode == 0
    assert "[CRITICAL] budget_full" in said
    with Engine.open(ledger) as engine:
        assert list(engine.metric_history("system.memory_share"))


def test_export_markdown(ledger: str) -> None:
    result = run("--export", "markdown", "--ledger", ledger)
    assert result.exit_code == 0, result.output
    assert "| `analyzer` | $2.500000 | 100.0 % | 1 |" in result.stdout


@pytest.mark.parametrize(
    ("way", "expected"),
    [
        (("--live", "--once"), "give one of --live, --once, --export, found --live, --once"),
        (("--live",), "standard output is no terminal; use --once, or --export"),
        (("--record",), "only --live runs long enough to record; add --live"),
        (("--json", "--export", "markdown"), "--json and --export markdown contradict"),
        (("--export", "xml"), "'xml' is not one of 'json', 'markdown'"),
        (("--every", "0"), "0.0 is not in the range"),
        (("--ledger", "missing.db"), "there is none at missing.db"),
    ],
)
def test_a_mistake_says_what_to_do(way: tuple[str, ...], expected: str, ledger: str) -> None:
    result = run(*way, *(() if "--ledger" in way else ("--ledger", ledger)))
    assert result.exit_code == 2
    assert expected in result.stderr


def test_the_capture_for_the_docs_can_be_made_again(tmp_path: Path) -> None:
    picture = tmp_path / "monitor.svg"
    command = [sys.executable, "-m", "scripts.capture_monitor", "--output", str(picture)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    drawn_text = picture.read_text(encoding="utf-8")
    assert "anthropic/claude-sonnet" in drawn_text
    assert "@font-face" not in drawn_text
