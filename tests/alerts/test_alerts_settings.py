"""Rules and channels of tokencalc.toml: what they become, what is refused by its place, secrets that nobody sees."""

from __future__ import annotations

import base64
import json
import re
import ssl
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import trustme
from click.testing import CliRunner, Result

from tests.architecture.test_docs import blocks
from tokencalc import Budget, Engine
from tokencalc.alerts.alerts import Alerts
from tokencalc.alerts.channels import BrokenChannel, ConsoleChannel, FileChannel
from tokencalc.alerts.mail import MailChannel
from tokencalc.alerts.profile import SHIPPED
from tokencalc.alerts.rules import BudgetPassed, Cost, Metric, Ratio
from tokencalc.alerts.settings import channels_from, rules_from
from tokencalc.alerts.webhook import WebhookChannel
from tokencalc.cli.main import main
from tokencalc.config import Settings, load_settings
from tokencalc.errors import ConfigInvalid

PAGE = Path(__file__).parents[2] / "docs" / "alerts.md"
SECRET = b"0123456789abcdefghijklmnopqrstuv"
VARIABLES = {
    "OPS_WEBHOOK_SECRET": f"whsec_{base64.b64encode(SECRET).decode()}",
    "TEAM_WEBHOOK_URL": "https://example.com/services/hunter2",
    "MAIL_PASSWORD": "hunter2",
}
MAIL = "kind = 'email'\nhost = 'h'\nfrom = 'a@example.com'\nto = ['b@example.com']\nuser = 'me'\n"


def settings_of(text: str, folder: Path) -> Settings:
    """Return the settings of a file with this text."""
    (folder / "tokencalc.toml").write_text(text, encoding="utf-8")
    return load_settings(folder, environ={})


def test_the_pages_example_is_read_as_it_says(tmp_path: Path) -> None:
    (text,) = [block.text for block in blocks(PAGE.read_text(encoding="utf-8")) if block.language == "toml"]
    settings = settings_of(text, tmp_path)
    rules = {rule.name: rule for rule in rules_from(settings)}
    assert set(rules) == {rule.name for rule in SHIPPED} - {"swap_high"} | {
        *("slow_search", "search_is_down", "errors", "cost_of_models")
    }
    assert (rules["cost_day"].threshold, rules["cost_day"].severity) == (Decimal(25), "HIGH")
    assert rules["slow_search"].condition == Metric(name="operation.duration_mean_s", labels={"operation": "search"})
    assert (rules["slow_search"].for_s, rules["slow_search"].channels) == (60, ("ops",))
    assert rules["slow_search"].unless == "search_is_down"
    assert isinstance(rules["errors"].condition, Ratio)
    assert rules["errors"].condition.minimum == 10
    assert rules["cost_of_models"].condition == Cost(by=("provider", "model"))
    found = {one.channel.name: one for one in channels_from(settings, environ=VARIABLES)}
    kinds = {"ops": WebhookChannel, "team": WebhookChannel, "mail": MailChannel, "log": FileChannel}
    assert {name: type(one.channel) for name, one in found.items()} == {**kinds, "screen": ConsoleChannel}
    assert found["ops"].least == "HIGH"
    ops, log = found["ops"].channel, found["log"].channel
    assert isinstance(ops, WebhookChannel)
    assert ops.secret == SECRET
    assert isinstance(log, FileChannel)
    assert log.path == tmp_path / "alerts.jsonl"
    assert "hunter2" not in repr(found)
    with Engine.open(":memory:", settings=settings) as engine:
        assert len(Alerts.of(engine, environ=VARIABLES).rules) == len(rules)


@pytest.mark.parametrize(
    ("expected", "table"),
    [
        (r"alert\[0\].name: expected text", "threshold = 1"),
        (r"alert\[0\].treshold: unknown key; did you mean threshold\?", "name = 'r'\ntreshold = 1"),
        (r"alert\[0\]: expected one of metric, ratio, cost_by, budget_percent, found none", "name = 'r'"),
        ("found metric, ratio", "name = 'r'\nmetric = 'm'\nratio = ['a', 'b']"),
        (r"threshold: it is missing", "name = 'r'\nmetric = 'm'"),
        ("operator: expected one of", "name = 'r'\nmetric = 'm'\nthreshold = 1\noperator = 'over'"),
        ("ratio: expected two metrics", "name = 'r'\nratio = ['a']\nthreshold = 1"),
        ("labels: it does not go with cost_by", "name = 'r'\ncost_by = []\nthreshold = 1\nlabels = {}"),
        ("labels: it changes a shipped rule", "name = 'cpu_high'\nlabels = {}"),
        ("unless: no rule is called 'cpu_worst'; there are: budget_75", "name = 'cpu_high'\nunless = 'cpu_worst'"),
        ("for_s: expected none, because only samples prove a time", "name = 'cost_day'\nfor_s = 60"),
        ("no shipped rule has it", "name = 'r'\nenabled = false"),
        ("expected true or false", "name = 'cpu_high'\nenabled = 'no'"),
        (r"budget_percent: expected \[from\]", "name = 'r'\nbudget_percent = 75"),
        ("budget_percent: expected whole percentages", "name = 'r'\nbudget_percent = [90, 80]"),
        ("expected text of 1 to 200 characters", f"name = '{'x' * 10_000}'\nmetric = 'm'\nthreshold = 1"),
        ("labels: expected a mapping", "name = 'r'\nmetric = 'm'\nthreshold = 1\nlabels = 'a'"),
    ],
)
def test_a_rule_that_cannot_be_is_refused_by_its_place(expected: str, table: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match=expected) as caught:
        rules_from(settings_of(f"[[alert]]\n{table}", tmp_path))
    assert len(str(caught.value)) < 1_000
    assert "tokencalc.toml" in str(caught.value)


