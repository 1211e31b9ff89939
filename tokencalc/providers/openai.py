"""OpenAI's wire formats: chat completions (and all that speak it), Responses, embeddings, transcriptions.

Totals include their parts here: ``prompt_tokens`` include cached, written and
audio tokens, ``completion_tokens`` include reasoning, audio and predictions.
Each format is the same reader with other names for the four fields. Where a total
shows that reasoning was counted beside the completion, it was, whoever answered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tokencalc.counts import MAX_QUANTITY, remainder
from tokencalc.providers.dialect import with_more
from tokencalc.providers.failures import has_answer
from tokencalc.providers.openai_tools import billed_calls
from tokencalc.providers.partition import INPUT_MODALITIES, input_leaves, least_overlap, output_leaves
from tokencalc.providers.payload import (
    Body,
    payload_int,
    payload_section,
    payload_text,
    require_any,
    said,
    total_notes,
)
from tokencalc.providers.survey import Counters, Shapes, survey
from tokencalc.usage import Meter, Usage

if TYPE_CHECKING:
    from tokencalc.providers.partition import Pairs

_INPUT, _CACHE_READ, _CACHE_WRITE = Meter.INPUT, Meter.CACHE_READ, Meter.CACHE_WRITE
_OUTPUT, _REASONING = Meter.OUTPUT, Meter.REASONING
_NOTHING: dict[str, Any] = {}

_INSIDE = (
    "cached_tokens",
    "cache_write_tokens",
    "audio_tokens",
    "image_tokens",
    "video_tokens",
    "cache_write_tokens_details.ttl_30m_tokens",
    "cache_write_tokens_details.ttl_12h_tokens",
    "cached_tokens_details.audio_tokens",
    "cached_tokens_details.image_tokens",
)
_OUTSIDE = ("reasoning_tokens", "audio_tokens", "image_tokens")
# Predictions, accepted or not, are billed inside the completion at its rate.
_OUTSIDE_KNOWN = ("text_tokens", "accepted_prediction_tokens", "rejected_prediction_tokens")
# vLLM says again how many of the prompt's tokens were not text.
_INSIDE_KNOWN = ("text_tokens", "multimodal_tokens", "cached_tokens_details.text_tokens")


@dataclass(frozen=True, slots=True)
class Names:
    """What one format calls its two totals and the details of each."""

    total_in: str
    total_out: str
    inside: str
    outside: str

    def counters(self) -> Counters:
        """Return every counter of the format."""
        mapped = {f"usage.{self.total_in}", f"usage.{self.total_out}"}
        mapped |= {f"usage.{self.inside}.{name}" for name in _INSIDE}
        mapped |= {f"usage.{self.outside}.{name}" for name in _OUTSIDE}
        known = {f"usage.{self.outside}.{name}" for name in _OUTSIDE_KNOWN}
        known |= {f"usage.{self.inside}.{name}" for name in _INSIDE_KNOWN}
        return Counters(frozenset(mapped), frozenset(known | {"usage.total_tokens"}))


CHAT = Names("prompt_tokens", "completion_tokens", "prompt_tokens_details", "completion_tokens_details")
RESPONSES = Names("input_tokens", "output_tokens", "input_tokens_details", "output_tokens_details")
TRANSCRIPTION = Names("input_tokens", "output_tokens", "input_token_details", "output_token_details")


class TotalsReader:
    """Reads a usage whose totals include their parts."""

    __slots__ = ("_beside", "_counters", "_names", "_shapes")

    def __init__(
        self, names: Names, counters: Counters | None = None, *, reasoning_is_beside_output: bool = False
    ) -> None:
        """Read ``names``; ``counters`` when a dialect has more fields than OpenAI's own.

        ``reasoning_is_beside_output`` where the provider counts reasoning outside its
        completion tokens; it decides for a usage whose total does not show it.
        """
        self._names = names
        self._beside = reasoning_is_beside_output
        self._counters = counters or names.counters()
        self._shapes = Shapes(self._counters)

    def read(self, usage: Body, body: Body, *, extra_notes: tuple[str, ...] = ()) -> Usage:
        """Return the usage; the quick way when nothing is unusual, else the careful one."""
        return (None if extra_notes else self.read_plain(usage, body)) or self.read_any(usage, body, extra_notes)

    def read_plain(self, usage: Body, body: Body) -> Usage | None:
        """Read a usage of known shape with whole counts of text only; None when it is any other."""
        names, get = self._names, usage.get
        inside, outside = get(names.inside, _NOTHING), get(names.outside, _NOTHING)
        if type(inside) is not dict or type(outside) is not dict:
            return None
        ignored = self._shapes.find((tuple(usage), tuple(inside), tuple(outside)))
        if ignored is None:
            return None
        total_in, total_out = get(names.total_in), get(names.total_out)
        cached, written = inside.get("cached_tokens", 0), inside.get("cache_write_tokens", 0)
        reasoning, total = outside.get("reasoning_tokens", 0), get("total_tokens")
        if total_out is None and total == total_in:
            total_out = 0  # embeddings: the total says that there is no output
        audio_in, audio_out = inside.get("audio_tokens", 0), outside.get("audio_tokens", 0)
        image_in, image_out = inside.get("image_tokens", 0), outside.get("image_tokens", 0)
        # One chain, because this runs for every call: exact ints only, so no booleans and no floats.
        if not (
            int is type(total_in) is type(total_out) is type(cached) is type(written) is type(reasoning)
            and int is type(audio_in) is type(audio_out) is type(image_in) is type(image_out)
        ):
            return None
        fresh, plain = total_in - cached - written, total_out - reasoning
        if (
            fresh < 0 or plain < 0 or cached < 0 or written < 0 or reasoning < 0
            or audio_in or audio_out or image_in or image_out
            or not 0 < total_in + total_out <= MAX_QUANTITY
            or (total is not None and (type(total) is not int or total != total_in + total_out))
        ):  # fmt: skip
            return None
        model, tier = body.get("model"), body.get("service_tier")
        return Usage.from_leaves(
            (
                (_INPUT, fresh),
                (_CACHE_READ, cached),
                (_CACHE_WRITE, written),
                (_OUTPUT, plain),
                (_REASONING, reasoning),
            ),
            model=model if type(model) is str and model else None,
            service_tier=tier if type(tier) is str and tier else payload_text(usage, "service_tier"),
            ignored=ignored,
        )

    def read_any(self, usage: Body, body: Body, extra_notes: tuple[str, ...] = ()) -> Usage:
        """Read any usage of these names; raises UsageInvalid with the path of what cannot be."""
        names = self._names
        inside = payload_section(usage, names.inside, at="usage")
        outside = payload_section(usage, names.outside, at="usage")
        said_in = payload_int(usage, names.total_in, at="usage")
        said_out = payload_int(usage, names.total_out, at="usage")
        total = payload_int(usage, "total_tokens", at="usage")
        if said_out is None and said_in is not None and total == said_in:
            said_out = 0  # embeddings: the total says that there is no output
        notes = require_any({names.total_in: said_in, names.total_out: said_out}, at="usage")
        total_in, total_out = said(said_in), said(said_out)
        reasoning = said(payload_int(outside, "reasoning_tokens", at=f"usage.{names.outside}"))
        if self.counts_beside(total_in, total_out, reasoning, total):
            total_out += reasoning
        fresh_pairs, input_notes = self._input(inside, total_in)
        output_pairs, output_notes = self._output(outside, total_out)
        sums = total_notes(
            total, total_in + total_out, path="usage.total_tokens", rule=f"{names.total_in} + {names.total_out}"
        )
        found = survey(usage, self._counters)
        # The quick way does not look at videos, which only gateways count.
        if "video_tokens" not in inside:
            self._shapes.remember((tuple(usage), tuple(inside), tuple(outside)), usage, found)
        return Usage.from_leaves(
            fresh_pairs + output_pairs,
            model=payload_text(body, "model"),
            service_tier=payload_text(body, "service_tier") or payload_text(usage, "service_tier"),
            ignored=tuple(found.ignored),
            notes=(
                *notes,
                *_nothing_notes(total_in, total_out, body),
                *sums,
                *input_notes,
                *output_notes,
                *extra_notes,
                *found.notes,
            ),
        )

    def counts_beside(self, total_in: int, total_out: int, reasoning: int, total: int | None) -> bool:
        """Tell whether reasoning was counted beside the completion: the total shows it, whoever the provider is."""
        if not reasoning or total == total_in + total_out:
            return False
        return self._beside or total == total_in + total_out + reasoning

    def _input(self, inside: Body, total: int) -> tuple[Pairs, tuple[str, ...]]:
        at = f"usage.{self._names.inside}"
        cached = said(payload_int(inside, "cached_tokens", at=at))
        writes = _writes(inside, at=at)
        by_modality = _by_modality(inside, at=at)
        cached_by = _by_modality(
            payload_section(inside, "cached_tokens_details", at=at), at=f"{at}.cached_tokens_details"
        )
        notes: tuple[str, ...] = ()
        if cached and by_modality and "cached_tokens_details" not in inside:
            cached_by = least_overlap(total, cached, sum(writes.values()), by_modality)
            listed = ", ".join(by_modality)
            notes = (f"{at} does not say which cached tokens are {listed}; taken to be text where the sum allows",)
        pairs = input_leaves(
            total,
            whole=self._names.total_in,
            cached=cached,
            cached_name="cached_tokens",
            writes=writes,
            by_modality=by_modality,
            cached_by_modality=cached_by,
        )
        return pairs, notes

    def _output(self, outside: Body, total: int) -> tuple[Pairs, tuple[str, ...]]:
        at, whole = f"usage.{self._names.outside}", self._names.total_out
        reasoning = said(payload_int(outside, "reasoning_tokens", at=at))
        audio = said(payload_int(outside, "audio_tokens", at=at))
        image = said(payload_int(outside, "image_tokens", at=at))
        remainder(total, whole, reasoning_tokens=reasoning)
        over = min(reasoning, max(0, reasoning + audio + image - total))
        pairs = output_leaves(total, whole=whole, reasoning=reasoning - over, audio=audio, image=image)
        if not over:
            return pairs, ()
        return pairs, (f"{at}: {over} reasoning tokens can only be audio or image tokens as well; counted as those",)


def _nothing_notes(total_in: int, total_out: int, body: Body) -> tuple[str, ...]:
    # Some recorded answers of OpenAI's say 0 of everything beside a whole output.
    if total_in or total_out or not has_answer(body):
        return ()
    return ("usage says 0 tokens in and out, although the body has an answer; nothing was counted",)


def _writes(inside: Body, *, at: str) -> dict[Meter, int]:
    details = payload_section(inside, "cache_write_tokens_details", at=at)
    half_hour = said(payload_int(details, "ttl_30m_tokens", at=f"{at}.cache_write_tokens_details"))
    half_day = said(payload_int(details, "ttl_12h_tokens", at=f"{at}.cache_write_tokens_details"))
    written = payload_int(inside, "cache_write_tokens", at=at)
    total = half_hour + half_day if written is None else written
    unstated = remainder(total, "cache_write_tokens", ttl_30m_tokens=half_hour, ttl_12h_tokens=half_day)
    return {Meter.CACHE_WRITE: unstated, Meter.CACHE_WRITE_30M: half_hour, Meter.CACHE_WRITE_12H: half_day}


def _by_modality(section: Body, *, at: str) -> dict[str, int]:
    counts = {modality: payload_int(section, f"{modality}_tokens", at=at) for modality in INPUT_MODALITIES}
    return {modality: count for modality, count in counts.items() if count}


_chat = TotalsReader(CHAT)
_responses = TotalsReader(RESPONSES)
_transcription = TotalsReader(TRANSCRIPTION)


def read_chat(usage: Body, body: Body) -> Usage:
    """Read the usage of a chat completion, a legacy completion or an embedding."""
    return _chat.read(usage, body)


def read_responses(usage: Body, body: Body) -> Usage:
    """Read the usage of the Responses API, and the calls of tools that are billed by the piece."""
    if "tool_usage" not in body and "output" not in body:
        return _responses.read(usage, body)
    calls, notes = billed_calls(body)
    read = _responses.read(usage, body, extra_notes=notes)
    return with_more(read, leaves=calls) if calls else read


def read_transcription(usage: Body, body: Body) -> Usage:
    """Read the usage of a transcription that is billed by tokens."""
    return _transcription.read(usage, body)
