"""The verdict as text of at most 80 columns, for a terminal or a CI log; what is longer goes on in the next line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokencalc.gate.figures import NOTHING
from tokencalc.gate.words import (
    UNKNOWN,
    calls_text,
    folded,
    log_text,
    middle_cut,
    percent_change,
    signed_usd_text,
    usd_text,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokencalc.gate.figures import Comparison, Figures
    from tokencalc.gate.judging import Verdict

MOST_ROWS = 30
"""Names that people are shown at once; the rest is in the machine formats."""

_WIDTH = 80
_MARKS = {"ok": "ok     ", "notice": "note   ", "warning": "WARNING", "failed": "FAILED "}


def verdict_text(verdict: Verdict) -> str:
    """Return the whole verdict, each line with its end."""
    lines = [*_head(verdict), *_rows(verdict), *_checks(verdict)]
    return "".join(f"{line}\n" for line in lines)


def headline(verdict: Verdict) -> str:
    """Return the run in a sentence: its cost, its calls, and what changed against the baseline."""
    whole = verdict.total
    if not whole.calls and not whole.booked_pico:
        return f"No call: {verdict.outcome}" if verdict.failed or verdict.count("warning") else "No call"
    unknown = f" and {whole.unpriced_calls:,} without a whole price" if whole.unpriced_calls else ""
    cost = f"{usd_text(whole.booked_pico)} for {whole.calls:,} {'call' if whole.calls == 1 else 'calls'}{unknown}"
    return f"{cost}: {verdict.outcome}" if verdict.checks else cost


def comparison_lines(comparison: Comparison, place: str) -> Iterator[str]:
    """Say what changed on names that both sides have: usage and prices apart; and which are new or gone."""
    common = comparison.common
    base, run = (NOTHING, NOTHING) if common is None else (common.base or NOTHING, common.run or NOTHING)
    if common is None:
        yield f"Against {place}: no name in common, so nothing was compared."
    elif common.usage_pico is None:
        yield f"Against {place}: {calls_text(common.unknown_calls)} no whole price, so no change of the cost is known."
    else:
        change = f"{signed_usd_text(common.usage_pico)} ({percent_change(base.now_pico, run.now_pico)})"
        yield f"Against {place}: usage {change} at the prices of now."
    if common is not None and common.prices_pico:
        yield (
            f"Prices: {signed_usd_text(common.prices_pico)} "
            f"({percent_change(base.booked_pico, base.now_pico)}) for the baseline's own usage."
        )
    for names, word in ((comparison.added, "new"), (comparison.removed, "gone")):
        if names:
            yield f"{len(names)} {word}, listed and not compared."


def notional_line(whole: Figures) -> str | None:
    """Say what a subscription paid, where it paid any."""
    notional_pico = whole.booked_pico - whole.billed_pico
    if not notional_pico:
        return None
    return f"Notional: {usd_text(notional_pico)} of it is the list price of calls that a subscription paid."


def _head(verdict: Verdict) -> Iterator[str]:
    lines = [headline(verdict), notional_line(verdict.total) or ""]
    if verdict.comparison is not None and verdict.baseline is not None:
        lines += comparison_lines(verdict.comparison, verdict.baseline.place)
    lines.append(f"Prices checked on {verdict.prices_checked_on.isoformat()}.")
    for line in lines:
        yield from folded(log_text(line, longest=400), _WIDTH)


def _rows(verdict: Verdict) -> Iterator[str]:
    figures = sorted(verdict.figures.items(), key=lambda item: (-item[1].booked_pico, item[0]))
    if not figures:
        return
    yield ""
    yield _row(verdict, ("cost", "change", "calls", "tokens"), verdict.run.by)
    changes = {} if verdict.comparison is None else {pair.name: pair for pair in verdict.comparison.pairs}
    for name, found in figures[:MOST_ROWS]:
        pair = changes.get(name)
        change = "" if pair is None else "new" if pair.base is None else signed_usd_text(pair.usage_pico)
        cost = UNKNOWN if found.unpriced_calls and not found.booked_pico else usd_text(found.booked_pico)
        yield _row(verdict, (cost, change, f"{found.calls:,}", f"{found.tokens:,}"), name)
    if len(figures) > MOST_ROWS:
        yield f"{len(figures) - MOST_ROWS:,} more are in the JSON report."


def _row(verdict: Verdict, figures: tuple[str, str, str, str], name: str) -> str:
    cost, change, calls, tokens = figures
    changed = "" if verdict.comparison is None else f" {change:>14}"
    cells = f"{cost:>14}{changed} {calls:>7} {tokens:>10}  "
    return cells + middle_cut(log_text(name, longest=len(name)), max(20, _WIDTH - len(cells)))


def _checks(verdict: Verdict) -> Iterator[str]:
    if verdict.checks:
        yield ""
    for check in verdict.checks:
        mark = _MARKS[check.state]
        for line in folded(log_text(check.text, longest=400), _WIDTH - len(mark) - 1):
            yield f"{mark} {line}"
            mark = " " * len(mark)
