"""A copy of a ledger while others write to it: one moment of the book, whole or not there at all.

SQLite copies page by page what one read transaction sees, so writers go on and the
copy holds everything that was acknowledged before it began. It is made under another
name, checked, synced, and only then given its own.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tokencalc.errors import CallInvalid, LedgerCorrupt, LedgerUnavailable
from tokencalc.ledger.chain import head_text
from tokencalc.ledger.files import sync_folder
from tokencalc.ledger.migrating import one_look
from tokencalc.ledger.schema import COPIED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tokencalc.ledger.sqlite import SqliteStore

    Progress = Callable[[int, int], None]

_STEP_PAGES = 2_000
"""Pages between two looks at the clock of whoever watches: 8 MB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """A finished copy: where it is, how many entries it holds, and the head to keep for ``verify --expect``."""

    path: Path
    entries: int
    head: str
    size_bytes: int


def back_up(store: SqliteStore, destination: str | os.PathLike[str], progress: Progress | None = None) -> Backup:
    """Copy the ledger to ``destination``, a file that must not exist yet (0600); ``progress`` gets (done, all) pages.

    Raises CallInvalid for a destination that is taken or whose folder is missing, LedgerUnavailable where
    copying fails, LedgerCorrupt where the copy does not pass its check; then nothing stands there.
    """
    path = _free_path(destination)
    made = path.with_name(f".{path.name}.part-{secrets.token_hex(4)}")
    try:
        os.close(os.open(made, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
        head = _copy(store, made, progress)
        _check(made, head, store)
        _sync(made)
        _name(made, path)
    except sqlite3.Error as error:
        raise LedgerUnavailable(
            f"backup {path}: {error}; nothing was left there. Free some space, or run `tokencalc verify`",
            ledger=store.name,
        ) from error
    except OSError as error:
        raise LedgerUnavailable(
            f"backup {path}: {error.strerror or error}; give a path in a folder that you may write to",
            ledger=store.name,
        ) from error
    finally:
        for left in (made, made.with_name(f"{made.name}-journal")):
            with suppress(OSError):
                left.unlink(missing_ok=True)
    return Backup(path=path, entries=head[0], head=head_text(*head), size_bytes=path.stat().st_size)


def _free_path(destination: str | os.PathLike[str]) -> Path:
    if not isinstance(destination, str | os.PathLike) or not str(destination) or "\0" in str(destination):
        raise CallInvalid(
            f"backup: expected the path of a new file, found {destination!r:.60}", path="path", found=destination
        )
    path = Path(destination).expanduser().absolute()
    if path.exists() or path.is_symlink():
        raise _taken(path)
    if not path.parent.is_dir():
        raise CallInvalid(f"backup: there is no folder {path.parent}; make it first", path="path", found=str(path))
    return path


def _taken(path: Path) -> CallInvalid:
    return CallInvalid(
        f"backup: {path} exists, and no backup is written over anything; give another name",
        path="path",
        found=str(path),
    )


def _copy(store: SqliteStore, made: Path, progress: Progress | None) -> tuple[int, bytes]:
    """Copy what one read transaction sees, and return its head."""

    def tell(_: int, remaining: int, total: int) -> None:
        if progress is not None:
            progress(total - remaining, total)

    with _source(store) as source, closing(sqlite3.connect(made, isolation_level=None)) as target:
        target.execute("PRAGMA synchronous = OFF")  # the file is synced whole, before anybody finds it
        head = _head(source, store)
        source.backup(target, pages=_STEP_PAGES, progress=tell)
        target.execute("INSERT OR REPLACE INTO meta VALUES (?, '1')", (COPIED,))
        # One file, without a log beside it; whoever opens it as a ledger turns the log on again.
        target.execute("PRAGMA journal_mode = DELETE")
    return head


@contextmanager
def _source(store: SqliteStore) -> Iterator[sqlite3.Connection]:
    """Lend one look by a connection of the copy's own, so that nobody waits for it; in memory there is but one."""
    with store.reading() as connection:  # refuses a ledger that was closed or replaced
        if store.path is None:
            yield connection
            return
    with closing(sqlite3.connect(store.path, isolation_level=None)) as own:
        own.execute("PRAGMA query_only = ON")
        with one_look(own):
            yield own


def _head(connection: sqlite3.Connection, store: SqliteStore) -> tuple[int, bytes]:
    row = connection.execute("SELECT sequence, digest FROM entry ORDER BY sequence DESC LIMIT 1").fetchone()
    first = connection.execute("SELECT value FROM meta WHERE key = 'first_digest'").fetchone()
    if row is None and first is None:
        raise LedgerCorrupt(f"ledger {store.name}: it has no first digest; run `tokencalc verify`", ledger=store.name)
    return row or (0, bytes.fromhex(first[0]))


def _check(made: Path, head: tuple[int, bytes], store: SqliteStore) -> None:
    """Read every page of the copy; it must be sound and end where the ledger did."""
    with closing(sqlite3.connect(made)) as copy:
        ((found, *_),) = copy.execute("PRAGMA quick_check(1)")
        if found != "ok" or _head(copy, store) != head:
            raise LedgerCorrupt(
                f"ledger {store.name}: its copy is not sound ({found}); nothing was kept. Run `tokencalc verify`",
                ledger=store.name,
            )


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _name(made: Path, path: Path) -> None:
    try:
        os.link(made, path)  # unlike a rename, this never takes the place of a file that came meanwhile
    except FileExistsError:
        raise _taken(path) from None
    sync_folder(path.parent)
