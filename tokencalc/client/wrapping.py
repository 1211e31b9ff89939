"""`wrap`: the same client, but its calls obey budgets and limits, and what they used is in the ledger."""

from __future__ import annotations

import atexit
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from tokencalc.async_engine import AsyncEngine
from tokencalc.client.guarding import Guard, OnLedgerError, on_ledger_error_from
from tokencalc.context import Attribution
from tokencalc.engine import Engine
from tokencalc.errors import CallInvalid, FeatureUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Client = TypeVar("Client")


def wrap(  # noqa: PLR0913  # keyword only: what a client is for, and how it is held
    client: Client,
    *,
    engine: Engine | AsyncEngine | None = None,
    agent_id: str | None = None,
    user_id: str | None = None,
    project: str | None = None,
    api_key_id: str | None = None,
    operation: str | None = None,
    tags: Mapping[str, str] | None = None,
    budget: str | Sequence[str] | None = None,
    limiter: Any = None,
    breaker: Any = None,
    retries: Any = None,
    wait_timeout_s: float | None = None,
    on_ledger_error: OnLedgerError = "refuse",
    provider: str | None = None,
    models: Mapping[str, str] | None = None,
    hold_usd: object = None,
    lifetime_s: int | None = None,
    include_usage: bool = True,
) -> Client:
    """Return a guarded copy of an LLM client: same type, same methods; the original is untouched.

    Knows openai, anthropic, google-genai, mistralai and groq, sync and async. Every
    call that costs money is held at its worst case before it goes out, and settled by
    the usage of its answer, streamed or not. A hard budget without room raises
    BudgetExceeded, and nothing is sent.

    ``engine`` is the ledger to book in (one of the user's own, shared by the process,
    if None). ``agent_id`` and its kin say who the calls are for where no
    `attribution` around a call does; ``budget`` names budgets to add to those in scope.
    ``limiter``, ``breaker`` and ``retries`` are those of ``tokencalc.limits``; the
    client's own retries are switched off. ``wait_timeout_s`` is the longest wait for
    permits. ``on_ledger_error`` says what happens where the ledger fails before a call:
    "refuse" it, or "allow" it without a hold; after a call the answer is always
    handed on. ``provider`` is whose prices are paid, where the host does not tell;
    ``models`` maps names of deployments to names of models; ``hold_usd`` is a fixed
    amount to set aside for each call, for models that nobody knows a price or a limit
    of. ``lifetime_s`` is how long a hold is open before it is suspect.
    ``include_usage`` False leaves streams unasked for their usage, which is then
    estimated.

    Raises FeatureUnavailable for a client that we do not know, or whose inside is not
    as we know it, and CallInvalid for settings that cannot be.
    """
    found = _wrapper(client)
    guard = guard_from(
        engine=engine,
        about={
            "agent_id": agent_id,
            "user_id": user_id,
            "project": project,
            "api_key_id": api_key_id,
            "operation": operation,
            "tags": tags or {},
        },
        budget=budget,
        limiter=limiter,
        breaker=breaker,
        retries=retries,
        wait_timeout_s=wait_timeout_s,
        on_ledger_error=on_ledger_error_from(on_ledger_error),
        provider=provider,
        models=dict(models or {}),
        hold_usd=hold_usd,
        lifetime_s=lifetime_s,
        includes_usage=include_usage,
    )
    wrapped: Client = found(client, guard)
    return wrapped


def guard_from(
    *,
    engine: Engine | AsyncEngine | None,
    about: Mapping[str, Any],
    budget: str | Sequence[str] | None,
    **options: Any,
) -> Guard:
    """Return the guard of these settings, checked."""
    if isinstance(engine, AsyncEngine):
        engine = engine.engine
    if engine is not None and not isinstance(engine, Engine):
        raise CallInvalid(
            f"engine: expected an Engine or an AsyncEngine, found {type(engine).__name__}", path="engine", found=engine
        )
    names = () if budget is None else (budget,) if isinstance(budget, str) else tuple(budget)
    return Guard(
        engine=_SHARED.engine() if engine is None else engine, about=Attribution(**about), budget=names, **options
    )


def _wrapper(client: object) -> Callable[[Any, Guard], Any]:
    """Return what wraps a client, by the package that its class, or one of its bases, comes from."""
    for base in type(client).__mro__:
        package = base.__module__.split(".", maxsplit=1)[0]
        if package == "openai":
            from tokencalc.client.openai import wrap_openai  # noqa: PLC0415  # each SDK when its client is handed in

            return wrap_openai
        if package == "anthropic":
            from tokencalc.client.anthropic import wrap_anthropic  # noqa: PLC0415  # as above

            return wrap_anthropic
        if package == "groq":
            from tokencalc.client.groq import wrap_groq  # noqa: PLC0415  # as above

            return wrap_groq
    raise FeatureUnavailable(
        f"wrap({type(client).__name__}): expected a client of openai, anthropic, google-genai, mistralai or groq, "
        f"found one of {type(client).__module__.split('.', maxsplit=1)[0]}; use guard(...) around the function that "
        "makes the call, or engine.reserve before it and engine.settle after it",
        feature="wrap",
    )


class _Shared:
    """The engine of clients that were wrapped without one: the user's own ledger, opened once a process."""

    def __init__(self) -> None:
        """Open nothing yet."""
        self._mutex = threading.Lock()
        self._engine: Engine | None = None

    def engine(self) -> Engine:
        """Return the engine, opened on first use and closed when the program ends."""
        with self._mutex:
            if self._engine is None:
                self._engine = Engine.open()
                atexit.register(self._engine.close)
            return self._engine


_SHARED = _Shared()
