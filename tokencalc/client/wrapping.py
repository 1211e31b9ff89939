"""`wrap`: the same client, but its calls obey budgets and limits, and what they used is in the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, Unpack

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


def _wrapper(client: object) -> Callable[[Any, Guard], Any]:
    """Return what wraps a client, by the package that its class, or one of its bases, comes from."""
    for base in type(client).__mro__:
        package = base.__module__.split(".", maxsplit=1)[0]
        if package == "openai":
            from tokencalc.client.openai import wrap_openai  # noqa: PLC0415  # each SDK when its client is handed in

            return wrap_openai
        if package == "anthropic":
            from tokencalc.client.anthropic import wrap_anthropic  # noqa: PLC0415  # as above

            return wrap_anthropic
        if package == "groq":
            from tokencalc.client.groq import wrap_groq  # noqa: PLC0415  # as above

            return wrap_groq
    raise FeatureUnavailable(
        f"wrap({type(client).__name__}): expected a client of openai, anthropic, google-genai, mistralai or groq, "
        f"found one of {type(client).__module__.split('.', maxsplit=1)[0]}; use guard(...) around the function that "
        "makes the call, or engine.reserve before it and engine.settle after it",
        feature="wrap",
    )
