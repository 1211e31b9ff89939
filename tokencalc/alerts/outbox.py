"""The outbox: rows that wait, leased by whoever sends them, until a receiver has them or they are given up.

A lease ends by itself, so a killed process holds nothing for ever; the message then goes
out again under the same id. In one channel messages go in order, and a receiver that is
away makes the whole channel wait; one that refuses a message makes only that one wait.
"""

from __future__ import annotations

import json
import math
import secrets
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from tokencalc.errors import DeliveryFailed

_US = 1_000_000
LEASE_S = 60
"""Seconds for which a row belongs to whoever took it."""
FIRST_RETRY_S, LAST_RETRY_S = 15, 3600
"""Seconds to the second attempt; doubled each time, up to the last."""
GIVE_UP_S = 3 * 24 * 3600
"""Seconds for which a message is tried, or waits behind one that is; then it is given up."""
MOST_ATTEMPTS = 80
"""The attempts of those seconds: counted, because a clock may jump and a machine may sleep for a week."""
NOTED_S = 24 * 3600
"""Seconds from noting that nobody serves a channel until its messages are given up: a clock may have jumped."""
TOLD_S = 30 * 24 * 3600
"""Seconds for which a message that was given up is told of."""
_MOST_DOUBLINGS = 10
_LONGEST_PROBLEM = 300

_OPEN = "delivered_us IS NULL AND given_up_us IS NULL"
# An instant that lies further ahead than any delay can was written before the clock went back.
_FREE = "(leased_until_us IS NULL OR leased_until_us <= :now OR leased_until_us > :now + :lease)"
_DUE = f"((next_us <= :now OR next_us > :now + :latest) AND {_FREE})"
# What its receiver refused stands aside until it is due; what it did not answer to keeps its place before all others.
_NEXT = (
    f"SELECT outbox_id, message, attempts, {_DUE} FROM outbox WHERE channel = :channel AND {_OPEN} "  # noqa: S608  # our own text
    f"AND (refused = 0 OR {_DUE}) ORDER BY outbox_id LIMIT 1"
)
# In a channel one message is tried and the others wait behind it: one attempt speaks for all of them.
_IS_TRIED = (
    "SELECT 1 FROM outbox AS other WHERE other.channel = outbox.channel AND other.delivered_us IS NULL "
    "AND other.given_up_us IS NULL AND other.attempts > 0 AND other.next_us > :now - :longest "
    "AND other.problem IS NOT :unserved"
)
_UNSERVED = (
    f"{_OPEN} AND queued_us <= :now - :longest AND {_FREE} AND channel NOT IN (SELECT value FROM json_each(:channels)) "  # noqa: S608  # our own text
    f"AND NOT EXISTS ({_IS_TRIED}) AND (problem IS NOT :unserved OR next_us NOT BETWEEN :now - :noted + 1 AND :now)"
)


class Leased(NamedTuple):
    """A row that is ours to send for a while."""

    number: int
    lease: str
    channel: str
    message: str
    attempts: int


class Waiting(NamedTuple):
    """Messages of one channel that no receiver has: still tried, given up lately, and what went wrong last.

    ``on_its_way`` are those of ``messages`` that a process has taken to send; where it was killed meanwhile, another
    one sends them within a minute.
    """

    channel: str
    messages: int
    problem: str | None
    given_up: int
    on_its_way: int


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
    return Leased(row[0], lease, channel, row[1], row[2])


def _next(connection: sqlite3.Connection, channel: str, now_us: int) -> tuple[int, str, int] | None:
    bounds = {"channel": channel, "now": now_us, "latest": LAST_RETRY_S * _US, "lease": LEASE_S * _US}
    row = connection.execute(_NEXT, bounds).fetchone()
    return row[:3] if row and row[3] else None


def delivered(connection: sqlite3.Connection, row: Leased, now_us: int) -> bool:
    """Note that the receiver has the message, whoever has the lease by now; return whether its channel is well."""
    connection.execute(
        "UPDATE outbox SET delivered_us = ?, attempts = attempts + 1, lease = NULL, leased_until_us = NULL, "
        "given_up_us = NULL, problem = NULL WHERE outbox_id = ? AND delivered_us IS NULL",
        (now_us, row.number),
    )
    trouble = f"SELECT 1 FROM outbox WHERE channel = ? AND {_OPEN} AND problem IS NOT NULL LIMIT 1"  # noqa: S608  # our own text
    return connection.execute(trouble, (row.channel,)).fetchone() is None


