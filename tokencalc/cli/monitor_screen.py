"""The monitor's screen: panels of 80 columns, every foreign name as plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.cells import set_cell_size
from rich.console import Group
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tokencalc.cli.output import counted, dollars, number
from tokencalc.monitor.marks import marks_of
from tokencalc.reports.shares import percent_text, share_of
from tokencalc.reports.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime
    from decimal import Decimal

    from rich.console import Console, ConsoleOptions, RenderableType

    from tokencalc.budgets.setting import BudgetStatus
    from tokencalc.ledger.report import ReportRow
    from tokencalc.monitor.overview import LimiterLine, Overview

WIDTH = 80

_MOST_BUDGETS, _MOST_ROWS, _MOST_LIMITERS, _MOST_PROBLEMS = 6, 5, 6, 3
_WHOLE = 100
_UNKNOWN = "unknown"
_COLOURS = {"CRITICAL": "bold red", "HIGH": "red", "MEDIUM": "yellow", "LOW": "cyan", "INFO": "dim"}
_HEALTH = {"healthy": "green", "degraded": "yellow", "critical": "red", None: "dim"}
_BREAKER = {"closed": "green", "half_open": "yellow", "open": "bold red", None: "dim"}


def screen(overview: Overview, *, remark: str = "", lines: int | None = None) -> RenderableType:
    """Return the whole screen; ``remark`` stands at the right of its first line.

    What matters most stands first. Where ``lines`` are too few, whole panels are left out, and a last line names them.
    """
    machine = f"Machine {_cut(overview.host, 24)}"
    panels: list[tuple[str, RenderableType]] = [
        ("Budgets", _panel("Budgets", _budgets(overview))),
        ("Recent alerts", _panel("Recent alerts", _alerts(overview))),
        *([("Problems", _panel("Problems", _problems(overview.problems)))] if overview.problems else []),
        ("Spend, Machine", _beside(_panel("Spend", _spend(overview)), _panel(machine, _machine(overview)))),
        ("Limiters", _panel("Limiters and breakers", _limiters(overview.limiters))),
        ("Agents, Models", _beside(*(_panel(title, rows) for title, rows in _dearest(overview)))),
    ]
    head = _head(overview, remark)
    return Group(head, *(panel for _, panel in panels)) if lines is None else _Fitting(head, panels, lines)


class _Fitting:
    """As many panels as a terminal has lines for, and a line that names the others."""

    def __init__(self, head: RenderableType, panels: Sequence[tuple[str, RenderableType]], lines: int) -> None:
        self._head, self._panels, self._lines = head, panels, lines

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        free_height = options.reset_height()
        heights = [len(console.render_lines(panel, free_height)) for _, panel in self._panels]
        yield self._head
        left = self._lines - 1
        if sum(heights) <= left:
            yield from (panel for _, panel in self._panels)
            return
        missing: list[str] = []
        for (title, panel), height in zip(self._panels, heights, strict=True):
            if height < left:
                left -= height
                yield panel
            else:
                missing.append(title)
        yield Text(f"no room for: {', '.join(missing)}", style="yellow", no_wrap=True, overflow="ellipsis")


def _head(overview: Overview, remark: str) -> Table:
    grid = Table.grid(expand=True)
    grid.add_column(no_wrap=True)
    grid.add_column(justify="right", no_wrap=True)
    left = Text.assemble(("tokencalc monitor ", "bold"), (f"{overview.made_at:%Y-%m-%d %H:%M:%S} UTC", ""))
    grid.add_row(left, Text(safe_text(remark), style="dim"))
    return grid


def _panel(title: str, inside: RenderableType) -> Panel:
    return Panel(
        inside, title=Text(title, style="bold"), title_align="left", box=box.ROUNDED, border_style="dim", padding=(0, 1)
    )


def _beside(left: RenderableType, right: RenderableType) -> Table:
    grid = Table.grid(expand=True)
    grid.add_column(ratio=1)
    grid.add_column(ratio=1)
    grid.add_row(left, right)
    return grid


def _grid(*justify: str) -> Table:
    grid = Table.grid(expand=True, padding=(0, 1, 0, 0))
    for place, side in enumerate(justify):
        grid.add_column(justify="left" if side == "l" else "right", no_wrap=True, ratio=1 if place == 0 else None)
    return grid


def _cut(name: object, width: int) -> str:
    """Return a name in so many cells at most, harmless, its end marked where it is cut."""
    text = safe_text(name)
    cut = set_cell_size(text, width).rstrip()
    return text if cut == text else f"{set_cell_size(text, width - 2).rstrip()}.."


def _name(name: object) -> Text:
    """Return a name that gives way where its line is full."""
    return Text(safe_text(name), overflow="ellipsis")


def _bar(percent: float, width: int, *, marks: Sequence[int | Decimal]) -> ProgressBar:
    passed = [mark for mark in marks if percent >= mark]
    colour = "green" if not passed else "red" if len(passed) == len(marks) else "yellow"
    # rich draws it in ASCII where the terminal has no more.
    return ProgressBar(
        total=_WHOLE,
        completed=min(_WHOLE, max(0, percent)),
        width=width,
        style="grey37",
        complete_style=colour,
        finished_style=colour,
    )


def _budgets(overview: Overview) -> RenderableType:
    if not overview.budgets:
        return Text("None is set: tokencalc budget set daily 10", style="dim")
    grid = _grid("l", "l", "r", "r", "l", "r")
    for status in overview.budgets[:_MOST_BUDGETS]:
        grid.add_row(*_budget(status, overview.made_at))
    rest = len(overview.budgets) - _MOST_BUDGETS
    return Group(grid, _more(rest, "budget")) if rest > 0 else grid


def _budget(status: BudgetStatus, now: datetime) -> tuple[RenderableType, ...]:
    name = status.name if not status.scope_value else f"{status.name} {status.scope_value}"
    share = share_of(status.spent_usd, status.limit_usd)
    percent = 0.0 if share is None else int(share * 10_000) / 100
    return (
        _name(name),
        _bar(percent, 14, marks=status.budget.alert_at or (_WHOLE,)),
        Text(percent_text(share)),
        Text(_short_usd(status.spent_usd)),
        Text(f"of {_short_usd(status.limit_usd)}"),
        Text(_until(status.period.end, now), style="dim"),
    )


def _until(end: datetime | None, now: datetime) -> str:
    if end is None:
        return ""
    minutes = max(0, int((end - now).total_seconds() // 60))
    days, hours = minutes // 1440, minutes // 60
    return f"{days} d left" if days else f"{hours} h left" if hours else f"{minutes} min left"


def _spend(overview: Overview) -> Table:
    spend = overview.spend
    grid = _grid("l", "r", "r")
    for label, amount, calls in (
        ("last minute", spend.minute_usd, spend.minute_calls),
        ("a minute, 1 h", spend.hour_usd_per_minute, spend.hour_calls),
        ("24 hours", spend.day_usd, spend.day_calls),
    ):
        grid.add_row(Text(label), Text(dollars(amount)), Text(counted(calls, "call"), style="dim"))
    unpriced = Text(counted(spend.day_unpriced_calls, "call"), style="yellow" if spend.day_unpriced_calls else "dim")
    grid.add_row(Text("unpriced"), Text(""), unpriced)
    return grid


def _machine(overview: Overview) -> RenderableType:
    found = overview.resources
    grid = _grid("l", "l", "r", "l")
    cores = found["cpu_limit_cores"] or found["cpu_logical_count"]
    grid.add_row(*_gauge("CPU", found["cpu_percent"], "" if cores is None else f"of {cores:g} cores"))
    grid.add_row(*_gauge("memory", found["memory_percent"], _of_gb(found["memory_total_gb"])))
    if found["swap_total_gb"]:
        grid.add_row(*_gauge("swap", found["swap_percent"], _of_gb(found["swap_total_gb"])))
    fullest = sorted(found["disk_percent"].items(), key=lambda item: -item[1])[:1]
    for mount, percent in fullest:
        grid.add_row(*_gauge("disk", percent, _cut(mount, 12)))
    load = found["load_1m"]
    grid.add_row(Text("load"), Text("unknown" if load is None else f"{load:.2f}"), Text(""), Text(""))
    return grid


def _gauge(label: str, percent: float | None, of: str) -> tuple[RenderableType, ...]:
    if percent is None:
        return Text(label), Text("unknown", style="dim"), Text(""), Text(of, style="dim")
    return (
        Text(label),
        _bar(percent, 8, marks=marks_of(f"system.{label.lower()}_share")),
        Text(f"{percent:.0f} %"),
        Text(of, style="dim"),
    )


def _of_gb(size: float | None) -> str:
    return "" if size is None else f"of {size:.1f} GB"


def _dearest(overview: Overview) -> Iterator[tuple[str, RenderableType]]:
    """Yield both lists, the shorter one filled up to the height of the other."""
    lists = (("Agents, 24 h", overview.agents), ("Models, 24 h", overview.models))
    most = max(1, *(min(len(rows), _MOST_ROWS + 1) for _, rows in lists))
    for title, rows in lists:
        lines = list(_rows(rows, overview.spend.day_usd))
        yield title, Group(*lines, *(Text("") for _ in range(most - min(len(rows), _MOST_ROWS + 1) - (not rows))))


def _rows(rows: Sequence[ReportRow], total: Decimal) -> Iterator[RenderableType]:
    if not rows:
        yield Text("Nothing was booked.", style="dim")
        return
    grid = _grid("l", "r", "r")
    for row in rows[:_MOST_ROWS]:
        # The model says more than its provider, and 36 columns hold one of them.
        name = row.key.get("model", row.key.get("agent_id"))
        cost = dollars(row.cost_usd) if row.cost_usd or not row.unpriced_calls else _UNKNOWN
        grid.add_row(
            _name(name or "(none)"),
            Text(cost),
            Text("-" if cost == _UNKNOWN else percent_text(share_of(row.cost_usd, total))),
        )
    yield grid
    if len(rows) > _MOST_ROWS:
        yield _more(len(rows) - _MOST_ROWS, "row")


def _limiters(lines: Sequence[LimiterLine]) -> RenderableType:
    if not lines:
        return Text("No process has recorded any lately.", style="dim")
    grid = _grid("l", "r", "r", "r", "r", "l", "l")
    grid.add_row(*(Text(head, style="dim") for head in ("", "fill", "ok", "blocked", "wait", "health", "breaker")))
    for line in lines[:_MOST_LIMITERS]:
        wait = "-" if line.wait_mean_s is None else f"{line.wait_mean_s:.2f} s"
        grid.add_row(
            _name(line.name),
            *(Text(_percent(share)) for share in (line.fill, line.success_rate, line.block_rate)),
            Text(wait),
            Text(line.health or "-", style=_HEALTH[line.health]),
            Text(line.breaker or "-", style=_BREAKER[line.breaker]),
        )
    rest = len(lines) - _MOST_LIMITERS
    return Group(grid, _more(rest, "limiter")) if rest > 0 else grid


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share * _WHOLE:.0f} %"


def _alerts(overview: Overview) -> RenderableType:
    if not overview.alerts:
        return Text("None.", style="dim")
    grid = Table.grid(padding=(0, 1, 0, 0))
    for line in overview.alerts:
        day = "%H:%M:%S" if line.at.date() == overview.made_at.date() else "%m-%d %H:%M"
        grid.add_row(
            Text(f"{line.at:{day}}", style="dim", no_wrap=True),
            Text(line.severity, style=_COLOURS[line.severity], no_wrap=True),
            Text(safe_text(line.state), style="dim", no_wrap=True),
            Text(_cut(line.text, 100), overflow="fold"),
        )
    return grid


def _problems(problems: Iterable[str]) -> RenderableType:
    return Group(*(Text(_cut(problem, 150), style="yellow") for problem in list(problems)[:_MOST_PROBLEMS]))


def _more(count: int, noun: str) -> Text:
    return Text(f"{number(count)} more {noun}{'' if count == 1 else 's'}: see --export json", style="dim")


def _short_usd(amount: Decimal) -> str:
    """Return dollars with cents where that loses nothing; a limit is seldom more precise than that."""
    text = dollars(amount)
    return text[:-4] if text.endswith("0000") and "<" not in text else text
