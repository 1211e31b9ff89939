"""Which calls are counted as unpriced, by model and reason: what a report's total lacks.

A call is unpriced while no entry gives it a whole price: neither its charge nor a
correction that came later.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokencalc.usage import Meter

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from tokencalc.ledger.records import Dimension, Entry

_INSTANT = re.compile(r" at \d{4}-\d\d-\d\dT[\d:.]+Z")
"""Would make the same reason another one for each call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpriced:
    """Calls that have no price, or none for ``meters``, for one model and one reason.

    ``meters`` are those without a rate; it is empty where nothing at all is known of
    the model's price. What could be priced of these calls is counted all the same.
    """

    provider: str | None
    model: str
    meters: tuple[Meter, ...]
    reason: str
    calls: int


def unpriced_calls(
    connection: sqlite3.Connection, dimensions: Mapping[int, Dimension], bounds: tuple[int, int]
) -> tuple[Unpriced, ...]:
    """Return what is unpriced in these dimensions and microseconds, the most calls first."""
    found: Counter[tuple[str, str, tuple[str, ...], str]] = Counter()
    for dimension_id, is_partly_priced, detail, corrected in connection.execute(
        "SELECT dimension_id, lines IS NOT NULL, detail, (SELECT detail FROM entry AS fix "
        "WHERE fix.corrects = entry.sequence ORDER BY fix.sequence DESC LIMIT 1) FROM entry "
        "WHERE unpriced > 0 AND at_us >= ? AND at_us < ? AND NOT EXISTS "
        "(SELECT 1 FROM entry AS fill WHERE fill.corrects = entry.sequence AND fill.unpriced < 0)",
        bounds,
    ):
        dimension = dimensions.get(dimension_id)
        if dimension is None:
            continue
        said = json.loads(corrected or detail or "{}")
        meters = tuple(said.get("unpriced", ()))
        reason = reason_text(meters, said.get("notes", ()), is_partly_priced=bool(corrected or is_partly_priced))
        found[dimension.provider, dimension.model, meters, reason] += 1
    return tuple(
        Unpriced(
            provider=provider or None,
            model=model,
            meters=tuple(Meter(meter) for meter in meters),
            reason=reason,
            calls=calls,
        )
        for (provider, model, meters, reason), calls in sorted(found.items(), key=lambda item: (-item[1], item[0]))
    )


def without_instant(note: str) -> str:
    """Return a note without the instant of its call."""
    return _INSTANT.sub("", note)


def unpriced_reason(entry: Entry) -> str:
    """Return why an entry has no price, or none for some meters, in one sentence."""
    return reason_text(entry.unpriced, entry.notes, is_partly_priced=bool(entry.lines))


def reason_text(meters: Sequence[str], notes: Sequence[str], *, is_partly_priced: bool) -> str:
    """Return the reason among the notes; calls that differ only in their instant have the same one."""
    stated = [note for note in notes if is_partly_priced and note.startswith(tuple(f"{meter}: " for meter in meters))]
    if stated or notes:
        return without_instant("; ".join(stated or notes))
    return f"no rate for {', '.join(meters)}" if meters else "no rate card for this model on that day"
