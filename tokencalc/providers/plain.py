"""Plain counts by the names of our glossary, for people who hold numbers and no body."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from tokencalc.errors import UsageInvalid
from tokencalc.providers.payload import payload_int, payload_text
from tokencalc.usage import Usage

if TYPE_CHECKING:
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
MARKS = frozenset(COUNTS) - {"input_tokens", "output_tokens"}
"""Names that only plain counts have."""


def read(counts: Body) -> Usage:
    """Read plain counts; ``input_tokens`` include cached ones and ``output_tokens`` include reasoning.

    Raises UsageInvalid for a name that is not one of ours, because somebody typed it, and names the nearest.
    """
    for name in counts:
        if name not in COUNTS and name not in _FACTS and name != "total_tokens":
            near = get_close_matches(str(name), COUNTS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(COUNTS)}"
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
    return read_counts
