"""What a table's texts stand for: published units of rates, and days as instants.

Apart from the checks, because packaged tables were checked when they were
compiled: a program that prices by them alone loads no checker.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time

from tokencalc.clock import instant_from
from tokencalc.usage import TOKEN_METERS

_UNITS = (
    ("_second", {"second": 1, "minute": 60, "hour": 3600}),
    ("_piece", {"piece": 1, "kpiece": 10**3}),
    ("_character", {"character": 1, "kcharacter": 10**3, "mcharacter": 10**6}),
    ("_page", {"page": 1, "kpage": 10**3}),
    ("_token_hour", {"mtok_hour": 10**6}),
)
_TOKEN_UNITS = {"mtok": 10**6}
_CALL_UNITS = {"kcall": 10**3, "call": 1}


def units_of(meter: str) -> dict[str, int]:
    """Return the published units in which a meter is priced, as the end of a rate's key says them.

    ``input_per_mtok``, ``web_search_per_kcall``, ``input_audio_second_per_hour``: the unit stays the
    provider's own, because 0.111 dollars an hour is no finite decimal a second.
    """
    if meter in TOKEN_METERS:
        return _TOKEN_UNITS
    return next((units for ending, units in _UNITS if meter.endswith(ending)), _CALL_UNITS)


def instant_of(value: object) -> datetime:
    """Return the instant of a TOML date, an instant, or their ISO text; a date is its first instant in UTC."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime.combine(value, time.min, tzinfo=UTC)
    return instant_from(value, name="instant")
