"""Ways to make an open ledger fail, and to mend it again."""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from tests.faults.test_full_disk import limit_pages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tokencalc import Engine


def ledger_of(engine: Engine) -> Path:
    """Return the file of a ledger that is no ledger in memory."""
    assert engine.path is not None
    return engine.path


@contextmanager
def moved_away(engine: Engine) -> Iterator[None]:
    """Nobody finds the ledger."""
    path = ledger_of(engine)
    kept = path.rename(path.with_name("moved"))
    yield
    kept.rename(path)


@contextmanager
def replaced_by_a_folder(engine: Engine) -> Iterator[None]:
    """Something else stands where the ledger was."""
    with moved_away(engine):
        ledger_of(engine).mkdir()
        yield
        ledger_of(engine).rmdir()


@contextmanager
def read_only(engine: Engine) -> Iterator[None]:
    """SQLite refuses every write, as it does on a file without the right to write."""
    with engine.store._gate:
        engine.store._open_writing().execute("PRAGMA query_only = ON")
    yield
    with engine.store._gate:
        engine.store._open_writing().execute("PRAGMA query_only = OFF")


@contextmanager
def locked(engine: Engine) -> Iterator[None]:
    """Another program holds the database's own lock, longer than anybody waits."""
    with engine.store._gate:
        engine.store._open_writing().execute("PRAGMA busy_timeout = 1")
    with closing(sqlite3.connect(ledger_of(engine), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


@contextmanager
def full(engine: Engine) -> Iterator[None]:
    """No page more fits on the disk, and those that are there are taken."""
    limit_pages(engine, 0)
    with engine.store._gate:
        connection = engine.store._open_writing()
        connection.execute("CREATE TABLE IF NOT EXISTS ballast (text TEXT)")
        while True:
            try:
                connection.execute("INSERT INTO ballast VALUES (?)", ("x" * 3000,))
            except sqlite3.OperationalError:
                break
    yield
    with engine.store._gate:
        engine.store._open_writing().execute("PRAGMA max_page_count = 1073741823")
        engine.store._open_writing().execute("DROP TABLE ballast")


FAULTS: dict[str, Callable[[Engine], AbstractContextManager[None]]] = {
    "moved away": moved_away,
    "replaced by a folder": replaced_by_a_folder,
    "read-only": read_only,
    "locked": locked,
}
