"""`TokenCalculatorTool`: the engine as one awaitable call with named actions, for agents.

::

    tool = TokenCalculatorTool()
    ok, payload = await tool.execute("estimate_cost", text="...", model="gemini-2.5-flash")

`execute` answers ``(True, payload)`` or ``(False, {"error": code, "message": ...})``
and never raises for a user's mistake. Each action but ``track_usage`` takes a
permit and fails fast without one; the actions that read or count are guarded by a
breaker that counts our own failures only. ``track_usage`` is never refused by
either: the money is already gone.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any, Self

from tokencalc.async_engine import AsyncEngine
from tokencalc.clock import SystemClock
from tokencalc.config import load_settings
from tokencalc.engine import Engine
from tokencalc.errors import LedgerClosed, LedgerError, LedgerUnavailable, TokencalcError
from tokencalc.jsontext import error_value
from tokencalc.limits.breaker import Breaker
from tokencalc.limits.limiter import Limiter
from tokencalc.tool_answers import (
    CALLERS_MISTAKES,
    breakdown_answer,
    budget_answer,
    estimate_answer,
    optimize_answer,
    report_answer,
    track_answer,
)
from tokencalc.tool_arguments import ACTIONS, read_arguments
from tokencalc.tool_functions import functions_of, schemas_of
from tokencalc.tool_metrics import metrics_answer
from tokencalc.tool_prices import update_answer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from tokencalc.clock import Clock
    from tokencalc.config import Settings
    from tokencalc.tool_functions import ToolFunction

GUARDED = ("estimate_cost", "optimize_prompt", "get_usage_report", "get_cost_breakdown")
"""Actions behind a breaker."""

_ANSWERS = {"estimate_cost": estimate_answer, "optimize_prompt": optimize_answer, "check_budget": budget_answer}
_ANSWERS_OF_NOW = {
    "get_usage_report": report_answer,
    "get_cost_breakdown": breakdown_answer,
    "update_pricing": update_answer,
}

Answer = tuple[bool, dict[str, Any]]


class TokenCalculatorTool:
    """Estimates, books and reports through one method; safe to share between tasks."""

    def __init__(
        self,
        engine: Engine | AsyncEngine | None = None,
        *,
        ledger: str | Path | None = None,
        limiter: Limiter | None = None,
        breaker: Breaker | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Use an engine (which stays the caller's to close), or open one on first use.

        Without ``engine`` the ledger is ``ledger``, else TOKENCALC_LEDGER or the
        settings file's, else the one in the user's data folder. ``limiter`` is by
        default the settings' requests per minute; a ``breaker`` that is given guards
        all guarded actions together, else each has its own.
        """
        self._engine = engine.engine if isinstance(engine, AsyncEngine) else engine
        self._owns_engine = engine is None
        self._ledger = ledger
        self._limiter = limiter
        self._clock: Clock = clock or SystemClock()
        self._breakers = {action: breaker or Breaker(clock=self._clock) for action in GUARDED}
        self._counts: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()
        self._loaded: Settings | None = None
        self._closed = False

    async def __aenter__(self) -> Self:
        """Return the tool itself; the ledger is opened on first use."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the ledger, if this tool opened it."""
        await asyncio.to_thread(self.close)

    def close(self) -> None:
        """Close the ledger if this tool opened it; a later call answers that it is closed."""
        with self._lock:
            self._closed = True
            engine, self._engine = self._engine, None
        if engine is not None and self._owns_engine:
            engine.close()

    async def execute(self, action: str, **arguments: Any) -> Answer:
        """Do one action; (True, payload), or (False, error) with a code, a message and the values in it."""
        return await asyncio.to_thread(self._execute, action, arguments)

    def functions(self, actions: Sequence[str] | None = None) -> tuple[ToolFunction, ...]:
        """Return actions (all where None) as plain typed async functions, as agents' frameworks take them.

        They answer as `execute` does, in JSON values: an error is an answer with ``error`` and ``message``. Raises
        CallInvalid for an unknown action.
        """
        return functions_of(self.execute, actions)

    def schemas(self, shape: str = "chat", actions: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """Return actions as function calling describes them, in the shape of ``chat``, ``responses`` or ``anthropic``.

        Raises CallInvalid for an unknown shape or action.
        """
        return schemas_of(shape, actions)

    def _execute(self, action: str, arguments: dict[str, Any]) -> Answer:
        known = action if isinstance(action, str) and action in ACTIONS else "unknown"
        try:
            answer = self._guarded(known, action, arguments)
        except TokencalcError as error:
            self._count(known, "failed")
            # What was not booked goes back as it came; other values of errors are cut short.
            kept = {"retry": error.values["retry"]} if "retry" in error.values else {}
            return False, {**error_value(error), **kept}
        except OSError as error:
            self._count(known, "failed")
            broken = LedgerUnavailable(f"the ledger could not be used: {error}", ledger=str(self._ledger))
            return False, error_value(broken)
        self._count(known, "ok")
        return True, answer

    def _guarded(self, known: str, action: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Read the arguments, pass the limiter and the breaker, and do the action."""
        read = read_arguments(action, arguments)
        if known == "track_usage":
            return track_answer(self._opened, read, now=self._clock.now())
        # Permits come first: a check that is not followed by an attempt would waste a half-open breaker's probe.
        self._permits().acquire(timeout_s=0)
        breaker = self._breakers.get(known)
        if breaker is None:
            return self._work(known, read)
        lease = breaker.enter()
        try:
            answer = self._work(known, read)
        except (TokencalcError, OSError) as error:
            if isinstance(error, LedgerError | OSError) and not isinstance(error, CALLERS_MISTAKES):
                lease.failed()
            elif breaker.state == "half_open":
                # A caller's mistake is neutral, but it shows a probe that we can answer again.
                lease.succeeded()
            raise
        lease.succeeded()
        return answer

    def _work(self, action: str, read: dict[str, Any]) -> dict[str, Any]:
        """Do one action whose arguments are read already."""
        engine, now = self._opened(), self._clock.now()
        if action in _ANSWERS:
            return _ANSWERS[action](engine, read)
        if action in _ANSWERS_OF_NOW:
            return _ANSWERS_OF_NOW[action](engine, read, now=now)
        return metrics_answer(
            engine, counts=dict(self._counts), limiter=self._permits(), breakers=self._breakers, now=now
        )

    def _settings(self) -> Settings:
        """The engine's settings, or those of the working folder until it is open."""
        if self._engine is not None:
            return self._engine.settings
        if self._loaded is None:
            self._loaded = load_settings()
        return self._loaded

    def _opened(self) -> Engine:
        """The engine, opened on first use."""
        with self._lock:
            if self._closed:
                raise LedgerClosed("the tool was closed; make a new one")
            if self._engine is None:
                self._engine = Engine.open(self._ledger, clock=self._clock, settings=self._settings())
            return self._engine

    def _permits(self) -> Limiter:
        """The limiter, made on first use from the settings."""
        with self._lock:
            if self._limiter is None:
                self._limiter = Limiter(self._settings().requests_per_minute, name="tool", clock=self._clock)
            return self._limiter

    def _count(self, action: str, outcome: str) -> None:
        with self._lock:
            self._counts[action, outcome] += 1
