"""Names with markup, control characters or ten kilobytes come out harmless in a terminal, in Markdown, in a message."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from io import StringIO
from typing import TYPE_CHECKING

import pytest

from tests.alerts.helpers import Inbox, alerts_of
from tokencalc import Budget
from tokencalc.alerts.alerts import Alerts
from tokencalc.alerts.channels import ConsoleChannel, Subscription
from tokencalc.alerts.mail import MailChannel
from tokencalc.alerts.messages import Message, message_from, message_text
from tokencalc.alerts.rules import Metric, Rule
from tokencalc.clock import ManualClock

if TYPE_CHECKING:
    from tokencalc import Engine

EVIL = "[red]a|b`<b onclick=x>*_[x](http://evil.example) @all # =SUM(1)"
WORSE = f"{EVIL}\x1b]0;t\x07\r\nBcc: x@evil.example\u202e\u2028\0"
NAMES = [EVIL, WORSE, WORSE * 100, "\ud800", "e\u0301\U0001f4a3"]
NOW = ManualClock("2026-11-20T12:00:00Z").now()


def message(name: str) -> Message:
    """Return a message whose every text is a foreign name."""
    return Message(
        message_id="c0ffee00-a1-firing",
        event="firing",
        severity="HIGH",
        rule=name,
        text=name,
        at="2026-11-20T12:00:00Z",
        data={"labels": {name: name}},
    )


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_every_shape_is_one_bounded_printable_text(name: str) -> None:
    said = message(name)
    for shape in (said.title, said.line, said.markdown):
        assert shape.isprintable()
        assert len(shape) < 6_000
    assert said.slack.replace("\u2060", "").isprintable()
    assert "<b" not in said.slack + said.markdown.partition("`: ")[2]
    assert not re.search(r"(?<!\\)\]\(", said.markdown.partition("`: ")[2])
    told = json.loads(said.payload)["data"]
    assert told["text"].isprintable()
    assert told["rule"].isprintable()
    assert said.payload.isascii()
    assert message_from(message_text(said)).line == said.line


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_a_mail_has_no_header_of_anybody_else(name: str) -> None:
    channel = MailChannel(name="mail", host="localhost", sender="a@example.com", to=("b@example.com",))
    mail = channel._mail(message(name), NOW)
    assert set(mail.keys()) == {
        "Subject", "From", "To", "Date", "Message-ID", "Content-Type", "Content-Transfer-Encoding", "MIME-Version",
    }  # fmt: skip
    assert "\x1b" not in mail.get_content()
    assert mail.as_bytes()


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_a_console_gets_one_line_of_ascii(name: str) -> None:
    stream = StringIO()
    ConsoleChannel(name="console", stream=stream).send(message(name), NOW)
    assert stream.getvalue().isascii()
    assert stream.getvalue().count("\n") == 1
    assert "\x1b" not in stream.getvalue()


def test_names_of_budgets_and_labels_reach_a_receiver_as_plain_text(engine: Engine) -> None:
    inbox = Inbox()
    rules = (Rule(name="[red]r", severity="HIGH", condition=Metric(name=EVIL[:50]), threshold=Decimal(1)),)
    alerts = alerts_of(engine, *rules, channels=(inbox,))
    engine.record_metric(EVIL[:50], 5, labels={EVIL: EVIL})
    engine.set_budget(Budget(name="each", limit_usd="1", period="day", scope={"agent_id": "*"}))
    engine.record(model="acme-1", cost_usd=2, agent_id=EVIL)
    shipped = Alerts(engine, channels=(Subscription(inbox),))
    assert len(alerts.check()) == 1
    assert len(shipped.check()) == 1
    alerts.deliver()
    assert len(inbox.got) == 2
    for said in inbox.got:
        assert said.line.isprintable()
        assert "<b" not in said.markdown.partition("`: ")[2]
