"""Pricing booked charges again, by the tables of now, and the corrections that set the old amounts right.

Nothing that was written changes: a correction is an entry of its own, of the
difference, in the period of the call. A whole price is never given up for a
missing one, and what the tables of now cannot price keeps what was booked.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tokencalc.budgets.booking import Correction, book_corrections
from tokencalc.clock import instant_from, micros_from_instant
from tokencalc.context import label_from
from tokencalc.errors import CallInvalid, PriceUnknown
from tokencalc.ledger.records import DIMENSION_KEYS, Dimension, EntryDraft
from tokencalc.ledger.standing import ChargesWanted, charges, count_charges
from tokencalc.ledger.store import Step
from tokencalc.ledger.unpriced import Unpriced, reason_text
from tokencalc.money import MAX_PICO, usd_from_pico
from tokencalc.pricing.evaluate import evaluate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from decimal import Decimal

    from tokencalc.cost import Cost
    from tokencalc.ledger.records import Entry
    from tokencalc.ledger.sqlite import SqliteStore
    from tokencalc.ledger.standing import Standing
    from tokencalc.pricing.catalog import Catalog
    from tokencalc.usage import Meter


@dataclass(frozen=True, slots=True, kw_only=True)
class Repriced:
    """One charge whose amount by the tables of now is another one.

    ``old_pico`` is what is counted for it, None where nothing of it had a price;
    ``new_pico`` what should be, without ``unpriced``, the meters that still have no
    rate. ``was_unpriced`` tells whether it was counted as unpriced. ``correction_id``
    is the entry that was appended, None where none was.
    """

    entry_id: str
    at: datetime
    provider: str | None
    model: str
    old_pico: int | None
    new_pico: int
    was_unpriced: bool
    unpriced: tuple[Meter, ...]
    cards: tuple[str, ...]
    correction_id: str | None = None

    @property
    def old_usd(self) -> Decimal | None:
        """What is counted for it in dollars, None where nothing of it had a price."""
        return None if self.old_pico is None else usd_from_pico(self.old_pico)

    @property
    def new_usd(self) -> Decimal:
        """What it costs in dollars by the tables of now."""
        return usd_from_pico(self.new_pico)

    @property
    def difference_usd(self) -> Decimal:
        """The correction's amount in dollars: new minus what is counted."""
        return usd_from_pico(self.new_pico - (self.old_pico or 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class RepricedModel:
    """The changes of one model, in sum; ``filled`` charges were unpriced and have a whole price now.

    Of ``unknown`` charges nothing had a price: ``old_pico`` counts nothing for them.
    """

    provider: str | None
    model: str
    charges: int
    filled: int
    unknown: int
    old_pico: int
    new_pico: int

    @property
    def old_usd(self) -> Decimal:
        """What is counted for these charges, in dollars."""
        return usd_from_pico(self.old_pico)

    @property
    def new_usd(self) -> Decimal:
        """What they cost by the tables of now, in dollars."""
        return usd_from_pico(self.new_pico)

    @property
    def difference_usd(self) -> Decimal:
        """New minus old, in dollars."""
        return usd_from_pico(self.new_pico - self.old_pico)


@dataclass(frozen=True, slots=True, kw_only=True)
class Repricing:
    """What pricing charges again has found, and whether the corrections were appended.

    ``charges`` were looked at. ``unpriced`` have no whole price in the tables of now
    either; ``lost`` had one, which the tables of now lack: they keep what was booked.
    ``left_out`` charges were corrected by somebody else while this ran: run it again.
    """

    since: datetime
    until: datetime | None
    applied: bool
    charges: int
    changes: tuple[Repriced, ...]
    unpriced: tuple[Unpriced, ...]
    lost: tuple[Unpriced, ...]
    left_out: int

    @property
    def models(self) -> tuple[RepricedModel, ...]:
        """The changes by provider and model, the largest difference first."""
        found: dict[tuple[str | None, str], list[Repriced]] = {}
        for change in self.changes:
            found.setdefault((change.provider, change.model), []).append(change)
        models = [
            RepricedModel(
                provider=provider,
                model=model,
                charges=len(changes),
                filled=sum(change.was_unpriced and not change.unpriced for change in changes),
                unknown=sum(change.old_pico is None for change in changes),
                old_pico=sum(change.old_pico or 0 for change in changes),
                new_pico=sum(change.new_pico for change in changes),
            )
            for (provider, model), changes in found.items()
        ]
        return tuple(sorted(models, key=lambda row: (-abs(row.new_pico - row.old_pico), row.provider or "", row.model)))

    @property
    def old_usd(self) -> Decimal:
        """What is counted for the charges that change, in dollars."""
        return usd_from_pico(sum(change.old_pico or 0 for change in self.changes))

    @property
    def new_usd(self) -> Decimal:
        """What they cost by the tables of now, in dollars."""
        return usd_from_pico(sum(change.new_pico for change in self.changes))

    @property
    def difference_usd(self) -> Decimal:
        """The sum of the corrections in dollars."""
        return usd_from_pico(sum(change.new_pico - (change.old_pico or 0) for change in self.changes))


@dataclass(frozen=True, slots=True)
class _Found:
    """What pricing one charge again has come to: a correction, a missing price, or neither."""

    change: Repriced | None = None
    correction: Correction | None = None
    missing: Unpriced | None = None
    is_lost: bool = False


def charges_wanted(
    catalog: Catalog,
    *,
    since: datetime | str,
    until: datetime | str | None = None,
    model: str | None = None,
    provider: str | None = None,
) -> ChargesWanted:
    """Read which charges are meant; CallInvalid for an interval without a beginning, or that ends before it."""
    if since is None:
        raise CallInvalid("since: expected an instant or a date from which on to look", path="since", found=since)
    start = instant_from(since, name="since")
    end = None if until is None else instant_from(until, name="until")
    if end is not None and end <= start:
        raise CallInvalid("until: expected an instant after since", path="until", found=until)
    names = [] if model is None else [label_from(model, name="model")]
    sellers = [] if provider is None else [label_from(provider, name="provider")]
    # Entries carry the tables' own names; a name that no table knew was kept as it was given.
    with suppress(PriceUnknown):
        names += [catalog.resolve(name, provider=provider).model for name in names]
    with suppress(PriceUnknown):
        sellers += [facts.provider for name in sellers for facts in catalog.models(name)[:1]]
    return ChargesWanted(since=start, until=end, models=tuple(names), providers=tuple(sellers))


def reprice(
    store: SqliteStore,
    catalog: Catalog,
    wanted: ChargesWanted,
    *,
    apply: bool,
    progress: Callable[[int, int], None] | None = None,
) -> Repricing:
    """Price charges again; with ``apply``, append a correction for each whose amount is another one.

    Charges are read, priced and corrected in pages: pricing outside of any lock, each
    page's corrections in one transaction. ``progress`` is told how many of how many are done.
    """
    total = count_charges(store, wanted) if progress else 0
    looked = left_out = 0
    changes: list[Repriced] = []
    unpriced: Counter[Unpriced] = Counter()
    lost: Counter[Unpriced] = Counter()
    for page in charges(store, wanted):
        found = [priced_again(catalog, standing) for standing in page]
        for one in found:
            if one.missing is not None:
                (lost if one.is_lost else unpriced)[one.missing] += 1
        changed = [(one.change, one.correction) for one in found if one.change and one.correction]
        if apply and changed:
            booked = _booked(store, [correction for _, correction in changed])
            changes += [
                replace(change, correction_id=entry.entry_id)
                for (change, _), entry in zip(changed, booked, strict=True)
                if entry is not None
            ]
            left_out += booked.count(None)
        else:
            changes += [change for change, _ in changed]
        looked += len(page)
        if progress is not None:
            progress(looked, max(total, looked))
    return Repricing(
        since=wanted.since,
        until=wanted.until,
        applied=apply,
        charges=looked,
        changes=tuple(changes),
        unpriced=_counted(unpriced),
        lost=_counted(lost),
        left_out=left_out,
    )


def _booked(store: SqliteStore, corrections: Sequence[Correction]) -> list[Entry | None]:
    return store.writer.run(Step(lambda transaction: book_corrections(transaction, corrections)))


def _counted(found: Counter[Unpriced]) -> tuple[Unpriced, ...]:
    counted = [replace(one, calls=calls) for one, calls in found.items()]
    return tuple(sorted(counted, key=lambda one: (-one.calls, one.provider or "", one.model, one.reason)))


def priced_again(catalog: Catalog, standing: Standing) -> _Found:  # noqa: PLR0911  # one for each outcome
    """Price one charge by the tables of now and compare with what is counted for it."""
    entry = standing.entry
    if entry.usage is None:
        return _Found()
    try:
        cost = cost_now(catalog, entry)
    except PriceUnknown as unknown:
        return _without_price(standing, (), (unknown.message,))
    if cost.priced_pico > MAX_PICO:
        return _without_price(standing, (), (f"{cost.priced_usd} USD is more than one entry can hold",))
    if cost.unpriced:
        missing = _without_price(standing, cost.unpriced, cost.notes)
        return replace(_changed(standing, cost), missing=missing.missing) if _is_closer(standing, cost) else missing
    if standing.amount_source == "billed" and not standing.is_unpriced and standing.counted_pico > cost.priced_pico:
        # What the provider billed above our price stays counted: the usage does not say what it was for.
        return _Found()
    if standing.is_unpriced or standing.counted_pico != cost.priced_pico:
        return _changed(standing, cost)
    return _Found()


def cost_now(catalog: Catalog, entry: Entry) -> Cost:
    """Price a charge's stored usage by the tables of now; raises PriceUnknown."""
    usage = entry.usage
    assert usage is not None  # noqa: S101  # asked for charges with a usage; this tells mypy
    model = entry.model
    if usage.parts and usage.parts[0].model is not None:
        # The entry's model is that of the first part; a part that names none was what the caller asked for.
        model = entry.requested_model or entry.model
    return evaluate(catalog, usage, model=model, provider=entry.provider, at=entry.at, context=entry.context)


def _without_price(standing: Standing, meters: tuple[Meter, ...], notes: tuple[str, ...]) -> _Found:
    if not standing.is_unpriced and standing.amount_source != "priced":
        return _Found()
    entry = standing.entry
    reason = reason_text(meters, notes, is_partly_priced=bool(standing.lines))
    missing = Unpriced(provider=entry.provider, model=entry.model, meters=meters, reason=reason, calls=1)
    return _Found(missing=missing, is_lost=not standing.is_unpriced)


def _is_closer(standing: Standing, cost: Cost) -> bool:
    """Whether a price that leaves meters out is still better than what is counted."""
    if not standing.is_unpriced or standing.counted_pico == cost.priced_pico or not cost.lines:
        return False
    caller_pico = standing.entry.caller_pico
    if caller_pico is not None and caller_pico >= cost.priced_pico:
        return False
    return standing.has_no_price or set(cost.unpriced) <= set(standing.unpriced)


def _changed(standing: Standing, cost: Cost) -> _Found:
    entry = standing.entry
    change = Repriced(
        entry_id=entry.entry_id,
        at=entry.at,
        provider=entry.provider,
        model=entry.model,
        old_pico=None if standing.has_no_price else standing.counted_pico,
        new_pico=cost.priced_pico,
        was_unpriced=standing.is_unpriced,
        unpriced=cost.unpriced,
        cards=cost.cards,
    )
    draft = EntryDraft(
        kind="correction",
        at_us=micros_from_instant(entry.at),
        dimension=Dimension(**{key: getattr(entry, key) or "" for key in DIMENSION_KEYS}, notional=entry.notional),
        amount_pico=cost.priced_pico - standing.counted_pico,
        amount_source="priced",
        lines=cost.lines,
        unpriced=cost.unpriced,
        tags=entry.tags,
        corrects=entry.sequence,
        budgets=entry.budgets,
        run=entry.run or "",
        requested_model=entry.requested_model,
        requested_provider=entry.requested_provider,
        notes=cost.notes,
        context=entry.context,
        fills_unpriced=standing.is_unpriced and not cost.unpriced,
    )
    return _Found(change=change, correction=Correction(draft=draft, newest_correction=standing.newest_correction))
