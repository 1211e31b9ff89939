"""Mistral's wire format: chat completions that say their cached tokens in one place or in two."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokencalc.providers.openai import CHAT, TotalsReader
from tokencalc.providers.payload import payload_int, payload_section

if TYPE_CHECKING:
    from tokencalc.providers.payload import Body
    from tokencalc.usage import Usage

_reader = TotalsReader(
    CHAT,
    CHAT.counters()
    .with_mapped("usage.num_cached_tokens", "usage.prompt_token_details.cached_tokens")
    .with_known("usage.request_count"),
)


def read(usage: Body, body: Body) -> Usage:
    """Read a Mistral usage; where two fields disagree on cached tokens, the smaller one counts, with a note."""
    if usage.get("num_cached_tokens") is None and usage.get("prompt_token_details") is None:
        return _reader.read(usage, body)
    flat = payload_int(usage, "num_cached_tokens", at="usage")
    details = payload_section(usage, "prompt_tokens_details", at="usage")
    nested = payload_int(details, "cached_tokens", at="usage.prompt_tokens_details")
    older = payload_int(
        payload_section(usage, "prompt_token_details", at="usage"), "cached_tokens", at="usage.prompt_token_details"
    )
    stated = [count for count in (flat, nested, older) if count is not None]
    if not stated:
        return _reader.read(usage, body)
    # Cached tokens are the cheaper ones: the smaller figure cannot understate the cost.
    cached = min(stated)
    notes = (
        ()
        if cached == max(stated)
        else (f"usage says {' and '.join(map(str, stated))} cached tokens; {cached} were counted",)
    )
    merged = {**usage, "prompt_tokens_details": {**details, "cached_tokens": cached}}
    return _reader.read(merged, body, extra_notes=notes)
