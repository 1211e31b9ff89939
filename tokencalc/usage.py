"""Meters and usage: what one response used, in quantities that do not overlap.

A `Usage` is kept as *leaves*: quantities by `Meter` that are disjoint, so that
every token is priced exactly once. Totals include their parts and are sums over
leaves, never stored: ``input_tokens`` includes cached ones, ``output_tokens``
includes reasoning (OpenTelemetry's rule for GenAI usage attributes). A count
that is said to be part of another and is larger than it is refused here.

A response that holds several model calls (a compaction, an advisor) has one
part for each call, with its own served model, because each is priced by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, TypedDict, Unpack

from tokencalc.counts import remainder, whole_count

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


class Meter(StrEnum):
    """One kind of thing that is counted and priced by itself; a closed list.

    Tokens first: ``cache_write`` is a write whose lifetime the provider does not
    state, ``citation`` counts tokens of cited sources that are billed beside the
    output. Then what is not tokens, with its unit as the name's last word:
    durations in seconds (exact decimals), images, characters, pages; cache storage
    in token-hours; calls of tools; ``search_unit`` is one search of a reranker
    or one source of xAI's Live Search, ``request`` the call itself.
    """

    INPUT = "input"
    CACHE_READ = "cache_read"
    CACHE_WRITE = "cache_write"
    CACHE_WRITE_5M = "cache_write_5m"
    CACHE_WRITE_30M = "cache_write_30m"
    CACHE_WRITE_1H = "cache_write_1h"
    CACHE_WRITE_12H = "cache_write_12h"
    INPUT_AUDIO = "input_audio"
    INPUT_IMAGE = "input_image"
    INPUT_VIDEO = "input_video"
    CACHE_READ_AUDIO = "cache_read_audio"
    CACHE_READ_IMAGE = "cache_read_image"
    CACHE_READ_VIDEO = "cache_read_video"
    OUTPUT = "output"
    REASONING = "reasoning"
    OUTPUT_AUDIO = "output_audio"
    OUTPUT_IMAGE = "output_image"
    OUTPUT_VIDEO = "output_video"
    CITATION = "citation"
    CACHE_WRITE_AUDIO = "cache_write_audio"
    INPUT_AUDIO_SECOND = "input_audio_second"
    OUTPUT_AUDIO_SECOND = "output_audio_second"
    INPUT_VIDEO_SECOND = "input_video_second"
    OUTPUT_VIDEO_SECOND = "output_video_second"
    COMPUTE_SECOND = "compute_second"
    INPUT_IMAGE_PIECE = "input_image_piece"
    OUTPUT_IMAGE_PIECE = "output_image_piece"
    INPUT_CHARACTER = "input_character"
    OUTPUT_CHARACTER = "output_character"
    INPUT_PAGE = "input_page"
    ANNOTATED_PAGE = "annotated_page"
    CACHE_STORAGE_TOKEN_HOUR = "cache_storage_token_hour"  # noqa: S105  # a meter, no secret
    WEB_SEARCH = "web_search"
    FILE_SEARCH = "file_search"
    CODE_EXECUTION = "code_execution"
    MAPS_SEARCH = "maps_search"
    SOCIAL_SEARCH = "social_search"
    SEARCH_UNIT = "search_unit"
    REQUEST = "request"

    # An enum hashes its name in Python code; a meter is looked up for every line of every cost.
    __hash__ = str.__hash__


CACHE_WRITE_METERS = frozenset(
    {
        Meter.CACHE_WRITE,
        Meter.CACHE_WRITE_5M,
        Meter.CACHE_WRITE_30M,
        Meter.CACHE_WRITE_1H,
        Meter.CACHE_WRITE_12H,
        Meter.CACHE_WRITE_AUDIO,
    }
)
CACHE_READ_METERS = frozenset(
    {Meter.CACHE_READ, Meter.CACHE_READ_AUDIO, Meter.CACHE_READ_IMAGE, Meter.CACHE_READ_VIDEO}
)
INPUT_METERS = (
    frozenset({Meter.INPUT, Meter.INPUT_AUDIO, Meter.INPUT_IMAGE, Meter.INPUT_VIDEO})
    | CACHE_READ_METERS
    | CACHE_WRITE_METERS
)
OUTPUT_METERS = frozenset({Meter.OUTPUT, Meter.REASONING, Meter.OUTPUT_AUDIO, Meter.OUTPUT_IMAGE, Meter.OUTPUT_VIDEO})
TOKEN_METERS = INPUT_METERS | OUTPUT_METERS | {Meter.CITATION}

Quantity = int | Decimal
"""Tokens and calls are whole numbers; durations may be exact decimals."""

Leaves = tuple[tuple[Meter, Quantity], ...]
"""Disjoint quantities above zero, each meter at most once."""


class UsageChanges(TypedDict, total=False):
    """What `Usage.replace` can change; the fields are those of `Usage`."""

    leaves: Mapping[Meter, Quantity] | Iterable[tuple[Meter, Quantity]]
    ignored: tuple[str, ...]
    notes: tuple[str, ...]
    billed_usd: Decimal | None
    is_interrupted: bool
    conditions: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, init=False)
class Usage:
    """One response's usage, as disjoint leaves, with what the response said about how it was served.

    ``model``, ``service_tier``, ``region``, ``speed`` are the *served* ones, None
    where the response does not say. ``parts`` is empty for a single model call;
    otherwise each part is one call, and the totals here are sums over the parts.
    ``ignored`` names raw counters that carry no money of their own (sums,
    timings); ``notes`` says what was assumed in reading. ``billed_usd`` is what
    the response itself says it was billed (OpenRouter); it is kept beside our
    price, never instead of it. ``conditions`` are further served facts that a price may depend
    on, by the names of a price's conditions (``search_context_size``). ``is_interrupted``
    marks a stream that ended before its last figure came: the quantities are what had been
    said until then.
    """

    leaves: Leaves
    model: str | None
    service_tier: str | None
    region: str | None
    speed: str | None
    parts: tuple[Usage, ...]
    ignored: tuple[str, ...]
    notes: tuple[str, ...]
    billed_usd: Decimal | None
    is_interrupted: bool
    conditions: tuple[tuple[str, str], ...]

    def __init__(  # noqa: PLR0913  # the counts that people hold in their hands, by their glossary names
        self,
        *,
        input_tokens: int = 0,
        output_tokens: int = 0,
        cache_read_tokens: int = 0,
        cache_write_tokens: int | None = None,
        cache_write_5m_tokens: int = 0,
        cache_write_1h_tokens: int = 0,
        reasoning_tokens: int = 0,
        input_audio_tokens: int = 0,
        output_audio_tokens: int = 0,
        web_searches: int = 0,
        model: str | None = None,
        service_tier: str | None = None,
        region: str | None = None,
        speed: str | None = None,
    ) -> None:
        """Make a usage from plain counts.

        ``input_tokens`` must include cached, written and audio tokens;
        ``output_tokens`` must include reasoning and audio. ``cache_write_tokens``
        is the total of all writes; what its 5m and 1h parts leave over is a write
        of unstated lifetime. Raises UsageInvalid where a part exceeds its whole.
        """
        total_in = whole_count(input_tokens, path="usage.input_tokens")
        total_out = whole_count(output_tokens, path="usage.output_tokens")
        read = whole_count(cache_read_tokens, path="usage.cache_read_tokens")
        write_5m = whole_count(cache_write_5m_tokens, path="usage.cache_write_5m_tokens")
        write_1h = whole_count(cache_write_1h_tokens, path="usage.cache_write_1h_tokens")
        stated = write_5m + write_1h
        if cache_write_tokens is None:
            cache_write_tokens = stated
        write = whole_count(cache_write_tokens, path="usage.cache_write_tokens")
        reasoning = whole_count(reasoning_tokens, path="usage.reasoning_tokens")
        audio_in = whole_count(input_audio_tokens, path="usage.input_audio_tokens")
        audio_out = whole_count(output_audio_tokens, path="usage.output_audio_tokens")
        searches = whole_count(web_searches, path="usage.web_searches")
        leaves = (
            (Meter.INPUT, remainder(total_in, "input_tokens", cache_read=read, cache_write=write, audio=audio_in)),
            (Meter.CACHE_READ, read),
            (
                Meter.CACHE_WRITE,
                remainder(write, "cache_write_tokens", cache_write_5m=write_5m, cache_write_1h=write_1h),
            ),
            (Meter.CACHE_WRITE_5M, write_5m),
            (Meter.CACHE_WRITE_1H, write_1h),
            (Meter.INPUT_AUDIO, audio_in),
            (Meter.OUTPUT, remainder(total_out, "output_tokens", reasoning=reasoning, audio=audio_out)),
            (Meter.REASONING, reasoning),
            (Meter.OUTPUT_AUDIO, audio_out),
            (Meter.WEB_SEARCH, searches),
        )
        _fill(
            self, tuple(leaf for leaf in leaves if leaf[1]), model, service_tier, region, speed, (), (), (), None, False
        )

    @classmethod
    def from_leaves(  # noqa: PLR0913  # one argument for each field
        cls,
        leaves: Mapping[Meter, Quantity] | Iterable[tuple[Meter, Quantity]],
        *,
        model: str | None = None,
        service_tier: str | None = None,
        region: str | None = None,
        speed: str | None = None,
        ignored: tuple[str, ...] = (),
        notes: tuple[str, ...] = (),
        billed_usd: Decimal | None = None,
        is_interrupted: bool = False,
        conditions: tuple[tuple[str, str], ...] = (),
    ) -> Usage:
        """Make a usage from quantities that are disjoint already; for readers of providers' payloads.

        The readers have checked every count: nothing is checked again, because this is the hot path.
        """
        pairs = leaves if type(leaves) is tuple else leaves.items() if hasattr(leaves, "items") else leaves
        usage = object.__new__(cls)
        kept = tuple([pair for pair in pairs if pair[1]])
        _fill(
            usage, kept, model, service_tier, region, speed, (), ignored, notes, billed_usd, is_interrupted, conditions
        )
        return usage

    @classmethod
    def from_parts(
        cls,
        parts: Iterable[Usage],
        *,
        ignored: tuple[str, ...] = (),
        notes: tuple[str, ...] = (),
        billed_usd: Decimal | None = None,
        is_interrupted: bool = False,
    ) -> Usage:
        """Make the usage of a response that holds several model calls, each priced by itself."""
        calls = tuple(parts)
        sums: dict[Meter, Quantity] = {}
        for part in calls:
            for meter, quantity in part.leaves:
                sums[meter] = sums.get(meter, 0) + quantity
        usage = object.__new__(cls)
        leaves = tuple(sums.items())
        _fill(usage, leaves, None, None, None, None, calls, ignored, notes, billed_usd, is_interrupted)
        return usage

    def replace(self, **changes: Unpack[UsageChanges]) -> Usage:
        """Return the same usage with other values of the named fields.

        The leaves of a usage with parts are sums over them: such a usage is made anew by `from_parts`.
        """
        values: dict[str, object] = {**changes}
        if "leaves" in changes:
            values["leaves"] = Usage.from_leaves(changes["leaves"]).leaves
        usage = object.__new__(Usage)
        for name, take in _SETTERS.items():
            take(usage, values[name] if name in values else getattr(self, name))
        return usage

    @property
    def calls(self) -> tuple[Usage, ...]:
        """The model calls to price: the parts, or this usage itself."""
        return self.parts or (self,)

    def quantity(self, meter: Meter) -> Quantity:
        """Quantity of one leaf meter, 0 where there is none."""
        for found, quantity in self.leaves:
            if found == meter:
                return quantity
        return 0

    def total(self, meters: frozenset[Meter]) -> int:
        """Sum over the given token meters."""
        return int(sum(quantity for meter, quantity in self.leaves if meter in meters))

    @property
    def input_tokens(self) -> int:
        """All input tokens: cached, written and other modalities included."""
        return self.total(INPUT_METERS)

    @property
    def output_tokens(self) -> int:
        """All generated tokens, reasoning included."""
        return self.total(OUTPUT_METERS)

    @property
    def cache_read_tokens(self) -> int:
        """Input tokens served from the provider's cache; part of input_tokens."""
        return self.total(CACHE_READ_METERS)

    @property
    def cache_write_tokens(self) -> int:
        """Input tokens written to the provider's cache, of every lifetime; part of input_tokens."""
        return self.total(CACHE_WRITE_METERS)

    @property
    def cache_write_5m_tokens(self) -> int:
        """Input tokens written to the cache for five minutes; part of cache_write_tokens."""
        return int(self.quantity(Meter.CACHE_WRITE_5M))

    @property
    def cache_write_1h_tokens(self) -> int:
        """Input tokens written to the cache for one hour; part of cache_write_tokens."""
        return int(self.quantity(Meter.CACHE_WRITE_1H))

    @property
    def uncached_input_tokens(self) -> int:
        """Input tokens neither read from nor written to the cache."""
        return self.input_tokens - self.cache_read_tokens - self.cache_write_tokens

    @property
    def reasoning_tokens(self) -> int:
        """Output tokens spent on reasoning; part of output_tokens."""
        return int(self.quantity(Meter.REASONING))

    @property
    def web_searches(self) -> int:
        """Web searches that the provider ran and bills by the piece."""
        return int(self.quantity(Meter.WEB_SEARCH))


