"""How a client is guarded: what `wrap` was told, once for all its calls."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from tokencalc.context import Attribution, current_attribution
from tokencalc.errors import (
    LedgerClosed,
    LedgerCorrupt,
    LedgerUnavailable,
    LedgerVersionUnsupported,
)
from tokencalc.limits.profiles import Limiters
from tokencalc.limits.retry import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokencalc.engine import Engine
    from tokencalc.limits.breaker import Breaker
    from tokencalc.limits.limiter import Limiter
    from tokencalc.usage import Usage

OnLedgerError = Literal["refuse", "allow"]

_ATTEMPTS_MAX = 100

LEDGER_FAILURES = (LedgerUnavailable, LedgerCorrupt, LedgerVersionUnsupported, LedgerClosed)
"""Failures of the book itself; its other errors say that the caller asked for something that cannot be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """The guard of one client, and of those derived from it.

    ``peeks`` says whether a stream's opening is read before the caller has the stream, so
    that an error there can be tried again.
    """

    engine: Engine
    about: Attribution = field(default_factory=Attribution)
    budget: tuple[str, ...] = ()
    limiter: Limiter | Limiters | None = None
    breaker: Breaker | None = None
    retries: RetryPolicy | None = None
    peeks: bool = False
    on_ledger_error: OnLedgerError = "refuse"
    provider: str | None = None
    models: Mapping[str, str] = field(default_factory=dict)
    hold_usd: object = None
    lifetime_s: int | None = None
    wait_timeout_s: float | None = None
    includes_usage: bool = True
    _told: set[str] = field(default_factory=set)

    def limiter_of(self, provider: str | None, model: str) -> Limiter | None:
        """Return the limiter of a model: the one that was given, or its own of several."""
        return self.limiter.get(provider or "", model) if isinstance(self.limiter, Limiters) else self.limiter

    def retrying(self, attempts_max: int) -> Guard:
        """Return the guard with so many attempts, where it was not told how many: as many as the client would make."""
        if self.retries is not None:
            return self
        return replace(self, retries=RetryPolicy(attempts_max=max(1, min(attempts_max, _ATTEMPTS_MAX))))

    def labels(self) -> dict[str, Any]:
        """Return who a call is for that is made now: the context that holds here, filled up by what `wrap` was told."""
        about = current_attribution().over(self.about)
        labels: dict[str, Any] = {
            "agent_id": about.agent_id,
            "user_id": about.user_id,
            "project": about.project,
            "api_key_id": about.api_key_id,
            "operation": about.operation,
            "tags": dict(about.tags) or None,
        }
        return {name: value for name, value in labels.items() if value is not None}

    def tell(self, what: str, message: str, *values: object) -> None:
        """Log a failure of our own, the first of its kind aloud and the others quietly."""
        level = logging.DEBUG if what in self._told else logging.WARNING
        self._told.add(what)
        logging.getLogger("tokencalc").log(level, message, *values)

    def tell_lost(self, error: Exception, hold_id: str | None, usage: Usage | None) -> None:
        """Log what could not be booked, each time: it is the only trace of that money."""
        said = None if usage is None else json.dumps({str(meter): str(count) for meter, count in usage.leaves})
        logging.getLogger("tokencalc").error(
            "the answer was handed on, but its usage could not be booked (%s: %s); hold %s, usage %s",
            type(error).__name__,
            error,
            hold_id,
            said,
        )
