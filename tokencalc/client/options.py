"""What `wrap` and `guard` take, read once into the guard of a client or a function."""

from __future__ import annotations

import atexit
import threading
from typing import TYPE_CHECKING, Any, TypedDict

from tokencalc.arguments import checked
from tokencalc.async_engine import AsyncEngine
from tokencalc.client.guarding import Guard
from tokencalc.client.late import LATE
from tokencalc.context import Attribution, label_from
from tokencalc.engine import Engine
from tokencalc.errors import CallInvalid
from tokencalc.limits.retry import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tokencalc.client.guarding import OnLedgerError
    from tokencalc.limits.breaker import Breaker
    from tokencalc.limits.limiter import Limiter
    from tokencalc.limits.profiles import Limiters

_LABELS = ("agent_id", "user_id", "project", "api_key_id", "operation", "tags")


class GuardOptions(TypedDict, total=False):
    """How calls are guarded; every option may be left out.

    ``engine`` is the ledger to book in: an `Engine` or `AsyncEngine`, or the user's own
    ledger, opened once a process. ``agent_id``, ``user_id``, ``project``,
    ``api_key_id``, ``operation`` and ``tags`` say who calls are for, where no
    `attribution` around a call says otherwise; ``budget`` names budgets to add to those
    in scope.

    ``limiter`` (one, or `Limiters` with one for each model) and ``breaker`` are those of
    ``tokencalc.limits``. ``retries`` is a `RetryPolicy`, or how often to try again; left
    out, it is as often as the client would, whose own retries are switched off. Where
    it is given, a stream's opening is read before the caller has the stream, so that an
    overload there is tried again too. ``wait_timeout_s`` is the longest wait for permits.
    ``on_ledger_error`` says what happens where the ledger fails before a call: "refuse"
    it (the default), or "allow" it without a hold; an answer is always handed on.

    ``provider`` is whose prices are paid, where the client does not tell. ``models``
    maps names of deployments to names of models. ``hold_usd`` is a fixed amount to set
    aside for each call, for models whose price or limit nobody knows. ``lifetime_s``
    is how long a hold is open before it is suspect. ``include_usage`` False leaves
    streams unasked for their usage, which is then estimated.
    """

    engine: Engine | AsyncEngine | None
    agent_id: str | None
    user_id: str | None
    project: str | None
    api_key_id: str | None
    operation: str | None
    tags: Mapping[str, str] | None
    budget: str | Sequence[str] | None
    limiter: Limiter | Limiters | None
    breaker: Breaker | None
    retries: RetryPolicy | int | None
    wait_timeout_s: float | None
    on_ledger_error: OnLedgerError
    provider: str | None
    models: Mapping[str, str] | None
    hold_usd: object
    lifetime_s: int | None
    include_usage: bool


_NAMES = frozenset(GuardOptions.__annotations__)


def guard_from(verb: str, options: Mapping[str, Any]) -> Guard:
    """Return the guard of these options; CallInvalid names one that cannot be."""
    checked(options, _NAMES, verb)
    given = {name: value for name, value in options.items() if value is not None}
    retries = _retries(given.pop("retries", None))
    about = {name: given.pop(name) for name in _LABELS if name in given}
    return Guard(
        engine=_engine(given.pop("engine", None)),
        about=Attribution(**about),
        budget=_budgets(given.pop("budget", ())),
        on_ledger_error=_on_ledger_error(given.pop("on_ledger_error", "refuse")),
        retries=retries,
        peeks=retries is not None and retries.attempts_max > 1,
        includes_usage=given.pop("include_usage", True),
        **given,
    )


def _engine(engine: object) -> Engine:
    if isinstance(engine, AsyncEngine):
        return engine.engine
    if engine is None:
        return _SHARED.engine()
    if isinstance(engine, Engine):
        return engine
    raise CallInvalid(
        f"engine: expected an Engine or an AsyncEngine, found {type(engine).__name__}", path="engine", found=engine
    )


def _budgets(budget: str | Sequence[str]) -> tuple[str, ...]:
    names = (budget,) if isinstance(budget, str) else tuple(budget)
    return tuple(label_from(name, name="budget") for name in names)


def _retries(value: object) -> RetryPolicy | None:
    if value is None or isinstance(value, RetryPolicy):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return RetryPolicy(attempts_max=value + 1)
    raise CallInvalid(
        f"retries: expected a RetryPolicy or how often to try again, found {value!r:.60}", path="retries", found=value
    )


def _on_ledger_error(value: object) -> OnLedgerError:
    if value == "refuse":
        return "refuse"
    if value == "allow":
        return "allow"
    raise CallInvalid(
        f"on_ledger_error: expected refuse or allow, found {value!r:.60}", path="on_ledger_error", found=value
    )


class _Shared:
    """The engine of those who named none: the user's own ledger, opened once a process."""

    def __init__(self) -> None:
        """Open nothing yet."""
        self._mutex = threading.Lock()
        self._engine: Engine | None = None

    def engine(self) -> Engine:
        """Return the engine, opened on first use and closed when the program ends."""
        with self._mutex:
            if self._engine is None:
                self._engine = Engine.open()
                atexit.register(self._close, self._engine)
            return self._engine

    @staticmethod
    def _close(engine: Engine) -> None:
        """Close the engine, after the streams that the program has left behind."""
        LATE.drain()
        engine.close()


_SHARED = _Shared()
