"""Plain counts by the names of our glossary, for people who hold numbers and no body."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from tokencalc.errors import UsageInvalid
from tokencalc.providers.payload import payload_decimal, payload_int, payload_text
from tokencalc.usage import TOKEN_METERS, Meter, Usage

if TYPE_CHECKING:
    from decimal import Decimal

    from tokencalc.providers.payload import Body

COUNTS = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "reasoning_tokens",
    "input_audio_tokens",
    "output_audio_tokens",
    "web_searches",
)
_FACTS = ("model", "service_tier", "region", "speed")
UNITS = tuple(str(meter) for meter in Meter if meter not in TOKEN_METERS)
"""Meters that are no tokens, by their own names: seconds, images, characters, pages, calls of tools."""
MARKS = frozenset({*COUNTS, *UNITS}) - {"input_tokens", "output_tokens", Meter.REQUEST}
"""Names that only plain counts have."""


def read(counts: Body) -> Usage:
    """Read plain counts; ``input_tokens`` include cached ones and ``output_tokens`` include reasoning.

    What is no tokens goes by its meter's name, durations as exact numbers: ``{"input_audio_second": 12.5}``.
    Raises UsageInvalid for a name that is not one of ours, because somebody typed it, and names the nearest.
    """
    for name in counts:
        if name not in COUNTS and name not in UNITS and name not in _FACTS and name != "total_tokens":
            near = get_close_matches(str(name), [*COUNTS, *UNITS], n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join((*COUNTS, *UNITS))}"
            raise UsageInvalid(f"usage.{name!s:.60}: no such count; {hint}", path=f"usage.{name!s:.60}", found=name)
    numbers = {name: count for name in COUNTS if (count := payload_int(counts, name, at="usage")) is not None}
    facts = {name: payload_text(counts, name) for name in _FACTS}
    read_counts = Usage(**numbers, **facts)  # type: ignore[arg-type]  # the names are the constructor's own
    total = payload_int(counts, "total_tokens", at="usage")
    if total is not None and total != read_counts.input_tokens + read_counts.output_tokens:
        raise UsageInvalid(
            f"usage.total_tokens ({total}) is not input_tokens + output_tokens "
            f"({read_counts.input_tokens + read_counts.output_tokens})",
            path="usage.total_tokens",
            found=total,
        )
    units = [(Meter(name), quantity) for name in UNITS if (quantity := _quantity(counts, name))]
    if not units:
        return read_counts
    if any(meter is Meter.WEB_SEARCH for meter, _ in units) and read_counts.web_searches:
        why = "usage.web_search: web_searches is given too; they mean the same, give one"
        raise UsageInvalid(why, path="usage.web_search", found=None)
    return Usage.from_leaves(
        [*read_counts.leaves, *units],
        model=facts["model"],
        service_tier=facts["service_tier"],
        region=facts["region"],
        speed=facts["speed"],
    )


def _quantity(counts: Body, name: str) -> int | Decimal | None:
    if not name.endswith("_second"):
        return payload_int(counts, name, at="usage")
    return payload_decimal(counts, name, at="usage")
