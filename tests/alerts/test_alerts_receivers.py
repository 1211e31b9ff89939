"""Real receivers on this machine: a web server that verifies signatures, a mail server that begins TLS."""

# do_POST and handle_DATA are the servers' names

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import ssl
import threading
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from tests.alerts.receivers import MESSAGE, NOW, SECRET, Got, Mailbox, Receiver, mail, served, webhook
from tokencalc.alerts.addresses import is_public
from tokencalc.alerts.mail import MailChannel
from tokencalc.alerts.messages import Message
from tokencalc.alerts.webhook import secret_from
from tokencalc.errors import AlertInvalid, DeliveryFailed

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def verified(got: Got) -> dict[str, Any]:
    """Verify a request as its receiver does, by the standard's words, and return its body."""
    told = f"{got.headers['webhook-id']}.{got.headers['webhook-timestamp']}.".encode() + got.body
    expected = base64.b64encode(hmac.new(SECRET, told, hashlib.sha256).digest()).decode()
    assert got.headers["webhook-signature"].split(",") == ["v1", expected]
    assert int(got.headers["webhook-timestamp"]) == NOW.timestamp()
    found: dict[str, Any] = json.loads(got.body)
    return found


def test_a_receiver_verifies_the_signature(receiver: Receiver) -> None:
    webhook(receiver).send(MESSAGE, NOW)
    (got,) = receiver.got
    body = verified(got)
    assert (got.path, got.headers["webhook-id"]) == ("/hook?a=b", "c0ffee00-a7-firing")
    assert got.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert (body["type"], body["timestamp"], body["data"]["severity"]) == ("alert.firing", MESSAGE.at, "HIGH")
    with pytest.raises(AssertionError, match="v1"):
        verified(got._replace(body=got.body.replace(b"HIGH", b"INFO")))


def test_tls_is_verified(authority: trustme.CA) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    made = Receiver(context)
    try:
        trusting = ssl.create_default_context()
        authority.configure_trust(trusting)
        url = f"https://localhost:{made.port}/"
        webhook(made, url=url, tls=trusting).send(MESSAGE, NOW)
        assert len(made.got) == 1
        with pytest.raises(DeliveryFailed, match=r"channel ops: no answer \(SSLCertVerificationError\)"):
            webhook(made, url=url).send(MESSAGE, NOW)
        with pytest.raises(DeliveryFailed, match=r"channel ops: no answer \(SSLCertVerificationError\)"):
            webhook(made, url=url.replace("localhost", "127.0.0.1"), tls=trusting).send(MESSAGE, NOW)
        assert len(made.got) == 1
    finally:
        made.close()


@pytest.mark.parametrize(
    ("expected", "only_this", "status"),
    [
        ("answered 301, and redirects are not followed", False, 301),
        ("answered 307, and redirects are not followed", False, 307),
        ("answered 400", True, 400),
        ("answered 401", False, 401),
        ("answered 410", True, 410),
        ("answered 429", False, 429),
        ("answered 503", False, 503),
    ],
)
def test_any_other_answer_is_a_failure_and_no_redirect_is_followed(
    expected: str, status: int, receiver: Receiver, *, only_this: bool
) -> None:
    receiver.status = status
    with pytest.raises(DeliveryFailed, match=expected) as caught:
        webhook(receiver).send(MESSAGE, NOW)
    assert [got.path for got in receiver.got] == ["/hook?a=b"]
    assert caught.value.only_this is only_this


def test_nobody_there_is_a_failure(receiver: Receiver) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        gone = webhook(receiver, url=f"http://127.0.0.1:{taken.getsockname()[1]}/")
        with pytest.raises(DeliveryFailed, match="channel ops: its host does not answer"):
            gone.send(MESSAGE, NOW)


def test_an_answer_that_is_no_http_is_a_failure(receiver: Receiver) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"220 mail\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(DeliveryFailed, match=r"no answer \(\w+\)"):
            webhook(receiver, url=f"http://127.0.0.1:{server.getsockname()[1]}/").send(MESSAGE, NOW)
        thread.join(20)


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["10.1.2.3"],
        ["169.254.169.254"],
        ["::1"],
        ["fd00::1"],
        ["fe80::1%eth0"],
        ["::ffff:192.168.0.1"],
        ["64:ff9b::7f00:1"],
        ["64:ff9b:1::808:808"],
        ["2002:7f00:1::"],
        ["2002:808:808::"],
        ["2001::1"],
        ["2001:db8::1"],
        ["3fff::1"],
        ["5f00::1"],
        ["fec0::1"],
        ["::"],
        ["::7f00:1"],
        ["::ffff:0:7f00:1"],
        ["ff0e::1"],
        ["192.0.0.9"],
        ["192.88.99.1"],
        ["198.18.0.1"],
        ["255.255.255.255"],
        ["0.0.0.0"],  # noqa: S104  # that it is refused is the point
        ["100.64.0.1"],
        ["224.0.0.1"],
        ["8.8.8.8", "127.0.0.1"],
    ],
)
def test_a_name_with_a_private_address_is_refused_whatever_it_is_called(
    addresses: list[str], receiver: Receiver
) -> None:
    def resolve(*_: Any, **__: Any) -> list[tuple[Any, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, receiver.port)) for address in addresses]

    channel = webhook(receiver, url="https://example.com/", allow_private=False, resolve=resolve)
    with pytest.raises(DeliveryFailed, match="an address inside a private network, which is refused"):
        channel.send(MESSAGE, NOW)
    assert receiver.got == []


