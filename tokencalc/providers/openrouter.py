"""OpenRouter's wire formats: OpenAI's chat and Responses with what was billed, and the record of a generation.

``cost`` is what OpenRouter charged, for whatever model served; it is kept beside
our own price. Its tokens are the upstream provider's, totals with their parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from tokencalc.providers.dialect import Dialect, Whole, with_more
from tokencalc.providers.openai import CHAT, RESPONSES, Names, TotalsReader
from tokencalc.providers.partition import input_leaves, output_leaves
from tokencalc.providers.payload import payload_decimal, payload_int, payload_section, payload_text, said
from tokencalc.providers.survey import Counters, survey
from tokencalc.usage import Meter, Usage

if TYPE_CHECKING:
    from tokencalc.providers.payload import Body
    from tokencalc.usage import Quantity

_TOOLS = "server_tool_use_details"
_COSTS = tuple(
    f"usage.cost_details.upstream_inference_{name}cost" for name in ("", "prompt_", "completions_", "input_", "output_")
)
_CALLS = (f"usage.{_TOOLS}.tool_calls_requested", f"usage.{_TOOLS}.tool_calls_executed")
_MAPPED = ("usage.cost", f"usage.{_TOOLS}.web_search_requests", "usage.server_tool_use.web_search_requests")
_READERS = {
    names: TotalsReader(names, names.counters().with_mapped(*_MAPPED).with_known(*_COSTS, *_CALLS))
    for names in (CHAT, RESPONSES)
}
# Gemini's caches are kept for five minutes, and their storage is billed by the token and hour.
_CACHE_MINUTES = 5


def read(usage: Body, body: Body) -> Usage:
    """Read an OpenRouter usage, with its ``cost`` as ``billed_usd``."""
    names = RESPONSES if "input_tokens" in usage or "output_tokens" in usage else CHAT
    usage, stored, notes = _without_stored(usage, names)
    usage, over_notes = _within_output(usage, names)
    tokens = _READERS[names].read(usage, _ordinary_tier(body))
    searches, tool_notes = _tools(usage)
    cost = usage.get("cost")
    return with_more(
        tokens,
        leaves=[*stored, (Meter.WEB_SEARCH, searches)],
        notes=(*notes, *over_notes, *tool_notes, *_own_key_notes(usage)),
        billed_usd=None if isinstance(cost, Mapping) else payload_decimal(usage, "cost", at="usage"),
    )


def _ordinary_tier(body: Body) -> Body:
    # The upstream's provisioned capacity is OpenRouter's affair: its customers pay the ordinary rates.
    return {"model": body.get("model")} if body.get("service_tier") == "provisioned" else body


def _without_stored(usage: Body, names: Names) -> tuple[Body, list[tuple[Meter, Quantity]], tuple[str, ...]]:
    """Take out cache writes that the same call read again: those tokens were read once, and then stored for a while.

    Gemini's cache is filled and read in one call. The prompt holds such tokens
    once; what is billed beside the reading is their storage.
    """
    at = f"usage.{names.inside}"
    inside = payload_section(usage, names.inside, at="usage")
    cached, written = payload_int(inside, "cached_tokens", at=at), payload_int(inside, "cache_write_tokens", at=at)
    total = payload_int(usage, names.total_in, at="usage")
    if not cached or not written or total is None or cached + written <= total or max(cached, written) > total:
        return usage, [], ()
    both = min(cached, written)
    hours = Decimal(both * _CACHE_MINUTES) / 60
    note = f"{at}: {both} of {written} written tokens were read in the same call; what is beside that is their storage"
    lessened = {**usage, names.inside: {**inside, "cache_write_tokens": written - both}}
    return lessened, [(Meter.CACHE_STORAGE_TOKEN_HOUR, hours)], (note,)


def _within_output(usage: Body, names: Names) -> tuple[Body, tuple[str, ...]]:
    """Take the output for all there is where more reasoning is said: upstreams that break off count the two apart."""
    outside = payload_section(usage, names.outside, at="usage")
    reasoning = payload_int(outside, "reasoning_tokens", at=f"usage.{names.outside}")
    total = payload_int(usage, names.total_out, at="usage")
    if reasoning is None or total is None or reasoning <= total:
        return usage, ()
    note = (
        f"usage.{names.outside}.reasoning_tokens ({reasoning}) exceed {names.total_out} ({total}), which were counted"
    )
    return {**usage, names.outside: {**outside, "reasoning_tokens": total}}, (note,)


def _tools(usage: Body) -> tuple[int, tuple[str, ...]]:
    details = payload_section(usage, _TOOLS, at="usage")
    older = payload_section(usage, "server_tool_use", at="usage")
    searches = said(payload_int(details, "web_search_requests", at=f"usage.{_TOOLS}")) or said(
        payload_int(older, "web_search_requests", at="usage.server_tool_use")
    )
    executed = said(payload_int(details, "tool_calls_executed", at=f"usage.{_TOOLS}"))
    if executed <= searches:
        return searches, ()
    note = f"usage.{_TOOLS}: {executed - searches} calls of tools are billed in usage.cost and not counted apart"
    return searches, (f"{note}: unmapped, not in our price",)


def _own_key_notes(usage: Body) -> tuple[str, ...]:
    if usage.get("is_byok") is not True:
        return ()
    details = payload_section(usage, "cost_details", at="usage")
    upstream = payload_decimal(details, "upstream_inference_cost", at="usage.cost_details")
    if upstream is None:
        return ("usage.is_byok: the upstream provider bills your own key, beside usage.cost",)
    return (f"usage.is_byok: the upstream provider bills {upstream:f} USD to your own key, beside usage.cost",)


_GENERATION = Counters(
    frozenset(
        f"data.{name}"
        for name in (
            "native_tokens_prompt", "native_tokens_completion", "native_tokens_reasoning", "native_tokens_cached",
            "native_tokens_completion_images", "total_cost",
        )
    ),
    # Tokens of OpenRouter's own counting, costs that the total holds, counts of what was sent, and timings.
    frozenset(
        f"data.{name}"
        for name in (
            "tokens_prompt", "tokens_completion", "usage", "cache_discount", "upstream_inference_cost", "latency",
            "moderation_latency", "generation_time", "num_media_prompt", "num_media_completion",
            "num_input_audio_prompt",
        )
    ),
)  # fmt: skip


def read_generation(body: Body) -> Usage | None:
    """Read the record of a generation: the upstream's own tokens, and the whole cost."""
    data = payload_section(body, "data", at="body") if isinstance(body.get("data"), Mapping) else body
    if "native_tokens_prompt" not in data:
        return None
    counts = {
        name: said(payload_int(data, f"native_tokens_{name}", at="data"))
        for name in ("prompt", "completion", "reasoning", "cached", "completion_images")
    }
    found = survey(data, _GENERATION, at="data")
    return Usage.from_leaves(
        input_leaves(
            counts["prompt"],
            whole="native_tokens_prompt",
            cached=counts["cached"],
            cached_name="native_tokens_cached",
            writes={},
            by_modality={},
            cached_by_modality={},
        )
        + output_leaves(
            counts["completion"],
            whole="native_tokens_completion",
            reasoning=counts["reasoning"],
            image=counts["completion_images"],
        ),
        model=payload_text(data, "model"),
        ignored=tuple(found.ignored),
        notes=tuple(found.notes),
        billed_usd=payload_decimal(data, "total_cost", at="data"),
    )


DIALECT = Dialect("openrouter", read, usage_marks=frozenset({"cost", "cost_details", "is_byok", _TOOLS}))
GENERATION = Whole(frozenset({"data", "native_tokens_prompt"}), read_generation)
