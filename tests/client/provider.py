"""A provider on this machine: an HTTP server in a thread that answers what a test tells it to."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from io import BufferedIOBase

JSON = "application/json"
EVENTS = "text/event-stream; charset=utf-8"


OPENED: list[Any] = []
"""Clients to close after the test."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One answer: ``pieces`` go out one after the other.

    With ``is_cut`` the connection ends without the end that HTTP asks for; with
    ``pauses`` the server waits after the first piece until the test lets it go on.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    pieces: tuple[bytes, ...] = ()
    is_cut: bool = False
    pauses: bool = False


def whole(body: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """Return a body as JSON."""
    return Reply(status=status, headers={"content-type": JSON, **(headers or {})}, pieces=(json.dumps(body).encode(),))


def events(
    said: Sequence[Mapping[str, Any]], *, done: bool = True, is_cut: bool = False, pauses: bool = False
) -> Reply:
    """Return server-sent events, named by their type where they have one."""
    pieces = [
        (f"event: {one['type']}\n" if "type" in one else "").encode() + f"data: {json.dumps(one)}\n\n".encode()
        for one in said
    ]
    if done and not is_cut:
        pieces.append(b"data: [DONE]\n\n")
    return Reply(headers={"content-type": EVENTS}, pieces=tuple(pieces), is_cut=is_cut, pauses=pauses)


class Seen(NamedTuple):
    """One request as it came in."""

    path: str
    headers: Mapping[str, str]
    body: Any


class _Server(ThreadingHTTPServer):
    """Quiet about clients that go away in mid-sentence: some tests are about them."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing."""


class Provider:
    """The server; a context manager. ``answer`` makes the reply to a request."""

    def __init__(self, answer: Callable[[Seen], Reply] | None = None) -> None:
        """Answer by the function, or by what `say` queued."""
        self._answer = answer
        self._queued: list[Reply] = []
        self.seen: list[Seen] = []
        self.go_on = threading.Event()
        self._mutex = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def say(self, *replies: Reply) -> None:
        """Queue replies; the last one is given again and again."""
        self._queued = list(replies)

    def __enter__(self) -> Self:
        """Serve."""
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *failure: object) -> None:
        """Stop."""
        self.go_on.set()
        self._server.shutdown()
        self._server.server_close()

    def _reply(self, seen: Seen) -> Reply:
        with self._mutex:
            self.seen.append(seen)
            if self._answer is None:
                queued = self._queued.pop(0) if len(self._queued) > 1 else self._queued[0]
                return _as_asked(queued, seen)
        return self._answer(seen)

    def _write(self, out: BufferedIOBase, reply: Reply) -> None:
        for place, piece in enumerate(reply.pieces):
            if place and reply.pauses:
                self.go_on.wait(30)
            out.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            out.flush()
        if not reply.is_cut:
            out.write(b"0\r\n\r\n")

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self._answer(_parsed(self.rfile.read(int(self.headers.get("content-length", "0")))))

            def do_GET(self) -> None:
                self._answer(None)

            def _answer(self, body: Any) -> None:
                reply = provider._reply(Seen(self.path, dict(self.headers), body))
                try:
                    self._send(reply)
                except OSError:  # the client went away, which is what some tests are about
                    self.close_connection = True

            def _send(self, reply: Reply) -> None:
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()
                provider._write(self.wfile, reply)
                self.close_connection = reply.is_cut

            def log_message(self, *_arguments: object) -> None:
                """Say nothing."""

        return Handler


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return content


def _as_asked(reply: Reply, seen: Seen) -> Reply:
    """Leave out the chunk that says a stream's usage where the request does not ask for it, as OpenAI does."""
    wishes = seen.body.get("stream_options") if isinstance(seen.body, dict) else None
    if isinstance(wishes, dict) and wishes.get("include_usage"):
        return reply
    return replace(reply, pieces=tuple(piece for piece in reply.pieces if b'"choices": []' not in piece))
