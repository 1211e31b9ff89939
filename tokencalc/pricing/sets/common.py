"""What both readers of public price sets share: names of providers, rates with tiers, units, the file or wheel."""

from __future__ import annotations

import zipfile
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

CURATED = frozenset({"anthropic", "google", "groq", "mistral", "openai"})
"""The providers whose tables people keep; the others are taken over from the sets."""

# The write whose lifetime the sets leave unsaid is the provider's shortest, where we know it.
_SHORTEST_WRITE = {"openai": "cache_write_30m_per_mtok"} | dict.fromkeys(
    ("anthropic", "google", "groq", "mistral"), "cache_write_5m_per_mtok"
)

Tiered = dict[str, tuple[Decimal, dict[int, Decimal]]]
"""By rate key: the base price, and the prices above a number of input tokens."""

_MOST_DIGITS = 3


def unsaid_write(provider: str) -> str:
    """Return the key of the rate for cache writes whose lifetime a set does not state."""
    return _SHORTEST_WRITE.get(provider, "cache_write_per_mtok")


def price_text(price: Decimal) -> str:
    """Return a price as the tables write it: plain decimal text without trailing zeros."""
    return format(price.normalize(), "f")


def published_duration(a_second: Decimal) -> tuple[str, Decimal]:
    """Return the unit in which a price a second was most likely published, and the price in it.

    A set that keeps only prices a second stores 0.0001 for 0.006 a minute. A
    minute or an hour is taken where it comes out in three digits; a price that was
    rounded on the way (0.00003083 for 0.111 an hour) stays as it was stated.
    """
    stated = len(a_second.normalize().as_tuple().digits)
    for unit, seconds in (("minute", 60), ("hour", 3600)):
        price = a_second * seconds
        if len(price.normalize().as_tuple().digits) <= min(_MOST_DIGITS, stated):
            return unit, price
    return "second", a_second


def rates_and_tiers(prices: Tiered) -> dict[str, Any]:
    """Return prices as a card's lists: the rates below any tier, and each tier with all of its token rates."""
    sizes = sorted({size for _, tiers in prices.values() for size in tiers})
    tiers = [
        {
            # One less than a round number is how a set that knows only "more than" writes "at least".
            **({"from_input_tokens": size + 1} if size % 1000 == 999 else {"over_input_tokens": size}),  # noqa: PLR2004
            "rates": {
                key: price_text(steps.get(size, base)) for key, (base, steps) in prices.items() if key.endswith("_mtok")
            },
        }
        for size in sizes
    ]
    return {"rates": {key: price_text(base) for key, (base, _) in prices.items()}, "tiers": tiers}


def data_text(path: Path, member: str) -> str:
    """Return the set's data: the file itself, or a member of a wheel."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            return wheel.read(member).decode("utf-8")
    return path.read_text(encoding="utf-8")
