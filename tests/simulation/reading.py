"""Both sides in one form: what the package answers, and what the model says, as plain values that can be compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.simulation import model as m
from tokencalc import BudgetExceeded, TokencalcError
from tokencalc.ledger.records import Entry, Hold
from tokencalc.money import pico_from_usd

if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal

    from tests.simulation.model import Model
    from tokencalc import Budget, BudgetStatus, Engine
    from tokencalc.ledger.records import Crossing


def number(name: str | None) -> int | None:
    """Return the number at the end of an entry's or a hold's id."""
    return None if name is None else int(name.rpartition("-")[2][1:])


def pico(usd: Decimal) -> int:
    """Return whole pico-dollars."""
    return pico_from_usd(usd, name="found")


def found_answer(answer: object) -> object:
    """Return what the package answered, or the error that it raised."""
    if isinstance(answer, TokencalcError):
        return found_refusal(answer)
    if isinstance(answer, Hold):
        return (found_hold(answer), "replayed" if answer.replayed else "")
    if isinstance(answer, Entry):
        return (found_entry(answer), "replayed" if answer.replayed else "")
    if isinstance(answer, list | tuple):
        return [found_answer(one) for one in answer]
    return answer


def found_refusal(error: TokencalcError) -> m.No:
    """Return what an error says."""
    if isinstance(error, BudgetExceeded):
        said = [error.limit_usd, error.spent_usd, error.held_usd, error.suspect_usd, error.requested_usd]
        amounts = [pico(one) for one in (*said, error.available_usd)]
        return m.No("BudgetExceeded", (error.budget, error.values["scope_value"], *amounts, error.resets_at))
    state = error.values.get("state")
    return m.No(type(error).__name__, () if state is None else (state,))


def expected_answer(answer: Any, now: datetime) -> object:
    """Return what the model says that the answer is."""
    if isinstance(answer, list):
        return [expected_answer(one, now) for one in answer]
    if isinstance(answer, tuple) and isinstance(answer[0], m.Hold):
        return (expected_hold(answer[0], now), answer[1])
    if isinstance(answer, tuple) and isinstance(answer[0], m.Entry):
        return (expected_entry(answer[0]), answer[1])
    return answer


def found_hold(hold: Hold) -> tuple[object, ...]:
    """Return a hold of the package."""
    about = (hold.provider, hold.model, hold.agent_id, hold.user_id, hold.project, hold.run, hold.budgets)
    times = (hold.at, hold.expires_at, hold.idempotency_key, number(hold.entry_id), hold.over_limit)
    return (number(hold.hold_id), hold.state, hold.amount_pico, hold.expected_pico, *times, *about, tags_of(hold))


def expected_hold(hold: m.Hold, now: datetime) -> tuple[object, ...]:
    """Return a hold of the model."""
    who = hold.about
    about = tuple(one or None for one in (who.provider, who.model, who.agent_id, who.user_id, who.project, who.run))
    times = (hold.at, hold.expires, hold.key, hold.entry, hold.over_limit)
    return (hold.number, hold.seen(now), hold.amount, hold.expected, *times, *about, who.named, who.tags)


def tags_of(record: Hold | Entry) -> tuple[tuple[str, str], ...]:
    """Return the tags in order."""
    return tuple(sorted(record.tags.items()))


def found_entry(entry: Entry) -> tuple[object, ...]:
    """Return an entry of the package; a budget's carries only that it was set."""
    head = (entry.sequence, entry.kind, entry.at, entry.recorded_at)
    if entry.kind == "budget":
        return head
    about = (entry.provider, entry.model, entry.agent_id, entry.user_id, entry.project, entry.operation, entry.run)
    money = (entry.amount_pico, entry.amount_source, entry.caller_pico, entry.unpriced_calls)
    usage = None if entry.usage is None else (entry.usage.input_tokens, entry.usage.output_tokens)
    ends = (number(entry.hold_id), number(entry.corrects), entry.idempotency_key, entry.notional)
    return (*head, *money, usage, *ends, *about, entry.budgets, tags_of(entry))


