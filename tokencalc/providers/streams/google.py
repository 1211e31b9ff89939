"""Gemini's streams, of the API and of Vertex: each chunk says the figures so far, and the last one wins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tokencalc.providers.failures import broke_off
from tokencalc.providers.streams.merge import Folded, cut_note, facts, fell, merge, missing, section, sections

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tokencalc.providers.payload import Body

_GROUNDING = "groundingMetadata"
NAMES = ("usageMetadata", "usage_metadata")
_ANSWERS = frozenset({"candidates", "promptFeedback", "prompt_feedback"})
_APART = frozenset({*NAMES, *_ANSWERS, "error"})
# A count and its list by modality are said together: a list that is left out has changed with its count.
_LISTS = {
    "promptTokenCount": "promptTokensDetails",
    "candidatesTokenCount": "candidatesTokensDetails",
    "responseTokenCount": "responseTokensDetails",
    "cachedContentTokenCount": "cacheTokensDetails",
    "toolUsePromptTokenCount": "toolUsePromptTokensDetails",
    "prompt_token_count": "prompt_tokens_details",
    "candidates_token_count": "candidates_tokens_details",
    "response_token_count": "response_tokens_details",
    "cached_content_token_count": "cache_tokens_details",
    "tool_use_prompt_token_count": "tool_use_prompt_tokens_details",
}


def speaks(event: Body) -> bool:
    """Tell whether an event is of this format."""
    return bool(event.keys() & _ANSWERS) or any(section(event, name) for name in NAMES)


def add_figures(older: Body, newer: Body) -> dict[str, Any]:
    """Return a usage with the figures of a later chunk; a count that changed without its list loses the old list."""
    stale = {
        listed
        for count, listed in _LISTS.items()
        if newer.get(count) is not None and newer.get(listed) is None and newer[count] != older.get(count)
    }
    return merge({key: value for key, value in older.items() if key not in stale}, newer)


def add_searches(older: list[Body], candidates: Iterable[Body]) -> list[Body]:
    """Return what is known of searches, one candidate for all: what a later chunk repeats was searched once."""
    known: dict[str, list[Any]] = dict(section(older[0], _GROUNDING)) if older else {}
    for metadata in (section(item, name) for item in candidates for name in (_GROUNDING, "grounding_metadata")):
        for key, values in metadata.items():
            if isinstance(values, list):
                known[key] = _joined(known.get(key, []), values)
    return [{_GROUNDING: known}] if known else older


def _joined(older: list[Any], newer: list[Any]) -> list[Any]:
    repeated, joined = list(older), list(older)
    for value in newer:
        if value in repeated:
            repeated.remove(value)
        else:
            joined.append(value)
    return joined


def fold(events: Sequence[Body]) -> Folded:
    """Return the body of the answer; a note says where its counters were restarted.

    Raises UsageMissing where no chunk says a usage.
    """
    body: dict[str, Any] = {}
    usages: dict[str, dict[str, Any]] = {}
    notes: dict[str, None] = {}
    error: str | None = None
    is_over = False
    searches: list[Body] = []
    for event in events:
        body = facts(body, event, without=_APART)
        searches = add_searches(searches, sections(event, "candidates"))
        for name in NAMES:
            said = section(event, name)
            if said:
                notes.update(dict.fromkeys(_restarts(name, usages.get(name, {}), said)))
                usages[name] = add_figures(usages.get(name, {}), said)
        is_over = is_over or _is_end(event)
        error = broke_off(event) if error is None else error
    if not any(map(_has_figures, usages.values())):
        raise missing(f"the stream {'' if is_over else 'ended before its finishReason, and '}says no usage")
    if error is not None or not is_over:
        notes[cut_note("its finishReason", error)] = None
    body |= usages | ({"candidates": searches} if searches else {})
    return Folded((body,), notes=tuple(notes), is_interrupted=error is not None or not is_over)


def _has_figures(usage: Body) -> bool:
    # Vertex says the type of traffic in every chunk, and the counts in the last one.
    return any(key.lower().replace("_", "").endswith("tokencount") for key in usage if isinstance(key, str))


def _restarts(name: str, older: Body, newer: Body) -> list[str]:
    return [
        f"{name}.{key} fell from {before} to {now} within the stream: the counters were restarted, "
        "and the last figures were taken"
        for key, before, now in fell(older, newer)
    ]


def _is_end(event: Body) -> bool:
    reasons = [item.get("finishReason") or item.get("finish_reason") for item in sections(event, "candidates")]
    blocked = section(event, "promptFeedback") or section(event, "prompt_feedback")
    return any(reasons) or bool(blocked.get("blockReason") or blocked.get("block_reason"))
