"""Usages that are billed by the second: xAI's voice, and transcriptions of a session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokencalc.providers.payload import payload_decimal, payload_section, payload_text
from tokencalc.providers.survey import Counters, survey
from tokencalc.usage import Meter, Usage

if TYPE_CHECKING:
    from tokencalc.providers.payload import Body

BILLED = "billable_audio_seconds"
"""The field that only this format has."""
_SIDES = ("input", "output")
_KINDS = ("text", "audio", "grok")
_COUNTERS = Counters(
    mapped=frozenset({f"usage.{BILLED}"}),
    known=frozenset(
        {
            "usage.total_tokens",
            "usage.output_audio_seconds",
            *(f"usage.{side}_tokens" for side in _SIDES),
            *(f"usage.{side}_token_details.{kind}_tokens" for side in _SIDES for kind in _KINDS),
        }
    ),
)
_NOTE = f"voice is billed by usage.{BILLED}: its tokens are listed as ignored, not counted"


def read_voice(body: Body) -> Usage | None:
    """Read a usage that says the seconds it is billed by; None where it does not."""
    usage = payload_section(body, "usage", at="body")
    seconds = payload_decimal(usage, BILLED, at="usage")
    if seconds is None:
        return None
    found = survey(usage, _COUNTERS)
    return Usage.from_leaves(
        ((Meter.INPUT_AUDIO_SECOND, seconds),),
        model=payload_text(body, "model"),
        ignored=tuple(found.ignored),
        notes=(_NOTE, *found.notes),
    )


def read_duration(body: Body) -> Usage | None:
    """Read a transcription's usage that is the seconds it heard; None where it counts tokens."""
    usage = payload_section(body, "usage", at="body")
    seconds = payload_decimal(usage, "seconds", at="usage")
    if seconds is None:
        return None
    found = survey(usage, _DURATION)
    return Usage.from_leaves(
        ((Meter.INPUT_AUDIO_SECOND, seconds),),
        model=payload_text(body, "model"),
        ignored=tuple(found.ignored),
        notes=tuple(found.notes),
    )


_DURATION = Counters(frozenset({"usage.seconds"}), frozenset())
