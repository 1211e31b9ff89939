"""Recorded answers beside this checkout, as what a user would hand in; and which of their numbers a reading forgets.

To tell "mapped" from "forgotten" without trusting the readers' own lists, each
number is changed alone: the result has to change, or be refused, or the number's
path has to be among the ignored ones.
"""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokencalc.errors import UsageInvalid
from tokencalc.providers.registry import read_usage
from tokencalc.providers.streams.sse import parse_sse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokencalc.usage import Usage

RECORDED = Path(__file__).parents[2].parent / "shared" / "recorded"
APART = frozenset({"errors", "streams_without_usage", "realtime"})
"""Folders that do not hold answers with a usage."""
FOLDERS = tuple(folder.name for folder in sorted(RECORDED.glob("*")) if folder.is_dir() and folder.name not in APART)
"""Folders of answers with a usage, one for each way of speaking."""
USAGES = (
    "usage",
    "usageMetadata",
    "usage_metadata",
    "usage_breakdown",
    "meta",
    "amazon-bedrock-invocationMetrics",
)
"""Where counters are, wherever in a payload."""

Keys = tuple[Any, ...]


def payloads(folder: str) -> Iterator[tuple[str, Any]]:
    """Yield the name of each recording, with its body, or its events where it was streamed."""
    for file in sorted((RECORDED / folder).glob("*.json")):
        record = json.loads(file.read_text(encoding="utf-8"))
        yield f"{folder}/{file.stem}", _payload(record)


def _payload(record: dict[str, Any]) -> Any:
    if "events_with_usage" in record:
        return record["events_with_usage"]
    response = record["response"]
    if response["body"] is None:
        return response["body_events_decoded"]
    try:
        return json.loads(response["body"])
    except ValueError:
        return parse_sse(response["body"])


def numbers(value: Any, keys: Keys = (), *, counted: bool = False) -> Iterator[Keys]:
    """Yield the keys that lead to each number inside a usage, wherever in a payload usages are."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        is_counted = counted or (isinstance(key, str) and _COUNT.search(key) is not None)
        if is_counted and isinstance(item, int | float) and not isinstance(item, bool):
            yield (*keys, key)
        elif key not in _CONTENT:
            yield from numbers(item, (*keys, key), counted=counted or key in USAGES)


_COUNT = re.compile("token_?count", re.IGNORECASE)
_CONTENT = frozenset({"content", "delta_content", "instructions", "tools", "text", "guardrail", "guardrailTrace"})


def changed(payload: Any, keys: Keys) -> Any:
    """Return the payload with one number larger by one; only what leads to it is copied."""
    copied = copy.copy(payload)
    copied[keys[0]] = payload[keys[0]] + 1 if len(keys) == 1 else changed(payload[keys[0]], keys[1:])
    return copied


def forgotten(payload: Any) -> list[str]:
    """Return the numbers of a payload's usages that neither matter nor are listed, nor are said again later."""
    before = read_usage(payload)
    return [
        ".".join(map(str, keys))
        for keys in last_said(payload)
        if not any(_same_place(path, keys) for path in before.ignored) and not matters(changed(payload, keys), before)
    ]


def last_said(payload: Any) -> list[Keys]:
    """Return the numbers that count: of a stream, those of the last event that says them."""
    found = list(numbers(payload))
    if not isinstance(payload, list):
        return found
    return list({_inner(keys): keys for keys in found}.values())


def _inner(keys: Keys) -> Keys:
    """Return the keys from the usage inward, which are the same in every event of a stream."""
    first = next((place for place, key in enumerate(keys) if key in USAGES), 0)
    return keys[first:]


def _same_place(path: str, keys: Keys) -> bool:
    names = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in _inner(keys)).lstrip(".")
    return path == names


def matters(payload: Any, before: Usage) -> bool:
    """Tell whether a payload is refused, or read otherwise than before."""
    try:
        after = read_usage(payload)
    except UsageInvalid:
        return True
    return (after.leaves, after.parts, after.notes, after.billed_usd) != (
        before.leaves,
        before.parts,
        before.notes,
        before.billed_usd,
    )
