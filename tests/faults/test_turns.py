"""Processes take turns to write: nobody starves, a killed or stopped one harms nobody for longer than is said."""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import subprocess
import sys
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from psutil import Process

from tests.faults.processes import ROOT, end, line_of, start, tell, workers
from tokencalc import Engine
from tokencalc.config import Settings
from tokencalc.errors import LedgerUnavailable, UsageSpooled
from tokencalc.ledger import sqlite
from tokencalc.ledger.turns import WriteLock

if TYPE_CHECKING:
    from pathlib import Path

TURNS_OF_EACH_OTHER = 9
"""How many turns of each other process one that waits may see go by, as docs/budgets.md says."""


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """Give the path of a new ledger."""
    return tmp_path / "ledger.db"


def open_engine(ledger: Path) -> Engine:
    """Open the ledger without anybody's settings."""
    return Engine.open(ledger, settings=Settings())


@pytest.mark.parametrize("processes", [2, 4, 8])
def test_nobody_waits_for_more_turns_of_others_than_is_stated(ledger: Path, processes: int) -> None:
    """Counted from the moment at which a process stands in line; before that nobody can know of it."""
    with workers("turns", ledger, 150 * processes, processes) as started:
        for worker in started:
            assert line_of(worker) == "ready"
        for worker in started:
            tell(worker)
        most = [int(line_of(worker)) for worker in started]
    assert max(most) <= TURNS_OF_EACH_OTHER * (processes - 1)
    assert max(most) > 0, "somebody waited at all"


def test_a_writer_killed_inside_its_transaction_harms_nobody(ledger: Path) -> None:
    """It holds the turn and SQLite's lock, its rows are half written: the kernel takes back both."""
    with open_engine(ledger) as engine:
        kept = engine.record(model="acme-1", cost_usd="0.01").entry_id
        worker = start("inside", ledger)
        try:
            assert line_of(worker) == "ready"
            tell(worker)
            assert line_of(worker) == "inside"
        finally:
            end(worker)
        after = engine.record(model="acme-1", cost_usd="0.01").entry_id
        assert [kept, after] == [entry.entry_id for entry in engine.entries()][::-1]
        assert engine.verify().problems == ()


def test_those_who_were_killed_in_line_hold_nobody_up(ledger: Path) -> None:
    holder = WriteLock(ledger)
    with workers("turns", ledger, 60, 4) as started:
        for worker in started:
            assert line_of(worker) == "ready"
        with closing(holder), holder:
            for worker in started:
                tell(worker)
            for worker in started[:3]:
                end(worker)
        assert int(line_of(started[3])) >= 0
    with open_engine(ledger) as engine:
        engine.record(model="acme-1", cost_usd="0.01")
        assert engine.verify().problems == ()


