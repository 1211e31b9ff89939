"""Strict readers of tolerant dictionaries: what a body says, with its path in every message.

A count that is absent or null is *not said* (None), which is not 0. A count
that is said must be a whole number that can be believed. Fields that we do not
know are allowed, because providers add them without notice, but a number among
them is never dropped in silence: `tokencalc.providers.survey` lists it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeAlias

from tokencalc.counts import MAX_QUANTITY, whole_count
from tokencalc.errors import UsageInvalid, UsageMissing

Body: TypeAlias = Mapping[str, Any]
"""A parsed JSON object."""


def payload_int(body: Body, key: str, *, at: str) -> int | None:
    """Return the count under ``key``, or None where the body does not say it; ``at`` is the path of ``body``.

    Raises UsageInvalid for booleans, fractions, text, negatives and absurd sizes.
    """
    value = body.get(key)
    return None if value is None else whole_count(value, path=f"{at}.{key}")


def payload_decimal(body: Body, key: str, *, at: str) -> Decimal | None:
    """Return the exact number under ``key``, a duration or an amount, or None where the body does not say it.

    A float is read through its shortest text. Raises UsageInvalid for booleans, text, negatives and absurd sizes.
    """
    value = body.get(key)
    if value is None:
        return None
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        number = Decimal(str(value)) if isinstance(value, float) else Decimal(value)
        if number.is_finite() and 0 <= number <= MAX_QUANTITY:
            return number
    raise _unexpected(value, f"a number from 0 to {MAX_QUANTITY}", f"{at}.{key}")


def payload_section(body: Body, key: str, *, at: str) -> Body:
    """Return the object under ``key``; an empty one where the body does not say it."""
    value = body.get(key)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise _unexpected(value, "an object", f"{at}.{key}")
    return value


def payload_sections(body: Body, key: str, *, at: str) -> list[Body]:
    """Return the list of objects under ``key``; an empty one where the body does not say it."""
    value = body.get(key)
    if value is None:
        return []
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise _unexpected(value, "a list", f"{at}.{key}")
    for index, item in enumerate(value):
        if not isinstance(item, Mapping):
            raise _unexpected(item, "an object", f"{at}.{key}[{index}]")
    return list(value)


def payload_text(body: Body, key: str) -> str | None:
    """Return the text under ``key``, or None where there is none: names are hints, and a wrong kind says nothing."""
    value = body.get(key)
    return str(value) if isinstance(value, str) and value else None


def _unexpected(value: object, wanted: str, path: str) -> UsageInvalid:
    return UsageInvalid(f"{path}: expected {wanted}, found {value!r:.60}", path=path, found=value)


def said(value: int | None) -> int:
    """Return the count, with 0 where it was not said; for counts that a sum or another count covers."""
    return 0 if value is None else value


def require_any(counts: Mapping[str, int | None], *, at: str) -> tuple[str, ...]:
    """Refuse a usage that says none of its main counts; return a note for each one that it leaves out."""
    missing = [name for name, count in counts.items() if count is None]
    if len(missing) == len(counts):
        wanted = " nor ".join(f"{at}.{name}" for name in missing)
        raise UsageMissing(f"{at}: neither {wanted} is there; nothing to price", path=at, found=None)
    return tuple(f"{at}.{name} is not said; counted as 0" for name in missing)


def total_notes(total: int | None, expected: int, *, path: str, rule: str) -> tuple[str, ...]:
    """Return a note where the provider's own total is not the sum that its rule says."""
    if total is None or total == expected:
        return ()
    return (f"{path} ({total}) is not {rule} ({expected}); the parts were priced, the total was not",)
