"""Counts that come from outside: whole, not negative, believable, and parts no larger than their whole."""

from __future__ import annotations

from tokencalc.errors import UsageInvalid

MAX_QUANTITY = 10**15
"""The largest count that we believe; above it, it is an error of whoever counted."""


def whole_count(value: object, *, path: str) -> int:
    """Return a count as an int; UsageInvalid for booleans, fractions, negatives, text and absurd sizes.

    A float is taken where it is a whole number, because JSON from some languages knows no integers.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        count = value
    elif isinstance(value, float) and value.is_integer() and abs(value) <= MAX_QUANTITY:
        count = int(value)
    else:
        count = -1
    if not 0 <= count <= MAX_QUANTITY:
        shown = "a huge integer" if isinstance(value, int) and value.bit_length() > 256 else f"{value!r:.60}"  # noqa: PLR2004
        raise UsageInvalid(
            f"{path}: expected an integer from 0 to {MAX_QUANTITY}, found {shown}", path=path, found=value
        )
    return count


def remainder(total: int, whole: str, **parts: int) -> int:
    """Return what the named parts leave over of their whole; UsageInvalid where they exceed it."""
    rest = total - sum(parts.values())
    if rest < 0:
        listed = " + ".join(f"{name} ({count})" for name, count in parts.items() if count)
        raise UsageInvalid(
            f"usage.{whole} ({total}) is less than its parts {listed}; {whole} must include them",
            path=f"usage.{whole}",
            found=total,
            minimum=sum(parts.values()),
        )
    return rest
