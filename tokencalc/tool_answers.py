"""What each action of the tool answers: plain mappings with Decimals, made from the engine's verbs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tokencalc.budgets.budget import scope_value
from tokencalc.context import Attribution
from tokencalc.errors import (
    BudgetUnknown,
    CallInvalid,
    HoldNotOpen,
    HoldUnknown,
    IdempotencyConflict,
    LedgerError,
    TokencalcError,
    UsageSpooled,
)
from tokencalc.ledger.records import DIMENSION_KEYS, Dimension
from tokencalc.money import usd_from_pico
from tokencalc.periods import PeriodKind, period_at
from tokencalc.pricing.evaluate import check_context
from tokencalc.providers.registry import read_usage
from tokencalc.reports.document import budget_document, row_document, unpriced_document
from tokencalc.usage import INPUT_METERS, OUTPUT_METERS, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime
    from decimal import Decimal

    from tokencalc.budgets.setting import BudgetStatus
    from tokencalc.cost import CostLine
    from tokencalc.engine import Engine
    from tokencalc.ledger.records import Entry
    from tokencalc.ledger.report import Report

Payload = dict[str, Any]

CALLERS_MISTAKES = (BudgetUnknown, HoldUnknown, HoldNotOpen, IdempotencyConflict)
"""A name or a key that the caller got wrong: it says nothing about the ledger's health."""

_TOKEN_FIELDS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")


def estimate_answer(engine: Engine, read: Mapping[str, Any]) -> Payload:
    """Tokens and cost before the call, split into input and output, with the worst case and the method."""
    estimate = engine.estimate(**read)
    lines, catalog = estimate.cost.lines, engine.catalog
    stale = catalog.stale_note(estimate.provider, estimate.cost.at)
    return {
        "model": estimate.model,
        "provider": estimate.provider,
        "input_tokens": estimate.input_tokens,
        "input_tokens_low": estimate.low,
        "input_tokens_high": estimate.high,
        "method": estimate.method,
        "output_tokens": estimate.output_tokens,
        "output_tokens_max": estimate.output_tokens_max,
        "output_method": estimate.output_method,
        "total_tokens": estimate.input_tokens + estimate.output_tokens,
        "input_cost_usd": _sum_usd(line for line in lines if line.meter in INPUT_METERS),
        "output_cost_usd": _sum_usd(line for line in lines if line.meter in OUTPUT_METERS),
        "cost_usd": estimate.cost_usd,
        "cost_max_usd": estimate.cost_max_usd,
        "unaccounted": list(estimate.unaccounted),
        "notes": [*estimate.notes, *([stale] if stale else [])],
        "cards": list(estimate.cards),
        "price_table_checked_on": catalog.checked_on,
    }


def optimize_answer(engine: Engine, read: Mapping[str, Any]) -> Payload:
    """The text in fewer tokens, every change with what it saves, and cheaper models of the same class."""
    advice = engine.optimize_prompt(**read)
    return {
        "model": advice.model,
        "provider": advice.provider,
        "method": advice.method,
        "text": advice.text,
        "input_tokens": advice.input_tokens,
        "input_tokens_after": advice.input_tokens_after,
        "tokens_saved": advice.tokens_saved,
        "input_cost_usd": advice.input_cost_usd,
        "input_cost_after_usd": advice.input_cost_after_usd,
        "saved_usd": advice.saved_usd,
        "changes": [asdict(change) for change in advice.changes],
        "output_tokens": advice.output_tokens,
        "cost_usd": advice.cost_usd,
        "cheaper_models": [{**asdict(model), "cards": list(model.cards)} for model in advice.cheaper],
        "notes": list(advice.notes),
        "price_table_checked_on": engine.catalog.checked_on,
    }


def _sum_usd(lines: Iterable[CostLine]) -> Decimal:
    return usd_from_pico(sum(line.amount_pico for line in lines))


