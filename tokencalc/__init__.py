"""What LLM calls cost, and that they never cost more than someone allowed.

Names are loaded when they are first used, so that ``import tokencalc`` costs
next to nothing and opens no connection.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tokencalc.alerts.alerts import Alerts
    from tokencalc.async_engine import AsyncEngine
    from tokencalc.budgets.budget import Budget
    from tokencalc.budgets.setting import BudgetStatus
    from tokencalc.client.functions import guard
    from tokencalc.client.wrapping import wrap
    from tokencalc.context import attribution
    from tokencalc.cost import Cost, CostLine
    from tokencalc.counting import count
    from tokencalc.engine import Engine
    from tokencalc.errors import (
        BreakerOpen,
        BudgetExceeded,
        InvalidInput,
        LedgerError,
        MetersUnpriced,
        PriceUnknown,
        Refused,
        Throttled,
        TokencalcError,
    )
    from tokencalc.estimation import Estimate
    from tokencalc.jsontext import to_json
    from tokencalc.ledger.records import Entry, Hold
    from tokencalc.monitor.monitor import Monitor
    from tokencalc.monitor.tracking import track
    from tokencalc.prompts import PromptAdvice
    from tokencalc.providers.registry import read_usage
    from tokencalc.tokens.result import TokenCount
    from tokencalc.tool import TokenCalculatorTool
    from tokencalc.usage import Meter, Usage

__version__ = "0.1.0"

_HOMES = {
    "Alerts": "tokencalc.alerts.alerts",
    "AsyncEngine": "tokencalc.async_engine",
    "BreakerOpen": "tokencalc.errors",
    "Budget": "tokencalc.budgets.budget",
    "BudgetExceeded": "tokencalc.errors",
    "BudgetStatus": "tokencalc.budgets.setting",
    "Cost": "tokencalc.cost",
    "CostLine": "tokencalc.cost",
    "Engine": "tokencalc.engine",
    "Entry": "tokencalc.ledger.records",
    "Estimate": "tokencalc.estimation",
    "Hold": "tokencalc.ledger.records",
    "InvalidInput": "tokencalc.errors",
    "LedgerError": "tokencalc.errors",
    "Meter": "tokencalc.usage",
    "MetersUnpriced": "tokencalc.errors",
    "Monitor": "tokencalc.monitor.monitor",
    "PriceUnknown": "tokencalc.errors",
    "PromptAdvice": "tokencalc.prompts",
    "Refused": "tokencalc.errors",
    "Throttled": "tokencalc.errors",
    "TokenCalculatorTool": "tokencalc.tool",
    "TokenCount": "tokencalc.tokens.result",
    "TokencalcError": "tokencalc.errors",
    "Usage": "tokencalc.usage",
    "attribution": "tokencalc.context",
    "count": "tokencalc.counting",
    "guard": "tokencalc.client.functions",
    "read_usage": "tokencalc.providers.registry",
    "to_json": "tokencalc.jsontext",
    "track": "tokencalc.monitor.tracking",
    "wrap": "tokencalc.client.wrapping",
}

__all__ = [
    "Alerts",
    "AsyncEngine",
    "BreakerOpen",
    "Budget",
    "BudgetExceeded",
    "BudgetStatus",
    "Cost",
    "CostLine",
    "Engine",
    "Entry",
    "Estimate",
    "Hold",
    "InvalidInput",
    "LedgerError",
    "Meter",
    "MetersUnpriced",
    "Monitor",
    "PriceUnknown",
    "PromptAdvice",
    "Refused",
    "Throttled",
    "TokenCalculatorTool",
    "TokenCount",
    "TokencalcError",
    "Usage",
    "attribution",
    "count",
    "guard",
    "read_usage",
    "to_json",
    "track",
    "wrap",
]


def __getattr__(name: str) -> Any:
    """Load a public name from its room on first use."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'tokencalc' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *__all__})
