"""What the book holds, as frozen records: entries, holds, crossings, excess.

Those that are made for every call are named tuples: making one takes a third of a
frozen dataclass's time, making it again with a field changed a sixth. Amounts are
whole pico-dollars inside and ``Decimal`` dollars by property; a missing amount is
None (unpriced), never 0. Instants are aware UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, NamedTuple

from tokencalc.money import usd_from_pico

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from decimal import Decimal

    from tokencalc.cost import CostLine
    from tokencalc.usage import Meter, Usage

EntryKind = Literal["charge", "correction", "write_off", "budget"]
"""A charge; a reversing or right amount after an error; the end of a lost hold; a budget that was set."""

NOTHING_SAID: Mapping[str, str] = MappingProxyType({})
"""The tags, or the pricing context, of a call that has none."""

BEYOND = "is more than one entry can hold"
"""In the note of an entry without its amount, because no column holds it; its budgets' periods are overflowed."""

HoldState = Literal["open", "suspect", "settled", "released", "written_off"]
"""``suspect`` is an open hold whose lifetime ran out: still counted."""

AmountSource = Literal["priced", "caller", "billed"]
"""Our own price; where we had none, the caller's figure, or what the response itself said it was billed."""


class Dimension(NamedTuple):
    """Whom and what a row is about; equal combinations are stored once. Empty text means not said."""

    provider: str = ""
    model: str = ""
    agent_id: str = ""
    user_id: str = ""
    project: str = ""
    api_key_id: str = ""
    operation: str = ""
    notional: bool = False


def as_requested(dimension: Dimension, model: str | None, provider: str | None) -> Dimension:
    """Return the dimension by what was asked for, which is all that a reserve knows."""
    if model is None and provider is None:
        return dimension
    return dimension._replace(model=model or dimension.model, provider=provider or dimension.provider)


DIMENSION_KEYS = ("provider", "model", "agent_id", "user_id", "project", "api_key_id", "operation")
"""The text fields of a `Dimension`, in the order in which they are stored."""


def entry_id(chain_id: str, sequence: int) -> str:
    """Return the public id of an entry: its ledger's id and its place in the chain."""
    return f"{chain_id}-e{sequence}"


def hold_id(chain_id: str, number: int) -> str:
    """Return the public id of a hold."""
    return f"{chain_id}-h{number}"


class EntryDraft(NamedTuple):
    """An entry before it has its place in the chain.

    ``context`` is what the caller said that decides the price and no response says; a later
    pricing needs it. ``fills_unpriced`` marks the correction that gives an unpriced charge
    its whole price, so that it is counted as unpriced no longer.
    """

    kind: EntryKind
    at_us: int
    dimension: Dimension
    amount_pico: int | None = None
    amount_source: AmountSource | None = None
    caller_pico: int | None = None
    usage: Usage | None = None
    lines: tuple[CostLine, ...] = ()
    unpriced: tuple[Meter, ...] = ()
    tags: Mapping[str, str] = NOTHING_SAID
    hold_id: int | None = None
    corrects: int | None = None
    budgets: tuple[str, ...] = ()
    run: str = ""
    requested_model: str | None = None
    requested_provider: str | None = None
    source: str | None = None
    notes: tuple[str, ...] = ()
    idempotency_key: str | None = None
    context: Mapping[str, str] = NOTHING_SAID
    fills_unpriced: bool = False

    @property
    def unpriced_calls(self) -> int:
        """What this adds to a count of unpriced calls: 1 for a charge without a whole price, -1 for what fills one."""
        if self.kind == "charge":
            return int(self.amount_pico is None or (bool(self.unpriced) and self.amount_source == "priced"))
        return -int(self.fills_unpriced)


