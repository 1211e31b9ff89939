"""Clients that come out of one generator: openai, anthropic, groq. Their ``request`` is the one way out.

``create``, ``parse``, ``stream``, raw and streaming responses and tool runners all
call the client's ``request``, and every answer passes ``_process_response`` before
an object is made of it. We put ourselves in front of both, on a copy of the client:
its class stays, the original is untouched, and ``copy`` and ``with_options`` of the
copy are guarded too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tokencalc.client.asking import UNNAMED, Ask
from tokencalc.client.capturing import CURRENT, Capture
from tokencalc.client.guarded import guarded
from tokencalc.client.steps import AsyncDoor, Door, run, run_async
from tokencalc.client.watching import watch, watch_async
from tokencalc.errors import FeatureUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokencalc.client.guarding import Guard
    from tokencalc.providers.payload import Body

_MARK = "_tokencalc_guard"
_LEFT_OUT = frozenset({"Omit", "NotGiven"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """What one SDK of the family has of its own.

    ``routes`` are the paths that cost money, with the reader of their bodies; what is
    on no route passes as it is. ``asks_for_usage`` are the paths whose streams say
    their usage only when asked.
    """

    sdk: str
    routes: Mapping[str, Callable[[Body], dict[str, Any]]]
    provider_of: Callable[[Any], str]
    asks_for_usage: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Guarded:
    """One guarded client: its guard, and the methods that were there before."""

    dialect: Dialect
    guard: Guard
    client: Any
    request: Callable[..., Any]
    process: Callable[..., Any]
    prepare: Callable[[Any], Any]
    is_leaving_seen: bool

    def begin(self, capture: Capture) -> None:
        """Note that an attempt begins, none of which has gone out."""
        capture.has_left = False if self.is_leaving_seen else None

    def ask(self, options: Any, *, is_streamed: bool) -> Ask | None:
        """Return what a request asks for; None for one that we do not guard."""
        route = _path(options.url)
        reader = self.dialect.routes.get(route)
        if reader is None or str(options.method).lower() != "post":
            return None
        body = _body(options)
        model = body.get("model")
        return Ask(
            provider=self.guard.provider or self.dialect.provider_of(self.client),
            # A prompt that the provider keeps names its model there; the answer says which one it was.
            model=self.guard.models.get(model, model) if isinstance(model, str) and model else UNNAMED,
            is_streamed=is_streamed,
            is_repeatable=not getattr(options, "files", None) and getattr(options, "content", None) is None,
            idempotency_key=_key(options),
            **reader(body),
        )

    def prepared(self, options: Any, *, is_streamed: bool) -> tuple[Any, bool]:
        """Return the options of one attempt, and whether the usage that they ask for is to be kept from the caller."""
        changes: dict[str, Any] = {"max_retries": 0}
        hides = False
        headers = options.headers if isinstance(options.headers, Mapping) else {}
        if is_streamed or _is_read_bit_by_bit(headers):
            if not any(name.lower() == "accept-encoding" for name in headers):
                changes["headers"] = {**headers, "Accept-Encoding": "identity"}
            body = self._with_usage(options) if is_streamed else None
            if body is not None:
                changes["json_data"], hides = body, True
        return options.model_copy(update=changes), hides

    def _with_usage(self, options: Any) -> Body | None:
        """Return the body with the wish for a usage; None where it is there, refused, or not for this path."""
        body = options.json_data
        if not (self.guard.includes_usage and isinstance(body, Mapping)):
            return None
        if _path(options.url) not in self.dialect.asks_for_usage:
            return None
        wishes = _body(options).get("stream_options")
        wishes = wishes if isinstance(wishes, Mapping) else {}
        if wishes.get("include_usage") is not None:
            return None
        return {**body, "stream_options": {**wishes, "include_usage": True}}


def _is_read_bit_by_bit(headers: Mapping[str, Any]) -> bool:
    """Tell whether the caller reads the bytes of an answer (``with_streaming_response``), by the SDKs' own mark."""
    return any(name.lower() == "x-stainless-raw-response" and value == "stream" for name, value in headers.items())


def _path(url: object) -> str:
    return str(url).split("?", 1)[0].split("#", 1)[0].rstrip("/")


def _body(options: Any) -> Body:
    body = options.json_data if isinstance(options.json_data, Mapping) else {}
    extra = getattr(options, "extra_json", None)
    merged = {**body, **extra} if isinstance(extra, Mapping) else body
    # The SDK leaves these marks out of what it sends.
    return {name: value for name, value in merged.items() if type(value).__name__ not in _LEFT_OUT}


def _key(options: Any) -> str | None:
    headers = options.headers if isinstance(options.headers, Mapping) else {}
    named = next((value for name, value in headers.items() if name.lower() == "idempotency-key"), None)
    key = named if named is not None else options.idempotency_key
    return key if isinstance(key, str) and key else None


def guard_client(client: Any, guard: Guard, dialect: Dialect) -> Any:
    """Return a guarded copy of a client; FeatureUnavailable for one whose inside is not as we know it."""
    is_async = check(client, dialect)
    own = guard.retrying(1 + client.max_retries)
    try:
        clone = client.with_options(max_retries=0)
    except TypeError as error:
        why = f"its with_options does not make another one of it: {error}"
        raise unknown_inside(client, dialect.sdk, why) from error
    return _guard(clone, own, dialect, is_async=is_async)


