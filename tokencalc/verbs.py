"""What each verb does, as steps for the ledger: read and price outside the lock, write inside.

`Engine` runs these steps and waits; `AsyncEngine` awaits them. All reading of
arguments, counting and pricing happens here, before the step is queued, so that
the writer only compares and adds integers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from tokencalc.arguments import RECORD_NAMES, RESERVE_NAMES, SETTLE_NAMES, checked, hold_state_from
from tokencalc.budgets import ending, holds
from tokencalc.budgets.booking import book
from tokencalc.context import label_from
from tokencalc.counts import whole_count
from tokencalc.drafts import Drafts, amount_pico_from, lifetime_us_from
from tokencalc.errors import CallInvalid, HoldUnknown, IdempotencyConflict
from tokencalc.ledger.codec import fingerprint
from tokencalc.ledger.records import Hold
from tokencalc.ledger.store import Step

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokencalc.ledger.records import Entry, EntryDraft
    from tokencalc.ledger.store import Transaction

Result = TypeVar("Result")

_LONGEST_LIFETIME_S = 366 * 24 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Booking:
    """A charge on its way into the book: what is to be booked, and the step that books it.

    ``hold`` is the number of the hold that it settles. ``tried`` collects what the step has
    appended, also in transactions that were not committed, or whose commit was not seen.
    """

    draft: EntryDraft
    step: Step[Entry]
    key: str | None
    fingerprint: bytes
    hold: int | None = None
    tried: list[Entry] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Verbs:
    """Makes steps; holds what every verb needs and no state of its own."""

    drafts: Drafts
    chain_id: str

    def record(self, arguments: Mapping[str, Any]) -> Booking:
        """Book a charge without a hold; the arguments are those of `Engine.record`."""
        checked(arguments, RECORD_NAMES, "record")
        draft = self.drafts.charge(arguments)
        key = arguments.get("idempotency_key")
        if key is not None:
            label_from(key, name="idempotency_key")
        return record_booking(draft, key, b"" if key is None else fingerprint("record", arguments))

    def reserve(self, arguments: Mapping[str, Any]) -> Step[Hold]:
        """Set a worst case aside; the arguments are those of `Engine.reserve`."""
        checked(arguments, RESERVE_NAMES, "reserve")
        request = self.drafts.reserve_request(arguments)
        key = request.idempotency_key
        mark = fingerprint("reserve", arguments) if key else b""

        def run(transaction: Transaction) -> Hold:
            seen = transaction.replay(key) if key else None
            if seen is not None:
                if seen.fingerprint != mark or seen.hold_id is None:
                    raise _conflict(str(key))
                row = holds.hold_row(transaction, seen.hold_id)
                return holds.hold_record(transaction, row)._replace(replayed=True)
            hold = holds.reserve(transaction, request)
            if key:
                transaction.remember(key, mark, entry_sequence=None, hold_id=self.hold_number(hold.hold_id))
            return hold

        return Step(run, idempotency_keys=(key,) if key else ())

    def settle(self, hold: Hold, arguments: Mapping[str, Any]) -> Booking:
        """Replace a hold by its charge; the arguments are those of `Engine.settle`."""
        checked(arguments, SETTLE_NAMES, "settle")
        return settle_booking(self.drafts.settlement(hold, arguments), self.hold_number(hold.hold_id))

    def release(self, hold: Hold | str) -> Step[Hold]:
        """Give a hold back."""
        number = self.hold_number(hold)
        return Step(lambda transaction: ending.release(transaction, number), hold_ids=(number,))

    def extend(self, hold: Hold | str, lifetime_s: object, amount_usd: object) -> Step[Hold]:
        """Give a hold more time, another amount, or both."""
        if lifetime_s is None and amount_usd is None:
            raise CallInvalid("extend: expected lifetime_s, amount_usd or both", path="lifetime_s", found=None)
        number = self.hold_number(hold)
        lifetime_us = None if lifetime_s is None else lifetime_us_from(lifetime_s)
        amount_pico = None if amount_usd is None else amount_pico_from(amount_usd, "amount_usd")
        return Step(
            lambda transaction: holds.extend(transaction, number, lifetime_us=lifetime_us, amount_pico=amount_pico),
            hold_ids=(number,),
        )

    def find_hold(self, hold: Hold | str) -> Step[Hold]:
        """Read a hold as it stands."""
        number = self.hold_number(hold)
        return Step(
            lambda transaction: holds.hold_record(transaction, holds.hold_row(transaction, number)), hold_ids=(number,)
        )

    def list_holds(self, state: str | None, limit: int) -> Step[tuple[Hold, ...]]:
        """Read the newest holds in a state, or in any."""
        wanted = hold_state_from(state)
        whole_count(limit, path="limit")
        return Step(
            lambda transaction: tuple(
                holds.hold_record(transaction, row) for row in transaction.newest_holds(wanted, limit)
            )
        )

    def write_off_lost(self) -> Step[list[Entry]]:
        """Close holds that have been suspect for longer than the settings allow."""
        close_after_us = self.drafts.settings.suspect_close_after_s * 1_000_000
        return Step(lambda transaction: ending.write_off_lost(transaction, close_after_us=close_after_us))

    def hold_number(self, hold: Hold | str) -> int:
        """Return a hold's number in this ledger; HoldUnknown for another ledger's or no id."""
        name = hold.hold_id if isinstance(hold, Hold) else hold
        chain, separator, digits = name.rpartition("-h") if isinstance(name, str) else ("", "", "")
        if chain != self.chain_id or not separator or not digits.isdecimal() or len(digits) > 18:  # noqa: PLR2004  # 63 bits
            raise HoldUnknown(
                f"hold {name!r:.60} is not of this ledger, whose holds are named {self.chain_id}-hNUMBER",
                hold_id=str(name),
            )
        return int(digits)


def record_booking(draft: EntryDraft, key: str | None, mark: bytes) -> Booking:
    """Return what books a charge without a hold, once for each key."""
    tried: list[Entry] = []

    def run(transaction: Transaction) -> Entry:
        seen = None if key is None else transaction.replay(key)
        if seen is not None:
            if seen.fingerprint != mark or seen.entry_sequence is None:
                raise _conflict(str(key))
            return transaction.entry(seen.entry_sequence)._replace(replayed=True)
        entry = book(transaction, draft, "record_without_hold")
        if key is not None:
            transaction.remember(key, mark, entry_sequence=entry.sequence, hold_id=None)
        tried.append(entry)
        return entry

    step = Step(run, idempotency_keys=() if key is None else (key,))
    return Booking(draft=draft, step=step, key=key, fingerprint=mark, tried=tried)


def settle_booking(draft: EntryDraft, number: int) -> Booking:
    """Return what replaces a hold by its charge; a hold is settled once, so this needs no key."""
    step = Step(lambda transaction: ending.settle(transaction, number, draft), hold_ids=(number,))
    return Booking(draft=draft, step=step, key=None, fingerprint=b"", hold=number)


def _conflict(key: str) -> IdempotencyConflict:
    return IdempotencyConflict(
        f"idempotency key {key!r} was used before with other arguments; use a new key for a new call, "
        "or repeat the first call as it was",
        idempotency_key=key,
    )
