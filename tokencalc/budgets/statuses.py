"""Reading the state of a budget's instances: counters from the writer, history from the book."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokencalc.budgets import setting
from tokencalc.budgets.budget import ANY_VALUE
from tokencalc.errors import CallInvalid
from tokencalc.ledger import query
from tokencalc.ledger.store import Step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokencalc.budgets.setting import BudgetStatus
    from tokencalc.ledger.sqlite import SqliteStore

_NAMED_INSTANCES = 5


def the_instance(name: str, found: Sequence[BudgetStatus]) -> BudgetStatus:
    """Return a budget's only instance; CallInvalid where its scope has a star, with the instances that there are."""
    if found and ANY_VALUE not in found[0].budget.scope.values():
        return found[0]
    known = sorted(status.scope_value for status in found if status.scope_value)
    some = ", ".join(repr(value) for value in known[:_NAMED_INSTANCES]) or "none yet"
    more = f" and {len(known) - _NAMED_INSTANCES} more" if len(known) > _NAMED_INSTANCES else ""
    raise CallInvalid(
        f"value: budget {name!r} has an instance, with a limit of its own, for each value of its *; expected one of "
        f"them ({some}{more}), found none. budget_statuses and `tokencalc budget list` answer for all",
        path="value",
        found=None,
    )


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
