"""A budget: a limit in dollars on a scope for a period, with a policy.

``hard`` refuses a reserve that would pass the limit; ``soft`` admits and marks
it; ``observe`` counts only. A scope names whom it covers; ``{"user_id": "*"}``
makes one budget for each user, and a call that names no user is not in it.
A call counts for the model and provider that were asked for and for those that
served: the hold knows only the first, the money goes to the second.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, get_args

from tokencalc.errors import BudgetInvalid, InvalidInput, LedgerCorrupt
from tokencalc.ledger.records import DIMENSION_KEYS
from tokencalc.money import MAX_PICO, decimal_from, decimal_text, pico_from_usd, usd_from_pico
from tokencalc.periods import PeriodKind, period_kind_from, zone_from

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokencalc.ledger.records import Dimension

Policy = Literal["hard", "soft", "observe"]
POLICIES: tuple[str, ...] = get_args(Policy)
SCOPE_KEYS = tuple(key for key in DIMENSION_KEYS if key != "operation")
"""Keys that a scope may name, besides ``tag:NAME``."""

ANY_VALUE = "*"
_NAME = re.compile(r"[\w][\w .:/@+-]{0,99}")
_MAX_THRESHOLD_PERCENT = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """A limit on what a scope may spend in a period; valid from birth.

    ``limit_usd`` may be text, Decimal, int or float (read by its shortest text).
    ``period``: hour, day, week (from Monday), month, total, run; in the IANA zone
    ``timezone``. ``alert_at``: percent of the limit. ``notional``: count usage that
    a subscription paid too; else it is no money, and no budget counts it. Raises
    BudgetInvalid.
    """

    name: str
    limit_usd: Any
    period: PeriodKind = "day"
    timezone: str = "UTC"
    scope: Mapping[str, str] = field(default_factory=dict)
    policy: Policy = "hard"
    alert_at: tuple[int, ...] = (75, 90, 100)
    notional: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be, with the field's path; bring the rest into one form."""
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise _refused("name", self.name, "1 to 100 letters, digits, spaces or . : / @ + - _")
        try:
            limit = decimal_from(self.limit_usd, name=f"budget {self.name}: limit_usd")
            period_kind_from(self.period)
            zone_from(self.timezone)
        except InvalidInput as error:
            raise BudgetInvalid(error.message, path=error.path, found=error.found) from error
        if limit < 0 or pico_from_usd(limit, name="limit_usd") > MAX_PICO or -int(limit.as_tuple().exponent) > 12:  # noqa: PLR2004
            raise _refused("limit_usd", limit, f"0 to {usd_from_pico(MAX_PICO)} dollars, with at most 12 decimals")
        object.__setattr__(self, "limit_usd", limit)
        object.__setattr__(self, "scope", _scope_from(self.scope))
        if self.policy not in POLICIES:
            raise _refused("policy", self.policy, f"one of {', '.join(POLICIES)}")
        object.__setattr__(self, "alert_at", _alert_at_from(self.alert_at))
        if not isinstance(self.notional, bool):
            raise _refused("notional", self.notional, "True or False")

    @property
    def limit_pico(self) -> int:
        """The limit in whole pico-dollars."""
        return pico_from_usd(self.limit_usd, name="limit_usd")

    @property
    def covers(self) -> tuple[object, ...]:
        """What decides which entries count; the rest may change freely."""
        return (tuple(self.scope.items()), self.period, self.timezone, self.notional)


def _refused(key: str, found: object, allowed: str) -> BudgetInvalid:
    return BudgetInvalid(f"budget {key}: expected {allowed}, found {found!r:.60}", path=key, found=found)


def _scope_from(scope: object) -> dict[str, str]:
    if not isinstance(scope, dict):
        raise _refused("scope", scope, 'a mapping such as {"agent_id": "analyzer"}')
    for key, value in scope.items():
        known = key in SCOPE_KEYS or (isinstance(key, str) and key.startswith("tag:") and len(key) > len("tag:"))
        if not known:
            raise _refused("scope", key, f"keys {', '.join(SCOPE_KEYS)} or tag:NAME")
        if not isinstance(value, str) or not 0 < len(value) <= 200 or not value.isprintable():  # noqa: PLR2004
            raise _refused(f"scope.{key}", value, '1 to 200 printable characters, or "*" for one budget a value')
    return dict(sorted(scope.items()))


def _alert_at_from(alert_at: object) -> tuple[int, ...]:
    if not isinstance(alert_at, tuple | list):
        raise _refused("alert_at", alert_at, "whole percentages such as (75, 90, 100)")
    for percent in alert_at:
        if isinstance(percent, bool) or not isinstance(percent, int) or not 0 < percent <= _MAX_THRESHOLD_PERCENT:
            raise _refused("alert_at", percent, f"whole percentages from 1 to {_MAX_THRESHOLD_PERCENT}")
    return tuple(sorted(set(alert_at)))


def scope_value(scope: Mapping[str, str], dimension: Dimension, tags: Mapping[str, str]) -> str | None:
    """Return which of the budget's instances covers a call, or None when it is outside.

    A scope without ``*`` has one instance, named by empty text; with one, the
    instance is named by the value that stands for the star; with several, by a
    JSON list of them.
    """
    stars: list[str] = []
    for key, wanted in scope.items():
        found = tags.get(key[4:], "") if key.startswith("tag:") else getattr(dimension, key)
        if wanted == ANY_VALUE:
            if not found:
                return None
            stars.append(found)
        elif found != wanted:
            return None
    return "".join(stars) if len(stars) <= 1 else json.dumps(stars, ensure_ascii=False)


def budget_from(definition: Mapping[str, Any]) -> Budget:
    """Make a budget from a mapping, as settings and the ledger hold it; BudgetInvalid names an unknown key."""
    known = {"name", "limit_usd", "period", "timezone", "scope", "policy", "alert_at", "notional"}
    unknown = sorted(set(definition) - known)
    if unknown:
        raise _refused(unknown[0], definition[unknown[0]], f"one of the keys {', '.join(sorted(known))}")
    missing = sorted({"name", "limit_usd"} - set(definition))
    if missing:
        raise _refused(missing[0], None, "a value; name and limit_usd must be given")
    return Budget(**dict(definition))


def budget_definition(budget: Budget) -> dict[str, Any]:
    """Return the budget as plain JSON values; `budget_from` reads it back."""
    return {
        "name": budget.name,
        "limit_usd": decimal_text(usd_from_pico(budget.limit_pico)),  # 10 and 10.0 are the same limit
        "period": budget.period,
        "timezone": budget.timezone,
        "scope": dict(budget.scope),
        "policy": budget.policy,
        "alert_at": list(budget.alert_at),
        "notional": budget.notional,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """A budget's definition in the form in which it is compared: integers and tuples."""

    budget: Budget
    limit_pico: int
    needs_details: bool

    @property
    def is_hard(self) -> bool:
        """Whether the budget refuses."""
        return self.budget.policy == "hard"


@lru_cache(maxsize=1024)
def rules_from(definition: str) -> Rules:
    """Read a stored definition once; LedgerCorrupt where it cannot be one of ours."""
    try:
        budget = budget_from(json.loads(definition))
    except (TypeError, ValueError) as error:
        raise LedgerCorrupt(
            f"a budget's stored definition cannot be read ({error}); run `tokencalc verify`, and restore a backup",
            ledger="",
        ) from error
    details = budget.period == "run" or any(
        key in {"model", "provider"} or key.startswith("tag:") for key in budget.scope
    )
    return Rules(
        budget=budget,
        limit_pico=budget.limit_pico,
        needs_details=details,
    )
