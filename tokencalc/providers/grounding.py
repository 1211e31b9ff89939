"""What Google's answers say of searches: billed by the query since Gemini 3, by the grounded prompt before.

Empty queries are no searches. A prompt is grounded in maps when one of its
sources is a place. The Interactions API counts the calls of its tools itself.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tokencalc.providers.dialect import items
from tokencalc.providers.payload import payload_int, payload_sections, payload_text
from tokencalc.usage import Meter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokencalc.providers.payload import Body

    Searches = tuple[list[tuple[Meter, int]], tuple[str, ...]]

_METADATA = ("groundingMetadata", "grounding_metadata")
_QUERIES = ("webSearchQueries", "web_search_queries", "imageSearchQueries", "image_search_queries")
_RETRIEVALS = ("retrievalQueries", "retrieval_queries")
_GENERATION = re.compile(r"gemini-(\d{1,3})(?!\d)")
_FIRST_BY_QUERY = 3
_METERS = {"google_search": Meter.WEB_SEARCH, "google_maps": Meter.MAPS_SEARCH}
COUNT = "grounding_tool_count"


def searches_of(body: Body, model: str | None) -> Searches:
    """Return the searches that an answer's candidates show, and notes on what they do not say."""
    found = [
        metadata
        for candidate in items(body, "candidates")
        for name in _METADATA
        if isinstance(metadata := candidate.get(name), dict)
    ]
    if not found:
        return [], ()
    queries = sum(len(_texts(metadata, _QUERIES)) for metadata in found)
    in_maps = sum(1 for metadata in found if _has_places(metadata))
    by_query, notes = _is_billed_by_query(model) if queries or in_maps else (True, ())
    if not by_query:
        queries, in_maps = min(queries, 1), min(in_maps, 1)
    if any(_texts(metadata, _RETRIEVALS) for metadata in found):
        notes += ("groundingMetadata: retrievals from your own data are billed apart: unmapped, not in the cost",)
    leaves = [(Meter.WEB_SEARCH, queries), (Meter.MAPS_SEARCH, in_maps)]
    return [leaf for leaf in leaves if leaf[1]], notes


def counted(usage: Body, model: str | None) -> Searches:
    """Return the tool calls that the Interactions API counts; the kinds that we do not know have a note."""
    leaves, notes = [], []
    by_query, _ = _is_billed_by_query(model)
    for index, item in enumerate(payload_sections(usage, COUNT, at="usage")):
        count = payload_int(item, "count", at=f"usage.{COUNT}[{index}]")
        kind = payload_text(item, "type")
        meter = _METERS.get(kind or "")
        if meter is not None and count:
            leaves.append((meter, count if by_query else 1))
        elif count:
            notes.append(f"usage.{COUNT}[{index}] ({count} of {kind!r}) has no meter: unmapped, not in the cost")
    return leaves, tuple(notes)


def _is_billed_by_query(model: str | None) -> tuple[bool, tuple[str, ...]]:
    generation = _GENERATION.search(model or "")
    if generation is not None:
        return int(generation[1]) >= _FIRST_BY_QUERY, ()
    return True, ("groundingMetadata: of an unknown model; each query was counted, Gemini 2 bills each prompt once",)


def _texts(metadata: Mapping[str, object], names: tuple[str, ...]) -> list[str]:
    found = []
    for name in names:
        value = metadata.get(name)
        found += [text for text in value if isinstance(text, str) and text.strip()] if isinstance(value, list) else []
    return found


def _has_places(metadata: Mapping[str, object]) -> bool:
    chunks = (*items(metadata, "groundingChunks"), *items(metadata, "grounding_chunks"))
    return any(chunk.get("maps") is not None for chunk in chunks)
