"""Figures of metrics and ratios by instance, and for how long each has been past a threshold.

``for_s`` is proved by samples, not by looks: the condition held at each sample of that
time, and no two of them lie further apart than a sample is news. So it is the same
whoever looks and how often, and one sample proves nothing.
"""

from __future__ import annotations

import json
import math
from decimal import Context, Decimal
from functools import reduce
from typing import TYPE_CHECKING, NamedTuple

from tokencalc.alerts.rules import Metric, Ratio
from tokencalc.ledger import sample_figures as samples

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from tokencalc.alerts.rules import Rule

_US = 1_000_000
SILENT_S = 3600
"""Seconds for which a figure may be missing until its alert ends: its process, limiter or operation is gone."""
HOST_SILENT_S = 24 * 3600
"""The same for a machine's figures: a disk stays full while no monitor looks, but a container does not come back."""
_OF_HOSTS = ("system.", "gpu.")
_MOST_LOOKS_BACK = 60
_ROUNDED = Context(prec=12, traps=[])


class Instance(NamedTuple):
    """One host's samples with the same labels: of a metric, or of what stands above and below a ratio's line."""

    key: str
    host: str
    labels: Mapping[str, str]
    above: list[int]
    below: list[int]

    @property
    def shown(self) -> dict[str, str]:
        """The labels, with the host."""
        return {**self.labels, "host": self.host} if self.host else dict(self.labels)


class Figure(NamedTuple):
    """A figure, whether it is past the threshold, since when, and whether that is as long as the rule asks."""

    value: Decimal
    is_breach: bool
    since_us: int
    is_proved: bool = True


def instances(connection: sqlite3.Connection, condition: Metric | Ratio) -> list[Instance]:
    """Return the instances of which the ledger has samples."""
    found: dict[str, Instance] = {}
    metric = _metric_of(condition)
    for series in samples.series_named(connection, metric.name, metric.labels):
        key = _key(series)
        found.setdefault(key, Instance(key, series.host, series.labels, [], [])).above.append(series.number)
    if not isinstance(condition, Metric):
        below = condition.denominator
        for series in samples.series_named(connection, below.name, below.labels):
            if _key(series) in found:
                found[_key(series)].below.append(series.number)
    return list(found.values())


def _key(series: samples.Series) -> str:
    return json.dumps([series.host, series.labels], sort_keys=True)


def look(connection: sqlite3.Connection, rule: Rule, one: Instance, now_us: int) -> Figure | None:
    """Return the figure of an instance that is nearest to an alert; None where none is known."""
    if isinstance(rule.condition, Metric):
        return _metric(connection, rule, rule.condition, one, now_us)
    return _ratio(connection, rule, rule.condition, one, now_us) if isinstance(rule.condition, Ratio) else None


def silent_after_s(condition: Metric | Ratio) -> int:
    """Return for how many seconds an instance may have no figure until its alert ends."""
    metric = _metric_of(condition)
    return metric.within_s + (HOST_SILENT_S if metric.name.startswith(_OF_HOSTS) else SILENT_S)


def may_come_back(connection: sqlite3.Connection, condition: Metric | Ratio, one: Instance, now_us: int) -> bool:
    """Whether an instance of which nothing is known now had a figure not too long ago."""
    since_us = now_us - silent_after_s(condition) * _US
    newest_us = max(samples.newest_us(connection, number) or 0 for number in one.above)
    if newest_us < since_us or isinstance(condition, Metric):
        return newest_us >= since_us
    # A limiter that nobody uses goes on to write zeros, and of nothing there is no share.
    counted = "increase" if condition.denominator.statistic == "increase" else "max"
    until_us = max(now_us, newest_us)
    return any((samples.figure(connection, number, counted, since_us, until_us) or 0) > 0 for number in one.below)


def _metric_of(condition: Metric | Ratio) -> Metric:
    return condition if isinstance(condition, Metric) else condition.numerator


def _metric(connection: sqlite3.Connection, rule: Rule, metric: Metric, one: Instance, now_us: int) -> Figure | None:
    found = {
        (number, process): value
        for number in one.above
        for process, value in _values(connection, metric, number, now_us).items()
    }
    if not found:
        return None
    value = rule.worst(list(found.values()))
    if not rule.is_breached_by(value):
        return Figure(value, is_breach=False, since_us=now_us)
    proofs = [
        _proof(rule, metric, _looks_back(connection, rule, metric, strand, now_us), now_us)
        for strand, each in found.items()
        if rule.is_breached_by(each)
    ]
    since_us, is_proved = min(proofs, key=lambda proof: (not proof[1], proof[0]))
    return Figure(value, is_breach=True, since_us=since_us, is_proved=is_proved)


