"""Channels: where messages go. The plain ones are here: a stream for people, a file for programs.

A channel's `send` returns when the receiver has the message, or raises
DeliveryFailed; what it raises names neither an address nor a secret. It must end
before the lease of a message does (60 s), or another process sends the message as well.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from tokencalc.errors import AlertInvalid, DeliveryFailed

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path
    from typing import TextIO

    from tokencalc.alerts.messages import Message
    from tokencalc.alerts.rules import Severity


SEND_S = 20.0
"""Seconds that a message may take over the network from the first step to the last, where nothing else is said."""

_LONGEST_SEND_S = 30.0


class Channel(Protocol):
    """Takes messages; ``name`` is what rules and the outbox call it."""

    @property
    def name(self) -> str:
        """The channel's name, unique among those of one ledger."""

    def send(self, message: Message, at: datetime) -> None:
        """Hand a message over at an instant, or raise DeliveryFailed."""


class Subscription(NamedTuple):
    """A channel and the least severity that it is told of."""

    channel: Channel
    least: Severity = "INFO"


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenChannel:
    """A channel of the settings that cannot be made, with the reason; its messages wait for a process that can."""

    name: str
    problem: str

    def send(self, message: Message, at: datetime) -> None:
        """Raise DeliveryFailed."""
        del message, at
        raise DeliveryFailed(self.problem, channel=self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleChannel:
    """One line of printable text for each message, on ``stream`` (stderr if None)."""

    name: str
    stream: TextIO | None = None

    def send(self, message: Message, at: datetime) -> None:
        """Write the line."""
        del at
        stream = self.stream or sys.stderr
        try:
            # ASCII, because a stream's encoding may lack what a name holds.
            stream.write(f"{message.line.encode('ascii', 'backslashreplace').decode('ascii')}\n")
            stream.flush()
        except (OSError, ValueError, AttributeError) as error:  # closed, or no stream at all
            raise failed(self.name, f"the stream takes nothing ({type(error).__name__})") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChannel:
    """One line of JSON for each message, appended to a file (mode 0600) and synced."""

    name: str
    path: Path

    def send(self, message: Message, at: datetime) -> None:
        """Append the line, behind a line break where a crash has left half a line."""
        del at
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                self._append(descriptor, f"{message.payload}\n".encode())
            finally:
                os.close(descriptor)
        except OSError as error:
            raise failed(self.name, f"the file cannot be written: {error.strerror or error}") from error

    def _append(self, descriptor: int, line: bytes) -> None:
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            line = b"\n" + line
        if os.write(descriptor, line) != len(line):
            raise failed(self.name, "the disk took only a part of the line: is it full?")
        os.fsync(descriptor)


def failed(
    channel: str, text: str, *, only_this: bool = False, for_good: bool = False, retry_after_s: float | None = None
) -> DeliveryFailed:
    """Return the error of a channel that did not take a message; what is refused for good is only this one."""
    return DeliveryFailed(
        f"channel {channel}: {text}",
        channel=channel,
        only_this=only_this or for_good,
        for_good=for_good,
        retry_after_s=retry_after_s,
    )


def check_timeout(channel: str, timeout_s: float) -> None:
    """Raise AlertInvalid for what is no number of seconds that a send may take, well below a message's lease."""
    if isinstance(timeout_s, bool) or not isinstance(timeout_s, int | float) or not 0 < timeout_s <= _LONGEST_SEND_S:
        path = f"channel.{channel}.timeout_s"
        raise AlertInvalid(
            f"{path}: expected seconds above 0 and up to {_LONGEST_SEND_S:g}, found {timeout_s!r:.60}",
            path=path,
            found=timeout_s,
        )
