"""Which reader reads a payload: by what its usage holds, and by the provider's name where that leaves a choice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tokencalc.errors import UsageInvalid
from tokencalc.providers import anthropic, google, groq, mistral, openai, plain
from tokencalc.providers.objects import as_body, as_fields
from tokencalc.usage import Usage

if TYPE_CHECKING:
    from tokencalc.providers.payload import Body

_GROQ_MARKS = frozenset({"queue_time", "prompt_time", "completion_time", "total_time"})
_MISTRAL_MARKS = frozenset({"num_cached_tokens", "prompt_audio_seconds", "prompt_token_details"})
_SHOWN_KEYS = 8


def read_usage(payload: Any, provider: str | None = None) -> Usage:
    """Return the usage of a parsed body, of its usage object, of an SDK's object, or of plain counts.

    The wire format is told by the fields; ``provider`` decides only where they
    leave a choice, because many providers speak another's format. A `Usage`
    comes back as it is. Raises UsageInvalid for anything that cannot be read,
    with the path of the value in the message.
    """
    if type(payload) is Usage:
        return payload
    body = payload if type(payload) is dict else as_body(payload)
    usage = body.get("usage")
    if usage is None:
        usage, body = _usage_elsewhere(body)
    if type(usage) is not dict:
        usage = _fields(usage)
    if "prompt_tokens" in usage or "completion_tokens" in usage:
        return _read_chat(usage, body, provider)
    return _read_other(usage, body, provider)


def _fields(usage: object) -> Body:
    if isinstance(usage, str | bytes | int | float | list | tuple):
        raise UsageInvalid(f"usage: expected an object, found {usage!r:.60}", path="usage", found=usage)
    return as_fields(usage)


def _usage_elsewhere(body: Body) -> tuple[Any, Body]:
    """Find the usage outside ``usage``: Google's metadata, Groq's own field, or the payload itself."""
    for name in ("usageMetadata", "usage_metadata"):
        if body.get(name) is not None:
            return body[name], body
    own = body.get("x_groq")
    if isinstance(own, Mapping) and own.get("usage") is not None:
        return own["usage"], body
    if body.get("error") is not None or body.get("type") == "error":
        raise UsageInvalid("usage: the body is an error and says no usage", path="usage", found=None)
    if "usage" in body or "usageMetadata" in body or "usage_metadata" in body:
        raise UsageInvalid("usage: null in this body; nothing to price", path="usage", found=None)
    return body, body


def _read_chat(usage: Body, body: Body, provider: str | None) -> Usage:
    if provider == "groq" or "x_groq" in body or "usage_breakdown" in body or not _GROQ_MARKS.isdisjoint(usage):
        return groq.read(usage, body)
    if provider == "mistral" or not _MISTRAL_MARKS.isdisjoint(usage):
        return mistral.read(usage, body)
    return openai.read_chat(usage, body)


def _read_other(usage: Body, body: Body, provider: str | None) -> Usage:
    marked = [name for name, marks in _MARKS if not marks.isdisjoint(usage)]
    if len(marked) > 1:
        marked = [name for name in marked if name == provider]
    if len(marked) == 1:
        return _READERS[marked[0]](usage, body)
    if "input_tokens" in usage or "output_tokens" in usage:
        if not any(not marks.isdisjoint(usage) for _, marks in _MARKS):
            return _read_bare(usage, body, provider)
        raise UsageInvalid(
            f"usage: {_shown(usage)} mixes the fields of several formats; say which with provider=",
            path="usage",
            found=None,
        )
    for names in google.SPELLINGS:
        if names.prompt in usage or names.candidates in usage or names.thoughts in usage:
            return google.read(usage, body, names)
    if usage is not body and "usage" not in body:
        return google.read(usage, body, google.CAMEL if "usageMetadata" in body else google.SNAKE)
    raise UsageInvalid(
        f"usage: cannot tell the format of {_shown(usage)}; looked for prompt_tokens (chat completions), "
        "input_tokens (Responses, Anthropic, plain counts), promptTokenCount or prompt_token_count (Gemini), "
        "total_input_tokens (Interactions)",
        path="usage",
        found=None,
    )


def _read_bare(usage: Body, body: Body, provider: str | None) -> Usage:
    """Read a usage of two totals only, which mean the same in every format."""
    details = usage.get("output_tokens_details")
    thinks = isinstance(details, Mapping) and "thinking_tokens" in details
    if thinks or provider == "anthropic" or body.get("type") == "message":
        return anthropic.read(usage, body)
    return openai.read_responses(usage, body)


def _read_plain(usage: Body, body: Body) -> Usage:
    del body  # plain counts say everything themselves
    return plain.read(usage)


_MARKS = (
    ("anthropic", anthropic.MARKS),
    ("openai", frozenset({"input_tokens_details"})),
    ("transcription", frozenset({"input_token_details"})),
    ("plain", plain.MARKS),
)
_READERS = {
    "anthropic": anthropic.read,
    "openai": openai.read_responses,
    "transcription": openai.read_transcription,
    "plain": _read_plain,
}


def _shown(usage: Body) -> str:
    keys = [f"{str(key)[:40]!a}" for key in list(usage)[:_SHOWN_KEYS]]
    return f"{{{', '.join(keys)}{', ...' if len(usage) > _SHOWN_KEYS else ''}}}"
