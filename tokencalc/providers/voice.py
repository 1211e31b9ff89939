"""xAI's voice: tokens that are told, and the seconds that are billed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokencalc.providers.payload import payload_decimal, payload_text
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


def read_voice(usage: Body, body: Body) -> Usage | None:
    """Read a usage that says the seconds it is billed by; None where it does not."""
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
