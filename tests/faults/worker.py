"""A process of its own over one ledger file: `python -m tests.faults.worker MODE LEDGER [NUMBER]`.

It prints what the ledger acknowledged, one line each and flushed, so that whoever
kills it knows what must be there afterwards.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tokencalc import Engine
from tokencalc.budgets.booking import book
from tokencalc.config import Settings
from tokencalc.errors import BudgetExceeded, LedgerUnavailable
from tokencalc.ledger.records import Dimension, EntryDraft
from tokencalc.ledger.store import Step
from tokencalc.ledger.turns import WriteLock, _Files

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokencalc.ledger.store import Transaction

MODEL = "acme-1"


def say(line: str) -> None:
    """Print one line at once; a single write, so that threads and forks do not mix theirs."""
    os.write(1, f"{line}\n".encode())


def begin() -> None:
    """Say that this process is ready, and wait for the word to go."""
    say("ready")
    sys.stdin.readline()


def reserve(engine: Engine, attempts: int) -> None:
    """At each word to go, try to hold ten cents so many times for the next project; say how many were admitted."""
    say("ready")
    for number, _ in enumerate(sys.stdin):
        admitted = 0
        for _ in range(attempts):
            try:
                engine.reserve(model=MODEL, amount_usd="0.1", user_id="new", agent_id="a", project=f"p{number}")
            except BudgetExceeded:
                continue
            admitted += 1
        say(str(admitted))


def fork(engine: Engine, forks: int) -> None:
    """Fork under load; parent and children all go on writing with the same engine."""
    stop = threading.Event()
    threads = [threading.Thread(target=_until, args=(engine, stop)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(forks):
        child = os.fork()
        if not child:
            _in_child(partial(_record_thrice, engine, f"child {number}"))
        _record(engine, "parent")
        os.waitpid(child, 0)
    process = multiprocessing.get_context("fork").Process(target=_record, args=(engine, "process"))
    process.start()
    process.join()
    closed, tell_closed = os.pipe()
    child = os.fork()
    if not child:
        _in_child(partial(_outlive_parent, engine, closed))
    stop.set()
    for thread in threads:
        thread.join()
    engine.close()
    os.write(tell_closed, b"!")
    os.waitpid(child, 0)
    say(f"exit={process.exitcode}")


def _outlive_parent(engine: Engine, closed: int) -> None:
    """Write before and after the parent closes the ledger, which must not take the log away."""
    _record(engine, "outliver")
    os.read(closed, 1)
    _record(engine, "outliver")
    engine.close()


def _in_child(work: Callable[[], object]) -> None:
    try:
        work()
    finally:
        os._exit(0)


def _record(engine: Engine, agent: str) -> None:
    say(engine.record(model=MODEL, cost_usd="0.01", agent_id=agent).entry_id)


def _record_thrice(engine: Engine, agent: str) -> None:
    for _ in range(3):
        _record(engine, agent)
    # A child that closed a connection of its parent's would take the parent's log away.
    engine.close()


def _until(engine: Engine, stop: threading.Event) -> None:
    while not stop.is_set():
        _record(engine, "thread")


def keep(engine: Engine, entries: int) -> None:
    """Write so many entries, say so, and stay open until told to end; the log is not folded into the file."""
    for _ in range(entries):
        _record(engine, "a")
    begin()


def inside(engine: Engine, _: int) -> None:
    """Stop in the middle of a transaction, with rows written and not committed, until told to go on."""
    begin()

    def wait(transaction: Transaction) -> None:
        draft = EntryDraft(kind="charge", at_us=transaction.now_us, dimension=Dimension(model=MODEL))
        book(transaction, draft, "overrun")
        transaction.newest_entry_us()  # writes what was appended
        say("inside")
        sys.stdin.readline()

    engine.store.writer.run(Step(wait))
    say("done")


def turns(engine: Engine, number: int) -> None:
    """Take turns until all have had so many; say how many of others went by at most while this one stood in line.

    Turns are counted in a file that only whoever has the turn writes.
    """
    engine.close()
    lock = WriteLock(Path(sys.argv[2]))
    counter = os.open(sys.argv[2] + "-turns", os.O_CREAT | os.O_RDWR)
    most, stood_at = 0, [0]
    join = _Files.set_crowded

    def note(files: _Files, *, crowded: bool) -> None:
        join(files, crowded=crowded)
        if crowded:  # the moment at which a process stands in line
            stood_at[0] = count_of(counter)

    _Files.set_crowded = note  # type: ignore[method-assign, assignment]
    begin()
    now = 0
    while now < number:
        stood_at[0] = number
        with lock:
            now = count_of(counter)
            most = max(most, now - stood_at[0])
            os.pwrite(counter, (now + 1).to_bytes(8, "big"), 0)
            os.fsync(counter)
    lock.close()
    say(str(most))


def count_of(counter: int) -> int:
    """Return how many turns there were."""
    return int.from_bytes(os.pread(counter, 8, 0), "big")


def memory(_: Engine, __: int) -> None:
    """Fork with a ledger in memory: the child is told that it has none, the parent goes on."""
    engine = Engine.open(":memory:", settings=Settings())
    engine.record(model=MODEL, cost_usd="0.01")
    say("parent")
    child = os.fork()
    if not child:
        _in_child(lambda: _refused(engine))
    os.waitpid(child, 0)
    engine.record(model=MODEL, cost_usd="0.01")
    say("parent")


def _refused(engine: Engine) -> None:
    try:
        engine.record(model=MODEL, cost_usd="0.01")
    except LedgerUnavailable as error:
        say(type(error).__name__)


def listen(first: Engine, _: int) -> None:
    """Fork between records: each process's listener hears what its own process booked."""
    path = str(first.path)
    first.close()
    heard = threading.Semaphore(0)

    def tell(event: object) -> None:
        say(f"{name[0]}-{str(getattr(event, 'entry_id', '')).rpartition('-e')[2]}")
        heard.release()

    name = ["parent"]
    engine = Engine.open(path, settings=Settings(), listeners=(tell,))

    def book() -> None:
        engine.record(model=MODEL, cost_usd="0.01")
        heard.acquire(timeout=30)

    def in_child() -> None:
        name[0] = "child"
        book()

    book()
    child = os.fork()
    if not child:
        _in_child(in_child)
    os.waitpid(child, 0)
    book()


def read_spool(engine: Engine, _: int) -> None:
    """Book what waits in the spool when told to, and say how much that was."""
    begin()
    say(str(engine.read_spool().booked))


def open_new(engine: Engine, ledgers: int) -> None:
    """Open so many new ledgers, each at the word to go, and book one call in each."""
    say("ready")
    path = str(engine.path)
    for number in range(ledgers):
        sys.stdin.readline()
        with Engine.open(f"{path}-{number}.db", settings=Settings()) as opened:
            _record(opened, "a")


MODES = {verb.__name__: verb for verb in (reserve, fork, keep, memory, listen, inside, turns, read_spool, open_new)}

if __name__ == "__main__":
    MODES[sys.argv[1]](Engine.open(sys.argv[2], settings=Settings()), int((sys.argv[3:] or ["0"])[0]))
