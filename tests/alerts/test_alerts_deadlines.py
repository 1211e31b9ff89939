"""A send has one deadline from its first step to its last: who answers a byte at a time is left, and tried again."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest
import trustme

from tests.alerts.receivers import MESSAGE, NOW, SECRET, Mailbox, dripping, mail, served
from tokencalc.alerts.channels import SEND_S
from tokencalc.alerts.mail import MailChannel
from tokencalc.alerts.outbox import LEASE_S
from tokencalc.alerts.webhook import WebhookChannel
from tokencalc.errors import AlertInvalid, DeliveryFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiosmtpd.controller import Controller

SHORT_S = 0.3


@pytest.fixture
def trusting() -> ssl.SSLContext:
    return ssl.create_default_context()


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def controller(mailbox: Mailbox, trusting: ssl.SSLContext) -> Iterator[Controller]:
    """Give a mail server with TLS that the client trusts."""
    authority, server_side = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server_side)
    authority.configure_trust(trusting)
    controller = served(mailbox, server_side)
    yield controller
    controller.stop()


@pytest.mark.parametrize(
    ("scheme", "first", "last"),
    [
        ("http", b"HTTP/1.", b" 204 No Content\r\n\r\n"),
        ("http", b"HTTP/1.1 204 No Content\r\nX-Slow: ", b"\r\n\r\n"),
        ("https", b"\x16\x03\x03\x3f\xff\x02", b""),
    ],
    ids=["status line", "headers", "TLS handshake"],
)
def test_a_web_receiver_that_drips_its_answer_is_left(scheme: str, first: bytes, last: bytes) -> None:
    """Each byte comes long before a timeout of one step would be over."""
    with dripping(first, last) as port:
        channel = WebhookChannel(
            name="ops", url=f"{scheme}://127.0.0.1:{port}/", secret=SECRET, allow_private=True, timeout_s=SHORT_S
        )
        with pytest.raises(DeliveryFailed, match=r"channel ops: it took longer than 0\.3 seconds") as caught:
            channel.send(MESSAGE, NOW)
    assert not caught.value.only_this


@pytest.mark.parametrize("first", [b"", b"220 mail.example ESMTP ", b"220 mail.example ESMTP\r\n250-"])
def test_a_mail_server_that_drips_its_answer_is_left(first: bytes) -> None:
    with dripping(first, b"\r\n") as port:
        channel = MailChannel(
            name="mail", host="127.0.0.1", port=port, sender="a@example.com", to=("b@example.com",), timeout_s=SHORT_S
        )
        with pytest.raises(DeliveryFailed, match=r"channel mail: it took longer than 0\.3 seconds"):
            channel.send(MESSAGE, NOW)


def test_a_mail_that_was_taken_is_not_sent_again_for_a_farewell(
    controller: Controller, mailbox: Mailbox, trusting: ssl.SSLContext
) -> None:
    mailbox.farewell = "421 too busy to part"
    mail(controller, tls=trusting).send(MESSAGE, NOW)
    assert len(mailbox.got) == 1


@pytest.mark.parametrize(("for_good", "answer"), [(True, "554 no such words here"), (False, "451 come again")])
def test_a_mail_whose_words_are_refused_is_refused_for_good(
    answer: str, controller: Controller, mailbox: Mailbox, trusting: ssl.SSLContext, *, for_good: bool
) -> None:
    mailbox.answer = answer
    with pytest.raises(DeliveryFailed, match=f"the mail server answered {answer[:3]}") as caught:
        mail(controller, tls=trusting).send(MESSAGE, NOW)
    assert (caught.value.for_good, caught.value.only_this) == (for_good, for_good)


def test_a_send_ends_well_before_the_lease_of_its_message() -> None:
    assert LEASE_S >= 2 * SEND_S
    with pytest.raises(AlertInvalid, match=r"channel\.ops\.timeout_s: expected seconds above 0 and up to 30, found 60"):
        WebhookChannel(name="ops", url="https://example.com/", secret=SECRET, timeout_s=60)
    with pytest.raises(AlertInvalid, match=r"channel\.mail\.timeout_s: expected seconds above 0 and up to 30, found 0"):
        MailChannel(name="mail", host="localhost", sender="a@example.com", to=("b@example.com",), timeout_s=0)
