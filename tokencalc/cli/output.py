"""How commands print: tables at the terminal's width, money for people, JSON for machines.

Nothing foreign is ever read as markup: texts are `rich.text.Text`, and control
characters are shown as their escapes. Colour only on a terminal, and not with
NO_COLOR set: rich sees to both.
"""

from __future__ import annotations

import sys
import textwrap
from typing import TYPE_CHECKING

import click
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tokencalc.jsontext import to_json
from tokencalc.money import decimal_text, dollars_text, round_half_even
from tokencalc.reports.shares import percent_text
from tokencalc.reports.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from decimal import Decimal

    from rich.console import RenderableType

WIDEST = 110
"""Wider than this a row is hard to follow."""

dollars = dollars_text
"""How every command writes an amount for people."""

_THOUSAND, _MILLION = 10**3, 10**6
_BAR_WIDTH = 40
_WHOLE_PERCENT = 100


def console() -> Console:
    """Return a console on stdout: as wide as the terminal, 80 columns where there is none."""
    made = Console(file=sys.stdout, markup=False, highlight=False, emoji=False)
    made.width = min(made.width, WIDEST)
    return made


def put(text: str = "", *, style: str = "") -> None:
    """Print a paragraph of data for people; it wraps between words, and paths stay in one piece."""
    screen, line = console(), safe_text(text, longest=4000)
    indent = " " * (len(line) - len(line.lstrip(" ")))
    wrapped = textwrap.wrap(
        line, screen.width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    for part in wrapped or [""]:
        _write(screen, Text(part, style=style))


def put_drawn(what: RenderableType, *, width: int) -> None:
    """Print something that was drawn for a screen, at most so wide."""
    screen = console()
    screen.width = min(screen.width, width)
    _write(screen, what)


def _write(screen: Console, what: RenderableType) -> None:
    # Drawn first and written by ourselves: rich would end the program with 1 where a reader has gone away,
    # and pads each line of a table to its end, which only makes trouble when it is copied.
    with screen.capture() as drawn:
        screen.print(what, soft_wrap=isinstance(what, Text))
    for line in drawn.get().splitlines():
        sys.stdout.write(f"{line.rstrip()}\n")


def put_json(payload: object) -> None:
    """Print a payload as indented JSON."""
    click.echo(to_json(payload, indent=2))


def say(text: str) -> None:
    """Talk to the person on stderr, so that data on stdout stays clean."""
    click.echo(safe_text(text, longest=4000), err=True)


def say_wrapped(text: str) -> None:
    """Say a long remark: between words, no line wider than those of `put`."""
    for line in textwrap.wrap(
        safe_text(text, longest=4000), console().width, subsequent_indent="  ", break_long_words=False
    ):
        say(line)


def number(count: int) -> str:
    """Return a count with thousands separators."""
    return f"{count:,}"


def tokens(count: int) -> str:
    """Return a count of tokens for people: every digit up to a million, then millions or billions, rounded."""
    if count < _MILLION:
        return number(count)
    hundredths, unit = round_half_even(count, _MILLION // 100), "M"
    if hundredths >= _THOUSAND * 100:
        hundredths, unit = round_half_even(count, _MILLION * _THOUSAND // 100), "B"
    return f"{hundredths // 100:,}.{hundredths % 100:02d}{unit}"


def counted(count: int, one: str, many: str = "") -> str:
    """Return a count with its noun: ``1 call``, ``2 calls``; ``many`` where an s is not enough."""
    return f"{number(count)} {one if count == 1 else many or one + 's'}"


def rate_text(rate: Decimal) -> str:
    """Return a rate for people: every digit, and at least two decimals."""
    text = decimal_text(rate)
    whole, _, decimals = text.partition(".")
    return f"${whole}.{decimals:0<2}"


def table(
    heads: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    texts: Sequence[int] = (0,),
    total: Sequence[object] = (),
    continues: bool = False,
) -> None:
    """Print a table: text columns to the left and folded, figures to the right; a total under a line.

    One that ``continues`` shows the figures for which its lines have no room in further
    tables below, beside the same texts. Without any head there is no line of heads.
    """
    screen = console()
    cells = [[safe_text("" if value is None else value) for value in row] for row in rows]
    last = [safe_text(value) for value in total]
    parts = _parts([heads, *cells, last], screen.width, texts) if continues else [range(len(heads))]
    for number, shown in enumerate(parts):
        if number:
            put()
        _write(screen, _part(heads, cells, last, shown, texts))


def _part(
    heads: Sequence[str],
    cells: Sequence[Sequence[str]],
    last: Sequence[str],
    shown: Sequence[int],
    texts: Sequence[int],
) -> Table:
    made = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, show_header=any(heads))
    for place in shown:
        is_text = place in texts
        made.add_column(
            heads[place],
            justify="left" if is_text else "right",
            overflow="fold",
            no_wrap=not is_text,
            header_style="bold",
        )
    for row in cells:
        made.add_row(*(Text(row[place]) for place in shown))
    if last:
        made.add_section()
        made.add_row(*(Text(last[place]) for place in shown), style="bold")
    return made


def _parts(rows: Sequence[Sequence[str]], width: int, texts: Sequence[int]) -> list[list[int]]:
    """The places of the columns of each table, two spaces between them; texts fold at half of the width."""
    columns = [max(cell_len(row[place]) for row in rows if row) for place in range(len(rows[0]))]
    named = min(sum(columns[place] + 2 for place in texts), width // 2)
    parts: list[list[int]] = []
    used = width
    for place in range(len(columns)):
        if place in texts:
            continue
        if used + columns[place] > width:
            parts.append([*texts])
            used = named
        parts[-1].append(place)
        used += columns[place] + 2
    return parts


def put_bar(share: Decimal, *, marks: Sequence[int] = ()) -> None:
    """Print a bar of 40 columns for a share of 1, with its alert marks; red from the last one on."""
    filled = min(_BAR_WIDTH, max(0, int(share * _BAR_WIDTH)))
    passed = [mark for mark in marks if share * 100 >= mark]
    colour = "green" if not passed else "red" if len(passed) == len(marks) else "yellow"
    cells = ["#" if place < filled else "." for place in range(_BAR_WIDTH)]
    inside = [mark for mark in marks if mark < _WHOLE_PERCENT]
    for mark in inside:
        cells[mark * _BAR_WIDTH // _WHOLE_PERCENT] = "|"
    line = Text(f"[{''.join(cells)}] {percent_text(share)}", style=colour)
    if inside:
        line.append(f"   | alerts at {', '.join(str(mark) for mark in marks)} %", style="dim")
    _write(console(), line)
