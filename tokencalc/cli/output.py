"""How commands print: tables at the terminal's width, money for people, JSON for machines.

Nothing foreign is ever read as markup: texts are `rich.text.Text`, and control
characters are shown as their escapes. Colour only on a terminal, and not with
NO_COLOR set: rich sees to both.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tokencalc.jsontext import to_json
from tokencalc.money import display_usd
from tokencalc.reports.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from decimal import Decimal

WIDEST = 110
"""Wider than this a row is hard to follow."""

_BAR_WIDTH = 40


def console() -> Console:
    """Return a console on stdout: as wide as the terminal, 80 columns where there is none."""
    made = Console(file=sys.stdout, markup=False, highlight=False, emoji=False)
    made.width = min(made.width, WIDEST)
    return made


def put(text: str = "", *, style: str = "") -> None:
    """Print one line of data for people; it wraps between words."""
    console().print(Text(safe_text(text, longest=4000), style=style))


def put_json(payload: object) -> None:
    """Print a payload as indented JSON."""
    click.echo(to_json(payload, indent=2))


def say(text: str) -> None:
    """Talk to the person on stderr, so that data on stdout stays clean."""
    click.echo(safe_text(text, longest=4000), err=True)


def dollars(amount: Decimal | None) -> str:
    """Return an amount for people: ``$1.234500``, ``<$0.000001``, or ``unknown``."""
    text = display_usd(amount)
    if amount is None:
        return text
    for sign in ("-<", "<", "-"):
        if text.startswith(sign):
            return f"{sign}${text[len(sign) :]}"
    return f"${text}"


def number(count: int) -> str:
    """Return a count with thousands separators."""
    return f"{count:,}"


def table(
    heads: Sequence[str], rows: Iterable[Sequence[object]], *, texts: Sequence[int] = (0,), total: Sequence[object] = ()
) -> None:
    """Print a table: text columns to the left and folded, figures to the right; a total under a line."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, show_footer=False, expand=False)
    for place, head in enumerate(heads):
        is_text = place in texts
        made.add_column(
            head,
            justify="left" if is_text else "right",
            overflow="fold",
            no_wrap=not is_text,
            header_style="bold",
        )
    for row in rows:
        made.add_row(*(_cell(value) for value in row))
    if total:
        made.add_section()
        made.add_row(*(_cell(value) for value in total), style="bold")
    console().print(made)


def _cell(value: object) -> Text:
    return value if isinstance(value, Text) else Text(safe_text("" if value is None else value))


def bar(share: Decimal, *, marks: Sequence[int] = ()) -> Text:
    """Return a bar of 40 columns for a share of 1, with its alert marks; red from the last one on."""
    percent = int(share * 100)
    filled = min(_BAR_WIDTH, max(0, int(share * _BAR_WIDTH)))
    passed = [mark for mark in marks if percent >= mark]
    colour = "green" if not passed else "red" if len(passed) == len(marks) else "yellow"
    cells = ["#" if place < filled else "." for place in range(_BAR_WIDTH)]
    for mark in marks:
        if 0 < mark < 100:  # noqa: PLR2004  # per cent; at 100 the bar ends
            cells[mark * _BAR_WIDTH // 100] = "|"
    return Text(f"[{''.join(cells)}] {percent} %", style=colour)
