"""What a stream has said so far: the events that hold figures, and the text that was generated.

A stream of 20,000 chunks must not be kept whole until its end. Chunks that hold
nothing but generated text leave only that text behind, which counts where the
stream is left before its last figure came.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tokencalc.providers.failures import broke_off, failure

if TYPE_CHECKING:
    from tokencalc.providers.payload import Body

_NO_TEXT = frozenset(
    {"role", "id", "type", "index", "signature", "finish_reason", "thoughtSignature", "encrypted_content"}
)
_EMPTY_TYPES = frozenset({"content_block_delta", "content_block_stop", "ping"})
_PREAMBLE = frozenset({"message_start", "ping"})
"""Events before the first that says whether the provider really answers."""

_DEPTH_MAX = 12


class Tally:
    """Takes the events of one stream, in order; ``events`` are those that matter, ``text`` what was generated."""

    __slots__ = ("_pieces", "events", "failure", "is_answered", "is_ended")

    def __init__(self) -> None:
        """Start with nothing said."""
        self.events: list[Body] = []
        self._pieces: list[str] = []
        self.failure: Body | None = None
        """The event by which the provider broke the stream off."""
        self.is_answered = False
        """Whether something came that is neither an error nor an opening."""
        self.is_ended = False
        """Whether the provider said that this is all."""

    @property
    def text(self) -> str:
        """What was generated, as far as it was received."""
        return "".join(self._pieces)

    @property
    def is_settled(self) -> bool:
        """Whether it is clear that the provider answers, or that it does not."""
        return self.is_answered or self.failure is not None

    def take(self, event: object) -> None:
        """Add one event; what is no object says nothing."""
        if not isinstance(event, Mapping):
            return
        before = len(self._pieces)
        self._pieces.extend(generated(event))
        if broke_off(event) is not None and (failure(event) is not None or len(self._pieces) == before):
            self.failure = event
        elif event.get("type") not in _PREAMBLE:
            self.is_answered = True
        if not self.events or _says_more(event):
            self.events.append(_without_content(event))


def _says_more(event: Body) -> bool:
    kind = event.get("type")
    if isinstance(kind, str) and kind:
        if kind in _EMPTY_TYPES or kind.endswith(".delta"):
            return False
        return not kind.startswith("response.") or "response" in event
    if any(event.get(name) for name in ("usage", "usageMetadata", "usage_metadata", "x_groq", "error")):
        return True
    parts = [*_objects(event.get("choices")), *_objects(event.get("candidates"))]
    names = ("finish_reason", "finishReason", "groundingMetadata", "usage", "error")
    if any(part.get(name) for part in parts for name in names):
        return True
    if any(_object(part.get("delta")).get("executed_tools") for part in parts):
        return True
    return not parts


def _without_content(event: Body) -> Body:
    """Return Gemini's chunk without its texts, which would be kept with each figure."""
    if not event.get("candidates"):
        return event
    candidates = [{k: v for k, v in one.items() if k != "content"} for one in _objects(event["candidates"])]
    return {**event, "candidates": candidates}


def generated(event: Body) -> Iterator[str]:
    """Yield the generated text of an event, or of a whole body: answers, reasoning, arguments of tools."""
    kind = event.get("type")
    if kind == "message":
        yield from _strings(event.get("content"))
    elif event.get("object") == "response":
        yield from _strings(event.get("output"))
    elif isinstance(kind, str) and kind:
        if kind == "content_block_delta" or kind.endswith(".delta"):
            yield from _strings(event.get("delta"))
    else:
        data = event.get("data")
        if isinstance(data, Mapping) and "choices" in data:
            event = data
        for choice in _objects(event.get("choices")):
            for name in ("delta", "message", "text"):
                yield from _strings(choice.get(name))
        for candidate in _objects(event.get("candidates")):
            yield from _strings(candidate.get("content"))


def _strings(value: object, depth: int = 0) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping) and depth < _DEPTH_MAX:
        for name, inner in value.items():
            if name not in _NO_TEXT:
                yield from _strings(inner, depth + 1)
    elif isinstance(value, list) and depth < _DEPTH_MAX:
        for inner in value:
            yield from _strings(inner, depth + 1)


def _objects(value: object) -> list[Body]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def _object(value: object) -> Body:
    return value if isinstance(value, Mapping) else {}


class Feed:
    """Cuts the bytes of server-sent events into events, as they come, and hands each to a tally.

    With ``hide_usage``, `take` gives back the bytes without the chunk that holds
    nothing but the usage, which the caller did not ask for.
    """

    __slots__ = ("_hides", "_rest", "_seen", "tally")

    def __init__(self, tally: Tally, *, hide_usage: bool = False) -> None:
        """Start at the beginning of a stream."""
        self.tally = tally
        self._hides = hide_usage
        self._rest = bytearray()
        self._seen = 0

    def take(self, chunk: bytes) -> bytes:
        """Take some bytes and return those that the caller may see now."""
        rest = self._rest
        rest += chunk
        shown: list[bytes] = []
        start = 0
        # An event of megabytes comes in thousands of pieces: what was looked through is not looked through again.
        cut = _end_of_event(rest, max(0, self._seen - _END_MAX + 1))
        while cut is not None:
            block, start = bytes(rest[start:cut]), cut
            if not (self._read(block) and self._hides):
                shown.append(block)
            cut = _end_of_event(rest, start)
        del rest[:start]
        self._seen = len(rest)
        return b"".join(shown) if self._hides else chunk

    def finish(self) -> bytes:
        """Read what is left after the last byte, and return it where it was held back."""
        rest, self._rest = bytes(self._rest), bytearray()
        is_usage = bool(rest.strip()) and self._read(rest)
        return rest if self._hides and not is_usage else b""

    def _read(self, block: bytes) -> bool:
        """Take one event in; tell whether it holds a usage and nothing else."""
        lines = block.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n").split("\n")
        data = "\n".join(line[5:].removeprefix(" ") for line in lines if line.startswith("data:"))
        if not data:
            return False
        if data.strip() == "[DONE]":
            self.tally.is_ended = True
            return False
        event = parsed(data)
        self.tally.take(event)
        return isinstance(event, Mapping) and event.get("choices") == [] and bool(event.get("usage"))


def parsed(data: str | bytes) -> Any:
    """Return the JSON of a text, None where it is none: somebody else's bytes are no reason to fail."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


_END = re.compile(rb"(?:\r\n?+|\n){2}")
"""Two ends of lines, of whatever kind each: some servers mix them. A carriage return keeps the newline after it."""

_END_MAX = 4
"""The most bytes of such an end."""


def _end_of_event(data: bytearray, start: int) -> int | None:
    found = _END.search(data, start)
    return None if found is None else found.end()
