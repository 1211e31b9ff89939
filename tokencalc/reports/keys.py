"""Keys of a report on an entry: its fields, its time, its tags (``tag:team``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokencalc.ledger.report import TIME_KEYS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from zoneinfo import ZoneInfo

    from tokencalc.ledger.records import Entry

TAG = "tag:"
"""What a key for a tag begins with: ``tag:team``."""


def is_tag(key: object) -> bool:
    """Whether a key names a tag."""
    return isinstance(key, str) and key.startswith(TAG) and len(key) > len(TAG)


def is_wanted(entry: Entry, where: Mapping[str, str | bool | None] | None, zone: ZoneInfo) -> bool:
    """Whether a filter keeps an entry; empty text is the same as nothing said."""
    return all((entry_value(entry, key, zone) or None) == (value or None) for key, value in (where or {}).items())


def entry_value(entry: Entry, key: str, zone: ZoneInfo) -> str | bool | None:
    """Return an entry's value of a report's key, or of a tag."""
    if is_tag(key):
        return entry.tags.get(key[len(TAG) :]) or None
    if key in TIME_KEYS:
        return entry.at.astimezone(zone).strftime(TIME_KEYS[key])
    value: str | bool | None = getattr(entry, key)
    return value if isinstance(value, bool) else value or None
