"""DeepSeek's wire format: chat completions that split the prompt into cache hits and misses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokencalc.providers.dialect import Dialect
from tokencalc.providers.openai import CHAT, TotalsReader
from tokencalc.providers.payload import payload_int, payload_section

if TYPE_CHECKING:
    from tokencalc.providers.payload import Body
    from tokencalc.usage import Usage

_HIT, _MISS = "prompt_cache_hit_tokens", "prompt_cache_miss_tokens"
_reader = TotalsReader(CHAT, CHAT.counters().with_mapped(f"usage.{_HIT}").with_known(f"usage.{_MISS}"))


def read(usage: Body, body: Body) -> Usage:
    """Read a DeepSeek usage: hits are the cached tokens, misses the rest of the prompt.

    Where the details say another number of cached tokens, the smaller one counts, with a note.
    """
    hit, miss = payload_int(usage, _HIT, at="usage"), payload_int(usage, _MISS, at="usage")
    details = payload_section(usage, "prompt_tokens_details", at="usage")
    cached = payload_int(details, "cached_tokens", at="usage.prompt_tokens_details")
    prompt = payload_int(usage, "prompt_tokens", at="usage")
    if prompt is None and hit is not None and miss is not None:
        usage = {**usage, "prompt_tokens": hit + miss}
    notes: tuple[str, ...] = ()
    if hit is not None and cached is not None and hit != cached:
        # Cached tokens are the cheaper ones: the smaller figure cannot understate the cost.
        notes = (f"usage says {cached} and {hit} cached tokens; {min(hit, cached)} were counted",)
    if None not in {hit, miss, prompt} and prompt != (hit or 0) + (miss or 0):
        notes += (f"usage.{_HIT} + {_MISS} ({(hit or 0) + (miss or 0)}) is not prompt_tokens ({prompt})",)
    stated = [count for count in (hit, cached) if count is not None]
    if stated and cached != min(stated):
        usage = {**usage, "prompt_tokens_details": {**details, "cached_tokens": min(stated)}}
    return _reader.read(usage, body, extra_notes=notes)


DIALECT = Dialect("deepseek", read, usage_marks=frozenset({_HIT, _MISS}))
