"""The summary as a JSON document: schema versioned, every digit, amounts as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tokencalc.jsontext import to_json
from tokencalc.money import pico_from_usd
from tokencalc.reports.shares import share_of

if TYPE_CHECKING:
    from decimal import Decimal

    from tokencalc.budgets.setting import BudgetStatus
    from tokencalc.ledger.report import ReportRow
    from tokencalc.ledger.unpriced import Unpriced
    from tokencalc.reports.summary import Summary

SCHEMA = "tokencalc.report/1"
"""Name and version of the document; the number grows when a reader would have to change."""


def summary_document(summary: Summary) -> dict[str, Any]:
    """Return the summary as plain values; `to_json` writes it."""
    total = summary.total.cost_usd
    return {
        "schema": SCHEMA,
        "made_at": summary.made_at,
        "since": summary.since,
        "until": summary.until,
        "timezone": summary.timezone,
        "first_at": summary.first_at,
        "last_at": summary.last_at,
        "total": {
            **row_document(summary.total),
            "notional_usd": summary.notional_usd,
            "notional_calls": summary.notional_calls,
            "unpriced_calls": summary.unpriced_calls,
        },
        "caching": {
            "saved_usd": summary.saving.saved_usd,
            "calls": summary.saving.calls,
            "left_out_calls": summary.saving.left_out,
        },
        "by": {key: [row_document(row, total) for row in rows] for key, rows in summary.sections.items()},
        "unpriced": [unpriced_document(item) for item in summary.unpriced],
        "budgets": [budget_document(status) for status in summary.budgets],
        "prices": {"checked_on": summary.prices_checked_on, "age_days": summary.prices_age_days},
    }


def summary_json(summary: Summary) -> str:
    """Return the document as indented JSON text with a final newline."""
    return to_json(summary_document(summary), indent=2) + "\n"


def row_document(row: ReportRow, total_usd: Decimal | None = None) -> dict[str, Any]:
    """Return a row as plain values; with its share where the total is handed in."""
    values: dict[str, Any] = {
        **row.key,
        "cost_usd": row.cost_usd,
        "calls": row.calls,
        "unpriced_calls": row.unpriced_calls,
        "input_tokens": row.input_tokens,
        "output_tokens": row.output_tokens,
        "cache_read_tokens": row.cache_read_tokens,
        "cache_write_tokens": row.cache_write_tokens,
        "reasoning_tokens": row.reasoning_tokens,
    }
    if total_usd is not None:
        values["share"] = share_of(row.cost_usd, total_usd)
    return values


def unpriced_document(item: Unpriced) -> dict[str, Any]:
    """Return calls without a whole price as plain values: of which model, which meters, why, how many."""
    return {
        "provider": item.provider,
        "model": item.model,
        "meters": [meter.value for meter in item.meters],
        "reason": item.reason,
        "calls": item.calls,
    }


def budget_document(status: BudgetStatus) -> dict[str, Any]:
    """Return a budget's status as plain values, with the alerts that it has passed."""
    return {
        "budget": status.name,
        "scope": dict(status.budget.scope),
        "scope_value": status.scope_value or None,
        "policy": status.budget.policy,
        "notional": status.budget.notional,
        "period": status.period.key,
        "timezone": status.budget.timezone,
        "resets_at": status.period.end,
        "limit_usd": status.limit_usd,
        "spent_usd": status.spent_usd,
        "held_usd": status.held_usd,
        "suspect_usd": status.suspect_usd,
        "available_usd": status.available_usd,
        "utilisation": status.utilisation,
        "alerts_passed": list(alerts_passed(status)),
        "unpriced_calls": status.unpriced_calls,
        "warnings": list(status.warnings),
        "excess": [
            {"reason": item.reason, "amount_usd": item.amount_usd, "entry_id": item.entry_id} for item in status.excess
        ],
    }


def alerts_passed(status: BudgetStatus) -> tuple[int, ...]:
    """Return the alert thresholds, in percent, that the spending has reached; with a limit of 0, any spending has."""
    spent_pico, limit_pico = (pico_from_usd(usd, name="usd") for usd in (status.spent_usd, status.limit_usd))
    return tuple(
        percent for percent in status.budget.alert_at if spent_pico > 0 and spent_pico * 100 >= limit_pico * percent
    )
