"""Frozen records of what happened, and the Listener protocol.

A lower floor announces, a higher one listens: the ledger never imports alerts.
Listeners run after the caller has its answer, on a thread of their own, never
on the ledger's writer; an event that is lost with a crash is still a row in the
ledger, because events only report what was written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryBooked:
    """An entry was appended: a charge, a correction or a write-off; ``amount_usd`` is None when unpriced."""

    entry_id: str
    kind: str
    amount_usd: Decimal | None
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldOpened:
    """A worst case was set aside before a call."""

    hold_id: str
    amount_usd: Decimal
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldSettled:
    """A hold was replaced by its actual charge; ``overrun_usd`` is what went above the hold, or 0."""

    hold_id: str
    entry_id: str
    actual_usd: Decimal | None
    overrun_usd: Decimal
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldReleased:
    """A hold was given back unused."""

    hold_id: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldRefused:
    """A reserve was refused by a hard budget."""

    budget: str
    requested_usd: Decimal
    available_usd: Decimal
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetCrossed:
    """Spending passed a threshold of a budget's limit for the first time in this period."""

    budget: str
    period_key: str
    threshold_percent: int
    spent_usd: Decimal
    limit_usd: Decimal
    at: datetime


Event = EntryBooked | HoldOpened | HoldSettled | HoldReleased | HoldRefused | BudgetCrossed


class Listener(Protocol):
    """Anything that can be called with an event; what it raises is logged, once per listener, and dropped."""

    def __call__(self, event: Event, /) -> None:
        """Take note of one event."""
