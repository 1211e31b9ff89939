"""Which reader reads a payload: by what its usage holds, and by the provider's name where that leaves a choice.

The tables below are the whole decision, in this order:

1. a usage object with ``prompt_tokens`` or ``completion_tokens`` is OpenAI's chat
   format: the first of `CHAT_DIALECTS` whose marks it has, else the one of the
   provider's name, else OpenAI's own;
2. any other usage object: the first of `OTHER_DIALECTS` whose marks it has, then
   the one of `BASES` that it has marks of, then Google's spellings;
3. a body without a usage object: the first of `WHOLES` that reads it;
4. what says no usage is an error, which costs nothing, or a single event.

A list is folded into such a body, or several, by `tokencalc.providers.streams`.

A new wire format is one file with its marks, and one row here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tokencalc.errors import UsageInvalid, UsageMissing
from tokencalc.providers import (
    anthropic,
    bedrock,
    bedrock_native,
    cohere,
    compatible,
    deepseek,
    google,
    groq,
    media,
    mistral,
    openai,
    openrouter,
    perplexity,
    plain,
    vertex,
    voice,
    xai,
)
from tokencalc.providers.dialect import Dialect
from tokencalc.providers.failures import failure, failure_note, has_answer
from tokencalc.providers.objects import as_body, as_fields
from tokencalc.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokencalc.providers.payload import Body

_SHOWN_KEYS = 8


def _read_spoken(usage: Body, body: Body) -> Usage:
    """Read a usage of OpenAI's spoken formats; xAI's looks the same and is billed by the second."""
    return voice.read_voice(usage, body) or openai.read_transcription(usage, body)


CHAT_DIALECTS = (
    perplexity.DIALECT,
    openrouter.DIALECT,
    groq.DIALECT,
    xai.DIALECT,
    deepseek.DIALECT,
    mistral.DIALECT,
    compatible.CACHED_BESIDE,
)
"""Chat completions with words of their own; Perplexity's has a ``cost`` too, so it comes before OpenRouter's."""

OTHER_DIALECTS = (openrouter.DIALECT, xai.DIALECT, bedrock.DIALECT, cohere.DIALECT)
"""Usage objects of other shapes, or of OpenAI's Responses with words of their own."""

BASES = (
    Dialect("anthropic", anthropic.read, usage_marks=anthropic.MARKS),
    Dialect("openai", openai.read_responses, usage_marks=frozenset({"input_tokens_details"})),
    Dialect("transcription", _read_spoken, usage_marks=frozenset({"input_token_details"})),
    Dialect("plain", lambda usage, _body: plain.read(usage), usage_marks=plain.MARKS),
)
"""Formats with ``input_tokens`` and ``output_tokens``, which include other things in each."""

WHOLES = (
    *bedrock_native.WHOLES,
    cohere.META,
    mistral.PAGES,
    openrouter.GENERATION,
    vertex.EMBEDDINGS,
    *media.WHOLES,
)
"""Bodies whose counts are in no usage object."""

_CHAT_USAGE_MARKS = frozenset[str]().union(*(dialect.usage_marks for dialect in CHAT_DIALECTS))
_CHAT_BODY_MARKS = frozenset[str]().union(*(dialect.body_marks for dialect in CHAT_DIALECTS))
_CHAT_BY_PROVIDER = {dialect.provider: dialect for dialect in CHAT_DIALECTS}
_BY_MARK = {mark: dialect for dialect in (*BASES, *OTHER_DIALECTS) for mark in dialect.usage_marks}
_TOKEN_NAMES = frozenset({"prompt_tokens", "completion_tokens", "input_tokens", "output_tokens"})


def read_usage(payload: Any, provider: str | None = None) -> Usage:
    """Return the usage of a body, of a stream's events, of a usage object, of an SDK's object, or of plain counts.

    The wire format is told by the fields; ``provider`` decides only where they
    leave a choice, because many providers speak another's format. A `Usage`
    comes back as it is. A list holds the events of one stream or session. A
    provider's error has an empty usage. Raises UsageInvalid for anything that cannot be
    read, with the path of the value in the message, and UsageMissing for an
    answer that says no usage.
    """
    body = payload
    if type(payload) is not dict:
        if type(payload) is Usage:
            return payload
        if isinstance(payload, list | tuple):
            return _read_events(payload, provider)
        body = as_body(payload)
    usage = body.get("usage")
    if usage is None:
        usage, body = _usage_elsewhere(body)
    if type(usage) is not dict:
        if type(usage) is Usage:
            return usage
        usage = _fields(usage)
    if "prompt_tokens" in usage or "completion_tokens" in usage:
        return _read_chat(usage, body, provider)
    return _read_other(usage, body, provider)


def _read_events(events: Sequence[object], provider: str | None) -> Usage:
    """Read the events of a stream or a session."""
    from tokencalc.providers.streams.fold import finish, fold  # noqa: PLC0415  # 12 ms that a body does not need

    folded = fold(events)
    return finish(folded, [read_usage(call, provider) for call in folded.calls])


