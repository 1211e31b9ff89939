"""Foreign values as plain data: SDK objects to dictionaries, anything to JSON, refusals that say what was found."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Mapping, Sequence
from typing import TypeGuard, cast

from tokencalc.errors import TextInvalid


def plain(value: object) -> object:
    """Return an SDK's object as the dictionary that it would send; anything else as it is."""
    if isinstance(value, (str, Mapping, list, tuple, type)):
        return value
    dump = getattr(value, "model_dump", None)
    if not callable(dump):
        return value
    try:
        return cast("object", dump(exclude_none=True))
    except Exception as error:  # bulk: the method is the caller's own
        raise refused("messages", "an object that can be dumped", value) from error


def is_list(value: object) -> TypeGuard[Sequence[object]]:
    """Say whether a value is a list of things, which text, bytes and iterators (read once, or endless) are not."""
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray, memoryview))


def kind_of(part: Mapping[object, object]) -> str | None:
    """Return the ``type`` of a part where it is text."""
    kind = part.get("type")
    return kind if isinstance(kind, str) else None


def text_of(fields: Mapping[object, object], *keys: str) -> str:
    """Return the first of these keys that holds text, else nothing."""
    return next((found for key in keys if isinstance(found := fields.get(key), str)), "")


def mapping_of(fields: Mapping[object, object], *keys: str) -> Mapping[object, object] | None:
    """Return the first of these keys that holds a mapping, or an object that sends one."""
    return next((found for key in keys if isinstance(found := plain(fields.get(key)), Mapping)), None)


def as_json(value: object, path: str, *, compact: bool = False) -> str:
    """Write a value as JSON text; TextInvalid for what has no end."""
    separators = (",", ":") if compact else None
    try:
        return json.dumps(plain(value), ensure_ascii=False, default=reprlib.repr, separators=separators)
    except (TypeError, ValueError, RecursionError) as error:
        raise TextInvalid(f"{path}: cannot be written as JSON ({error!s:.80})", path=path, found=value) from error


def as_plain_json(value: object, path: str) -> object:
    """Return a value as JSON would bring it to the provider: text keys, lists, no objects of a program."""
    return cast("object", json.loads(as_json(value, path)))


def unreadable(path: str, error: Exception) -> TextInvalid:
    """Return the error for a value whose own methods raised, or that nests deeper than Python goes."""
    return TextInvalid(
        f"{path}: cannot be read, {type(error).__name__}: {reprlib.repr(error):.80}; give plain dictionaries, lists "
        "and text",
        path=path,
        found=None,
    )


def refused(path: str, expected: str, found: object) -> TextInvalid:
    """Return the error for a value of the wrong kind."""
    shown = reprlib.repr(found)
    return TextInvalid(
        f"{path:.200}: expected {expected}, found {type(found).__name__} {shown:.60}", path=path, found=found
    )
