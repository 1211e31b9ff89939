"""Reading the state of a budget's instances: counters from the writer, history from the book."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokencalc.budgets import setting
from tokencalc.ledger import query
from tokencalc.ledger.store import Step

if TYPE_CHECKING:
    from tokencalc.budgets.setting import BudgetStatus
    from tokencalc.ledger.sqlite import SqliteStore


def read_statuses(
    store: SqliteStore, name: str, *, value: str | None, at_us: int | None, run: str
) -> list[BudgetStatus]:
    """Return the statuses of one instance, or of all where ``value`` is None, with excess and crossings."""
    found = store.writer.run(
        Step(lambda transaction: setting.status(transaction, name, value=value, at_us=at_us, run=run))
    )
    with store.reading() as connection:
        return [
            setting.with_history(
                status,
                excess=query.excess(connection, period_id, store.chain_id),
                crossings=query.crossings(connection, period_id=period_id),
            )
            for period_id, status in found
        ]
