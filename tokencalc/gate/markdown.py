"""The verdict as Markdown, for a job's summary or a comment: what changed first, everything folded below."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokencalc.clock import instant_text
from tokencalc.gate.figures import NOTHING
from tokencalc.gate.judging import unpriced_models
from tokencalc.gate.text import comparison_lines, headline, notional_line
from tokencalc.gate.words import UNKNOWN, percent_change, signed_usd_text, usd_text
from tokencalc.reports.tables import markdown_table
from tokencalc.reports.text import markdown_code, markdown_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokencalc.gate.figures import Comparison, Pair
    from tokencalc.gate.judging import Verdict

_MOST_ROWS = 200
"""Some 60 kB at names of 200 characters; a summary may have 1 MiB, a comment 65,536 characters."""

_MARKS = {"ok": "ok", "notice": "note", "warning": "**warning**", "failed": "**failed**"}


def verdict_markdown(verdict: Verdict, *, title: str = "LLM cost") -> str:
    """Return the whole verdict as Markdown text."""
    parts = [f"## {markdown_text(title)}: {verdict.outcome}", "", *_head(verdict)]
    return "\n".join([*parts, *_checks(verdict), *_changed(verdict), *_unpriced(verdict), *_everything(verdict)]) + "\n"


def _head(verdict: Verdict) -> Iterator[str]:
    yield f"**{markdown_text(headline(verdict))}**"
    yield ""
    notional = notional_line(verdict.total)
    if notional is not None:
        yield f"- {markdown_text(notional)}"
    if verdict.comparison is not None and verdict.baseline is not None:
        for line in comparison_lines(verdict.comparison, verdict.baseline.place):
            yield f"- {markdown_text(line)}"
    yield f"- Prices checked on {verdict.prices_checked_on.isoformat()}."
    yield ""


def _checks(verdict: Verdict) -> Iterator[str]:
    # What needs a person comes first; there are rarely more, and the JSON report has all.
    order = ("failed", "warning", "notice", "ok")
    checks = sorted(verdict.checks, key=lambda check: order.index(check.state))
    yield from markdown_table(
        ("Check", "State", "Why"),
        [(markdown_code(check.what), _MARKS[check.state], markdown_text(check.text)) for check in checks],
        texts=(0, 1, 2),
        most=_MOST_ROWS,
    )


def _changed(verdict: Verdict) -> Iterator[str]:
    pairs = [] if verdict.comparison is None else _changes(verdict.comparison)
    if pairs:
        yield "### What changed"
        yield ""
        yield from markdown_table(
            ("Name", "Before", "Now", "Change", "%", "Calls", "Output tokens"),
            [_cells(pair) for pair in pairs],
            most=_MOST_ROWS,
        )


def _changes(comparison: Comparison) -> list[Pair]:
    changed = [pair for pair in comparison.pairs if pair.run is None or pair.base is None or _differs(pair)]
    # What nobody knows comes first: it may be the largest.
    return sorted(changed, key=lambda pair: (pair.usage_pico is not None, -abs(pair.usage_pico or 0), pair.name))


def _differs(pair: Pair) -> bool:
    # Without what was booked: a change of prices alone is said above the table.
    return (pair.run or NOTHING)[1:] != (pair.base or NOTHING)[1:]


def _cells(pair: Pair) -> tuple[str, ...]:
    base, run = pair.base or NOTHING, pair.run or NOTHING
    percent = UNKNOWN if pair.usage_pico is None else percent_change(base.now_pico, run.now_pico)
    return (
        markdown_code(pair.name),
        _cost(base.now_pico, base.unknown_calls),
        _cost(run.now_pico, run.unknown_calls),
        signed_usd_text(pair.usage_pico),
        "new" if pair.base is None else "gone" if pair.run is None else percent,
        f"{run.calls - base.calls:+,}",
        f"{run.output_tokens - base.output_tokens:+,}",
    )


def _cost(pico: int, unknown_calls: int) -> str:
    return f"{usd_text(pico)} + {UNKNOWN}" if unknown_calls else usd_text(pico)


def _unpriced(verdict: Verdict) -> Iterator[str]:
    found = unpriced_models(verdict.run)
    if found:
        yield "### Could not be priced"
        yield ""
        rows = [(markdown_code(model), markdown_code(name), f"{calls:,}") for (name, model), calls in found.items()]
        yield from markdown_table(("Model", "Name", "Calls"), rows, texts=(0, 1), most=_MOST_ROWS)


def _everything(verdict: Verdict) -> Iterator[str]:
    rows = sorted(verdict.figures.items(), key=lambda item: (-item[1].booked_pico, item[0]))
    if rows:
        yield f"<details><summary>All {len(rows):,} by cost</summary>"
        yield ""
        cells = [
            (
                markdown_code(name),
                _cost(found.booked_pico, found.unpriced_calls),
                f"{found.calls:,}",
                f"{found.input_tokens:,}",
                f"{found.cache_read_tokens:,}",
                f"{found.output_tokens:,}",
            )
            for name, found in rows
        ]
        yield from markdown_table(("Name", "Cost", "Calls", "Input", "Cache read", "Output"), cells, most=_MOST_ROWS)
        yield "</details>"
        yield ""
    yield f"Made by tokencalc at {instant_text(verdict.at)}; every digit is in the JSON report."
