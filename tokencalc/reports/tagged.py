"""A report by tags: read entry by entry, because the rollups know no tags.

Everything else is as in the ledger's own report, to the pico-dollar; it takes
some 20 us for each entry of the interval.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tokencalc.ledger.report import Report, Sums
from tokencalc.ledger.unpriced import Unpriced, unpriced_reason
from tokencalc.periods import zone_from
from tokencalc.reports.corrected import Corrections
from tokencalc.reports.keys import entry_value, is_tag, is_wanted
from tokencalc.usage import token_totals

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from tokencalc.engine import Engine
    from tokencalc.ledger.records import Entry
    from tokencalc.usage import Meter

_NO_TOKENS = (0, 0, 0, 0, 0)


def read_report(  # noqa: PLR0913  # keyword only
    engine: Engine,
    *,
    group_by: Sequence[str],
    since: datetime | None = None,
    until: datetime | None = None,
    where: Mapping[str, str | bool | None] | None = None,
    timezone: str,
) -> Report:
    """Return the engine's report; where a key or a filter is a tag, the same by a pass over the entries.

    Raises CallInvalid for a key that is neither a report's nor ``tag:NAME``.
    """
    wanted = where or {}
    plain = [key for key in group_by if not is_tag(key)]
    plain_where = {key: value for key, value in wanted.items() if not is_tag(key)}
    if len(plain) == len(group_by) and plain_where == wanted:
        return engine.report(
            group_by=tuple(group_by), since=since, until=until, where=wanted or None, timezone=timezone
        )
    # The ledger refuses unknown keys; of an empty interval, it reads nothing for that.
    engine.report(group_by=plain, since=since or until, until=since or until, where=plain_where, timezone=timezone)
    zone = zone_from(timezone)
    kept = (
        entry
        for entry in engine.entries(since=since, until=until)
        if entry.kind != "budget" and is_wanted(entry, wanted, zone)
    )
    return _summed(kept, tuple(group_by), zone, (since, until), timezone)


def _summed(
    entries: Iterable[Entry],
    keys: tuple[str, ...],
    zone: ZoneInfo,
    bounds: tuple[datetime | None, datetime | None],
    timezone: str,
) -> Report:
    sums, corrections = Sums(keys), Corrections()
    unpriced: Counter[tuple[str, str, tuple[Meter, ...], str]] = Counter()
    for entry in entries:
        seen = corrections.see(entry)
        if seen is not None and seen.unpriced_calls:
            unpriced[entry.provider or "", entry.model, seen.said.unpriced, unpriced_reason(seen.said)] += 1
        tokens = _NO_TOKENS if entry.usage is None else token_totals(entry.usage.leaves)
        figures = (int(entry.kind == "charge"), entry.unpriced_calls, entry.amount_pico or 0, *tokens)
        sums.add(tuple(entry_value(entry, key, zone) for key in keys), figures)
    total = sums.total()
    return Report(
        group_by=keys,
        rows=sums.rows(),
        total=total,
        since=bounds[0],
        until=bounds[1],
        timezone=timezone,
        unpriced=tuple(
            Unpriced(provider=provider or None, model=model, meters=meters, reason=reason, calls=calls)
            for (provider, model, meters, reason), calls in sorted(
                unpriced.items(), key=lambda item: (-item[1], item[0])
            )
        ),
    )
