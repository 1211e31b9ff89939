"""What other providers that speak OpenAI's chat format add to it: cached tokens beside the details, totals alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokencalc.providers.dialect import Dialect
from tokencalc.providers.openai import CHAT, TotalsReader
from tokencalc.providers.payload import payload_int, payload_section, payload_text
from tokencalc.providers.survey import Counters, survey
from tokencalc.usage import Meter, Usage

if TYPE_CHECKING:
    from tokencalc.providers.payload import Body

_reader = TotalsReader(CHAT, CHAT.counters().with_mapped("usage.cached_tokens"))
_TOTAL_ONLY = Counters(frozenset({"usage.total_tokens"}), frozenset({"usage.text_tokens"}))


def read_cached_beside(usage: Body, body: Body) -> Usage:
    """Read a usage that says its cached tokens beside the details (Together, Moonshot); the smaller figure counts."""
    details = payload_section(usage, "prompt_tokens_details", at="usage")
    beside = payload_int(usage, "cached_tokens", at="usage")
    nested = payload_int(details, "cached_tokens", at="usage.prompt_tokens_details")
    if beside is None or nested == beside:
        return _reader.read(usage, body)
    notes: tuple[str, ...] = ()
    cached = beside
    if nested is not None:
        # Cached tokens are the cheaper ones: the smaller figure cannot understate the cost.
        cached = min(nested, beside)
        notes = (f"usage says {nested} and {beside} cached tokens; {cached} were counted",)
    merged = {**usage, "prompt_tokens_details": {**details, "cached_tokens": cached}}
    return _reader.read(merged, body, extra_notes=notes)


def read_total_only(usage: Body, body: Body) -> Usage:
    """Read a usage of one total: embeddings and rerankings (Voyage, Jina), where everything is input."""
    total = payload_int(usage, "total_tokens", at="usage")
    found = survey(usage, _TOTAL_ONLY)
    return Usage.from_leaves(
        ((Meter.INPUT, total or 0),),
        model=payload_text(body, "model"),
        ignored=tuple(found.ignored),
        notes=tuple(found.notes),
    )


CACHED_BESIDE = Dialect("together", read_cached_beside, usage_marks=frozenset({"cached_tokens"}))
