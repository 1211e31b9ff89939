"""litellm's keys of prices, as data: which rate of ours each one is, and in which unit."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tokencalc.pricing.sets.common import published_duration

if TYPE_CHECKING:
    from decimal import Decimal

Rate = tuple[str, int]
"""Our key, and how many of the set's units its own holds; 0 for a duration, whose published unit is to be found."""

VARIANTS = {
    "batches": {"processing": "batch"},
    "flex": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"},
    "ultrafast": {"service_tier": "ultrafast"},
}
"""The ends of keys that are conditions of ours."""

SIZED = re.compile(r"output_cost_per_(?:second_(?P<video>\d+p|\dk)|image_(?P<image>[\d.]+K?))")
"""Keys of what a video or an image of a size costs."""

_MTOK = 10**6
RATES: dict[str, Rate] = {
    "input_cost_per_token": ("input_per_mtok", _MTOK),
    "cache_read_input_token_cost": ("cache_read_per_mtok", _MTOK),
    "input_cost_per_token_cache_hit": ("cache_read_per_mtok", _MTOK),
    "cache_creation_input_token_cost_above_1hr": ("cache_write_1h_per_mtok", _MTOK),
    "cache_creation_input_token_cost_above_12hr": ("cache_write_12h_per_mtok", _MTOK),
    "cache_creation_input_audio_token_cost": ("cache_write_audio_per_mtok", _MTOK),
    "output_cost_per_token": ("output_per_mtok", _MTOK),
    "output_cost_per_reasoning_token": ("reasoning_per_mtok", _MTOK),
    "citation_cost_per_token": ("citation_per_mtok", _MTOK),
    "input_cost_per_audio_token": ("input_audio_per_mtok", _MTOK),
    "cache_read_input_audio_token_cost": ("cache_read_audio_per_mtok", _MTOK),
    "output_cost_per_audio_token": ("output_audio_per_mtok", _MTOK),
    "input_cost_per_image_token": ("input_image_per_mtok", _MTOK),
    "cache_read_input_image_token_cost": ("cache_read_image_per_mtok", _MTOK),
    "output_cost_per_image_token": ("output_image_per_mtok", _MTOK),
    "input_cost_per_video_token": ("input_video_per_mtok", _MTOK),
    "output_cost_per_video_token": ("output_video_per_mtok", _MTOK),
    "input_cost_per_audio_per_second": ("input_audio_second", 0),
    "input_cost_per_video_per_second": ("input_video_second", 0),
    "output_cost_per_video_per_second": ("output_video_second_per_second", 1),
    "input_cost_per_image": ("input_image_piece_per_piece", 1),
    "output_cost_per_image": ("output_image_piece_per_piece", 1),
    "input_cost_per_character": ("input_character_per_mcharacter", 10**6),
    "output_cost_per_character": ("output_character_per_mcharacter", 10**6),
    "input_cost_per_request": ("request_per_kcall", 1000),
    "google_maps_grounding_cost_per_query": ("maps_search_per_kcall", 1000),
    "ocr_cost_per_page": ("input_page_per_kpage", 1000),
    "annotation_cost_per_page": ("annotated_page_per_kpage", 1000),
    "code_interpreter_cost_per_session": ("code_execution_per_call", 1),
    "file_search_cost_per_1k_calls": ("file_search_per_kcall", 1),
}
"""The keys that mean the same for every kind of model."""

OF_MODE: dict[str, dict[str, Rate]] = {
    "audio_transcription": {"input_cost_per_second": ("input_audio_second", 0)},
    # What has an image's price here is a song.
    "audio_speech": {
        "output_cost_per_second": ("output_audio_second", 0),
        "output_cost_per_image": ("request_per_call", 1),
    },
    "video_generation": {"output_cost_per_second": ("output_video_second_per_second", 1)},
    "rerank": {"input_cost_per_query": ("search_unit_per_kcall", 1000)},
    "search": {"input_cost_per_query": ("request_per_kcall", 1000)},
    "embedding": {"input_cost_per_query": ("request_per_kcall", 1000)},
}
"""The keys whose meaning depends on the kind of model."""

UNMETERED = frozenset(
    {
        # The same figure a second time, or in a currency of the provider's own.
        "cost_per_second", "input_dbu_cost_per_token", "output_dbu_cost_per_token",
        # Read apart, as multipliers and variants.
        "regional_processing_uplift_multiplier_eu", "regional_processing_uplift_multiplier_us",
        "regional_endpoint_uplift_multiplier",
    }
)  # fmt: skip
"""Keys that are no rate by themselves."""


def rate_of(rate: Rate, stated: Decimal) -> tuple[str, Decimal]:
    """Return our key and the price in its unit for a price of the set."""
    key, units = rate
    if units:
        return key, stated * units
    unit, price = published_duration(stated)
    return f"{key}_per_{unit}", price
