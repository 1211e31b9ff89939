"""A run in figures, by name, and two runs side by side, both priced with one table.

So a change of prices is told apart from a change of usage: ``prices_pico`` is what
the baseline's usage costs now minus what was booked for it; ``usage_pico`` what the
run costs now minus what the baseline's usage costs now.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from tokencalc.errors import InvalidInput, PriceUnknown
from tokencalc.ledger.codec import usage_from_text
from tokencalc.pricing.evaluate import evaluate
from tokencalc.usage import token_totals

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from tokencalc.gate.run import CallKind, Calls, Run
    from tokencalc.pricing.catalog import Catalog


class Figures(NamedTuple):
    """Sums over calls: as booked, and priced with the table of now, in pico-dollars; tokens as in a `Usage`.

    ``now_pico`` keeps what was booked where the table of now has no whole price; ``unknown_calls`` are those that have
    neither, so that it is only a part. ``billed_pico``, ``billed_unpriced_calls`` leave out what a subscription paid.
    """

    booked_pico: int = 0
    now_pico: int = 0
    calls: int = 0
    unpriced_calls: int = 0
    unknown_calls: int = 0
    billed_pico: int = 0
    billed_unpriced_calls: int = 0
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def tokens(self) -> int:
        """Input and output tokens together."""
        return self.input_tokens + self.output_tokens

    def plus(self, other: Figures) -> Figures:
        """Return the sums of both."""
        return Figures(*map(sum, zip(self, other, strict=True)))


NOTHING = Figures()


class Pair(NamedTuple):
    """One name's figures in the run and in the baseline; None where it is not there."""

    name: str
    run: Figures | None
    base: Figures | None

    @property
    def unknown_calls(self) -> int:
        """How many calls of both sides have no price, so that no cost of them can be compared."""
        return (self.run or NOTHING).unknown_calls + (self.base or NOTHING).unknown_calls

    @property
    def usage_pico(self) -> int | None:
        """What the change of usage costs, at the prices of now; None where a side is not known."""
        return None if self.unknown_calls else (self.run or NOTHING).now_pico - (self.base or NOTHING).now_pico

    @property
    def prices_pico(self) -> int | None:
        """What the change of prices costs: the baseline's usage priced now, minus what was booked for it.

        None where a call of the baseline had no price then: its first one is no change.
        """
        base = self.base or NOTHING
        return None if base.unpriced_calls else base.now_pico - base.booked_pico


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A run beside its baseline: every name of either, and the sums over names that both have, None without any."""

    pairs: tuple[Pair, ...]
    common: Pair | None

    @property
    def added(self) -> tuple[str, ...]:
        """Names that only the run has."""
        return tuple(pair.name for pair in self.pairs if pair.base is None)

    @property
    def removed(self) -> tuple[str, ...]:
        """Names that only the baseline has."""
        return tuple(pair.name for pair in self.pairs if pair.run is None)


def figures_by_name(run: Run, catalog: Catalog, at: datetime) -> dict[str, Figures]:
    """Return a run's figures by name, also priced by the cards of ``at``."""
    found: dict[str, Figures] = {}
    for calls in run.calls:
        name = calls.kind.name
        found[name] = found.get(name, NOTHING).plus(_figures(calls, _price(calls.kind, catalog, at)))
    return found


def figures_of(calls: Iterable[Calls]) -> Figures:
    """Return the sums over calls as booked; nothing is priced again."""
    return total(_figures(one, None) for one in calls)


def total(figures: Iterable[Figures]) -> Figures:
    """Return the sums over figures."""
    found = NOTHING
    for one in figures:
        found = found.plus(one)
    return found


def _figures(one: Calls, price: int | None) -> Figures:
    """The sums over calls of one kind; ``price`` is that of one call now, None where it has none."""
    tokens = (0, 0, 0, 0, 0) if one.kind.usage is None else token_totals(usage_from_text(one.kind.usage).leaves)
    return Figures(
        one.booked_pico,
        one.booked_pico if price is None else price * one.calls,
        one.calls,
        one.unpriced_calls,
        one.unpriced_calls if price is None else 0,
        0 if one.kind.notional else one.booked_pico,
        0 if one.kind.notional else one.unpriced_calls,
        *(count * one.calls for count in tokens),
    )


def _price(kind: CallKind, catalog: Catalog, at: datetime) -> int | None:
    """What one call of the kind costs by the cards of ``at``; None where it has no whole price."""
    if kind.usage is None:
        return None
    usage = usage_from_text(kind.usage)
    model = kind.model
    if usage.parts and usage.parts[0].model is not None:
        # The entry's model is that of the first part; a part that names none was what the caller asked for.
        model = kind.requested_model or kind.model
    try:
        cost = evaluate(catalog, usage, model=model, provider=kind.provider, at=at, context=dict(kind.context))
    except (PriceUnknown, InvalidInput):
        # A file may hold names that no table could: what was booked stands, as for any that has no price.
        return None
    return None if cost.unpriced else cost.priced_pico


def compared(run: dict[str, Figures], base: dict[str, Figures]) -> Comparison:
    """Return two runs side by side, the run's names first."""
    names = dict.fromkeys([*run, *base])
    pairs = tuple(Pair(name, run.get(name), base.get(name)) for name in names)
    both = [pair for pair in pairs if pair.run is not None and pair.base is not None]
    sums = (total(pair.run or NOTHING for pair in both), total(pair.base or NOTHING for pair in both))
    return Comparison(pairs=pairs, common=Pair("total", *sums) if both else None)
