"""The two sample budgets of the demo: one whose alert the busiest day passes, one without room for a call."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from tokencalc.budgets.budget import Budget
from tokencalc.clock import instant_from
from tokencalc.errors import BudgetExceeded, PriceUnknown
from tokencalc.money import ZERO_USD
from tokencalc.periods import zone_from

if TYPE_CHECKING:
    from tokencalc.budgets.setting import BudgetStatus
    from tokencalc.engine import Engine
    from tokencalc.ledger.report import ReportRow

DAILY = "sample daily"
CAP = "sample cap"

INPUT_TOKENS = 120_000
OUTPUT_TOKENS = 8_000

_CENT = Decimal("0.01")
_USED = Decimal("0.85")
_PICO_PLACES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A reservation that was really asked for, and really refused."""

    model: str
    budget: str
    limit_usd: Decimal
    requested_usd: Decimal
    available_usd: Decimal


def sample_limit(spent_usd: Decimal) -> Decimal:
    """Return a round daily limit of which the given spending is 81 to 90 %: past the first alert, below the second."""
    wanted = spent_usd / _USED
    place = max(wanted.adjusted() - 1, -_PICO_PLACES)
    step = Decimal(1).scaleb(place)
    return (wanted / step).to_integral_value() * step


def set_daily_budget(
    engine: Engine, days: tuple[ReportRow, ...], *, timezone: str, notional: bool
) -> BudgetStatus | None:
    """Set the sample daily budget by the busiest day and return that day's status; None where nothing was spent."""
    busiest = max(days, key=lambda row: row.cost_usd, default=None)
    if busiest is None or busiest.cost_usd <= 0:
        return None
    engine.set_budget(
        Budget(
            name=DAILY,
            limit_usd=sample_limit(busiest.cost_usd),
            period="day",
            timezone=timezone,
            policy="soft",
            notional=notional,
        )
    )
    noon = instant_from(f"{busiest.key['day']}T12:00:00Z", name="day").replace(tzinfo=zone_from(timezone))
    return engine.budget_status(DAILY, at=noon)


def refuse_one(
    engine: Engine, spent_usd: Decimal, models: list[tuple[str | None, str]], *, notional: bool
) -> Refusal | None:
    """Set a hard budget with a cent of room and ask it for one call; None only if nothing could be refused."""
    limit = spent_usd + _CENT
    engine.set_budget(Budget(name=CAP, limit_usd=limit, period="total", policy="hard", notional=notional))
    for provider, model in models:
        try:
            hold = engine.reserve(
                provider=provider, model=model, input_tokens=INPUT_TOKENS, max_output_tokens=OUTPUT_TOKENS
            )
        except BudgetExceeded as refused:
            return Refusal(
                model=model,
                budget=refused.budget,
                limit_usd=limit,
                requested_usd=refused.requested_usd,
                available_usd=max(ZERO_USD, refused.available_usd),
            )
        except PriceUnknown:
            continue
        engine.release(hold)
    return None
