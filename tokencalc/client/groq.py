"""groq 1.x: chat completions and embeddings are held, transcriptions are measured, the rest passes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tokencalc.client.asking import read_chat, read_embedding, read_measured
from tokencalc.client.stainless import Dialect, guard_client

if TYPE_CHECKING:
    from tokencalc.client.guarding import Guard

DIALECT = Dialect(
    sdk="groq",
    routes={
        "/openai/v1/chat/completions": read_chat,
        "/openai/v1/embeddings": read_embedding,
        "/openai/v1/audio/transcriptions": read_measured,
        "/openai/v1/audio/translations": read_measured,
    },
    provider_of=lambda _client: "groq",
)
"""Groq says its usage in ``x_groq`` of the last chunk without being asked."""


def wrap_groq(client: Any, guard: Guard) -> Any:
    """Return a guarded copy of a Groq or AsyncGroq client."""
    return guard_client(client, guard, DIALECT)
