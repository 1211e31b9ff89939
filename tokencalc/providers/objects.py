"""SDK objects as dictionaries, by duck typing: no SDK is imported, and no content of a message is touched."""

from __future__ import annotations

from collections.abc import Mapping
from types import AsyncGeneratorType, GeneratorType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from tokencalc.errors import UsageInvalid

if TYPE_CHECKING:
    from tokencalc.providers.payload import Body

Shape: TypeAlias = 'Literal["value", "fields"] | dict[str, Shape] | list[Shape]'
"""What to pick from an object: see `pick`."""

GROUNDING: Shape = {
    **dict.fromkeys(("web_search_queries", "image_search_queries", "retrieval_queries"), "value"),
    "grounding_chunks": [{"maps": {}}],
}
"""What says how often Google searched for an answer."""
BILLED: dict[str, Shape] = {
    "output": [{"type": "value", "action": {"type": "value"}}],
    "candidates": [{"grounding_metadata": GROUNDING}],
    "choices": [{"message": {"executed_tools": [{"type": "value"}]}}],
    "container": {"id": "value"},
    "content": [{"type": "value"}],
}
"""What else is billed, as far as an answer's content shows it: kinds and counts, never a text of a message."""

_USAGE_NAMES = ("usage", "usage_metadata", "usageMetadata")
_FACT_NAMES = (
    "model", "model_version", "modelVersion", "service_tier", "object", "type",
    "usage_breakdown", "x_groq", "tool_usage", "error",
)  # fmt: skip


def as_body(payload: object) -> Body:
    """Return a body as a dictionary: a mapping as it is, an object by the few attributes that matter.

    Raises UsageInvalid for text, lists and anything that has neither a usage nor fields of its own.
    """
    if isinstance(payload, Mapping):
        return payload
    if payload is None or isinstance(payload, str | bytes | int | float | list | tuple):
        raise UsageInvalid(
            f"usage: expected a parsed body, a usage object or counts by name, found {type(payload).__name__}"
            f"{_HINTS.get(type(payload), '')}",
            path="usage",
            found=None,
        )
    body: dict[str, Any] = {}
    for name in _USAGE_NAMES:
        usage = getattr(payload, name, None)
        if usage is not None:
            body[name] = as_fields(usage)
            break
    else:
        return as_fields(payload)
    for name in _FACT_NAMES:
        value = getattr(payload, name, None)
        if value is not None:
            body[name] = value if isinstance(value, str | Mapping) else as_fields(value)
    for name, shape in BILLED.items():
        found = pick(getattr(payload, name, None), shape)
        if found:
            body[name] = found
    return body


_HINTS: dict[type, str] = {
    str: "; parse the JSON first",
    bytes: "; parse the JSON first",
    GeneratorType: "; read the stream to its end and hand in the list of its events",
    AsyncGeneratorType: "; read the stream to its end and hand in the list of its events",
}


def pick(value: object, shape: Shape) -> Any:
    """Return only the fields of an object or a mapping that the shape names; nothing else is looked at.

    A shape is "value" for a plain value, "fields" for an object that is taken whole,
    a dictionary of the fields to pick, or a list of one shape for a list of such
    objects. What is missing or null is left out.
    """
    if shape == "value":
        return value
    if shape == "fields":
        return value if _is_plain(value) else as_fields(value)
    if isinstance(shape, list):
        items = value if isinstance(value, list | tuple) else ()
        return [picked for item in items if (picked := pick(item, shape[0])) is not None]
    if isinstance(value, str | bytes | int | float | list | tuple):
        return None
    picked = {}
    for name, below in shape.items():
        item = value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
        found = None if item is None else pick(item, below)
        if found is not None:
            picked[name] = found
    return picked


def as_fields(value: object) -> Body:
    """Return an object's own fields: ``model_dump()``, ``to_dict()``, or its attributes."""
    if isinstance(value, Mapping):
        return value
    for name in ("model_dump", "to_dict"):
        dump = getattr(value, name, None)
        if callable(dump):
            fields = dump()
            if isinstance(fields, Mapping):
                return fields
    slots = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ()) if isinstance(name, str)]
    fields = {name: getattr(value, name) for name in slots if not name.startswith("_") and hasattr(value, name)}
    fields.update({name: item for name, item in getattr(value, "__dict__", {}).items() if not name.startswith("_")})
    if not fields:
        raise UsageInvalid(
            f"usage: expected a parsed body, a usage object or counts by name, found {type(value).__name__}"
            f"{_HINTS.get(type(value), '')}",
            path="usage",
            found=None,
        )
    return {name: _plain(item) for name, item in fields.items()}


def _plain(item: object) -> object:
    if isinstance(item, list | tuple):
        return [_plain(below) for below in item]
    return item if _is_plain(item) else as_fields(item)


def _is_plain(item: object) -> bool:
    return item is None or isinstance(item, str | bytes | int | float | list | tuple | Mapping)
