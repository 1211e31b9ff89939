"""How a client is guarded: what `wrap` was told, once for all its calls."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from tokencalc.context import Attribution, current_attribution
from tokencalc.errors import (
    LedgerClosed,
    LedgerCorrupt,
    LedgerUnavailable,
    LedgerVersionUnsupported,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokencalc.engine import Engine
    from tokencalc.usage import Usage

OnLedgerError = Literal["refuse", "allow"]

LEDGER_FAILURES = (LedgerUnavailable, LedgerCorrupt, LedgerVersionUnsupported, LedgerClosed)
"""Failures of the book itself; its other errors say that the caller asked for something that cannot be."""


class Permit(Protocol):
    """What a limiter hands out."""

    def correct(self, *, input_tokens: int, output_tokens: int) -> None:
        """Set the estimate right."""

    def refund(self) -> None:
        """Give it back: the call never went out."""

    def release(self) -> None:
        """Give concurrency back."""


class Lease(Protocol):
    """A breaker's leave to try."""

    def succeeded(self) -> None:
        """Say that the provider answered."""

    def failed(self) -> None:
        """Say that the provider failed."""

    def neutral(self) -> None:
        """Say that nothing is known about the provider."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """The guard of one client, and of those derived from it."""

    engine: Engine
    about: Attribution = field(default_factory=Attribution)
    budget: tuple[str, ...] = ()
    limiter: Any = None
    breaker: Any = None
    retries: Any = None
    on_ledger_error: OnLedgerError = "refuse"
    provider: str | None = None
    models: Mapping[str, str] = field(default_factory=dict)
    hold_usd: object = None
    lifetime_s: int | None = None
    wait_timeout_s: float | None = None
    includes_usage: bool = True
    _told: set[str] = field(default_factory=set)

    @property
    def peeks(self) -> bool:
        """Whether a stream's opening is looked at before the caller has it: an error there can be tried again."""
        return self.retries is not None or self.breaker is not None

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
