"""Alerts and their messages in the ledger: what is decided and what is written share one transaction.

The transactions are beside money's (`SqliteStore.aside`): nothing of them can take an
entry with it. They are not synced by themselves; after a power cut the last alert may
be told again.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from tokencalc.alerts.lifecycle import Standing, moved
from tokencalc.alerts.messages import LONGEST_TEXT, message_of, message_text
from tokencalc.alerts.records import Alert, alert_id, unknown_alert
from tokencalc.clock import instant_from_micros
from tokencalc.errors import AlertNotOpen

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from tokencalc.alerts.lifecycle import State
    from tokencalc.alerts.messages import MessageEvent
    from tokencalc.alerts.records import Reading, Readings
    from tokencalc.alerts.rules import Rule

_COLUMNS = (
    "alert_id, rule, severity, state, text, value, since_us, labels, fired_us, acknowledged_us, acknowledged_by, "
    "resolved_us, resolved_by"
)
_OPEN = "SELECT instance, alert_id, state, since_us, fired_us FROM alert WHERE rule = ? AND state <> 'resolved'"
_LAST = "SELECT max(fired_us) FROM alert WHERE rule = ? AND instance = ?"
_BY_ID = f"SELECT {_COLUMNS} FROM alert WHERE alert_id = ?"  # noqa: S608  # our own names
_NEWEST = (
    f"SELECT {_COLUMNS} FROM alert WHERE state IN (SELECT value FROM json_each(?)) "  # noqa: S608  # our own names
    "ORDER BY coalesce(fired_us, since_us) DESC, alert_id DESC LIMIT ?"
)


class Change(NamedTuple):
    """An instance that moves: its row, if it has one, from where to where, and what was read of it, if anything."""

    rule: Rule
    instance: str
    number: int | None
    before: Standing
    after: Standing
    reading: Reading | None


class _Row(NamedTuple):
    number: int | None
    standing: Standing


def changes(connection: sqlite3.Connection, read: Iterable[tuple[Rule, Readings]], now_us: int) -> list[Change]:
    """Return what moves, by what is stored now."""
    return [change for rule, readings in read for change in _changes_of(connection, rule, readings, now_us)]


def _changes_of(connection: sqlite3.Connection, rule: Rule, readings: Readings, now_us: int) -> list[Change]:
    rows = {
        instance: _Row(number, Standing(state, since_us, fired_us))
        for instance, number, state, since_us, fired_us in connection.execute(_OPEN, (rule.name,))
    }
    by_instance = {reading.instance: reading for reading in readings.found}
    found: list[Change] = []
    for instance in sorted({*rows, *by_instance}):
        reading = by_instance.get(instance)
        row = rows.get(instance) or _Row(None, Standing())
        is_breach = reading.is_breach if reading else False if readings.is_complete else None
        if reading is not None and row.number is None:
            fired_us = connection.execute(_LAST, (rule.name, instance)).fetchone()[0]
            if reading.once and fired_us is not None:
                continue
            is_breach = is_breach or reading.once
            row = _Row(None, Standing(fired_us=fired_us))
        elif row.standing.state in {"inactive", "pending"}:
            fired_us = connection.execute(_LAST, (rule.name, instance)).fetchone()[0]
            row = _Row(row.number, row.standing._replace(fired_us=fired_us))
        after = moved(rule, row.standing, is_breach=is_breach, now_us=now_us)
        if (after.state, after.since_us) != (row.standing.state, row.standing.since_us):
            found.append(Change(rule, instance, row.number, row.standing, after, reading))
    return found


def write(
    connection: sqlite3.Connection,
    found: Sequence[Change],
    channels_of: Mapping[str, tuple[str, ...]],
    chain: str,
    now_us: int,
) -> list[Alert]:
    """Write what moves, queue its messages, and return the alerts that began or ended."""
    told: list[Alert] = []
    for change in found:
        number = _write_one(connection, change, now_us)
        event: MessageEvent | None = {"firing": "firing", "resolved": "resolved"}.get(change.after.state)  # type: ignore[assignment]  # two of the three
        if event is not None:
            alert = alert_by_number(connection, number, chain)
            queue(connection, alert, event, channels_of.get(change.rule.name, ()), number, now_us)
            told.append(alert)
    return told


def _write_one(connection: sqlite3.Connection, change: Change, now_us: int) -> int:
    state, since_us, _ = change.after
    reading, number = change.reading, change.number
    if state == "resolved" and number is not None:
        connection.execute("UPDATE alert SET state = 'resolved', resolved_us = ? WHERE alert_id = ?", (now_us, number))
        return number
    fired_us = now_us if state == "firing" else None
    if number is None:
        cursor = connection.execute(
            "INSERT INTO alert (rule, instance, labels, severity, state, text, value, since_us, fired_us) "
            "VALUES (?, ?, '{}', ?, ?, '', '0', ?, ?)",
            (change.rule.name, change.instance, change.rule.severity, state, since_us, fired_us),
        )
        number = int(cursor.lastrowid or 0)
    connection.execute(
        "UPDATE alert SET state = ?, severity = ?, since_us = ?, fired_us = ? WHERE alert_id = ?",
        (state, change.rule.severity, since_us, fired_us, number),
    )
    if reading is not None:
        connection.execute(
            "UPDATE alert SET text = ?, value = ?, labels = ? WHERE alert_id = ?",
            (reading.text[:LONGEST_TEXT], f"{reading.value:f}", json.dumps(dict(reading.labels)), number),
        )
    return number


def queue(  # noqa: PLR0913, PLR0917  # the columns of a row
    connection: sqlite3.Connection,
    alert: Alert,
    event: MessageEvent,
    channels: Iterable[str],
    number: int,
    now_us: int,
) -> None:
    """Put a message for each channel into the outbox, once."""
    text = message_text(message_of(alert, event))
    connection.executemany(
        "INSERT OR IGNORE INTO outbox (alert_id, event, channel, message, queued_us, next_us, attempts, refused) "
        "VALUES (?, ?, ?, ?, ?, ?, 0, 0)",
        [(number, event, channel, text, now_us, now_us) for channel in channels],
    )


def acknowledge(connection: sqlite3.Connection, number: int, chain: str, by: str | None, now_us: int) -> Alert:
    """Note that somebody knows; a second time changes nothing. AlertNotOpen where it is not firing."""
    alert = alert_by_number(connection, number, chain)
    if alert.state == "firing":
        connection.execute(
            "UPDATE alert SET state = 'acknowledged', acknowledged_us = ?, acknowledged_by = ? WHERE alert_id = ?",
            (now_us, by, number),
        )
    elif alert.state != "acknowledged":
        raise _not_open(alert)
    return alert_by_number(connection, number, chain)


def resolve(connection: sqlite3.Connection, number: int, chain: str, by: str | None, now_us: int) -> tuple[Alert, bool]:
    """End an alert by hand; the second value says whether this call did. AlertNotOpen where it never fired."""
    alert = alert_by_number(connection, number, chain)
    if alert.state == "resolved":
        return alert, False
    if alert.state not in {"firing", "acknowledged"}:
        raise _not_open(alert)
    connection.execute(
        "UPDATE alert SET state = 'resolved', resolved_us = ?, resolved_by = ? WHERE alert_id = ?",
        (now_us, by, number),
    )
    return alert_by_number(connection, number, chain), True


def _not_open(alert: Alert) -> AlertNotOpen:
    return AlertNotOpen(
        f"alert {alert.alert_id}: it is {alert.state}, and only what fires can be acknowledged or resolved",
        alert_id=alert.alert_id,
        state=alert.state,
    )


def alert_by_number(connection: sqlite3.Connection, number: int, chain: str) -> Alert:
    """Return an alert; AlertUnknown where there is none."""
    row = connection.execute(_BY_ID, (number,)).fetchone()
    if row is None:
        raise unknown_alert(alert_id(chain, number))
    return _alert(row, chain)


def newest(connection: sqlite3.Connection, states: Sequence[State], limit: int, chain: str) -> tuple[Alert, ...]:
    """Return the alerts in these states, the one that began last first."""
    return tuple(_alert(row, chain) for row in connection.execute(_NEWEST, (json.dumps(states), limit)))


def _alert(row: tuple[Any, ...], chain: str) -> Alert:
    number, rule, severity, state, text, value, since, labels, fired, noted, noted_by, ended, ended_by = row
    return Alert(
        alert_id=alert_id(chain, number),
        rule=rule,
        severity=severity,
        state=state,
        text=text,
        value=Decimal(value),
        since=instant_from_micros(since),
        labels=json.loads(labels),
        fired_at=_instant(fired),
        acknowledged_at=_instant(noted),
        acknowledged_by=noted_by,
        resolved_at=_instant(ended),
        resolved_by=ended_by,
    )


def _instant(micros: int | None) -> datetime | None:
    return None if micros is None else instant_from_micros(micros)
