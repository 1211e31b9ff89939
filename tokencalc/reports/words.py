"""What a breakdown says in words, the same on a screen and on a page: changes, the time before, what is to come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokencalc.money import dollars_text
from tokencalc.reports.shares import percent_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokencalc.reports.before import Change, Comparison
    from tokencalc.reports.outlook import Outlook, RunOut


def before_text(comparison: Comparison) -> str:
    """Return what the stretch before cost, from when to when, and how the one of now compares."""
    _, before, whole = comparison.stretches
    total = comparison.total
    when = f"from {before.since:%Y-%m-%d %H:%M} to {before.until:%Y-%m-%d %H:%M} UTC"
    if not total.before.calls:
        return f"nothing was booked {when}"
    part = "" if whole == before else f"; {dollars_text(comparison.whole_before.cost_usd)} in that whole period"
    now = f"Now {dollars_text(total.now.cost_usd)}: {change_text(total)}"
    return f"{dollars_text(total.before.cost_usd)} {when}{part}. {now}"


def forecast_text(outlook: Outlook) -> str:
    """Return what is expected by the end of a period, or why that cannot be told."""
    ahead = outlook.forecast
    if ahead is None:
        return f"none; {outlook.reason}"
    return (
        f"{dollars_text(ahead.expected_usd)} by {ahead.until:%Y-%m-%d %H:%M} UTC; four times in five between "
        f"{dollars_text(ahead.low_usd)} and {dollars_text(ahead.high_usd)}, if the coming days are like the last "
        f"{ahead.days}"
    )


def changes_by_group(comparison: Comparison | None) -> Mapping[tuple[object, ...], str]:
    """Return the change of each group by its key's values, and of the total by none; empty without groups."""
    if comparison is None or not comparison.rows:
        return {}
    found: dict[tuple[object, ...], str] = {(): change_text(comparison.total)}
    for row in comparison.rows:
        found[tuple(row.key.values())] = change_text(row)
    return found


def change_text(change: Change) -> str:
    """Return a change for people: ``+8.4 %``, ``new``, ``gone``, or that it cannot be told."""
    if change.now.unpriced_calls or change.before.unpriced_calls:
        return "unknown"
    if not change.before.calls:
        return "new" if change.now.calls else "-"
    if not change.now.calls:
        return "gone"
    share = change.change_share
    return "-" if share is None else f"{'+' if share >= 0 else ''}{percent_text(share)}"


def budget_name(item: RunOut) -> str:
    """Return a budget's name with whom its instance covers."""
    return f"{item.status.name} {item.status.scope_value}" if item.status.scope_value else item.status.name


def run_out_text(item: RunOut) -> str:
    """Return in words when a budget runs out."""
    if item.is_used_up:
        return "used up"
    if item.reason:
        return f"no forecast: {item.reason}"
    lasts = "lasts a year or more" if item.until is None else "lasts its period"
    if item.earliest is None:
        return lasts
    earliest = item.earliest.isoformat()
    if item.day is None:
        return f"{lasts}, if no day is dear; else it runs out on {earliest} at the earliest"
    if item.latest is None:
        return f"runs out on {item.day.isoformat()}, on {earliest} at the earliest, perhaps not at all"
    return f"runs out on {item.day.isoformat()}, between {earliest} and {item.latest.isoformat()}"
