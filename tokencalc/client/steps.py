"""What a guarded call needs done, as data, and the two who do it: one waits, the other awaits.

The rules of a guarded call are generators that yield steps and get their results
(`tokencalc.client.guarded`). `run` and `run_async` are all that knows the difference
between a client that blocks and one on an event loop, so each rule is written once.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from tokencalc.async_engine import AsyncEngine

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from tokencalc.engine import Engine

Result = TypeVar("Result")


class Step(NamedTuple):
    """One thing to do: a verb of `Door` and its arguments."""

    verb: str
    arguments: tuple[Any, ...] = ()


if TYPE_CHECKING:
    Steps = Generator[Step, Any, Result]


class Door:
    """Does each step where it stands, and waits for it."""

    def __init__(self, engine: Engine) -> None:
        """Do the ledger's steps with this engine."""
        self.engine = engine

    def book(self, verb: str, arguments: dict[str, Any]) -> Any:
        """Run a verb of the engine."""
        return getattr(self.engine, verb)(**arguments)

    def acquire(self, limiter: Any, arguments: dict[str, Any]) -> Any:
        """Wait for permits."""
        return limiter.acquire(**arguments)

    def attempt(self, send: Callable[..., Any], *arguments: Any) -> Any:
        """Let the request go out, and return what the client returns."""
        return send(*arguments)

    def close(self, response: Any) -> None:
        """Close a response that nobody will read."""
        response.close()

    def wait(self, seconds: float) -> None:
        """Let time pass before the next attempt."""
        if seconds > 0:
            threading.Event().wait(seconds)


class AsyncDoor:
    """Does each step without blocking the loop."""

    def __init__(self, engine: Engine) -> None:
        """Do the ledger's steps with this engine's async twin."""
        self.engine = AsyncEngine(engine)

    async def book(self, verb: str, arguments: dict[str, Any]) -> Any:
        """Await a verb of the engine."""
        return await getattr(self.engine, verb)(**arguments)

    async def acquire(self, limiter: Any, arguments: dict[str, Any]) -> Any:
        """Wait for permits."""
        return await limiter.acquire_async(**arguments)

    async def attempt(self, send: Callable[..., Any], *arguments: Any) -> Any:
        """Let the request go out, and return what the client returns."""
        return await send(*arguments)

    async def close(self, response: Any) -> None:
        """Close a response that nobody will read."""
        await response.aclose()

    async def wait(self, seconds: float) -> None:
        """Let time pass before the next attempt."""
        if seconds > 0:
            await asyncio.sleep(seconds)


def run(door: Door, steps: Steps[Result]) -> Result:
    """Do the steps one after the other, and return what comes out."""
    try:
        step = next(steps)
        while True:
            try:
                done = getattr(door, step.verb)(*step.arguments)
            except BaseException as error:  # noqa: BLE001  # bulk: the rules decide on every error, and raise it again
                step = steps.throw(error)
            else:
                step = steps.send(done)
    except StopIteration as end:
        result: Result = end.value
        return result


async def run_async(door: AsyncDoor, steps: Steps[Result]) -> Result:
    """Await the steps one after the other, and return what comes out."""
    try:
        step = next(steps)
        while True:
            try:
                done = await getattr(door, step.verb)(*step.arguments)
            except BaseException as error:  # noqa: BLE001  # bulk: the rules decide on every error, and raise it again
                step = steps.throw(error)
            else:
                step = steps.send(done)
    except StopIteration as end:
        result: Result = end.value
        return result