def test_a_stopped_writer_is_an_error_in_bounded_time_and_all_goes_on_when_it_does(
    ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight threads wait behind a process that was stopped in its transaction; each is told, none waits in turn."""
    monkeypatch.setattr(sqlite, "_BUSY_TIMEOUT_MS", 150)
    with open_engine(ledger) as engine:
        engine.record(model="acme-1", cost_usd="0.01")
        worker = start("inside", ledger)
        try:
            assert line_of(worker) == "ready"
            tell(worker)
            assert line_of(worker) == "inside"
            worker.send_signal(signal.SIGSTOP)
            found: list[str] = []

            def attempt() -> None:
                with pytest.raises(UsageSpooled, match="another process has kept its turn") as error:
                    engine.record(model="acme-1", cost_usd="0.01")
                assert error.value.locked
                found.append(error.value.ledger)

            threads = [threading.Thread(target=attempt) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(30)
            assert found == [str(ledger)] * 8
            assert engine.report().total.calls == 1, "reading needs no turn"
            worker.send_signal(signal.SIGCONT)
            tell(worker)
            assert line_of(worker) == "done"
        finally:
            end(worker)
        for _ in range(20):
            engine.record(model="acme-1", cost_usd="0.01")
        assert engine.report().total.calls == 22, "the stopped one's entry is there too"
        assert engine.read_spool().booked == 8
        assert engine.report().total.calls == 30
        assert engine.verify().problems == ()


@pytest.mark.parametrize("rounds", [30])
def test_an_interrupt_in_line_leaves_the_place_to_nobody(ledger: Path, rounds: int) -> None:
    """A caller interrupted while it waits must neither keep the turn when it comes nor lose its next one."""

    class TooLate(Exception):
        """The caller's alarm."""

    def on_alarm(*_: object) -> None:
        raise TooLate("the caller's patience")

    holder, caller = WriteLock(ledger), WriteLock(ledger)
    before = signal.signal(signal.SIGALRM, on_alarm)
    try:
        for _ in range(rounds):
            with holder:
                signal.setitimer(signal.ITIMER_REAL, 0.002)
                with pytest.raises(TooLate, match="patience"), caller:
                    pytest.fail("the turn was somebody else's")
            with caller:
                pass
            with holder:
                pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        caller.close()
        holder.close()


def test_a_closed_lock_gives_back_the_place_in_line(ledger: Path) -> None:
    """Closing while a thread of ours stands in line must not leave a turn that nobody ends."""
    holder, caller = WriteLock(ledger), WriteLock(ledger, wait_s=0.05)
    with holder:
        with pytest.raises(LedgerUnavailable, match=r"more than 0\.05 s"), caller:
            pytest.fail("the turn was somebody else's")
        caller.close()
    for _ in range(3):
        with holder:
            pass
        with caller:
            pass
    caller.close()
    holder.close()


def test_a_lock_closed_while_it_stands_in_line_touches_no_file_that_is_opened_later(ledger: Path) -> None:
    """The system gives the numbers of closed files to the next that are opened, such as the next lock's own."""
    before = set(threading.enumerate())
    first = WriteLock(ledger, wait_s=0.05)
    gate = os.open(ledger.with_name("ledger.db-lock-a"), os.O_CREAT | os.O_RDWR)
    turn = os.open(ledger.with_name("ledger.db-lock"), os.O_CREAT | os.O_RDWR)
    fcntl.flock(gate, fcntl.LOCK_EX)
    fcntl.flock(turn, fcntl.LOCK_EX)
    with pytest.raises(LedgerUnavailable, match="another process has kept its turn"), first:
        pytest.fail("the turn was somebody else's")
    (standing,) = set(threading.enumerate()) - before
    first.close()
    fcntl.flock(turn, fcntl.LOCK_UN)
    second, third = WriteLock(ledger), WriteLock(ledger, wait_s=5)
    with second:
        pass
    os.close(gate)
    standing.join(timeout=30)
    assert not standing.is_alive()
    with third:
        pass
    for lock in (second, third):
        lock.close()
    os.close(turn)
    assert not [file for file in Process().open_files() if file.path.startswith(f"{ledger}-lock")]


def test_a_process_that_cannot_open_the_gates_is_told_at_once_and_waits_its_turn_later(ledger: Path) -> None:
    holder, caller = WriteLock(ledger), WriteLock(ledger)
    with caller:
        pass
    with holder:
        allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, most))
        try:
            with pytest.raises(OSError, match="Too many open files"), caller:
                pytest.fail("the turn was somebody else's")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, most))
    for lock in (holder, caller, holder):
        with lock:
            pass
    caller.close()
    holder.close()


CROWDED = """
import fcntl, os, sys
turn = os.open(sys.argv[1] + "-lock", os.O_CREAT | os.O_RDWR)
os.pwrite(turn, bytes([int(sys.argv[2]), 1]), 0)
"""


@pytest.mark.parametrize("number", range(5))
def test_what_a_killed_process_left_in_the_lock_s_file_is_harmless(ledger: Path, number: int) -> None:
    """Any round, marked as crowded though nobody stands in line: the next one finds out and clears the mark."""
    subprocess.run([sys.executable, "-c", CROWDED, str(ledger), str(number)], cwd=ROOT, check=True)
    with open_engine(ledger) as engine:
        engine.record(model="acme-1", cost_usd="0.01")
    assert (ledger.with_name("ledger.db-lock")).read_bytes()[1:2] == b"\0"


def test_a_lone_writer_makes_no_gates_and_starts_no_thread(ledger: Path) -> None:
    before = set(threading.enumerate())
    with open_engine(ledger) as engine:
        for _ in range(3):
            engine.record(model="acme-1", cost_usd="0.01")
        assert set(threading.enumerate()) <= before
    assert sorted(file.name for file in ledger.parent.iterdir()) == ["ledger.db", "ledger.db-lock"]


def test_gates_that_another_program_keeps_are_an_error_in_bounded_time(ledger: Path) -> None:
    lock = WriteLock(ledger, wait_s=0.05)
    gate = os.open(ledger.with_name("ledger.db-lock-a"), os.O_CREAT | os.O_RDWR)
    turn = os.open(ledger.with_name("ledger.db-lock"), os.O_CREAT | os.O_RDWR)
    try:
        fcntl.flock(gate, fcntl.LOCK_EX)
        fcntl.flock(turn, fcntl.LOCK_EX)
        with pytest.raises(LedgerUnavailable, match="another process has kept its turn"), lock:
            pytest.fail("the turn was somebody else's")
    finally:
        os.close(gate)
        os.close(turn)
    with lock:
        pass
    lock.close()
