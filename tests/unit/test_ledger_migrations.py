"""Migrations: numbered, each with its record in one transaction; older ledgers go on, newer ones are left alone."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import tokencalc.ledger
from tests.alerts.helpers import Inbox
from tokencalc import Engine
from tokencalc.alerts.alerts import Alerts
from tokencalc.alerts.channels import Subscription
from tokencalc.clock import ManualClock
from tokencalc.config import Settings
from tokencalc.errors import LedgerVersionUnsupported, UsageSpooled
from tokencalc.ledger import migrating, schema

MONEY = frozenset(
    {
        "basis", "budget", "budget_period", "clock", "crossing", "dimension", "entry", "excess", "hold", "hold_event",
        "hold_scope", "idempotency", "meta", "migration", "rollup",
    }
)  # fmt: skip
SAMPLES = frozenset({"sample", "sample_drop", "series"})
ALERTS = frozenset({"alert", "outbox"})
GIVEN_UP = (4, "messages that are given up")


@pytest.fixture
def first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a ledger of version 1, with entries: made by the statements of that version, as the first release did."""
    path = tmp_path / "ledger.db"
    with monkeypatch.context() as patch:
        patch.setattr(migrating, "MIGRATIONS", schema.MIGRATIONS[:1])
        patch.setattr(migrating, "SCHEMA_VERSION", 1)
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            migrating.migrate(connection, now_us=7)
    with closing(sqlite3.connect(path)) as connection:
        assert version(connection) == [(1, "the first tables")]
    return path


def version(connection: sqlite3.Connection) -> list[tuple[int, str]]:
    """Return the migrations that a ledger records; its number must be that of the last one."""
    found = connection.execute("SELECT version, description FROM migration ORDER BY version").fetchall()
    assert connection.execute("PRAGMA user_version").fetchone() == (found[-1][0],)
    return found


def tables(path: Path) -> set[str]:
    """Return the names of a ledger's tables."""
    with closing(sqlite3.connect(path)) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def open_engine(path: Path) -> Engine:
    """Open the ledger."""
    return Engine.open(path, clock=ManualClock(), settings=Settings())


def test_a_ledger_of_version_1_goes_on_with_what_it_has(first: Path) -> None:
    with closing(sqlite3.connect(first)) as connection:
        (chain,) = connection.execute("SELECT value FROM meta WHERE key = 'chain_id'").fetchone()
    with open_engine(first) as engine:
        entry = engine.record(model="acme-1", cost_usd=1)
        assert entry.entry_id == f"{chain}-e1"
        assert engine.record_metric("latency_ms", 1)
        assert engine.metric_average("latency_ms") == 1
        assert engine.verify().problems == ()
    with closing(sqlite3.connect(first)) as connection:
        assert version(connection) == [(1, "the first tables"), (2, "samples"), (3, "alerts"), GIVEN_UP]
        assert connection.execute("SELECT applied_us FROM migration WHERE version = 1").fetchone() == (7,)


