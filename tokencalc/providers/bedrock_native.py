"""Bodies of Bedrock's InvokeModel that have no usage object: Titan, Llama, the last chunk's metrics, and the headers.

Anthropic's, Nova's and OpenAI's models answer there in formats that have one.
Mistral's, Cohere's and others say nothing in the body: their counts are in the
headers, which boto3 puts beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokencalc.counts import whole_count
from tokencalc.providers.dialect import Whole, items
from tokencalc.providers.payload import payload_int, payload_section, payload_text, require_any, said
from tokencalc.providers.survey import Counters, survey
from tokencalc.usage import Meter, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokencalc.providers.payload import Body

_METRICS = "amazon-bedrock-invocationMetrics"
_HEADERS = ("input", "output", "cache-read-input", "cache-write-input")


def read_titan(body: Body) -> Usage | None:
    """Read a Titan text or embedding: the prompt's tokens, and those of each result."""
    if "inputTextTokenCount" not in body:
        return None
    prompt = payload_int(body, "inputTextTokenCount", at="body")
    results = [
        said(payload_int(item, "tokenCount", at=f"body.results[{index}]"))
        for index, item in enumerate(items(body, "results"))
    ]
    streamed = said(payload_int(body, "totalOutputTextTokenCount", at="body"))
    return _usage(body, said(prompt), sum(results) or streamed)


def read_llama(body: Body) -> Usage | None:
    """Read a Llama body: ``prompt_token_count`` and ``generation_token_count``."""
    if "generation_token_count" not in body:
        return None
    counts = {name: payload_int(body, name, at="body") for name in ("prompt_token_count", "generation_token_count")}
    notes = require_any(counts, at="body")
    return _usage(body, said(counts["prompt_token_count"]), said(counts["generation_token_count"]), notes=notes)


_COUNTS = {
    "inputTokenCount": Meter.INPUT,
    "cacheReadInputTokenCount": Meter.CACHE_READ,
    "cacheWriteInputTokenCount": Meter.CACHE_WRITE,
    "outputTokenCount": Meter.OUTPUT,
}
_COUNTERS = Counters(
    frozenset(f"{_METRICS}.{name}" for name in _COUNTS),
    frozenset({f"{_METRICS}.invocationLatency", f"{_METRICS}.firstByteLatency"}),
)


def read_metrics(body: Body) -> Usage | None:
    """Read the metrics that the last chunk of every native stream carries; input is without cache there."""
    metrics = payload_section(body, _METRICS, at="body")
    if not metrics:
        return None
    counts = {name: payload_int(metrics, name, at=_METRICS) for name in _COUNTS}
    notes = require_any({name: counts[name] for name in ("inputTokenCount", "outputTokenCount")}, at=_METRICS)
    found = survey(metrics, _COUNTERS, at=_METRICS)
    return Usage.from_leaves(
        tuple((_COUNTS[name], said(count)) for name, count in counts.items()),
        model=payload_text(body, "model"),
        ignored=tuple(found.ignored),
        notes=(*notes, *found.notes),
    )


def read_headers(body: Body) -> Usage | None:
    """Read the counts that Bedrock puts in the headers of every InvokeModel, where boto3 keeps them."""
    metadata = payload_section(body, "ResponseMetadata", at="body")
    headers = payload_section(metadata, "HTTPHeaders", at="ResponseMetadata")
    counts = {name: _header(headers, f"x-amzn-bedrock-{name}-token-count") for name in _HEADERS}
    if counts["input"] is None and counts["output"] is None:
        return None
    return Usage.from_leaves(
        (
            (Meter.INPUT, said(counts["input"])),
            (Meter.CACHE_READ, said(counts["cache-read-input"])),
            (Meter.CACHE_WRITE, said(counts["cache-write-input"])),
            (Meter.OUTPUT, said(counts["output"])),
        ),
        model=payload_text(body, "model"),
    )


def _header(headers: Mapping[str, object], name: str) -> int | None:
    value = headers.get(name)
    digits = isinstance(value, str) and value.isascii() and value.isdigit()
    return None if value is None else whole_count(int(str(value)[:20]) if digits else value, path=f"HTTPHeaders.{name}")


def _usage(body: Body, prompt: int, output: int, *, notes: tuple[str, ...] = ()) -> Usage:
    return Usage.from_leaves(
        ((Meter.INPUT, prompt), (Meter.OUTPUT, output)), model=payload_text(body, "model"), notes=notes
    )


WHOLES = (
    Whole(frozenset({_METRICS}), read_metrics),
    Whole(frozenset({"inputTextTokenCount"}), read_titan),
    Whole(frozenset({"generation_token_count"}), read_llama),
    Whole(frozenset({"ResponseMetadata"}), read_headers),
)
