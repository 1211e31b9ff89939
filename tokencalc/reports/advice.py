"""What to change, each with its saving: the same calls priced as they were, and as they would be.

Both sides are prices of each call's own day, by the tables of now. An advice
that saves nothing, or less than a hundredth of what its calls cost, is not given;
several are alternatives, and their savings do not add up. Looked at are the newest
`MOST_CALLS` charges that were billed at the tables' price, and a whole one: where the
caller named the amount, ours says nothing about the bill. An advice whose premise no
source states for a model (that it reasons alike, that it caches on request) is not given.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Literal, NamedTuple

from tokencalc.errors import PriceUnknown
from tokencalc.money import usd_from_pico
from tokencalc.periods import zone_from
from tokencalc.reports import would_be
from tokencalc.reports.corrected import Corrections
from tokencalc.reports.keys import is_wanted
from tokencalc.reports.peers import Peers
from tokencalc.reports.saving import is_priced
from tokencalc.usage import CACHE_READ_METERS, CACHE_WRITE_METERS, Meter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from decimal import Decimal

    from tokencalc.engine import Engine
    from tokencalc.ledger.records import Entry
    from tokencalc.reports.breakdown import Wanted
    from tokencalc.reports.corrected import Corrected
    from tokencalc.usage import Usage

Kind = Literal["cheaper_model", "caching", "batch", "output_cap"]

MOST_CALLS = 20_000
"""Calls that are looked at, the newest written: some seconds."""
FEWEST_OUTPUTS = 30
"""Calls from which an output cap is drawn; fewer have no tail to speak of."""
LEAST_SHARE_PERCENT = 1
"""What an advice must save of its calls' cost to be worth a line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """One change with its saving over the calls that were looked at.

    ``key`` says whose calls: provider, model, operation, and for caching the agent.
    ``cost_usd`` is their price as they were, ``after_usd`` as they would have been.
    ``says`` is the change, ``provided`` what must hold for it. ``values`` are its
    numbers and names: ``to_provider`` and ``to_model``, ``cap_tokens``, ...
    """

    kind: Kind
    key: Mapping[str, str | None]
    calls: int
    cost_usd: Decimal
    after_usd: Decimal
    says: str
    provided: str
    values: Mapping[str, str | int]

    @property
    def saved_usd(self) -> Decimal:
        """What the change would have saved of these calls."""
        return self.cost_usd - self.after_usd


@dataclass(frozen=True, slots=True, kw_only=True)
class Advised:
    """All advice, that which saves most first, and which calls it rests on.

    ``calls`` were looked at; ``left_out`` of them have no whole price, or one of their
    own, were paid for by a subscription, or hold several model calls; ``is_cut`` says that there are more than
    were looked at.
    """

    advice: tuple[Advice, ...]
    calls: int
    left_out: int
    is_cut: bool


class Priced(NamedTuple):
    """A charge with its usage and its price by the tables of now."""

    entry: Entry
    usage: Usage
    pico: int


def advise(engine: Engine, wanted: Wanted) -> Advised:
    """Return what would have saved money over the calls of an interval, each with its computed saving."""
    zone = zone_from(wanted.timezone)
    found = engine.entries(since=wanted.since, until=wanted.until)
    corrections = Corrections()
    seen = (one for entry in found if (one := corrections.see(entry)) is not None)
    charges = (one for one in seen if one.entry.kind == "charge" and is_wanted(one.entry, wanted.where, zone))
    newest = list(islice(charges, MOST_CALLS))
    priced = [call for call in (price_again(engine, one) for one in newest) if call is not None]
    made = [*_by_work(engine, priced), *_by_agent(engine, priced)]
    worth = [one for one in made if one.saved_usd * 100 >= one.cost_usd * LEAST_SHARE_PERCENT and one.saved_usd > 0]
    return Advised(
        advice=tuple(sorted(worth, key=lambda one: (-one.saved_usd, one.kind, str(one.key)))),
        calls=len(newest),
        left_out=len(newest) - len(priced),
        is_cut=next(charges, None) is not None,
    )


def price_again(engine: Engine, found: Corrected) -> Priced | None:
    """Return a charge with its price by the tables of now; None where another was billed, or several model calls."""
    entry = found.entry
    if entry.usage is None or entry.usage.parts or entry.notional or entry.provider is None or not is_priced(found):
        return None
    pico = price_of(engine, entry, entry.usage)
    return None if pico is None else Priced(entry, entry.usage, pico)


def price_of(engine: Engine, entry: Entry, usage: Usage, context: Mapping[str, str] | None = None) -> int | None:
    """Return what an entry's call would cost with another usage or context; None without a whole price."""
    said = entry.context if context is None else context
    try:
        cost = engine.price(model=entry.model, provider=entry.provider, usage=usage, at=entry.at, context=said)
    except PriceUnknown:
        return None
    return cost.total_pico


def _grouped(calls: Iterable[Priced], *keys: str) -> list[tuple[dict[str, str | None], list[Priced]]]:
    groups: defaultdict[tuple[str | None, ...], list[Priced]] = defaultdict(list)
    for call in calls:
        groups[tuple(getattr(call.entry, key) for key in keys)].append(call)
    return [(dict(zip(keys, group, strict=True)), members) for group, members in groups.items()]


def _by_work(engine: Engine, priced: Sequence[Priced]) -> Iterator[Advice]:
    peers = Peers(engine)
    for key, calls in _grouped(priced, "provider", "model", "operation"):
        yield from _cheaper(engine, peers, key, calls)
        yield from _batched(engine, key, calls)
        yield from _capped(engine, key, calls)