def _guard(clone: Any, guard: Guard, dialect: Dialect, *, is_async: bool) -> Any:
    inner = _Guarded(
        dialect,
        guard,
        clone,
        clone.request,
        clone._process_response,  # noqa: SLF001  # see `check`
        getattr(clone, "_prepare_request", _nothing),
        is_leaving_seen=_is_leaving_seen(type(clone)),
    )
    hooks = _async_hooks(inner) if is_async else _sync_hooks(inner)

    def copied(*arguments: Any, **options: Any) -> Any:
        """Copy the client as its SDK does; the copy is guarded as this one is."""
        retries = options.pop("max_retries", None)
        own = guard if not isinstance(retries, int) else replace(guard, retries=None).retrying(1 + retries)
        plain = type(clone).copy(clone, *arguments, max_retries=0, **options)
        return _guard(plain, own, dialect, is_async=is_async)

    clone.__dict__.update({**hooks, "copy": copied, "with_options": copied, _MARK: guard})
    return clone


_SENDERS = ("_attempt_request", "_request", "request")


def _is_leaving_seen(kind: type) -> bool:
    """Tell whether a client calls ``_prepare_request`` before it sends, its last step that can fail by itself."""
    codes = (getattr(getattr(kind, name, None), "__code__", None) for name in _SENDERS)
    return any(code is not None and "_prepare_request" in code.co_names for code in codes)


def _nothing(_request: Any) -> None:
    """Stand for a step that a client does not have, and does not call."""


def _left() -> None:
    capture = CURRENT.get()
    if capture is not None:
        capture.has_left = True


def _sync_hooks(inner: _Guarded) -> dict[str, Callable[..., Any]]:
    door = Door(inner.guard.engine)

    def request(cast_to: Any, options: Any, *, stream: bool = False, **rest: Any) -> Any:
        ask = inner.ask(options, is_streamed=stream)
        if ask is None:
            return inner.request(cast_to, options, stream=stream, **rest)

        def send(capture: Capture) -> Any:
            inner.begin(capture)
            ready, capture.hides_usage = inner.prepared(options, is_streamed=stream)
            before = CURRENT.set(capture)
            try:
                return inner.request(cast_to, ready, stream=stream, **rest)
            finally:
                CURRENT.reset(before)

        return run(door, guarded(inner.guard, ask, send))

    def process(*, response: Any, **rest: Any) -> Any:
        capture = CURRENT.get()
        if capture is not None:
            if response.is_stream_consumed:
                capture.take_body(response.status_code, response.headers, response.content)
            else:
                watched = watch(response, capture, door, hides_usage=capture.hides_usage)
                if inner.guard.peeks:
                    watched.peek()
        return inner.process(response=response, **rest)

    def prepare(sent: Any) -> None:
        inner.prepare(sent)
        _left()

    return {"request": request, "_process_response": process, "_prepare_request": prepare}


def _async_hooks(inner: _Guarded) -> dict[str, Callable[..., Any]]:
    door = AsyncDoor(inner.guard.engine)

    async def request(cast_to: Any, options: Any, *, stream: bool = False, **rest: Any) -> Any:
        ask = inner.ask(options, is_streamed=stream)
        if ask is None:
            return await inner.request(cast_to, options, stream=stream, **rest)

        async def send(capture: Capture) -> Any:
            inner.begin(capture)
            ready, capture.hides_usage = inner.prepared(options, is_streamed=stream)
            before = CURRENT.set(capture)
            try:
                return await inner.request(cast_to, ready, stream=stream, **rest)
            finally:
                CURRENT.reset(before)

        return await run_async(door, guarded(inner.guard, ask, send))

    async def process(*, response: Any, **rest: Any) -> Any:
        capture = CURRENT.get()
        if capture is not None:
            if response.is_stream_consumed:
                capture.take_body(response.status_code, response.headers, response.content)
            else:
                watched = watch_async(response, capture, door, hides_usage=capture.hides_usage)
                if inner.guard.peeks:
                    await watched.peek()
        return await inner.process(response=response, **rest)

    async def prepare(sent: Any) -> None:
        await inner.prepare(sent)
        _left()

    return {"request": request, "_process_response": process, "_prepare_request": prepare}


def check(client: Any, dialect: Dialect) -> bool:
    """Look whether a client is made as we know it, and return whether it is asynchronous.

    Raises FeatureUnavailable with what is missing, before any call is made.
    """
    kind = type(client)
    names = [base.__name__ for base in kind.__mro__]
    is_async = "AsyncAPIClient" in names
    if not is_async and "SyncAPIClient" not in names:
        raise unknown_inside(client, dialect.sdk, "it is no client of that SDK")
    if _MARK in getattr(client, "__dict__", {}):
        raise FeatureUnavailable(
            f"wrap({kind.__name__}): this client is wrapped already; wrap the original, or use its with_options",
            feature="wrap",
        )
    for caller, callees in (("post", {"request"}), ("request", {"_process_response", "_request"})):
        code = getattr(getattr(kind, caller, None), "__code__", None)
        if code is None or not callees & set(code.co_names):
            raise unknown_inside(client, dialect.sdk, f"{caller} does not call {' or '.join(sorted(callees))}")
    for name in ("copy", "with_options", "_process_response"):
        if not callable(getattr(kind, name, None)):
            raise unknown_inside(client, dialect.sdk, f"it has no {name}")
    return is_async


def unknown_inside(client: Any, sdk: str, why: str) -> FeatureUnavailable:
    """Return the error of a client that is made otherwise than the versions that we know."""
    return FeatureUnavailable(
        f"wrap({type(client).__name__}): this version of {sdk} is made otherwise than those that we know ({why}), so "
        "its calls could go out unseen; use guard(...) around your own function, or engine.reserve and engine.settle",
        feature="wrap",
    )
