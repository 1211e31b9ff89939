"""Alerts and their messages in the ledger: what is decided and what is written share one transaction.

The transactions are beside money's (`SqliteStore.aside`): nothing of them can take an
entry with it. They are not synced by themselves; after a power cut the last alert may
be told again.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from tokencalc.alerts.lifecycle import OPEN, Seen, Standing, moved
from tokencalc.alerts.messages import LONGEST_TEXT, message_of, message_text
from tokencalc.alerts.records import Alert, alert_id, unknown_alert
from tokencalc.clock import instant_from_micros
from tokencalc.errors import AlertNotOpen

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from tokencalc.alerts.lifecycle import State
    from tokencalc.alerts.messages import MessageEvent
    from tokencalc.alerts.records import Reading, Readings
    from tokencalc.alerts.rules import Rule

_COLUMNS = (
    "alert_id, rule, severity, state, text, value, since_us, labels, fired_us, acknowledged_us, acknowledged_by, "
    "resolved_us, resolved_by"
)
BY_HAND = "by hand "
"""What the instance of an alert by hand begins with: no rule's look finds it, whatever the rule is called."""
_OPEN = (
    "SELECT instance, alert_id, state, since_us, text, value FROM alert WHERE rule = ? AND state <> 'resolved' "  # noqa: S608  # our own text
    f"AND instance NOT GLOB '{BY_HAND}*'"
)
# What seems to have begun in the future was written before the clock went back.
_LAST = "SELECT max(fired_us) FROM alert WHERE rule = ? AND instance = ? AND fired_us <= ?"
_EVER = "SELECT 1 FROM alert WHERE rule = ? AND instance = ? AND fired_us IS NOT NULL"
_FIRES = "SELECT 1 FROM alert WHERE rule = ? AND instance = ? AND state IN ('firing', 'acknowledged')"
_BY_ID = f"SELECT {_COLUMNS} FROM alert WHERE alert_id = ?"  # noqa: S608  # our own names
_NEWEST = (
    f"SELECT {_COLUMNS} FROM alert WHERE state IN (SELECT value FROM json_each(?)) "  # noqa: S608  # our own names
    "ORDER BY coalesce(fired_us, since_us) DESC, alert_id DESC LIMIT ?"
)


class Look(NamedTuple):
    """What was found of one instance: its reading, or None, and then whether it is over, and why."""

    rule: Rule
    instance: str
    reading: Reading | None
    over: str | None
    is_outranked: bool

    @property
    def seen(self) -> Seen | None:
        """It as `moved` takes it."""
        if self.reading is None:
            return None if self.over is None else Seen(is_breach=False)
        return Seen(self.reading.is_breach, self.reading.since_us, self.reading.is_proved)


class Row(NamedTuple):
    """What is stored of an instance that has not ended."""

    number: int
    state: State
    since_us: int
    text: str
    value: str


class Change(NamedTuple):
    """An instance that moves: what was found of it, its row, if it has one, and where it stands then."""

    look: Look
    row: Row | None
    after: Standing


def changes(connection: sqlite3.Connection, read: Sequence[tuple[Rule, Readings]], now_us: int) -> list[Change]:
    """Return what moves, by what is stored now; a rule comes after the one in its ``unless``."""
    highest: dict[str, int] = {}
    for _, readings in read:
        for reading in readings.found:
            highest[reading.group] = max(reading.rank, highest.get(reading.group, 0))
    found: list[Change] = []
    states: dict[tuple[str, str], State] = {}
    for rule, readings in read:
        rows = {instance: Row(*row) for instance, *row in connection.execute(_OPEN, (rule.name,))}
        for look in _looks(rule, readings, rows, highest):
            change = _change(connection, look, rows.get(look.instance), now_us, states)
            if change is not None:
                found.append(change)
                states[rule.name, look.instance] = change.after.state
    return found


def _looks(rule: Rule, readings: Readings, rows: Iterable[str], highest: Mapping[str, int]) -> Iterator[Look]:
    by_instance = {reading.instance: reading for reading in readings.found}
    for instance in sorted({*rows, *by_instance}):
        reading = by_instance.get(instance)
        over = None if reading or instance in readings.unknown else readings.over
        yield Look(rule, instance, reading, over, reading is not None and reading.rank < highest[reading.group])


