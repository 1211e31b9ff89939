"""Short ways to spend money in tests: a model that no card knows, at the caller's own figure."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tokencalc.errors import BudgetExceeded

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokencalc import Engine
    from tokencalc.ledger.records import Entry, Hold

MODEL = "acme-1"


def spend(engine: Engine, usd: object, **arguments: Any) -> Entry:
    """Record a call that cost so much."""
    return engine.record(**{"model": MODEL, "cost_usd": usd, **arguments})


def hold(engine: Engine, usd: object, **arguments: Any) -> Hold:
    """Set so much aside."""
    return engine.reserve(**{"model": MODEL, "amount_usd": usd, **arguments})


def is_admitted(reserve: Callable[[], Hold]) -> bool:
    """Whether a reserve was admitted; only a budget's refusal counts as not."""
    try:
        reserve()
    except BudgetExceeded:
        return False
    return True


def figures(engine: Engine, name: str, value: str | None = None, **where: Any) -> tuple[Decimal, Decimal, Decimal]:
    """Return (spent, held, available) of a budget."""
    status = engine.budget_status(name, value, **where)
    return status.spent_usd, status.held_usd, status.available_usd


def usd(*amounts: str) -> tuple[Decimal, ...]:
    """Return decimals of texts."""
    return tuple(Decimal(amount) for amount in amounts)