def test_what_was_checked_is_what_is_connected_to(receiver: Receiver) -> None:
    """A name that is public when it is asked first and private the second time is asked once."""
    asked = []

    def resolve(*arguments: Any, **_: Any) -> list[tuple[Any, ...]]:
        asked.append(arguments)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", receiver.port))]

    webhook(receiver, url="http://example.com/", resolve=resolve).send(MESSAGE, NOW)
    assert asked == [("example.com", 80)]
    assert receiver.got[0].headers["host"] == "example.com"


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"])
def test_public_addresses_are_allowed(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    ("expected", "wrong"),
    [
        ("begins with https://", {"url": "ftp://example.com/x"}),
        ("begins with https://", {"url": "https:///x"}),
        ("expected an address", {"url": "https://example.com:99999/"}),
        ("of plain characters", {"url": "https://example.com/a b"}),
        ("of plain characters", {"url": "https://example.com/\r\nHost: x"}),
        ("plain http:// is for a receiver of your own", {"url": "http://example.com/", "allow_private": False}),
        ("a user's name or password is refused", {"url": "https://me:hunter2@example.com/"}),
        ("needs a secret of 24 to 64 bytes", {"secret": b"short"}),
    ],
)
def test_an_address_that_cannot_be_is_refused_and_not_shown(
    expected: str, wrong: dict[str, Any], receiver: Receiver
) -> None:
    with pytest.raises(AlertInvalid, match=expected) as caught:
        webhook(receiver, **wrong)
    assert "hunter2" not in str(caught.value)


def test_secrets_are_read_and_never_shown(receiver: Receiver) -> None:
    assert secret_from(f"whsec_{base64.b64encode(SECRET).decode()}", name="S") == SECRET
    with pytest.raises(AlertInvalid, match="S: expected a secret written whsec_ and base64") as caught:
        secret_from("hunter2!", name="S")
    assert "hunter2" not in f"{caught.value} {caught.value.values}"
    assert "0123456789" not in repr(webhook(receiver))


def test_slack_reads_a_text_in_which_nothing_begins(receiver: Receiver) -> None:
    evil = Message(**{**MESSAGE_FIELDS, "text": "<!channel> *b* `c` <https://evil.example|ok>\x1b[2J"})
    webhook(receiver, shape="slack", secret=b"").send(evil, NOW)
    (got,) = receiver.got
    text = json.loads(got.body)["text"]
    assert "webhook-signature" not in got.headers
    assert "&lt;!channel&gt;" in text
    assert not {"<", ">", "\x1b"} & set(text)
    assert "*b*" not in text


MESSAGE_FIELDS = {name: getattr(MESSAGE, name) for name in Message.__dataclass_fields__}


def test_a_mail_goes_out_under_tls_and_says_what_is_wrong(authority: trustme.CA) -> None:
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server_side)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    mailbox = Mailbox()
    controller = served(mailbox, server_side)
    try:
        mail(controller, tls=trusting, user="me", password="hunter2").send(MESSAGE, NOW)  # noqa: S106  # of this test
        with pytest.raises(DeliveryFailed, match="the mail server answered 535"):
            mail(controller, tls=trusting, user="me", password="wrong").send(MESSAGE, NOW)  # noqa: S106  # of this test
        with pytest.raises(DeliveryFailed, match=r"did not take it \(SSLCertVerificationError\)"):
            mail(controller).send(MESSAGE, NOW)
    finally:
        controller.stop()
    (got,) = mailbox.got
    assert mailbox.tls == [True]
    assert set(mailbox.users) == {b"me"}
    assert (got["Subject"], got["To"]) == ("[HIGH] disk_high", "ops@example.com")
    assert got["Message-ID"] == "<c0ffee00-a7-firing@example.com>"
    assert "mount: /data" in got.get_content().splitlines()


def test_a_server_without_tls_gets_nothing() -> None:
    mailbox = Mailbox()
    controller = served(mailbox, None)
    try:
        with pytest.raises(DeliveryFailed, match="offers no STARTTLS"):
            mail(controller).send(MESSAGE, NOW)
    finally:
        controller.stop()
    assert mailbox.got == []
    with pytest.raises(DeliveryFailed, match="channel mail: its host does not answer"):
        mail(controller).send(MESSAGE, NOW)


@pytest.mark.parametrize(
    ("expected", "wrong"),
    [
        ("host: expected the name of a mail server", {"host": ""}),
        ("port: expected a port from 1", {"port": 0}),
        ("to: expected a list of at least one", {"to": ()}),
        ("to: expected a plain address", {"to": ("ops@example.com\r\nBcc: x@example.com",)}),
        ("from: expected a plain address", {"sender": "Ops <ops@example.com>"}),
        ("expected both user and password_env", {"user": "me"}),
    ],
)
def test_a_mail_channel_that_cannot_be_is_refused(expected: str, wrong: dict[str, Any]) -> None:
    given = {"name": "mail", "host": "localhost", "sender": "tokencalc@example.com", "to": ("ops@example.com",)}
    with pytest.raises(AlertInvalid, match=expected):
        MailChannel(**{**given, **wrong})
