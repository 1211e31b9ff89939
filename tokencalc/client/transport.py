"""Clients that can be given another HTTP client: mistralai and google-genai. What they are given is one that guards.

Both hand every request to an object with ``build_request`` and ``send`` and raise
their errors from the response that comes back. So a guarded ``send`` sees each
round of automatic function calling, each page and each stream, and the SDK makes
its objects of what it gets, as always.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tokencalc.client.asking import UNNAMED, Ask
from tokencalc.client.guarded import guarded
from tokencalc.client.steps import AsyncDoor, Door, run, run_async
from tokencalc.client.tally import parsed
from tokencalc.client.watching import watch, watch_async

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokencalc.client.capturing import Capture
    from tokencalc.client.guarding import Guard
    from tokencalc.providers.payload import Body

FIRST_ERROR = 400
"""The first HTTP status that is an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Routes:
    """Which requests of one SDK cost money; ``find`` gives a path's reader, and the model that the path names."""

    provider: str
    find: Callable[[str], tuple[Callable[[Body], dict[str, Any]], str | None] | None]

    def ask(self, guard: Guard, request: Any, *, is_streamed: bool) -> Ask | None:
        """Return what a request asks for; None for one that we do not guard."""
        if str(request.method).upper() != "POST":
            return None
        found = self.find(request.url.path)
        if found is None:
            return None
        reader, model = found
        body = _body(request)
        # An agent is a name too: which model it uses, its answer says.
        named = model or next((body[name] for name in ("model", "agent", "agent_id") if body.get(name)), None)
        if not isinstance(named, str):
            # A conversation that the provider keeps, or a form: the answer says the model, if anything does.
            named = UNNAMED
        read = reader(body)
        if model is None and body.get("model") is None:
            read["counted"] = {}
        return Ask(
            provider=guard.provider or self.provider,
            model=guard.models.get(named, named),
            is_streamed=is_streamed,
            is_repeatable=hasattr(request, "_content"),
            idempotency_key=request.headers.get("idempotency-key"),
            **read,
        )


def _body(request: Any) -> Body:
    kind = request.headers.get("content-type", "")
    # A body that is read while it is sent, a file's, is none of JSON.
    content = parsed(request.content) if "json" in kind and hasattr(request, "_content") else None
    return content if isinstance(content, Mapping) else {}


class _InFront:
    """What stands in front of an HTTP client passes for one of its class: an SDK asks which library it is of."""

    _inner: Any

    @property  # type: ignore[misc]  # nobody sets it
    def __class__(self) -> Any:  # what isinstance asks
        """Answer what the client behind is."""
        return type(self._inner)

    def __getattr__(self, name: str) -> Any:
        """Answer for the client behind."""
        return getattr(self.__dict__["_inner"], name)

    def build_request(self, *arguments: Any, **options: Any) -> Any:
        """Build a request as the client behind does."""
        return self._inner.build_request(*arguments, **options)


class GuardedHttp(_InFront):
    """An HTTP client in front of another one: `send` is guarded, the rest is the other's."""

    def __init__(self, inner: Any, guard: Guard, routes: Routes) -> None:
        """Stand in front of ``inner``, which stays as it is."""
        self._inner = inner
        self._guard = guard
        self._routes = routes
        self._door = Door(guard.engine)

    def send(self, request: Any, *, stream: bool = False, **options: Any) -> Any:
        """Send a request, under guard where it costs money."""
        ask = self._routes.ask(self._guard, request, is_streamed=stream)
        if ask is None:
            return self._inner.send(request, stream=stream, **options)
        if stream:
            _plainly(request)

        def attempt(capture: Capture) -> Any:
            response = self._inner.send(request, stream=stream, **options)
            if stream and response.status_code < FIRST_ERROR:
                watched = watch(response, capture, self._door)
                if self._guard.peeks:
                    watched.peek()
            else:
                capture.take_body(response.status_code, response.headers, response.read())
            return response

        return run(self._door, guarded(self._guard, ask, attempt))

    def request(self, method: str, url: Any, **options: Any) -> Any:
        """Build and send in one."""
        return self.send(self._inner.build_request(method, url, **options))

    def close(self) -> None:
        """Leave the client behind open: it belongs to the client that was wrapped."""


class AsyncGuardedHttp(_InFront):
    """The same on an event loop."""

    def __init__(self, inner: Any, guard: Guard, routes: Routes) -> None:
        """Stand in front of ``inner``, which stays as it is."""
        self._inner = inner
        self._guard = guard
        self._routes = routes
        self._door = AsyncDoor(guard.engine)

    async def send(self, request: Any, *, stream: bool = False, **options: Any) -> Any:
        """Send a request, under guard where it costs money."""
        ask = self._routes.ask(self._guard, request, is_streamed=stream)
        if ask is None:
            return await self._inner.send(request, stream=stream, **options)
        if stream:
            _plainly(request)

        async def attempt(capture: Capture) -> Any:
            response = await self._inner.send(request, stream=stream, **options)
            if stream and response.status_code < FIRST_ERROR:
                watched = watch_async(response, capture, self._door)
                if self._guard.peeks:
                    await watched.peek()
            else:
                capture.take_body(response.status_code, response.headers, await response.aread())
            return response

        return await run_async(self._door, guarded(self._guard, ask, attempt))

    async def request(self, method: str, url: Any, **options: Any) -> Any:
        """Build and send in one."""
        return await self.send(self._inner.build_request(method, url, **options))

    async def aclose(self) -> None:
        """Leave the client behind open: it belongs to the client that was wrapped."""


def _plainly(request: Any) -> None:
    """Ask for a stream that is not compressed: we read it as it goes by."""
    request.headers["accept-encoding"] = "identity"