class Entry(NamedTuple):
    """One immutable row of the book.

    ``at`` is the instant of the call (of the reserve, where there was a hold);
    ``recorded_at`` that of the writing. ``cost_gap_usd`` is the caller's figure
    minus ours where both are known and differ. ``notional`` marks usage that a
    subscription paid for. ``replayed`` marks the answer to a repeated key. A
    correction's ``lines`` are the right ones for the entry that it corrects; its amount
    is what they differ by from what was counted before. ``unpriced_calls`` is what it
    adds to a count of unpriced calls: 1, 0, or -1 where a correction fills a missing price.
    """

    entry_id: str
    sequence: int
    kind: EntryKind
    at: datetime
    recorded_at: datetime
    provider: str | None
    model: str
    requested_model: str | None
    requested_provider: str | None
    usage: Usage | None
    amount_pico: int | None
    amount_source: AmountSource | None
    caller_pico: int | None
    lines: tuple[CostLine, ...]
    unpriced: tuple[Meter, ...]
    notes: tuple[str, ...]
    agent_id: str | None
    user_id: str | None
    project: str | None
    api_key_id: str | None
    operation: str | None
    tags: Mapping[str, str]
    run: str | None
    notional: bool
    hold_id: str | None
    corrects: str | None
    source: str | None
    idempotency_key: str | None
    context: Mapping[str, str]
    budgets: tuple[str, ...]
    unpriced_calls: int
    digest: str
    replayed: bool = False

    @property
    def amount_usd(self) -> Decimal | None:
        """What the call cost in dollars; None while it is unpriced, wholly or in some meter."""
        return None if self.amount_pico is None or self.is_partly_priced else usd_from_pico(self.amount_pico)

    @property
    def counted_usd(self) -> Decimal:
        """What totals and budgets count for this entry: its amount, or the sum of the lines that have a price."""
        return usd_from_pico(self.amount_pico or 0)

    @property
    def is_partly_priced(self) -> bool:
        """Whether some meters of a charge had no rate, so that the counted amount is a lower bound."""
        return self.kind == "charge" and bool(self.unpriced) and self.amount_source == "priced"

    @property
    def caller_cost_usd(self) -> Decimal | None:
        """What the caller said that it cost."""
        return None if self.caller_pico is None else usd_from_pico(self.caller_pico)

    @property
    def cost_gap_usd(self) -> Decimal | None:
        """The caller's figure minus our price, where both are known and differ."""
        if self.caller_pico is None or self.amount_usd is None or self.amount_source != "priced":
            return None
        gap_pico = self.caller_pico - (self.amount_pico or 0)
        return usd_from_pico(gap_pico) if gap_pico else None

    @property
    def billed_usd(self) -> Decimal | None:
        """What the response itself said that it was billed, where it says so (OpenRouter's does)."""
        return None if self.usage is None else self.usage.billed_usd


class Hold(NamedTuple):
    """The worst case of one call, set aside until it is settled or released.

    ``over_limit`` names soft budgets that this hold passes. ``entry_id`` is the
    entry that ended it, where there is one.
    """

    hold_id: str
    state: HoldState
    amount_pico: int
    expected_pico: int
    provider: str | None
    model: str
    at: datetime
    expires_at: datetime
    agent_id: str | None
    user_id: str | None
    project: str | None
    api_key_id: str | None
    operation: str | None
    tags: Mapping[str, str]
    run: str | None
    budgets: tuple[str, ...]
    context: Mapping[str, str]
    idempotency_key: str | None
    entry_id: str | None = None
    over_limit: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    replayed: bool = False

    @property
    def amount_usd(self) -> Decimal:
        """The worst case that is set aside, in dollars."""
        return usd_from_pico(self.amount_pico)

    @property
    def expected_usd(self) -> Decimal:
        """What the call was expected to cost; a lost hold is written off at this sum."""
        return usd_from_pico(self.expected_pico)


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """The first time that spending passed a threshold of a budget's limit in one period."""

    budget: str
    scope_value: str | None
    period_key: str
    threshold_percent: int
    at: datetime
    recorded_at: datetime
    spent_pico: int
    limit_pico: int
    in_open_period: bool

    @property
    def spent_usd(self) -> Decimal:
        """What had been spent when the threshold was passed."""
        return usd_from_pico(self.spent_pico)

    @property
    def limit_usd(self) -> Decimal:
        """The limit at that moment."""
        return usd_from_pico(self.limit_pico)


ExcessReason = Literal[
    "overrun", "record_without_hold", "correction", "limit_lowered", "budget_set", "soft_reserve", "write_off"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExcessItem:
    """One fact that took a budget period above its limit, and by how much."""

    reason: ExcessReason
    amount_pico: int
    at: datetime
    entry_id: str | None

    @property
    def amount_usd(self) -> Decimal:
        """By how much this fact went above the limit, in dollars."""
        return usd_from_pico(self.amount_pico)