def test_entries_of_version_1_stay_as_they_are(first: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(migrating, "MIGRATIONS", schema.MIGRATIONS[:1])
        patch.setattr(migrating, "SCHEMA_VERSION", 1)
        engine = open_engine(first)
        head = [engine.record(model="gpt-4o", input_tokens=n) for n in range(5)][-1].digest
        engine.store._close_connections()  # as a killed process: no samples are written at the end
    with open_engine(first) as engine:
        assert engine.verify(expect=f"5:{head}").problems == ()
        assert engine.report().total.input_tokens == 10


def test_a_message_that_waits_in_a_ledger_of_version_3_is_sent_by_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, inbox = tmp_path / "ledger.db", Inbox()
    with monkeypatch.context() as patch:
        patch.setattr(migrating, "MIGRATIONS", schema.MIGRATIONS[:3])
        patch.setattr(migrating, "SCHEMA_VERSION", 3)
        with open_engine(path) as engine:
            Alerts(engine, channels=(Subscription(inbox),)).trigger("import_failed", "it stopped")
    with open_engine(path) as engine:
        assert Alerts(engine, channels=(Subscription(inbox),)).deliver() == (1, {})
    assert inbox.events == ["import_failed firing"]


class Killed(BaseException):
    """Stands for a kill."""


@pytest.mark.parametrize("after", range(6))
def test_a_killed_migration_leaves_version_1_whole(first: Path, after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever statement it is killed after: tables and record come together, or not at all."""
    number, description, statements = schema.MIGRATIONS[1]
    cut = ";".join([*statements.split(";")[:after], "SELECT killed()"])

    def kill() -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(migrating, "MIGRATIONS", (schema.MIGRATIONS[0], (number, description, cut)))
        with closing(sqlite3.connect(first, isolation_level=None)) as connection:
            connection.create_function("killed", 0, kill)
            with pytest.raises(sqlite3.OperationalError, match="user-defined function raised exception"):
                migrating.migrate(connection, now_us=9)
    assert tables(first) >= MONEY
    assert not tables(first) & SAMPLES
    with closing(sqlite3.connect(first)) as connection:
        assert version(connection) == [(1, "the first tables")]
    with open_engine(first) as engine:
        assert engine.record_metric("latency_ms", 1)
    assert tables(first) == MONEY | SAMPLES | ALERTS


def test_an_older_tokencalc_leaves_this_ledger_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ledger.db"
    with open_engine(path) as engine:
        engine.record(model="acme-1", cost_usd=1)
    before = path.read_bytes()
    monkeypatch.setattr(migrating, "SCHEMA_VERSION", 1)
    with pytest.raises(
        LedgerVersionUnsupported, match="it has schema version 4, this tokencalc reads up to 1; upgrade"
    ):
        open_engine(path)
    assert path.read_bytes() == before


def test_a_newer_ledger_is_named_with_its_version(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    open_engine(path).close()
    newer = schema.SCHEMA_VERSION + 1
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {newer}")
    with pytest.raises(LedgerVersionUnsupported, match=f"it has schema version {newer}") as caught:
        open_engine(path)
    assert (newer, schema.SCHEMA_VERSION) == (caught.value.found_version, caught.value.supported_version)


def test_the_tables_are_these_and_migrations_are_numbered_without_a_gap(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    open_engine(path).close()
    assert tables(path) == MONEY | SAMPLES | ALERTS
    assert [number for number, _, _ in schema.MIGRATIONS] == list(range(1, schema.SCHEMA_VERSION + 1))


def test_the_docs_list_every_version_of_the_tables() -> None:
    page = (Path(tokencalc.ledger.__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| (\d+) \| [^|]+ \|$", page, re.MULTILINE)
    assert [int(number) for number in listed] == [number for number, _, _ in schema.MIGRATIONS]


def test_no_statement_deletes_money_or_drops_a_table() -> None:
    package = Path(tokencalc.ledger.__file__).parents[1]
    found = {
        match[1].lower()
        for file in package.rglob("*.py")
        for match in re.finditer(
            r"\b(?:DELETE FROM|DROP TABLE(?: IF EXISTS)?|TRUNCATE)\s+(\w+|\{)", file.read_text(encoding="utf-8")
        )
    }
    assert found == {"alert", "outbox", "sample", "series"}


def test_an_open_engine_leaves_a_ledger_alone_that_a_newer_one_migrated(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with Engine.open(path, clock=ManualClock(), settings=Settings()) as engine:
        hold = engine.reserve(model="gpt-4o", amount_usd=1)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(f"PRAGMA user_version = {schema.SCHEMA_VERSION + 1}")
            before = list(connection.iterdump())
        with pytest.raises(LedgerVersionUnsupported, match=r"has brought it to schema version \d+ while it was open"):
            engine.reserve(model="gpt-4o", amount_usd=1)
        with pytest.raises(UsageSpooled, match="while it was open"):
            engine.settle(hold, input_tokens=10)
        with closing(sqlite3.connect(path)) as connection:
            assert list(connection.iterdump()) == before
