"""Rate cards and model facts: what a model costs at one provider in one interval, as published.

A card keeps the units of the price list (per million tokens, per thousand
calls, per hour) and says where it comes from. Half-open intervals: a card
applies from its first instant up to, not including, its last.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date, datetime
    from decimal import Decimal

    from tokencalc.pricing.windows import Window
    from tokencalc.usage import Meter

Mode = Literal["text", "embedding", "other"]
"""What a model is for; ``other`` is speech, images, realtime sessions."""

Reasoning = Literal["never", "on_request", "by_default"]
"""When a model reasons, which is billed as output: never, where a request asks for it, or unless one turns it off."""

Conditions = tuple[tuple[str, str], ...]
"""Conditions that must all hold, sorted by key, for example ``(("processing", "batch"),)``."""

CONDITION_KEYS = (
    "processing",
    "region",
    "service_tier",
    "speed",
    "image_quality",
    "image_size",
    "search_context_size",
    "video_resolution",
)
"""What a price may depend on besides the prompt's size and the hour; the closed list of context keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """Price of one meter: ``usd`` for ``per`` units, both as the provider publishes them."""

    usd: Decimal
    per: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """Rates of a whole call whose prompt reaches a size; never marginal.

    The tier applies when all input tokens of the call, cached ones included, are
    at least ``min_input_tokens``. A meter that it does not list keeps the rate
    below it.
    """

    min_input_tokens: int
    rates: Mapping[Meter, Rate]


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """Rates under conditions (batch, a service tier, fast mode): its own list, never a factor.

    ``unchanged`` names the meters that keep the card's ordinary rate because the
    provider says so; what is in neither list is unpriced. The interval is the one
    in which the variant is known, inside its card's. ``during`` holds it to hours
    and weekdays; ``when`` may then be empty.
    """

    when: Conditions
    rates: Mapping[Meter, Rate]
    tiers: tuple[Tier, ...]
    unchanged: frozenset[Meter]
    effective_from: datetime | None
    effective_from_known: bool
    effective_until: datetime | None
    during: Window | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Multiplier:
    """A true factor on the rates of ``meters`` under conditions, as a region's surcharge is."""

    when: Conditions
    factor: Decimal
    meters: frozenset[Meter]


@dataclass(frozen=True, slots=True, kw_only=True)
class RateCard:
    """All rates of one model at one provider for one effective interval.

    ``effective_from_known`` is False where the day of the change is not known:
    then ``effective_from`` is a day from which these rates are, to our knowledge,
    the only ones that ever applied (a launch, or before it). ``checked_on`` is the
    day of the check against ``source``, which says nothing about when a rate began;
    None where a table of the user's own does not say.
    ``minimums`` are the least quantities that one call is billed for. ``imported``
    names the public set from which a card was taken unseen, and its version; it is
    None for a card that a person compared with the provider's own list.
    """

    card_id: str
    provider: str
    model: str
    effective_from: datetime
    effective_from_known: bool
    effective_until: datetime | None
    rates: Mapping[Meter, Rate]
    tiers: tuple[Tier, ...]
    variants: tuple[Variant, ...]
    multipliers: tuple[Multiplier, ...]
    priced_as: Mapping[Meter, Meter]
    minimums: Mapping[Meter, int]
    imported: str | None
    source: tuple[str, ...]
    checked_on: date | None
    note: str | None

    def rate(self, meter: Meter) -> Rate | None:
        """Return the ordinary rate of a meter, or None where the card has none."""
        return self.rates.get(meter)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """What is known about a model besides its price.

    ``tokenizer`` names the family for counting and ``encoding`` its vocabulary;
    ``encoding_verified`` is False where nobody has compared counts with the
    provider's. Limits are None where no source states them, and so is ``reasoning``.
    ``cacheable_from_tokens`` is the least prefix that the provider caches where a request
    marks it; None where no source states it, and for models whose provider caches unasked.
    """

    provider: str
    model: str
    aliases: tuple[str, ...]
    tokenizer: str | None
    encoding: str | None
    encoding_verified: bool
    context_window_tokens: int | None
    output_limit_tokens: int | None
    mode: Mode
    reasoning: Reasoning | None = None
    cacheable_from_tokens: int | None = None
