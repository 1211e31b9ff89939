"""The end of a hold: settled, released, or written off when it was lost.

A hold ends once. What a call cost is never refused: a hold that was released or
written off is settled late, and the write-off is taken back first, so that the
call never counts twice, not even between two rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tokencalc.budgets.booking import book, counted_in, give_back
from tokencalc.budgets.holds import detail_mapping, detail_names, hold_record, hold_row, not_open
from tokencalc.clock import instant_from_micros
from tokencalc.events import HoldReleased, HoldSettled
from tokencalc.ledger.codec import usage_text
from tokencalc.ledger.records import EntryDraft, hold_id
from tokencalc.money import usd_from_pico

if TYPE_CHECKING:
    from tokencalc.ledger.records import Entry, Hold
    from tokencalc.ledger.store import HoldRow, Transaction
    from tokencalc.usage import Usage


def settle(transaction: Transaction, number: int, draft: EntryDraft) -> Entry:
    """Replace a hold by its actual charge, in the period of the reserve.

    A fact is never refused: a suspect, released or written-off hold is settled
    too. The same settlement again returns the first entry, marked replayed;
    another one raises HoldNotOpen.
    """
    row = hold_row(transaction, number)
    said = row.detail
    draft = draft._replace(
        at_us=row.at_us,
        hold_id=number,
        tags={**draft.tags, **detail_mapping(said, "tags")},
        run=str(said.get("run", "")),
        budgets=detail_names(said, "budgets"),
        idempotency_key=str(said["key"]) if said.get("key") else None,
        notes=(*draft.notes, *_notes_on(row, draft)),
    )
    if row.state == "settled":
        first = transaction.entry(row.entry_sequence or 0)
        if _booked(first) != _would_book(draft):
            raise not_open(transaction, row, "settled with other arguments")
        return first._replace(replayed=True)
    if row.state == "written_off":
        _reverse_write_off(transaction, row)
    over = (draft.amount_pico or 0) > row.amount_pico
    entry = book(
        transaction, draft, "overrun" if over else "record_without_hold", ends_hold=row if row.state == "open" else None
    )
    row.state, row.entry_sequence = "settled", entry.sequence
    transaction.change_hold(row, "settled")
    if transaction.is_heard:
        transaction.events.append(
            HoldSettled(
                hold_id=hold_id(transaction.chain_id, number),
                entry_id=entry.entry_id,
                actual_usd=entry.amount_usd,
                overrun_usd=usd_from_pico(max(0, (draft.amount_pico or 0) - row.amount_pico)),
                at=instant_from_micros(transaction.now_us),
            )
        )
    return entry


def _notes_on(row: HoldRow, draft: EntryDraft) -> list[str]:
    notes = [] if row.state in {"open", "settled"} else [f"the hold was {row.state} before this settlement"]
    # The hold's tags decided on whose budgets it counts; a settlement that says otherwise cannot move it.
    kept = detail_mapping(row.detail, "tags")
    return notes + [
        f"tag {name} stays {kept[name]!r}, as reserved; the settlement said {value!r}"
        for name, value in draft.tags.items()
        if kept.get(name, value) != value
    ]


def _booked(entry: Entry) -> tuple[object, ...]:
    about = (entry.provider or "", entry.model, entry.agent_id or "", entry.user_id or "", entry.project or "")
    # What it cost follows from these and from the tables, which may have changed between two settlements.
    money = (dict(entry.context), entry.caller_pico, _stored(entry.usage))
    return (
        *about,
        entry.api_key_id or "",
        entry.operation or "",
        entry.notional,
        dict(entry.tags),
        entry.source,
        *money,
    )


def _would_book(draft: EntryDraft) -> tuple[object, ...]:
    of = draft.dimension
    about = (of.provider, of.model, of.agent_id, of.user_id, of.project)
    money = (dict(draft.context), draft.caller_pico, _stored(draft.usage))
    how = (of.operation, of.notional, dict(draft.tags), draft.source)
    return (*about, of.api_key_id, *how, *money)


def _stored(usage: Usage | None) -> str | None:
    """Return what the book keeps of a usage: raw counters without money are not part of it."""
    return None if usage is None else usage_text(usage)


def _reverse_write_off(transaction: Transaction, row: HoldRow) -> None:
    written_off = transaction.entry(row.entry_sequence or 0)
    book(
        transaction,
        _ending_draft(row, "correction")._replace(
            amount_pico=-(written_off.amount_pico or 0),
            corrects=written_off.sequence,
            notes=("the lost call was settled late: its write-off is taken back",),
        ),
        "correction",
    )


def _ending_draft(row: HoldRow, kind: Any) -> EntryDraft:
    said = row.detail
    return EntryDraft(
        kind=kind,
        at_us=row.at_us,
        dimension=row.dimension,
        amount_source="priced",
        tags=detail_mapping(said, "tags"),
        run=str(said.get("run", "")),
        budgets=detail_names(said, "budgets"),
        hold_id=row.hold_id,
    )


def release(transaction: Transaction, number: int) -> Hold:
    """Give a hold back unused; a second release returns the hold marked replayed.

    Raises HoldNotOpen for a hold that was settled or written off.
    """
    row = hold_row(transaction, number)
    if row.state == "released":
        return hold_record(transaction, row)._replace(replayed=True)
    if row.state != "open":
        raise not_open(transaction, row, "released")
    give_back(transaction, counted_in(transaction, row).values(), row.amount_pico)
    row.state = "released"
    transaction.change_hold(row, "released")
    hold = hold_record(transaction, row)
    transaction.events.append(HoldReleased(hold_id=hold.hold_id, at=instant_from_micros(transaction.now_us)))
    return hold


def write_off_lost(transaction: Transaction, *, close_after_us: int) -> list[Entry]:
    """Close holds that have been suspect for so long, each by a write-off at its expected cost."""
    lost = transaction.open_holds(expired_by_us=transaction.now_us - close_after_us)
    entries: list[Entry] = []
    for row in lost:
        draft = _ending_draft(row, "write_off")._replace(
            amount_pico=row.expected_pico,
            notes=("the end of this call was never seen: booked at its expected cost",),
        )
        entry = book(transaction, draft, "write_off", ends_hold=row)
        row.state, row.entry_sequence = "written_off", entry.sequence
        transaction.change_hold(row, "written_off")
        entries.append(entry)
    return entries
