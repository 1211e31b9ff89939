"""The ledger in one SQLite file (or in memory): WAL, one writing connection, one reading connection.

``synchronous=FULL`` by default, so that what was acknowledged survives a power
cut; ``durability="normal"`` (by name only) survives a killed process but not a
power cut. Processes that share the file take turns through `WriteLock`. Before a
fork the connections are closed, because a child that closes an inherited one
would take the parent's write-ahead log away.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeVar, get_args

from tokencalc.clock import micros_from_instant
from tokencalc.errors import (
    CallInvalid,
    LedgerClosed,
    LedgerCorrupt,
    LedgerUnavailable,
    TokencalcError,
)
from tokencalc.ledger.files import MEMORY, absolute, prepare_file
from tokencalc.ledger.forks import follow_forks
from tokencalc.ledger.migrating import migrate, one_look, refuse_foreign
from tokencalc.ledger.samples import SampleQueue
from tokencalc.ledger.transaction import SqliteTransaction
from tokencalc.ledger.turns import WriteLock
from tokencalc.ledger.witnesses import WITNESSES
from tokencalc.ledger.writer import GroupWriter, InterruptedAfterCommit, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tokencalc.clock import Clock
    from tokencalc.events import Event
    from tokencalc.ledger.store import Step

Result = TypeVar("Result")

Durability = Literal["full", "normal"]
_BUSY_TIMEOUT_MS = 30_000


class _Batch:
    """What became of the steps of one transaction, and whether it is on disk."""

    __slots__ = ("is_written", "outcomes")

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self.is_written = False


class SqliteStore:
    """One open ledger. `writer` runs steps; `reading` lends a connection for queries."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        clock: Clock,
        durability: Durability = "full",
        tell: Callable[[Sequence[Event]], None] | None = None,
    ) -> None:
        """Open the ledger at ``path`` (made if missing), or one in memory for ``":memory:"``.

        ``tell`` is handed the events of each batch after its callers were answered.
        """
        if durability not in get_args(Durability):
            raise CallInvalid(
                f'durability: expected "full" or "normal", found {durability!r:.60}',
                path="durability",
                found=durability,
            )
        if not isinstance(path, str | os.PathLike):
            raise CallInvalid(f'ledger: expected a path or ":memory:", found {path!r:.60}', path="ledger", found=path)
        self.path = None if str(path) == MEMORY else absolute(path)
        self.name = MEMORY if self.path is None else str(self.path)
        self._clock = clock
        self._synchronous = "FULL" if durability == "full" else "NORMAL"
        self._closed = False
        self._forked_from_memory = False
        self._file: tuple[int, int] | None = None
        self._writing: sqlite3.Connection | None = None
        self._reading: sqlite3.Connection | None = None
        self._is_relaxed = False
        self._lock = WriteLock(self.path, wait_s=_BUSY_TIMEOUT_MS / 1000)
        self._gate, self._reading_gate = threading.Lock(), threading.Lock()
        self._events: list[Event] = []
        self._tell = tell
        self.writer = GroupWriter(self._run_batch, self._announce)
        self.samples = SampleQueue(self, clock)
        if self.path is not None:
            prepare_file(self.path)
        with self._gate:
            self._open_writing()
        self.chain_id = self._transaction.chain_id
        follow_forks(self)

    @property
    def is_closed(self) -> bool:
        """Whether it was closed, or is closing: from then on it raises LedgerClosed."""
        return self.writer.is_closed

    def close(self) -> None:
        """Finish what waits, and close the files; a second close does nothing."""
        if self._closed:
            return
        self.writer.close()
        self.samples.close()
        with self._gate, self._reading_gate:
            self._closed = True
            self._close_connections()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection that sees everything that was acknowledged, and none of what is written meanwhile.

        Errors come as errors of our tree.
        """
        if self.path is None:  # in memory there is one connection, and writers must wait meanwhile
            with self._gate, self._translated(), one_look(self._open_writing()) as connection:
                yield connection
            return
        with self._reading_gate, self._translated():
            if self._closed:
                raise _closed_error()
            self._refuse_replaced()
            if self._reading is None:
                self._reading = self._connect()
                self._reading.execute("PRAGMA query_only = ON")
            with one_look(self._reading) as connection:
                yield connection

    @property
    def size_bytes(self) -> int:
        """Bytes of the ledger's file with its write-ahead log, or of the pages in memory."""
        if self.path is not None:
            parts = (self.path, self.path.with_name(self.path.name + "-wal"))
            return sum(part.stat().st_size for part in parts if part.exists())
        with self.reading() as connection:
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
        return int(pages * page_bytes)

    # batches

    def _run_batch(self, steps: Sequence[Step[Any]]) -> list[Outcome]:
        batch = _Batch()
        try:
            with self._gate, self._translated():
                connection = self._open_writing()
                with self._lock:
                    self._run_locked(connection, steps, batch)
        except BaseException as error:  # bulk: what is on disk must not be run again, whoever raised after it
            self._lock.leave()  # an interrupt may have fallen into its own leaving
            if batch.is_written:
                self._transaction.abandon()
                raise InterruptedAfterCommit(batch.outcomes, error) from None
            raise
        return batch.outcomes

    def _run_locked(self, connection: sqlite3.Connection, steps: Sequence[Step[Any]], batch: _Batch) -> None:
        transaction = self._transaction
        if connection.in_transaction:  # an interrupt fell into the handling of another one
            self._roll_back(connection)
        if self._is_relaxed:  # an interrupt fell into the end of what was done aside: money is synced all the same
            self._sync_again(connection)
        try:
            connection.execute("BEGIN IMMEDIATE")
            keys = [key for step in steps for key in step.idempotency_keys]
            holds = [number for step in steps for number in step.hold_ids]
            transaction.begin(micros_from_instant(self._clock.now()), keys, holds)
            for step in steps:
                try:
                    batch.outcomes.append(Outcome(step.run(transaction)))
                except LedgerCorrupt:  # found at any moment, perhaps after a change: no refusal, all is rolled back
                    raise
                except TokencalcError as refusal:
                    batch.outcomes.append(Outcome(error=refusal))
            transaction.flush()
            connection.execute("COMMIT")
            batch.is_written = True
        except BaseException as error:  # bulk: a batch is rolled back or known as written, whatever happens
            # A signal's handler may raise anything when COMMIT has returned; SQLite's own errors mean that it has not.
            is_over = not connection.in_transaction and len(batch.outcomes) == len(steps)
            batch.is_written = is_over and not isinstance(error, sqlite3.Error)
            self._roll_back(connection)
            raise
        for seen in WITNESSES:
            seen.extend(transaction.written)
        transaction.committed()
        self._events += transaction.events

    def _roll_back(self, connection: sqlite3.Connection) -> None:
        self._transaction.abandon()
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")

    def _announce(self) -> None:
        events, self._events = self._events, []
        if self._tell is not None and events:
            self._tell(events)
        self.samples.after_batch()

    def aside(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Do work that money never waits for: in a transaction of its own, after the others', and not synced by itself.

        Nothing of it can take an entry with it when it fails, and the next entry's sync takes it along.
        """
        try:
            with self._gate, self._translated():
                connection = self._open_writing()
                with self._lock:
                    found = self._do_aside(connection, work)
        except BaseException:  # bulk: an interrupt may have fallen into the lock's own leaving
            self._lock.leave()
            raise
        return found

    def _do_aside(self, connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], Result]) -> Result:
        self._is_relaxed = True
        connection.execute("PRAGMA synchronous = NORMAL")
        try:
            connection.execute("BEGIN IMMEDIATE")
            found = work(connection)
            connection.execute("COMMIT")
        except BaseException:  # bulk: whatever stops it, nothing half done is left to the next batch
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise
        finally:
            self._sync_again(connection)
        return found

    def _sync_again(self, connection: sqlite3.Connection) -> None:
        connection.execute(f"PRAGMA synchronous = {self._synchronous}")
        self._is_relaxed = False

    # connections

    def _open_writing(self) -> sqlite3.Connection:
        if self._closed:
            raise _closed_error()
        if self._forked_from_memory:
            raise LedgerUnavailable(
                "ledger :memory: does not cross a fork; open a file, or open the engine in the child", ledger=MEMORY
            )
        self._refuse_replaced()
        if self._writing is None:
            with self._translated():
                connection = self._connect()
                try:
                    with self._lock:
                        # In turn: of two who switch a new file at once, one is told at once that it is locked.
                        connection.execute("PRAGMA journal_mode = WAL")
                        migrate(connection, now_us=micros_from_instant(self._clock.now()))
                    chain_id = str(self._meta(connection, "chain_id"))
                except BaseException:  # bulk: whatever stops the opening, its connection is not left to the collector
                    connection.close()
                    raise
                self._transaction = SqliteTransaction(connection, chain_id, self.name, is_heard=bool(self._tell))
                self._writing = connection
        return self._writing

    def _refuse_replaced(self) -> None:
        """Refuse to go on in a file that nobody finds any more: what is written there would be lost with us."""
        if self.path is None:
            return
        try:
            found = os.stat(self.path)  # noqa: PTH116  # a third of the time of Path.stat, once a batch
            file = (found.st_dev, found.st_ino) if found.st_size or self._file is None else None
        except OSError:
            file = None
        if self._file is None:
            self._file = file
        elif file != self._file:
            raise LedgerUnavailable(
                f"ledger {self.name}: the file was removed, replaced or emptied while it was open, and nothing is "
                "written into one that nobody finds; put it back, or open the engine again to start with what is there",
                ledger=self.name,
            )

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            MEMORY if self.path is None else self.path,
            timeout=_BUSY_TIMEOUT_MS / 1000,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=512,
        )
        try:
            self._set_up(connection)
        except BaseException:  # bulk: whatever stops the opening, its connection is not left to the collector
            connection.close()
            raise
        return connection

    def _set_up(self, connection: sqlite3.Connection) -> None:
        refuse_foreign(connection, self.name)
        connection.execute(f"PRAGMA synchronous = {self._synchronous}")
        if self._synchronous == "FULL":
            # On macOS an ordinary fsync leaves data in the drive's cache; elsewhere this changes nothing.
            connection.execute("PRAGMA fullfsync = ON")
        connection.execute("PRAGMA temp_store = MEMORY")

    def _meta(self, connection: sqlite3.Connection, key: str) -> str:
        row = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        if row is None:
            raise LedgerCorrupt(f"ledger {self.name}: its {key} is missing; restore a backup", ledger=self.name)
        return str(row[0])

    def _close_connections(self) -> None:
        for connection in (self._reading, self._writing):
            if connection is not None:
                connection.close()
        self._reading = self._writing = None
        self._lock.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            self._raise_ours(error)
        except (UnicodeDecodeError, json.JSONDecodeError) as error:
            raise LedgerCorrupt(
                f"ledger {self.name}: a row cannot be read ({error}); it was left as it is. Restore a backup",
                ledger=self.name,
            ) from error
        except OSError as error:
            raise LedgerUnavailable(f"ledger {self.name}: {error.strerror or error}", ledger=self.name) from error

    def _raise_ours(self, error: sqlite3.Error) -> NoReturn:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
            raise LedgerCorrupt(
                f"ledger {self.name}: {error}; it was left as it is. Restore a backup or give another path",
                ledger=self.name,
            ) from error
        advice = _ADVICE.get(code, "nothing was written by this call; see `tokencalc doctor`")
        is_locked = code == sqlite3.SQLITE_BUSY
        raise LedgerUnavailable(f"ledger {self.name}: {error}; {advice}", ledger=self.name, locked=is_locked) from error

    # fork

    def before_fork(self) -> None:
        """Take every lock and close the connections, so that nothing half done is inherited."""
        self._gate.acquire()
        self._reading_gate.acquire()
        if self.path is not None:
            self._close_connections()

    def after_fork_in_parent(self) -> None:
        """Go on; the connections open again at the next use."""
        self._reading_gate.release()
        self._gate.release()

    def after_fork_in_child(self) -> None:
        """Start with own locks, an empty queue and no connection."""
        self._gate, self._reading_gate = threading.Lock(), threading.Lock()
        self._forked_from_memory = self.path is None
        self.writer.reset()
        self.samples.reset()


_ADVICE = {
    sqlite3.SQLITE_FULL: "the disk is full: free some space; what was acknowledged is safe, this call wrote nothing",
    sqlite3.SQLITE_READONLY: "the file or its folder is read-only: give a path that you may write to",
    sqlite3.SQLITE_CANTOPEN: "give a path in a folder that exists and that you may write to",
    sqlite3.SQLITE_BUSY: "another program holds the database's lock: find it, or try again",
    sqlite3.SQLITE_IOERR: "the disk answered with an error; what was acknowledged before is safe",
}


def _closed_error() -> LedgerClosed:
    return LedgerClosed("the ledger was closed; open the engine again to go on")
