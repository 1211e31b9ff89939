"""Figures in words for people: dollars, counts, changes; names that no log takes for a command."""

from __future__ import annotations

import unicodedata
from fractions import Fraction
from typing import TYPE_CHECKING

from tokencalc.money import dollars_text, usd_from_pico
from tokencalc.reports.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Iterator

UNKNOWN = "unknown"
"""What stands for a figure that nobody knows."""


def log_text(value: object, *, longest: int = 200) -> str:
    """Return one line for a CI log: printable, and no workflow command wherever it may stand in a line.

    GitHub reads ``##[...]`` anywhere in a line, and ``::...::`` at its beginning only, even before a name it knows.
    """
    text = safe_text(value, longest=longest)
    stripped = text.lstrip()
    return f"\\x3a{stripped[1:]}" if stripped.startswith("::") else text


def usd_text(pico: int) -> str:
    """Return an amount in pico-dollars as ``$0.012300``, ``-$0.012300`` or ``<$0.000001``."""
    return dollars_text(usd_from_pico(pico))


def calls_text(calls: int) -> str:
    """Return a count of calls with its noun and a verb's ending: ``1 call has``, ``2 calls have``."""
    return "1 call has" if calls == 1 else f"{calls:,} calls have"


def signed_usd_text(pico: int | None) -> str:
    """Return a change in pico-dollars with its sign: ``+$0.012300``, ``-$0.012300``, ``$0.000000``, ``unknown``."""
    if pico is None:
        return UNKNOWN
    return f"+{usd_text(pico)}" if pico > 0 else usd_text(pico)


def figure_text(figure: str, value: Fraction) -> str:
    """Return a cost in dollars, or a count with thousands separators and, where it is no whole one, two decimals."""
    if figure == "cost":
        return usd_text(round(value))
    if value.denominator == 1:
        return f"{value.numerator:,}"
    hundredths = round(abs(value) * 100)
    return f"{'-' if value < 0 else ''}{hundredths // 100:,}.{hundredths % 100:02}"


def percent_change(base: Fraction | int, run: Fraction | int) -> str:
    """Return a change as ``+8.4 %``; a dash where there is nothing to take a percentage of."""
    if not base:
        return "-" if run else "+0.0 %"
    tenths = round(abs(Fraction(run) / Fraction(base) - 1) * 1000)
    sign = "-" if run < base else "+"
    return f"{sign}{tenths // 10:,}.{tenths % 10} %"


def change_text(figure: str, base: Fraction, run: Fraction) -> str:
    """Return a change in its unit and as a percentage: ``+$0.012300 (+8.4 %)``."""
    sign = "+" if run > base else ""
    return f"{sign}{figure_text(figure, run - base)} ({percent_change(base, run)})"


def cells(text: str) -> int:
    """Return how many columns of a terminal a text takes: wide characters two, marks on others none."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def _cells(char: str) -> int:
    return 0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1


def middle_cut(text: str, width: int) -> str:
    """Return a name in at most so many columns; where it is longer its middle is left out, so that both ends show."""
    if cells(text) <= width:
        return text
    head, tail, room = "", "", width - 3
    for place in range(len(text)):
        char = text[place // 2] if place % 2 == 0 else text[-1 - place // 2]
        room -= _cells(char)
        if room < 0:
            break
        head, tail = (head + char, tail) if place % 2 == 0 else (head, char + tail)
    return f"{head}...{tail}"


def folded(text: str, width: int) -> Iterator[str]:
    """Yield a text in lines of at most so many columns, cut at spaces where there is one; no line is a command."""
    rest = text
    while cells(rest) > width:
        room, cut = width, 0
        while room >= _cells(rest[cut]):
            room -= _cells(rest[cut])
            cut += 1
        space = rest.rfind(" ", 0, cut + 1)
        cut = space if space > 0 else cut
        yield rest[:cut]
        rest = log_text(rest[cut:].lstrip(), longest=len(rest) + 3)
    if rest:
        yield rest