def test_a_name_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    twice = "[[alert]]\nname = 'cost_day'\nthreshold = 1\n" * 2
    with pytest.raises(ConfigInvalid, match=r"alert\[1\].name: the name 'cost_day' is there twice"):
        rules_from(settings_of(twice, tmp_path))


def test_a_budget_from_a_percentage_on_is_a_rule(tmp_path: Path) -> None:
    (rule,) = [
        rule
        for rule in rules_from(settings_of("[[alert]]\nname = 'r'\nbudget_percent = [120]", tmp_path))
        if rule.name == "r"
    ]
    assert rule.condition == BudgetPassed(from_percent=120)


@pytest.mark.parametrize(
    ("expected", "table"),
    [
        ("kind: expected one of console, file, webhook, email, found 'pager'", "kind = 'pager'"),
        ("kind: expected one of console", "path = 'x'"),
        ("pth: unknown key; did you mean path", "kind = 'file'\npth = 'x'"),
        ("path: expected text", "kind = 'file'"),
        ("url: give url, or the variable", "kind = 'webhook'"),
        ("needs a secret of 24 to 64 bytes", "kind = 'webhook'\nurl = 'https://example.com/'"),
        (
            "secret_env: the variable 'NOT_SET' is not set",
            "kind = 'webhook'\nurl = 'https://example.com/'\nsecret_env = 'NOT_SET'",
        ),
        (
            "the variable 'BAD': expected a secret written whsec_",
            "kind = 'webhook'\nurl = 'https://example.com/'\nsecret_env = 'BAD'",
        ),
        ("format: expected one of standard, slack", "kind = 'webhook'\nurl = 'https://a.example/'\nformat = 'xml'"),
        ("to: expected a list", "kind = 'email'\nhost = 'h'\nfrom = 'a@example.com'\nto = 'b@example.com'"),
        ("password_env: .* is not shown", f"{MAIL}password_env = 'hunter2-my-real-password'"),
        ("password_env: expected text, found '.not shown.'", f"{MAIL}password_env = ['hunter2']"),
        ("secret_env: .* is not shown", "kind='webhook'\nurl='https://a.example/'\nsecret_env='whsec_hunter2/+='"),
        ("url: expected text, found '.not shown.'", "kind = 'webhook'\nurl = ['https://a.example/hunter2']"),
        ("password: unknown key; did you mean password_env", f"{MAIL}password = 'hunter2'"),
        ("min_severity|severity: expected one of", "kind = 'console'\nmin_severity = 'loud'"),
        ("ca_file: no certificates", "kind = 'email'\nhost = 'h'\nfrom = 'a@b.c'\nto = ['b@b.c']\nca_file = 'no.pem'"),
    ],
)
def test_a_channel_that_cannot_be_is_refused_by_its_place(expected: str, table: str, tmp_path: Path) -> None:
    text = f"[channel.ops]\n{table}\n[channel.log]\nkind = 'file'\npath = 'told'"
    ops, log = channels_from(settings_of(text, tmp_path), environ={"BAD": "hunter2!"})
    assert isinstance(ops.channel, BrokenChannel), "it is one channel that fails; the others are as they were"
    assert isinstance(log.channel, FileChannel)
    assert re.search(expected, ops.channel.problem)
    assert "tokencalc.toml: channel.ops" in ops.channel.problem
    assert "hunter2" not in ops.channel.problem


def test_a_channel_with_a_name_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match=r"channel\.: "):
        channels_from(settings_of("[channel.'']\nkind = 'console'", tmp_path), environ={})


