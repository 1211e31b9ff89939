"""`optimize_prompt`: what a shorter text and a cheaper model of the same class would save, each by its own count.

Nothing is asserted: a change is kept only if it saves tokens as the model counts
them, and a model is named only if it costs less for this very request, even with
its count at the top of its range and ours at the bottom.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from tokencalc.clock import instant_from
from tokencalc.counts import whole_count
from tokencalc.errors import PriceUnknown, TextInvalid
from tokencalc.money import usd_from_pico
from tokencalc.pricing.evaluate import evaluate
from tokencalc.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from decimal import Decimal

    from tokencalc.arguments import PromptArguments
    from tokencalc.cost import Cost
    from tokencalc.pricing.card import ModelFacts
    from tokencalc.pricing.catalog import Catalog
    from tokencalc.tokens.result import Method, TokenCount

CHEAPER_MAX = 5
"""Cheaper models that are named for each class, those that save most first."""

PRICE_BAND = 4
"""Another provider's model is of the same class from a fourth of the price on. Below, it is another class."""

Basis = Literal["same_line", "price_band"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptChange:
    """One change that was made to the text, with the tokens and the dollars of input that it saves (None: no rate)."""

    kind: str
    what: str
    places: int
    tokens_saved: int
    saved_usd: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheaperModel:
    """A model of the same class that costs less for the shortened text and as many output tokens.

    ``basis`` says what makes it the same class: ``same_line`` is the same name but
    for its version, ``price_band`` another provider's model at a fourth of the
    price or more. Whether it answers as well is for you to find out.
    """

    provider: str
    model: str
    basis: Basis
    priced_since: datetime
    context_window_tokens: int
    input_tokens: int
    method: Method
    cost_usd: Decimal
    saved_usd: Decimal
    cards: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptAdvice:
    """A text in fewer tokens, what each change saves, and cheaper models for it.

    ``input_cost_usd`` and ``input_cost_after_usd`` price the text alone, before
    and after; ``cost_usd`` is what one call with the shortened text and
    ``output_tokens`` costs, which the cheaper models are compared with. None where
    a rate is missing, and ``notes`` say why.
    """

    provider: str
    model: str
    method: Method
    text: str
    input_tokens: int
    input_tokens_after: int
    input_cost_usd: Decimal | None
    input_cost_after_usd: Decimal | None
    changes: tuple[PromptChange, ...]
    output_tokens: int
    cost_usd: Decimal | None
    cheaper: tuple[CheaperModel, ...]
    notes: tuple[str, ...]

    @property
    def tokens_saved(self) -> int:
        """Tokens that the shorter text saves: the sum of the changes'."""
        return self.input_tokens - self.input_tokens_after

    @property
    def saved_usd(self) -> Decimal | None:
        """Dollars of input that the shorter text saves in each call; None where the input has no rate."""
        if self.input_cost_usd is None or self.input_cost_after_usd is None:
            return None
        return self.input_cost_usd - self.input_cost_after_usd


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """The call that a prompt is for, as the caller described it, at an instant."""

    model: str
    provider: str | None
    operation_type: str | None
    max_output_tokens: int | None
    context: Mapping[str, str] | None
    at: datetime


def optimize(catalog: Catalog, now: datetime, text: str, model: str, arguments: PromptArguments) -> PromptAdvice:
    """Advise on a prompt for the call that the arguments of `Engine.optimize_prompt` describe."""
    limit, at = arguments.get("max_output_tokens"), arguments.get("at")
    call = Call(
        model=model,
        provider=arguments.get("provider"),
        operation_type=arguments.get("operation_type"),
        max_output_tokens=None if limit is None else whole_count(limit, path="max_output_tokens"),
        context=arguments.get("context"),
        at=now if at is None else instant_from(at, name="at"),
    )
    return advise(catalog, text, call)


def advise(catalog: Catalog, text: str, call: Call) -> PromptAdvice:
    """Shorten the text, price what that saves, and look for cheaper models of the same class."""
    from tokencalc.tokens.shortening import shorten  # noqa: PLC0415  # counting loads tiktoken, 100 ms

    if not (isinstance(text, str) and text.strip()):
        raise TextInvalid(f"text: expected some text to shorten, found {text!r:.60}", path="text", found=text)
    facts = catalog.resolve(call.model, provider=call.provider, at=call.at)
    card = catalog.card(model=call.model, provider=call.provider, at=call.at)
    short = shorten(text, lambda part: _counted(facts, part).tokens)
    counted = _counted(facts, short.text)
    changes, tokens = [], short.tokens_before
    for change in short.changes:
        before, after = (_input_pico(catalog, call, count) for count in (tokens, tokens - change.tokens_saved))
        saved = None if before is None or after is None else usd_from_pico(before - after)
        changes.append(PromptChange(**change._asdict(), saved_usd=saved))
        tokens -= change.tokens_saved
    output = _output_tokens(facts, call, counted.tokens)
    cost = _evaluate(catalog, call, Usage(input_tokens=counted.tokens, output_tokens=output))
    cheaper = tuple(_cheaper(catalog, call, facts, short.text, output)) if cost.total_usd is not None else ()
    return PromptAdvice(
        provider=card.provider,
        model=card.model,
        method=counted.method,
        text=short.text,
        input_tokens=short.tokens_before,
        input_tokens_after=short.tokens_after,
        input_cost_usd=_usd(_input_pico(catalog, call, short.tokens_before)),
        input_cost_after_usd=_usd(_input_pico(catalog, call, short.tokens_after)),
        changes=tuple(changes),
        output_tokens=output,
        cost_usd=cost.total_usd,
        cheaper=cheaper,
        notes=cost.notes,
    )


def _counted(facts: ModelFacts, text: str) -> TokenCount:
    from tokencalc.tokens.count import count_text  # noqa: PLC0415  # as above

    return count_text(text, tokenizer=facts.tokenizer, encoding=facts.encoding, verified=facts.encoding_verified)


class _Counting:
    """One text's counts, once for each way in which models count."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._counts: dict[tuple[str | None, str | None, bool], TokenCount] = {}

    def __call__(self, facts: ModelFacts) -> TokenCount:
        way = (facts.tokenizer, facts.encoding, facts.encoding_verified)
        if way not in self._counts:
            self._counts[way] = _counted(facts, self._text)
        return self._counts[way]


def _evaluate(catalog: Catalog, call: Call, usage: Usage) -> Cost:
    return evaluate(catalog, usage, model=call.model, provider=call.provider, at=call.at, context=call.context)


def _input_pico(catalog: Catalog, call: Call, tokens: int) -> int | None:
    return _evaluate(catalog, call, Usage(input_tokens=tokens, output_tokens=0)).total_pico


def _usd(pico: int | None) -> Decimal | None:
    return None if pico is None else usd_from_pico(pico)


def _output_tokens(facts: ModelFacts, call: Call, input_tokens: int) -> int:
    from tokencalc.tokens.output import expected_output_tokens  # noqa: PLC0415  # as above

    if facts.mode == "embedding":
        return 0
    limits = [limit for limit in (call.max_output_tokens, facts.output_limit_tokens) if limit is not None]
    return expected_output_tokens(call.operation_type, input_tokens, min(limits, default=None))


def _cheaper(catalog: Catalog, call: Call, ours: ModelFacts, text: str, output: int) -> Iterator[CheaperModel]:
    """Yield the models that save most, first those of the same line."""
    count = _Counting(text)
    counted = count(ours)
    low = _evaluate(catalog, call, Usage(input_tokens=counted.low, output_tokens=output)).total_pico
    cost = _evaluate(catalog, call, Usage(input_tokens=counted.tokens, output_tokens=output)).total_pico
    if low is None or cost is None:
        return
    since = priced_since(catalog, ours)
    found: dict[Basis, list[CheaperModel]] = {"same_line": [], "price_band": []}
    # A model that two tables of a provider list is one model.
    for facts in {(facts.provider, facts.model): facts for facts in catalog.models()}.values():
        basis = class_basis(ours, facts)
        if basis is None:
            continue
        other = replace(call, model=facts.model, provider=facts.provider)
        cheaper = _compared(
            catalog, other, facts, count, output, basis=basis, own_provider=ours.provider, cost=cost, low=low
        )
        # Last, because it reads every card of a model: an older model is never offered for a newer one.
        if cheaper is not None and cheaper.priced_since >= since:
            found[basis].append(cheaper)
    for chosen in found.values():
        yield from sorted(chosen, key=lambda model: (-model.saved_usd, model.provider, model.model))[:CHEAPER_MAX]


def _compared(  # noqa: PLR0913  # one comparison
    catalog: Catalog,
    call: Call,
    facts: ModelFacts,
    count: _Counting,
    output: int,
    *,
    basis: Basis,
    own_provider: str,
    cost: int,
    low: int,
) -> CheaperModel | None:
    """Return a model with what it saves; None where it may not take the call, has no price, or may save nothing."""
    counted = count(facts)
    window, limit = facts.context_window_tokens, facts.output_limit_tokens
    if window is None or counted.high + output > window or (limit is not None and output > limit):
        return None
    try:
        if (
            facts.provider != own_provider
            and catalog.card(model=call.model, provider=call.provider, at=call.at).imported
        ):
            return None  # a price that nobody compared with its seller's list is no ground to go there
        found = _evaluate(catalog, call, Usage(input_tokens=counted.tokens, output_tokens=output))
        high = _evaluate(catalog, call, Usage(input_tokens=counted.high, output_tokens=output))
    except PriceUnknown:  # no card on that day
        return None
    if not found.total_pico or high.total_pico is None or high.total_pico >= low:
        return None  # what is free is an offer to try it, and no price to plan with
    if basis == "price_band" and found.total_pico * PRICE_BAND < cost:
        return None
    return CheaperModel(
        provider=facts.provider,
        model=facts.model,
        basis=basis,
        priced_since=priced_since(catalog, facts),
        context_window_tokens=window,
        input_tokens=counted.tokens,
        method=counted.method,
        cost_usd=usd_from_pico(found.total_pico),
        saved_usd=usd_from_pico(cost - found.total_pico),
        cards=found.cards,
    )


def priced_since(catalog: Catalog, facts: ModelFacts) -> datetime:
    """Return the first instant for which a price is known."""
    return min(card.effective_from for card in catalog.cards(facts.provider, facts.model))


def class_basis(ours: ModelFacts, other: ModelFacts) -> Basis | None:
    """Return what makes another model one of the same class, None where it is not; its price decides the rest."""
    # Another model's vectors do not fit an index, whatever they cost.
    if (
        other.mode != ours.mode
        or ours.mode == "embedding"
        or (other.provider, other.model) == (ours.provider, ours.model)
    ):
        return None
    # A fine-tuned model answers for whoever trained it, and for nobody else.
    if other.model.startswith("ft:") or is_trial(other.model):
        return None
    # Reasoning is billed as output: a model that reasons where ours does not gives other, and more, tokens back.
    if reasons_alike(ours, other) is False:
        return None
    if line_of(ours.model) == line_of(other.model):
        # An old generation may get a price late, as a dated name does; it is no equal for that.
        before, after = generation_of(ours.model), generation_of(other.model)
        if before is not None and after is not None and after < before:
            return None
        return "same_line"
    # The same provider tells its classes apart by other names; a price says nothing against that.
    return "price_band" if ours.provider != other.provider else None


def reasons_alike(ours: ModelFacts, other: ModelFacts) -> bool | None:
    """Whether the request that we make lets both models reason, or neither; None where no source says so of one."""
    if ours.reasoning is None or other.reasoning is None:
        return None
    # A request to a model that never reasons cannot have asked for it.
    return ours.reasoning == other.reasoning or (ours.reasoning, other.reasoning) == ("never", "on_request")


def is_trial(model: str) -> bool:
    """Whether a name says that the model is no release: a preview, an experiment."""
    return not _TRIALS.isdisjoint(re.split(r"[^a-z0-9]+", model.lower()))


def line_of(model: str) -> frozenset[str]:
    """Return a model's name without its version: the words that its provider tells lines apart by, and sizes (70b).

    >>> sorted(line_of("claude-3-5-haiku-20241022")), sorted(line_of("llama-3.1-8b-instant"))
    (['claude', 'haiku'], ['8b', 'instant', 'llama'])
    """
    words = re.split(r"[^a-z0-9]+", model.lower())
    named = (re.match(r"\d+b$|e\d+b$|[a-z]*", word) for word in words)
    return frozenset(match.group() for match in named if match and match.group()) - _RELEASES


def generation_of(model: str) -> tuple[int, int] | None:
    """Return the version in a model's name as two numbers, or None where it has only a date, or nothing.

    >>> generation_of("gpt-3.5-turbo-0301"), generation_of("gpt-4o"), generation_of("claude-opus-4-1-20250805")
    ((3, 5), (4, 0), (4, 1))
    """
    found = _GENERATION.search(model.lower())
    return None if found is None else (int(found["first"]), int(found["second"] or 0))


_GENERATION = re.compile(
    # Neither 70b nor 32k, which are sizes, nor 0301, 2512 and 08-2024, which are dates.
    r"(?<![0-9.])(?P<first>0|[1-9]\d?)(?![0-9]|-20\d\d$)(?:o|n)?(?![a-z0-9])(?:[.-](?P<second>\d)(?![a-z0-9]))?"
)
_TRIALS = frozenset({"preview", "exp", "experimental", "beta"})
_RELEASES = _TRIALS | {"latest", "v"}
"""Words that name a release and no line."""
