"""Bedrock's event streams: ConverseStream, and the models' own chunks with the metrics of the invocation.

An Anthropic model's chunks are Anthropic's events, and are folded as those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tokencalc.providers.failures import broke_off
from tokencalc.providers.streams.merge import Folded, cut_note, facts, merge, missing, section

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokencalc.providers.payload import Body

METRICS = "amazon-bedrock-invocationMetrics"
_CONTENT = frozenset(
    {
        "messageStart",
        "messageStop",
        "contentBlockStart",
        "contentBlockDelta",
        "contentBlockStop",
        "outputText",
        "generation",
        "outputs",
        "index",
        "chunk",
        "citation",
        "guardrail",
    }
)
_TITAN_IN, _TITAN_OUT = "inputTextTokenCount", "totalOutputTextTokenCount"
_LLAMA_IN, _LLAMA_OUT = "prompt_token_count", "generation_token_count"
_MARKS = _CONTENT - {"index", "outputs"} | {"metadata", METRICS, _TITAN_IN, _TITAN_OUT}
_APART = _CONTENT | {"metadata", METRICS, "usage"}
_END = "its metadata"


def speaks(event: Body) -> bool:
    """Tell whether an event is of this format."""
    return not _MARKS.isdisjoint(event)


def fold(events: Sequence[Body]) -> Folded:
    """Return the body of the answer; UsageMissing where no event says a usage."""
    body: dict[str, Any] = {}
    usage: dict[str, Any] = {}
    metrics: dict[str, Any] = {}
    error: str | None = None
    is_over = False
    for event in events:
        metadata = section(event, "metadata")
        body = facts(facts(body, event, without=_APART), metadata, without=("usage",))
        usage = merge(usage, section(metadata, "usage"))
        metrics = merge(metrics, section(event, METRICS))
        is_over = is_over or bool(usage or metrics or event.get(_TITAN_OUT) is not None or event.get("stop_reason"))
        error = broke_off(event) if error is None else error
    counts = {_TITAN_IN, _TITAN_OUT, _LLAMA_IN, _LLAMA_OUT} & body.keys()
    if usage:
        body["usage"] = usage
    elif metrics and not counts:
        body[METRICS] = metrics
    elif not counts:
        raise missing(f"the stream ended before {_END}, and says no usage")
    restated = metrics if usage or counts else {}
    is_cut = error is not None or not is_over
    return Folded(
        (body,),
        notes=(cut_note(_END, error),) if is_cut else (),
        is_interrupted=is_cut,
        ignored=tuple(f"{METRICS}.{name}" for name in restated),
    )
