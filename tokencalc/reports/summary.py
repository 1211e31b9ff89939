"""One summary of a ledger: totals, shares, caching, what could not be priced, and the age of the prices.

The sums and what is unpriced come from the ledger's own report; caching needs each
entry, which are read in one pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokencalc.money import usd_from_pico
from tokencalc.reports.corrected import Corrections
from tokencalc.reports.saving import CacheSaving, saving_of

if TYPE_CHECKING:
    from datetime import date, datetime
    from decimal import Decimal

    from tokencalc.budgets.setting import BudgetStatus
    from tokencalc.engine import Engine
    from tokencalc.ledger.records import Entry
    from tokencalc.ledger.report import Report, ReportRow
    from tokencalc.ledger.unpriced import Unpriced

SECTIONS = ("model", "agent_id", "operation", "project", "day")
"""What a summary is broken down by, in the order in which it is shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Where the money of a ledger went, between ``first_at`` and ``last_at``.

    ``notional_usd`` is the part of the total that a subscription paid for: a list
    price, not an invoice. ``sections`` holds rows by each key of `SECTIONS`.
    """

    made_at: datetime
    since: datetime | None
    until: datetime | None
    timezone: str
    first_at: datetime | None
    last_at: datetime | None
    total: ReportRow
    notional_usd: Decimal
    notional_calls: int
    unpriced_calls: int
    sections: dict[str, tuple[ReportRow, ...]]
    saving: CacheSaving
    unpriced: tuple[Unpriced, ...]
    budgets: tuple[BudgetStatus, ...]
    prices_checked_on: date
    prices_age_days: int


def summarise(  # noqa: PLR0913  # an interval, its zone and what to show
    engine: Engine,
    *,
    now: datetime,
    since: datetime | None = None,
    until: datetime | None = None,
    timezone: str = "UTC",
    budgets: tuple[BudgetStatus, ...] | None = None,
) -> Summary:
    """Return the summary of the entries in ``[since, until)``; both ends open where None.

    ``budgets`` are the statuses to show; the current ones where None.
    """

    def report(*keys: str) -> Report:
        return engine.report(group_by=keys, since=since, until=until, timezone=timezone)

    notional = [row for row in report("notional").rows if row.notional]
    by_model = report("model")
    details = _Details(engine)
    for entry in engine.entries(since=since, until=until):
        details.see(entry)
    return Summary(
        made_at=now,
        since=since,
        until=until,
        timezone=timezone,
        first_at=details.first_at,
        last_at=details.last_at,
        total=by_model.total,
        notional_usd=usd_from_pico(sum(row.cost_pico for row in notional)),
        notional_calls=sum(row.calls for row in notional),
        unpriced_calls=by_model.unpriced_calls,
        sections={key: _sorted(report(key), key) for key in SECTIONS},
        saving=details.saving,
        unpriced=by_model.unpriced,
        budgets=engine.budget_statuses() if budgets is None else budgets,
        prices_checked_on=engine.catalog.checked_on,
        prices_age_days=engine.catalog.age_days(now),
    )


def dearest_first(rows: tuple[ReportRow, ...] | list[ReportRow]) -> tuple[ReportRow, ...]:
    """Return rows by falling cost; equal ones by their keys, so that the order is always the same."""
    return tuple(sorted(rows, key=lambda row: (-row.cost_pico, tuple(str(value) for value in row.key.values()))))


def _sorted(report: Report, key: str) -> tuple[ReportRow, ...]:
    if key == "day":
        return tuple(sorted(report.rows, key=lambda row: str(row.key["day"])))
    return dearest_first(tuple(report.rows))


class _Details:
    """What only a look at each entry tells."""

    def __init__(self, engine: Engine) -> None:
        self.first_at: datetime | None = None
        self.last_at: datetime | None = None
        self.saving = CacheSaving()
        self._engine = engine
        self._corrections = Corrections()

    def see(self, entry: Entry) -> None:
        if entry.kind == "budget":
            return
        self.first_at = entry.at if self.first_at is None else min(self.first_at, entry.at)
        self.last_at = entry.at if self.last_at is None else max(self.last_at, entry.at)
        seen = self._corrections.see(entry)
        if seen is not None:
            self.saving += saving_of(self._engine, seen)
