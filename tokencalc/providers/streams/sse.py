"""Server-sent events, parsed: for people who hold the text of a stream and not its events."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tokencalc.errors import UsageInvalid

if TYPE_CHECKING:
    from tokencalc.providers.payload import Body

_DONE = "[DONE]"


def parse_sse(text: str) -> list[Body]:
    """Return the JSON objects of a text of server-sent events, or of one JSON object a line, in their order.

    The names of events are left out, because every provider says them in the data
    too. A last event that was cut off in its middle is dropped, as an
    interrupted stream leaves it; one in between raises UsageInvalid with its line.
    """
    blocks = _blocks(text)
    events: list[Body] = []
    for place, (line, data) in enumerate(blocks):
        if data.strip() == _DONE:
            continue
        try:
            event = json.loads(data)
        except (ValueError, RecursionError) as error:
            if place == len(blocks) - 1:
                break
            raise UsageInvalid(
                f"usage: expected JSON in the event at line {line}: {error}", path=f"line {line}", found=None
            ) from error
        if not isinstance(event, dict):
            raise UsageInvalid(
                f"usage: expected an object in the event at line {line}, found {type(event).__name__}",
                path=f"line {line}",
                found=None,
            )
        events.append(event)
    return events


def _blocks(text: str) -> list[tuple[int, str]]:
    """Return the data of each event with the line where it starts."""
    blocks: list[tuple[int, str]] = []
    is_open = False
    # Only these end a line here: str.splitlines knows more, which may stand inside JSON.
    for number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), start=1):
        if line.startswith("data:"):
            data = line[5:].removeprefix(" ")
            if is_open:
                blocks[-1] = (blocks[-1][0], f"{blocks[-1][1]}\n{data}")
            else:
                blocks.append((number, data))
            is_open = True
        elif line.startswith("{"):
            blocks.append((number, line))
            is_open = False
        elif not line.strip():
            is_open = False
    return blocks
