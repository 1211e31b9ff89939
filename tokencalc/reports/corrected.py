"""Entries with their corrections folded in: what a call cost and lacks after all that was written since."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokencalc.ledger.records import Entry


class Corrected(NamedTuple):
    """An entry after its corrections.

    ``pico`` is all that was counted for it, in pico-dollars; ``unpriced_calls`` is 1 while it has no whole price;
    ``said`` is the newest of its entries, whose lines and reasons hold now. ``is_corrected`` tells whether there is
    a correction at all.
    """

    entry: Entry
    pico: int
    unpriced_calls: int
    said: Entry
    is_corrected: bool


class Corrections:
    """Folds entries that come the newest written first, as a ledger yields them: corrections before theirs."""

    def __init__(self) -> None:
        """Begin with no correction seen."""
        self._waiting: dict[str, Corrected] = {}

    def see(self, entry: Entry) -> Corrected | None:
        """Return an entry with the corrections that were seen before it; None for a correction, which waits."""
        of = entry.entry_id if entry.corrects is None else entry.corrects
        later = self._waiting.pop(of, None)
        found = Corrected(
            entry=entry,
            pico=(entry.amount_pico or 0) + (later.pico if later else 0),
            unpriced_calls=entry.unpriced_calls + (later.unpriced_calls if later else 0),
            said=later.said if later else entry,
            is_corrected=later is not None,
        )
        if entry.corrects is None:
            return found
        self._waiting[of] = found
        return None

    def alone(self) -> Iterator[Corrected]:
        """Yield what waits at the end: corrections of entries that were not among those seen, one for each entry.

        Their ``entry`` is the oldest of these corrections, and ``unpriced_calls`` is what they add to a count.
        """
        yield from self._waiting.values()
