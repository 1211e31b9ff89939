"""Audio, images and videos that are not billed by tokens: durations, and pieces that the body holds.

OpenAI's transcriptions say their seconds, alone or in a verbose body (Groq's do
too); image answers say tokens, or nothing but their images; video jobs say their
length, and their size, by which prices may differ. Durations are exact decimals.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from tokencalc.errors import UsageInvalid
from tokencalc.providers.dialect import Whole, items
from tokencalc.providers.openai import RESPONSES, TotalsReader
from tokencalc.providers.payload import payload_decimal, payload_section, payload_text
from tokencalc.providers.survey import Counters, survey
from tokencalc.usage import Meter, Usage

if TYPE_CHECKING:
    from tokencalc.providers.payload import Body

_DURATION = Counters(frozenset({"usage.seconds"}), frozenset())
_images = TotalsReader(RESPONSES)


def read_duration(usage: Body, body: Body) -> Usage:
    """Read a transcription that is billed by its seconds."""
    seconds = payload_decimal(usage, "seconds", at="usage")
    found = survey(usage, _DURATION)
    return Usage.from_leaves(
        ((Meter.INPUT_AUDIO_SECOND, seconds or 0),),
        model=payload_text(body, "model"),
        ignored=tuple(found.ignored),
        notes=tuple(found.notes),
    )


def read_verbose(body: Body) -> Usage | None:
    """Read a verbose transcription: a text and its ``duration`` in seconds, which older bodies write as text."""
    if "duration" not in body or "text" not in body:
        return None
    seconds = _seconds(body, "duration")
    return Usage.from_leaves(((Meter.INPUT_AUDIO_SECOND, seconds),), model=payload_text(body, "model"))


def read_images(usage: Body, body: Body) -> Usage:
    """Read an image answer that says tokens; where it does not say of which kind its output is, all are of images."""
    details = payload_section(usage, "output_tokens_details", at="usage")
    if not details and usage.get("output_tokens") is not None:
        usage = {**usage, "output_tokens_details": {"image_tokens": usage["output_tokens"]}}
    return _images.read(usage, body)


def is_image_answer(body: Body) -> bool:
    """Tell whether a body's data are images."""
    return any("b64_json" in item or "url" in item for item in items(body, "data"))


def read_pieces(body: Body) -> Usage | None:
    """Count the images of a body that says no tokens: OpenAI's older models, Imagen, Titan and Stability."""
    pieces = len([item for item in items(body, "data") if "b64_json" in item or "url" in item])
    pieces += len([item for item in items(body, "predictions") if "bytesBase64Encoded" in item])
    images = body.get("images")
    pieces += len(images) if isinstance(images, list | tuple) and "usage" not in body else 0
    if not pieces:
        return None
    return Usage.from_leaves(((Meter.OUTPUT_IMAGE_PIECE, pieces),), model=payload_text(body, "model"))


def read_video(body: Body) -> Usage | None:
    """Read a video job: its length once it is done; a job that is not done costs nothing yet, with a note."""
    if body.get("object") != "video":
        return None
    status = payload_text(body, "status")
    done = status == "completed"
    size = payload_text(body, "size")
    note = f"the video job is {status}: its seconds are counted when it is completed"
    return Usage.from_leaves(
        ((Meter.OUTPUT_VIDEO_SECOND, _seconds(body, "seconds") if done else 0),),
        model=payload_text(body, "model"),
        notes=() if done else (note,),
        conditions=() if size is None else (("video_resolution", size),),
    )


def _seconds(body: Body, key: str) -> Decimal:
    value = body.get(key)
    if isinstance(value, str):
        try:
            value = Decimal(value[:40])
        except InvalidOperation as error:
            raise UsageInvalid(
                f"{key}: expected a number of seconds, found {value!r:.60}", path=key, found=value
            ) from error
    seconds = payload_decimal({key: value}, key, at="body")
    if seconds is None:
        raise UsageInvalid(f"{key}: null in this body; nothing to price", path=key, found=None)
    return seconds


WHOLES = (
    Whole(frozenset({"duration"}), read_verbose),
    Whole(frozenset({"seconds"}), read_video),
    Whole(frozenset({"data", "predictions", "images"}), read_pieces),
)