def put_back(connection: sqlite3.Connection, row: Leased, error: DeliveryFailed, now_us: int) -> None:
    """Let a message wait for its next attempt, and its channel with it unless only this one was refused.

    Refused for good, or after the last attempt, it is given up, and with it what has waited as long behind it.
    Nothing happens where another process has the row by now.
    """
    is_last = error.for_good or row.attempts + 1 >= MOST_ATTEMPTS
    asked_s = math.ceil(min(LAST_RETRY_S, error.retry_after_s or 0))
    problem = error.message[:_LONGEST_PROBLEM]
    cursor = connection.execute(
        "UPDATE outbox SET next_us = ?, attempts = attempts + 1, refused = ?, given_up_us = ?, lease = NULL, "
        "leased_until_us = NULL, problem = ? WHERE outbox_id = ? AND lease = ?",
        (
            now_us + max(retry_s(row.attempts), asked_s) * _US,
            error.only_this,
            now_us if is_last else None,
            problem,
            row.number,
            row.lease,
        ),
    )
    if cursor.rowcount and is_last and not error.only_this:
        connection.execute(
            f"UPDATE outbox SET given_up_us = ?, problem = ? WHERE channel = ? AND {_OPEN} AND refused = 0 "  # noqa: S608  # our own text
            "AND queued_us <= ?",
            (now_us, problem, row.channel, now_us - GIVE_UP_S * _US),
        )


def retry_s(attempts: int) -> int:
    """Return the seconds to wait after so many earlier failures and one more."""
    return min(LAST_RETRY_S, FIRST_RETRY_S << min(attempts, _MOST_DOUBLINGS))


def has_unserved(connection: sqlite3.Connection, channels: Iterable[str], now_us: int) -> bool:
    """Whether `give_up_unserved` would change anything."""
    found = connection.execute(f"SELECT 1 FROM outbox WHERE {_UNSERVED} LIMIT 1", _bounds(channels, now_us))  # noqa: S608  # our own text
    return found.fetchone() is not None


def give_up_unserved(connection: sqlite3.Connection, channels: Iterable[str], now_us: int) -> None:
    """Note what waits for another channel than these that nobody tried for three days; a day later, give it up.

    The first look may be that of a clock that runs ahead; the process that has the channel sends what is only noted.
    """
    connection.execute(
        f"UPDATE outbox SET given_up_us = iif(problem IS :unserved AND next_us <= :now, :now, NULL), "  # noqa: S608  # our own text
        f"problem = :unserved, next_us = :now WHERE {_UNSERVED}",
        _bounds(channels, now_us),
    )


def _bounds(channels: Iterable[str], now_us: int) -> dict[str, object]:
    return {
        "now": now_us,
        "longest": GIVE_UP_S * _US,
        "noted": NOTED_S * _US,
        "lease": LEASE_S * _US,
        "channels": json.dumps(list(channels)),
        "unserved": "no process that delivers has this channel",
    }


def waiting(connection: sqlite3.Connection, now_us: int) -> list[Waiting]:
    """Return each channel with messages that no receiver has, those given up in the last 30 days included."""
    # Beside max(), SQLite gives the other columns of the row that has it.
    return [
        Waiting(channel, still, problem, given_up, on_its_way)
        for channel, still, given_up, on_its_way, problem, _ in connection.execute(
            "SELECT channel, sum(given_up_us IS NULL), sum(given_up_us IS NOT NULL), "  # noqa: S608  # our own text
            f"sum(given_up_us IS NULL AND NOT {_FREE}), problem, "
            "max(iif(problem IS NULL, NULL, next_us)) FROM outbox WHERE delivered_us IS NULL "
            "AND (given_up_us IS NULL OR given_up_us > :told) GROUP BY channel ORDER BY channel",
            {"now": now_us, "lease": LEASE_S * _US, "told": now_us - TOLD_S * _US},
        )
    ]
