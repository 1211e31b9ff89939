"""What one attempt brought back, as the adapters see it, before the client makes its objects of it."""

from __future__ import annotations

import os
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from tokencalc.client.late import LATE
from tokencalc.client.steps import run, run_async
from tokencalc.client.tally import Tally, parsed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tokencalc.client.steps import AsyncDoor, Door, Steps

Ending = "Callable[[Capture, str], Steps[None]]"


CUT = "cut off"
"""How a stream ended that broke without the reader's doing."""


class Capture:
    """The answer of one attempt: its status, and either its body or the tally of its stream.

    A stream ends once, whoever notices first: its reader, its closer, a finalizer or
    an error. `end`, `end_async` and `end_late` may be called as often as they like.
    """

    __slots__ = (
        "_door",
        "_ending",
        "_process",
        "_unended",
        "body",
        "has_left",
        "headers",
        "hides_usage",
        "how",
        "is_events",
        "is_stream",
        "read",
        "status",
        "tally",
    )

    def __init__(self) -> None:
        """Start with nothing received."""
        self.status: int | None = None
        self.headers: Mapping[str, str] = {}
        self.body: Any = None
        self.read: Callable[[Any], Any] | None = None
        self.tally = Tally()
        self.has_left: bool | None = None
        """Whether the request was handed to the HTTP library; None where nobody watches that."""
        self.is_stream = False
        self.is_events = False
        self.hides_usage = False
        self.how: str | None = None
        self._unended = [True]
        self._ending: Callable[[Capture, str], Steps[None]] | None = None
        self._door: Door | None = None
        self._process = os.getpid()

    @property
    def is_answered(self) -> bool:
        """Whether the provider has taken the request on: what it does from here is billed."""
        return self.status is not None and 200 <= self.status < 300  # noqa: PLR2004  # HTTP

    @property
    def payload(self) -> Any:
        """What the answer says about its usage: its body, or what the caller's function makes of it."""
        return self.body if self.read is None else self.read(self.body)

    def take_body(self, status: int, headers: Mapping[str, str], content: bytes | str | None) -> None:
        """Note a whole answer."""
        self.status, self.headers = status, headers
        self.body = None if content is None else parsed(content)

    def take_stream(self, status: int, headers: Mapping[str, str]) -> None:
        """Note that an answer has begun, which will be read bit by bit."""
        self.status, self.headers, self.is_stream = status, headers, True

    def arm(self, ending: Callable[[Capture, str], Steps[None]], door: Door) -> None:
        """From now on the end of the stream runs this; ``door`` is for ends that nobody waits for."""
        LATE.start()
        self._ending, self._door = ending, door

    def end(self, how: str, door: Door) -> None:
        """Settle a stream that ended, where its reader can wait for it."""
        ending = self._claim(how)
        if ending is not None:
            run(door, ending(self, how))

    async def end_async(self, how: str, door: AsyncDoor) -> None:
        """Settle a stream that ended, on its reader's loop; on a background thread where its task is cancelled."""
        ending = self._claim(how)
        if ending is None:
            return
        is_done = False
        try:
            await run_async(door, ending(self, how))
            is_done = True
        finally:
            if not is_done:
                self._later(ending, how)

    def end_late(self, how: str) -> None:
        """Settle a stream that nobody closes, on a background thread; safe in finalizers."""
        ending = self._claim(how)
        if ending is not None:
            self._later(ending, how)

    def _later(self, ending: Callable[[Capture, str], Steps[None]], how: str) -> None:
        door = self._door
        if door is not None:
            LATE.put(lambda: run(door, ending(self, how)))

    def _claim(self, how: str) -> Callable[[Capture, str], Steps[None]] | None:
        """Return what is to be done about the end of the stream, to the first who asks."""
        # A forked child holds copies of its parent's streams, which are the parent's to settle.
        if self._process != os.getpid():
            return None
        if self.how is None:
            self.how = how
        if self._ending is None:
            return None
        try:
            self._unended.pop()  # one call into C: no other thread, no finalizer comes between
        except IndexError:
            return None
        return self._ending


CURRENT: ContextVar[Capture | None] = ContextVar("tokencalc_capture", default=None)
"""The attempt that runs here, for hooks deep inside a client."""