def _change(
    connection: sqlite3.Connection, look: Look, row: Row | None, now_us: int, states: Mapping[tuple[str, str], State]
) -> Change | None:
    """Return how an instance moves, if it does; ``states`` are those that are not stored yet."""
    rule, seen = look.rule, look.seen
    if row is not None and row.state in OPEN:
        before = Standing(row.state, row.since_us)
        after = moved(rule, before, seen, now_us=now_us)
        return Change(look, row, after) if after != before else None
    if row is None and look.reading is not None and look.reading.once:
        if look.is_outranked or connection.execute(_EVER, (rule.name, look.instance)).fetchone():
            return None
        seen = Seen(is_breach=True, since_us=now_us)
    elif row is None and (seen is None or not seen.is_breach):
        return None
    fired_us = connection.execute(_LAST, (rule.name, look.instance, now_us)).fetchone()[0]
    before = Standing(row.state, row.since_us, fired_us) if row else Standing(fired_us=fired_us)
    is_inhibited = rule.unless is not None and _fires(connection, (rule.unless, look.instance), states)
    after = moved(rule, before, seen, now_us=now_us, is_inhibited=is_inhibited)
    return Change(look, row, after) if after[:2] != before[:2] else None


def _fires(connection: sqlite3.Connection, instance: tuple[str, str], states: Mapping[tuple[str, str], State]) -> bool:
    if instance in states:
        return states[instance] in OPEN
    return connection.execute(_FIRES, instance).fetchone() is not None


def write(
    connection: sqlite3.Connection,
    found: Iterable[Change],
    channels_of: Mapping[str, tuple[str, ...]],
    chain: str,
    now_us: int,
) -> list[Alert]:
    """Write what still moves, queue its messages, and return the alerts that began or ended.

    Every instance is looked up anew: another process may have written it since.
    """
    told: list[Alert] = []
    for look, _, _ in found:
        row = connection.execute(f"{_OPEN} AND instance = ?", (look.rule.name, look.instance)).fetchone()
        change = _change(connection, look, Row(*row[1:]) if row else None, now_us, {})
        if change is None:
            continue
        number = _write_one(connection, change, now_us)
        event: MessageEvent | None = {"firing": "firing", "resolved": "resolved"}.get(change.after.state)  # type: ignore[assignment]  # two of the three
        if event is not None:
            alert = alert_by_number(connection, number, chain)
            queue(connection, alert, event, channels_of.get(look.rule.name, ()), number, now_us)
            told.append(alert)
    return told


def _write_one(connection: sqlite3.Connection, change: Change, now_us: int) -> int:
    (rule, instance, reading, over, _), row, (state, since_us, _) = change
    if row is not None and state == "resolved":
        _end(connection, row.number, _ended(row, reading, over or ""), None, now_us)
        return row.number
    if row is not None and reading is None:
        connection.execute("UPDATE alert SET state = ? WHERE alert_id = ?", (state, row.number))
        return row.number
    assert reading is not None  # noqa: S101  # without one nothing begins
    said = (
        *(state, rule.severity, since_us, now_us if state == "firing" else None),
        *(reading.text[:LONGEST_TEXT], f"{reading.value:f}", json.dumps(dict(reading.labels))),
    )
    if row is None:
        cursor = connection.execute(
            "INSERT INTO alert (state, severity, since_us, fired_us, text, value, labels, rule, instance) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*said, rule.name, instance),
        )
        return int(cursor.lastrowid or 0)
    connection.execute(
        "UPDATE alert SET state = ?, severity = ?, since_us = ?, fired_us = ?, text = ?, value = ?, labels = ? "
        "WHERE alert_id = ?",
        (*said, row.number),
    )
    return row.number


def _ended(row: Row, reading: Reading | None, over: str) -> str:
    """Return what is told of an end: the figure that ended it and the one before, or why it is over."""
    if reading is not None and not reading.ended:
        return _with(reading.text, f"it was {row.value}")
    return _with(row.text, reading.ended if reading is not None else over)


def _with(text: str, more: str) -> str:
    return f"{text[: LONGEST_TEXT - len(more) - 2]}; {more}"


def _end(connection: sqlite3.Connection, number: int, text: str, by: str | None, now_us: int) -> None:
    connection.execute(
        "UPDATE alert SET state = 'resolved', resolved_us = ?, resolved_by = ?, text = ? WHERE alert_id = ?",
        (now_us, by, text, number),
    )


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
    if alert.state not in OPEN:
        raise _not_open(alert)
    _end(connection, number, _with(alert.text, f"ended by {by}" if by else "ended by hand"), by, now_us)
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
        value=Decimal(value) if value else None,
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
