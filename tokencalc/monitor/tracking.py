"""`track`: one object that times an operation, as a decorator, a context manager or a handle.

::

    @track                                    # plain and async functions, by their qualified name
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
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast, overload

from tokencalc.errors import CallInvalid
from tokencalc.monitor.operations import Operation, Operations, kept_context, named, status_from, without_secrets
from tokencalc.monitor.samples import LONGEST_NAME

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from tokencalc.monitor.operations import Status

_F = TypeVar("_F", bound="Callable[..., Any]")

operations = Operations()
"""The operations of this process that `track` counts and `Monitor` collects, unless others are handed in."""


class _Block:
    """A block that was entered and not yet left."""

    __slots__ = ("is_open", "started_ns", "track")

    def __init__(self, track: Track, started_ns: int) -> None:
        self.track = track
        self.started_ns = started_ns
        self.is_open = True


# Of the thread or task, because one object may time blocks of many at once. They need not end in order: a generator's
# block may outlive the one that it was begun in.
_entered: ContextVar[tuple[_Block, ...]] = ContextVar("tokencalc_track", default=())

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
        said = None if error is None else without_secrets(error)[:LONGEST_NAME]
        return self._track.finish(ended_ns - self._started_ns, known, said)


class Track:
    """Times one operation, any number of times, in any number of threads and tasks at once."""

    __slots__ = ("_open", "component", "context", "into", "operation")

    def __init__(
        self, operation: Operation | None, context: dict[str, str], into: Operations, component: str = ""
    ) -> None:
        """Count by this name into these operations; `track` makes one. Without an operation, a function names it."""
        self.operation = operation
        self.component = component
        self.context = context
        self.into = into
        self._open: list[_Block] = []

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
        block = _Block(self, self.into.now_ns())
        self._open.append(block)
        _entered.set((*(outer for outer in _entered.get() if outer.is_open), block))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Count the round; what was raised goes on."""
        ended_ns = self.into.now_ns()
        block = self._left()
        if block is not None:
            self.ended(ended_ns - block.started_ns, kind)

    def _left(self) -> _Block | None:
        """Return the block that ends: the last of this context, else the last of all; None where none is open."""
        mine = [block for block in _entered.get() if block.track is self and block.is_open]
        try:
            # Some frameworks run each step of a generator in a context of its own.
            block = mine[-1] if mine else self._open[-1]
            self._open.remove(block)
        except (IndexError, ValueError):
            return None
        block.is_open = False
        return block

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
        if isinstance(function, classmethod | staticmethod):
            return cast("_F", type(function)(self(function.__func__)))
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise _refused(
                function, "is a generator, whose call ends before its work begins; put `with track(...)` inside it"
            )
        if inspect.isclass(function):
            raise _refused(function, "is a class; put @track on its methods, on __init__ to time its making")
        if not callable(function):
            raise CallInvalid(f"track: expected a function, found {function!r:.60}", path="function", found=function)
        name = getattr(function, "__qualname__", type(function).__qualname__)
        timed = self if self.operation is not None else Track(named(name, self.component), self.context, self.into)
        return cast("_F", _timed_async(timed, function) if _is_async(function) else _timed(timed, function))


def _refused(function: Any, why: str) -> CallInvalid:
    name = function.__qualname__
    return CallInvalid(f"track: {name:.200} {why}", path="function", found=name)


@overload
def track(name: _F, /) -> _F: ...
@overload
def track(name: str | None = None, component: str = "", *, into: Operations | None = None, **context: Any) -> Track: ...
def track(name: Any = None, component: str = "", *, into: Operations | None = None, **context: Any) -> Any:
    """Return what times an operation; see the module for the ways to use it.

    ``name`` may be left out for a decorator, and then the brackets as well: it is the function's qualified name.
    Further keywords (``agent_name``, ``user_id``, ``priority``, ...) are kept with the operations that ended last, as
    bounded texts; those that look like secrets, by their name or their text, are redacted. CallInvalid for a name that
    is no text.
    """
    if callable(name) or isinstance(name, classmethod | staticmethod):
        return Track(None, {}, operations)(name)
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
