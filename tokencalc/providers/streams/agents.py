"""Bedrock's agents: their traces say the usage of each model call inside an answer, and which model served it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokencalc.providers.failures import broke_off
from tokencalc.providers.payload import payload_int, require_any, said
from tokencalc.providers.streams.merge import UNSTATED, Folded, missing, section, text
from tokencalc.providers.survey import Counters, survey
from tokencalc.usage import Meter, Usage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tokencalc.providers.payload import Body

_COUNTS = ("inputTokens", "outputTokens")
_counters = Counters(frozenset(f"usage.{name}" for name in _COUNTS), frozenset())


def speaks(event: Body) -> bool:
    """Tell whether an event is of this format: a trace, or a piece of the answer."""
    return bool(section(event, "trace")) or "bytes" in section(event, "chunk")


def fold(events: Sequence[Body]) -> Folded:
    """Return the usage of each model call that a trace tells of; UsageMissing where none does."""
    models: dict[str, str] = {}
    open_calls: set[str] = set()
    calls: list[Usage] = []
    error: str | None = None
    for event in events:
        error = broke_off(event) if error is None else error
        for step in _steps(event):
            asked, answered = section(step, "modelInvocationInput"), section(step, "modelInvocationOutput")
            if asked:
                open_calls.add(text(asked, "traceId"))
                models[text(asked, "traceId")] = text(asked, "foundationModel")
            usage = section(answered, "metadata", "usage")
            if usage:
                open_calls.discard(text(answered, "traceId"))
                calls.append(_read(usage, models.get(text(answered, "traceId")) or None))
    if not calls:
        raise missing("the stream of an agent has no trace of a model call", remedy="ask for it with enableTrace=True")
    cut = len(open_calls)
    notes = (
        [] if not cut else [f"{cut} model calls of the agent were begun and have no usage: they are not in the figures"]
    )
    notes += [] if error is None else ["the stream broke off with an error: the figures are those said until then"]
    return Folded(tuple(calls), notes=tuple(notes), is_interrupted=bool(cut) or error is not None)


def _steps(event: Body) -> Iterator[Body]:
    """Yield what each kind of trace in an event holds: orchestration, pre- and post-processing, routing."""
    trace = section(event, "trace", "trace")
    for kind in trace:
        yield section(trace, kind)


def _read(usage: Body, model: str | None) -> Usage:
    counts = {name: payload_int(usage, name, at="usage") for name in _COUNTS}
    found = survey(usage, _counters)
    notes = require_any(counts, at="usage")
    if model is None:
        notes += ("a trace does not say which model it called: that call has no price",)
    return Usage.from_leaves(
        ((Meter.INPUT, said(counts["inputTokens"])), (Meter.OUTPUT, said(counts["outputTokens"]))),
        model=model or UNSTATED,
        ignored=tuple(found.ignored),
        notes=(*notes, *found.notes),
    )
