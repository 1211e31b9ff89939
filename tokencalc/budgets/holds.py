"""Holds: reserve and extend, and who is refused.

A hold is a row: open until it is settled or released, once (`ending.py`). Past its
lifetime it is *suspect*, still counted; when it stays so, a write-off books what
the call was expected to cost, and a settlement that comes later corrects that.
Nothing is freed in silence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tokencalc.budgets.booking import counted_in, give_back
from tokencalc.budgets.covering import Call, call_of_hold, covers, refuse_unknown
from tokencalc.budgets.thresholds import note_excess
from tokencalc.clock import instant_from_micros
from tokencalc.errors import BudgetExceeded, ClockBehind, HoldNotOpen, HoldUnknown
from tokencalc.events import HoldOpened, HoldRefused
from tokencalc.ledger.records import NOTHING_SAID, Dimension, Hold, entry_id, hold_id
from tokencalc.ledger.store import HoldRow
from tokencalc.money import MAX_PICO, usd_from_pico

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tokencalc.budgets.covering import Cover
    from tokencalc.ledger.store import Transaction

_CLOCK_TOLERANCE_US = 60 * 1_000_000


class ReserveRequest(NamedTuple):
    """What a reserve asks for: the worst case to set aside, and whom it is about."""

    amount_pico: int
    expected_pico: int
    dimension: Dimension
    lifetime_us: int
    tags: Mapping[str, str] = NOTHING_SAID
    run: str = ""
    budgets: tuple[str, ...] = ()
    context: Mapping[str, str] = NOTHING_SAID
    notes: tuple[str, ...] = ()
    idempotency_key: str | None = None


def reserve(transaction: Transaction, request: ReserveRequest) -> Hold:
    """Set the worst case aside in every budget that covers the call.

    Raises BudgetExceeded where a hard budget has no room, ClockBehind where a hard
    budget cannot know its period, BudgetUnknown; then nothing was written.
    """
    call = Call(
        dimension=request.dimension,
        tags=request.tags,
        run=request.run,
        budgets=request.budgets,
        at_us=transaction.now_us,
    )
    refuse_unknown(transaction, request.budgets)
    covering = covers(transaction, call)
    refuse(transaction, covering, request.amount_pico)
    over_limit = [
        cover.row.name
        for cover in covering
        if cover.rules.budget.policy == "soft"
        and cover.period.used_pico + request.amount_pico > cover.period.limit_pico
    ]
    row = HoldRow(
        hold_id=0,
        state="open",
        amount_pico=request.amount_pico,
        expected_pico=request.expected_pico,
        dimension=request.dimension,
        at_us=transaction.now_us,
        expires_us=transaction.now_us + request.lifetime_us,
        detail=_detail(request, over_limit),
        period_ids=tuple(cover.period.period_id for cover in covering),
    )
    transaction.add_hold(row)
    _add_held(transaction, covering, request.amount_pico)
    hold = hold_record(transaction, row)
    if transaction.is_heard:
        transaction.events.append(HoldOpened(hold_id=hold.hold_id, amount_usd=hold.amount_usd, at=hold.at))
    return hold


def _detail(request: ReserveRequest, over_limit: list[str]) -> dict[str, object]:
    said: dict[str, object] = {
        "tags": dict(request.tags),
        "run": request.run,
        "budgets": list(request.budgets),
        "context": dict(request.context),
        "notes": list(request.notes),
        "over_limit": over_limit,
        "key": request.idempotency_key,
    }
    return {name: value for name, value in said.items() if value}


def _add_held(transaction: Transaction, covering: Sequence[Cover], amount_pico: int) -> None:
    for cover in covering:
        before = cover.period.used_pico
        cover.period.held_pico += amount_pico
        transaction.change_period(cover.period)
        note_excess(transaction, cover.rules, cover.period, before, "soft_reserve", transaction.now_us, None)


def refuse(transaction: Transaction, covering: Sequence[Cover], amount_pico: int) -> None:
    """Raise BudgetExceeded for the tightest hard budget without room, or ClockBehind; else return."""
    hard = [cover for cover in covering if cover.rules.is_hard]
    if hard and transaction.now_us < transaction.last_us - _CLOCK_TOLERANCE_US:
        now, last = instant_from_micros(transaction.now_us), instant_from_micros(transaction.last_us)
        raise ClockBehind(
            f"the clock says {now:%Y-%m-%dT%H:%M:%SZ}, the ledger was last written at {last:%Y-%m-%dT%H:%M:%SZ}; "
            f"hard budget {hard[0].row.name!r} cannot know its period: set the clock, or wait until it has caught up",
            now=now,
            last=last,
        )
    lacking = [
        cover
        for cover in hard
        if cover.period.overflowed or cover.period.used_pico + amount_pico > cover.period.limit_pico
    ]
    # Whatever the policy: what a counter cannot hold it could not give back either.
    lacking += [cover for cover in covering if cover.period.held_pico + amount_pico > MAX_PICO]
    if lacking:
        tightest = min(lacking, key=lambda cover: cover.period.limit_pico - cover.period.used_pico)
        refusal = _exceeded(transaction, tightest, amount_pico)
        if transaction.is_heard:
            at = instant_from_micros(transaction.now_us)
            transaction.events.append(
                HoldRefused(
                    budget=refusal.budget,
                    requested_usd=refusal.requested_usd,
                    available_usd=refusal.available_usd,
                    at=at,
                )
            )
        raise refusal


def _exceeded(transaction: Transaction, cover: Cover, amount_pico: int) -> BudgetExceeded:
    period = cover.period
    available = max(0, period.limit_pico - period.used_pico)
    suspect = transaction.suspect_pico(period.period_id)
    resets_at = None if period.end_us is None else instant_from_micros(period.end_us)
    text = (
        f"budget {cover.row.name!r} has {usd_from_pico(available)} USD left of {usd_from_pico(period.limit_pico)} "
        f"(spent {usd_from_pico(period.spent_pico)}, held {usd_from_pico(period.held_pico)}); "
        f"{usd_from_pico(amount_pico)} USD is needed for the worst case"
    )
    if period.overflowed or period.held_pico + amount_pico > MAX_PICO:
        text += "; the period's counter would be past what a ledger file can count"
    if suspect:
        text += f"; {usd_from_pico(suspect)} USD of what is held is suspect: settle or release lost calls"
    text += f"; it resets at {resets_at:%Y-%m-%dT%H:%M:%SZ}" if resets_at else "; raise the limit to go on"
    return BudgetExceeded(
        text,
        budget=cover.row.name,
        scope_value=period.scope_value or None,
        limit_usd=usd_from_pico(period.limit_pico),
        spent_usd=usd_from_pico(period.spent_pico),
        held_usd=usd_from_pico(period.held_pico),
        suspect_usd=usd_from_pico(suspect),
        requested_usd=usd_from_pico(amount_pico),
        available_usd=usd_from_pico(available),
        resets_at=resets_at,
    )


def hold_row(transaction: Transaction, number: int) -> HoldRow:
    """Return the hold of that number; HoldUnknown where there is none."""
    row = transaction.hold(number)
    if row is None:
        name = hold_id(transaction.chain_id, number)
        raise HoldUnknown(f"hold {name} does not exist in this ledger; list them with `tokencalc holds`", hold_id=name)
    return row


def not_open(transaction: Transaction, row: HoldRow, verb: str) -> HoldNotOpen:
    """Return the error for a hold that has ended and was to be changed."""
    name = hold_id(transaction.chain_id, row.hold_id)
    return HoldNotOpen(
        f"hold {name} is {row.state} and cannot be {verb}; a hold ends once", hold_id=name, state=row.state
    )


def extend(transaction: Transaction, number: int, *, lifetime_us: int | None, amount_pico: int | None) -> Hold:
    """Give a hold a new lifetime from now, or another amount; hard budgets may refuse the increase."""
    row = hold_row(transaction, number)
    if row.state != "open":
        raise not_open(transaction, row, "extended")
    if amount_pico is not None and amount_pico != row.amount_pico:
        more = amount_pico - row.amount_pico
        covering = [
            cover for cover in covers(transaction, call_of_hold(row)) if cover.period.period_id in row.period_ids
        ]
        seen = {cover.period.period_id for cover in covering}
        # Periods of a budget that was defined anew since: they count the hold too, but refuse nothing any more.
        older = [period for number, period in counted_in(transaction, row).items() if number not in seen]
        if more > 0:
            refuse(transaction, covering, more)
        _add_held(transaction, covering, more)
        give_back(transaction, older, -more)
        row.amount_pico = amount_pico
        # What is expected is never more than what is set aside, or a write-off could pass a hard limit.
        row.expected_pico = min(row.expected_pico, amount_pico)
    if lifetime_us is not None:
        row.expires_us = transaction.now_us + lifetime_us
    transaction.change_hold(row, "extended")
    return hold_record(transaction, row)


def hold_record(transaction: Transaction, row: HoldRow) -> Hold:
    """Return the public record of a hold as it stands in this transaction."""
    said, dimension = row.detail, row.dimension
    is_suspect = row.state == "open" and row.expires_us <= transaction.now_us
    return Hold(
        hold_id=hold_id(transaction.chain_id, row.hold_id),
        state="suspect" if is_suspect else row.state,
        amount_pico=row.amount_pico,
        expected_pico=row.expected_pico,
        provider=dimension.provider or None,
        model=dimension.model,
        at=instant_from_micros(row.at_us),
        expires_at=instant_from_micros(row.expires_us),
        agent_id=dimension.agent_id or None,
        user_id=dimension.user_id or None,
        project=dimension.project or None,
        api_key_id=dimension.api_key_id or None,
        operation=dimension.operation or None,
        tags=detail_mapping(said, "tags"),
        run=_text_or_none(said.get("run")),
        budgets=detail_names(said, "budgets"),
        context=detail_mapping(said, "context"),
        idempotency_key=_text_or_none(said.get("key")),
        entry_id=None if row.entry_sequence is None else entry_id(transaction.chain_id, row.entry_sequence),
        over_limit=detail_names(said, "over_limit"),
        notes=detail_names(said, "notes"),
    )


def detail_mapping(detail: Mapping[str, object], name: str) -> dict[str, str]:
    """Return a mapping that a hold's detail keeps; empty where it keeps none."""
    value = detail.get(name)
    return dict(value) if isinstance(value, dict) else {}


def detail_names(detail: Mapping[str, object], name: str) -> tuple[str, ...]:
    """Return names that a hold's detail keeps; empty where it keeps none."""
    value = detail.get(name)
    return tuple(value) if isinstance(value, list) else ()


def _text_or_none(value: object) -> str | None:
    return str(value) if value else None