def expected_entry(entry: m.Entry) -> tuple[object, ...]:
    """Return an entry of the model."""
    head = (entry.number, entry.kind, entry.at, entry.recorded)
    if entry.kind == "budget":
        return head
    who = entry.about
    said = (who.provider, who.model, who.agent_id, who.user_id, who.project, who.operation, who.run)
    money = (entry.amount, entry.source, entry.caller, entry.unpriced)
    ends = (entry.hold, entry.corrects, entry.key, who.notional)
    return (*head, *money, entry.tokens, *ends, *(one or None for one in said), who.named, who.tags)


def found_rule(budget: Budget) -> m.Rule:
    """Return a budget's definition."""
    scope = tuple(sorted(budget.scope.items()))
    limit = pico(budget.limit_usd)
    says = (budget.period, budget.timezone, scope, budget.policy, budget.alert_at, budget.notional)
    return m.Rule(budget.name, limit, *says)


def found_status(status: BudgetStatus) -> dict[str, object]:
    """Return a budget's state by the package."""
    return {
        "key": status.period.key,
        "start": status.period.start,
        "end": status.period.end,
        "limit": pico(status.limit_usd),
        "spent": pico(status.spent_usd),
        "held": pico(status.held_usd),
        "suspect": pico(status.suspect_usd),
        "available": pico(status.available_usd),
        "unpriced": status.unpriced_calls,
        "excess": tuple((one.reason, one.amount_pico, one.at, number(one.entry_id)) for one in status.excess),
        "crossed": frozenset(one.threshold_percent for one in status.crossings),
    }


def found_crossing(one: Crossing) -> tuple[object, ...]:
    """Return a threshold that was passed, by the package."""
    where = (one.budget, one.scope_value, one.period_key, one.threshold_percent)
    return (*where, one.at, one.recorded_at, one.spent_pico, one.limit_pico, one.in_open_period)


def found_book(engine: Engine) -> dict[str, object]:
    """Return everything that the package's book says, but for the budgets' states."""
    report = engine.report(group_by=("agent_id",))
    agents: dict[object, tuple[int, int, int]] = {}
    for row in report.rows:
        agent = row.key["agent_id"]
        agents[agent] = _plus(agents.get(agent, (0, 0, 0)), (row.cost_pico, row.calls, row.unpriced_calls))
    return {
        "budgets": [found_rule(budget) for budget in engine.budgets()],
        "entries": [found_entry(entry) for entry in engine.entries()][::-1],
        "holds": [found_hold(hold) for hold in engine.holds(limit=10_000)][::-1],
        "crossings": sorted((found_crossing(one) for one in engine.crossings()), key=repr),
        "agents": agents,
        "total": (report.total.cost_pico, report.total.calls, report.total.unpriced_calls),
    }


def expected_book(book: Model, now: datetime) -> dict[str, object]:
    """Return the same by the model."""
    agents: dict[str | None, tuple[int, int, int]] = {}
    total = (0, 0, 0)
    for entry in book.entries:
        if entry.kind != "budget":
            more = (entry.amount or 0, int(entry.kind == "charge"), entry.unpriced)
            agent = entry.about.agent_id or None
            agents[agent] = _plus(agents.get(agent, (0, 0, 0)), more)
            total = _plus(total, more)
    return {
        "budgets": list(book.rules.values()),
        "entries": [expected_entry(entry) for entry in book.entries if entry.kind != "budget"],
        "holds": [expected_hold(hold, now) for hold in book.holds.values()],
        "crossings": sorted(book.crossings, key=repr),
        "agents": agents,
        "total": total,
    }


def _plus(one: tuple[int, int, int], other: tuple[int, int, int]) -> tuple[int, int, int]:
    return (one[0] + other[0], one[1] + other[1], one[2] + other[2])
