"""What a name costs over time: the cards of all tables that have it, laid over each other."""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from tokencalc.clock import instant_text
from tokencalc.errors import PriceUnknown
from tokencalc.pricing.units import instant_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tokencalc.pricing.build import ProviderTable
    from tokencalc.pricing.card import RateCard
    from tokencalc.pricing.plan import PlannedCard

    Planner = Callable[[RateCard, ProviderTable], PlannedCard]

_FAR = datetime.max.replace(tzinfo=UTC)


class Span(NamedTuple):
    """A card with the half-open interval in which it applies."""

    start: datetime
    end: datetime | None
    card: PlannedCard

    def holds(self, instant: datetime) -> bool:
        """Tell whether an instant lies in the span."""
        return self.start <= instant and (self.end is None or instant < self.end)


class Timeline(NamedTuple):
    """What a name costs over time: from ``starts[i]`` on, ``cards[i]``; None where no price is known."""

    name: str
    provider: str
    starts: tuple[datetime, ...]
    cards: tuple[PlannedCard | None, ...]

    def find(self, instant: datetime) -> PlannedCard | None:
        """Return the card that applies, or None before the first one and in a gap."""
        index = bisect_right(self.starts, instant) - 1
        return self.cards[index] if index >= 0 else None

    def at(self, instant: datetime) -> PlannedCard:
        """Return the card that applies; PriceUnknown before the first one and in a gap."""
        # As in `find`, without the call: every price comes through here.
        index = bisect_right(self.starts, instant) - 1
        found = self.cards[index] if index >= 0 else None
        if found is None:
            self._unknown(instant)
        return found

    def spans(self) -> tuple[Span, ...]:
        """Return the cards with the intervals in which they apply, oldest first; gaps are left out."""
        ends = (*self.starts[1:], None)
        return tuple(
            Span(start, end, card)
            for start, end, card in zip(self.starts, ends, self.cards, strict=True)
            if card is not None
        )

    def _unknown(self, instant: datetime) -> NoReturn:
        known = ", ".join(
            start.date().isoformat() for start, card in zip(self.starts, self.cards, strict=True) if card is not None
        )
        raise PriceUnknown(
            f"no price is known for {self.name!r} of {self.provider} at {instant_text(instant)}; "
            f"cards begin on {known}; an earlier one can be added in a price table of your own",
            provider=self.provider,
            model=self.name,
            at=instant,
            nearest=(),
        )


def timeline_of(name: str, tables: Sequence[ProviderTable], plan: Planner) -> Timeline:
    """Return the timeline of a name that these tables of one provider have, the one that wins first."""
    spans = list(_spans(tables[-1], name, plan))
    for table in reversed(tables[:-1]):
        top = list(_spans(table, name, plan))
        spans = _laid_over(_until_the_next(top, spans) if table.is_update else top, spans)
    starts: list[datetime] = []
    cards: list[PlannedCard | None] = []
    for index, (start, end, card) in enumerate(spans):
        starts.append(start)
        cards.append(card)
        following = spans[index + 1][0] if index + 1 < len(spans) else None
        if end is not None and end != following:
            starts.append(end)
            cards.append(None)
    return Timeline(name, tables[0].provider, tuple(starts), tuple(cards))


def _spans(table: ProviderTable, name: str, plan: Planner) -> Iterator[Span]:
    if name in table.names:
        yield from _model_spans(table, table.names[name], (None, None), plan)
        return
    targets = table.moving[name]
    for index, target in enumerate(targets):
        # A table of one's own may know some of the models that a name moves between: the rest shows through.
        until = instant_of(targets[index + 1]["effective_from"]) if index + 1 < len(targets) else None
        yield from _model_spans(table, target["model"], (instant_of(target["effective_from"]), until), plan)


def _model_spans(
    table: ProviderTable, model: str, window: tuple[datetime | None, datetime | None], plan: Planner
) -> Iterator[Span]:
    since, until = window
    for card in table.cards(model):
        start = card.effective_from if since is None else max(card.effective_from, since)
        ends = [end for end in (card.effective_until, until) if end is not None]
        end = min(ends) if ends else None
        if end is None or start < end:
            yield Span(start, end, plan(card, table))


def _until_the_next(top: list[Span], below: list[Span]) -> list[Span]:
    """End the spans of an accepted update where the list below has news: it knew the list of its own day only."""
    ended = []
    for start, end, card in top:
        news = [begin for begin, _, _ in below if begin > start]
        ends = [one for one in (end, *news) if one is not None]
        ended.append(Span(start, min(ends, default=None), card))
    return ended


def split_at(timeline: Timeline, cuts: Sequence[datetime]) -> Timeline:
    """Return the same timeline with a card's span begun anew at each cut that lies in it."""
    starts, cards = list(timeline.starts), list(timeline.cards)
    for cut in cuts:
        index = bisect_right(starts, cut)
        if index and starts[index - 1] != cut:
            starts.insert(index, cut)
            cards.insert(index, cards[index - 1])
    return timeline._replace(starts=tuple(starts), cards=tuple(cards))


def _laid_over(top: list[Span], below: list[Span]) -> list[Span]:
    """Put one table's spans over another's: the top wins where it has a card, the rest shows through."""
    edges = sorted({edge for start, end, _ in (*top, *below) for edge in (start, end or _FAR)})
    merged: list[Span] = []
    for start, end in pairwise(edges):
        cards = [card for spans in (top, below) for begin, until, card in spans if begin <= start < (until or _FAR)]
        if cards:
            merged.append(Span(start, None if end == _FAR else end, cards[0]))
    return merged
