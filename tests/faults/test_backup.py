"""A backup is one moment of the book: whole, checked, holding what was acknowledged before, or not there at all."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.processes import end, line_of, workers
from tokencalc import AsyncEngine, Budget, Engine
from tokencalc.clock import ManualClock
from tokencalc.config import Settings
from tokencalc.errors import CallInvalid, HoldUnknown, LedgerClosed, LedgerCorrupt, LedgerUnavailable
from tokencalc.ledger import backup as backup_module
from tokencalc.ledger.schema import COPIED

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """Give an engine over a file with entries, a hold and budgets."""
    with Engine.open(tmp_path / "ledger.db", clock=ManualClock(), settings=Settings()) as engine:
        fill(engine)
        yield engine


def fill(engine: Engine, entries: int = 50) -> None:
    """Book calls, and set some money aside."""
    engine.set_budget(Budget(name="b", limit_usd=1000, period="total"))
    engine.record_many([{"model": "gpt-4o", "input_tokens": n, "agent_id": f"a{n % 7}"} for n in range(entries)])
    engine.reserve(model="gpt-4o", amount_usd=1)


def contents(path: Path) -> list[str]:
    """Return everything that a database holds, as SQL, but the mark of a copy."""
    with closing(sqlite3.connect(path)) as connection:
        return [line for line in connection.iterdump() if COPIED not in line]


def parts(folder: Path) -> list[str]:
    """Return what is left of unfinished copies."""
    return [path.name for path in folder.iterdir() if ".part-" in path.name]


def test_a_copy_is_the_ledger_and_stands_alone(engine: Engine, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    made = engine.backup(copy)
    assert (made.path, made.entries, made.head) == (copy, 51, engine.verify().head)
    assert made.size_bytes == copy.stat().st_size
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert contents(copy) == contents(tmp_path / "ledger.db")
    assert not (tmp_path / "copy.db-wal").exists()
    assert parts(tmp_path) == []
    with Engine.open(copy, clock=ManualClock(), settings=Settings()) as again:
        assert again.verify(expect=made.head).ok
        assert again.budget_status("b").held_usd == 1
        again.record(model="gpt-4o", input_tokens=1)


def test_a_restored_ledger_calls_no_hold_as_one_that_was_lost(engine: Engine, tmp_path: Path) -> None:
    engine.backup(tmp_path / "copy.db")
    lost = engine.reserve(model="gpt-4o", amount_usd=1)
    with Engine.open(tmp_path / "copy.db", clock=ManualClock(), settings=Settings()) as restored:
        first = restored.reserve(model="gpt-4o", amount_usd=1)
        second = restored.reserve(model="gpt-4o", amount_usd=1)
        assert len({lost.hold_id, first.hold_id, second.hold_id}) == 3
        with pytest.raises(HoldUnknown, match="does not exist in this ledger"):
            restored.release(lost)
        restored.backup(tmp_path / "second.db")
        later = restored.reserve(model="gpt-4o", amount_usd=1)
        assert restored.verify().ok
    with Engine.open(tmp_path / "second.db", clock=ManualClock("2026-11-21"), settings=Settings()) as again:
        assert again.reserve(model="gpt-4o", amount_usd=1).hold_id != later.hold_id


def test_a_ledger_in_memory_can_be_copied_to_a_file(tmp_path: Path) -> None:
    with Engine.open(":memory:", clock=ManualClock(), settings=Settings()) as engine:
        fill(engine)
        made = engine.backup(tmp_path / "copy.db")
        head = engine.verify().head
    with Engine.open(tmp_path / "copy.db", clock=ManualClock(), settings=Settings()) as again:
        assert again.verify(expect=made.head).head == head


def test_what_was_acknowledged_before_is_in_the_copy_and_nobody_waits_for_it(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads write while every page is a step of its own; the copy is one moment of it all the same."""
    monkeypatch.setattr(backup_module, "_STEP_PAGES", 1)
    stop, written = threading.Event(), []

    def write() -> None:
        while not stop.is_set():
            written.append(engine.record(model="gpt-4o", input_tokens=1).sequence)

    threads = [threading.Thread(target=write) for _ in range(3)]
    for thread in threads:
        thread.start()
    steps: list[tuple[int, int]] = []
    while not written:
        pass

    def between(done: int, total: int) -> None:
        steps.append((done, total))
        before = len(written)
        while len(written) == before and len(steps) < 20:  # writers go on between two pages
            pass

    newest = max(written)
    made = engine.backup(tmp_path / "copy.db", progress=between)
    stop.set()
    for thread in threads:
        thread.join()
    assert newest <= made.entries < max(written)
    assert steps[-1][0] == steps[-1][1] > 10
    with Engine.open(tmp_path / "copy.db", clock=ManualClock(), settings=Settings()) as again:
        assert again.verify(expect=made.head).problems == ()
    assert engine.verify(expect=made.head).problems == ()


