"""`tokencalc monitor`: budgets, spending, limiters and the machine, once or live."""

from __future__ import annotations

import logging
import sys
import threading
from contextlib import contextmanager, nullcontext
from io import StringIO
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.live import Live

from tokencalc.alerts.alerts import Alerts
from tokencalc.cli.exits import OK
from tokencalc.cli.monitor_export import overview_document, overview_markdown
from tokencalc.cli.monitor_screen import WIDTH, screen
from tokencalc.cli.options import examples, json_option, ledger_option, open_ledger
from tokencalc.cli.output import put_drawn, put_json
from tokencalc.errors import CallInvalid
from tokencalc.monitor.monitor import EVERY_S, Monitor
from tokencalc.monitor.overview import look
from tokencalc.monitor.resource import ResourceCollector
from tokencalc.monitor.stored import latest_limiter_samples

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.console import RenderableType

    from tokencalc.engine import Engine
    from tokencalc.monitor.overview import Overview

_FIRST_READING_S = 0.2
"""Processor shares need two readings; closer together they would be those of this command's own start."""


@click.command(epilog=examples("tokencalc monitor", "tokencalc monitor --live", "tokencalc monitor --export markdown"))
@click.option("--live", "is_live", is_flag=True, help="Keep the screen up to date until Ctrl-C.")
@click.option("--once", "is_once", is_flag=True, help="Show the screen once and end; this is the default.")
@click.option("--export", "form", type=click.Choice(("json", "markdown")), help="Print everything in this form.")
@click.option(
    "--every",
    "every_s",
    type=click.FloatRange(0.2, 3600),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="How often --live looks again.",
)
@click.option(
    "--alerts",
    "with_alerts",
    is_flag=True,
    help=f"Also check the rules and deliver alerts: once, by what is recorded; with --live every {EVERY_S} seconds, "
    "and the machine's figures are recorded for them.",
)
@click.option("--record", is_flag=True, help=f"With --live: also write the machine's figures, every {EVERY_S} seconds.")
@ledger_option
@json_option
def monitor(  # noqa: PLR0913  # one argument for each option
    *,
    is_live: bool,
    is_once: bool,
    form: str | None,
    every_s: float,
    with_alerts: bool,
    record: bool,
    ledger: str | None,
    as_json: bool,
) -> int:
    """Show budgets, spending, limiters and the machine."""
    form = "json" if as_json and form is None else form
    _refuse_two_ways(is_live=is_live, is_once=is_once, form=form, record=record, as_json=as_json)
    with open_ledger(ledger, needs_prices=False) as engine:
        # A line of the console channel would tear the live screen, so it comes when that has ended.
        told = StringIO()
        alerts = Alerts.of(engine, stream=told if is_live else None) if with_alerts else None
        if is_live:
            recorder = _recorder(engine, alerts, record=record)
            try:
                with _quiet(), recorder or nullcontext():
                    live(_Watcher(engine, recorder).look, Console(), every_s=every_s, wait=threading.Event().wait)
            finally:
                click.echo(told.getvalue(), err=True, nl=False)
            return OK
        seen = _Watcher(engine)
        threading.Event().wait(_FIRST_READING_S)
        if alerts is not None:
            alerts.check()
            alerts.deliver()
        overview = seen.look()
    if form == "json":
        put_json(overview_document(overview))
    elif form == "markdown":
        click.echo(overview_markdown(overview), nl=False)
    else:
        put_drawn(screen(overview), width=WIDTH)
    return OK


def _refuse_two_ways(*, is_live: bool, is_once: bool, form: str | None, record: bool, as_json: bool) -> None:
    ways = [name for name, given in (("--live", is_live), ("--once", is_once), ("--export", form)) if given]
    if is_live and len(ways) > 1:
        raise CallInvalid(
            f"monitor: give one of --live, --once, --export, found {', '.join(ways)}", path="live", found=ways
        )
    if as_json and form != "json":
        raise CallInvalid(f"export: --json and --export {form} contradict; give one", path="export", found=form)
    if record and not is_live:
        raise CallInvalid("record: only --live runs long enough to record; add --live", path="record", found=True)
    if is_live and not sys.stdout.isatty():
        raise CallInvalid(
            "live: standard output is no terminal; use --once, or --export json or markdown", path="live", found=True
        )


def _recorder(engine: Engine, alerts: Alerts | None, *, record: bool) -> Monitor | None:
    """Return what works beside the screen, if anything was asked for; rules judge what is recorded."""
    if not record and alerts is None:
        return None
    collectors = (ResourceCollector(clock=engine.clock),)
    return Monitor(engine, collectors=collectors, pumps=() if alerts is None else (alerts.pump,))


class _Watcher:
    """Looks again and again at one ledger and this machine."""

    def __init__(self, engine: Engine, recorder: Monitor | None = None) -> None:
        self._engine = engine
        self._recorder = recorder
        self._machine = ResourceCollector(clock=engine.clock)
        self._machine.collect()

    def look(self) -> Overview:
        samples = [*self._machine.collect(), *latest_limiter_samples(self._engine)]
        of_recorder = () if self._recorder is None else self._recorder.problems
        problems = dict.fromkeys((*self._machine.problems, *of_recorder))
        return look(self._engine, samples, problems=tuple(problems))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what is logged off the screen, which shows problems by itself and would be torn by lines between."""
    logger, nowhere = logging.getLogger("tokencalc"), logging.NullHandler()
    before, logger.propagate = logger.propagate, False
    logger.addHandler(nowhere)
    try:
        yield
    finally:
        logger.propagate = before
        logger.removeHandler(nowhere)


def live(
    seen: Callable[[], Overview], console: Console, *, every_s: float, wait: Callable[[float], bool]
) -> Sequence[RenderableType]:
    """Show the screen anew every so many seconds, until Ctrl-C or until ``wait`` returns True; return the last."""
    remark = f"every {every_s:g} s, Ctrl-C ends"
    console.width = min(console.width, WIDTH)
    last: list[RenderableType] = []
    with Live(console=console, auto_refresh=False, screen=console.is_terminal) as shown:
        try:
            while True:
                last[:] = [screen(seen(), remark=remark, lines=console.height if console.is_terminal else None)]
                shown.update(last[0], refresh=True)
                if wait(every_s):
                    break
        except KeyboardInterrupt:
            # How people end it; not a failure.
            pass
    return last
