"""Messages: what a channel sends of an alert, frozen when it is queued; foreign names are plain text in every shape."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any, Literal

from tokencalc.clock import instant_text, micros_from_instant
from tokencalc.jsontext import json_value, to_json
from tokencalc.reports.text import markdown_code, markdown_text, safe_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokencalc.alerts.records import Alert
    from tokencalc.alerts.rules import Severity

MessageEvent = Literal["firing", "resolved", "test"]

LONGEST_TEXT = 1000
"""Characters of the one sentence that a message says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message: the same ``message_id`` each time that it is sent, so that a receiver can drop a repeat."""

    message_id: str
    event: MessageEvent
    severity: Severity
    rule: str
    text: str
    at: str
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """One line of printable text, such as for a mail's subject."""
        word = {"firing": self.severity, "resolved": "RESOLVED", "test": "TEST"}[self.event]
        return f"[{word}] {safe_text(self.rule)}"

    @property
    def line(self) -> str:
        """The message in one line of printable text."""
        return f"{self.at} {self.title}: {safe_text(self.text, longest=LONGEST_TEXT)} ({self.message_id})"

    @property
    def markdown(self) -> str:
        """The message as Markdown: names are code, the sentence is plain text."""
        word = self.title.partition("]")[0].lstrip("[")
        return f"**{word}** {markdown_code(self.rule)}: {markdown_text(self.text)}"

    @property
    def slack(self) -> str:
        """The message for a webhook that reads Slack's text: no mention, emphasis or named link can begin in it."""
        plain = escape(f"{self.title}: {safe_text(self.text, longest=LONGEST_TEXT)}", quote=False)
        # For readers that know no `mrkdwn`: a mark beside nothing it could emphasise is text; the joiner takes no room.
        return re.sub(r"([*_~`])", "\u2060\\1\u2060", plain)

    @property
    def payload(self) -> str:
        """The message as JSON, in the shape that Standard Webhooks recommends: type, timestamp, data."""
        told = {
            "id": self.message_id,
            "severity": self.severity,
            "rule": safe_text(self.rule),
            "text": safe_text(self.text, longest=LONGEST_TEXT),
            **self.data,
        }
        return to_json({"type": f"alert.{self.event}", "timestamp": self.at, "data": told})


def message_of(alert: Alert, event: MessageEvent) -> Message:
    """Return the message of an alert that began, or of its end."""
    at = (alert.resolved_at if event == "resolved" else alert.fired_at) or alert.since
    data = {
        "alert_id": alert.alert_id,
        "state": alert.state,
        "value": alert.value,
        "labels": {safe_text(name): safe_text(value) for name, value in alert.labels.items()},
        "since": alert.since,
        "fired_at": alert.fired_at,
        "resolved_at": alert.resolved_at,
    }
    return Message(
        # A ledger that was restored from a backup numbers its next alert as one that it told of: the instant differs.
        message_id=f"{alert.alert_id}-{event}-{micros_from_instant(at)}",
        event=event,
        severity=alert.severity,
        rule=alert.rule,
        text=alert.text,
        at=instant_text(at),
        data=json_value(data),  # type: ignore[arg-type]  # a mapping stays one
    )


def message_text(message: Message) -> str:
    """Return a message as it is kept in the outbox."""
    return to_json(message)


def message_from(text: str) -> Message:
    """Read a message of the outbox."""
    return Message(**json.loads(text))