def test_certificates_of_your_own_are_read(tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    text = "[channel.ops]\nkind='webhook'\nformat='slack'\nurl='https://localhost/'\nca_file='ca.pem'"
    (found,) = channels_from(settings_of(text, tmp_path), environ={})
    assert isinstance(found.channel, WebhookChannel)
    assert isinstance(found.channel.tls, ssl.SSLContext)


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a ledger whose budget has passed 75 %, and a settings file with one channel beside it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tokencalc.toml").write_text("[channel.log]\nkind = 'file'\npath = 'told.jsonl'\n", encoding="utf-8")
    with Engine.open(tmp_path / "usage.db") as engine:
        engine.set_budget(Budget(name="all", limit_usd="10", period="total", alert_at=(75,)))
        engine.record(model="acme-1", cost_usd="8")
    return tmp_path / "usage.db"


def run(*arguments: object) -> Result:
    """Run a command."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def parsed(*arguments: object, code: int = 0) -> Any:
    """Run a command with --json, and return what it prints."""
    result = run(*arguments, "--json")
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def test_the_commands_deliver_list_acknowledge_and_resolve(ledger: Path, tmp_path: Path) -> None:
    assert run("alerts", "list", "--ledger", ledger).stdout == "No alerts.\n"
    assert "1 alert began or ended, 1 message sent." in run("alerts", "deliver", "--ledger", ledger).stdout
    assert parsed("alerts", "deliver", "--ledger", ledger)["sent"] == 0
    (alert,) = parsed("alerts", "list", "--ledger", ledger)["alerts"]
    assert (alert["rule"], alert["state"], alert["value"]) == ("budget_75", "firing", "8")
    number = alert["alert_id"]
    assert "is acknowledged" in run("alerts", "ack", number, "--by", "ada", "--ledger", ledger).stdout
    shown = run("alerts", "list", "--ledger", ledger).stdout
    assert "MEDIUM" in shown
    assert "by ada]" in " ".join(shown.split())
    assert parsed("alerts", "resolve", number, "--by", "ada", "--ledger", ledger)["resolved_by"] == "ada"
    assert run("alerts", "ack", number, "--ledger", ledger).exit_code == 2
    assert run("alerts", "ack", "x", "--ledger", ledger).exit_code == 2
    assert "channel log: 1 message not delivered yet" in run("alerts", "list", "--ledger", ledger).stderr
    assert parsed("alerts", "deliver", "--ledger", ledger)["sent"] == 1
    told = [json.loads(line)["type"] for line in (tmp_path / "told.jsonl").read_text(encoding="utf-8").splitlines()]
    assert told == ["alert.firing", "alert.resolved"]
    assert parsed("alerts", "list", "--state", "firing", "--ledger", ledger)["alerts"] == []


def test_a_channel_that_fails_is_told_by_the_exit_code(ledger: Path, tmp_path: Path) -> None:
    (tmp_path / "tokencalc.toml").write_text("[channel.log]\nkind = 'file'\npath = 'no/told'\n", encoding="utf-8")
    found = parsed("alerts", "test", "log", "--ledger", ledger, code=1)["channels"]
    assert found == {
        "log": {"ok": False, "problem": "channel log: the file cannot be written: No such file or directory"}
    }
    failed = parsed("alerts", "deliver", "--ledger", ledger, code=1)
    assert failed["waiting"][0]["messages"] == 1
    assert "sent" not in run("alerts", "test", "--ledger", ledger).stdout
    (tmp_path / "no").mkdir()
    assert "sent" in run("alerts", "test", "--ledger", ledger).stdout
    assert run("alerts", "test", "none", "--ledger", ledger).exit_code == 2


def test_the_monitor_checks_and_delivers_where_it_is_asked_to(ledger: Path, tmp_path: Path) -> None:
    overview = parsed("monitor", "--ledger", ledger)
    assert [one["state"] for one in overview["alerts"]] == ["crossed"]
    overview = parsed("monitor", "--alerts", "--ledger", ledger)
    assert [(one["state"], one["severity"]) for one in overview["alerts"]] == [("firing", "MEDIUM")]
    assert (tmp_path / "told.jsonl").exists()


def test_without_a_channel_a_console_is_told(ledger: Path, tmp_path: Path) -> None:
    (tmp_path / "tokencalc.toml").unlink()
    assert "[MEDIUM] budget_75: budget all passed 75 %" in run("alerts", "deliver", "--ledger", ledger).stderr


def test_a_value_is_a_decimal_with_every_digit(ledger: Path) -> None:
    with Engine.open(ledger) as engine:
        (alert,) = Alerts(engine, channels=()).check()
        assert alert.value == Decimal(8)
        assert engine.verify().problems == ()


def test_rules_that_are_offered_are_named_once_also_where_a_table_changes_them(tmp_path: Path) -> None:
    table = "[[alert]]\nname = 'cpu_high'\nunless = 'cpu_worst'"
    with pytest.raises(ConfigInvalid, match="there are: ") as caught:
        rules_from(settings_of(table, tmp_path))
    assert str(caught.value).count("cpu_high") == 1
