"""A breakdown for machines and pages: JSON, JSON Lines, CSV with every digit; Markdown for people.

The rows of each machine format add up to the ledger, to the pico-dollar. Amounts
are text without exponent, and what is not known is null, or an empty cell.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from tokencalc.jsontext import json_value, to_json
from tokencalc.money import dollars_text
from tokencalc.reports.document import budget_document, row_document, unpriced_document
from tokencalc.reports.markdown import MOST_ROWS, cost_text
from tokencalc.reports.shares import percent_text
from tokencalc.reports.tables import markdown_table
from tokencalc.reports.text import csv_cell, markdown_code, markdown_text
from tokencalc.reports.words import before_text, budget_name, changes_by_group, forecast_text, run_out_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tokencalc.reports.advice import Advice, Advised
    from tokencalc.reports.before import Change, Comparison
    from tokencalc.reports.breakdown import Breakdown, Line
    from tokencalc.reports.forecast import Forecast
    from tokencalc.reports.outlook import Outlook, RunOut

ROWS_SCHEMA = "tokencalc.rows/1"
"""Name and version of the JSON document; the number grows when a reader would have to change."""

ROW_SCHEMA = "tokencalc.row/1"
"""Name and version of one line of JSON Lines."""


def breakdown_document(
    found: Breakdown, outlook: Outlook | None = None, advised: Advised | None = None
) -> dict[str, Any]:
    """Return everything that a report says as plain values; `to_json` writes them."""
    report = found.report
    return {
        "schema": ROWS_SCHEMA,
        "made_at": found.made_at,
        "group_by": list(report.group_by),
        "since": report.since,
        "until": report.until,
        "timezone": report.timezone,
        "rows": [line_document(line) for line in found.lines],
        "total": line_document(found.total),
        "total_cost_usd": report.total.cost_usd,
        "notional_usd": found.notional_usd,
        "notional_calls": found.notional_calls,
        "unpriced_calls": report.unpriced_calls,
        "unpriced": [unpriced_document(item) for item in report.unpriced],
        "comparison": None if found.comparison is None else comparison_document(found.comparison),
        "forecast": None if outlook is None else _forecast_document(outlook.forecast, outlook.reason),
        "budgets": [] if outlook is None else [run_out_document(item) for item in outlook.run_outs],
        "advice": None if advised is None else advised_document(advised),
    }


def line_document(line: Line) -> dict[str, Any]:
    """Return one group as plain values; ``cache_saved_usd`` is null where nobody looked at each call."""
    saving = line.saving
    return {
        **row_document(line.row),
        "share": line.share,
        "cost_per_call_usd": line.cost_per_call_usd,
        "efficiency": line.efficiency,
        "cache_saved_usd": None if saving is None else saving.saved_usd,
        "cache_calls_left_out": None if saving is None else saving.left_out,
    }


def comparison_document(comparison: Comparison) -> dict[str, Any]:
    """Return what changed since the period before, as plain values."""
    now, before, whole = comparison.stretches
    return {
        "since": now.since,
        "until": now.until,
        "before_since": before.since,
        "before_until": before.until,
        "total": _change_document(comparison.total),
        "rows": [_change_document(row) for row in comparison.rows],
        "whole_before": {"since": whole.since, "until": whole.until, **row_document(comparison.whole_before)},
    }


def _change_document(change: Change) -> dict[str, Any]:
    return {
        **change.key,
        "cost_usd": change.now.cost_usd,
        "before_usd": change.before.cost_usd,
        "change_usd": change.change_usd,
        "change_share": change.change_share,
        "calls": change.now.calls,
        "before_calls": change.before.calls,
        "unpriced_calls": change.now.unpriced_calls,
        "before_unpriced_calls": change.before.unpriced_calls,
    }


def _forecast_document(forecast: Forecast | None, reason: str) -> dict[str, Any]:
    if forecast is None:
        return {"expected_usd": None, "reason": reason}
    return {
        "until": forecast.until,
        "spent_usd": forecast.spent_usd,
        "expected_usd": forecast.expected_usd,
        "low_usd": forecast.low_usd,
        "high_usd": forecast.high_usd,
        "method": forecast.method,
        "days": forecast.days,
        "days_since": forecast.days_since,
    }


def run_out_document(item: RunOut) -> dict[str, Any]:
    """Return a budget's status with the day on which it runs out, as plain values."""
    return {
        **budget_document(item.status),
        "is_used_up": item.is_used_up,
        "runs_out_on": item.day,
        "runs_out_earliest": item.earliest,
        "runs_out_latest": item.latest,
        "runs_out_unknown": item.reason or None,
    }


