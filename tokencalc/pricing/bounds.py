"""What a price can plausibly be: bounds for each meter, and how the prices of one card stand to each other.

Outside its bounds a price is a fault, nearly always a wrong unit. What is merely
unusual (a cache read dearer than input) is an oddity, which the card answers with
a ``note`` or ``differs_because``. An explicit 0 is always a price.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from tokencalc.money import EXACT, decimal_text
from tokencalc.pricing.flat import FACTOR, LEAST, Price, Slot, flat, unit_text
from tokencalc.usage import CACHE_READ_METERS, CACHE_WRITE_METERS, INPUT_METERS, OUTPUT_METERS, Meter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tokencalc.pricing.card import Mode, RateCard

_MILLION, _THOUSAND, _HOUR = 10**6, 10**3, 3600


class Bound(NamedTuple):
    """The lowest and highest plausible price of ``per`` units in dollars, and why."""

    per: int
    low: Decimal
    high: Decimal
    why: str


def _bound(per: int, low: str, high: str, why: str) -> Bound:
    return Bound(per, Decimal(low), Decimal(high), why)


_TEXT_IN = _bound(_MILLION, "0.001", "1000", "the dearest model asked $150; at the fastest tiers more")
_READ = _bound(_MILLION, "0.0001", "100", "a tenth of the input or more, wherever one is sold")
_TEXT_OUT = _bound(_MILLION, "0.001", "1000", "the dearest model asked $600")
_MEDIA = _bound(_MILLION, "0.001", "1000", "audio is sold for up to $200, images for up to $80")
_CALLS = _bound(_THOUSAND, "0.001", "1000", "searches cost $2.50 to $50, a session of a container $30")

BOUNDS: dict[Meter, Bound] = {
    **dict.fromkeys(INPUT_METERS | CACHE_WRITE_METERS, _MEDIA),
    **dict.fromkeys(OUTPUT_METERS, _MEDIA),
    **dict.fromkeys(CACHE_READ_METERS, _READ),
    **dict.fromkeys(CACHE_WRITE_METERS | {Meter.INPUT}, _TEXT_IN),
    **dict.fromkeys((Meter.OUTPUT, Meter.REASONING), _TEXT_OUT),
    Meter.CITATION: _TEXT_IN,
    Meter.INPUT_AUDIO_SECOND: _bound(_HOUR, "0.001", "50", "speech to text costs 2 cents to $1.50 an hour"),
    Meter.OUTPUT_AUDIO_SECOND: _bound(_HOUR, "0.001", "500", "music and speech cost up to a few cents a second"),
    Meter.INPUT_VIDEO_SECOND: _bound(_HOUR, "0.001", "500", "video read costs well below a cent a second"),
    Meter.OUTPUT_VIDEO_SECOND: _bound(1, "0.001", "10", "video made costs 3 cents to $1 a second"),
    Meter.COMPUTE_SECOND: _bound(_HOUR, "0.01", "200", "one accelerator costs 30 cents to $15 an hour"),
    Meter.INPUT_IMAGE_PIECE: _bound(1, "0.000001", "1", "an image read costs well below a cent"),
    Meter.OUTPUT_IMAGE_PIECE: _bound(1, "0.0001", "5", "an image made costs a tenth of a cent to 25 cents"),
    Meter.INPUT_CHARACTER: _bound(_MILLION, "0.01", "1000", "speech costs $4 to $300"),
    Meter.OUTPUT_CHARACTER: _bound(_MILLION, "0.01", "1000", "text by the character costs 10 cents to $20"),
    Meter.INPUT_PAGE: _bound(_THOUSAND, "0.01", "500", "reading costs $1 to $65"),
    Meter.ANNOTATED_PAGE: _bound(_THOUSAND, "0.01", "500", "reading with annotations costs $3 and up"),
    Meter.CACHE_STORAGE_TOKEN_HOUR: _bound(_MILLION, "0.001", "50", "storage costs $1 to $4.50"),
    Meter.WEB_SEARCH: _CALLS,
    Meter.FILE_SEARCH: _CALLS,
    Meter.CODE_EXECUTION: _CALLS,
    Meter.MAPS_SEARCH: _CALLS,
    Meter.SOCIAL_SEARCH: _CALLS,
    Meter.SEARCH_UNIT: _CALLS,
    Meter.REQUEST: _CALLS,
}
"""The plausible price of every meter; a price list that leaves them is read by a person before it prices anything."""

_FACTOR_LOW, _FACTOR_HIGH = Decimal("0.1"), Decimal(10)


def faults(card: RateCard) -> Iterator[str]:
    """Yield the prices of a card that cannot be right, each with its bounds and their reason."""
    for slot, price in flat(card).items():
        if slot.meter == FACTOR and not _FACTOR_LOW <= price.amount <= _FACTOR_HIGH:
            yield f"the factor {price.amount} for {slot.when} is outside 0.1 to 10: a surcharge is a few percent"
        elif slot.meter not in {FACTOR, LEAST} and price.amount:
            yield from _outside(slot, price)


def _outside(slot: Slot, price: Price) -> Iterator[str]:
    bound = BOUNDS[Meter(slot.meter)]
    # Compared crosswise: a price an hour is no finite decimal a second.
    if bound.low * price.per <= price.amount * bound.per <= bound.high * price.per:
        return
    each, sold = unit_text(slot.meter, price.per), unit_text(slot.meter, bound.per)
    yield (
        f"{_named(slot)}: ${decimal_text(price.amount)} per {each} is outside ${bound.low} to ${bound.high} "
        f"per {sold} ({bound.why}); is the unit right?"
    )


def oddities(card: RateCard, mode: Mode) -> Iterator[str]:
    """Yield how the prices of a card stand to each other in an unusual way."""
    prices = flat(card)
    for slot, price in prices.items():
        if slot.meter in {FACTOR, LEAST}:
            continue
        for other, what in _should_not_exceed(slot, mode):
            bar = prices.get(other)
            if bar is not None and price.amount * bar.per > bar.amount * price.per:
                yield f"{_named(slot)} (${_plain(price)}) is {what} (${_plain(bar)})"
    for slot, price in prices.items():
        below = prices.get(slot._replace(min_input_tokens=0)) if slot.min_input_tokens else None
        if below is not None and price.amount * below.per < below.amount * price.per:
            yield f"{_named(slot)} (${_plain(price)}) is cheaper than for a small prompt (${_plain(below)})"
        # Elsewhere a model without a price for its output would generate for nothing.
    if mode == "text" and Meter.INPUT in card.rates and not OUTPUT_METERS & set(card.rates):
        yield "a text model without any price for output"


def _should_not_exceed(slot: Slot, mode: Mode) -> Iterator[tuple[Slot, str]]:
    """Yield the slots whose price is usually at least this one's, and what it means where it is not."""
    if slot.meter in CACHE_READ_METERS:
        yield slot._replace(meter=slot.meter.replace("cache_read", "input")), "dearer than input that is not cached"
    if slot.meter == Meter.INPUT and mode == "text":
        yield slot._replace(meter="output"), "dearer than output"
    if slot.when == "processing=batch":
        yield slot._replace(when=""), "dearer in a batch than at once"
    if slot.when == "service_tier=flex":
        yield slot._replace(when=""), "dearer at the flexible tier than ordinarily"


def _named(slot: Slot) -> str:
    return f"{slot.meter} {slot.applies}".strip() if slot.applies else slot.meter


def _plain(price: Price) -> str:
    return decimal_text(price.amount.normalize(EXACT))


def is_answered(raw: Mapping[str, object]) -> bool:
    """Tell whether a card, as it was written, explains itself."""
    return bool(raw.get("note") or raw.get("differs_because"))
