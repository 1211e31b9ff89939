"""Bringing a ledger's tables up to date, one numbered migration after the other; what is not ours is refused."""

from __future__ import annotations

import secrets
import sqlite3
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from tokencalc.errors import LedgerCorrupt, LedgerVersionUnsupported
from tokencalc.ledger.chain import first_digest
from tokencalc.ledger.schema import APPLICATION_ID, MIGRATIONS, SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator


def refuse_foreign(connection: sqlite3.Connection, ledger: str) -> None:
    """Raise LedgerVersionUnsupported for a newer tokencalc's ledger, LedgerCorrupt for another program's database."""
    with one_look(connection):  # another process may make the tables between two of them
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application == APPLICATION_ID and version > SCHEMA_VERSION:
        raise LedgerVersionUnsupported(
            f"ledger {ledger}: it has schema version {version}, this tokencalc reads up to {SCHEMA_VERSION}; "
            "upgrade tokencalc, or give another path. The file was left as it is",
            ledger=ledger,
            found_version=version,
            supported_version=SCHEMA_VERSION,
        )
    if application != APPLICATION_ID and (tables or version or application):
        raise LedgerCorrupt(
            f"ledger {ledger}: the database belongs to another program (application id {application:#x}); "
            "it was left as it is. Give another path",
            ledger=ledger,
        )


def migrate(connection: sqlite3.Connection, *, now_us: int) -> None:
    """Bring the tables up to date; each migration is committed together with its record."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == SCHEMA_VERSION:
        return
    for number, description, statements in MIGRATIONS:
        connection.execute("BEGIN IMMEDIATE")
        try:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version < number:
                for statement in statements.split(";"):
                    connection.execute(statement)
                if number == 1:
                    _first_rows(connection)
                connection.execute("INSERT INTO migration VALUES (?, ?, ?)", (number, now_us, description))
                connection.execute(f"PRAGMA user_version = {number}")
        except BaseException:  # bulk: whatever interrupts a migration, it must be rolled back
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")


def _first_rows(connection: sqlite3.Connection) -> None:
    chain_id = secrets.token_hex(4)
    connection.execute("INSERT INTO meta VALUES ('chain_id', ?)", (chain_id,))
    connection.execute("INSERT INTO meta VALUES ('first_digest', ?)", (first_digest(chain_id).hex(),))
    connection.execute("INSERT INTO clock VALUES (1, 0)")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")


@contextmanager
def one_look(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Keep several statements at one moment of the book: another process may commit between any two."""
    connection.execute("BEGIN")
    try:
        yield connection
    finally:
        with suppress(sqlite3.Error):  # what went wrong inside is on its way already
            connection.execute("ROLLBACK")
