"""The history of alerts: how often each rule fired, how many are open, how long it took until known and over."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from tests.alerts.helpers import alerts_of
from tests.alerts.test_alerts_by_hand import QUEUE
from tokencalc import Engine
from tokencalc.alerts.history import RuleHistory
from tokencalc.cli.main import main
from tokencalc.clock import instant_text
from tokencalc.config import Settings
from tokencalc.errors import TimeInvalid

if TYPE_CHECKING:
    from pathlib import Path

    from tokencalc.alerts.alerts import Alerts
    from tokencalc.clock import ManualClock


def lived(
    alerts: Alerts, clock: ManualClock, name: str, *, known_s: int | None = None, over_s: int | None = None, feed: str
) -> None:
    """Let an alert begin, and be acknowledged and resolved so many seconds later, each if it is."""
    alert_id = alerts.trigger(name, "it stopped", labels={"feed": feed}).alert_id
    if known_s is not None:
        clock.advance(known_s)
        alerts.acknowledge(alert_id)
    if over_s is not None:
        clock.advance(over_s - (known_s or 0))
        alerts.resolve(alert_id)


def row(rule: str, fired: int, open_now: int, known_s: float | None, over_s: float | None) -> RuleHistory:
    """Return a record by its place."""
    return RuleHistory(rule=rule, fired=fired, open_now=open_now, acknowledge_mean_s=known_s, resolve_mean_s=over_s)


def test_each_rule_has_its_counts_and_means_the_most_frequent_first(engine: Engine, clock: ManualClock) -> None:
    alerts = alerts_of(engine, QUEUE)
    assert alerts.history() == ()
    lived(alerts, clock, "export", feed="1")
    lived(alerts, clock, "import", feed="1", known_s=10, over_s=60)
    lived(alerts, clock, "import", feed="2", known_s=21, over_s=61)
    lived(alerts, clock, "import", feed="3", over_s=62)
    lived(alerts, clock, "import", feed="4", known_s=14)
    for length in (5, 0):
        engine.record_metric("queue_length", length)
        alerts.check()
        clock.advance(30)
    assert alerts.history() == (
        row("import", 4, 1, 15.0, 61.0),
        row("export", 1, 1, None, None),
        row("queue", 1, 0, None, 30.0),
    )


def test_what_fired_before_counts_only_while_it_is_open(engine: Engine, clock: ManualClock) -> None:
    alerts = alerts_of(engine)
    lived(alerts, clock, "old_over", feed="1", known_s=5, over_s=10)
    lived(alerts, clock, "old_open", feed="1", known_s=5)
    clock.advance(1)
    since = clock.now()
    lived(alerts, clock, "new", feed="1", known_s=5, over_s=10)
    expected = (row("new", 1, 0, 5.0, 10.0), row("old_open", 0, 1, None, None))
    assert alerts.history(since) == expected
    assert alerts.history(instant_text(since)) == expected
    assert alerts.history(since=since - timedelta(hours=1))[0].fired == 1
    assert len(alerts.history()) == 3


def test_what_never_fired_is_not_in_it(engine: Engine) -> None:
    waiting = alerts_of(engine, type(QUEUE)(name="q", severity="LOW", condition=QUEUE.condition, for_s=60))
    engine.record_metric("queue_length", 5)
    assert waiting.check() == ()
    assert len(waiting.alerts("pending")) == 1
    assert waiting.history() == ()


def test_what_ended_before_it_began_took_nobody_knows_how_long(engine: Engine, clock: ManualClock) -> None:
    alerts = alerts_of(engine)
    alert = alerts.trigger("import", "it stopped")
    clock.jump_to(clock.now() - timedelta(hours=1))
    alerts.acknowledge(alert.alert_id)
    alerts.resolve(alert.alert_id)
    assert alerts.history() == (row("import", 1, 0, None, None),)


def test_an_instant_without_a_zone_is_refused(engine: Engine) -> None:
    with pytest.raises(TimeInvalid, match="since: "):
        alerts_of(engine).history("2026-11-20T12:00:00")


def test_the_command_shows_a_table_of_eighty_columns_and_json(tmp_path: Path, clock: ManualClock) -> None:
    ledger = str(tmp_path / "usage.db")
    with Engine.open(ledger, clock=clock, settings=Settings()) as engine:
        alerts = alerts_of(engine)
        lived(alerts, clock, f"[red]{'long' * 40}", feed="1", known_s=90)
        lived(alerts, clock, "import", feed="1", known_s=90, over_s=4321)
        lived(alerts, clock, "import", feed="2")
    plain = CliRunner().invoke(main, ["alerts", "history", "--ledger", ledger])
    assert plain.exit_code == 0
    lines = plain.stdout.splitlines()
    assert lines[0].split() == ["rule", "fired", "open", "now", "s", "to", "acknowledge", "s", "to", "resolve"]
    assert lines[2].split() == ["import", "2", "1", "90.0", "4,321.0"]
    assert lines[3].startswith("[red]longlong")
    assert lines[3].split()[1:] == ["1", "1", "90.0", "-"]
    assert max(map(len, lines)) <= 80
    as_json = CliRunner().invoke(main, ["alerts", "history", "--since", "2026-11-20", "--ledger", ledger, "--json"])
    told = json.loads(as_json.stdout)
    assert told["since"] == "2026-11-20T00:00:00Z"
    assert told["rules"][0] == {
        "rule": "import", "fired": 2, "open_now": 1, "acknowledge_mean_s": 90.0, "resolve_mean_s": 4321.0,
    }  # fmt: skip


def test_the_command_says_where_there_is_none(tmp_path: Path) -> None:
    ledger = str(tmp_path / "usage.db")
    Engine.open(ledger).close()
    for said, more in (
        ("No alert fired.", ()),
        ("since 2026-11-20T00:00:00Z, and none is open.", ("--since", "2026-11-20")),
    ):
        found = CliRunner().invoke(main, ["alerts", "history", "--ledger", ledger, *more])
        assert (found.exit_code, found.stdout.strip().endswith(said)) == (0, True)
