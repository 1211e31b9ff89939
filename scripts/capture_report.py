"""Draw the terminal picture of `tokencalc report` that the docs show: python -m scripts.capture_report.

A ledger in memory, calls by a fixed seed and a clock that stands still, so that the same picture comes out each
time. What is drawn is what the command prints.
"""

from __future__ import annotations

import contextlib
import os
import random
from datetime import timedelta
from io import StringIO

from rich.text import Text

from scripts.pictures import NOW, WIDTH, terminal_svg, write_picture
from tokencalc.budgets.budget import Budget
from tokencalc.cli.report_screen import show_breakdown
from tokencalc.clock import ManualClock
from tokencalc.engine import Engine
from tokencalc.periods import period_at
from tokencalc.reports.advice import advise
from tokencalc.reports.breakdown import Wanted, break_down
from tokencalc.reports.outlook import look_ahead
from tokencalc.usage import Usage

COMMAND = "tokencalc report --by agent_id --period month --advice"
DAYS = 50
CALLS = (
    # agent, model, input tokens, output tokens, percent read from a cache, calls a day
    ("planner", "claude-opus-4-1", 9_000, 900, 0, 4),
    ("coder", "claude-sonnet-4-5", 24_000, 1_800, 80, 14),
    ("reviewer", "gpt-4o", 12_000, 500, 0, 9),
    ("summariser", "gemini-2.5-flash", 30_000, 700, 0, 20),
)


def book(engine: Engine) -> None:
    """Set budgets, and book some seven weeks of calls, fewer at weekends."""
    engine.set_budget(Budget(name="all", limit_usd="60", period="month"))
    engine.set_budget(Budget(name="coder", limit_usd="14", period="month", scope={"agent_id": "coder"}))
    chance = random.Random(20)  # noqa: S311  # the same picture every time
    now = engine.clock.now()
    for number in range(DAYS, -1, -1):
        day = now.replace(hour=8, minute=0) - timedelta(days=number)
        for agent, model, tokens_in, tokens_out, cached_percent, calls in CALLS:
            busy = calls * chance.randint(40, 160) // 100
            for _ in range(busy if day.weekday() < 5 else busy // 4):  # noqa: PLR2004  # Saturday
                size, length = (chance.randint(60, 140) for _ in range(2))
                at = day + timedelta(minutes=chance.randint(0, 390 if number == 0 else 600))
                usage = Usage(
                    input_tokens=tokens_in * size // 100,
                    cache_read_tokens=tokens_in * size // 100 * cached_percent // 100,
                    output_tokens=tokens_out * length // 100,
                )
                engine.record(model=model, usage=usage, agent_id=agent, operation="work", at=at)


def printed() -> str:
    """Return what the command prints on a terminal, with its colours."""
    os.environ.update(COLUMNS=str(WIDTH), FORCE_COLOR="1")
    clock = ManualClock(NOW)
    out = StringIO()
    with Engine.open(":memory:", clock=clock) as engine, contextlib.redirect_stdout(out):
        book(engine)
        period = period_at("month", clock.now())
        wanted = Wanted(group_by=("agent_id",), since=period.start, until=period.end, kind="month")
        found = break_down(engine, wanted, now=clock.now(), with_savings=True)
        show_breakdown(found, look_ahead(engine, found, now=clock.now()), advise(engine, wanted))
    return out.getvalue()


def picture() -> str:
    """Return the picture as SVG, with the fonts of whoever looks at it."""
    return terminal_svg(Text.from_ansi(f"$ {COMMAND}\n{printed()}"), title="tokencalc report", name="report")


if __name__ == "__main__":
    write_picture(__doc__, "report", picture)
