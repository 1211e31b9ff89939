"""What a provider's error looks like: a body or an event that says what went wrong, and holds no answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokencalc.providers.payload import Body

_ANSWERS = ("choices", "output", "outputs", "content", "candidates", "results", "data", "embeddings")
_KIND_NAMES = ("type", "__type", "code", "status")
_KIND_MAX = 60
# Providers that answer with a bare message (Bedrock, Cohere, Mistral) put nothing else beside it.
_BARE = frozenset({"message", "Message", "id", "code", "type", "__type", "object", "param", "status", "request_id"})
_EXCEPTIONS = frozenset(
    {
        "internalServerException",
        "modelStreamErrorException",
        "modelTimeoutException",
        "serviceUnavailableException",
        "throttlingException",
        "validationException",
    }
)
"""Events of Amazon's event streams that are errors."""


def failure(body: Body) -> str | None:
    """Return what kind of error a body or an event is, "" where it does not say, None where it is none.

    An error with an answer beside it is none here: something was generated.
    """
    exception = next((name for name in _EXCEPTIONS if name in body), None)
    if exception is not None:
        return exception
    error = body.get("error")
    if isinstance(error, str | Mapping) and error:
        counts = any("token" in str(key).lower() for key in body)
        return None if counts or has_answer(body) else _kind(error)
    if body.get("type") == "error" or body.get("event_type") == "error":
        return _kind({name: value for name, value in body.items() if name != "type"})
    message = body.get("message", body.get("Message"))
    return _kind(body) if isinstance(message, str) and body.keys() <= _BARE else None


def broke_off(event: Body) -> str | None:
    """Return what kind of error ended a stream at this event, whatever else the event says; None where none did."""
    found = failure(event)
    if found is not None:
        return found
    error = event.get("error")
    return _kind(error) if isinstance(error, str | Mapping) and error else None


def failure_note(kind: str) -> str:
    """Return the note of an error that cost nothing."""
    return f"the provider answered with an error{shown(kind)}: nothing was used"


def shown(kind: str) -> str:
    """Return the kind in parentheses, or nothing where it is not said."""
    return f" ({kind})" if kind else ""


def has_answer(body: Body) -> bool:
    """Tell whether a body holds something that was generated or computed."""
    return any(body.get(name) for name in _ANSWERS)


def _kind(error: str | Body) -> str:
    # The message is left out: it may quote what the user sent.
    if isinstance(error, str):
        return ""
    for name in _KIND_NAMES:
        value = error.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool) and value not in {"", "error"}:
            text = str(value) if isinstance(value, str) or value.bit_length() < 64 else ""  # noqa: PLR2004  # a code, no count
            return text[:_KIND_MAX] if text.isprintable() else ascii(text[:_KIND_MAX])
    return ""
