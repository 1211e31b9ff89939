"""Watching the bytes of a response while its reader reads them, whatever way it reads them.

An SDK offers many ways to a stream: its own iterator, events, raw lines, bytes, a
`with` block, none at all. Under each of them lies one byte stream of the HTTP
library, so it is there that we watch: the client's objects stay as they are. The
classes of the HTTP library are taken from the response, so that httpx and its
successor are both served and neither is imported.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from tokencalc.client.capturing import CUT
from tokencalc.client.tally import Feed, parsed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tokencalc.client.capturing import Capture
    from tokencalc.client.steps import AsyncDoor, Door

_BODY_MAX = 64 * 1024 * 1024
"""Bytes of a body that is read bit by bit, beyond which we stop keeping it."""


class Watch:
    """What both kinds of watches do with the bytes."""

    def __init__(self, capture: Capture, headers: Any, *, hides_usage: bool) -> None:
        """Watch one response."""
        self.capture = capture
        kind = str(headers.get("content-type", ""))
        plain = str(headers.get("content-encoding", "identity")) == "identity"
        self._is_events = capture.is_events = plain and "event-stream" in kind
        self._is_body = plain and not self._is_events and "json" in kind
        self._feed = Feed(capture.tally, hide_usage=hides_usage and plain)
        self._pieces: list[bytes] = []
        self._kept = 0

    def take(self, chunk: bytes) -> bytes:
        """Look at some bytes, and return those that the reader may see."""
        if self._is_events:
            return self._feed.take(chunk)
        if self._is_body and self._kept <= _BODY_MAX:
            self._pieces.append(chunk)
            self._kept += len(chunk)
        return chunk

    def finish(self) -> bytes:
        """Note that all bytes were read, and return those that were held back."""
        if self._is_events:
            return self._feed.finish()
        self.capture.body = parsed(b"".join(self._pieces)) if self._is_body else None
        return b""

    @property
    def is_peeking(self) -> bool:
        """Whether it is not yet clear that the provider answers."""
        return self._is_events and not (self.capture.tally.is_settled or self.capture.tally.is_ended)


class _Watched:
    """What both watched streams share: who ends them when nobody does, and what they say of themselves."""

    _watch: Watch
    _error: Exception | None

    def _raise_peeked(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    def __del__(self) -> None:
        """Settle a stream that nobody closed."""
        watch = self.__dict__.get("_watch")
        if watch is not None:
            watch.capture.end_late("left behind")

    def __getattr__(self, name: str) -> Any:
        """Answer for the stream that is watched, as to how long it took."""
        return getattr(self.__dict__["_inner"], name)


class SyncWatch(_Watched):
    """A byte stream that is watched; made a subclass of the HTTP library's own by `watch`."""

    def __init__(self, inner: Any, watch: Watch, door: Door) -> None:
        """Stand in front of ``inner``."""
        self._inner = inner
        self._watch = watch
        self._door = door
        self._chunks: Iterator[bytes] = iter(inner)
        self._peeked: list[bytes] = []
        self._error: Exception | None = None

    def peek(self) -> None:
        """Read until it is clear whether the provider answers; what was read is handed on later."""
        try:
            while self._watch.is_peeking:
                self._peeked.append(self._watch.take(next(self._chunks)))
        except StopIteration:
            return
        except Exception as error:  # noqa: BLE001  # bulk: the reader meets it where it would have without us
            self._error = error

    def __iter__(self) -> Iterator[bytes]:
        """Hand on the bytes, and settle when they end."""
        try:
            while self._peeked:
                if shown := self._peeked.pop(0):
                    yield shown
            self._raise_peeked()
            for chunk in self._chunks:
                if shown := self._watch.take(chunk):
                    yield shown
            if rest := self._watch.finish():
                yield rest
        except GeneratorExit:
            raise
        except BaseException:  # bulk: whatever ended the stream is raised again
            self._watch.capture.end(CUT, self._door)
            raise
        self._watch.capture.end("read to its end", self._door)

    def close(self) -> None:
        """Close the stream, and settle what was read of it."""
        try:
            self._inner.close()
        finally:
            self._watch.capture.end("closed", self._door)


class AsyncWatch(_Watched):
    """The same on an event loop."""

    def __init__(self, inner: Any, watch: Watch, door: AsyncDoor) -> None:
        """Stand in front of ``inner``."""
        self._inner = inner
        self._watch = watch
        self._door = door
        self._chunks: AsyncIterator[bytes] = aiter(inner)
        self._peeked: list[bytes] = []
        self._error: Exception | None = None

    async def peek(self) -> None:
        """Read until it is clear whether the provider answers; what was read is handed on later."""
        try:
            while self._watch.is_peeking:
                self._peeked.append(self._watch.take(await anext(self._chunks)))
        except StopAsyncIteration:
            return
        except Exception as error:  # noqa: BLE001  # bulk: the reader meets it where it would have without us
            self._error = error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Hand on the bytes, and settle when they end."""
        try:
            while self._peeked:
                if shown := self._peeked.pop(0):
                    yield shown
            self._raise_peeked()
            async for chunk in self._chunks:
                if shown := self._watch.take(chunk):
                    yield shown
            if rest := self._watch.finish():
                yield rest
        except GeneratorExit:
            raise
        except asyncio.CancelledError:
            await self._watch.capture.end_async("cancelled", self._door)
            raise
        except BaseException:  # bulk: whatever ended the stream is raised again
            await self._watch.capture.end_async(CUT, self._door)
            raise
        await self._watch.capture.end_async("read to its end", self._door)

    async def aclose(self) -> None:
        """Close the stream, and settle what was read of it."""
        try:
            await self._inner.aclose()
        finally:
            await self._watch.capture.end_async("closed", self._door)


_KINDS: dict[tuple[type, type], Any] = {}


def _kind(base: type, of: type) -> Any:
    """Return the watching class for a class of streams: the HTTP library refuses what is not of its own."""
    found = _KINDS.get((base, of))
    return _KINDS.setdefault((base, of), type(of.__name__, (of, base), {})) if found is None else found


def watch(response: Any, capture: Capture, door: Door, *, hides_usage: bool = False) -> SyncWatch:
    """Watch a response's stream from here on."""
    capture.take_stream(response.status_code, response.headers)
    kind = _kind(type(response.stream), SyncWatch)
    watched: SyncWatch = kind(response.stream, Watch(capture, response.headers, hides_usage=hides_usage), door)
    response.stream = watched
    return watched


def watch_async(response: Any, capture: Capture, door: AsyncDoor, *, hides_usage: bool = False) -> AsyncWatch:
    """Watch a response's stream from here on."""
    capture.take_stream(response.status_code, response.headers)
    kind = _kind(type(response.stream), AsyncWatch)
    watched: AsyncWatch = kind(response.stream, Watch(capture, response.headers, hides_usage=hides_usage), door)
    response.stream = watched
    return watched
