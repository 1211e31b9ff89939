"""From inactive over pending, firing and acknowledged to resolved: the rules of states, without a ledger or a clock.

Instants are of the wall clock, because states outlive processes. Where that clock went
back, what seems to lie in the future counts as now: a jump costs at most one repeat.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from tokencalc.alerts.rules import Rule

State = Literal["inactive", "pending", "firing", "acknowledged", "resolved"]
_US = 1_000_000


class Standing(NamedTuple):
    """Where an instance stands: its state, since when it is breached, and when its last alert began, if ever."""

    state: State = "inactive"
    since_us: int = 0
    fired_us: int | None = None


def moved(rule: Rule, standing: Standing, *, is_breach: bool | None, now_us: int) -> Standing:
    """Return where the instance stands after one look at it; None means that nothing is known of it.

    What is not known neither starts nor ends an alert, and proves no ``for``.
    """
    if standing.state in {"firing", "acknowledged"}:
        return standing._replace(state="resolved") if is_breach is False else standing
    if not is_breach:
        return standing._replace(state="inactive")
    is_new = standing.state != "pending" or standing.since_us > now_us
    since_us = now_us if is_new else standing.since_us
    if now_us - since_us >= rule.for_s * _US and not _is_cooling(rule, standing.fired_us, now_us):
        return Standing("firing", since_us, now_us)
    return Standing("pending", since_us, standing.fired_us)


def _is_cooling(rule: Rule, fired_us: int | None, now_us: int) -> bool:
    return fired_us is not None and 0 <= now_us - fired_us < rule.cooldown_s * _US
