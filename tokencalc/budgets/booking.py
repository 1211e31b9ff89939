"""The one path by which record, settle, write-off and reprice write money.

Booking never refuses: the money is gone already. What it takes above a limit is
itemised as excess; what it takes past a threshold is a crossing, written in the
same transaction, once for each budget, period and threshold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokencalc.budgets.covering import Call, covers, unknown_budgets
from tokencalc.budgets.thresholds import note_crossings, note_excess
from tokencalc.events import EntryBooked
from tokencalc.ledger.records import BEYOND, as_requested
from tokencalc.money import MAX_PICO, usd_from_pico

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tokencalc.ledger.records import Entry, EntryDraft, ExcessReason
    from tokencalc.ledger.store import HoldRow, PeriodRow, Transaction


def book(
    transaction: Transaction, draft: EntryDraft, reason: ExcessReason, *, ends_hold: HoldRow | None = None
) -> Entry:
    """Append an entry and count it in every budget that covers it; with ``ends_hold``, give that hold back.

    A named budget that does not exist is noted and no error, because the money is gone already.
    """
    counted = _within_range(draft)
    is_beyond = counted is not draft
    draft = _with_known_budgets(transaction, counted)
    call = Call(
        dimension=draft.dimension,
        asked=as_requested(draft.dimension, draft.requested_model, draft.requested_provider),
        tags=draft.tags,
        run=draft.run,
        budgets=draft.budgets,
        at_us=draft.at_us,
    )
    covering = covers(transaction, call)
    held = {} if ends_hold is None else counted_in(transaction, ends_hold)
    entry = transaction.append(draft)
    amount = draft.amount_pico or 0
    for cover in covering:
        before = cover.period.used_pico
        if held.pop(cover.period.period_id, None) is not None and ends_hold is not None:
            cover.period.held_pico -= ends_hold.amount_pico
        cover.period.spent_pico += amount
        cover.period.unpriced_calls += draft.unpriced_calls
        cover.period.overflowed |= cover.period.spent_pico > MAX_PICO or is_beyond
        note_excess(transaction, cover.rules, cover.period, before, reason, draft.at_us, entry.sequence)
        note_crossings(transaction, cover.rules, cover.period, draft.at_us)
        transaction.change_period(cover.period)
    if ends_hold is not None:
        give_back(transaction, held.values(), ends_hold.amount_pico)
    if transaction.is_heard:
        transaction.events.append(
            EntryBooked(entry_id=entry.entry_id, kind=entry.kind, amount_usd=entry.amount_usd, at=entry.at)
        )
    return entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """A correction that was worked out from what the book held then.

    ``draft.corrects`` is the entry to correct; ``newest_correction`` the sequence of its newest correction
    at that time, 0 where it had none.
    """

    draft: EntryDraft
    newest_correction: int


def book_corrections(transaction: Transaction, corrections: Sequence[Correction]) -> list[Entry | None]:
    """Append corrections, each only if nobody has corrected its entry since; None stands for those left out."""
    newest = transaction.newest_corrections([found.draft.corrects or 0 for found in corrections])
    return [
        book(transaction, found.draft, "correction")
        if newest.get(found.draft.corrects or 0, 0) == found.newest_correction
        else None
        for found in corrections
    ]


def counted_in(transaction: Transaction, hold: HoldRow) -> dict[int, PeriodRow]:
    """Return the periods in which a hold is counted, by id; all are read before the first of them is changed."""
    return {period_id: transaction.period_by_id(period_id) for period_id in hold.period_ids}


def give_back(transaction: Transaction, periods: Iterable[PeriodRow], amount_pico: int) -> None:
    """Take a held amount off each of the periods."""
    for period in periods:
        period.held_pico -= amount_pico
        transaction.change_period(period)


def _with_known_budgets(transaction: Transaction, draft: EntryDraft) -> EntryDraft:
    unknown = unknown_budgets(transaction, draft.budgets) if draft.budgets else []
    if not unknown:
        return draft
    notes = [f"budget {name!r} does not exist: this was not counted there" for name in unknown]
    known = tuple(name for name in draft.budgets if name not in unknown)
    return draft._replace(budgets=known, notes=(*draft.notes, *notes))


def _within_range(draft: EntryDraft) -> EntryDraft:
    """Return the draft without an amount that no column holds; the notes keep it, and it counts as unpriced."""
    if draft.amount_pico is None or abs(draft.amount_pico) <= MAX_PICO:
        return draft
    note = f"{usd_from_pico(draft.amount_pico)} USD {BEYOND} ({usd_from_pico(MAX_PICO)} USD)"
    return draft._replace(amount_pico=None, amount_source=None, notes=(*draft.notes, note))
