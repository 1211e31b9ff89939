"""The period before, and what changed since: like beside like.

A period that still runs is compared up to now with as long a stretch of the one
before it, because half a month beside a whole one always looks cheap.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from tokencalc.ledger.report import TIME_KEYS, ReportRow
from tokencalc.money import usd_from_pico
from tokencalc.periods import PeriodKind, period_at
from tokencalc.reports.shares import share_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from decimal import Decimal

    from tokencalc.ledger.report import Report

    Reading = Callable[[tuple[str, ...], datetime | None, datetime | None], Report]
    """Reads a report by keys over an interval."""


_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
"""Before it no ledger has an instant."""


class Stretch(NamedTuple):
    """A half-open interval."""

    since: datetime
    until: datetime


class Compared(NamedTuple):
    """Two stretches of one length, where the earlier one is long enough, and the earlier period as a whole."""

    now: Stretch
    before: Stretch
    whole_before: Stretch


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What one group cost before and costs now; ``key`` is empty for the total."""

    key: dict[str, str | bool | None]
    now: ReportRow
    before: ReportRow

    @property
    def change_usd(self) -> Decimal:
        """Now minus before, of what has a price."""
        return usd_from_pico(self.now.cost_pico - self.before.cost_pico)

    @property
    def change_share(self) -> Decimal | None:
        """The change as a fraction of before, to six places; None where nothing was spent before."""
        return share_of(self.change_usd, self.before.cost_usd)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A stretch beside the one before: the total, and each group of either that is not a day or an hour.

    ``whole_before`` is the total of the whole period before, where only a part of it is compared.
    """

    stretches: Compared
    total: Change
    rows: tuple[Change, ...]
    whole_before: ReportRow


def compared_stretches(
    since: datetime | None, until: datetime | None, *, now: datetime, kind: PeriodKind | None = None, timezone: str
) -> Compared | None:
    """Return what to compare for an interval: the calendar's period before, or as long a time just before it.

    None where the interval has no beginning, has not begun, or is longer than all the time before it.
    """
    if since is None or since >= now:
        return None
    end = now if until is None else until
    cut = min(end, now)
    if kind is not None:
        period = period_at(kind, since - timedelta(microseconds=1), timezone=timezone)
        if period.start is None or period.end is None or period.start < _BEGINNING:
            return None
        whole = Stretch(period.start, period.end)
    elif end - since <= since - _BEGINNING:
        whole = Stretch(since - (end - since), since)
    else:
        return None
    part = whole.until if cut == end else min(whole.until, whole.since + (cut - since))
    return Compared(Stretch(since, cut), Stretch(whole.since, part), whole)


def compare(read: Reading, report: Report, stretches: Compared) -> Comparison:
    """Compare two stretches by what of a report's keys is not a time; the report is of the later one and its rest."""
    keys = report.group_by
    lasting = tuple(key for key in keys if key not in TIME_KEYS)
    before = read(lasting, *stretches.before)
    # Hardly anything is booked ahead of its time: then the report is what is up to now.
    ahead = report.until != stretches.now.until and read((), stretches.now.until, report.until).rows
    now = read(lasting, *stretches.now) if ahead else report.by(lasting)
    whole = before if stretches.whole_before == stretches.before else read((), *stretches.whole_before)
    groups = {_group(row): row for row in now.rows}
    earlier = {_group(row): row for row in before.rows}
    keyed = {**groups, **earlier} if lasting and len(lasting) == len(keys) else {}
    rows = [
        Change(key=dict(row.key), now=groups.get(group, ReportRow()), before=earlier.get(group, ReportRow()))
        for group, row in keyed.items()
    ]
    return Comparison(
        stretches=stretches,
        total=Change(key={}, now=now.total, before=before.total),
        rows=tuple(sorted(rows, key=lambda row: (-abs(row.change_usd), [str(value) for value in row.key.values()]))),
        whole_before=whole.total,
    )


def _group(row: ReportRow) -> tuple[object, ...]:
    return tuple(row.key.values())
