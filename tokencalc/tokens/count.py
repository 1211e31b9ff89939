"""The counts that the rest of the house asks for: of a text, of messages."""

from __future__ import annotations

import reprlib
from typing import TYPE_CHECKING

from tokencalc.errors import TextInvalid
from tokencalc.tokens import vocabularies
from tokencalc.tokens.approximate import count_approximate
from tokencalc.tokens.backends.bundled import count_bundled
from tokencalc.tokens.backends.families import how_sure, own_vocabulary
from tokencalc.tokens.cache import CountCache
from tokencalc.tokens.envelope import envelope_for
from tokencalc.tokens.exact import count_exact
from tokencalc.tokens.messages import read_messages
from tokencalc.tokens.result import CacheInfo, Counted, TokenCount, least_certain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


__all__ = [
    "TEXT_CHARS_MAX",
    "CacheInfo",
    "TokenCount",
    "cache_info",
    "count_messages",
    "count_text",
    "loaded_encodings",
]

TEXT_CHARS_MAX = 200_000_000
"""Longest text that is counted, in characters: a hundred times the largest context window on sale."""

_PUBLIC: Mapping[str | None, str | None] = {"openai": None, "gpt_oss": "o200k_base"}
"""Families whose vocabulary we carry, with the encoding that all of the family uses, where there is one."""

_DEFAULT_ENCODING = "o200k_base"
_UNVERIFIED_THOUSANDTHS = 150
"""How far a count by an encoding that nobody has verified for the model may be off, each way."""

_cache = CountCache()


def count_text(text: str, *, tokenizer: str | None, encoding: str | None, verified: bool = True) -> TokenCount:
    """Count a text by itself, without what a provider adds around a message.

    ``tokenizer`` is the family's name, ``encoding`` tiktoken's name where the
    family is OpenAI's, and ``verified`` says whether somebody has checked that
    this model uses it. Raises TextInvalid for what is no text, or too much of it.
    """
    counted = _count(_checked(text, path="text"), tokenizer=tokenizer, encoding=encoding, verified=verified)
    return TokenCount(tokens=counted.tokens, method=counted.method, low=counted.low, high=counted.high)


def count_messages(
    messages: Sequence[object] | Mapping[str, object],
    *,
    tokenizer: str | None,
    encoding: str | None,
    verified: bool = True,
    model: str | None = None,
) -> TokenCount:
    """Count messages in OpenAI's shape or the provider's own, with what the provider adds around them.

    A request's whole body (with ``system`` or ``systemInstruction`` beside its messages) is read too.
    Images, documents and whatever else nobody can count beforehand are named in
    ``unaccounted``. Raises TextInvalid for what are no messages.
    """
    request = read_messages(messages)
    size = sum(len(part.text) for part in request.texts)
    if size > TEXT_CHARS_MAX:
        raise _too_long("messages", size)
    parts = [
        _count(_checked(part.text, path=part.path), tokenizer=tokenizer, encoding=encoding, verified=verified)
        for part in request.texts
    ]
    envelope = envelope_for(tokenizer, model)
    around, slack, method = envelope.tokens(request)
    inside = sum(part.tokens for part in parts)
    return TokenCount(
        tokens=inside + around,
        method=least_certain(method, *{part.method for part in parts}),
        low=max(sum(part.low for part in parts) + around - slack, 0),
        high=sum(part.high for part in parts) + around + slack,
        unaccounted=request.unaccounted,
    )


def loaded_encodings() -> tuple[str, ...]:
    """Names of the vocabularies that this process has loaded so far."""
    return vocabularies.loaded()


def cache_info() -> CacheInfo:
    """How many counts were answered from memory, how many were not, and how many are kept."""
    return _cache.info()


def _count(text: str, *, tokenizer: str | None, encoding: str | None, verified: bool) -> Counted:
    try:
        return _count_readable(text, tokenizer=tokenizer, encoding=encoding, verified=verified)
    except UnicodeEncodeError:
        # Half a surrogate pair is no character and travels on no wire. tiktoken counts it as U+FFFD, and so do servers
        # that do not refuse it.
        readable = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        counted = _count_readable(readable, tokenizer=tokenizer, encoding=encoding, verified=verified)
        return counted._replace(method=least_certain(counted.method, "modelled"))


def _count_readable(text: str, *, tokenizer: str | None, encoding: str | None, verified: bool) -> Counted:
    if tokenizer not in _PUBLIC:
        own = own_vocabulary(tokenizer, encoding)
        if own is not None:
            return how_sure(_cache.get_or_count(text, own, count_bundled, own), tokenizer, verified=verified)
        family = tokenizer or "unknown"
        return _cache.get_or_count(text, family, count_approximate, family)
    name = encoding or _PUBLIC[tokenizer] or ""
    if name not in vocabularies.SPECS:
        name, verified = _DEFAULT_ENCODING, False
    counted = _cache.get_or_count(text, name, count_exact, name)
    if verified:
        return counted
    # Whoever has not checked the vocabulary has not checked the count either.
    reach = counted.tokens * _UNVERIFIED_THOUSANDTHS // 1000 + bool(counted.tokens)
    return Counted(counted.tokens, max(counted.low - reach, 0), counted.high + reach, "estimated")


def _checked(text: object, *, path: str) -> str:
    if not isinstance(text, str):
        shown = reprlib.repr(text)
        raise TextInvalid(f"{path}: expected text, found {type(text).__name__} {shown:.60}", path=path, found=text)
    if len(text) > TEXT_CHARS_MAX:
        raise _too_long(path, len(text))
    return text


def _too_long(path: str, size: int) -> TextInvalid:
    return TextInvalid(
        f"{path}: {size} characters are more than the {TEXT_CHARS_MAX} that are counted; count it in parts",
        path=path,
        found=size,
        maximum=TEXT_CHARS_MAX,
    )
