"""`wrap`: the same client, but its calls obey budgets and limits, and what they used is in the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, Unpack

from tokencalc.client.anthropic import wrap_anthropic
from tokencalc.client.google import wrap_google
from tokencalc.client.groq import wrap_groq
from tokencalc.client.mistral import wrap_mistral
from tokencalc.client.openai import wrap_openai
from tokencalc.client.options import guard_from
from tokencalc.errors import FeatureUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokencalc.client.guarding import Guard
    from tokencalc.client.options import GuardOptions

Client = TypeVar("Client")


def wrap(client: Client, **options: Unpack[GuardOptions]) -> Client:
    """Return a guarded copy of an LLM client: same type, same methods; the original is untouched.

    Knows openai, anthropic, google-genai, mistralai and groq, sync and async. Every
    call that costs money is held at its worst case before it goes out, and settled by
    the usage of its answer, streamed or not. A hard budget without room raises
    BudgetExceeded, and nothing is sent. See `GuardOptions` for what it takes.

    Raises FeatureUnavailable for a client that we do not know, or whose inside is not
    as we know it, and CallInvalid for options that cannot be.
    """
    found = _wrapper(client)
    wrapped: Client = found(client, guard_from("wrap", options))
    return wrapped


_ADAPTERS: dict[str, Callable[[Any, Guard], Any]] = {
    "openai": wrap_openai,
    "anthropic": wrap_anthropic,
    "google.genai": wrap_google,
    "mistralai": wrap_mistral,
    "groq": wrap_groq,
}
"""What wraps the clients of a package. None of these files imports its SDK: they know clients by their inside."""


def _wrapper(client: object) -> Callable[[Any, Guard], Any]:
    """Return what wraps a client, by the package that its class, or one of its bases, comes from."""
    for base in type(client).__mro__:
        parts = base.__module__.split(".")
        found = _ADAPTERS.get(parts[0]) or _ADAPTERS.get(".".join(parts[:2]))
        if found is not None:
            return found
    raise FeatureUnavailable(
        f"wrap({type(client).__name__}): expected a client of openai, anthropic, google-genai, mistralai or groq, "
        f"found one of {type(client).__module__.split('.', maxsplit=1)[0]}; use guard(...) around the function that "
        "makes the call, or engine.reserve before it and engine.settle after it",
        feature="wrap",
    )
