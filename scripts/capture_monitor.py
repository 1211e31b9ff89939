"""Draw the terminal capture of `tokencalc monitor --live` that the docs show: python -m scripts.capture_monitor.

A ledger in memory, a clock that stands still and a machine of numbers, so that the same picture comes out
each time. The screen itself is the command's own.
"""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING

from rich.console import Console

from scripts.pictures import NOW, WIDTH, terminal_svg, write_picture
from tokencalc.budgets.budget import Budget
from tokencalc.cli.monitor import live
from tokencalc.clock import ManualClock
from tokencalc.engine import Engine
from tokencalc.monitor.overview import look
from tokencalc.monitor.samples import Sample

if TYPE_CHECKING:
    from collections.abc import Iterator

GB = 10**9

CALLS = (
    # agent, provider, model, input tokens, output tokens, calls a minute
    ("planner", "anthropic", "claude-sonnet-4-5", 9_000, 1_400, 2),
    ("coder", "openai", "gpt-4o", 14_000, 2_200, 3),
    ("reviewer", "anthropic", "claude-sonnet-4-5", 6_000, 700, 1),
    ("summariser", "google", "gemini-2.5-flash", 30_000, 900, 4),
    ("experiment", "local", "own-model", 2_000, 500, 1),
)
MINUTES = 95


def samples() -> Iterator[Sample]:
    """Give the figures of a machine and of two limiters."""
    yield Sample("system.cpu_share", 0.63)
    yield Sample("system.cpu_logical_count", 8)
    yield Sample("system.load_1m", 4.71)
    yield Sample("system.memory_share", 0.74)
    yield Sample("system.memory_total_bytes", 32 * GB)
    yield Sample("system.swap_share", 0.12)
    yield Sample("system.swap_total_bytes", 4 * GB)
    yield Sample("system.disk_share", 0.91, {"mount": "/data"})
    for name, fill, ok, blocked, wait_s, health, breaker in (
        ("openai/gpt-4o", 0.42, 0.99, 0.18, 0.31, 0, 0),
        ("anthropic/claude-sonnet-4-5", 0.08, 0.64, 0.56, 6.2, 2, 1),
    ):
        labels = {"limiter": name}
        yield Sample("limiter.fill", fill, labels)
        yield Sample("limiter.success_rate", ok, labels)
        yield Sample("limiter.block_rate", blocked, labels)
        yield Sample("limiter.wait_mean_s", wait_s, labels)
        yield Sample("limiter.health", health, labels)
        yield Sample("breaker.state", breaker, {"breaker": name})


def book(engine: Engine, clock: ManualClock) -> None:
    """Set budgets, and book calls minute by minute until now."""
    engine.set_budget(Budget(name="daily", limit_usd="40", period="day", alert_at=(75, 90, 100)))
    engine.set_budget(Budget(name="coder", limit_usd="16", period="day", scope={"agent_id": "coder"}))
    engine.set_budget(Budget(name="month", limit_usd="900", period="month", policy="soft"))
    for _ in range(MINUTES):
        clock.advance(60)
        for agent, provider, model, input_tokens, output_tokens, calls in CALLS:
            for _ in range(calls):
                engine.record(
                    provider=provider,
                    model=model,
                    input_tokens=input_tokens,
                    output_tokens=output_tokens,
                    agent_id=agent,
                )
    clock.advance(30)


def capture() -> str:
    """Return the picture as SVG, with the fonts of whoever looks at it."""
    clock = ManualClock(NOW)
    clock.advance(-60 * MINUTES)
    with Engine.open(":memory:", clock=clock) as engine:
        book(engine, clock)
        screens = live(
            lambda: look(engine, tuple(samples()), host="build-3"),
            Console(file=StringIO(), width=WIDTH),
            every_s=2,
            wait=lambda _: True,
        )
    return terminal_svg(*screens, title="tokencalc monitor --live", name="monitor")


if __name__ == "__main__":
    write_picture(__doc__, "monitor", capture)