def _by_agent(engine: Engine, priced: Sequence[Priced]) -> Iterator[Advice]:
    cached = CACHE_READ_METERS | CACHE_WRITE_METERS
    for key, calls in _grouped(priced, "provider", "model", "agent_id", "operation"):
        from_tokens = _cacheable_from(engine, calls[0].entry)
        if from_tokens is not None:
            touched = [call for call in calls if any(meter in cached for meter, _ in call.usage.leaves)]
            yield from _uncached(engine, key, touched)
            yield from _cached(engine, key, [call for call in calls if would_be.can_be_cached(call.usage, from_tokens)])


def _cacheable_from(engine: Engine, entry: Entry) -> int | None:
    """The least that a call's model caches on request; None where it caches unasked or bills storage, or in doubt."""
    try:
        facts = engine.catalog.resolve(entry.model, provider=entry.provider, at=entry.at)
        card = engine.catalog.card(model=entry.model, provider=entry.provider, at=entry.at)
    except PriceUnknown:
        return None
    # How long a prefix is kept there is for its owner to say, and no call tells it.
    return None if card.rate(Meter.CACHE_STORAGE_TOKEN_HOUR) is not None else facts.cacheable_from_tokens


def _sum(calls: Sequence[Priced], after: Callable[[Priced], int | None]) -> tuple[int, int] | None:
    """The price of calls as they were and as they would be; None where one of those would have no whole price."""
    total = 0
    for call in calls:
        pico = after(call)
        if pico is None:
            return None
        total += pico
    return sum(call.pico for call in calls), total


def _advice(  # noqa: PLR0913, PLR0917  # the fields of a record
    kind: Kind,
    key: Mapping[str, str | None],
    calls: Sequence[Priced],
    after: Callable[[Priced], int | None],
    says: str,
    provided: str,
    values: Mapping[str, str | int],
) -> Iterator[Advice]:
    sums = _sum(calls, after) if calls else None
    if sums is not None:
        yield Advice(
            kind=kind,
            key=key,
            calls=len(calls),
            cost_usd=usd_from_pico(sums[0]),
            after_usd=usd_from_pico(sums[1]),
            says=says,
            provided=provided,
            values=values,
        )


def _cheaper(engine: Engine, peers: Peers, key: Mapping[str, str | None], calls: Sequence[Priced]) -> Iterator[Advice]:
    peer = peers.of([call.entry for call in calls])
    if peer is None:
        return

    def after(call: Priced) -> int | None:
        served = call.entry._replace(provider=peer.provider, model=peer.model)
        return price_of(engine, served, would_be.by_another_model(call.usage))

    yield from _advice(
        "cheaper_model",
        key,
        calls,
        after,
        f"take {peer.provider}/{peer.model}, of the same line",
        "it answers as well, in as many tokens",
        {"to_provider": peer.provider, "to_model": peer.model},
    )


def _batched(engine: Engine, key: Mapping[str, str | None], calls: Sequence[Priced]) -> Iterator[Advice]:
    at_once = [call for call in calls if call.entry.context.get("processing") is None]
    yield from _advice(
        "batch",
        key,
        at_once,
        lambda call: price_of(engine, call.entry, call.usage, {**call.entry.context, "processing": "batch"}),
        "send them as batches",
        "they can wait for their answers, a day at most providers",
        {},
    )


def _capped(engine: Engine, key: Mapping[str, str | None], calls: Sequence[Priced]) -> Iterator[Advice]:
    if len(calls) < FEWEST_OUTPUTS:
        return
    cap = would_be.cap_for([call.usage.output_tokens for call in calls])
    longer = [call for call in calls if call.usage.output_tokens > cap]
    yield from _advice(
        "output_cap",
        key,
        calls,
        lambda call: price_of(engine, call.entry, would_be.with_cap(call.usage, cap)),
        f"cap the output at {cap:,} tokens, as 95 in 100 calls keep to",
        f"the {len(longer):,} longer answers may end there",
        {"cap_tokens": cap, "calls_cut": len(longer)},
    )


def _uncached(engine: Engine, key: Mapping[str, str | None], calls: Sequence[Priced]) -> Iterator[Advice]:
    yield from _advice(
        "caching",
        key,
        calls,
        lambda call: price_of(engine, call.entry, would_be.without_cache(call.usage)),
        "stop writing to the cache",
        "as little is read from it as now: the writes cost more than the reads gave",
        {"change": "stop"},
    )


def _cached(engine: Engine, key: Mapping[str, str | None], calls: Sequence[Priced]) -> Iterator[Advice]:
    warm = would_be.warm_calls([(call.entry.sequence, call.entry.at) for call in calls])

    def after(call: Priced) -> int | None:
        return _cheapest_cached(engine, call, is_warm=call.entry.sequence in warm)

    yield from _advice(
        "caching",
        key,
        calls,
        after,
        "cache the half of the input that comes first",
        f"it is the same in each call; {len(warm):,} calls came within 5 minutes of the one before",
        {"change": "start", "cached_percent": 50, "warm_calls": len(warm)},
    )


def _cheapest_cached(engine: Engine, call: Priced, *, is_warm: bool) -> int | None:
    """A warm call reads half of its input; a cold one writes it, where writes have a price of their own."""
    if is_warm:
        return price_of(engine, call.entry, would_be.with_cache(call.usage, is_warm=True))
    written = price_of(engine, call.entry, would_be.with_cache(call.usage, is_warm=False))
    return call.pico if written is None else written
