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
from tokencalc.tokens.definitions import Choice, described_as_responses, read_definitions
from tokencalc.tokens.exact import count_exact
from tokencalc.tokens.image_costs import ImageCost, image_cost
from tokencalc.tokens.images import read_images
from tokencalc.tokens.layout import UNITS, Layout
from tokencalc.tokens.messages import read_messages
from tokencalc.tokens.names import server_side
from tokencalc.tokens.openai import form_name, lay_out_openai
from tokencalc.tokens.result import CacheInfo, Counted, TokenCount, least_certain
from tokencalc.tokens.surroundings import lay_out, profile_of, tools_under_none

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tokencalc.tokens.definitions import Definitions
    from tokencalc.tokens.request import Image, Request

__all__ = [
    "INTERFACES",
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

INTERFACES = (None, "chat", "responses", "vertex")
"""Interfaces that count differently: OpenAI's two, and Google's Vertex."""

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


def count_messages(  # noqa: PLR0913  # keyword only: what a call may hold
    messages: Sequence[object] | Mapping[str, object],
    *,
    tokenizer: str | None,
    encoding: str | None,
    verified: bool = True,
    model: str | None = None,
    tools: object = None,
    response_format: object = None,
    tool_choice: object = None,
    images: object = (),
    thinking: bool = False,
    interface: str | None = None,
) -> TokenCount:
    """Count messages in OpenAI's shape or the provider's own, with what the provider adds around them.

    A request's whole body (with ``system`` or ``systemInstruction``, ``tools`` and the like beside its messages) is
    read too. ``tools``, ``tool_choice`` and ``response_format`` may have any provider's shape; ``images`` are those
    that the messages do not hold: sizes in pixels, bytes, data URLs or parts. ``interface`` is one of `INTERFACES`,
    or None to tell it by the shape. Documents and whatever else nobody can count beforehand are named in
    ``unaccounted``. Raises TextInvalid for what are no messages, no tools or no images.
    """
    if interface not in INTERFACES:
        raise TextInvalid(
            f"interface: expected one of {', '.join(filter(None, INTERFACES))} or None, found {interface!r:.60}",
            path="interface",
            found=interface,
        )
    request = read_messages(messages)
    definitions = read_definitions(
        request, tools=tools, tool_choice=tool_choice, response_format=response_format, thinking=thinking
    )
    if interface is None and described_as_responses(request, tools):
        interface = "responses"

    for what in server_side(model):
        request.omit("model", what)

    def counted(shown: Definitions) -> Counted:
        layout = _lay_out(request, shown, tokenizer, model, interface)
        return _sum(layout, tokenizer=tokenizer, encoding=encoding, verified=verified)

    pictures = _images([*request.images, *read_images(images)], request, tokenizer, model)
    if definitions.tools and definitions.choice.kind == "none":
        found = _under_none(counted, definitions, tools_under_none(tokenizer, model))
    else:
        found = counted(definitions)
    return TokenCount(
        tokens=max(found.tokens + pictures.tokens, 1),
        method=least_certain(found.method, "modelled") if pictures.high or request.unaccounted else found.method,
        low=max(found.low, 1) + pictures.low,
        high=max(found.high + pictures.high, 1),
        unaccounted=request.unaccounted,
    )


def _sum(layout: Layout, *, tokenizer: str | None, encoding: str | None, verified: bool) -> Counted:
    """Count a layout's texts, with what is around them."""
    size = sum(len(text.text) for text in layout.texts)
    if size > TEXT_CHARS_MAX:
        raise _too_long("messages", size)
    parts = [
        (_count(_checked(text, path=path), tokenizer=tokenizer, encoding=encoding, verified=verified), thousandths)
        for text, path, thousandths in layout.texts
    ]
    inside = sum(part.tokens * thousandths for part, thousandths in parts)
    low = sum(part.low * thousandths for part, thousandths in parts) + layout.around
    high = sum(part.high * thousandths for part, thousandths in parts) + layout.around
    return Counted(
        max((inside + layout.around + UNITS // 2) // UNITS, 0),
        low // UNITS - layout.reach.low,
        -(-high // UNITS) + layout.reach.high,
        least_certain(layout.method, *(part.method for part, _ in parts)),
    )


def _under_none(counted: Callable[[Definitions], Counted], definitions: Definitions, billed: bool | None) -> Counted:  # noqa: FBT001
    """Count tools that must not be called: with them, without them, or from one to the other where no bill tells."""
    if billed:
        return counted(definitions._replace(choice=Choice()))
    without = counted(definitions._replace(tools=(), choice=Choice()))
    if billed is False:
        return without
    most = counted(definitions._replace(choice=Choice()))
    return Counted(
        without.tokens, without.low, max(most.high, without.high), least_certain(without.method, most.method)
    )


def _lay_out(
    request: Request, definitions: Definitions, tokenizer: str | None, model: str | None, interface: str | None
) -> Layout:
    if tokenizer in _PUBLIC:
        return lay_out_openai(request, definitions, form_name(tokenizer, model, interface))
    return lay_out(request, definitions, profile_of(tokenizer, model, interface))


def _images(found: Sequence[Image], request: Request, tokenizer: str | None, model: str | None) -> ImageCost:
    """Return what all images cost together; those of a family without a known rule are omitted by name."""
    costs: list[ImageCost] = []
    for image in found:
        cost = image_cost(image, tokenizer, model)
        if cost is None:
            request.omit(image.path, "image")
        else:
            costs.append(cost)
    return ImageCost(*(sum(column) for column in zip(*costs, strict=True))) if costs else ImageCost(0, 0, 0)


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
    # A subclass may count and encode itself as it likes.
    return text if type(text) is str else str.__str__(text)


def _too_long(path: str, size: int) -> TextInvalid:
    return TextInvalid(
        f"{path}: {size} characters are more than the {TEXT_CHARS_MAX} that are counted; count it in parts",
        path=path,
        found=size,
        maximum=TEXT_CHARS_MAX,
    )
