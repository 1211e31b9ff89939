"""What a call will cost before it is made: expected, and at worst.

The expected cost takes the counted input and the output that such an operation
usually has; the worst case takes the highest count, the output limit and the
dearest rates that the request can reach. What cannot be counted beforehand is
named in ``unaccounted``, never a silent 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from tokencalc.context import label_from
from tokencalc.counting import DescribedArguments, count_as, counter_of, takes_messages
from tokencalc.counts import whole_count
from tokencalc.errors import CallInvalid, LedgerError, MetersUnpriced, TokencalcError
from tokencalc.pricing.evaluate import evaluate, worst_case
from tokencalc.tokens.bodies import asked
from tokencalc.tokens.reading import unreadable
from tokencalc.usage import Meter, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from decimal import Decimal
    from typing import Any

    from tokencalc.cost import Cost
    from tokencalc.outputs import OutputHistory
    from tokencalc.pricing.card import ModelFacts
    from tokencalc.pricing.catalog import Catalog

OutputMethod = Literal["table", "ledger"]
"""Where an expected output comes from: the table of operation types, or what the ledger's own calls gave back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A cost before the call.

    ``input_tokens`` is the best count (``low`` to ``high`` is its range) by
    ``method``: exact, modelled, estimated, or given. ``output_tokens`` is what is
    expected, by the ``output_method``: table, or ledger once enough calls of the
    kind are booked; ``output_tokens_max`` is the limit that the worst case counts.
    ``cost_usd`` is the expected cost and ``cost_max_usd`` the worst case; None
    where a rate is missing, and ``notes`` say why.
    """

    provider: str
    model: str
    input_tokens: int
    low: int
    high: int
    method: str
    unaccounted: tuple[str, ...]
    output_tokens: int
    output_tokens_max: int
    output_method: OutputMethod
    cost: Cost
    cost_max: Cost
    notes: tuple[str, ...]

    @property
    def cost_usd(self) -> Decimal | None:
        """The expected cost in dollars."""
        return self.cost.total_usd

    @property
    def cost_max_usd(self) -> Decimal | None:
        """The worst case in dollars: what a reserve sets aside."""
        return self.cost_max.total_usd

    @property
    def cards(self) -> tuple[str, ...]:
        """The ids of the rate cards that were used."""
        return tuple(dict.fromkeys((*self.cost.cards, *self.cost_max.cards)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is known about a call before it is made, as the caller gave it.

    A text is priced as one user's message where the model takes messages. ``choices`` and ``max_output_tokens``
    that are None are what the body says, where ``messages`` is a whole body.
    """

    model: str
    provider: str | None = None
    input_tokens: int | None = None
    text: str | None = None
    messages: Sequence[Any] | Mapping[str, Any] | None = None
    described: DescribedArguments = field(default_factory=DescribedArguments)
    operation_type: str | None = None
    operation: str | None = None
    max_output_tokens: int | None = None
    choices: int | None = None
    context: Mapping[str, str] | None = None


def estimate(catalog: Catalog, request: Request, at: datetime, history: OutputHistory | None = None) -> Estimate:
    """Count and price a request; PriceUnknown, CallInvalid or TextInvalid where that cannot be done.

    ``history`` is the ledger that may know how long such answers are; the worst case does not ask it.
    """
    facts = catalog.resolve(request.model, provider=request.provider)
    request = _with_asked(request)
    tokens, low, high, method, unaccounted = _count(facts, request)
    limit, notes = _output_limit(facts, request)
    if facts.context_window_tokens is not None and high > facts.context_window_tokens:
        window = facts.context_window_tokens
        notes = (*notes, f"the input may exceed the model's context window of {window} tokens: it may refuse the call")
    choices = 1 if request.choices is None else whole_count(request.choices, path="choices")
    if choices < 1:
        raise CallInvalid(f"choices: expected at least 1, found {choices}", path="choices", found=choices)
    each, output_method, learned = _expected_output(facts, request, tokens, limit, history)
    output = each * choices
    cost = evaluate(
        catalog,
        Usage.from_leaves(((Meter.INPUT, tokens), (Meter.OUTPUT, output))),  # both were checked above
        model=request.model,
        provider=request.provider,
        at=at,
        context=request.context,
    )
    cost_max = worst_case(
        catalog,
        model=request.model,
        provider=request.provider,
        at=at,
        input_tokens=high,
        output_tokens=limit * choices,
        context=request.context,
    )
    return Estimate(
        provider=cost.provider,
        model=cost.model,
        input_tokens=tokens,
        low=low,
        high=high,
        method=method,
        unaccounted=unaccounted,
        output_tokens=output,
        output_tokens_max=limit * choices,
        output_method=output_method,
        cost=cost,
        cost_max=cost_max,
        notes=tuple(dict.fromkeys((*notes, *learned, *cost.notes, *cost_max.notes))),
    )


