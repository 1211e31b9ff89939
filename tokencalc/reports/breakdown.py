"""Where the money went, by any keys: each group's cost, tokens, calls, share, ratios, and the change since before.

All of it comes from the rollups, whose rows hardly grow with the calls; only tags
and what caching saved need a look at each call.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokencalc.money import round_half_even, usd_from_pico
from tokencalc.periods import zone_from
from tokencalc.reports.before import compare, compared_stretches
from tokencalc.reports.corrected import Corrections
from tokencalc.reports.keys import entry_value, is_wanted
from tokencalc.reports.saving import CacheSaving, saving_of
from tokencalc.reports.shares import ratio_of, share_of
from tokencalc.reports.tagged import read_report

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from decimal import Decimal

    from tokencalc.engine import Engine
    from tokencalc.ledger.report import Report, ReportRow
    from tokencalc.periods import PeriodKind
    from tokencalc.reports.before import Comparison


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a report is about: keys, an interval ``[since, until)``, what to keep, the zone of its days.

    ``kind`` is set where the interval is a period of the calendar: then the period
    before is the calendar's, too.
    """

    group_by: tuple[str, ...] = ("provider", "model")
    since: datetime | None = None
    until: datetime | None = None
    where: Mapping[str, str | bool | None] | None = None
    timezone: str = "UTC"
    kind: PeriodKind | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One group's sums, and what follows from them.

    ``share`` is the fraction of the total cost, to six places. ``saving`` is what
    caching saved; None where nobody looked at each call.
    """

    row: ReportRow
    share: Decimal | None
    saving: CacheSaving | None = None

    @property
    def cost_per_call_usd(self) -> Decimal | None:
        """The mean cost of a call, to the pico-dollar; None without calls, and where a call has no whole price."""
        if self.row.calls <= 0 or self.row.unpriced_calls:
            return None
        return usd_from_pico(round_half_even(self.row.cost_pico, self.row.calls))

    @property
    def efficiency(self) -> Decimal | None:
        """Output tokens for each input token, to six places; None where there is none of either, as for embeddings.

        Input is what is paid for asking, output is what was asked for: a group whose
        ratio falls sends more along for the same answers (longer histories, more tools,
        overlong prompts). It compares a group with itself over time, and groups that do
        the same work; it says nothing about the worth of an answer.
        """
        return ratio_of(self.row.output_tokens, self.row.input_tokens) if self.row.output_tokens else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakdown:
    """A report with all that is said of it.

    ``comparison`` is None where the interval has no beginning, or has not begun.
    ``notional_usd`` is the part that a subscription paid for.
    """

    made_at: datetime
    wanted: Wanted
    report: Report
    lines: tuple[Line, ...]
    total: Line
    notional_usd: Decimal
    notional_calls: int
    comparison: Comparison | None = None


def break_down(engine: Engine, wanted: Wanted, *, now: datetime, with_savings: bool = False) -> Breakdown:
    """Return the breakdown of what was booked; ``with_savings`` looks at each call, too.

    Raises CallInvalid for a key that is neither a report's nor ``tag:NAME``.
    """

    def read(keys: tuple[str, ...], since: datetime | None, until: datetime | None) -> Report:
        return read_report(
            engine, group_by=keys, since=since, until=until, where=wanted.where, timezone=wanted.timezone
        )

    # One look at the ledger for all that is said of the interval itself.
    whole = read((*wanted.group_by, _NOTIONAL), wanted.since, wanted.until)
    report, notional = whole.by(wanted.group_by), [row for row in whole.by((_NOTIONAL,)).rows if row.notional]
    savings = _savings(engine, wanted) if with_savings else None
    stretches = compared_stretches(wanted.since, wanted.until, now=now, kind=wanted.kind, timezone=wanted.timezone)
    return Breakdown(
        made_at=now,
        wanted=wanted,
        report=report,
        lines=tuple(_line(row, report, savings) for row in report.rows),
        total=Line(
            row=report.total,
            share=_share(report.total, report),
            saving=None if savings is None else sum(savings.values(), start=CacheSaving()),
        ),
        notional_usd=usd_from_pico(sum(row.cost_pico for row in notional)),
        notional_calls=sum(row.calls for row in notional),
        comparison=None if stretches is None else compare(read, report, stretches),
    )


_NOTIONAL = "notional"
_Savings = defaultdict[tuple[object, ...], CacheSaving]


def _line(row: ReportRow, report: Report, savings: _Savings | None) -> Line:
    saving = None if savings is None else savings[tuple(row.key[key] for key in report.group_by)]
    return Line(row=row, share=_share(row, report), saving=saving)


def _share(row: ReportRow, report: Report) -> Decimal | None:
    """Return a row's part of what has a price; None where its own cost is not wholly known."""
    return None if row.unpriced_calls else share_of(row.cost_usd, report.total.cost_usd)


def _savings(engine: Engine, wanted: Wanted) -> _Savings:
    found: _Savings = defaultdict(CacheSaving)
    zone, corrections = zone_from(wanted.timezone), Corrections()
    for entry in engine.entries(since=wanted.since, until=wanted.until):
        seen = corrections.see(entry)
        if seen is not None and is_wanted(entry, wanted.where, zone):
            found[tuple(entry_value(entry, key, zone) for key in wanted.group_by)] += saving_of(engine, seen)
    return found
