"""What a request asks for, read from the body that a client is about to send.

One reader for each wire format. They look only at what decides a hold: the model,
what can be counted, how much may be generated, and the tier that was asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tokencalc.providers.payload import Body

_DEAR_TIERS = frozenset({"priority", "flex", "fast"})
UNNAMED = "unnamed"
"""The model of a request that names none; the answer says which one served it."""

_COMPLETION_TOKENS = 16
"""What OpenAI's text completions generate where nothing is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request.

    ``counted`` are the arguments of `Engine.estimate` that say what the input is;
    without any, nothing can be known before the call, and it is held at the amount
    that `wrap` was given, or at 0. ``is_repeatable`` is False where the body can be
    read only once.
    """

    provider: str | None
    model: str
    counted: Mapping[str, Any] = field(default_factory=dict)
    max_output_tokens: int | None = None
    choices: int = 1
    operation_type: str | None = None
    context: Mapping[str, str] = field(default_factory=dict)
    is_streamed: bool = False
    is_repeatable: bool = True
    idempotency_key: str | None = None

    def estimate_arguments(self) -> dict[str, Any]:
        """Return the arguments of `Engine.estimate`."""
        return {
            "provider": self.provider,
            "max_output_tokens": self.max_output_tokens,
            "choices": self.choices,
            "operation_type": self.operation_type,
            "context": dict(self.context) or None,
            **self.counted,
        }


def _count(value: object) -> int | None:
    # A wrong value is left to the provider, which says what it thinks of it.
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _context(body: Body) -> dict[str, str]:
    said = {name: body.get(name) for name in ("service_tier", "speed")}
    return {name: value for name, value in said.items() if isinstance(value, str) and value in _DEAR_TIERS}


def read_chat(body: Body) -> dict[str, Any]:
    """Read a chat completion, of whoever speaks it."""
    asked = _count(body.get("max_completion_tokens")) or _count(body.get("max_tokens"))
    return {
        "counted": {"messages": body},
        "max_output_tokens": asked,
        "choices": _count(body.get("n")) or 1,
        "context": _context(body),
    }


def read_responses(body: Body) -> dict[str, Any]:
    """Read a request of OpenAI's Responses."""
    asked = _count(body.get("max_output_tokens"))
    return {"counted": {"messages": body}, "max_output_tokens": asked, "context": _context(body)}


def read_messages(body: Body) -> dict[str, Any]:
    """Read a request of Anthropic's Messages."""
    return {
        "counted": {"messages": body, "thinking": _thinks(body) or None},
        "max_output_tokens": _count(body.get("max_tokens")),
        "context": _context(body),
    }


def _thinks(body: Body) -> bool:
    thinking = body.get("thinking")
    return isinstance(thinking, Mapping) and thinking.get("type") not in {None, "disabled"}


def read_completion(body: Body) -> dict[str, Any]:
    """Read a text completion: a prompt, several, or tokens."""
    prompt = body.get("prompt")
    prompts = len(prompt) if isinstance(prompt, list) and not _is_tokens(prompt) else 1
    times = max(_count(body.get("n")) or 1, _count(body.get("best_of")) or 1)
    suffix = body.get("suffix")
    counted = _text(prompt)
    if isinstance(suffix, str) and "text" in counted:
        counted = {"text": f"{counted['text']}\n{suffix}"}
    return {
        "counted": counted,
        "max_output_tokens": _count(body.get("max_tokens")) or _COMPLETION_TOKENS,
        "choices": times * max(prompts, 1),
        "context": _context(body),
    }


def read_fill(body: Body) -> dict[str, Any]:
    """Read a completion of Mistral's code models, which end where they like."""
    return {**read_completion(body), "max_output_tokens": _count(body.get("max_tokens")), "choices": 1}


def read_embedding(body: Body) -> dict[str, Any]:
    """Read a request for embeddings: a text, several, or tokens."""
    texts = body.get("input", body.get("inputs"))
    return {"counted": _text(texts), "max_output_tokens": 0, "operation_type": "embedding"}


def read_generation(body: Body) -> dict[str, Any]:
    """Read a request of Gemini's generateContent."""
    config = body.get("generationConfig")
    config = config if isinstance(config, Mapping) else {}
    return {
        "counted": {"messages": body},
        "max_output_tokens": _count(config.get("maxOutputTokens")),
        "choices": _count(config.get("candidateCount")) or 1,
    }


def read_interaction(body: Body) -> dict[str, Any]:
    """Read a request of Gemini's interactions; what was said before is kept by the provider."""
    config = body.get("generation_config")
    config = config if isinstance(config, Mapping) else {}
    return {"counted": {"messages": body}, "max_output_tokens": _count(config.get("max_output_tokens"))}


def read_contents(body: Body) -> dict[str, Any]:
    """Read a request for Gemini's embeddings, one or a batch."""
    requests = body.get("requests")
    found = requests if isinstance(requests, Sequence) else [body]
    contents = [one.get("content") for one in found if isinstance(one, Mapping)]
    if not contents or not all(isinstance(one, Mapping) for one in contents):
        return {"counted": {}, "operation_type": "embedding"}
    return {
        "counted": {"messages": {"contents": contents}},
        "max_output_tokens": 0,
        "operation_type": "embedding",
    }


def read_measured(_body: Body) -> dict[str, Any]:
    """Read a request whose cost is known from its answer only: images, speech, pages."""
    return {"counted": {}}


def _text(value: object) -> dict[str, Any]:
    """Return a text, several or tokens as what `Engine.estimate` counts; nothing for what is none of them."""
    if isinstance(value, str):
        return {"text": value} if value else {}
    if not isinstance(value, list | tuple) or not value:
        return {}
    if _is_tokens(value):
        return {"input_tokens": len(value)}
    if all(isinstance(one, str) for one in value):
        return _text("\n".join(value))
    if all(isinstance(one, list | tuple) and _is_tokens(one) for one in value):
        return {"input_tokens": sum(len(one) for one in value)}
    return {}


def _is_tokens(value: Sequence[object]) -> bool:
    return bool(value) and all(isinstance(one, int) and not isinstance(one, bool) for one in value)
