"""What callers get: an alert with its state, and the figures that a rule was asked about."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from tokencalc.errors import AlertUnknown

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from decimal import Decimal

    from tokencalc.alerts.lifecycle import State
    from tokencalc.alerts.rules import Severity

_NUMBER = re.compile(r"(?P<chain>[0-9a-f]{1,64})-a(?P<number>[1-9][0-9]{0,17})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert of one instance of a rule, or one by hand: from its firing to its end, or its way there.

    ``labels`` say which instance; ``text`` is what was told last, ``value`` the figure at its beginning, None by hand,
    where ``rule`` is the name that was given.
    ``since`` is when the condition began to hold. Instants of what did not happen are None.
    """

    alert_id: str
    rule: str
    severity: Severity
    state: State
    text: str
    value: Decimal | None
    since: datetime
    labels: Mapping[str, str] = field(default_factory=dict)
    fired_at: datetime | None = None
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None
    resolved_at: datetime | None = None
    resolved_by: str | None = None


class Reading(NamedTuple):
    """One instance of a rule at one instant: which, its figure, whether that is a breach, and it in words.

    ``since_us`` is from when on it is known to hold, ``is_proved`` whether that is as long as the rule asks, and
    ``ended`` says why it is over where a calm figure would not. With a ``rank`` it is told once and never again,
    even when it was over before anybody looked, and only if nothing of its ``group`` has a higher one.
    """

    instance: str
    labels: Mapping[str, str]
    value: Decimal
    is_breach: bool
    text: str
    since_us: int
    is_proved: bool = True
    ended: str = ""
    group: str = ""
    rank: int = 0

    @property
    def once(self) -> bool:
        """Whether it is told once and never again."""
        return self.rank > 0


class Readings(NamedTuple):
    """All instances of a rule. Of those in ``unknown`` nothing is known; each other one is over, as ``over`` says."""

    found: tuple[Reading, ...]
    over: str
    unknown: frozenset[str] = frozenset()


def alert_id(chain_id: str, number: int) -> str:
    """Return an alert's public id."""
    return f"{chain_id}-a{number}"


def number_of(alert: str, chain_id: str) -> int:
    """Return the number of an alert's row; AlertUnknown for another ledger's id, or for none."""
    found = _NUMBER.fullmatch(alert) if isinstance(alert, str) else None
    if found is None or found["chain"] != chain_id:
        raise unknown_alert(alert)
    return int(found["number"])


def unknown_alert(alert: object) -> AlertUnknown:
    """Return the error for an id that this ledger does not have."""
    return AlertUnknown(
        f"alert {alert!r:.80}: this ledger has none of that id; `tokencalc alerts list` shows them",
        alert_id=f"{alert!s:.80}",
    )
