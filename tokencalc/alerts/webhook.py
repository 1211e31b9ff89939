"""Webhooks: a POST of JSON, signed as Standard Webhooks asks; no redirect is followed.

The receiver computes HMAC-SHA256 of ``id.timestamp.body`` with the shared secret and
compares it with the header ``webhook-signature``; the id is the same each time that a
message is sent.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import http.client
import json
import socket
import ssl
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal
from urllib.parse import SplitResult, urlsplit

from tokencalc.alerts.channels import SEND_S, check_timeout, failed
from tokencalc.alerts.connections import connected
from tokencalc.errors import AlertInvalid
from tokencalc.providers.headers import read_retry_after

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from typing import Any

    from tokencalc.alerts.connections import Line
    from tokencalc.alerts.messages import Message

WebhookShape = Literal["standard", "slack"]

_PREFIX = "whsec_"
_LEAST_SECRET, _MOST_SECRET = 24, 64
_OK, _OK_END, _REDIRECT_END = 200, 300, 400
_REFUSALS_END = 500
# A name is neither emphasis nor a page to be fetched and shown.
_SLACK_PLAIN = {"mrkdwn": False, "unfurl_links": False, "unfurl_media": False}
# What is wrong with these is the receiver's hour, its address or our right to it: the next message would fare alike.
_OF_THE_CHANNEL = {401, 403, 404, 407, 408, 425, 429}
# Gone: Standard Webhooks says to stop sending. The others say what the body is, which no attempt changes. A 400
# is not among them: many receivers answer so to a signature by another secret, and that somebody can set right.
_FOR_GOOD = {410, 413, 415, 422}


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookChannel:
    """Posts to ``url``: Standard Webhooks with a ``secret``, or the text that Slack reads.

    Plain http and private addresses need ``allow_private``. ``timeout_s`` is for all of
    a send together, at most 30 seconds: the name, connecting, TLS, the request, the answer.
    """

    name: str
    url: str = field(repr=False)
    secret: bytes = field(default=b"", repr=False)
    shape: WebhookShape = "standard"
    allow_private: bool = False
    timeout_s: float = SEND_S
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    resolve: Callable[..., list[tuple[Any, ...]]] = field(default=socket.getaddrinfo, repr=False)

    def __post_init__(self) -> None:
        """Refuse an address that is none; AlertInvalid never shows it, for it may be a secret."""
        try:
            parts = urlsplit(self.url)
            port = parts.port
        except (ValueError, AttributeError, TypeError):
            raise self._refused("expected an address such as https://example.com/alerts") from None
        if not self.url.isascii() or not self.url.isprintable() or " " in self.url or port == 0:
            raise self._refused("expected an address of plain characters, with a port above 0 if any")
        if parts.scheme not in {"https", "http"} or not parts.hostname:
            raise self._refused("expected an address that begins with https:// and names a host")
        if parts.scheme == "http" and not self.allow_private:
            raise self._refused(
                "plain http:// is for a receiver of your own: set allow_private = true, or use https://"
            )
        if parts.username is not None or parts.password is not None:
            raise self._refused("an address with a user's name or password is refused; sign by a secret")
        if self.shape == "standard" and not _LEAST_SECRET <= len(self.secret) <= _MOST_SECRET:
            raise self._refused(
                f"a signed webhook needs a secret of {_LEAST_SECRET} to {_MOST_SECRET} bytes, "
                f"written {_PREFIX} and base64; name its variable by secret_env"
            )
        check_timeout(self.name, self.timeout_s)

    def _refused(self, text: str) -> AlertInvalid:
        return AlertInvalid(f"channel {self.name}: {text}", path=f"channel.{self.name}", found="(not shown)")

    def send(self, message: Message, at: datetime) -> None:
        """Post the message; DeliveryFailed for anything but an answer of 200 to 299."""
        is_standard = self.shape == "standard"
        body = (message.payload if is_standard else json.dumps({"text": message.slack, **_SLACK_PLAIN})).encode()
        headers = {"Content-Type": "application/json", "User-Agent": "tokencalc"}
        if is_standard:
            headers |= signed(message.message_id, int(at.timestamp()), body, self.secret)
        parts = urlsplit(self.url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        try:
            with connected(
                self.name,
                host,
                port,
                allow_private=self.allow_private,
                within_s=self.timeout_s,
                resolve=self.resolve,
            ) as line:
                status, answered = self._post(line, parts, body, headers)
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            raise failed(self.name, f"no answer ({type(error).__name__})") from error
        if not _OK <= status < _OK_END:
            raise failed(
                self.name,
                _said(status),
                only_this=_REDIRECT_END <= status < _REFUSALS_END and status not in _OF_THE_CHANNEL,
                for_good=status in _FOR_GOOD,
                retry_after_s=read_retry_after(answered, at),
            )

    def _post(self, line: Line, parts: SplitResult, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str]]:
        """Post a body, and return the answer's status and headers, names in lower case."""
        opened, host = line.opened, parts.hostname or ""
        if parts.scheme == "https":
            opened = (self.tls or ssl.create_default_context()).wrap_socket(opened, server_hostname=host)
        connection = http.client.HTTPConnection(host)
        connection.sock = opened
        with opened, closing(connection):
            path = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
            connection.request("POST", path, body, {**headers, "Host": parts.netloc, "Connection": "close"})
            with connection.getresponse() as response:
                if line.cut.is_set():  # then its headers end where the line was cut
                    raise TimeoutError
                return response.status, {name.lower(): value for name, value in response.getheaders()}


def signed(message_id: str, timestamp: int, body: bytes, secret: bytes) -> dict[str, str]:
    """Return the headers of Standard Webhooks: id, seconds since 1970, and the signature of both with the body."""
    digest = hmac.new(secret, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def secret_from(text: str, *, name: str) -> bytes:
    """Read a secret, ``whsec_`` and base64; AlertInvalid never shows it."""
    try:
        return base64.b64decode(text.strip().removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise AlertInvalid(
            f"{name}: expected a secret written {_PREFIX} and base64", path=name, found="(not shown)"
        ) from None


def _said(status: int) -> str:
    if _OK_END <= status < _REDIRECT_END:
        return f"the receiver answered {status}, and redirects are not followed; give the address that it leads to"
    return f"the receiver answered {status}"
