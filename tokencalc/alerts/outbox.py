"""The outbox: rows that wait, leased by whoever sends them, kept until a receiver has them.

A lease ends by itself, so a killed process holds nothing for ever; the message then goes
out again under the same id. In one channel messages go in order, and a receiver that is
away makes the whole channel wait; one that refuses a message makes only that one wait.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import sqlite3

_US = 1_000_000
LEASE_S = 60
"""Seconds for which a row belongs to whoever took it."""
FIRST_RETRY_S, LAST_RETRY_S = 15, 3600
"""Seconds to the second attempt; doubled each time, up to the last."""
_MOST_DOUBLINGS = 10
_LONGEST_PROBLEM = 300

# An instant that lies further ahead than any delay can was written before the clock went back.
_DUE = (
    "((next_us <= :now OR next_us > :now + :latest) AND "
    "(leased_until_us IS NULL OR leased_until_us <= :now OR leased_until_us > :now + :lease))"
)
# What its receiver refused stands aside until it is due; what it did not answer to keeps its place before all others.
_NEXT = (
    f"SELECT outbox_id, message, attempts, {_DUE} FROM outbox WHERE channel = :channel AND delivered_us IS NULL "  # noqa: S608  # our own text
    f"AND (refused = 0 OR {_DUE}) ORDER BY outbox_id LIMIT 1"
)


class Leased(NamedTuple):
    """A row that is ours to send for a while."""

    number: int
    lease: str
    message: str
    attempts: int


def is_waiting(connection: sqlite3.Connection, channel: str, now_us: int) -> bool:
    """Whether a channel has a row that could be sent now."""
    return _next(connection, channel, now_us) is not None


def take(connection: sqlite3.Connection, channel: str, now_us: int) -> Leased | None:
    """Lease the next row of a channel; None where there is none, it waits for its time, or another process has it."""
    row = _next(connection, channel, now_us)
    if row is None:
        return None
    lease = secrets.token_hex(8)
    connection.execute(
        "UPDATE outbox SET lease = ?, leased_until_us = ? WHERE outbox_id = ?", (lease, now_us + LEASE_S * _US, row[0])
    )
    return Leased(row[0], lease, row[1], row[2])


def _next(connection: sqlite3.Connection, channel: str, now_us: int) -> tuple[int, str, int] | None:
    bounds = {"channel": channel, "now": now_us, "latest": LAST_RETRY_S * _US, "lease": LEASE_S * _US}
    row = connection.execute(_NEXT, bounds).fetchone()
    return row[:3] if row and row[3] else None


def delivered(connection: sqlite3.Connection, row: Leased, now_us: int) -> None:
    """Note that the receiver has the message, whoever has the lease by now."""
    connection.execute(
        "UPDATE outbox SET delivered_us = ?, attempts = attempts + 1, lease = NULL, leased_until_us = NULL, "
        "problem = NULL WHERE outbox_id = ? AND delivered_us IS NULL",
        (now_us, row.number),
    )


def put_back(connection: sqlite3.Connection, row: Leased, problem: str, now_us: int, *, only_this: bool) -> None:
    """Let a message wait for its next attempt, and with it the channel unless it is only this one that was refused."""
    connection.execute(
        "UPDATE outbox SET next_us = ?, attempts = attempts + 1, refused = ?, lease = NULL, leased_until_us = NULL, "
        "problem = ? WHERE outbox_id = ? AND lease = ?",
        (now_us + retry_s(row.attempts) * _US, only_this, problem[:_LONGEST_PROBLEM], row.number, row.lease),
    )


def retry_s(attempts: int) -> int:
    """Return the seconds to wait after so many earlier failures and one more."""
    return min(LAST_RETRY_S, FIRST_RETRY_S << min(attempts, _MOST_DOUBLINGS))


def waiting(connection: sqlite3.Connection) -> list[tuple[str, int, str | None]]:
    """Return each channel that has undelivered messages: its name, how many, and the newest problem."""
    return [
        (channel, count, problem)
        for channel, count, problem in connection.execute(
            "SELECT channel, count(*), max(problem) FROM outbox WHERE delivered_us IS NULL GROUP BY channel "
            "ORDER BY channel"
        )
    ]
