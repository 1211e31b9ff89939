"""Mail: one message in plain text, over SMTP with STARTTLS; a server without it gets nothing."""

from __future__ import annotations

import logging
import smtplib
import socket
import ssl
from contextlib import closing, suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from typing import TYPE_CHECKING

from tokencalc.alerts.channels import SEND_S, check_timeout, failed
from tokencalc.alerts.connections import connected
from tokencalc.alerts.messages import LONGEST_TEXT
from tokencalc.errors import AlertInvalid
from tokencalc.reports.text import safe_text

if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any

    from tokencalc.alerts.messages import Message

_TEMPORARY_END = 500
_LAST_PORT = 65535


@dataclass(frozen=True, slots=True, kw_only=True)
class MailChannel:
    """Sends to ``to`` by the server ``host``; ``user`` and ``password`` where it wants them, after TLS has begun.

    ``timeout_s`` is for all of a send together, at most 30 seconds.
    """

    name: str
    host: str
    sender: str
    to: tuple[str, ...]
    port: int = 587
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    timeout_s: float = SEND_S
    tls: ssl.SSLContext | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Refuse what is no host, no port or no address."""
        if not isinstance(self.host, str) or not self.host or not self.host.isprintable() or " " in self.host:
            raise self._refused("host", self.host, "the name of a mail server")
        if not isinstance(self.port, int) or isinstance(self.port, bool) or not 0 < self.port <= _LAST_PORT:
            raise self._refused("port", self.port, f"a port from 1 to {_LAST_PORT}")
        if not isinstance(self.to, tuple) or not self.to:
            raise self._refused("to", self.to, "a list of at least one address")
        for key, address in (("from", self.sender), *(("to", one) for one in self.to)):
            if not isinstance(address, str) or not address.isprintable() or parseaddr(address)[1] != address:
                raise self._refused(key, address, "a plain address such as ops@example.com")
            if not address.isascii() or not all(address.partition("@")):
                raise self._refused(key, address, "a plain address such as ops@example.com")
        if (self.user is None) is not (self.password is None):
            raise self._refused("user", self.user, "both user and password_env, or neither")
        check_timeout(self.name, self.timeout_s)

    def _refused(self, key: str, found: object, allowed: str) -> AlertInvalid:
        path = f"channel.{self.name}.{key}"
        return AlertInvalid(f"{path}: expected {allowed}, found {found!r:.60}", path=path, found=found)

    def send(self, message: Message, at: datetime) -> None:
        """Send the mail; DeliveryFailed where the server takes it for nobody, or does not begin TLS."""
        try:
            with connected(self.name, self.host, self.port, allow_private=True, within_s=self.timeout_s) as line:
                refused = self._send(line.opened, self._mail(message, at))
        except smtplib.SMTPNotSupportedError as error:
            raise failed(self.name, "the mail server offers no STARTTLS (or no login), and nothing is sent") from error
        except smtplib.SMTPResponseException as error:
            # What it says of the content it will say again; what it says of the sender or the login is not this mail's.
            for_good = isinstance(error, smtplib.SMTPDataError) and error.smtp_code >= _TEMPORARY_END
            raise failed(self.name, f"the mail server answered {error.smtp_code}", for_good=for_good) from error
        except (OSError, smtplib.SMTPException, ValueError) as error:
            raise failed(self.name, f"the mail server did not take it ({type(error).__name__})") from error
        if refused:
            # Somebody has it; sent again for the others, it would come to them for ever.
            logging.getLogger("tokencalc").warning(
                "channel %s: the mail server refused %d of %d addresses", self.name, len(refused), len(self.to)
            )

    def _send(self, opened: socket.socket, mail: EmailMessage) -> dict[str, Any]:
        """Hand a mail over, and return the addresses that were refused."""
        with closing(_Server(opened, self.host, self.port)) as server:
            server.starttls(context=self.tls or ssl.create_default_context())
            if self.user is not None and self.password is not None:
                server.login(self.user, self.password)
            refused = server.send_message(mail, self.sender, list(self.to))
            # The mail is taken, whatever becomes of the farewell: it must not be sent again for that.
            with suppress(OSError, smtplib.SMTPException):
                server.quit()
        return refused

    def _mail(self, message: Message, at: datetime) -> EmailMessage:
        mail = EmailMessage()
        mail["Subject"] = message.title
        mail["From"] = self.sender
        mail["To"] = ", ".join(self.to)
        mail["Date"] = format_datetime(at)
        mail["Message-ID"] = f"<{message.message_id}@{self.sender.rpartition('@')[2]}>"
        labels = message.data.get("labels", {})
        lines = [
            safe_text(message.text, longest=LONGEST_TEXT),
            "",
            f"severity: {message.severity}",
            f"at: {message.at}",
            *(f"{safe_text(name)}: {safe_text(value)}" for name, value in labels.items()),
            f"id: {message.message_id}",
        ]
        mail.set_content("\n".join(lines) + "\n")
        return mail


class _Server(smtplib.SMTP):
    """A mail server over a connection that is there already."""

    def __init__(self, opened: socket.socket, host: str, port: int) -> None:
        self._opened = opened
        super().__init__(host, port, local_hostname=socket.gethostname())

    def _get_socket(self, *_: object) -> socket.socket:
        return self._opened
