"""Real receivers on this machine: a web server, a mail server, and one that answers a byte at a time."""

# ruff: noqa: N802  # do_POST and handle_DATA are the servers' names

from __future__ import annotations

import email
import select
import socket
import threading
from contextlib import contextmanager, suppress
from email import policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from tokencalc.alerts.mail import MailChannel
from tokencalc.alerts.messages import Message
from tokencalc.alerts.webhook import WebhookChannel
from tokencalc.clock import ManualClock

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator


SECRET = b"0123456789abcdefghijklmnopqrstuv"
NOW = ManualClock("2026-11-20T12:00:00Z").now()
MESSAGE = Message(
    message_id="c0ffee00-a7-firing",
    event="firing",
    severity="HIGH",
    rule="disk_high",
    text="system.disk_share (mount=/data) is 0.95",
    at="2026-11-20T12:00:00Z",
    data={"labels": {"mount": "/data"}},
)


class Got(NamedTuple):
    """One request that a server saw."""

    path: str
    headers: dict[str, str]
    body: bytes


class Receiver:
    """A web server on the loopback; answers with ``status`` and ``more`` headers, once its gate is open."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        """Listen on a free port."""
        self.got: list[Got] = []
        self.status = 204
        self.more: dict[str, str] = {}
        self.gate = threading.Event()
        self.gate.set()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        if tls is not None:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()
        self.port: int = self.server.server_address[1]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append(Got(self.path, {key.lower(): value for key, value in self.headers.items()}, body))
                receiver.gate.wait(20)
                self.send_response(receiver.status)
                if 300 <= receiver.status < 400:
                    self.send_header("Location", f"http://127.0.0.1:{receiver.port}/elsewhere")
                for name, value in receiver.more.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        return Handler

    def close(self) -> None:
        """End the server."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(20)


class Mailbox:
    """Keeps what a mail server took."""

    def __init__(self) -> None:
        """Start empty."""
        self.got: list[Any] = []
        self.tls: list[bool] = []
        self.users: list[bytes] = []
        self.answer = "250 OK"
        self.farewell = "221 Bye"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        """Take a mail."""
        del server
        if not self.answer.startswith("250"):
            return self.answer
        self.got.append(email.message_from_bytes(envelope.content, policy=policy.default))
        self.tls.append(session.ssl is not None)
        return self.answer

    async def handle_QUIT(self, *_: Any) -> str:
        """Say farewell."""
        return self.farewell


def served(mailbox: Mailbox, tls: ssl.SSLContext | None) -> Controller:
    """Start a mail server on a free port of the loopback."""

    def login(*arguments: Any) -> AuthResult:
        data = arguments[-1]
        assert isinstance(data, LoginPassword)
        mailbox.users.append(data.login)
        return AuthResult(success=data.password == b"hunter2", handled=False)

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    controller = Controller(
        mailbox,
        hostname="127.0.0.1",
        port=port,
        tls_context=tls,
        require_starttls=tls is not None,
        authenticator=login,
        auth_require_tls=True,
    )
    controller.start()
    return controller


@contextmanager
def dripping(first: bytes, last: bytes = b"") -> Iterator[int]:
    """Give the port of a server that answers ``first``, then a byte each fiftieth second, at last ``last``.

    It ends when its client hangs up, or after eight seconds.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(first)
                for _ in range(400):
                    if select.select([connection], [], [], 0.02)[0] and not connection.recv(65536):
                        return
                    connection.sendall(b"1")
                connection.sendall(last)

        def survive() -> None:
            with suppress(OSError):  # whoever hangs up resets the line
                answer()

        thread = threading.Thread(target=survive)
        thread.start()
        yield server.getsockname()[1]
        thread.join(20)
        assert not thread.is_alive()


def webhook(receiver: Receiver, **more: Any) -> WebhookChannel:
    """Return a channel to a receiver of our own."""
    url = f"http://127.0.0.1:{receiver.port}/hook?a=b"
    return WebhookChannel(**{"name": "ops", "url": url, "secret": SECRET, "allow_private": True, **more})


def mail(controller: Controller, **more: Any) -> MailChannel:
    """Return a channel to that server."""
    given = {"name": "mail", "host": "localhost", "port": controller.port, "sender": "tokencalc@example.com"}
    return MailChannel(**{**given, "to": ("ops@example.com",), **more})