def worst_case_pico(found: Estimate) -> int:
    """Return the worst case in pico-dollars.

    Raises MetersUnpriced where a rate is missing, and CallInvalid where the request
    holds what nobody can count beforehand: its worst case is not known.
    """
    if found.unaccounted:
        raise CallInvalid(
            f"messages: {', '.join(found.unaccounted)} cannot be counted before the call, so its worst case is not "
            "known; give input_tokens (with room for them) or amount_usd instead",
            path="messages",
            found=list(found.unaccounted),
        )
    total = found.cost_max.total_pico
    if total is None:
        meters = tuple(str(meter) for meter in found.cost_max.unpriced)
        raise MetersUnpriced(
            f"{found.provider}/{found.model} has no rate for {', '.join(meters)} "
            f"({'; '.join(found.cost_max.notes)}); give amount_usd, or add the rate in a price table of your own",
            model=found.model,
            meters=meters,
        )
    return total


def _with_asked(request: Request) -> Request:
    """Return the request with the output that its body asks for, where the caller said nothing of it."""
    if request.messages is None:
        return request
    try:
        body = asked(request.messages)
    except (TokencalcError, MemoryError):
        raise
    except Exception as error:  # bulk: the body is an object of the caller's own, and its methods raise anything
        raise unreadable("messages", error) from error
    return replace(
        request,
        choices=body.choices if request.choices is None else request.choices,  # type: ignore[arg-type]  # checked below
        max_output_tokens=body.max_output_tokens if request.max_output_tokens is None else request.max_output_tokens,  # type: ignore[arg-type]  # the same
    )


def _count(facts: ModelFacts, request: Request) -> tuple[int, int, int, str, tuple[str, ...]]:
    given = [name for name in ("input_tokens", "text", "messages") if getattr(request, name) is not None]
    if len(given) != 1:
        raise CallInvalid(
            f"expected one of input_tokens, text, messages, found {', '.join(given) or 'none of them'}",
            path="input_tokens",
            found=given,
        )
    if request.input_tokens is not None:
        tokens = whole_count(request.input_tokens, path="input_tokens")
        return tokens, tokens, tokens, "given", ()
    counter = counter_of(facts)
    found = count_as(
        counter,
        facts.model,
        text=request.text,
        messages=request.messages,
        as_message=takes_messages(facts),
        **request.described,
    )
    return found.tokens, found.low, found.high, found.method, found.unaccounted


def _output_limit(facts: ModelFacts, request: Request) -> tuple[int, tuple[str, ...]]:
    if request.max_output_tokens is not None:
        asked, known = whole_count(request.max_output_tokens, path="max_output_tokens"), facts.output_limit_tokens
        if known is None or asked <= known:
            return asked, ()
        return asked, (
            f"max_output_tokens is above the model's own limit of {known}: the worst case counts it as asked",
        )
    if facts.mode == "embedding" or request.operation_type == "embedding":
        return 0, ()
    if facts.output_limit_tokens is None:
        raise CallInvalid(
            f"max_output_tokens: the output limit of {facts.provider}/{facts.model} is not known; say how many tokens "
            "the call may generate",
            path="max_output_tokens",
            found=None,
        )
    note = f"no max_output_tokens was given: the worst case counts the model's limit of {facts.output_limit_tokens}"
    return facts.output_limit_tokens, (note,)


def _expected_output(
    facts: ModelFacts, request: Request, input_tokens: int, limit: int, history: OutputHistory | None
) -> tuple[int, OutputMethod, tuple[str, ...]]:
    """Return the output to expect of one choice, where that comes from, and what there is to say about it."""
    from tokencalc.tokens.output import expected_output_tokens  # noqa: PLC0415  # the same room as above

    by_table = expected_output_tokens(request.operation_type, input_tokens, limit)
    operation = request.operation_type if request.operation is None else label_from(request.operation, name="operation")
    if facts.mode == "embedding" or request.operation_type == "embedding":
        return 0, "table", ()
    if history is None:
        return by_table, "table", ()
    try:
        learned = history.expected(provider=facts.provider, model=facts.model, operation=operation)
    except LedgerError as error:
        return (
            by_table,
            "table",
            (f"the expected output is the table's, the ledger could not be read: {error.message}",),
        )
    if learned is None:
        return by_table, "table", ()
    kind = facts.model if operation is None else f"{facts.model} for {operation}"
    note = (
        f"the expected output is the median of the ledger's newest {learned.calls} calls of {kind}; "
        f"half of them gave {learned.lower} to {learned.upper} tokens"
    )
    return min(learned.tokens, limit), "ledger", (note,)
