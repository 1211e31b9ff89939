"""When the ledger fails after a call: its usage goes to the spool, and comes back into the book once.

The money is gone already, so nothing here refuses. What a line books is what would
have been booked at once; what the book does not take any more (its hold was settled
otherwise, its key used for another call) is kept aside with the reason.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeGuard

from tokencalc.arguments import SETTLE_NAMES, checked
from tokencalc.clock import micros_from_instant
from tokencalc.errors import (
    LedgerClosed,
    LedgerCorrupt,
    LedgerUnavailable,
    LedgerVersionUnsupported,
    TokencalcError,
    UsageLost,
    UsageSpooled,
)
from tokencalc.ledger.query import digests_of
from tokencalc.ledger.spool import ReadBack, Spool, Verdict, sealed
from tokencalc.ledger.spooled import OWN_KEY, Spooled, spooled_from, spooled_values
from tokencalc.verbs import record_booking, settle_booking

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tokencalc.clock import Clock
    from tokencalc.ledger.records import Entry
    from tokencalc.ledger.spool import Values
    from tokencalc.ledger.sqlite import SqliteStore
    from tokencalc.ledger.store import Step
    from tokencalc.ledger.writer import Outcome
    from tokencalc.verbs import Booking, Verbs

LEDGER_FAILURES = (LedgerUnavailable, LedgerCorrupt, LedgerVersionUnsupported, OSError)
"""What says that the ledger itself failed; everything else that a step raises is an answer."""


class Spooling:
    """Keeps usage that one ledger could not take, and brings it back; a ledger in memory has no spool."""

    def __init__(self, store: SqliteStore, clock: Clock) -> None:
        """Keep beside the store's file."""
        self.spool = None if store.path is None else Spool(store.path)
        self._store = store
        self._clock = clock

    @property
    def waits(self) -> bool:
        """Whether something waits to be read back."""
        return self.spool is not None and not self.spool.is_empty

    def keep(self, bookings: Sequence[Booking], failure: BaseException) -> None:
        """Keep charges as they would have been booked, and raise UsageSpooled, or UsageLost where that fails too.

        Returns, with nothing kept, for a ledger in memory.
        """
        self._keep([self._line(booking) for booking in bookings], failure)

    def keep_failed(self, bookings: Sequence[Booking], outcomes: Sequence[Outcome]) -> None:
        """The same for those of many whose outcome is that the ledger failed, if there are any."""
        failed = [
            (booking, outcome.error)
            for booking, outcome in zip(bookings, outcomes, strict=True)
            if isinstance(outcome.error, LEDGER_FAILURES)
        ]
        if failed:
            self.keep([booking for booking, _ in failed], failed[0][1])

    def keep_settlement(self, verbs: Verbs, hold: str, arguments: Mapping[str, Any], failure: BaseException) -> None:
        """The same for the settlement of a hold that cannot be looked at now, only named."""
        given = verbs.drafts.late_settlement(checked(arguments, SETTLE_NAMES, "settle"))
        self._keep([replace(self._blank(), hold=verbs.hold_number(hold), arguments=given)], failure)

    def read_back(self, verbs: Verbs) -> ReadBack:
        """Book what waits; nothing where ledger or spool cannot be used, or another process does it now."""
        if self.spool is None or self.spool.is_empty:
            return ReadBack()
        try:
            return self.spool.read_back(lambda lines: _booked(lines, self._store, verbs))
        except OSError:
            return ReadBack()

    def _blank(self) -> Spooled:
        now_us = micros_from_instant(self._clock.now())
        key = f"{OWN_KEY}{secrets.token_hex(16)}"
        return Spooled(key=key, fingerprint=b"", chain_id=self._store.chain_id, spooled_us=now_us)

    def _line(self, booking: Booking) -> Spooled:
        blank = self._blank()
        return replace(
            blank,
            key=booking.key or blank.key,
            fingerprint=booking.fingerprint,
            draft=booking.draft,
            hold=booking.hold,
            tried=tuple((entry.sequence, entry.digest) for entry in booking.tried),
        )

    def _keep(self, lines: Sequence[Spooled], failure: BaseException) -> None:
        if self.spool is None:
            return
        values = [spooled_values(line) for line in lines]
        try:
            self.spool.append(values)
        except OSError as error:
            raise self._lost(lines, values, failure, error) from failure
        keys = tuple(line.key for line in lines)
        raise UsageSpooled(
            f"{str(failure).rstrip('.')}. Nothing was booked yet, but {_what(lines)} safe in {self.spool.path} and "
            "will be booked once, when the ledger works again; see `tokencalc doctor`",
            ledger=self._store.name,
            locked=getattr(failure, "locked", False),
            path=str(self.spool.path),
            key=keys[0],
            keys=keys,
        ) from failure

    def _lost(
        self, lines: Sequence[Spooled], values: Sequence[Values], failure: BaseException, error: OSError
    ) -> UsageLost:
        path = "" if self.spool is None else str(self.spool.path)
        return UsageLost(
            f"{str(failure).rstrip('.')}. The spool {path} cannot be written either ({error.strerror or error}): "
            f"{_what(lines)} lost unless you keep it; it is in the attributes of this error. Record it again when "
            "the ledger works",
            ledger=self._store.name,
            locked=getattr(failure, "locked", False),
            path=path,
            usage=tuple(line.arguments.get("usage") if line.draft is None else line.draft.usage for line in lines),
            lines=tuple(sealed(value) for value in values),
        )


