"""A file that is no ledger, or no longer one: a clear error, and the file stays as it was."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

from tests.faults.processes import ROOT, end, line_of, start
from tokencalc import Budget, Engine
from tokencalc.config import Settings
from tokencalc.errors import LedgerCorrupt, LedgerError, LedgerUnavailable, LedgerVersionUnsupported
from tokencalc.ledger import files, sqlite
from tokencalc.ledger.schema import SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def open_engine(ledger: Path) -> Engine:
    """Open the ledger without anybody's settings."""
    return Engine.open(ledger, settings=Settings())


def spend(engine: Engine, calls: int = 1) -> None:
    """Record calls of a cent each."""
    engine.record_many({"model": "acme-1", "cost_usd": "0.01", "agent_id": f"a{number}"} for number in range(calls))


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """Give a closed ledger with 300 entries and a budget."""
    path = tmp_path / "ledger.db"
    with open_engine(path) as engine:
        engine.set_budget(Budget(name="b", limit_usd=100))
        spend(engine, 300)
    return path


def foreign_tables(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE songs (title TEXT)")
        connection.commit()


def foreign_version(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 1")
        connection.commit()


def foreign_application(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA application_id = 77")
        connection.commit()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda path: path.write_text("dear diary\n" * 100),
            "the file is not an SQLite database; it was left as it is",
        ),
        (lambda path: path.write_bytes(bytes(range(256)) * 64), "the file is not an SQLite database"),
        (lambda path: path.write_bytes(b"SQLite format 3\0" + b"\7" * 4080), "file is not a database; it was left as"),
        (lambda path: path.write_bytes(b"SQLite format 3\0"), "file is not a database|the file is cut off"),
        (foreign_tables, "the database belongs to another program .application id 0x0.; it was left as it is"),
        (foreign_version, "the database belongs to another program"),
        (foreign_application, "the database belongs to another program .application id 0x4d."),
    ],
)
def test_what_is_no_ledger_is_refused_and_left_alone(
    tmp_path: Path, make: Callable[[Path], object], message: str
) -> None:
    path = tmp_path / "other.db"
    make(path)
    before = path.read_bytes()
    with pytest.raises(LedgerCorrupt, match=message) as error:
        open_engine(path)
    assert error.value.ledger == str(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["other.db"]


def test_a_ledger_of_a_newer_version_is_refused_and_left_alone(ledger: Path) -> None:
    with closing(sqlite3.connect(ledger)) as connection:
        connection.execute("PRAGMA user_version = 99")
        connection.commit()
    before = ledger.read_bytes()
    with pytest.raises(
        LedgerVersionUnsupported,
        match=f"it has schema version 99, this tokencalc reads up to {SCHEMA_VERSION}; upgrade",
    ) as error:
        open_engine(ledger)
    assert (error.value.found_version, error.value.supported_version) == (99, SCHEMA_VERSION)
    assert ledger.read_bytes() == before


@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.99])
def test_a_truncated_ledger_is_an_error_of_ours_and_never_a_clean_book(ledger: Path, share: float) -> None:
    content = ledger.read_bytes()
    ledger.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(LedgerError, match=r"ledger .*ledger\.db: ") as error:
        look_through(ledger)
    assert isinstance(error.value, LedgerCorrupt | LedgerUnavailable)


def look_through(ledger: Path) -> None:
    """Read everything and write one entry; a damaged ledger must stop this somewhere."""
    with open_engine(ledger) as engine:
        problems = engine.verify().problems
        list(engine.entries())
        spend(engine)
        assert problems == (), "found at least"
        raise AssertionError("the damage was not seen")


@pytest.mark.parametrize("seed", range(12))
def test_flipped_bytes_are_found_or_harm_nothing(ledger: Path, seed: int) -> None:
    places = random.Random(seed)  # noqa: S311  # places of damage, no secrets
    content = bytearray(ledger.read_bytes())
    for _ in range(40):
        content[places.randrange(200, len(content))] ^= 1 << places.randrange(8)
    ledger.write_bytes(content)
    try:
        with open_engine(ledger) as engine:
            clean = engine.verify().ok
            found = [(entry.agent_id, entry.amount_usd) for entry in engine.entries()] if clean else []
    except LedgerError:
        return
    assert not clean or len(found) == 300


