"""Realtime sessions of OpenAI, Azure and xAI: a ``response.done`` is a call, a transcription another model's.

A session is billed by the response: each one counts the whole conversation before
it again, mostly from the cache, so that the usages of a session add up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tokencalc.providers.failures import failure, shown
from tokencalc.providers.streams.merge import UNSTATED, Folded, facts, missing, section, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokencalc.providers.payload import Body

_PREFIXES = ("session.", "conversation.", "input_audio_buffer.", "output_audio_buffer.", "rate_limits.")
_TRANSCRIBED = "conversation.item.input_audio_transcription.completed"


def speaks(event: Body) -> bool:
    """Tell whether an event is of a realtime session: some of its types are those of Responses."""
    kind = text(event, "type")
    return (
        kind == "response.done"
        # Mistral's conversations have a prefix of sessions.
        or (kind.startswith(_PREFIXES) and not kind.startswith("conversation.response."))
        or text(section(event, "response"), "object") == "realtime.response"
    )


class _Session:
    """What the events of a session have said."""

    def __init__(self) -> None:
        """Start with nothing said."""
        self.model: str | None = None
        self.transcriber: str | None = None
        self.calls: dict[str, Body] = {}
        self.open: set[str] = set()
        self.silent = 0
        self.error: str | None = None

    def take(self, event: Body, place: int) -> None:
        """Add one event."""
        kind, answer = text(event, "type"), section(event, "response")
        name = text(answer, "id") or f"[{place}]"
        if kind.startswith("session."):
            self._configure(section(event, "session"))
        elif kind == "response.created":
            self.open.add(name)
        elif kind == "response.done":
            self.open.discard(name)
            self._add(name, facts({"model": self.model}, answer, without=("usage",)), answer, event)
        elif kind == _TRANSCRIBED:
            item = f"{_TRANSCRIBED} {text(event, 'item_id') or place} {event.get('content_index')!r:.20}"
            self._add(item, {"model": self.transcriber, "type": kind}, event)
        found = failure(event)
        self.error = self.error if found is None else found

    def _add(self, name: str, body: dict[str, Any], *holders: Body) -> None:
        usage = next((found for holder in holders if (found := section(holder, "usage"))), None)
        if usage is None:
            self.silent += 1
        else:
            self.calls[name] = {**body, "usage": usage}

    def _configure(self, session: Body) -> None:
        self.model = text(session, "model") or self.model
        for keys in (("input_audio_transcription",), ("audio", "input", "transcription")):
            self.transcriber = text(section(session, *keys), "model") or self.transcriber


def fold(events: Sequence[Body]) -> Folded:
    """Return the body of each response and each transcription; UsageMissing where none says a usage."""
    session = _Session()
    for place, event in enumerate(events):
        session.take(event, place)
    if not session.calls:
        how = "" if session.error is None else f", and an error{shown(session.error)} in it"
        raise missing(f"the session has no response.done with a usage{how}")
    notes = []
    if session.open:
        notes.append(f"{len(session.open)} responses have no response.done: they are not in the figures")
    if session.silent:
        notes.append(f"{session.silent} responses or transcriptions say no usage: they are not in the figures")
    is_alone = len(session.calls) == 1
    calls = tuple(_call(body, is_alone=is_alone) for body in session.calls.values())
    return Folded(calls, notes=tuple(notes), is_interrupted=bool(session.open))


def _call(body: Body, *, is_alone: bool) -> Body:
    """Return a call ready to be read; a transcription in a session must not go at the session's own rates."""
    if text(body, "type") != _TRANSCRIBED:
        return body
    return {**body, "model": body["model"] or (None if is_alone else UNSTATED)}
