"""Writes a price table as TOML in its one form: facts first, one line for each list of rates.

Python reads TOML and does not write it; the tables use a small part of the
language, so this is short. Comments behind the head of a file are not kept: what
matters belongs in a ``note``.
"""

from __future__ import annotations

import json
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_RATE_ORDER = (
    "input", "cache_read", "cache_write_5m", "cache_write_30m", "cache_write_1h", "cache_write_12h", "output",
    "reasoning", "input_audio", "cache_read_audio", "output_audio", "input_image", "cache_read_image", "output_image",
    "input_video", "cache_read_video", "request", "web_search", "file_search", "code_execution",
)  # fmt: skip
_WIDTH = 110


def dump_table(raw: Mapping[str, Any], head: str) -> str:
    """Return the text of a table; ``head`` is the comment it begins with."""
    lines = [head.rstrip()]
    lines += [f"{key} = {_value(value)}" for key, value in raw.items() if not _is_block(key)]
    for key in ("sources", "standard", "means", "priced_as"):
        if raw.get(key):
            lines += ["", f"[{key}]", *(f"{_key(name)} = {_value(value)}" for name, value in raw[key].items())]
    for alias in raw.get("alias", ()):
        lines += ["", "[[alias]]", f"name = {_value(alias['name'])}", *_items("target", alias["target"])]
    for model in sorted(raw["model"], key=lambda item: str(item["id"])):
        lines += ["", "[[model]]", *_fields(model)]
        for card in model["card"]:
            lines += ["", "[[model.card]]", *_fields(card)]
    return "\n".join(lines) + "\n"


def _is_block(key: str) -> bool:
    return key in {"sources", "standard", "means", "priced_as", "alias", "model"}


def _fields(table: Mapping[str, Any]) -> Iterator[str]:
    for key, value in table.items():
        if key in {"tiers", "variants", "multipliers"}:
            yield from _items(key, value)
        elif key != "card" and value not in (None, [], {}):
            yield f"{key} = {_value(value)}"


def _items(key: str, items: list[Mapping[str, Any]]) -> Iterator[str]:
    if items:
        yield f"{key} = ["
        yield from (f"  {_value(item)}," for item in items)
        yield "]"


def _value(value: Any) -> str:
    if isinstance(value, bool | int | str):
        # TOML writes these as JSON does.
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, list | tuple):
        one_line = f"[{', '.join(_value(item) for item in value)}]"
        if len(one_line) <= _WIDTH or any(isinstance(item, dict) for item in value):
            return one_line
        return "[\n" + "".join(f"  {_value(item)},\n" for item in value) + "]"
    pairs = sorted(value.items(), key=_order) if _is_rates(value) else list(value.items())
    pairs = [(key, item) for key, item in pairs if key == "rates" or item not in ([], {})]
    return "{ " + ", ".join(f"{_key(key)} = {_value(item)}" for key, item in pairs) + " }" if pairs else "{}"


def _key(key: str) -> str:
    return key if key.replace("_", "").replace("-", "").isalnum() and key.isascii() else json.dumps(key)


def _is_rates(value: Mapping[str, Any]) -> bool:
    return any("_per_" in key for key in value)


def _order(pair: tuple[str, Any]) -> tuple[int, str]:
    meter = pair[0].rpartition("_per_")[0]
    return (_RATE_ORDER.index(meter) if meter in _RATE_ORDER else len(_RATE_ORDER), pair[0])
