"""From inactive over pending, firing and acknowledged to resolved: the rules of states, without a ledger or a clock.

Instants are of the wall clock, because states outlive processes. Where that clock went
back, what seems to lie in the future does not count: a jump costs at most one repeat.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from tokencalc.alerts.rules import Rule

State = Literal["inactive", "pending", "firing", "acknowledged", "resolved"]
OPEN: tuple[State, ...] = ("firing", "acknowledged")
"""States of an alert that began and has not ended."""
_US = 1_000_000


class Standing(NamedTuple):
    """Where an instance stands: its state, since when it is breached, and when its last alert began, if ever."""

    state: State = "inactive"
    since_us: int = 0
    fired_us: int | None = None


class Seen(NamedTuple):
    """What one look found: whether the condition holds, since when, and whether that is proved for long enough."""

    is_breach: bool
    since_us: int = 0
    is_proved: bool = True


def moved(rule: Rule, standing: Standing, seen: Seen | None, *, now_us: int, is_inhibited: bool = False) -> Standing:
    """Return where the instance stands after one look at it; None means that nothing is known of it.

    What is not known neither starts nor ends an alert. ``is_inhibited`` lets none begin.
    """
    if standing.state in OPEN:
        return standing._replace(state="resolved") if seen is not None and not seen.is_breach else standing
    if seen is None or not seen.is_breach:
        return standing._replace(state="inactive")
    # A look proves no more than it was asked for, so of two that belong together the earlier instant is right.
    is_same = standing.state == "pending" and seen.is_proved
    since_us = min(standing.since_us, seen.since_us) if is_same else seen.since_us
    if seen.is_proved and not is_inhibited and not _is_cooling(rule, standing.fired_us, now_us):
        return Standing("firing", since_us, now_us)
    return Standing("pending", since_us, standing.fired_us)


def _is_cooling(rule: Rule, fired_us: int | None, now_us: int) -> bool:
    return fired_us is not None and 0 <= now_us - fired_us < rule.cooldown_s * _US
