"""openai 3.x: chats, Responses, completions and embeddings are held; images and transcriptions are measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tokencalc.client.asking import read_chat, read_completion, read_embedding, read_measured, read_responses
from tokencalc.client.hosts import provider_of_url
from tokencalc.client.stainless import Dialect, guard_client

if TYPE_CHECKING:
    from tokencalc.client.guarding import Guard


def _provider(client: Any) -> str:
    if type(client).__name__ in {"AzureOpenAI", "AsyncAzureOpenAI"}:
        return "azure"
    return provider_of_url(client.base_url, "openai")


DIALECT = Dialect(
    sdk="openai",
    routes={
        "/chat/completions": read_chat,
        "/responses": read_responses,
        "/responses/compact": read_responses,
        "/completions": read_completion,
        "/embeddings": read_embedding,
        "/images/generations": read_measured,
        "/images/edits": read_measured,
        "/audio/transcriptions": read_measured,
        "/audio/translations": read_measured,
    },
    provider_of=_provider,
    asks_for_usage=frozenset({"/chat/completions", "/completions"}),
)


def wrap_openai(client: Any, guard: Guard) -> Any:
    """Return a guarded copy of an OpenAI, AsyncOpenAI, AzureOpenAI or AsyncAzureOpenAI client."""
    return guard_client(client, guard, DIALECT)
