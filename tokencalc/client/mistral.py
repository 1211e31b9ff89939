"""mistralai 3.x, Azure's and Vertex' clients too: chats, code and embeddings are held, the rest is measured."""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any

from tokencalc.client.asking import read_chat, read_embedding, read_fill, read_measured, read_responses
from tokencalc.client.stainless import unknown_inside
from tokencalc.client.transport import AsyncGuardedHttp, GuardedHttp, Routes
from tokencalc.errors import FeatureUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokencalc.client.guarding import Guard
    from tokencalc.providers.payload import Body

_READERS: dict[str, Callable[[Body], dict[str, Any]]] = {
    "/v1/chat/completions": read_chat,
    "/v1/agents/completions": read_chat,
    "/v1/fim/completions": read_fill,
    "/v1/embeddings": read_embedding,
    "/v1/responses": read_responses,
    "/v1/conversations": read_measured,
    "/v1/ocr": read_measured,
    "/v1/moderations": read_measured,
    "/v1/chat/moderations": read_measured,
    "/v1/classifications": read_measured,
    "/v1/chat/classifications": read_measured,
    "/v1/audio/transcriptions": read_measured,
}
_AZURES: dict[str, Callable[[Body], dict[str, Any]]] = {
    "/models/chat/completions": read_chat,
    "/providers/mistral/azure/ocr": read_measured,
}
_CONVERSATION = re.compile(r"/v1/conversations/[^/]+(/restart)?")
_VERTEX = re.compile(r"/models/([^/]+):(?:rawPredict|streamRawPredict)$")
"""Vertex has one path for whatever a model does, and the model is in it."""


def _find(path: str) -> tuple[Callable[[Body], dict[str, Any]], str | None] | None:
    path = path.rstrip("/")
    on_vertex = _VERTEX.search(path)
    if on_vertex is not None:
        return _read_prediction, on_vertex[1]
    at = path.find("/v1/")
    own = path[max(at, 0) :]
    reader = _READERS.get(own) or next((found for end, found in _AZURES.items() if path.endswith(end)), None)
    if reader is None and _CONVERSATION.fullmatch(own):
        reader = read_measured
    return None if reader is None else (reader, None)


def _read_prediction(body: Body) -> dict[str, Any]:
    return read_fill(body) if "prompt" in body else read_chat(body)


_SDK_ATTEMPTS = 3
"""For a client that was told to retry; it counts time and not attempts."""

_PROVIDERS = {"MistralAzure": "azure", "MistralGCP": "vertex"}


def _routes(client: Any) -> Routes:
    """Return the routes of a client; whose prices it pays is told by its class."""
    names = (_PROVIDERS.get(base.__name__) for base in type(client).__mro__)
    return Routes(provider=next((name for name in names if name is not None), "mistral"), find=_find)


def wrap_mistral(client: Any, guard: Guard) -> Any:
    """Return a guarded copy of a Mistral client, for its sync and its async methods."""
    config: Any = getattr(client, "sdk_configuration", None)
    for name in ("client", "async_client", "retry_config"):
        if not hasattr(config, name):
            raise unknown_inside(client, "mistralai", f"its configuration has no {name}")
    if isinstance(config.client, GuardedHttp):
        raise FeatureUnavailable(f"wrap({type(client).__name__}): this client is wrapped already", feature="wrap")
    for kind, guarded in ((config.client, GuardedHttp), (config.async_client, AsyncGuardedHttp)):
        if kind is not None and not callable(getattr(kind, "send", None)):
            raise unknown_inside(client, "mistralai", f"{guarded.__name__} cannot stand in front of its HTTP client")
    guard = guard.retrying(_SDK_ATTEMPTS if type(config.retry_config).__name__ == "RetryConfig" else 1)
    own, routes = copy.copy(config), _routes(client)
    own.client = None if config.client is None else GuardedHttp(config.client, guard, routes)
    own.async_client = None if config.async_client is None else AsyncGuardedHttp(config.async_client, guard, routes)
    # The SDK's own retries would multiply with ours.
    own.retry_config = None
    clone = copy.copy(client)
    # Resources that were used before hold the configuration of the original, and are made anew when asked for.
    for name in [name for name in clone.__dict__ if name in type(client)._sub_sdk_map]:  # noqa: SLF001  # see above
        del clone.__dict__[name]
    # The original closes its HTTP clients when it is collected.
    clone.__dict__.update({"sdk_configuration": own, "_tokencalc_original": client})
    return clone