def _fields(usage: object) -> Body:
    if isinstance(usage, str | bytes | int | float | list | tuple):
        raise UsageInvalid(f"usage: expected an object, found {usage!r:.60}", path="usage", found=usage)
    return as_fields(usage)


def _usage_elsewhere(body: Body) -> tuple[Any, Body]:
    """Find the usage outside ``usage``: Google's metadata, Groq's own field, the whole body, or the payload itself."""
    for name in ("usageMetadata", "usage_metadata"):
        if body.get(name) is not None:
            return body[name], body
    own = body.get("x_groq")
    if isinstance(own, Mapping) and own.get("usage") is not None:
        return own["usage"], body
    if body.keys().isdisjoint(_TOKEN_NAMES):
        for whole in WHOLES:
            if not body.keys().isdisjoint(whole.marks) and (found := whole.read(body)) is not None:
                return found, body
    return body, body


def _read_without(body: Body, provider: str | None) -> Usage:
    """Read a body that has neither a usage nor counts: an error, one event of a session, or nothing to price."""
    from tokencalc.providers.streams.fold import is_event  # noqa: PLC0415  # as above

    kind = failure(body)
    if kind is not None:
        return Usage.from_leaves((), notes=(failure_note(kind),))
    if is_event(body):
        return _read_events((body,), provider)
    if "usage" in body or "usageMetadata" in body or "usage_metadata" in body:
        raise UsageMissing("usage: null in this body; nothing to price", path="usage", found=None)
    if has_answer(body):
        raise UsageMissing("usage: this body has an answer and says no usage", path="usage", found=None)
    raise _format_unknown(body)


def _read_chat(usage: Body, body: Body, provider: str | None) -> Usage:
    if not (usage.keys().isdisjoint(_CHAT_USAGE_MARKS) and body.keys().isdisjoint(_CHAT_BODY_MARKS)):
        for dialect in CHAT_DIALECTS:
            if dialect.speaks(usage, body):
                return dialect.read(usage, body)
    named = _CHAT_BY_PROVIDER.get(provider) if provider is not None else None
    return openai.read_chat(usage, body) if named is None else named.read(usage, body)


def _read_other(usage: Body, body: Body, provider: str | None) -> Usage:
    marked = [_BY_MARK[key] for key in usage if key in _BY_MARK]
    if not marked:
        if "input_tokens" in usage or "output_tokens" in usage:
            return _read_bare(usage, body, provider)
        return _read_named_otherwise(usage, body, provider)
    chosen = marked[0] if len(marked) == 1 else _choose(marked, usage, provider)
    if chosen.provider == "openai" and "data" in body and media.is_image_answer(body):
        return media.read_images(usage, body)
    return chosen.read(usage, body)


def _choose(marked: list[Dialect], usage: Body, provider: str | None) -> Dialect:
    """Return the format of several marks: a dialect before a base, a base by the provider's name."""
    first = marked[0]
    if all(base is first for base in marked):
        return first
    for dialect in OTHER_DIALECTS:
        if dialect in marked:
            return dialect
    for base in marked:
        if base.provider == provider:
            return base
    raise UsageInvalid(
        f"usage: {_shown(usage)} mixes the fields of several formats; say which with provider=",
        path="usage",
        found=None,
    )


def _read_bare(usage: Body, body: Body, provider: str | None) -> Usage:
    """Read a usage of two totals only, which mean the same in every format."""
    details = usage.get("output_tokens_details")
    thinks = isinstance(details, Mapping) and "thinking_tokens" in details
    if thinks or provider == "anthropic" or body.get("type") == "message":
        return anthropic.read(usage, body)
    if media.is_image_answer(body):
        return media.read_images(usage, body)
    return openai.read_responses(usage, body)


def _read_named_otherwise(usage: Body, body: Body, provider: str | None) -> Usage:
    for names in google.SPELLINGS:
        if names.prompt in usage or names.candidates in usage or names.thoughts in usage:
            return google.read(usage, body, names)
    if usage.get("type") == "duration" or "seconds" in usage:
        return media.read_duration(usage, body)
    if "total_tokens" in usage and ("data" in body or "results" in body):
        return compatible.read_total_only(usage, body)
    if usage is not body and "usage" not in body:
        return google.read(usage, body, google.CAMEL if "usageMetadata" in body else google.SNAKE)
    if usage is body or not usage:
        return _read_without(body, provider)
    raise _format_unknown(usage)


def _format_unknown(usage: Body) -> UsageInvalid:
    return UsageInvalid(
        f"usage: cannot tell the format of {_shown(usage)}; looked for prompt_tokens (chat completions), "
        "input_tokens (Responses, Anthropic, plain counts), promptTokenCount or prompt_token_count (Gemini), "
        "total_input_tokens (Interactions), inputTokens (Bedrock), billed_units (Cohere), seconds (transcriptions)",
        path="usage",
        found=None,
    )


def _shown(usage: Body) -> str:
    keys = [f"{str(key)[:40]!a}" for key in list(usage)[:_SHOWN_KEYS]]
    return f"{{{', '.join(keys)}{', ...' if len(usage) > _SHOWN_KEYS else ''}}}"
