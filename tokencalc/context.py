"""Attribution: who and what a call is for, carried by a context variable.

::

    with attribution(agent_id="analyzer", tags={"team": "search"}):
        ...                                   # every reserve and record in here is the analyzer's

    @attribution(operation="code_analysis")   # plain and async functions alike
    def analyse(text: str) -> str: ...

Contexts nest: what the inner one says wins, what it leaves out is inherited, and
tags are merged name by name. Threads start with an empty context, asyncio tasks
with their creator's: that is how context variables work.

The module is not called ``attribution`` because importing a submodule sets it on
its package, where it would hide the function of that name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import wraps
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, ParamSpec, TypeVar

from tokencalc.errors import CallInvalid

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

MAX_LABEL_LENGTH = 200
"""Characters that an id, an operation, a tag's name or its value may have."""

MAX_TAGS = 50
"""Tags that one call may carry: they are kept with every entry."""

# Control characters, line separators, lone surrogates (no UTF-8) and the marks that turn text round on a terminal.
_REFUSED = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

_NO_TAGS: Mapping[str, str] = MappingProxyType({})

_P = ParamSpec("_P")
_R = TypeVar("_R")


def label_from(value: object, *, name: str) -> str:
    """Return an id, an operation or a tag as it is; CallInvalid for anything but 1 to 200 plain characters."""
    if isinstance(value, str) and 0 < len(value) <= MAX_LABEL_LENGTH and not _is_refused(value) and value.strip():
        return value
    raise CallInvalid(
        f"{name}: expected text of 1 to {MAX_LABEL_LENGTH} characters without control characters, "
        f"found {_shown(value)}",
        path=name,
        found=value,
    )


def _is_refused(value: str) -> bool:
    # Printable ASCII holds nothing of what is refused, and asking for it takes a tenth of a search's time.
    return not (value.isascii() and value.isprintable()) and _REFUSED.search(value) is not None


def _shown(value: object) -> str:
    try:
        return f"{value!r:.60}"
    except (ValueError, RecursionError):  # an integer of more than 4,300 digits, or endless nesting
        return f"a {type(value).__name__} that cannot be written"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """Who a call is for; every field is optional and checked at birth (CallInvalid)."""

    agent_id: str | None = None
    user_id: str | None = None
    project: str | None = None
    api_key_id: str | None = None
    operation: str | None = None
    tags: Mapping[str, str] = field(default_factory=lambda: _NO_TAGS, hash=False)

    def __post_init__(self) -> None:
        """Refuse what is no plain short text, and keep a read-only copy of the tags."""
        for name in _FIELDS:
            value = getattr(self, name)
            if value is not None:
                label_from(value, name=name)
        object.__setattr__(self, "tags", _tags_from(self.tags))

    def over(self, outer: Attribution) -> Attribution:
        """Return this attribution with ``outer`` filling in what it leaves out; its tags win by name."""
        if outer is _NOBODY:
            return self
        found = {name: getattr(outer, name) if (own := getattr(self, name)) is None else own for name in _FIELDS}
        return Attribution(**found, tags={**outer.tags, **self.tags})


_FIELDS = ("agent_id", "user_id", "project", "api_key_id", "operation")


def _tags_from(tags: object) -> Mapping[str, str]:
    if tags is None or tags is _NO_TAGS:
        return _NO_TAGS
    if not isinstance(tags, Mapping) or len(tags) > MAX_TAGS:
        raise CallInvalid(
            f"tags: expected a mapping of at most {MAX_TAGS} names to text, found {_shown(tags)}",
            path="tags",
            found=tags,
        )
    checked = {label_from(name, name="tags"): label_from(value, name=f"tags.{name}") for name, value in tags.items()}
    return MappingProxyType(checked)


_NOBODY = Attribution()


class _Stack(NamedTuple):
    scopes: tuple[AttributionScope, ...]
    merged: Attribution


_OUTSIDE = _Stack((), _NOBODY)
_current: ContextVar[_Stack] = ContextVar("tokencalc_attribution", default=_OUTSIDE)


class AttributionScope:
    """What `attribution` returns: a context manager and a decorator, usable again and in several tasks at once."""

    __slots__ = ("_own",)

    def __init__(self, own: Attribution) -> None:
        """Keep what this scope says; nothing is set before it is entered."""
        self._own = own

    def __enter__(self) -> Attribution:
        """Put this scope on top and return the merged attribution that now holds."""
        stack = _current.get()
        merged = self._own.over(stack.merged)
        _current.set(_Stack((*stack.scopes, self), merged))
        return merged

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take this scope off, wherever it stands."""
        # A generator can be closed out of order, or in another context than it was started in: only our own
        # scope goes, and where it is not there nothing is touched.
        scopes = list(_current.get().scopes)
        if self not in scopes:
            return
        del scopes[len(scopes) - 1 - scopes[::-1].index(self)]
        merged = _NOBODY
        for scope in scopes:
            merged = scope._own.over(merged)  # noqa: SLF001  # of this class
        _current.set(_Stack(tuple(scopes), merged))

    def __call__(self, function: Callable[_P, _R]) -> Callable[_P, _R]:
        """Make every call of the function run inside this scope."""
        if isgeneratorfunction(function) or isasyncgenfunction(function):
            raise CallInvalid(
                "attribution: a generator's body runs in its readers' contexts; "
                "use `with attribution(...)` inside it, or around the loop that reads it",
                path="attribution",
                found=function,
            )
        return self._around(function)

    def _around(self, function: Callable[_P, _R]) -> Callable[_P, _R]:
        if iscoroutinefunction(function):

            @wraps(function)
            async def run_async(*args: _P.args, **kwargs: _P.kwargs) -> object:
                with self:
                    return await function(*args, **kwargs)

            return run_async  # type: ignore[return-value]  # a coroutine function for a coroutine function

        @wraps(function)
        def run(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            with self:
                return function(*args, **kwargs)

        return run


def attribution(  # noqa: PLR0913  # one argument for each field
    *,
    agent_id: str | None = None,
    user_id: str | None = None,
    project: str | None = None,
    api_key_id: str | None = None,
    operation: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> AttributionScope:
    """Say who the calls inside are for, as a context manager or as a decorator of a function.

    Raises CallInvalid for values that are no text of 1 to 200 plain characters.
    """
    return AttributionScope(
        Attribution(
            agent_id=agent_id,
            user_id=user_id,
            project=project,
            api_key_id=api_key_id,
            operation=operation,
            tags=_NO_TAGS if tags is None else tags,
        )
    )


def current_attribution() -> Attribution:
    """Return the attribution that holds here, merged over all contexts that were entered."""
    return _current.get().merged
