"""What both readers of public price sets share: rates with tiers, and the file or wheel that holds the data."""

from __future__ import annotations

import zipfile
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

PROVIDERS = {"anthropic": "anthropic", "google": "gemini", "groq": "groq", "mistral": "mistral", "openai": "openai"}
"""Our providers, with the name that litellm gives each."""

# The write whose lifetime the sets leave unsaid is the provider's shortest.
SHORTEST_WRITE = {"openai": "cache_write_30m_per_mtok"}

Tiered = dict[str, tuple[Decimal, dict[int, Decimal]]]
"""By rate key: the base price, and the prices above a number of input tokens."""


def price_text(price: Decimal) -> str:
    """Return a price as the tables write it: plain decimal text without trailing zeros."""
    return format(price.normalize(), "f")


def rates_and_tiers(prices: Tiered) -> dict[str, Any]:
    """Return prices as a card's lists: the rates below any tier, and each tier with all of its token rates."""
    sizes = sorted({size for _, tiers in prices.values() for size in tiers})
    tiers = [
        {
            "over_input_tokens": size,
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