def track_answer(opened: Callable[[], Engine], read: Mapping[str, Any], *, now: datetime) -> Payload:
    """Book what a call used, and answer with the entry, the day's spend and the budgets that it fell in.

    A ledger that fails after the call is no failure of the caller's: the usage waits
    in the spool, and the answer says so. Where that fails too, and where the ledger
    cannot be opened at all, the whole call comes back in the error, under ``retry``,
    with its instant fixed, so that nothing is lost and a retry books the same entry.
    """
    call = _call(read)
    try:
        engine = opened()
    except (TokencalcError, OSError) as error:
        _refuse_mistakes(call)
        raise _not_booked(error, read, now) from error
    try:
        entry = engine.record(**call)
    except CALLERS_MISTAKES:
        raise
    except UsageSpooled as spooled:
        return {
            "entry_id": None,
            "spooled": True,
            "spool": spooled.path,
            "idempotency_key": spooled.key,
            "model": read.get("model"),
            "at": read.get("at", now),
            "notes": [spooled.message],
        }
    except (LedgerError, OSError) as error:
        raise _not_booked(error, read, now) from error
    answer = _entry_values(entry)
    try:
        answer["daily_spend_usd"] = _spend_of_day(engine, entry.at)
        answer["budgets"] = [budget_document(status) for status in _statuses_of(engine, entry)]
    except LedgerError as error:
        # The entry is on disk: a failing second look must not make the caller book it again.
        answer["notes"] = [*answer["notes"], f"booked; the day's spend could not be read: {error.message}"]
    return answer


def _call(read: Mapping[str, Any]) -> Payload:
    """The arguments of `record`: plain counts become one usage, or the given usage passes through."""
    counts = {name: read[name] for name in _TOKEN_FIELDS if name in read}
    call = {name: value for name, value in read.items() if name not in _TOKEN_FIELDS}
    if "usage" in call and counts:
        raise CallInvalid(
            f"track_usage: usage and {', '.join(counts)} were both given; give one of them", path="usage", found=counts
        )
    if "usage" in call:
        return call
    lacking = [name for name in ("input_tokens", "output_tokens") if name not in counts]
    if lacking and (counts or "cost_usd" not in call):
        raise CallInvalid(
            f"track_usage: missing {' and '.join(lacking)}; give input_tokens and output_tokens, or usage, "
            "or cost_usd alone",
            path=lacking[0],
            found=None,
            missing=tuple(lacking),
        )
    if counts:
        call["usage"] = Usage(**counts)
    return call


def _refuse_mistakes(call: Mapping[str, Any]) -> None:
    """Refuse what no ledger could ever book, so that nobody is told to keep it for later."""
    Attribution(tags=call.get("tags", {}))
    check_context(call.get("context", {}))
    if "usage" in call:
        read_usage(call["usage"], call.get("provider"))


def _not_booked(error: TokencalcError | OSError, read: Mapping[str, Any], now: datetime) -> TokencalcError:
    """The same failure, carrying the call that it must not lose, in plain values."""
    retry = {**read, "at": read.get("at", now)}
    if not isinstance(read.get("usage"), Mapping | None):
        retry["usage"] = read_usage(read["usage"], read.get("provider"))
    kind = type(error) if isinstance(error, TokencalcError) else LedgerError
    values = error.values if isinstance(error, TokencalcError) else {}
    message = (
        f"{str(error).rstrip('.')}. This usage was NOT booked: repeat track_usage with the arguments in 'retry' "
        "once the ledger works again"
    )
    return kind(message, **{**values, "booked": False, "retry": retry})


def _entry_values(entry: Entry) -> Payload:
    return {
        "entry_id": entry.entry_id,
        "spooled": False,
        "replayed": entry.replayed,
        "provider": entry.provider,
        "model": entry.model,
        "at": entry.at,
        "cost_usd": entry.amount_usd,
        "amount_source": entry.amount_source,
        "caller_cost_usd": entry.caller_cost_usd,
        "billed_usd": entry.billed_usd,
        "cost_mismatch": bool(entry.cost_gap_usd),
        "cost_gap_usd": entry.cost_gap_usd,
        "unpriced": [str(meter) for meter in entry.unpriced],
        "notes": list(entry.notes),
    }


def _spend_of_day(engine: Engine, instant: datetime) -> Decimal:
    day = period_at("day", instant, timezone=engine.settings.timezone)
    spent: Decimal = engine.report(group_by=("provider",), since=day.start, until=day.end).total.cost_usd
    return spent


