"""What became of alerts: how often each rule fired, and how long it took until somebody knew and until it was over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

# An end before its beginning was written after the clock went back: how long that took is not known.
# Milliseconds, because a sum of microseconds over many long alerts does not fit into SQLite's integers.
_BY_RULE = """
    WITH each AS (
        SELECT rule, fired_us >= :since AS is_wanted, state IN ('firing', 'acknowledged') AS is_open,
            iif(fired_us >= :since AND acknowledged_us >= fired_us, acknowledged_us - fired_us, NULL) / 1000
                AS acknowledge_ms,
            iif(fired_us >= :since AND resolved_us >= fired_us, resolved_us - fired_us, NULL) / 1000 AS resolve_ms
        FROM alert WHERE fired_us IS NOT NULL
    )
    SELECT rule, sum(is_wanted) AS fired, sum(is_open), sum(acknowledge_ms), count(acknowledge_ms),
        sum(resolve_ms), count(resolve_ms)
    FROM each WHERE is_wanted OR is_open GROUP BY rule ORDER BY fired DESC, rule
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleHistory:
    """How often a rule fired since some instant, how many of its alerts are open now, and mean seconds to two ends.

    The means are of the alerts that fired since then, from their firing until somebody said that they know, and until
    they ended, by hand or by themselves; None where none of them came so far. ``rule`` is the name of an alert by
    hand, too. ``open_now`` counts what fires or is acknowledged, whenever it began.
    """

    rule: str
    fired: int
    open_now: int
    acknowledge_mean_s: float | None
    resolve_mean_s: float | None


def by_rule(connection: sqlite3.Connection, since_us: int) -> tuple[RuleHistory, ...]:
    """Return each rule that fired since an instant or has an alert that is open, the one that fired most first."""
    return tuple(
        RuleHistory(
            rule=rule,
            fired=fired,
            open_now=open_now,
            acknowledge_mean_s=_mean_s(acknowledge_ms, acknowledged),
            resolve_mean_s=_mean_s(resolve_ms, resolved),
        )
        for rule, fired, open_now, acknowledge_ms, acknowledged, resolve_ms, resolved in connection.execute(
            _BY_RULE, {"since": since_us}
        )
    )


def _mean_s(sum_ms: int | None, count: int) -> float | None:
    return None if sum_ms is None else round(sum_ms / count / 1000, 3)
