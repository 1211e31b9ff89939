"""A report on the screen: its table, what changed, what is expected, what to change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tokencalc.cli.output import counted, dollars, number, put, table, tokens
from tokencalc.ledger.report import TIME_KEYS
from tokencalc.reports.keys import TAG
from tokencalc.reports.shares import percent_text
from tokencalc.reports.text import safe_text
from tokencalc.reports.words import before_text, budget_name, changes_by_group, forecast_text, run_out_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tokencalc.ledger.unpriced import Unpriced
    from tokencalc.reports.advice import Advised
    from tokencalc.reports.before import Comparison
    from tokencalc.reports.breakdown import Breakdown, Line
    from tokencalc.reports.outlook import Outlook

_MOST_REASONS = 20
_MOST_ADVICE = 10
_LONGEST_HEAD = 20


def show_breakdown(
    found: Breakdown, outlook: Outlook | None, advised: Advised | None, *, top: int | None = None, again: str = ""
) -> None:
    """Print a report; ``again`` is the command that prices its unpriced calls again."""
    if not found.report.total.calls:
        put("Nothing was booked in this time.")
    else:
        _show_rows(found, top)
    if found.comparison is not None:
        _show_comparison(found.comparison)
    if outlook is not None:
        _show_outlook(outlook)
    if advised is not None:
        _show_advice(advised)
    if found.report.unpriced_calls:
        _show_unpriced(found.report.unpriced_calls, found.report.unpriced, again)


def _show_rows(found: Breakdown, top: int | None) -> None:
    keys, changes = found.report.group_by, changes_by_group(found.comparison)
    # The dearest first, by their names where they cost the same; then what is left in order of time.
    dearest = sorted(found.lines, key=lambda line: (-line.row.cost_pico, *(str(line.row.key[key]) for key in keys)))
    shown = sorted(dearest[:top], key=lambda line: [str(line.row.key[key]) for key in keys if key in TIME_KEYS])
    heads = [safe_text(key.removeprefix(TAG).removesuffix("_id"), longest=_LONGEST_HEAD) for key in keys]
    columns = _columns(found)
    table(
        (*heads, *columns),
        [(*(_name(line.row.key[key]) for key in keys), *_figures(line, changes, columns)) for line in shown],
        texts=range(len(keys)),
        total=("total", *("" for _ in keys[1:]), *_figures(found.total, changes, columns)) if keys else (),
        continues=True,
    )
    if len(found.lines) > len(shown):
        put(f"{len(found.lines) - len(shown)} more rows; leave out --top to see them.")
    if any(line.row.cost_usd and line.row.unpriced_calls for line in (*shown, found.total)):
        put("+ ?: some of these calls could not be priced, or only in part.")
    if found.notional_usd:
        put(f"Notional: {dollars(found.notional_usd)} of it is the list price of calls that a subscription paid.")


def _columns(found: Breakdown) -> tuple[str, ...]:
    changed = ("change",) if changes_by_group(found.comparison) else ()
    saved = ("saved",) if found.total.saving is not None else ()
    return ("cost", "share", "calls", "a call", *changed, *saved, "input", "cached", "output", "out/in")


def _figures(line: Line, changes: Mapping[tuple[object, ...], str], columns: Sequence[str]) -> list[str]:
    row, saving, per_call = line.row, line.saving, line.cost_per_call_usd
    cost = dollars(row.cost_usd) if row.cost_usd or not row.unpriced_calls else "unknown"
    if row.cost_usd and row.unpriced_calls:
        cost = f"{cost} + ?"
    said = {
        "cost": cost,
        "share": percent_text(line.share),
        "calls": number(row.calls),
        "a call": "-" if per_call is None else dollars(per_call),
        "input": tokens(row.input_tokens),
        "cached": tokens(row.cache_read_tokens),
        "output": tokens(row.output_tokens),
        "out/in": "-" if line.efficiency is None else f"{line.efficiency:.3f}",
        "change": changes.get(tuple(row.key.values()), "-"),
        "saved": "-" if saving is None or not saving.calls else dollars(saving.saved_usd),
    }
    return [said[name] for name in columns]


def _name(value: object) -> str:
    return "(none)" if value in (None, "") else str(value)


def _show_comparison(comparison: Comparison) -> None:
    if comparison.total.before.calls:
        put()
    put(f"Before: {before_text(comparison)}.")
    gone = [row for row in comparison.rows if not row.now.calls]
    if gone:
        names = ", ".join(safe_text(" ".join(map(_name, row.key.values())), longest=60) for row in gone[:3])
        put(f"Gone since: {names}{f' and {len(gone) - 3} more' if len(gone) > 3 else ''}.")  # noqa: PLR2004


def _show_outlook(outlook: Outlook) -> None:
    put(f"Forecast: {forecast_text(outlook)}.")
    for item in outlook.run_outs:
        put(f"Budget {_short_words(budget_name(item))}: {run_out_text(item)}.")
    if outlook.budgets_left_out:
        put(f"{counted(outlook.budgets_left_out, 'more budget')}, farther from their limits: see `budget list`.")


def _show_advice(advised: Advised) -> None:
    put()
    left = (
        f" ({number(advised.left_out)} left out: not billed at our prices, or without a whole one)"
        if advised.left_out
        else ""
    )
    cut = ", the newest" if advised.is_cut else ""
    if not advised.advice:
        put(f"Advice: of {counted(advised.calls, 'call')}{cut}{left}, none is found that saves.")
        return
    put(f"What would have saved, of {counted(advised.calls, 'call')}{cut}{left}; each by itself, they do not add up:")
    for item in advised.advice[:_MOST_ADVICE]:
        whose = " ".join(safe_text(value, longest=60) for value in item.key.values() if value)
        put()
        put(f"  {dollars(item.saved_usd)} of {dollars(item.cost_usd)}: {whose}, {counted(item.calls, 'call')}")
        put(f"    {_short_words(item.says)}")
        put(f"    provided that {_short_words(item.provided)}")
    if len(advised.advice) > _MOST_ADVICE:
        put(f"{len(advised.advice) - _MOST_ADVICE} more are in --json.")


def _short_words(text: str) -> str:
    """A sentence whose longest word still fits on a line."""
    return " ".join(safe_text(word, longest=60) for word in text.split(" "))


def _show_unpriced(calls: int, found: Sequence[Unpriced], again: str) -> None:
    put()
    put(f"Not in the total, or only in part: {counted(calls, 'call')} that could not be priced.")
    put()
    table(
        ("model", "calls", "why"),
        [(item.model, number(item.calls), item.reason) for item in found[:_MOST_REASONS]],
        texts=(0, 2),
    )
    if len(found) > _MOST_REASONS:
        put(f"{counted(len(found) - _MOST_REASONS, 'more reason')}: see --json.")
    if again:
        put()
        put("What the price tables know by now is filled by this (with --apply it is written):")
        # In one piece, however narrow the terminal: it is there to be copied.
        click.echo(f"  {safe_text(again, longest=4000)}")