def _statuses_of(engine: Engine, entry: Entry) -> list[BudgetStatus]:
    dimension = Dimension(**{key: getattr(entry, key) or "" for key in DIMENSION_KEYS}, notional=entry.notional)
    found = []
    for budget in engine.budgets():
        if entry.notional and not budget.notional:
            continue
        value = scope_value(budget.scope, dimension, entry.tags)
        if value is not None:
            found.append(engine.budget_status(budget.name, value, at=entry.at))
    return found


def budget_answer(engine: Engine, read: Mapping[str, Any]) -> Payload:
    """One budget's status, or every budget's, and whether an amount would still fit."""
    name = read.get("name", read.get("budget"))
    if "name" in read and "budget" in read and read["name"] != read["budget"]:
        raise CallInvalid("check_budget: name and budget are two different names; give one", path="name", found=name)
    if name is None and "scope_value" in read:
        raise CallInvalid("check_budget: scope_value needs the budget's name", path="name", found=None)
    statuses = engine.budget_statuses() if name is None else (engine.budget_status(name, read.get("scope_value")),)
    budgets = [budget_document(status) for status in statuses]
    answer: Payload = {"budgets": budgets}
    if "amount_usd" in read:
        for values in budgets:
            values["fits"] = read["amount_usd"] <= values["available_usd"]
        refusing = [values["budget"] for values in budgets if values["policy"] == "hard" and not values["fits"]]
        answer |= {"amount_usd": read["amount_usd"], "allowed": not refusing, "refused_by": refusing}
    return {**budgets[0], **answer} if name is not None else answer


def _interval(read: Mapping[str, Any], *, now: datetime, timezone: str) -> tuple[datetime | None, datetime | None]:
    """Since and until: as given, or the ends of the period that now lies in."""
    since, until = read.get("since"), read.get("until")
    if "period" in read:
        if since is not None or until is not None:
            raise CallInvalid(
                "period: give either a period or since and until, not both", path="period", found=read["period"]
            )
        kind: PeriodKind = read["period"]
        period = period_at(kind, now, timezone=timezone)
        return period.start, period.end
    if since is not None and until is not None and until <= since:
        raise CallInvalid("until: expected an instant after since", path="until", found=until)
    return since, until


def _report(engine: Engine, read: Mapping[str, Any], group_by: tuple[str, ...], *, now: datetime) -> Report:
    timezone = read.get("timezone", engine.settings.timezone)
    since, until = _interval(read, now=now, timezone=timezone)
    where = {key: read[key] for key in DIMENSION_KEYS if key in read}
    return engine.report(group_by=group_by, since=since, until=until, where=where or None, timezone=timezone)


def report_answer(engine: Engine, read: Mapping[str, Any], *, now: datetime) -> Payload:
    """Cost, calls and tokens by the wanted keys, with their total."""
    group_by = read.get("group_by", ("provider", "model"))
    report = _report(engine, read, group_by, now=now)
    paid_otherwise = _report(engine, read, ("notional",), now=now)
    return {
        "group_by": list(group_by),
        "since": report.since,
        "until": report.until,
        "rows": [row_document(row) for row in report.rows],
        "total": row_document(report.total),
        "total_cost_usd": report.total.cost_usd,
        "notional_usd": usd_from_pico(sum(row.cost_pico for row in paid_otherwise.rows if row.notional)),
        "unpriced_calls": report.unpriced_calls,
        "unpriced": [unpriced_document(item) for item in report.unpriced],
    }


def breakdown_answer(engine: Engine, read: Mapping[str, Any], *, now: datetime) -> Payload:
    """Shares of the cost for each provider, model, agent and operation of what the filters leave."""
    answer: Payload = {}
    for name, key in (
        ("providers", "provider"),
        ("models", "model"),
        ("agents", "agent_id"),
        ("operations", "operation"),
    ):
        report = _report(engine, read, (key,), now=now)
        answer[name] = [row_document(row, report.total.cost_usd) for row in report.rows]
    return {
        "total_cost_usd": report.total.cost_usd,
        "calls": report.total.calls,
        "unpriced_calls": report.unpriced_calls,
        "since": report.since,
        "until": report.until,
        **answer,
    }