def test_a_copy_under_writing_processes_verifies(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.db"
    with Engine.open(ledger, settings=Settings()) as engine, workers("keep", ledger, 10**6, 2) as started:
        for number in range(5):
            known = [line_of(worker) for worker in started]
            made = engine.backup(tmp_path / f"copy{number}.db")
            with Engine.open(made.path, settings=Settings()) as again:
                assert again.verify(expect=made.head).problems == ()
                assert set(known) <= {entry.entry_id for entry in again.entries()} | {
                    hold.hold_id for hold in again.holds(limit=10**6)
                }
        for worker in started:
            end(worker)


@pytest.mark.parametrize("place", ["file", "folder", "link", "ledger.db"])
def test_nothing_is_written_over(engine: Engine, tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(CallInvalid, match="exists, and no backup is written over anything"):
        engine.backup(tmp_path / place)
    assert (tmp_path / "file").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(
    ("destination", "message"),
    [
        ("no/such/copy.db", "there is no folder .*; make it first"),
        ("", "expected the path of a new file, found ''"),
        ("a\0b", "expected the path of a new file"),
        (7, "expected the path of a new file, found 7"),
    ],
)
def test_a_destination_that_cannot_be_is_refused(engine: Engine, destination: Any, message: str) -> None:
    with pytest.raises(CallInvalid, match=message):
        engine.backup(destination)


def test_a_file_that_came_meanwhile_stays(engine: Engine, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    with pytest.raises(CallInvalid, match="exists, and no backup"):
        engine.backup(copy, progress=lambda *_: os.close(os.open(copy, os.O_CREAT)))
    assert copy.stat().st_size == 0
    assert parts(tmp_path) == []


def test_a_crash_in_the_middle_leaves_nothing_under_its_name(engine: Engine, tmp_path: Path) -> None:
    def interrupt(*_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match=r"^$"):
        engine.backup(tmp_path / "copy.db", progress=interrupt)
    assert (parts(tmp_path), (tmp_path / "copy.db").exists()) == ([], False)
    child = os.fork()
    if not child:
        engine.backup(tmp_path / "copy.db", progress=lambda *_: os._exit(9))
    os.waitpid(child, 0)
    assert not (tmp_path / "copy.db").exists()
    assert len(parts(tmp_path)) == 1
    assert engine.backup(tmp_path / "copy.db").entries == 51


def test_a_damaged_ledger_is_not_passed_on(engine: Engine, tmp_path: Path) -> None:
    def damage(*_: int) -> None:
        (part,) = parts(tmp_path)
        data = bytearray((tmp_path / part).read_bytes())
        data[4096 * 3 : 4096 * 9] = b"\xff" * 4096 * 6
        (tmp_path / part).write_bytes(data)

    with pytest.raises((LedgerCorrupt, LedgerUnavailable), match=r"copy is not sound|malformed"):
        engine.backup(tmp_path / "copy.db", progress=damage)
    assert (parts(tmp_path), (tmp_path / "copy.db").exists()) == ([], False)


def test_a_closed_engine_makes_no_backup(engine: Engine, tmp_path: Path) -> None:
    engine.close()
    with pytest.raises(LedgerClosed, match="closed"):
        engine.backup(tmp_path / "copy.db")


async def _copied(engine: Engine, path: Path) -> int:
    return (await AsyncEngine(engine).backup(path)).entries


def test_tasks_make_backups_too(engine: Engine, tmp_path: Path) -> None:
    assert asyncio.run(_copied(engine, tmp_path / "copy.db")) == 51
