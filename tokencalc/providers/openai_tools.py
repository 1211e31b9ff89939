"""Tools of OpenAI's Responses API that are billed beside the tokens: which the body counts, which it only lists.

Web searches are billed by the search, file searches by the call: those are
counted. Code interpreters are billed by the container, which outlives a response,
and images by the tokens of another model: those get a note.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokencalc.providers.dialect import items
from tokencalc.providers.payload import payload_int, payload_section, payload_text
from tokencalc.providers.survey import Counters, survey
from tokencalc.usage import Meter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokencalc.providers.payload import Body

_COUNTERS = Counters(frozenset({"tool_usage.web_search.num_requests"}), frozenset())
_BILLED_OTHERWISE = {
    "code_interpreter_call": "billed by the container",
    "image_generation_call": "billed by the tokens of the image model",
}


def billed_calls(body: Body) -> tuple[list[tuple[Meter, int]], tuple[str, ...]]:
    """Return the calls of tools that are billed by the piece, and notes on what the body does not count."""
    tools = payload_section(body, "tool_usage", at="body")
    section = payload_section(tools, "web_search", at="tool_usage")
    stated = payload_int(section, "num_requests", at="tool_usage.web_search")
    output = items(body, "output")
    kinds = [item.get("type") for item in output]
    searches = sum(_is_search(item) for item in output) if stated is None else stated
    leaves = [(Meter.WEB_SEARCH, searches), (Meter.FILE_SEARCH, kinds.count("file_search_call"))]
    return [leaf for leaf in leaves if leaf[1]], (*_notes(kinds), *(survey(tools, _COUNTERS, at="tool_usage").notes))


def _is_search(item: Body) -> bool:
    """Tell whether an item is a search: opening a page and finding in it are calls of the same kind, and are free."""
    if item.get("type") != "web_search_call":
        return False
    action = item.get("action")
    kind = payload_text(action, "type") if isinstance(action, dict) else None
    return kind is None or kind == "search"


def _notes(kinds: list[object]) -> Iterator[str]:
    for kind, how in _BILLED_OTHERWISE.items():
        count = kinds.count(kind)
        if count:
            yield f"output has {count} {kind} items, {how}, which the response does not say: unmapped, not in the cost"
