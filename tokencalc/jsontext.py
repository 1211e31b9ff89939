"""JSON text of payloads and records: money as text with every digit, instants as ISO 8601 with a Z.

Two shapes come out, always the same: amounts are strings (``"0.000375"``),
because a JSON number is read as a binary float by most readers; everything else
keeps its JSON kind. Records become objects; their pico-dollar fields are written
as dollars.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from pathlib import PurePath

from tokencalc.clock import instant_text
from tokencalc.errors import CallInvalid, TokencalcError
from tokencalc.money import decimal_text, usd_from_pico
from tokencalc.usage import Usage

JsonValue = None | bool | int | float | str | list["JsonValue"] | dict[str, "JsonValue"]
"""What `json.dumps` takes without help."""

_MAX_DEPTH = 64
_MAX_BITS = 14_000  # Python writes no integer of more than 4,300 digits
_MAX_SHOWN_DEPTH = 8
_MAX_SHOWN_ITEMS = 100
_SHOWN_PROPERTIES = ("_usd", "_tokens", "_searches")


def to_json(payload: object, *, indent: int | None = None) -> str:
    """Return JSON text of a payload: Decimals as strings, instants as ISO 8601 with Z, records as objects.

    Plain ASCII, so that no reader and no terminal is surprised; numbers that are
    not finite become null. Where it lands in the log of a CI run, no text in it is a
    command for the runner. Raises CallInvalid for what JSON cannot say, by its path.
    """
    text = json.dumps(json_value(payload), indent=indent, allow_nan=False)
    # A runner obeys ##[...] anywhere in a line, and ::...:: at its beginning, where JSON has no text. Two signs and a
    # bracket stand in a document only inside text, where an escape means the same.
    return text.replace("##[", "#\\u0023[")


def json_value(payload: object, *, path: str = "payload", depth: int = 0) -> JsonValue:
    """Return the payload in plain JSON kinds; CallInvalid names the path of what has none."""
    if depth > _MAX_DEPTH:
        raise CallInvalid(f"{path}: nested deeper than {_MAX_DEPTH} levels", path=path, found=type(payload).__name__)
    if isinstance(payload, int) and payload.bit_length() > _MAX_BITS:
        raise CallInvalid(f"{path}: a huge integer has no text", path=path, found="a huge integer")
    simple = _scalar(payload)
    if simple is not payload or payload is None or isinstance(payload, str | int | float):
        return simple  # type: ignore[return-value]  # _scalar returns JSON kinds or the payload itself
    if isinstance(payload, Mapping):
        return {
            _key(key, path): json_value(value, path=f"{path}.{key}", depth=depth + 1) for key, value in payload.items()
        }
    if isinstance(payload, TokencalcError):
        return json_value(error_value(payload), path=path, depth=depth)
    record = _record(payload)
    if record is not None:
        return {key: json_value(value, path=f"{path}.{key}", depth=depth + 1) for key, value in record.items()}
    if isinstance(payload, AbstractSet):
        payload = sorted(payload, key=str)
    if isinstance(payload, list | tuple):
        return [json_value(value, path=f"{path}[{place}]", depth=depth + 1) for place, value in enumerate(payload)]
    raise CallInvalid(
        f"{path}: expected plain values, Decimals, instants or records, found a {type(payload).__name__}",
        path=path,
        found=type(payload).__name__,
    )


def error_value(error: TokencalcError) -> dict[str, object]:
    """Return an error of our tree as a mapping: its code, its message and its values."""
    values = {key: _plain(value) for key, value in error.values.items()}
    return {**values, "error": error.code, "message": error.message}


def _scalar(value: object) -> object:
    """The JSON scalar of a value, or the value itself where it is none."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Decimal):
        return decimal_text(value) if value.is_finite() else None
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime) and value.utcoffset() is not None:
        return instant_text(value)
    if isinstance(value, date):
        return value.isoformat()
    return str(value) if isinstance(value, PurePath) else value


def _key(key: object, path: str) -> str:
    plain = _scalar(key)
    if isinstance(plain, str):
        return plain
    if isinstance(plain, int) and not isinstance(plain, bool):
        return str(plain)
    raise CallInvalid(f"{path}: expected text as a key, found {key!r:.60}", path=path, found=repr(key)[:60])


def _record(value: object) -> dict[str, object] | None:
    """The fields of a frozen record or a named tuple, with its derived amounts and token totals."""
    names: tuple[str, ...] | None = getattr(value, "_fields", None) if isinstance(value, tuple) else None
    if names is None and is_dataclass(value) and not isinstance(value, type):
        names = tuple(field.name for field in fields(value))
    if names is None:
        return None
    found: dict[str, object] = {}
    for name in names:
        field_value = getattr(value, name)
        if name.endswith("_pico"):
            found[f"{name[:-5]}_usd"] = None if field_value is None else usd_from_pico(field_value)
        else:
            found[name] = field_value
    if isinstance(value, Usage):
        found["leaves"] = dict(value.leaves)
    for name, member in vars(type(value)).items():
        if isinstance(member, property) and name.endswith(_SHOWN_PROPERTIES):
            found[name] = getattr(value, name)
    return found


def _plain(value: object, depth: int = 0) -> object:
    """A value that an error carries: whatever a caller handed in, so cut it short where it is foreign."""
    if value is None or isinstance(value, bool | float | Decimal | date | Enum | PurePath):
        return value
    if isinstance(value, int):
        return value if value.bit_length() <= 256 else "a huge integer"  # noqa: PLR2004
    if isinstance(value, str):
        return value[:200]
    if isinstance(value, list | tuple | Mapping) and len(value) <= _MAX_SHOWN_ITEMS and depth < _MAX_SHOWN_DEPTH:
        if not isinstance(value, Mapping):
            return [_plain(item, depth + 1) for item in value]
        if all(isinstance(key, str) for key in value):
            return {key[:200]: _plain(item, depth + 1) for key, item in value.items()}
    return _written(value[:50] if isinstance(value, bytes) else value)


def _written(value: object) -> str:
    try:
        return f"{value!r:.200}"
    except (ValueError, RecursionError):  # an integer of more than 4,300 digits inside, or endless nesting
        return f"a {type(value).__name__} that cannot be written"