def _what(lines: Sequence[Spooled]) -> str:
    return "this usage is" if len(lines) == 1 else f"the usage of {len(lines)} calls is"


def _booked(lines: Sequence[Mapping[str, Any]], store: SqliteStore, verbs: Verbs) -> list[Verdict]:
    try:
        found = [_read(values) for values in lines]
        committed = _committed_after_all([line for line in found if isinstance(line, Spooled)], store)
        steps = [_step(line, store, verbs) if isinstance(line, Spooled) else line for line in found]
    except (*LEDGER_FAILURES, LedgerClosed):
        return [Verdict(kind="waits")] * len(lines)
    todo = [
        (place, step)
        for place, (line, step) in enumerate(zip(found, steps, strict=True))
        if not isinstance(step, Verdict) and not (isinstance(line, Spooled) and line.key in committed)
    ]
    verdicts = [step if isinstance(step, Verdict) else Verdict(kind="booked") for step in steps]
    for (place, _), outcome in zip(todo, _run(store, [step for _, step in todo]), strict=True):
        line = found[place]
        settles = isinstance(line, Spooled) and line.hold is not None
        verdicts[place] = _verdict(outcome, settles=settles)
    return verdicts


def _run(store: SqliteStore, steps: Sequence[Step[Entry]]) -> Sequence[Outcome | None]:
    try:
        return store.writer.run_many(steps)
    except LedgerClosed:
        return [None] * len(steps)


def _verdict(outcome: Outcome | None, *, settles: bool) -> Verdict:
    if settles and outcome is not None and _is_damaged_row(outcome.error):
        return _refused(outcome.error)  # a hold does not mend by itself: a person decides what becomes of its money
    if outcome is None or isinstance(outcome.error, (*LEDGER_FAILURES, LedgerClosed)):
        return Verdict(kind="waits")
    if outcome.error is None:
        return Verdict(kind="booked")
    return _refused(outcome.error)


def _is_damaged_row(error: BaseException | None) -> TypeGuard[LedgerCorrupt]:
    return isinstance(error, LedgerCorrupt) and error.row is not None


def _refused(error: BaseException) -> Verdict:
    return Verdict(kind="refused", reason=f"{type(error).__name__}: {error}")


def _read(values: Mapping[str, Any]) -> Spooled | Verdict:
    try:
        return spooled_from(values)
    except LedgerCorrupt as error:  # its checksum fits: a newer tokencalc wrote it, or a person
        return _refused(error)


def _committed_after_all(lines: Sequence[Spooled], store: SqliteStore) -> set[str]:
    """Return the keys of lines that were committed although their caller was told of a failure."""
    tried = {pair: line.key for line in lines for pair in line.tried if line.chain_id == store.chain_id}
    if not tried:
        return set()
    with store.reading() as connection:
        found = digests_of(connection, [sequence for sequence, _ in tried])
    return {key for pair, key in tried.items() if pair in found}


def _step(line: Spooled, store: SqliteStore, verbs: Verbs) -> Step[Entry] | Verdict:
    if line.hold is not None and line.chain_id != store.chain_id:
        return Verdict(
            kind="refused",
            reason=f"it settles hold {line.chain_id}-h{line.hold}, which is not of this ledger ({store.chain_id})",
        )
    try:
        if line.draft is None:
            hold = store.writer.run(verbs.find_hold(f"{line.chain_id}-h{line.hold}"))
            return verbs.settle(hold, line.arguments).step
    except (*LEDGER_FAILURES, LedgerClosed) as error:
        if _is_damaged_row(error):
            return _refused(error)
        raise
    except TokencalcError as error:
        return _refused(error)
    if line.hold is not None:
        return settle_booking(line.draft, line.hold).step
    return record_booking(line.draft, line.key, line.fingerprint).step