def test_a_copy_without_its_log_lacks_the_tail_and_verify_says_so_when_it_knows_the_head(tmp_path: Path) -> None:
    path, copy = tmp_path / "ledger.db", tmp_path / "copy.db"
    with open_engine(path) as engine:
        spend(engine, 10)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copy(path, copy)
        spend(engine, 5)
        head = engine.verify().head
        assert engine.verify(expect=head).ok
    with open_engine(copy) as engine:
        assert engine.verify().ok, "a cut tail leaves no trace in what is left"
        assert engine.verify(expect=head).problems == (
            "entry 15 is expected, the chain ends at 10: its tail was cut off",
        )


def test_a_writer_that_was_killed_leaves_its_log_and_the_next_one_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    worker = start("keep", path, 20)
    acknowledged = [line_of(worker) for _ in range(20)]
    assert line_of(worker) == "ready"
    end(worker)
    assert path.with_name("ledger.db-wal").stat().st_size > 0
    with open_engine(path) as engine:
        assert {entry.entry_id for entry in engine.entries()} == set(acknowledged)
        assert engine.verify().ok


@pytest.mark.parametrize("path", ["", ".", "missing/\0/x.db"])
def test_a_path_that_can_hold_no_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LedgerUnavailable, match=r"cannot be opened \(Is a directory\)|a path holds no null character"):
        Engine.open(path, settings=Settings())


def test_a_new_folder_is_the_owner_s_alone_and_ignored_by_git(tmp_path: Path) -> None:
    path = tmp_path / "new" / "deep" / "ledger.db"
    open_engine(path).close()
    assert (path.parent.stat().st_mode & 0o777, path.stat().st_mode & 0o777) == (0o700, 0o600)
    assert (path.parent / ".gitignore").read_text(encoding="utf-8") == "*\n"


def test_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "file_system", lambda _: "nfs4")
    with pytest.raises(LedgerUnavailable, match=r"it lies on a network file system \(nfs4\).*give a path on a local"):
        open_engine(tmp_path / "ledger.db")
    assert list(tmp_path.iterdir()) == []


def test_a_lock_of_another_program_is_named_and_the_ledger_goes_on_when_it_is_gone(
    ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "_BUSY_TIMEOUT_MS", 20)
    with open_engine(ledger) as engine, closing(sqlite3.connect(ledger, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerUnavailable, match="database is locked; another program holds the database's lock"):
            spend(engine)
        assert engine.report().total.calls == 300, "reading needs no lock"
        other.execute("ROLLBACK")
        spend(engine)
        assert engine.verify().problems == ()


@pytest.mark.parametrize(("spooled", "mode"), [(1, "NORMAL"), (0, "EXCLUSIVE")])
def test_a_program_that_keeps_the_file_to_itself_is_named_in_bounded_time(
    ledger: Path, monkeypatch: pytest.MonkeyPatch, spooled: int, mode: str
) -> None:
    """Another program holds a lock before we open: opening or writing fails, and works when it has gone.

    What could be opened and not written waits in the spool and is there afterwards.
    """
    monkeypatch.setattr(sqlite, "_BUSY_TIMEOUT_MS", 20)
    with closing(sqlite3.connect(ledger, isolation_level=None)) as other:
        other.execute(f"PRAGMA locking_mode = {mode}")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(LedgerUnavailable, match="database is locked; another program holds") as error:
            spend(open_engine(ledger))
        assert error.value.locked
        other.execute("ROLLBACK")
    with open_engine(ledger) as engine:
        spend(engine)
        assert (engine.report().total.calls, engine.verify().problems) == (301 + spooled, ())


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.7, 0.99])
def test_a_ledger_truncated_while_it_is_open_is_an_error_of_ours_and_never_a_clean_book(
    ledger: Path, share: float
) -> None:
    def truncate_and_go_on() -> None:
        with open_engine(ledger) as engine:
            spend(engine)
            os.truncate(ledger, int(ledger.stat().st_size * share))
            for _ in range(3):
                spend(engine)
            list(engine.entries())
            assert engine.verify().problems == (), "found at least"
            pytest.fail("the damage was not seen")

    with pytest.raises(LedgerError, match=r"ledger .*ledger\.db") as error:
        truncate_and_go_on()
    assert isinstance(error.value, LedgerCorrupt | LedgerUnavailable)


