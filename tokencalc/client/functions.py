"""`guard`: any function that makes one call to a model, under the same rules as a wrapped client."""

from __future__ import annotations

from functools import wraps
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, Unpack

from tokencalc.client.asking import Ask
from tokencalc.client.guarded import guarded
from tokencalc.client.options import guard_from
from tokencalc.client.steps import AsyncDoor, Door, run, run_async
from tokencalc.counting import DESCRIBED_NAMES
from tokencalc.errors import CallInvalid

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tokencalc.client.capturing import Capture
    from tokencalc.client.guarding import Guard
    from tokencalc.client.options import GuardOptions

_P = ParamSpec("_P")
_R = TypeVar("_R")

_ANSWERED = 200
_COUNTED = frozenset({"text", "messages", "input_tokens", *DESCRIBED_NAMES})
_SAID = frozenset({"model", "max_output_tokens", "choices", "operation_type", "context", "idempotency_key", *_COUNTED})


def guard(
    function: Callable[_P, _R],
    *,
    model: str | None = None,
    describe: Callable[..., Mapping[str, Any]] | None = None,
    usage: Callable[[Any], Any] | None = None,
    **options: Unpack[GuardOptions],
) -> Callable[_P, _R]:
    """Return a function that makes the same call under guard, plain or async as the one that is given.

    ``describe`` gets the arguments of a call and says what is asked for: ``model``, one of
    ``text``, ``messages`` and ``input_tokens`` (with what `tokencalc.count` takes beside),
    ``max_output_tokens``, ``choices``, ``operation_type``, ``context``,
    ``idempotency_key``. Without it the call is held at ``hold_usd``, or at 0, which
    refuses it only where a budget is used up; ``model`` is then needed. ``usage``
    gets what the function returned and gives the payload, counts or `Usage` to book;
    without it that is what was returned. See `GuardOptions` for the rest.

    A function that returns a stream has to read it to its end. Raises CallInvalid for a
    generator, for neither a model nor a description, and for options that cannot be.
    """
    if isgeneratorfunction(function) or isasyncgenfunction(function):
        raise CallInvalid(
            "guard: expected a function that returns its answer, found a generator; guard the function that reads it",
            path="function",
            found=function,
        )
    if model is None and describe is None:
        raise CallInvalid("guard: expected model or describe, found neither", path="model", found=None)
    own = _Function(guard_from("guard", dict(options)), model, describe, usage)
    if iscoroutinefunction(function):
        return own.around_async(function)
    return own.around(function)


class _Function:
    """The guard of one function."""

    def __init__(
        self,
        guard: Guard,
        model: str | None,
        describe: Callable[..., Mapping[str, Any]] | None,
        usage: Callable[[Any], Any] | None,
    ) -> None:
        """Keep what `guard` was told."""
        self._guard = guard
        self._model = model
        self._describe = describe
        self._usage = usage

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the guarded function."""
        door = Door(self._guard.engine)

        @wraps(function)
        def call(*arguments: Any, **named: Any) -> Any:
            def send(capture: Capture) -> Any:
                return self._answered(capture, function(*arguments, **named))

            return run(door, guarded(self._guard, self._ask(arguments, named), send))

        return call

    def around_async(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the guarded coroutine function."""
        door = AsyncDoor(self._guard.engine)

        @wraps(function)
        async def call(*arguments: Any, **named: Any) -> Any:
            async def send(capture: Capture) -> Any:
                return self._answered(capture, await function(*arguments, **named))

            return await run_async(door, guarded(self._guard, self._ask(arguments, named), send))

        return call

    def _ask(self, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> Ask:
        said = dict(self._describe(*arguments, **named)) if self._describe is not None else {}
        unknown = sorted(set(said) - _SAID)
        if unknown:
            raise CallInvalid(
                f"describe: unknown name {unknown[0]!r}; allowed: {', '.join(sorted(_SAID))}",
                path=f"describe.{unknown[0]}",
                found=said[unknown[0]],
            )
        model = said.pop("model", self._model)
        if not isinstance(model, str):
            raise CallInvalid(f"model: expected a name, found {model!r:.60}", path="model", found=model)
        counted = {name: said.pop(name) for name in _COUNTED & set(said)}
        return Ask(provider=self._guard.provider, model=self._guard.models.get(model, model), counted=counted, **said)

    def _answered(self, capture: Capture, result: Any) -> Any:
        capture.status = _ANSWERED
        capture.body = result
        if self._usage is not None:
            capture.read = self._usage
        return result
