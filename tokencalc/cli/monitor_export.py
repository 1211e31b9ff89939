"""The monitor's overview as a JSON document and as Markdown; names cannot be markup in either."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tokencalc.cli.output import dollars
from tokencalc.clock import instant_text
from tokencalc.reports.document import budget_document, row_document
from tokencalc.reports.shares import percent_text, share_of
from tokencalc.reports.text import markdown_code, markdown_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tokencalc.ledger.report import ReportRow
    from tokencalc.monitor.overview import Overview

SCHEMA = "tokencalc.monitor/1"
"""Name and version of the document; the number grows when a reader would have to change."""

_MOST_ROWS = 50


def overview_document(overview: Overview) -> dict[str, Any]:
    """Return everything that was looked at as plain values, every digit; `to_json` writes it."""
    total = overview.spend.day_usd
    return {
        "schema": SCHEMA,
        "made_at": overview.made_at,
        "ledger": overview.ledger,
        "host": overview.host,
        "spend": overview.spend,
        "budgets": [budget_document(status) for status in overview.budgets],
        "agents": [row_document(row, total) for row in overview.agents],
        "models": [row_document(row, total) for row in overview.models],
        "limiters": overview.limiters,
        "resource_metrics": overview.resources,
        "alerts": overview.alerts,
        "problems": overview.problems,
    }


def overview_markdown(overview: Overview) -> str:
    """Return the same for people, as Markdown text."""
    return "\n".join([*_head(overview), *_budgets(overview), *_dearest(overview), *_machine(overview)]) + "\n"


def _head(overview: Overview) -> Iterator[str]:
    spend = overview.spend
    yield "# LLM spending now"
    yield ""
    yield f"At {instant_text(overview.made_at)} on {markdown_code(overview.host)}."
    yield ""
    yield f"- Last minute: {_usd(spend.minute_usd)} for {spend.minute_calls:,} calls."
    yield f"- A minute in the last hour: {_usd(spend.hour_usd_per_minute)}."
    yield f"- Last 24 hours: {_usd(spend.day_usd)} for {spend.day_calls:,} calls."
    if spend.day_unpriced_calls:
        yield f"- Not in it, or only in part: {spend.day_unpriced_calls:,} calls without a whole price."
    yield ""


def _budgets(overview: Overview) -> Iterator[str]:
    if not overview.budgets:
        return
    yield from _table(
        "Budgets",
        ("Budget", "Period", "Used", "Spent", "Held", "Limit"),
        [
            (
                markdown_code(status.name if not status.scope_value else f"{status.name} {status.scope_value}"),
                markdown_code(status.period.key),
                percent_text(share_of(status.spent_usd, status.limit_usd)),
                *(_usd(amount) for amount in (status.spent_usd, status.held_usd, status.limit_usd)),
            )
            for status in overview.budgets
        ],
    )


def _dearest(overview: Overview) -> Iterator[str]:
    for title, key, rows in (("Agents", "agent_id", overview.agents), ("Models", "model", overview.models)):
        if rows:
            cells = [_row(overview, key, row) for row in rows]
            yield from _table(f"{title}, last 24 hours", (title[:-1], "Cost", "Share", "Calls"), cells)


def _row(overview: Overview, key: str, row: ReportRow) -> tuple[str, ...]:
    name = row.key[key]
    return (
        markdown_code(name) if name else "(none)",
        _usd(row.cost_usd) if row.cost_usd or not row.unpriced_calls else "unknown",
        percent_text(share_of(row.cost_usd, overview.spend.day_usd)),
        f"{row.calls:,}",
    )


def _machine(overview: Overview) -> Iterator[str]:
    if overview.limiters:
        yield from _table(
            "Limiters and breakers",
            ("Limiter", "Fill", "Success", "Blocked", "Mean wait", "Health", "Breaker"),
            [
                (
                    markdown_code(line.name),
                    *(_percent(share) for share in (line.fill, line.success_rate, line.block_rate)),
                    "-" if line.wait_mean_s is None else f"{line.wait_mean_s:.3f} s",
                    line.health or "-",
                    line.breaker or "-",
                )
                for line in overview.limiters
            ],
        )
    found = overview.resources
    rows = [
        (label, "unknown" if found[key] is None else f"{found[key]:.1f} %")
        for label, key in (("Processor", "cpu_percent"), ("Memory", "memory_percent"), ("Swap", "swap_percent"))
    ]
    rows += [(f"Disk {markdown_code(mount)}", f"{percent:.1f} %") for mount, percent in found["disk_percent"].items()]
    yield from _table("Machine", ("Part", "Used"), rows)
    if overview.alerts:
        yield from _table(
            "Recent alerts",
            ("At", "Severity", "State", "What"),
            [
                (instant_text(line.at), line.severity, markdown_text(line.state), markdown_text(line.text))
                for line in overview.alerts
            ],
        )
    yield from (f"- Problem: {markdown_text(problem)}" for problem in overview.problems)


def _table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"## {title}"
    yield ""
    yield f"| {' | '.join(heads)} |"
    yield f"|{'|'.join(' ---: ' if place else ' --- ' for place in range(len(heads)))}|"
    for row in rows[:_MOST_ROWS]:
        yield f"| {' | '.join(row)} |"
    if len(rows) > _MOST_ROWS:
        yield ""
        yield f"{len(rows) - _MOST_ROWS:,} more are in the JSON document."
    yield ""


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share * 100:.0f} %"


_usd = dollars
