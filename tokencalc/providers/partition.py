"""From totals that include their parts to leaves that do not overlap, by inclusion and exclusion."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokencalc.counts import remainder
from tokencalc.usage import Meter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokencalc.usage import Quantity

    Pairs = list[tuple[Meter, Quantity]]

INPUT_MODALITIES = {
    "audio": (Meter.INPUT_AUDIO, Meter.CACHE_READ_AUDIO),
    "image": (Meter.INPUT_IMAGE, Meter.CACHE_READ_IMAGE),
    "video": (Meter.INPUT_VIDEO, Meter.CACHE_READ_VIDEO),
}
"""Modalities that have meters of their own, fresh and cached; text and documents are plain input."""


def input_leaves(  # noqa: PLR0913  # the terms of one sum
    total: int,
    *,
    whole: str,
    cached: int,
    cached_name: str,
    writes: Mapping[Meter, int],
    by_modality: Mapping[str, int],
    cached_by_modality: Mapping[str, int],
) -> Pairs:
    """Split ``total`` input tokens into fresh and cached ones of each modality, and cache writes.

    ``by_modality`` includes its cached tokens, as ``total`` includes ``cached``. A
    modality of which only the cached part is listed is taken to be cached whole.
    Raises UsageInvalid where a part exceeds its whole, with both figures.
    """
    pairs: Pairs = [(Meter.CACHE_READ, remainder(cached, cached_name, **cached_by_modality)), *writes.items()]
    fresh_parts = {}
    for modality, (fresh_meter, cached_meter) in INPUT_MODALITIES.items():
        cached_part = cached_by_modality.get(modality, 0)
        listed = by_modality.get(modality, cached_part)
        fresh = remainder(listed, f"{whole} of modality {modality}", cached=cached_part)
        fresh_parts[modality] = fresh
        pairs += [(fresh_meter, fresh), (cached_meter, cached_part)]
    fresh_text = remainder(total, whole, **{cached_name: cached}, cache_writes=sum(writes.values()), **fresh_parts)
    return [(Meter.INPUT, fresh_text), *pairs]


def output_leaves(  # noqa: PLR0913  # the terms of one sum
    total: int, *, whole: str, reasoning: int, audio: int = 0, image: int = 0, video: int = 0
) -> Pairs:
    """Split ``total`` output tokens, which include the others, into disjoint leaves."""
    plain = remainder(
        total, whole, reasoning_tokens=reasoning, audio_tokens=audio, image_tokens=image, video_tokens=video
    )
    return [
        (Meter.OUTPUT, plain),
        (Meter.REASONING, reasoning),
        (Meter.OUTPUT_AUDIO, audio),
        (Meter.OUTPUT_IMAGE, image),
        (Meter.OUTPUT_VIDEO, video),
    ]


def least_overlap(total: int, cached: int, written: int, by_modality: Mapping[str, int]) -> dict[str, int]:
    """Return how many tokens of each modality must be cached ones, where a body does not say it.

    Everything said to be cached, written or of a modality cannot exceed the total,
    so what does is counted twice; the rest of the cached tokens are taken to be text.
    """
    over = cached + written + sum(by_modality.values()) - total
    overlap: dict[str, int] = {}
    for modality, count in by_modality.items():
        if over <= 0:
            break
        overlap[modality] = min(over, count, cached - sum(overlap.values()))
        over -= overlap[modality]
    return {modality: count for modality, count in overlap.items() if count}