def advised_document(advised: Advised) -> dict[str, Any]:
    """Return all advice as plain values."""
    return {
        "calls": advised.calls,
        "left_out_calls": advised.left_out,
        "is_cut": advised.is_cut,
        "items": [_advice_document(item) for item in advised.advice],
    }


def _advice_document(item: Advice) -> dict[str, Any]:
    return {
        "kind": item.kind,
        **item.key,
        "calls": item.calls,
        "cost_usd": item.cost_usd,
        "after_usd": item.after_usd,
        "saved_usd": item.saved_usd,
        "says": item.says,
        "provided": item.provided,
        **item.values,
    }


def breakdown_json(found: Breakdown, outlook: Outlook | None = None, advised: Advised | None = None) -> str:
    """Return the whole document as indented JSON with a final newline."""
    return to_json(breakdown_document(found, outlook, advised), indent=2) + "\n"


def breakdown_jsonl(found: Breakdown) -> str:
    """Return one line of JSON for each row, without a total, so that the lines can be added up."""
    return "".join(f"{to_json({'schema': ROW_SCHEMA, **line_document(line)})}\n" for line in found.lines)


def breakdown_csv(found: Breakdown) -> str:
    """Return a table with heads, one line for each row and no total; no cell is a formula."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    figures = [name for name in line_document(found.total) if name not in found.report.group_by]
    writer.writerow([*map(csv_cell, found.report.group_by), *figures])
    for line in found.lines:
        values = line_document(line)
        names = [csv_cell(json_value(values[key])) for key in found.report.group_by]
        writer.writerow([*names, *("" if (value := json_value(values[name])) is None else value for name in figures)])
    return out.getvalue()


def breakdown_markdown(found: Breakdown, outlook: Outlook | None = None, advised: Advised | None = None) -> str:
    """Return the rows as a Markdown table with a total, and what follows from them."""
    return "\n".join([*_table(found), *_after(found, outlook), *_advice_lines(advised)]) + "\n"


def _table(found: Breakdown) -> Iterator[str]:
    keys, changes = found.report.group_by, changes_by_group(found.comparison)
    heads = [*map(markdown_text, keys), "Cost", "Share", "Calls", "A call", "Input", "Cache read", "Output", "Out/in"]
    heads += [*(["Change"] if changes else []), *(["Saved by caching"] if found.total.saving is not None else [])]
    rows = [(*(_name(line.row.key[key]) for key in keys), *_figures(line, changes)) for line in found.lines]
    total = (*("**Total**", *("" for _ in keys[1:]))[: len(keys)], *_figures(found.total, changes))
    yield from markdown_table(heads, rows if keys else (), texts=range(len(keys)), most=MOST_ROWS, total=total)
    if found.report.unpriced_calls:
        yield f"Not in the total, or only in part: {found.report.unpriced_calls:,} calls without a whole price."
        yield ""


def _name(value: object) -> str:
    return "(none)" if value in (None, "") else markdown_code(value)


def _figures(line: Line, changes: Mapping[tuple[object, ...], str]) -> Iterator[str]:
    row, per_call, saving = line.row, line.cost_per_call_usd, line.saving
    yield cost_text(row)
    yield percent_text(line.share)
    yield f"{row.calls:,}"
    yield "-" if per_call is None else dollars_text(per_call)
    yield f"{row.input_tokens:,}"
    yield f"{row.cache_read_tokens:,}"
    yield f"{row.output_tokens:,}"
    yield "-" if line.efficiency is None else f"{line.efficiency:.3f}"
    if changes:
        yield changes.get(tuple(row.key.values()), "-")
    if saving is not None:
        yield dollars_text(saving.saved_usd) if saving.calls else "-"


def _after(found: Breakdown, outlook: Outlook | None) -> Iterator[str]:
    if found.comparison is not None:
        yield f"- Before: {before_text(found.comparison)}."
    if outlook is None:
        return
    yield f"- Forecast: {forecast_text(outlook)}."
    for item in outlook.run_outs:
        yield f"- Budget {markdown_code(budget_name(item))}: {run_out_text(item)}."


def _advice_lines(advised: Advised | None) -> Iterator[str]:
    if advised is None:
        return
    for item in advised.advice[:MOST_ROWS]:
        whose = ", ".join(markdown_code(value) for value in item.key.values() if value)
        yield (
            f"- {whose}: {markdown_text(item.says)}: saves {dollars_text(item.saved_usd)} of "
            f"{dollars_text(item.cost_usd)}, if {markdown_text(item.provided)}."
        )
    if not advised.advice:
        yield f"- Of {advised.calls:,} calls that were looked at, no change with a saving was found."
