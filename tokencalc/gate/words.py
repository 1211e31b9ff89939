"""Figures in words for people: dollars, counts, changes; names that no log takes for a command."""

from __future__ import annotations

import re

from tokencalc.money import display_usd, round_half_even, usd_from_pico
from tokencalc.reports.text import safe_text

_COMMAND = re.compile(r"##\[")


def log_text(value: object, *, longest: int = 200) -> str:
    """Return one line for a CI log: printable, and no workflow command wherever it may stand in a line.

    GitHub reads ``##[...]`` anywhere in a line, and ``::...::`` at its beginning only.
    """
    text = _COMMAND.sub("#\\\\x23[", safe_text(value, longest=longest))
    stripped = text.lstrip()
    return f"\\x3a{stripped[1:]}" if stripped.startswith("::") else text


def usd_text(pico: int) -> str:
    """Return an amount in pico-dollars as ``$0.012300``, ``-$0.012300`` or ``<$0.000001``."""
    return f"${display_usd(usd_from_pico(pico))}".replace("$-", "-$").replace("$<", "<$")


def calls_text(calls: int) -> str:
    """Return a count of calls with its noun and a verb's ending: ``1 call has``, ``2 calls have``."""
    return "1 call has" if calls == 1 else f"{calls:,} calls have"


def signed_usd_text(pico: int) -> str:
    """Return a change in pico-dollars with its sign: ``+$0.012300``, ``-$0.012300``, ``$0.000000``."""
    return f"+{usd_text(pico)}" if pico > 0 else usd_text(pico)


def figure_text(figure: str, value: int) -> str:
    """Return a cost in dollars or a count with thousands separators."""
    return usd_text(value) if figure == "cost" else f"{value:,}"


def percent_change(base: int, run: int) -> str:
    """Return a change as ``+8.4 %``; a dash where there is nothing to take a percentage of."""
    if not base:
        return "-" if run else "+0.0 %"
    tenths = round_half_even(abs(run - base) * 1000, abs(base))
    sign = "-" if run < base else "+"
    return f"{sign}{tenths // 10:,}.{tenths % 10} %"


def change_text(figure: str, base: int, run: int) -> str:
    """Return a change in its unit and as a percentage: ``+$0.012300 (+8.4 %)``."""
    change = signed_usd_text(run - base) if figure == "cost" else f"{run - base:+,}"
    return f"{change} ({percent_change(base, run)})"
