"""Mistral's wire formats: chat with cached tokens in two places, audio by the second, connectors, pages of OCR."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokencalc.providers.dialect import Dialect, Whole, with_more
from tokencalc.providers.openai import CHAT, TotalsReader
from tokencalc.providers.payload import payload_decimal, payload_int, payload_section, payload_text, said
from tokencalc.providers.survey import Counters, survey
from tokencalc.usage import Meter, Usage

if TYPE_CHECKING:
    from tokencalc.providers.payload import Body
    from tokencalc.usage import Quantity

_SECONDS, _CONNECTOR_TOKENS, _CONNECTORS = "prompt_audio_seconds", "connector_tokens", "connectors"
_METERS = {
    "web_search": Meter.WEB_SEARCH,
    "code_interpreter": Meter.CODE_EXECUTION,
    "image_generation": Meter.OUTPUT_IMAGE_PIECE,
    "document_library": Meter.FILE_SEARCH,
}
_reader = TotalsReader(
    CHAT,
    CHAT.counters()
    .with_mapped(
        "usage.num_cached_tokens",
        "usage.prompt_token_details.cached_tokens",
        f"usage.{_SECONDS}",
        f"usage.{_CONNECTOR_TOKENS}",
        *(f"usage.{_CONNECTORS}.{name}" for name in _METERS),
    )
    .with_known("usage.request_count"),
)
_PAGES = Counters(
    frozenset({"usage_info.pages_processed", "usage_info.pages_processed_annotation"}),
    frozenset({"usage_info.doc_size_bytes"}),
)


def read(usage: Body, body: Body) -> Usage:
    """Read a Mistral usage; where two fields disagree on cached tokens, the smaller one counts, with a note."""
    if usage.get(_SECONDS) or usage.get(_CONNECTOR_TOKENS) or usage.get(_CONNECTORS):
        return _read_beside(usage, body)
    return _read_tokens(usage, body)


def _read_tokens(usage: Body, body: Body) -> Usage:
    if usage.get("num_cached_tokens") is None and usage.get("prompt_token_details") is None:
        return _reader.read(usage, body)
    flat = payload_int(usage, "num_cached_tokens", at="usage")
    details = payload_section(usage, "prompt_tokens_details", at="usage")
    nested = payload_int(details, "cached_tokens", at="usage.prompt_tokens_details")
    older = payload_int(
        payload_section(usage, "prompt_token_details", at="usage"), "cached_tokens", at="usage.prompt_token_details"
    )
    stated = [count for count in (flat, nested, older) if count is not None]
    if not stated:
        return _reader.read(usage, body)
    # Cached tokens are the cheaper ones: the smaller figure cannot understate the cost.
    cached = min(stated)
    notes = (
        ()
        if cached == max(stated)
        else (f"usage says {' and '.join(map(str, stated))} cached tokens; {cached} were counted",)
    )
    merged = {**usage, "prompt_tokens_details": {**details, "cached_tokens": cached}}
    return _reader.read(merged, body, extra_notes=notes)


def _read_beside(usage: Body, body: Body) -> Usage:
    """Read what is counted beside prompt and completion: audio by the second, and what connectors put into the prompt.

    The total has the tokens of the audio, which are billed by the second, and those of the connectors.
    """
    seconds = payload_decimal(usage, _SECONDS, at="usage")
    put_in = said(payload_int(usage, _CONNECTOR_TOKENS, at="usage"))
    connectors = payload_section(usage, _CONNECTORS, at="usage")
    calls: list[tuple[Meter, Quantity]] = [
        (meter, said(payload_int(connectors, name, at=f"usage.{_CONNECTORS}"))) for name, meter in _METERS.items()
    ]
    total = payload_int(usage, "total_tokens", at="usage")
    if total is not None:
        beside = total if seconds else total - put_in
        usage = {**usage, "total_tokens": None if seconds or beside < 0 else beside}
    tokens = _read_tokens(usage, body)
    return with_more(
        tokens,
        leaves=[*calls, (Meter.INPUT, put_in), (Meter.INPUT_AUDIO_SECOND, seconds or 0)],
        ignored=() if total is None else ("usage.total_tokens",),
    )


def read_pages(body: Body) -> Usage | None:
    """Read an OCR answer: pages, and those that were annotated too, which have a rate of their own."""
    info = payload_section(body, "usage_info", at="body") if "usage_info" in body else body
    if "pages_processed" not in info and "pages_processed_annotation" not in info:
        return None
    plain = said(payload_int(info, "pages_processed", at="usage_info"))
    annotated = said(payload_int(info, "pages_processed_annotation", at="usage_info"))
    found = survey(info, _PAGES, at="usage_info")
    return Usage.from_leaves(
        ((Meter.INPUT_PAGE, plain), (Meter.ANNOTATED_PAGE, annotated)),
        model=payload_text(body, "model"),
        ignored=tuple(found.ignored),
        notes=tuple(found.notes),
    )


DIALECT = Dialect(
    "mistral",
    read,
    usage_marks=frozenset({"num_cached_tokens", _SECONDS, "prompt_token_details", _CONNECTOR_TOKENS, _CONNECTORS}),
)
PAGES = Whole(frozenset({"usage_info", "pages_processed", "pages_processed_annotation"}), read_pages)
