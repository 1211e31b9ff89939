"""The summary as Markdown: safe for names that carry markup, readable as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokencalc.clock import instant_text
from tokencalc.money import dollars_text
from tokencalc.reports.document import alerts_passed
from tokencalc.reports.shares import percent_text, share_of
from tokencalc.reports.tables import markdown_table
from tokencalc.reports.text import markdown_code, markdown_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from decimal import Decimal

    from tokencalc.ledger.report import ReportRow
    from tokencalc.reports.summary import Summary

_TITLES = {"model": "Model", "agent_id": "Agent", "operation": "Operation", "project": "Project", "day": "Day"}
MOST_ROWS = 50
"""Rows of one table; the machine formats have all of them."""


def summary_markdown(summary: Summary, *, title: str = "LLM cost report") -> str:
    """Return the whole report as Markdown text."""
    return "\n".join([f"# {markdown_text(title)}", "", *_head(summary), *_sections(summary), *_tail(summary)]) + "\n"


def _head(summary: Summary) -> Iterator[str]:
    total = summary.total
    yield f"**{dollars_text(total.cost_usd)}** for {total.calls:,} calls{_span(summary)}."
    yield ""
    if summary.notional_calls:
        yield (
            f"- Notional: {dollars_text(summary.notional_usd)} of it ({summary.notional_calls:,} calls) is list price "
            "of calls that a subscription paid for; nobody is billed that sum."
        )
    if summary.saving.calls:
        yield (
            f"- Caching saved {dollars_text(summary.saving.saved_usd)} over {summary.saving.calls:,} calls, against "
            "the same tokens at the plain input rate."
        )
    if summary.unpriced_calls:
        yield f"- Not in the total, or only in part: {summary.unpriced_calls:,} calls (see *Could not be priced*)."
    yield f"- Prices checked on {summary.prices_checked_on.isoformat()}."
    yield ""


def _span(summary: Summary) -> str:
    if summary.first_at is None or summary.last_at is None:
        return ""
    first, last = summary.first_at.date(), summary.last_at.date()
    return f" on {first.isoformat()}" if first == last else f" from {first.isoformat()} to {last.isoformat()}"


def _sections(summary: Summary) -> Iterator[str]:
    total = summary.total.cost_usd
    for key, rows in summary.sections.items():
        # One row says no more than the total does.
        if len(rows) < 2 and key != "model":  # noqa: PLR2004
            continue
        yield f"## By {_TITLES[key].lower()}"
        yield ""
        heads = (_TITLES[key], "Cost", "Share", "Calls", "Input", "Cache read", "Cache write", "Output")
        yield from markdown_table(heads, [_cells(row, key, total) for row in rows], most=MOST_ROWS)


def _cells(row: ReportRow, key: str, total: Decimal) -> tuple[str, ...]:
    name = row.key[key]
    return (
        markdown_code(name) if name not in (None, "") else "(none)",
        cost_text(row),
        percent_text(share_of(row.cost_usd, total)),
        f"{row.calls:,}",
        f"{row.input_tokens:,}",
        f"{row.cache_read_tokens:,}",
        f"{row.cache_write_tokens:,}",
        f"{row.output_tokens:,}",
    )


def cost_text(row: ReportRow) -> str:
    """Return a row's cost for people, with how many of its calls have no whole price."""
    if not row.unpriced_calls:
        return dollars_text(row.cost_usd)
    known = f"{dollars_text(row.cost_usd)} + " if row.cost_pico else ""
    return f"{known}{row.unpriced_calls:,} unpriced"


def _tail(summary: Summary) -> Iterator[str]:
    if summary.budgets:
        yield "## Budgets"
        yield ""
        heads = ("Budget", "Period", "Limit", "Spent", "Held", "Used", "Alerts passed")
        yield from markdown_table(
            heads,
            [
                (
                    markdown_code(status.name if not status.scope_value else f"{status.name} {status.scope_value}"),
                    markdown_code(status.period.key),
                    dollars_text(status.limit_usd),
                    dollars_text(status.spent_usd),
                    dollars_text(status.held_usd),
                    percent_text(share_of(status.spent_usd, status.limit_usd)),
                    ", ".join(f"{percent} %" for percent in alerts_passed(status)) or "none",
                )
                for status in summary.budgets
            ],
        )
    if summary.unpriced:
        yield "## Could not be priced"
        yield ""
        yield "What has a price of these calls is in the total; the rest is not."
        yield ""
        rows = [
            (
                markdown_code(item.model),
                f"{item.calls:,}",
                ", ".join(meter.value for meter in item.meters) or "everything",
                markdown_text(item.reason),
            )
            for item in summary.unpriced
        ]
        yield from markdown_table(("Model", "Calls", "Without a price", "Why"), rows, texts=(0, 2, 3), most=MOST_ROWS)
    yield f"Made by tokencalc at {instant_text(summary.made_at)}; every digit is in the JSON report."