def _values(connection: sqlite3.Connection, metric: Metric, number: int, at_us: int) -> dict[int | None, Decimal]:
    """Return a series' figures at an instant: "last" is each process's own, of a host whoever wrote it."""
    since_us = at_us - metric.within_s * _US
    found: dict[int | None, float | None]
    if metric.statistic != "last":
        found = {None: samples.figure(connection, number, metric.statistic, since_us, at_us)}
    elif metric.name.startswith(_OF_HOSTS):
        # One process at a time records these: what the one before it wrote last is over.
        newest = next(samples.backwards(connection, number, None, since_us, at_us), None)
        found = {None: newest[1] if newest else None}
    else:
        found = dict(samples.newest(connection, number, since_us, at_us).items())
    return {process: _exact(value) for process, value in found.items() if value is not None and math.isfinite(value)}


def _exact(value: float) -> Decimal:
    return Decimal(repr(value))  # the shortest text that means the float: 0.7 is not above 0.7


def _looks_back(
    connection: sqlite3.Connection, rule: Rule, metric: Metric, strand: tuple[int, int | None], now_us: int
) -> Iterator[tuple[int, bool]]:
    """Yield the instants of a strand's samples, the newest first, and whether the condition held there."""
    rows = samples.backwards(connection, *strand, now_us - _reach_us(rule, metric), now_us)
    if metric.statistic == "last":
        return ((at_us, rule.is_breached_by(_exact(value))) for at_us, value in rows)

    def holds(at_us: int) -> bool:
        return any(map(rule.is_breached_by, _values(connection, metric, strand[0], at_us).values()))

    return _thinned(rows, holds)


def _reach_us(rule: Rule, metric: Metric) -> int:
    return (rule.for_s + 2 * metric.within_s) * _US


def _thinned(rows: Iterable[tuple[int, float]], holds: Callable[[int], bool]) -> Iterator[tuple[int, bool]]:
    """Look at no more than some instants: windows that lie close together are nearly the same."""
    instants = list(dict.fromkeys(at_us for at_us, _ in rows))
    step = max(1, len(instants) // _MOST_LOOKS_BACK)
    for place, at_us in enumerate(instants):
        yield at_us, place % step != 0 or holds(at_us)


def _proof(rule: Rule, metric: Metric, looks: Iterable[tuple[int, bool]], now_us: int) -> tuple[int, bool]:
    """Return since when the condition holds, as far as that is asked, and whether it is long enough."""
    if not rule.for_s:
        return now_us, True
    newest_us: int | None = None
    since_us = now_us
    for at_us, holds in looks:
        if not holds or (newest_us is not None and since_us - at_us > metric.within_s * _US):
            break
        newest_us, since_us = at_us if newest_us is None else newest_us, at_us
        if newest_us - since_us >= rule.for_s * _US:
            return since_us, True
    return since_us, False


def _ratio(connection: sqlite3.Connection, rule: Rule, ratio: Ratio, one: Instance, now_us: int) -> Figure | None:
    def value_at(at_us: int) -> tuple[Decimal, bool] | None:
        whole = _sum(connection, ratio.denominator, one.below, at_us)
        part = _sum(connection, ratio.numerator, one.above, at_us)
        if part is None or whole is None or whole <= 0:
            return None
        value = _ROUNDED.divide(part, whole)
        is_breach = rule.is_breached_by(value)
        # Of too few nothing begins, but what fires may end.
        return None if is_breach and whole < ratio.minimum else (value, is_breach)

    def holds(at_us: int) -> bool:
        found = value_at(at_us)
        return found is not None and found[1]

    now = value_at(now_us)
    if now is None or not now[1]:
        return now and Figure(*now, since_us=now_us)
    reach_us = now_us - _reach_us(rule, ratio.numerator)
    rows = [row for number in one.above for row in samples.backwards(connection, number, None, reach_us, now_us)]
    proof = _proof(rule, ratio.numerator, _thinned(sorted(rows, reverse=True), holds), now_us)
    return Figure(*now, *proof)


def _sum(connection: sqlite3.Connection, metric: Metric, numbers: Iterable[int], at_us: int) -> Decimal | None:
    """Add several processes up: a ratio is one of sums, not of whichever two came last."""
    found = [value for number in numbers for value in _values(connection, metric, number, at_us).values()]
    return reduce(_ROUNDED.add, found) if found else None
