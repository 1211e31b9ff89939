"""What verify knows of a budget's periods without trusting their rows: bounds, limits, alerts, and who is held there.

All of it follows from the budget's definitions in the chain, the period's key and
the holds. A period that is over keeps the limit that held then, or one that came
later, if its row was only made then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tokencalc.budgets.budget import rules_from
from tokencalc.budgets.covering import call_of_hold, covering_values, period_bounds
from tokencalc.errors import LedgerCorrupt
from tokencalc.ledger.records import hold_id
from tokencalc.ledger.rows import decoding

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tokencalc.budgets.budget import Rules
    from tokencalc.ledger.audit import Audit, CountedPeriod, NotedCrossing
    from tokencalc.ledger.store import HoldRow

    RulesSaid = Sequence[tuple[int, Rules]]
    """When a budget was set, and to what, in the order of the chain."""
    Where = tuple[int, int, str, str]


class Known(NamedTuple):
    """A budget in its current revision."""

    budget_id: int
    revision: int
    name: str
    rules: Rules

    def where(self, period: CountedPeriod) -> str:
        """Name one of its periods, for people."""
        return f"budget {self.name!r} {period.scope_value} {period.period_key}"


def rules_said(book: Audit, name: str) -> RulesSaid:
    """Return what the chain says of a budget since it covers what it covers; nothing where that cannot be read."""
    said = book.definitions.get(name)
    try:
        return [] if said is None else [(set_us, rules_from(text)) for set_us, text in said.said]
    except LedgerCorrupt:
        return []  # a definition that was edited is a broken link of the chain, and named as such


def possible_rules(said: RulesSaid, end_us: int | None) -> list[Rules]:
    """Return the rules that a period with this end may have been written by last.

    Each change reaches every period that is not over then. So it is the last of those that found it open, or, where
    its row was made later, one that came after.
    """
    first = max((place for place, (set_us, _) in enumerate(said) if end_us is None or set_us < end_us), default=0)
    return [rules for _, rules in said[first:]]


def percents_of_all(possible: Sequence[Rules]) -> list[int]:
    """Return the thresholds that all of the rules have."""
    shared = set.intersection(*(set(rules.budget.alert_at) for rules in possible)) if possible else set()
    return sorted(shared)


def check_bounds(book: Audit, period: CountedPeriod, known: Known) -> None:
    """Compare key, start and end of a period with those that its budget's calendar gives."""
    found = (period.period_key, period.start_us, period.end_us)
    kind, timezone = known.rules.budget.period, known.rules.budget.timezone
    run = period.period_key.removeprefix("run ") if kind == "run" else ""
    try:
        should = period_bounds(kind, timezone, period.start_us or 0, run)
    except (OverflowError, ValueError):
        should = ("", None, None)
    if period.overflowed not in {0, 1}:
        book.problem(f"{known.where(period)}: its mark is {period.overflowed}, not 0 or 1")
    if found != should:
        book.problem(
            f"{known.where(period)}: it reaches from {period.start_us} to {period.end_us} us, "
            f"which is no {kind} of {timezone} with that key"
        )


def check_crossings(book: Audit, current: Mapping[tuple[int, int], Known], chain: Mapping[str, RulesSaid]) -> None:
    """Compare each crossing's limit, instants and whether its period was open with what can have been."""
    bounds = {period.period_id: (period.start_us, period.end_us) for period in book.periods()}
    for crossing in book.crossings():
        known = current.get((crossing.budget_id or 0, crossing.revision or 0))
        if known is None or crossing.period_id not in bounds:
            continue
        limits = {rules.limit_pico for _, rules in chain[known.name]}
        if (limits and crossing.limit_pico not in limits) or not _fits(crossing, *bounds[crossing.period_id]):
            book.problem(
                f"crossing {crossing.crossing_id} of budget {known.name!r}: its limit, its instants or whether its "
                "period was open cannot have been so"
            )


def _fits(crossing: NotedCrossing, start_us: int | None, end_us: int | None) -> bool:
    def holds(instant_us: int) -> bool:
        return (start_us is None or start_us <= instant_us) and (end_us is None or instant_us < end_us)

    is_possible = holds(crossing.at_us) or crossing.at_us == crossing.recorded_us
    return is_possible and crossing.in_open_period == holds(crossing.recorded_us)


class HeldChecks:
    """Which periods each hold must be counted in, by what it is about: as it was when it was reserved."""

    def __init__(self, book: Audit, budgets: Sequence[Known]) -> None:
        """Look at budgets as they are now; periods of earlier revisions are left as they are."""
        self._book = book
        self._budgets = budgets
        self._periods: dict[Where, int] = {}

    def add(self, period: CountedPeriod) -> None:
        """Take in a period of a current revision."""
        where = (period.budget_id, period.revision, period.scope_value, period.period_key)
        self._periods[where] = period.period_id

    def compare(self) -> None:
        """Compare every hold with the periods in which it is counted, when all of them are known."""
        known = set(self._periods.values())
        for hold in self._book.holds():
            try:
                with decoding("", f"hold {hold_id(self._book.chain_id, hold.hold_id)}"):
                    should, counted = self._covering(hold), known.intersection(hold.period_ids)
            except LedgerCorrupt as error:
                self._book.problem(error.message)
                continue
            # A budget may have been set after a hold that had ended by then: it never counted that one.
            if counted - should or (hold.state == "open" and should - counted):
                self._book.problem(
                    f"hold {hold_id(self._book.chain_id, hold.hold_id)} is counted in budget periods "
                    f"{sorted(counted)}, what it is about belongs to {sorted(should)}"
                )

    def _covering(self, hold: HoldRow) -> set[int]:
        call = call_of_hold(hold)
        found: set[int] = set()
        for budget_id, revision, name, rules in self._budgets:
            for value in covering_values(rules, name, call):
                key, _, _ = period_bounds(rules.budget.period, rules.budget.timezone, call.at_us, call.run)
                period_id = self._periods.get((budget_id, revision, value, key))
                if period_id is not None:
                    found.add(period_id)
        return found
