"""Cheaper models of the same line, by the rule of `prompts`, for calls that were made already.

Their texts are not kept, so their tokens cannot be counted anew: only models that
count as ours does are compared. Another maker's model in the same price band
counts otherwise, and is left to `optimize_prompt`, which has the text; one that
counts alike and is of another line is a smaller model at a reseller. The advice says
"in as many tokens": it is given only where it is known of both models that the same
request lets them reason alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tokencalc.errors import PriceUnknown
from tokencalc.prompts import class_basis, is_trial, priced_since, reasons_alike
from tokencalc.reports.would_be import by_another_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokencalc.engine import Engine
    from tokencalc.ledger.records import Entry
    from tokencalc.pricing.card import ModelFacts

_SEEN_FIRST = 20
"""The newest calls that decide which models are compared over all."""


class Peer(NamedTuple):
    """A model that costs less for the newest calls."""

    provider: str
    model: str


class Peers:
    """Finds, for calls of one model, the cheapest of its line."""

    def __init__(self, engine: Engine) -> None:
        """Look among the models of the engine's tables."""
        self._engine = engine
        self._models: tuple[ModelFacts, ...] | None = None

    def of(self, entries: Sequence[Entry]) -> Peer | None:
        """Return the cheapest model that takes every call and costs less for the newest ones; None without one."""
        newest = entries[0]
        catalog = self._engine.catalog
        try:
            ours = catalog.resolve(newest.model, provider=newest.provider, at=newest.at)
        except PriceUnknown:
            return None
        cost = None if is_trial(ours.model) else self._cost(entries, ours)
        if cost is None:
            return None
        if self._models is None:
            self._models = tuple({(facts.provider, facts.model): facts for facts in catalog.models()}.values())
        sizes = [(entry.usage.input_tokens, entry.usage.output_tokens) for entry in entries if entry.usage is not None]
        since = priced_since(catalog, ours)
        best: Peer | None = None
        for facts in self._models:
            # The rule last: it takes names apart, and there are thousands of models.
            if not (_counts_alike(ours, facts) and reasons_alike(ours, facts) and _takes(facts, sizes)):
                continue
            if class_basis(ours, facts) != "same_line":
                continue
            if facts.provider != ours.provider and self._is_imported(facts, newest):
                continue
            found = self._cost(entries, facts)
            # Nobody changes the seller for the same price.
            is_nearer = best is not None and best.provider != ours.provider == facts.provider
            # Last, because it reads every card of a model: an older model is never offered for a newer one.
            if found and (found < cost or (found == cost and is_nearer)) and priced_since(catalog, facts) >= since:
                best, cost = Peer(facts.provider, facts.model), found
        return best

    def _cost(self, entries: Sequence[Entry], facts: ModelFacts) -> int | None:
        total = 0
        for entry in entries[:_SEEN_FIRST]:
            if entry.usage is None:
                return None
            try:
                cost = self._engine.price(
                    model=facts.model,
                    provider=facts.provider,
                    usage=by_another_model(entry.usage),
                    at=entry.at,
                    context=entry.context,
                )
            except PriceUnknown:
                return None
            if cost.total_pico is None:
                return None
            total += cost.total_pico
        return total

    def _is_imported(self, facts: ModelFacts, newest: Entry) -> bool:
        """Whether nobody compared its price with its seller's list: no ground to go there."""
        try:
            card = self._engine.catalog.card(model=facts.model, provider=facts.provider, at=newest.at)
        except PriceUnknown:
            return True
        return card.imported is not None


def _counts_alike(ours: ModelFacts, other: ModelFacts) -> bool:
    if ours.tokenizer is None and ours.encoding is None:
        return False
    return (ours.tokenizer, ours.encoding) == (other.tokenizer, other.encoding)


def _takes(facts: ModelFacts, sizes: Sequence[tuple[int, int]]) -> bool:
    window, limit = facts.context_window_tokens, facts.output_limit_tokens
    if window is None:
        return False
    return all(tokens_in + out <= window and (limit is None or out <= limit) for tokens_in, out in sizes)