_TOTALS_OF = {
    meter: tuple(
        place
        for place, meters in enumerate(
            (INPUT_METERS, CACHE_READ_METERS, CACHE_WRITE_METERS, OUTPUT_METERS, frozenset({Meter.REASONING}))
        )
        if meter in meters
    )
    for meter in Meter
}


def token_totals(leaves: Leaves) -> tuple[int, int, int, int, int]:
    """Return input, cache read, cache write, output and reasoning tokens in one pass, as a `Usage` sums them."""
    totals = [0, 0, 0, 0, 0]
    for meter, quantity in leaves:
        for place in _TOTALS_OF[meter]:
            totals[place] += int(quantity)
    first, read, write, output, reasoning = totals
    return first, read, write, output, reasoning


def _setter(name: str) -> Callable[[Usage, object], None]:
    """Return the slot's own setter: three times as fast as ``object.__setattr__``, and this is the hot path."""
    setter: Callable[[Usage, object], None] = Usage.__dict__[name].__set__
    return setter


_SETTERS = {field.name: _setter(field.name) for field in fields(Usage)}
(
    _set_leaves,
    _set_model,
    _set_tier,
    _set_region,
    _set_speed,
    _set_parts,
    _set_ignored,
    _set_notes,
    _set_billed,
    _set_interrupted,
    _set_conditions,
) = _SETTERS.values()


def _fill(  # noqa: PLR0913, PLR0917  # one argument for each slot
    usage: Usage,
    leaves: Leaves,
    model: str | None,
    service_tier: str | None,
    region: str | None,
    speed: str | None,
    parts: tuple[Usage, ...],
    ignored: tuple[str, ...],
    notes: tuple[str, ...],
    billed_usd: Decimal | None,
    is_interrupted: bool,  # noqa: FBT001  # one argument for each slot
    conditions: tuple[tuple[str, str], ...] = (),
) -> None:
    _set_leaves(usage, leaves)
    _set_model(usage, model)
    _set_tier(usage, service_tier)
    _set_region(usage, region)
    _set_speed(usage, speed)
    _set_parts(usage, parts)
    _set_ignored(usage, ignored)
    _set_notes(usage, notes)
    _set_billed(usage, billed_usd)
    _set_interrupted(usage, is_interrupted)
    _set_conditions(usage, conditions)
