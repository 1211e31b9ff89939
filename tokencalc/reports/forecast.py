"""What the rest of a period will cost, from the days before it, with a range; exact arithmetic, no ledger.

The method, in full. A *day* is a local day by its hours. With two weeks of whole
days or more, a coming day is expected to cost the mean of the past days of its
weekday; with fewer, the mean of all. Of a day that has begun, only the hours that
are left count, on both sides. The spread is the standard deviation of whole days
around their mean, with (days - means) degrees of freedom; m coming days, whose
mean was taken from n, vary by ``spread * sqrt(m + m*m/n)``. The range is as many
of that to either side as Student's t gives for 80 %: four times in five the cost
lies inside, if the coming days are like the past ones and independent.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from math import isqrt
from typing import TYPE_CHECKING, Literal, NamedTuple

from tokencalc.money import round_half_even, usd_from_pico

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date, datetime
    from decimal import Decimal
    from zoneinfo import ZoneInfo

FEWEST_DAYS = 3
"""Whole days that a forecast needs; of fewer nobody can say how they vary."""

WEEKDAYS_FROM_DAYS = 14
"""From two weeks on each weekday has its own mean."""

RANGE_PERCENT = 80
"""How often the cost is expected to lie in the range."""

_HOURS = 24
_PICO_PER_MICRO = 10**6

# Student's t, 90 % quantile (10 % on either side), in thousandths, for 1 to 30 degrees of freedom;
# beyond them it falls to 1282.
_T_90 = (
    3078, 1886, 1638, 1533, 1476, 1440, 1415, 1397, 1383, 1372, 1363, 1356, 1350, 1345, 1341,
    1337, 1333, 1330, 1328, 1325, 1323, 1321, 1319, 1318, 1316, 1315, 1314, 1313, 1311, 1310,
)  # fmt: skip


class Slice(NamedTuple):
    """A coming day, or the part of it from one hour to another (hours of the local clock, with fractions)."""

    day: date
    first_hour: Fraction = Fraction(0)
    end_hour: Fraction = Fraction(_HOURS)

    @property
    def size(self) -> Fraction:
        """How much of a day it is."""
        return (self.end_hour - self.first_hour) / _HOURS

    def cost_of(self, hours: Sequence[int]) -> Fraction:
        """What a past day cost in these hours, in pico-dollars."""
        return sum(
            (
                cost * max(Fraction(0), min(self.end_hour, Fraction(hour + 1)) - max(self.first_hour, Fraction(hour)))
                for hour, cost in enumerate(hours)
                if cost
            ),
            start=Fraction(0),
        )


class Rest(NamedTuple):
    """What is expected until the end of one day, from now on, in pico-dollars: ``low`` to ``high`` is the range."""

    day: date
    expected_pico: int
    low_pico: int
    high_pico: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """The cost of a whole period, as expected now: what is spent and what the rest will cost.

    ``low_usd`` to ``high_usd`` holds it four times in five; to the micro-dollar, for it
    is no fact. ``method`` says whether weekdays have their own means; ``days`` how many
    whole days were looked at, from ``days_since`` on.
    """

    until: datetime
    spent_usd: Decimal
    expected_usd: Decimal
    low_usd: Decimal
    high_usd: Decimal
    method: Literal["weekdays", "days"]
    days: int
    days_since: date


class Rates:
    """Means and spread of past days; answers what coming days will cost."""

    def __init__(self, days: Mapping[date, Sequence[int]]) -> None:
        """Look at whole days; `FEWEST_DAYS` of them at least."""
        self.days = days
        self.by_weekday = len(days) >= WEEKDAYS_FROM_DAYS
        self._groups: dict[int, list[Sequence[int]]] = {}
        for day, hours in days.items():
            self._groups.setdefault(self._group(day), []).append(hours)
        squares = Fraction(0)
        for members in self._groups.values():
            totals = [sum(hours) for hours in members]
            mean = Fraction(sum(totals), len(totals))
            squares += sum(((total - mean) ** 2 for total in totals), start=Fraction(0))
        free = len(days) - len(self._groups)
        self._variance = squares / free
        self._t = Fraction(_T_90[min(free, len(_T_90)) - 1], 1000)

    def _group(self, day: date) -> int:
        return day.weekday() if self.by_weekday else 0

    def _mean(self, group: int) -> Fraction:
        members = self._groups[group]
        return Fraction(sum(map(sum, members)), len(members))

    def _mean_of(self, group: int, piece: Slice) -> Fraction:
        members = self._groups[group]
        return sum((piece.cost_of(hours) for hours in members), start=Fraction(0)) / len(members)

    def rests(self, slices: Sequence[Slice]) -> Iterator[Rest]:
        """Yield what is expected from now to the end of each coming day, in their order."""
        expected = Fraction(0)
        sizes: dict[int, Fraction] = {}
        for piece in slices:
            group = self._group(piece.day)
            expected += self._mean(group) if piece.size == 1 else self._mean_of(group, piece)
            sizes[group] = sizes.get(group, Fraction(0)) + piece.size
            days_varying = sum(
                (size + size * size / len(self._groups[number]) for number, size in sizes.items()), start=Fraction(0)
            )
            half = _root(self._t**2 * self._variance * days_varying)
            middle = _rounded(expected)
            yield Rest(piece.day, middle, max(0, middle - half), middle + half)


def forecast(
    days: Mapping[date, Sequence[int]], slices: Sequence[Slice], *, spent_pico: int, until: datetime
) -> Forecast | None:
    """Return what a period will have cost at its end; None where there are too few whole days, or none is coming."""
    if len(days) < FEWEST_DAYS or not slices:
        return None
    rates = Rates(days)
    *_, last = rates.rests(slices)
    return Forecast(
        until=until,
        spent_usd=usd_from_pico(spent_pico),
        expected_usd=_micro_usd(spent_pico + last.expected_pico),
        low_usd=_micro_usd(spent_pico + last.low_pico),
        high_usd=_micro_usd(spent_pico + last.high_pico),
        method="weekdays" if rates.by_weekday else "days",
        days=len(days),
        days_since=min(days),
    )


def slices_between(start: datetime, end: datetime, zone: ZoneInfo) -> list[Slice]:
    """Return the local days from one instant to another, the first and the last of them in part."""
    first, last = start.astimezone(zone), end.astimezone(zone)
    found = []
    for number in range((last.date() - first.date()).days + 1):
        day = first.date() + timedelta(days=number)
        piece = Slice(
            day,
            hour_of(first) if number == 0 else Fraction(0),
            hour_of(last) if day == last.date() else Fraction(_HOURS),
        )
        if piece.size > 0:
            found.append(piece)
    return found


def hour_of(local: datetime) -> Fraction:
    """Return the hour of the local clock with its fraction."""
    return local.hour + Fraction(local.minute * 60 + local.second, 3600)


def _rounded(value: Fraction) -> int:
    return round_half_even(value.numerator, value.denominator)


def _root(square: Fraction) -> int:
    return isqrt(square.numerator // square.denominator)


def _micro_usd(pico: int) -> Decimal:
    return usd_from_pico(round_half_even(pico, _PICO_PER_MICRO) * _PICO_PER_MICRO)
