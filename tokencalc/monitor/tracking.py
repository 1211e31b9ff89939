"""`track`: one object that times an operation, as a decorator, a context manager or a handle.

::

    @track()                                  # plain and async functions, by their qualified name
    def analyse(): ...

    with track("data_processing", "DataAgent", user_id="u1"):
        ...
    async with track("fetch"):
        ...
    handle = track("upload").start()
    handle.end(status="success")

Durations are in seconds of the wall, waiting included. What raises is a failure; what
was cancelled is counted apart. Nothing that is raised is changed or kept.
"""

from __future__ import annotations

import inspect
from asyncio import CancelledError
from contextvars import ContextVar
from functools import wraps
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar, cast

from tokencalc.errors import CallInvalid
from tokencalc.monitor.operations import Operation, Operations, kept_context, named, status_from
from tokencalc.monitor.samples import LONGEST_NAME

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from tokencalc.monitor.operations import Status

_F = TypeVar("_F", bound="Callable[..., Any]")

operations = Operations()
"""The operations of this process that `track` counts and `Monitor` collects, unless others are handed in."""


class _Entered(NamedTuple):
    """A block that was entered and not yet left; ``outer`` is the one around it."""

    track: Track
    started_ns: int
    outer: _Entered | None


# Of the thread or task, because one object may time blocks of many at once.
_entered: ContextVar[_Entered | None] = ContextVar("tokencalc_track", default=None)

_STOPPED = (CancelledError, GeneratorExit, KeyboardInterrupt)


class Handle:
    """One operation that runs; `end` counts it, once."""

    __slots__ = ("_is_over", "_started_ns", "_track")

    def __init__(self, track: Track) -> None:
        """Start now."""
        self._track = track
        self._is_over = False
        self._started_ns = track.into.now_ns()

    def end(self, status: Status = "success", *, error: str | None = None) -> float:
        """Count the operation and return its seconds; CallInvalid for an unknown status or a second end."""
        ended_ns = self._track.into.now_ns()
        known = status_from(status)
        if self._is_over:
            name = self._track.operation.name if self._track.operation else "?"
            raise CallInvalid(
                f"the operation {name!r:.60} was ended before; start it again for another round",
                path="status",
                found=status,
            )
        self._is_over = True
        return self._track.finish(ended_ns - self._started_ns, known, None if error is None else error[:LONGEST_NAME])


class Track:
    """Times one operation, any number of times, in any number of threads and tasks at once."""

    __slots__ = ("component", "context", "into", "operation")

    def __init__(
        self, operation: Operation | None, context: dict[str, str], into: Operations, component: str = ""
    ) -> None:
        """Count by this name into these operations; `track` makes one. Without an operation, a function names it."""
        self.operation = operation
        self.component = component
        self.context = context
        self.into = into

    def finish(self, duration_ns: int, status: Status, error: str | None = None) -> float:
        """Count one round and return its seconds."""
        self.into.add(self._named(), duration_ns, status, error, self.context)
        return duration_ns / 1e9

    def start(self) -> Handle:
        """Start one round and return its handle; one that is never ended is not counted."""
        self._named()
        return Handle(self)

    def _named(self) -> Operation:
        if self.operation is None:
            raise CallInvalid(
                'name: only a decorator takes the name of its function; give one, as in track("my_operation")',
                path="name",
                found=None,
            )
        return self.operation

    def __enter__(self) -> Self:
        """Start a round that ends with the block."""
        self._named()
        _entered.set(_Entered(self, self.into.now_ns(), _entered.get()))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Count the round; what was raised goes on."""
        ended_ns = self.into.now_ns()
        block = _entered.get()
        while block is not None and block.track is not self:
            block = block.outer
        if block is None:  # entered in a context that is not this one, as a generator that another thread closes
            return
        _entered.set(block.outer)
        self.ended(ended_ns - block.started_ns, kind)

    async def __aenter__(self) -> Self:
        """Start a round that ends with the block."""
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Count the round; what was raised goes on."""
        self.__exit__(kind, error, trace)

    def ended(self, duration_ns: int, kind: type[BaseException] | None) -> None:
        """Count one round by what it raised."""
        if kind is None:
            self.finish(duration_ns, "success")
        else:
            self.finish(duration_ns, "cancelled" if issubclass(kind, _STOPPED) else "failure", kind.__name__)

    def __call__(self, function: _F) -> _F:
        """Time every call of a function, an async one until it is awaited to its end; name and doc stay."""
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise CallInvalid(
                f"track: {function.__qualname__:.60} is a generator, whose call ends before its work begins; "
                "put `with track(...)` inside it",
                path="function",
                found=function.__qualname__,
            )
        if not callable(function):
            raise CallInvalid(f"track: expected a function, found {function!r:.60}", path="function", found=function)
        name = getattr(function, "__qualname__", type(function).__qualname__)
        timed = self if self.operation is not None else Track(named(name, self.component), self.context, self.into)
        return cast("_F", _timed_async(timed, function) if _is_async(function) else _timed(timed, function))


def track(name: str | None = None, component: str = "", *, into: Operations | None = None, **context: Any) -> Track:
    """Return what times an operation; see the module for the ways to use it.

    ``name`` may be left out for a decorator: then it is the function's qualified name. Further keywords
    (``agent_name``, ``user_id``, ``priority``, ...) are kept with the operations that ended last, as bounded
    texts; those that look like secrets are redacted. CallInvalid for a name that is no text.
    """
    operation = None if name is None else named(name, component)
    kept = kept_context(context) if context else {}
    return Track(operation, kept, operations if into is None else into, component)


def _is_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004  # the method, to see whether it is async
    )


def _timed(timed: Track, function: Callable[..., Any]) -> Callable[..., Any]:
    now_ns = timed.into.now_ns

    @wraps(function)
    def wrapper(*arguments: Any, **keywords: Any) -> Any:
        started_ns = now_ns()
        try:
            result = function(*arguments, **keywords)
        except BaseException as error:  # bulk: counted, and raised again as it is
            timed.ended(now_ns() - started_ns, type(error))
            raise
        timed.finish(now_ns() - started_ns, "success")
        return result

    return wrapper


def _timed_async(timed: Track, function: Callable[..., Any]) -> Callable[..., Any]:
    now_ns = timed.into.now_ns

    @wraps(function)
    async def wrapper(*arguments: Any, **keywords: Any) -> Any:
        started_ns = now_ns()
        try:
            result = await function(*arguments, **keywords)
        except BaseException as error:  # bulk: counted, and raised again as it is
            timed.ended(now_ns() - started_ns, type(error))
            raise
        timed.finish(now_ns() - started_ns, "success")
        return result

    return wrapper
