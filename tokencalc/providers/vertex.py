"""Vertex's ``predict`` answers of embedding models: tokens by prediction, and the characters that older models bill."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokencalc.providers.dialect import Whole, items
from tokencalc.providers.payload import payload_int, payload_section, payload_text
from tokencalc.usage import Meter, Usage

if TYPE_CHECKING:
    from tokencalc.providers.payload import Body


def read_embeddings(body: Body) -> Usage | None:
    """Read predictions that say their ``token_count``; the same text's characters are listed as ignored."""
    counts = []
    for index, item in enumerate(items(body, "predictions")):
        at = f"body.predictions[{index}]"
        embeddings = payload_section(item, "embeddings", at=at)
        statistics = payload_section(embeddings, "statistics", at=f"{at}.embeddings")
        counts.append(payload_int(statistics, "token_count", at=f"{at}.embeddings.statistics"))
    tokens = [count for count in counts if count is not None]
    if not tokens:
        return None
    characters = payload_int(payload_section(body, "metadata", at="body"), "billableCharacterCount", at="metadata")
    return Usage.from_leaves(
        ((Meter.INPUT, sum(tokens)),),
        model=payload_text(body, "model"),
        ignored=() if characters is None else ("metadata.billableCharacterCount",),
    )


EMBEDDINGS = Whole(frozenset({"predictions"}), read_embeddings)
