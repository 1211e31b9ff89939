"""A run: what was used, by name, as calls that can be priced again.

Calls that are alike in all that decides on a price are kept once, with how many
there were. A sum of calls could not be priced again: tiers hold for each call.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from tokencalc.context import label_from
from tokencalc.errors import CallInvalid
from tokencalc.ledger.codec import usage_text
from tokencalc.ledger.records import DIMENSION_KEYS
from tokencalc.periods import zone_from
from tokencalc.reports.corrected import Corrected, Corrections
from tokencalc.reports.keys import TAG, entry_value, is_tag, is_wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import date, datetime
    from zoneinfo import ZoneInfo

    from tokencalc.engine import Engine
    from tokencalc.ledger.records import Entry

DEFAULT_KEY = "operation"
"""What names are, if nobody says otherwise."""

NOBODY = "(none)"
"""The name of calls that do not say what they are grouped by."""


class CallKind(NamedTuple):
    """All that decides on the price of a call, and the name under which it is counted.

    ``usage`` is the usage as the ledger writes it, None where only an amount is known. ``notional`` calls were paid
    by a subscription: their cost is told, and no budget counts it.
    """

    name: str
    model: str
    provider: str | None = None
    requested_model: str | None = None
    context: tuple[tuple[str, str], ...] = ()
    usage: str | None = None
    notional: bool = False


class Calls(NamedTuple):
    """Calls of one kind: how many, what was booked for all of them in pico-dollars, and how many lack a price.

    Amounts without a call (a write-off, a correction of a call outside of the interval) have 0 calls.
    """

    kind: CallKind
    calls: int
    booked_pico: int
    unpriced_calls: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What was used between two moments, or in one run of tests; ``by`` says what the names are."""

    by: str
    made_at: datetime
    prices_checked_on: date
    calls: tuple[Calls, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names, in the order in which they were first met."""
        return tuple(dict.fromkeys(calls.kind.name for calls in self.calls))


def key_from(by: str) -> str:
    """Return what to group by as it is; CallInvalid for anything but an entry's field or ``tag:NAME``."""
    if by in DIMENSION_KEYS:
        return by
    if is_tag(by):
        return label_from(by, name="by")
    raise CallInvalid(
        f"by: expected one of {', '.join(DIMENSION_KEYS)} or {TAG}NAME, found {by!r:.60}", path="by", found=by
    )


def run_of(
    engine: Engine,
    *,
    by: str = DEFAULT_KEY,
    since: datetime | None = None,
    until: datetime | None = None,
    where: Mapping[str, str] | None = None,
) -> Run:
    """Return what a ledger's entries of ``[since, until)`` used; ``where`` keeps those with these fields."""
    key, zone = key_from(by), zone_from("UTC")
    entries = [entry for entry in engine.entries(since=since, until=until) if is_wanted(entry, where, zone)]
    return Run(
        by=by,
        made_at=engine.clock.now(),
        prices_checked_on=engine.catalog.checked_on,
        calls=merged(calls_of(entries, lambda entry: _name(entry, key, zone))),
    )


def _name(entry: Entry, key: str, zone: ZoneInfo) -> str:
    return str(entry_value(entry, key, zone) or NOBODY)


def calls_of(entries: Iterable[Entry], name_of: Callable[[Entry], str]) -> list[Calls]:
    """Return entries as calls, the oldest first; they come in with the newest first, as a ledger yields them.

    A correction goes to the call that it corrects, where that is among them.
    """
    corrections = Corrections()
    seen = [folded for folded in map(corrections.see, entries) if folded is not None]
    found = [_calls(folded, kind_of(folded.entry, name_of(folded.entry))) for folded in seen]
    # That the call lacks a price no more is no news of a run that it is not in: its own may lack theirs.
    found += [Calls(alone_kind(one.entry, name_of(one.entry)), 0, one.pico, 0) for one in corrections.alone()]
    return found[::-1]


def _calls(folded: Corrected, kind: CallKind) -> Calls:
    return Calls(kind, int(folded.entry.kind == "charge"), folded.pico, folded.unpriced_calls)


def alone_kind(entry: Entry, name: str) -> CallKind:
    """Return the kind of a correction whose call is not in the run: an amount, and nothing that could be priced."""
    return CallKind(name, entry.model, entry.provider, notional=entry.notional)


def kind_of(entry: Entry, name: str) -> CallKind:
    """Return what decides on an entry's price."""
    return CallKind(
        name=name,
        model=entry.model,
        provider=entry.provider,
        requested_model=entry.requested_model,
        context=tuple(sorted(entry.context.items())),
        usage=None if entry.usage is None or entry.kind != "charge" else usage_text(entry.usage),
        notional=entry.notional,
    )


def merged(calls: Iterable[Calls]) -> tuple[Calls, ...]:
    """Return the calls with those of one kind as one, in the order in which kinds were first met."""
    sums = CallSums()
    for one in calls:
        sums.add(one)
    return sums.calls


class CallSums:
    """Calls as they come in, those of one kind as one."""

    def __init__(self) -> None:
        """Begin with none."""
        self._sums: dict[CallKind, tuple[int, int, int]] = {}

    def add(self, one: Calls) -> None:
        """Add calls of one kind."""
        count, pico, unpriced = self._sums.get(one.kind, (0, 0, 0))
        self._sums[one.kind] = (count + one.calls, pico + one.booked_pico, unpriced + one.unpriced_calls)

    @property
    def calls(self) -> tuple[Calls, ...]:
        """The calls, in the order in which kinds were first met."""
        return tuple(Calls(kind, *figures) for kind, figures in self._sums.items())


def packed(calls: Calls) -> list[Any]:
    """Return calls as plain values, for another process of the same run; `unpacked` reads them."""
    *_, context, usage, notional = calls.kind
    return [*calls.kind[:4], [list(pair) for pair in context], usage, notional, *calls[1:]]


def unpacked(row: Sequence[Any]) -> Calls:
    """Return calls that `packed` wrote; unlike in a file they may be below 0, as a correction of earlier ones is."""
    name, model, provider, requested, context, usage, notional, *sums = row
    pairs = tuple((key, value) for key, value in context)
    return Calls(CallKind(name, model, provider, requested, pairs, usage, notional), *sums)
