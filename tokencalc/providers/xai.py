"""xAI's wire formats: OpenAI's chat and Responses, with reasoning beside the completion, tools counted, and the cost.

In chat completions ``completion_tokens`` leave the reasoning out, which the total
includes; in Responses ``output_tokens`` include it. Sources that Live Search used
(``num_sources_used``, until January 2026) were billed by the piece, each a search
unit here; beside calls of server-side tools they are only what those read. ``cost_in_usd_ticks`` is what
was billed for the request, tools and discounts included.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from tokencalc.providers.dialect import Dialect, items, with_more
from tokencalc.providers.openai import CHAT, RESPONSES, TotalsReader
from tokencalc.providers.payload import payload_int, payload_section, said
from tokencalc.usage import Meter, Usage

if TYPE_CHECKING:
    from tokencalc.providers.payload import Body
    from tokencalc.usage import Quantity

# A tick is 1e-10 USD.
_TICKS_EXPONENT = -10
_TICKS, _TOOLS = "cost_in_usd_ticks", "server_side_tool_usage_details"
_SOURCES, _TOOLS_USED = "num_sources_used", "num_server_side_tools_used"
_METERS = {
    "web_search_calls": Meter.WEB_SEARCH,
    "x_search_calls": Meter.SOCIAL_SEARCH,
    "code_interpreter_calls": Meter.CODE_EXECUTION,
    "file_search_calls": Meter.FILE_SEARCH,
    "document_search_calls": Meter.FILE_SEARCH,
    "image_generation_calls": Meter.OUTPUT_IMAGE_PIECE,
}
_KNOWN = (
    # The tools used are the sum of their kinds; a user's own server costs its tokens.
    _TOOLS_USED,
    f"{_TOOLS}.mcp_calls",
    # How full the window is, from which nothing is billed.
    "context_details.input_tokens",
    "context_details.output_tokens",
)
_MAPPED = (_TICKS, _SOURCES, *(f"{_TOOLS}.{name}" for name in _METERS))


_mapped, _known = [f"usage.{name}" for name in _MAPPED], [f"usage.{name}" for name in _KNOWN]
_chat = TotalsReader(CHAT, CHAT.counters().with_mapped(*_mapped).with_known(*_known), reasoning_is_beside_output=True)
_responses = TotalsReader(RESPONSES, RESPONSES.counters().with_mapped(*_mapped).with_known(*_known))


def read(usage: Body, body: Body) -> Usage:
    """Read an xAI usage of tokens, or of images, which have a cost and no tokens."""
    if usage.keys().isdisjoint({"prompt_tokens", "completion_tokens", "input_tokens", "output_tokens"}):
        tokens = _images(body)
    else:
        reader = _responses if "input_tokens" in usage or "output_tokens" in usage else _chat
        tokens = reader.read_any(usage, body)
    ticks = payload_int(usage, _TICKS, at="usage")
    billed = None if ticks is None else Decimal(ticks).scaleb(_TICKS_EXPONENT)
    calls, sources = _tool_calls(usage), said(payload_int(usage, _SOURCES, at="usage"))
    if not sources:
        return with_more(tokens, leaves=calls, billed_usd=billed)
    if calls or payload_int(usage, _TOOLS_USED, at="usage"):
        return with_more(tokens, leaves=calls, ignored=(f"usage.{_SOURCES}",), billed_usd=billed)
    note = f"usage.{_SOURCES}: sources of Live Search, billed by the piece; counted as search units"
    return with_more(tokens, leaves=((Meter.SEARCH_UNIT, sources),), notes=(note,), billed_usd=billed)


def _tool_calls(usage: Body) -> list[tuple[Meter, Quantity]]:
    tools = payload_section(usage, _TOOLS, at="usage")
    counts = ((meter, payload_int(tools, name, at=f"usage.{_TOOLS}")) for name, meter in _METERS.items())
    return [(meter, count) for meter, count in counts if count]


def _images(body: Body) -> Usage:
    pieces = len([item for item in items(body, "data") if "url" in item or "b64_json" in item])
    notes = () if pieces else ("usage says a cost and no tokens, and the body has no images: nothing was counted",)
    model = body.get("model")
    return Usage.from_leaves(
        ((Meter.OUTPUT_IMAGE_PIECE, pieces),), model=model if isinstance(model, str) else None, notes=notes
    )


DIALECT = Dialect("xai", read, usage_marks=frozenset({_TICKS, _TOOLS, _SOURCES, _TOOLS_USED}))
