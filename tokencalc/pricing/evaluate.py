"""From usage to cost: each model call by its own card, tier and conditions; one line for each meter.

The hot path is `evaluate` for a single call: a look-up of the name, a search of
the day, a look-up of the plan, then whole-number arithmetic.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tokencalc.clock import instant_from
from tokencalc.cost import Cost, CostLine
from tokencalc.errors import CallInvalid, PriceUnknown
from tokencalc.money import line_pico
from tokencalc.pricing.card import CONDITION_KEYS
from tokencalc.pricing.plan import NOTHING_SAID, Plan, PlannedCard, dearest, factors_for
from tokencalc.usage import CACHE_WRITE_METERS, INPUT_METERS, Meter, Usage

if TYPE_CHECKING:
    from tokencalc.pricing.catalog import Catalog
    from tokencalc.pricing.plan import Factor, Said
    from tokencalc.usage import Leaves

_DEAREST_INPUT = (Meter.INPUT, *sorted(CACHE_WRITE_METERS))
_DEAREST_OUTPUT = (Meter.OUTPUT, Meter.REASONING)

# Named tuples' own constructors check and default their arguments in Python; here all are at hand.
_new = tuple.__new__


def evaluate(  # noqa: C901, PLR0912, PLR0913  # the hot path in one piece: a call costs as much as a line
    catalog: Catalog,
    usage: Usage,
    *,
    model: str,
    provider: str | None = None,
    at: datetime,
    context: Mapping[str, str] | None = None,
) -> Cost:
    """Price a usage: the served model wins over ``model``, served facts win over ``context``.

    Each part of a usage is priced by itself, with the tier that its own prompt
    reaches. What has no rate is listed in ``unpriced`` with a reason in ``notes``.
    Raises PriceUnknown where no card answers, CallInvalid for an unknown context key.
    """
    if at.tzinfo is not UTC:
        at = instant_from(at, name="at")
    if usage.parts:
        return _evaluate_parts(catalog, usage, model, provider, at, context)
    card = catalog.timeline(usage.model or model, provider).at(at)
    if context or usage.conditions:
        plan = card.plan(_conditions(usage, context or {}, card), at)
    elif usage.service_tier is not None or usage.region is not None or usage.speed is not None:
        plan = card.plan((None, usage.region, usage.service_tier, usage.speed, None, None, None, None), at)
    else:
        plan = card.ordinary or card.plan(NOTHING_SAID, at)
    leaves = usage.leaves
    notes = (*usage.notes, *plan.notes) if usage.notes else plan.notes
    if plan.request is not None or plan.minimums:
        leaves, notes = _as_billed(plan, usage, notes)
    factors: Mapping[Meter, Factor] = plan.factors[0]
    if plan.sizes or plan.note_above:
        size = sum([quantity for meter, quantity in leaves if meter in INPUT_METERS])
        factors = factors_for(plan, int(size))
        if plan.note_above and size >= plan.note_above[0]:
            notes = (*notes, plan.note_above[1])
    lines = []
    total = 0
    unpriced: list[Meter] | None = None
    for meter, quantity in leaves:
        factor = factors.get(meter)
        if factor is None:
            unpriced = [*(unpriced or ()), meter]
            continue
        numerator, denominator, rate, per, card_id, priced_as = factor
        if denominator == 1 and type(quantity) is int:
            amount = quantity * numerator
        else:
            amount = line_pico(quantity, numerator, denominator)
        total += amount
        lines.append(_new(CostLine, (meter, quantity, rate, per, amount, card_id, priced_as)))
    if unpriced is not None:
        notes = (*notes, *_reasons(card, plan, unpriced))
    found = card.card
    return _new(Cost, (tuple(lines), tuple(unpriced or ()), total, found.provider, found.model, at, notes))


def worst_case(  # noqa: PLR0913  # what decides a price
    catalog: Catalog,
    *,
    model: str,
    provider: str | None = None,
    at: datetime,
    input_tokens: int,
    output_tokens: int,
    context: Mapping[str, str] | None = None,
) -> Cost:
    """Return the most that a call with so many tokens can cost.

    The input goes at the dearest of what input may become (plain or written to a
    cache), the output at the dearest of output and reasoning, both at the tier that
    the whole input reaches.
    """
    at = instant_from(at, name="at")
    card = catalog.timeline(model, provider).at(at)
    plan = card.plan(_conditions(Usage(), context, card) if context else NOTHING_SAID, at)
    asked = (
        (dearest(plan, _DEAREST_INPUT, input_tokens) or Meter.INPUT, input_tokens),
        (dearest(plan, _DEAREST_OUTPUT, input_tokens) or Meter.OUTPUT, output_tokens),
    )
    return evaluate(catalog, Usage.from_leaves(asked), model=model, provider=provider, at=at, context=context)


def _evaluate_parts(  # noqa: PLR0913, PLR0917  # the arguments of evaluate
    catalog: Catalog,
    usage: Usage,
    model: str,
    provider: str | None,
    at: datetime,
    context: Mapping[str, str] | None,
) -> Cost:
    costs: list[Cost] = []
    unknown: list[tuple[Usage, PriceUnknown]] = []
    for part in usage.parts:
        try:
            costs.append(evaluate(catalog, part, model=model, provider=provider, at=at, context=context))
        except PriceUnknown as error:
            unknown.append((part, error))
    if not costs:
        raise unknown[0][1]
    unpriced = [meter for cost in costs for meter in cost.unpriced]
    unpriced += [meter for part, _ in unknown for meter, _ in part.leaves]
    notes = [*usage.notes] + [note for cost in costs for note in cost.notes] + [error.message for _, error in unknown]
    return Cost(
        lines=tuple(line for cost in costs for line in cost.lines),
        unpriced=tuple(dict.fromkeys(unpriced)),
        priced_pico=sum(cost.priced_pico for cost in costs),
        provider=costs[0].provider,
        model=costs[0].model,
        at=at,
        notes=tuple(dict.fromkeys(notes)),
    )


def _conditions(usage: Usage, context: Mapping[str, str], card: PlannedCard) -> Said:
    """Join what the response says with what only the caller knows; the response wins.

    A further fact of the response counts where the card has rates by it: every answer says its size, whatever decides.
    """
    check_context(context)
    if usage.conditions:
        context = {**context, **{key: value for key, value in usage.conditions if key in card.depends_on}}
    region, service_tier, speed = usage.region, usage.service_tier, usage.speed
    return (
        context.get("processing"),
        context.get("region") if region is None else region,
        context.get("service_tier") if service_tier is None else service_tier,
        context.get("speed") if speed is None else speed,
        context.get("image_quality"),
        context.get("image_size"),
        context.get("search_context_size"),
        context.get("video_resolution"),
    )


def _as_billed(plan: Plan, usage: Usage, notes: tuple[str, ...]) -> tuple[Leaves, tuple[str, ...]]:
    """Add the call itself where it has a price and nobody counted it, and raise quantities to the least that is billed.

    What was not used at all stays out.
    """
    leaves = usage.leaves
    if plan.request is not None and not usage.quantity(Meter.REQUEST):
        leaves = (*leaves, (Meter.REQUEST, 1))
    least = dict(plan.minimums)
    short = [(meter, quantity) for meter, quantity in leaves if quantity < least.get(meter, 0)]
    if short:
        leaves = tuple((meter, max(quantity, least.get(meter, 0))) for meter, quantity in leaves)
        notes = (*notes, *(f"{meter}: {quantity} is billed as {least[meter]}" for meter, quantity in short))
    return leaves, notes


def check_context(context: Mapping[str, str]) -> None:
    """Raise CallInvalid for a context that is no mapping of known conditions to short texts."""
    if not isinstance(context, Mapping):
        raise CallInvalid(
            f"context: expected a mapping, for example {{'processing': 'batch'}}, found {context!r:.80}",
            path="context",
            found=context,
        )
    for key, value in context.items():
        if key not in CONDITION_KEYS:
            raise CallInvalid(
                f"context: {key!r} is no condition of a price; allowed: {', '.join(CONDITION_KEYS)}",
                path=f"context.{key}"[:80],
                found=key,
                allowed=CONDITION_KEYS,
            )
        if value is not None and (not isinstance(value, str) or len(value) > 80 or not value.isprintable()):  # noqa: PLR2004
            raise CallInvalid(
                f"context.{key}: expected a short text, for example {{'processing': 'batch'}}, found {value!r:.80}",
                path=f"context.{key}",
                found=value,
            )


def _reasons(card: PlannedCard, plan: Plan, unpriced: list[Meter]) -> tuple[str, ...]:
    if plan.reason is not None:
        return (plan.reason,)
    return tuple(f"{meter}: {card.card.card_id} has no rate for it under these conditions" for meter in unpriced)
