"""The verb count: how many input tokens a request will be billed for, known before the call.

A model that no price is known for is counted too: by its family where its name
tells it, else by a vocabulary between all, with a wide range.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, TypedDict, Unpack

from tokencalc.errors import CallInvalid, PriceUnknown, TokencalcError
from tokencalc.pricing.catalog import Catalog
from tokencalc.tokens.reading import refused, unreadable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from tokencalc.pricing.card import ModelFacts
    from tokencalc.tokens.result import TokenCount


class DescribedArguments(TypedDict, total=False):
    """What a call describes beside its messages, in any provider's shape.

    ``tools``, ``tool_choice`` and ``response_format`` as they would be sent; ``images`` that the messages do not hold
    (sizes in pixels as pairs, bytes, data URLs or parts); ``thinking`` where extended thinking is on; ``interface``
    chat, responses or vertex, where the shape does not tell.
    """

    tools: object
    tool_choice: object
    response_format: object
    images: object
    thinking: bool
    interface: str | None


DESCRIBED_NAMES = frozenset(DescribedArguments.__annotations__)


class Counter(NamedTuple):
    """How a model's text is counted: the family, its vocabulary, and whether somebody has checked that."""

    tokenizer: str | None
    encoding: str | None
    verified: bool


_FAMILIES: tuple[tuple[str, Counter], ...] = (
    (r"gpt-oss", Counter("gpt_oss", "o200k_base", verified=True)),
    (r"gpt-(?:4(?!o|\.)|3\.5)", Counter("openai", "cl100k_base", verified=False)),
    (r"gpt-|chatgpt|o[1-9]\b|codex|computer-use", Counter("openai", "o200k_base", verified=False)),
    (r"claude-(?:opus-(?:4-[789]|[5-9])|(?:sonnet|haiku|fable)-[5-9])", Counter("claude_4_7", None, verified=False)),
    (r"claude", Counter("claude", None, verified=False)),
    (r"gemini|gemma", Counter("gemini", None, verified=False)),
    (r"mistral|mixtral|magistral|ministral|codestral|devstral|pixtral", Counter("mistral", None, verified=False)),
    (r"llama", Counter("llama", None, verified=False)),
    (r"qwen|qwq", Counter("qwen", None, verified=False)),
    (r"deepseek", Counter("deepseek", None, verified=False)),
    (r"kimi|moonshot", Counter("kimi", None, verified=False)),
)
"""Families by what a model's name holds, for models that no table tells; the first that fits."""


def count(
    model: str,
    text: str | Sequence[Any] | Mapping[str, Any] | None = None,
    *,
    messages: Sequence[Any] | Mapping[str, Any] | None = None,
    provider: str | None = None,
    catalog: Catalog | None = None,
    **described: Unpack[DescribedArguments],
) -> TokenCount:
    """Count the input tokens that a text or messages will be billed for, with tools, schema, images and all around.

    Give ``text`` or ``messages``: a list in the provider's own shape or in OpenAI's, or a request's whole body; what
    is no text in the place of ``text`` is read as messages. See `DescribedArguments` for the rest. A text alone is
    counted by itself, without what surrounds a message; with tools, a schema or images it is one user's message, as
    ``estimate`` and ``reserve`` count it always.

    The answer's ``high`` is what to reserve for; ``unaccounted`` names what nobody can count before the call. Raises
    TextInvalid and CallInvalid for what cannot be counted at all.
    """
    if messages is None and text is not None and not isinstance(text, str):
        text, messages = None, text
    if (text is None) == (messages is None):
        found = "both" if text is not None else "none"
        raise CallInvalid(f"expected one of text, messages, found {found}", path="text", found=found)
    unknown = sorted(set(described) - DESCRIBED_NAMES)
    if unknown:
        raise CallInvalid(
            f"count: unknown argument {unknown[0]!r}; allowed: {', '.join(sorted(DESCRIBED_NAMES))}",
            path=unknown[0],
            found=None,
        )
    try:
        facts = (Catalog.packaged() if catalog is None else catalog).resolve(model, provider=provider)
    except PriceUnknown:
        return count_as(_by_name(model), model, text=text, messages=messages, **described)
    return count_as(counter_of(facts), facts.model, text=text, messages=messages, **described)


def counter_of(facts: ModelFacts) -> Counter:
    """Return how a model is counted: as its facts say, else as its name suggests."""
    if facts.tokenizer is None:
        return _by_name(facts.model)
    return Counter(facts.tokenizer, facts.encoding, facts.encoding_verified)


def count_as(
    counter: Counter,
    model: str,
    *,
    text: object = None,
    messages: object = None,
    as_message: bool = False,
    **described: Unpack[DescribedArguments],
) -> TokenCount:
    """Count a request for a model whose counter is known; see `count`.

    ``as_message`` counts a text as one user's message, as it will be sent.
    """
    from tokencalc.tokens.count import count_messages, count_text  # noqa: PLC0415  # loads tiktoken, 100 ms

    # No text at all is nearly always a read that failed somewhere.
    if text is not None and not (isinstance(text, str) and str.__len__(text)):
        raise refused("text", "some text to count", text)
    try:
        given: dict[str, Any] = {name: value for name, value in described.items() if not _is_nothing(value)}
        if text is not None and not given and not as_message:
            return count_text(text, **counter._asdict())
        said: Any = [{"role": "user", "content": text}] if text is not None else messages
        return count_messages(said, model=model, **counter._asdict(), **given)
    except (TokencalcError, MemoryError):
        raise
    except Exception as error:  # bulk: objects of the caller's own are read here, and their methods raise anything
        raise unreadable("messages" if text is None else "text", error) from error


def takes_messages(facts: ModelFacts) -> bool:
    """Say whether a text goes to a model as a message: not to embeddings, completions, speech and the like."""
    name = re.sub(r"^.*/", "", facts.model)
    return re.search(_CHATS_OF_SOUND, name) is not None or (
        facts.mode == "text" and re.search(_COMPLETIONS, name) is None
    )


_COMPLETIONS = r"^gpt-3\.?5-turbo-instruct|^(?:text-)?(?:davinci|curie|babbage|ada)\b"
_CHATS_OF_SOUND = r"^gpt-(?:4o-(?:mini-)?)?audio(?!.*(?:tts|transcribe))"
"""Models that are priced as other than text and are talked to in messages."""


def _is_nothing(value: object) -> bool:
    return value is None or value is False or (isinstance(value, (list, tuple, dict)) and not value)


def _by_name(model: str) -> Counter:
    for pattern, counter in _FAMILIES:
        if re.search(pattern, model, re.IGNORECASE):
            return counter
    return Counter(None, None, verified=False)
