"""Groq's wire format: chat completions with timings, a breakdown by model for compound systems, and executed tools."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokencalc.providers.dialect import Dialect, items
from tokencalc.providers.openai import CHAT, TotalsReader
from tokencalc.providers.payload import payload_section, payload_sections, payload_text
from tokencalc.providers.survey import Counters, survey
from tokencalc.usage import Usage

if TYPE_CHECKING:
    from tokencalc.providers.payload import Body

_TIMINGS = ("queue_time", "prompt_time", "completion_time", "total_time")
_counters = CHAT.counters().with_known(*(f"usage.{name}" for name in _TIMINGS))
_reader = TotalsReader(CHAT, _counters)
# Beside a breakdown, every number of the usage itself is a sum or a timing.
_restated = Counters(frozenset(), _counters.mapped | _counters.known)


def read(usage: Body, body: Body) -> Usage:
    """Read a Groq usage; a compound system's calls become parts, each with the model that served it."""
    tools = _tool_notes(body) if "choices" in body else ()
    if body.get("usage_breakdown") is None:
        return _reader.read(usage, body, extra_notes=tools)
    breakdown = payload_section(body, "usage_breakdown", at="body")
    models = payload_sections(breakdown, "models", at="usage_breakdown")
    whole = _reader.read(usage, body, extra_notes=tools)
    if not models:
        return whole
    parts = [_part(item, index, body) for index, item in enumerate(models)]
    calls = Usage.from_parts(parts)
    if (calls.input_tokens, calls.output_tokens) != (whole.input_tokens, whole.output_tokens):
        note = (
            f"usage_breakdown adds up to {calls.input_tokens} input and {calls.output_tokens} output tokens, "
            f"usage says {whole.input_tokens} and {whole.output_tokens}; "
            f"the usage was priced as one call of {whole.model}"
        )
        return whole.replace(
            ignored=(*whole.ignored, *survey(breakdown, _restated, at="usage_breakdown").ignored),
            notes=(*whole.notes, note),
        )
    restated = tuple(survey(usage, _restated).ignored)
    ignored = restated + tuple(path for part in parts for path in part.ignored)
    notes = (*(note for part in parts for note in part.notes), *tools)
    return Usage.from_parts(parts, ignored=ignored, notes=notes)


def _tool_notes(body: Body) -> tuple[str, ...]:
    """Note tools that Groq ran: their fees depend on what a body does not say (the kind of search, the time)."""
    kinds: dict[str, int] = {}
    for choice in items(body, "choices"):
        message = choice.get("message")
        tools = items(message, "executed_tools") if isinstance(message, dict) else []
        for tool in tools:
            kind = payload_text(tool, "type") or "unnamed"
            kinds[kind] = kinds.get(kind, 0) + 1
    if not kinds:
        return ()
    listed = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    return (f"executed_tools: {listed}, billed apart from tokens by kind or time: unmapped, not in the cost",)


def _part(item: Body, index: int, body: Body) -> Usage:
    at = f"usage_breakdown.models[{index}].usage"
    usage = payload_section(item, "usage", at=f"usage_breakdown.models[{index}]")
    read_part = _reader.read(usage, {"model": payload_text(item, "model"), "service_tier": body.get("service_tier")})
    return read_part.replace(
        ignored=tuple(path.replace("usage", at, 1) for path in read_part.ignored),
        notes=tuple(note.replace("usage", at, 1) for note in read_part.notes),
    )


DIALECT = Dialect("groq", read, usage_marks=frozenset(_TIMINGS), body_marks=frozenset({"x_groq", "usage_breakdown"}))
