"""google-genai 3.x: content, embeddings and interactions are held, each round of function calling too."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from tokencalc.client.asking import read_contents, read_generation, read_interaction, read_measured
from tokencalc.client.stainless import unknown_inside
from tokencalc.client.transport import AsyncGuardedHttp, GuardedHttp, Routes
from tokencalc.errors import FeatureUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokencalc.client.guarding import Guard
    from tokencalc.providers.payload import Body

_READERS: dict[str, Callable[[Body], dict[str, Any]]] = {
    "generateContent": read_generation,
    "streamGenerateContent": read_generation,
    "embedContent": read_contents,
    "batchEmbedContents": read_contents,
    "predict": read_measured,
}
_SDK_ATTEMPTS = 5
"""What the SDK makes of retry options that do not say how many attempts."""

_NEEDED = (
    "_httpx_client", "_async_httpx_client", "_retry", "_async_retry", "_use_aiohttp", "_http_options",
    "_request", "_async_request",
)  # fmt: skip


def _find(path: str) -> tuple[Callable[[Body], dict[str, Any]], str | None] | None:
    if path.rstrip("/").endswith("/interactions"):
        return read_interaction, None
    resource, colon, method = path.rpartition(":")
    reader = _READERS.get(method) if colon else None
    return None if reader is None else (reader, resource.rpartition("/")[2])


def wrap_google(client: Any, guard: Guard) -> Any:
    """Return a guarded copy of a genai client, for its sync and its async methods."""
    api: Any = getattr(client, "_api_client", None)
    for name in _NEEDED:
        if not hasattr(api, name):
            raise unknown_inside(client, "google-genai", f"its api client has no {name}")
    if isinstance(api._httpx_client, GuardedHttp):  # noqa: SLF001  # looked for above
        raise FeatureUnavailable(f"wrap({type(client).__name__}): this client is wrapped already", feature="wrap")
    _refuse_other_transports(client, api)
    retries = getattr(api._http_options, "retry_options", None)  # noqa: SLF001  # looked for above
    guard = guard.retrying(1 if retries is None else retries.attempts or _SDK_ATTEMPTS)
    routes = Routes(provider="vertex" if client.vertexai else "google", find=_find)
    clone = _rebound(client, _guarded_api(api, guard, routes))
    # The original closes its HTTP clients when it is collected.
    clone.__dict__["_tokencalc_original"] = client
    return clone


def _refuse_other_transports(client: Any, api: Any) -> None:
    if getattr(api._http_options, "aiohttp_client", None) is not None:  # noqa: SLF001  # looked for above
        raise unknown_inside(client, "google-genai", "it was given an aiohttp client, which we do not guard")
    for name in ("_use_google_auth_sync", "_use_google_auth_async"):
        asks = getattr(api, name, None)
        if callable(asks) and asks():
            raise unknown_inside(client, "google-genai", "it sends by google-auth's own session, which we do not guard")


def _guarded_api(api: Any, guard: Guard, routes: Routes) -> Any:
    """Return a copy of the client's inside that sends through ours, by httpx and once."""
    own = copy.copy(api)
    own.__dict__.update(
        {
            "_httpx_client": GuardedHttp(api._httpx_client, guard, routes),  # noqa: SLF001  # looked for above
            "_async_httpx_client": AsyncGuardedHttp(api._async_httpx_client, guard, routes),  # noqa: SLF001  # as above
            "_use_aiohttp": lambda: False,
            "_http_options": _without_retries(api._http_options),  # noqa: SLF001  # as above
            "_retry": _once,
            "_async_retry": _once,
        }
    )
    # A request's own options would bring the SDK's retries back.
    own.__dict__.update({name: _plainly(getattr(own, name)) for name in ("_request", "_async_request")})
    return own


def _plainly(request: Callable[..., Any]) -> Callable[..., Any]:
    """Return what makes a request by the client's own options, of which ours has no retries."""

    def send(http_request: Any, http_options: Any = None, stream: bool = False) -> Any:  # noqa: ARG001, FBT001, FBT002  # the SDK's
        return request(http_request, None, stream)

    return send


def _once(call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Call without the SDK's own retries, which would multiply with ours."""
    return call(*arguments, **options)


def _without_retries(options: Any) -> Any:
    """Return the options with one attempt, which interactions read when they are first used."""
    retries = type(options)(retry_options={"attempts": 1}).retry_options
    return options.model_copy(update={"retry_options": retries})


def _rebound(holder: Any, api: Any) -> Any:
    """Return a copy of an object and of those inside it, where each that had the client's inside has ours."""
    own = copy.copy(holder)
    for name, value in vars(holder).items():
        if name == "_api_client":
            own.__dict__[name] = api
        elif "_api_client" in getattr(value, "__dict__", {}):
            own.__dict__[name] = _rebound(value, api)
        elif name == "_nextgen_client_instance" or "_gaos" in type(value).__module__:
            # Made on first use, of the inside that is there then.
            own.__dict__[name] = None
    return own
