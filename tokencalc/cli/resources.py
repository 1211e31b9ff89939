"""`tokencalc resources`: this machine's figures, once or as lines of a log."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tokencalc.cli.exits import OK
from tokencalc.cli.options import examples, json_option
from tokencalc.cli.output import put, put_json, say, table
from tokencalc.clock import SystemClock, instant_text
from tokencalc.errors import CallInvalid
from tokencalc.monitor.current import resource_metrics
from tokencalc.monitor.resource import ProcessCollector, ResourceCollector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

_FIRST_READING_S = 0.2
_SHOWN = (
    ("processor", "cpu_percent", "%"),
    ("load of 1 minute", "load_1m", ""),
    ("memory", "memory_percent", "%"),
    ("memory in all", "memory_total_gb", "GB"),
    ("swap", "swap_percent", "%"),
    ("swap in all", "swap_total_gb", "GB"),
    ("processes", "process_count", ""),
)


@click.command(epilog=examples("tokencalc resources", "tokencalc resources --log resources.log --every 60"))
@click.option(
    "--log",
    "log",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Append a line of comma-separated figures every so many seconds, until Ctrl-C.",
)
@click.option(
    "--every",
    "every_s",
    type=click.FloatRange(1, 24 * 3600),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How often --log writes.",
)
@click.option("--lines", type=click.IntRange(min=1), metavar="N", help="With --log: end after so many lines.")
@json_option
def resources(*, log: Path | None, every_s: float, lines: int | None, as_json: bool) -> int:
    """Show the figures of this machine."""
    if lines is not None and log is None:
        raise CallInvalid("lines: only --log writes lines; add --log FILE", path="lines", found=lines)
    collectors = (ResourceCollector(), ProcessCollector())
    pause = threading.Event()

    def look() -> dict[str, Any]:
        return resource_metrics(sample for collector in collectors for sample in collector.collect())

    look()
    pause.wait(_FIRST_READING_S)
    if log is None:
        _show(look(), as_json=as_json)
        return OK
    instants = (SystemClock().now() for _ in iter(int, 1))
    written = write_log(log, look, instants, every_s=every_s, lines=lines, wait=pause.wait)
    if as_json:
        put_json({"schema": "tokencalc.resources_log/1", "log": log, "lines": written})
    else:
        say(f"{written} lines written to {log}")
    return OK


def write_log(  # noqa: PLR0913  # what to write, how often, and the time
    log: Path,
    look: Callable[[], dict[str, Any]],
    instants: Iterator[datetime],
    *,
    every_s: float,
    lines: int | None,
    wait: Callable[[float], object],
) -> int:
    """Append lines until so many are written or Ctrl-C comes; return their number."""
    written = 0
    try:
        while True:
            # Opened anew for each line, so that whoever rotates the log may move it away.
            with log.open("a", encoding="utf-8") as file:
                file.write(f"{log_line(look(), next(instants))}\n")
            written += 1
            if written == lines:
                break
            wait(every_s)
    except KeyboardInterrupt:
        # How people end it; not a failure.
        pass
    return written


def log_line(found: dict[str, Any], at: datetime) -> str:
    """Return one line of the log; the disk is the fullest one, and what is not known is empty."""
    disk = max(found["disk_percent"].values(), default=None)
    shares = (("CPU", found["cpu_percent"]), ("Memory", found["memory_percent"]), ("Disk", disk))
    parts = [f"{name}:{'' if share is None else f'{share:.1f}%'}" for name, share in shares]
    count = found["process_count"]
    return ",".join([instant_text(at.replace(microsecond=0)), *parts, f"Processes:{'' if count is None else count:}"])


def _show(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        put_json({"schema": "tokencalc.resources/1", **found})
        return
    rows = [(label, _figure(found[key], unit)) for label, key, unit in _SHOWN]
    rows += [(f"disk {mount}", _figure(percent, "%")) for mount, percent in found["disk_percent"].items()]
    rows += [
        (f"graphics card {card}", _figure(figures["utilisation_share"] * 100, "%"))
        for card, figures in found["gpus"].items()
        if "utilisation_share" in figures
    ]
    table(("what", "now"), rows)
    if found["cpu_limit_cores"] is not None:
        put(f"The processor is shared by the control group's limit of {found['cpu_limit_cores']:g} cores.")


def _figure(value: float | None, unit: str) -> str:
    if value is None:
        return "unknown"
    return f"{value:,}" if isinstance(value, int) else f"{value:.1f} {unit}".rstrip()
