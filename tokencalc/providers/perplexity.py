"""Perplexity's wire format: chat completions with reasoning and citations beside the completion, and searches.

Reasoning and citation tokens have rates of their own and are no part of
``completion_tokens``. The fee of a request depends on ``search_context_size``, which
the usage says. The ``cost`` object says what was billed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tokencalc.providers.dialect import Dialect, with_more
from tokencalc.providers.openai import CHAT, TotalsReader
from tokencalc.providers.payload import payload_decimal, payload_int, payload_section, payload_text, said, total_notes
from tokencalc.usage import Meter

if TYPE_CHECKING:
    from tokencalc.providers.payload import Body
    from tokencalc.usage import Usage

_COSTS = ("input_tokens", "output_tokens", "citation_tokens", "reasoning_tokens", "search_queries")
_reader = TotalsReader(
    CHAT,
    CHAT.counters()
    .with_mapped("usage.reasoning_tokens", "usage.citation_tokens", "usage.num_search_queries", "usage.cost.total_cost")
    .with_known(*(f"usage.cost.{name}_cost" for name in _COSTS), "usage.cost.request_cost"),
)


def read(usage: Body, body: Body) -> Usage:
    """Read a Perplexity usage; its own total counts the completion alone, or everything."""
    prompt, completion, reasoning, citations, searches = (
        said(payload_int(usage, name, at="usage"))
        for name in ("prompt_tokens", "completion_tokens", "reasoning_tokens", "citation_tokens", "num_search_queries")
    )
    cost = usage.get("cost")
    billed = None
    if isinstance(cost, Mapping):
        billed = payload_decimal(payload_section(usage, "cost", at="usage"), "total_cost", at="usage.cost")
    total, plain = payload_int(usage, "total_tokens", at="usage"), prompt + completion
    sums = {plain, plain + reasoning, plain + citations, plain + reasoning + citations}
    notes = (
        ()
        if total in sums
        else total_notes(
            total,
            plain + reasoning + citations,
            path="usage.total_tokens",
            rule="prompt_tokens + completion_tokens, with or without reasoning_tokens and citation_tokens",
        )
    )
    size = payload_text(usage, "search_context_size")
    # The total was looked at above: the reader below knows another rule.
    tokens = _reader.read_any({**usage, "total_tokens": None}, body, notes)
    return with_more(
        tokens,
        leaves=((Meter.REASONING, reasoning), (Meter.CITATION, citations), (Meter.WEB_SEARCH, searches)),
        ignored=("usage.total_tokens",) if total is not None else (),
        billed_usd=billed,
        conditions=() if size is None else (("search_context_size", size),),
    )


DIALECT = Dialect(
    "perplexity", read, usage_marks=frozenset({"citation_tokens", "num_search_queries", "search_context_size"})
)
