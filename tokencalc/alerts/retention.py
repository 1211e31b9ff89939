"""Removing what is over for long: alerts that ended, with the messages that everybody has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokencalc.alerts.readings import CROSSING
from tokencalc.ledger.query import is_over

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

KEPT_S = 90 * 24 * 3600
"""Seconds for which an alert that ended is kept; as long as the longest cooldown, where that is longer."""

_ROWS = 100
# The newest row stays, because the number of a row that is gone would be given again.
_SOME = """
    SELECT alert_id, instance,
        state IN ('resolved', 'inactive') AND coalesce(resolved_us, since_us) < :before
        AND alert_id < (SELECT max(alert_id) FROM alert)
        AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.alert_id = alert.alert_id AND delivered_us IS NULL
                        AND given_up_us IS NULL)
    FROM alert WHERE alert_id > :after ORDER BY alert_id LIMIT :rows
"""


def forgettable(connection: sqlite3.Connection, after: int, before_us: int) -> tuple[list[int], int]:
    """Look at some alerts behind a number: return those that may go, and the number from which to go on."""
    rows = connection.execute(_SOME, {"after": after, "before": before_us, "rows": _ROWS}).fetchall()
    found = [
        number for number, instance, may_go in rows if may_go and not _is_told_once(connection, instance, before_us)
    ]
    return found, rows[-1][0] if len(rows) == _ROWS else 0


def _is_told_once(connection: sqlite3.Connection, instance: str, before_us: int) -> bool:
    """Whether a row is all that keeps a budget's crossing from being told again."""
    kind, _, number = instance.partition(" ")
    return kind == CROSSING and number.isdecimal() and not is_over(connection, int(number), before_us)


def forget(connection: sqlite3.Connection, numbers: Sequence[int]) -> None:
    """Remove these alerts and their messages."""
    ended = [(number,) for number in numbers]
    connection.executemany("DELETE FROM outbox WHERE alert_id = ?", ended)
    connection.executemany("DELETE FROM alert WHERE alert_id = ?", ended)
