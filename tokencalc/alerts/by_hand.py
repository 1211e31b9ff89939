"""Alerts by hand: begun by a program that knows of something no rule looks at, and ended by whoever ends it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from tokencalc.alerts import book
from tokencalc.alerts.messages import LONGEST_TEXT
from tokencalc.alerts.rules import COOLDOWN_S, Severity, severity_from
from tokencalc.context import label_from
from tokencalc.errors import AlertInvalid, CallInvalid
from tokencalc.ledger.samples import labels_from
from tokencalc.reports.text import safe_text

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from tokencalc.alerts.records import Alert

_COOLDOWN_US = COOLDOWN_S * 1_000_000
# What seems to have begun in the future was written before the clock went back, and cools nothing.
_THERE = (
    "SELECT alert_id FROM alert WHERE rule = :name AND instance = :instance "
    "AND (state <> 'resolved' OR (fired_us > :now - :cooldown AND fired_us <= :now)) "
    "ORDER BY state = 'resolved', alert_id DESC LIMIT 1"
)
_BEGIN = (
    "INSERT INTO alert (rule, instance, labels, severity, state, text, value, since_us, fired_us) "
    "VALUES (:name, :instance, :labels, :severity, 'firing', :text, '', :now, :now)"
)


class Said(NamedTuple):
    """What somebody says is wrong; name and labels say whether it is the same as before."""

    name: str
    severity: Severity
    text: str
    labels: Mapping[str, str]

    @property
    def instance(self) -> str:
        """What no rule's instance is called, so that no rule's look finds it."""
        return f"{book.BY_HAND}{json.dumps(self.labels)}"


def said_from(name: object, text: object, severity: object, labels: object) -> Said:
    """Return what is said, its text as one printable line, cut after 1,000 characters; AlertInvalid for what cannot be.

    Name and labels are refused rather than cut, because what is cut alike would be taken for the same.
    """
    if not isinstance(text, str) or not text.strip():
        raise AlertInvalid(f"text: expected a sentence, found {text!r:.60}", path="text", found=text)
    try:
        named = label_from(name, name="name")
        found = labels_from(dict(labels) if isinstance(labels, Mapping) else labels)
    except CallInvalid as error:
        raise AlertInvalid(error.message, path=error.path, found=error.found) from None
    return Said(named, severity_from(severity), safe_text(text.strip(), longest=LONGEST_TEXT), found)


def there(connection: sqlite3.Connection, said: Said, chain: str, now_us: int) -> Alert | None:
    """Return the alert that says the same already: one that fires or is acknowledged, or began within the cooldown."""
    bounds = {"name": said.name, "instance": said.instance, "now": now_us, "cooldown": _COOLDOWN_US}
    row = connection.execute(_THERE, bounds).fetchone()
    return None if row is None else book.alert_by_number(connection, row[0], chain)


def begin(connection: sqlite3.Connection, said: Said, channels: Iterable[str], chain: str, now_us: int) -> Alert:
    """Begin an alert and queue its messages, unless one is there; return it either way."""
    found = there(connection, said, chain, now_us)
    if found is not None:
        return found
    row = {**said._asdict(), "labels": json.dumps(said.labels), "instance": said.instance, "now": now_us}
    number = int(connection.execute(_BEGIN, row).lastrowid or 0)
    alert = book.alert_by_number(connection, number, chain)
    book.queue(connection, alert, "firing", channels, number, now_us)
    return alert
