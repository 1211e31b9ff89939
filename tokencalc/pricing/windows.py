"""Hours and weekdays on which a rate holds, in the zone that the provider names.

A window is half-open, ``"16:30-00:30"`` runs over midnight, and a weekday is the
local day on which the instant lies, not the one on which the window began.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import time
from typing import TYPE_CHECKING, Any

from tokencalc.periods import zone_from

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The local times of day and the weekdays on which something holds; empty means all of them."""

    hours: tuple[tuple[time, time], ...]
    weekdays: frozenset[str]
    timezone: str

    def holds(self, instant: datetime) -> bool:
        """Tell whether an instant lies in the window."""
        local = instant.astimezone(zone_from(self.timezone))
        if self.weekdays and WEEKDAYS[local.weekday()] not in self.weekdays:
            return False
        clock = local.time()
        return not self.hours or any(_is_within(clock, start, end) for start, end in self.hours)

    def __str__(self) -> str:
        """Name the window for people: ``16:30-00:30 UTC``."""
        hours = ", ".join(f"{start:%H:%M}-{end:%H:%M}" for start, end in self.hours)
        days = ", ".join(day for day in WEEKDAYS if day in self.weekdays)
        return " ".join(part for part in (hours, days, self.timezone) if part)


def _is_within(clock: time, start: time, end: time) -> bool:
    return start <= clock < end if start < end else clock >= start or clock < end


def hours_from(text: str) -> tuple[time, time]:
    """Return the start and end of ``"HH:MM-HH:MM"``; ValueError for anything else, or for an empty span."""
    start, separator, end = text.partition("-")
    first, last = time.fromisoformat(start), time.fromisoformat(end)
    if not separator or first == last or first.tzinfo or last.tzinfo:
        raise ValueError(text)
    return first, last


def window_of(raw: Mapping[str, Any]) -> Window:
    """Return the window of a table that passed the checker."""
    return Window(
        hours=tuple(hours_from(text) for text in raw.get("hours", ())),
        weekdays=frozenset(raw.get("weekdays", ())),
        timezone=raw.get("timezone", "UTC"),
    )