@pytest.mark.parametrize("another", ["none", "a copy"])
def test_a_ledger_that_is_removed_or_replaced_while_it_is_open_takes_no_more_money(ledger: Path, another: str) -> None:
    with open_engine(ledger) as engine:
        spend(engine)
        kept = ledger.with_name("kept.db")
        ledger.rename(kept)
        for _ in range(2):
            with pytest.raises(LedgerUnavailable, match="the file was removed, replaced or emptied while it was open"):
                spend(engine)
            with pytest.raises(LedgerUnavailable, match="the file was removed, replaced or emptied while it was open"):
                engine.report()
            if another == "a copy":
                shutil.copy(kept, ledger)
        ledger.unlink(missing_ok=True)
        kept.rename(ledger)
        spend(engine)
        assert (engine.report().total.calls, engine.verify().problems) == (302, ())


def test_two_links_to_one_ledger_are_one_ledger(ledger: Path) -> None:
    link = ledger.with_name("link.db")
    link.symlink_to(ledger)
    with open_engine(ledger) as engine, open_engine(link) as other:
        for _ in range(3):
            spend(engine)
            spend(other)
        assert engine.verify() == other.verify()
        assert engine.report().total.calls == 306
    assert not ledger.with_name("link.db-lock").exists()


AS_NOBODY = """
import os, sys, tempfile
from tokencalc import Engine
from tokencalc.config import Settings
from tokencalc.errors import TokencalcError

def use(ledger):
    with Engine.open(ledger, settings=Settings()) as engine:
        engine.record(model="acme-1", cost_usd=1)

with tempfile.TemporaryDirectory() as folder:
    use(folder + "/ledger.db")  # everything is imported before the rights are given up
if os.getuid() == 0:
    os.setuid(65534)
try:
    use(sys.argv[1])
except TokencalcError as error:
    print(type(error).__name__, error.code, error, sep="|")
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Give a folder that other users may look into; pytest's own are closed to them."""
    with TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.mark.parametrize(
    ("file_mode", "folder_mode"), [(0o444, 0o777), (0o444, 0o555), (0o666, 0o555)], ids=["file", "both", "folder"]
)
def test_a_read_only_ledger_is_an_error_that_says_what_to_do(
    open_folder: Path, file_mode: int, folder_mode: int
) -> None:
    """Rights are taken away for real: root gives its own up, in a process of its own."""
    ledger = open_folder / "ledger.db"
    with open_engine(ledger) as engine:
        spend(engine, 30)
    before = ledger.read_bytes()
    ledger.with_name("ledger.db-lock").unlink()
    ledger.chmod(file_mode)
    open_folder.chmod(folder_mode)
    result = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, str(ledger)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    open_folder.chmod(0o755)
    assert result.stderr == ""
    name, code, message = result.stdout.strip().split("|")
    assert (name, code) == ("LedgerUnavailable", "ledger_unavailable")
    assert "give a path" in message
    assert ledger.read_bytes() == before
    ledger.chmod(0o644)
    with open_engine(ledger) as engine:
        spend(engine)
        assert (engine.verify().ok, engine.report().total.calls) == (True, 31)


def test_the_address_of_a_server_is_no_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LedgerUnavailable, match="'postgresql' ledgers are not in this version") as caught:
        Engine.open("postgresql://user:secret@host/books", settings=Settings())
    assert "secret" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
