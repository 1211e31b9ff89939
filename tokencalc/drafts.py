"""Reading a verb's arguments into what the ledger books: drafts of entries, requests for holds.

Everything is read, counted and priced here, outside any lock. A charge is never
refused for a price that is missing, because its money is gone; a hold is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from tokencalc.budgets.holds import ReserveRequest
from tokencalc.clock import instant_from, micros_from_instant
from tokencalc.context import Attribution, current_attribution, label_from
from tokencalc.counting import DESCRIBED_NAMES
from tokencalc.counts import whole_count
from tokencalc.errors import CallInvalid, PriceUnknown
from tokencalc.estimation import Request, estimate, worst_case_pico
from tokencalc.ledger.records import Dimension, EntryDraft
from tokencalc.money import MAX_PICO, pico_from_usd, usd_from_pico
from tokencalc.pricing.evaluate import check_context, evaluate
from tokencalc.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from tokencalc.clock import Clock
    from tokencalc.config import Settings
    from tokencalc.cost import Cost
    from tokencalc.estimation import Estimate
    from tokencalc.ledger.records import Hold
    from tokencalc.outputs import OutputHistory
    from tokencalc.pricing.catalog import Catalog

_LONGEST_LIFETIME_S = 366 * 24 * 3600
_NOTHING_USED = "expected usage, input_tokens and output_tokens, or cost_usd: nothing says what was used"


@dataclass(frozen=True, slots=True)
class Drafts:
    """Reads arguments with the prices, the time and the settings of one engine."""

    catalog: Catalog
    clock: Clock
    settings: Settings
    history: OutputHistory | None = None

    def instant(self, at: datetime | str | None) -> datetime:
        """Return the instant that was given, or now."""
        return self.clock.now() if at is None else instant_from(at, name="at")

    def estimate(self, arguments: Mapping[str, Any]) -> Estimate:
        """Say what a call will cost, with the output that the ledger has seen of its like; see `Engine.estimate`."""
        return estimate(self.catalog, request_from(arguments), self.instant(arguments.get("at")), self.history)

    def charge(self, arguments: Mapping[str, Any], *, held: Hold | None = None) -> EntryDraft:
        """Read and price what is to be booked; a missing price is no error here, because the money is gone."""
        about = _attribution(arguments, inherit=held is None)
        at = self.instant(arguments.get("at"))
        usage = usage_from(arguments)
        model, provider = arguments.get("model"), arguments.get("provider")
        caller_cost, source = arguments.get("cost_usd"), arguments.get("source")
        caller_pico = None if caller_cost is None else amount_pico_from(caller_cost, "cost_usd")
        if usage is None and caller_pico is None:
            raise CallInvalid(_NOTHING_USED, path="usage", found=None)
        calls = () if usage is None else usage.calls
        name = model if model is not None else next((call.model for call in calls if call.model), None)
        if name is None:
            raise CallInvalid("model: give the model, the usage does not name it", path="model", found=None)
        label_from(name, name="model")
        if provider is None and held is not None:
            served = next((call.model for call in calls if call.model), name)
            # Where another provider served, a fallback, its model's name decides.
            provider = held.provider if self._sells(held.provider, served) else None
        context = context_from(arguments)
        priced = self._priced(usage, name, provider, at, context)
        # What nobody sells is still the doing of whoever was asked.
        sold_by = priced.provider or ((held.provider or "") if held is not None else "")
        draft = EntryDraft(
            kind="charge",
            at_us=micros_from_instant(at),
            dimension=_dimension(about, priced.model, sold_by, notional=_notional(arguments)),
            caller_pico=caller_pico,
            usage=usage,
            tags=about.tags,
            budgets=_budget_names(arguments.get("budget")),
            run=self.settings.run or "",
            requested_model=priced.requested if priced.requested != priced.model else None,
            source=None if source is None else label_from(source, name="source"),
            notes=priced.notes,
            idempotency_key=arguments.get("idempotency_key"),
            context={key: said for key, said in context.items() if said is not None},
        )
        return _with_amount(draft, priced.cost)

    def settlement(self, hold: Hold, arguments: Mapping[str, Any]) -> EntryDraft:
        """Read the charge that ends a hold: whom it is for and what was asked for is the hold's."""
        given = {name: value for name, value in arguments.items() if value is not None}
        about = {
            "model": hold.model,
            "at": hold.at,
            "agent_id": hold.agent_id,
            "user_id": hold.user_id,
            "project": hold.project,
            "api_key_id": hold.api_key_id,
            "operation": hold.operation,
        }
        given["context"] = {**hold.context, **context_from(given)}
        draft = self.charge({**about, **given}, held=hold)
        return draft._replace(
            requested_model=hold.model if hold.model != draft.dimension.model else None,
            requested_provider=hold.provider if (hold.provider or "") != draft.dimension.provider else None,
        )

    def late_settlement(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Read what ends a hold that cannot be looked at now: what was used is read, the price has to wait."""
        usage, cost = usage_from(arguments), arguments.get("cost_usd")
        if usage is None and cost is None:
            raise CallInvalid(_NOTHING_USED, path="usage", found=None)
        given: dict[str, Any] = {"usage": usage, "context": context_from(arguments) or None}
        if cost is not None:
            given["cost_usd"] = usd_from_pico(amount_pico_from(cost, "cost_usd"))
        about = Attribution(operation=arguments.get("operation"), tags=arguments.get("tags") or {})
        given |= {"operation": about.operation, "tags": dict(about.tags) or None}
        for name in ("model", "provider"):
            if arguments.get(name) is not None:
                given[name] = label_from(arguments[name], name=name)
        return {name: value for name, value in given.items() if value is not None}

    def _priced(
        self,
        usage: Usage | None,
        model: str,
        provider: str | None,
        at: datetime,
        context: Mapping[str, str] | None,
    ) -> _Priced:
        requested, sold_by, notes = self._names(model, provider, at)
        if usage is None:
            return _Priced(None, requested, sold_by, notes or ("only the caller's cost is known",), requested)
        try:
            cost = evaluate(self.catalog, usage, model=model, provider=provider, at=at, context=context)
        except PriceUnknown as unknown:
            served = requested if usage.model is None else usage.model
            return _Priced(None, served, sold_by, (*usage.notes, unknown.message), requested)
        return _Priced(cost, cost.model, cost.provider, cost.notes, requested)

    def reserve_request(self, arguments: Mapping[str, Any]) -> ReserveRequest:
        """Read what a reserve asks for; raises PriceUnknown, MetersUnpriced or CallInvalid where it cannot be known."""
        about = _attribution(arguments, inherit=True)
        key = arguments.get("idempotency_key")
        if key is not None:
            label_from(key, name="idempotency_key")
        lifetime_s = arguments.get("lifetime_s")
        amount = arguments.get("amount_usd")
        context = context_from(arguments)
        if amount is None:
            # By the table: what a hold expects is a fact of its request, and no reserve waits for a read of the ledger.
            found = estimate(self.catalog, request_from(arguments), self.clock.now())
            amount_pico, notes = worst_case_pico(found), found.notes
            expected_pico = min(found.cost.priced_pico, amount_pico)
            model, provider = found.model, found.provider
        else:
            amount_pico = expected_pico = amount_pico_from(amount, "amount_usd")
            model, provider, notes = self._names(arguments["model"], arguments.get("provider"), self.clock.now())
        if amount_pico > MAX_PICO:
            raise CallInvalid(
                f"the worst case of {amount_pico} pico-dollars is more than a ledger can hold", path="amount_usd",
                found=amount,
            )  # fmt: skip
        return ReserveRequest(
            amount_pico=amount_pico,
            expected_pico=expected_pico,
            dimension=_dimension(about, model, provider, notional=False),
            lifetime_us=lifetime_us_from(self.settings.hold_lifetime_s if lifetime_s is None else lifetime_s),
            tags=about.tags,
            run=self.settings.run or "",
            budgets=_budget_names(arguments.get("budget")),
            context=context,
            notes=notes,
            idempotency_key=key,
        )

    def _names(self, model: str, provider: str | None, at: datetime) -> tuple[str, str, tuple[str, ...]]:
        """Return the model's and the provider's own names on a day, with a note where no card knows them."""
        label_from(model, name="model")
        if provider is not None:
            label_from(provider, name="provider")
        try:
            facts = self.catalog.resolve(model, provider=provider)
            timeline = self.catalog.timeline(model, provider)
        except PriceUnknown as unknown:
            return model, provider or unknown.provider or "", (unknown.message,)
        # A name that the provider moves meant another model on another day.
        card = timeline.find(at)
        return facts.model if card is None else card.card.model, facts.provider, ()

    def _sells(self, provider: str | None, model: str) -> bool:
        try:
            self.catalog.resolve(model, provider=provider)
        except PriceUnknown:
            return False
        return True


@dataclass(frozen=True, slots=True)
class _Priced:
    cost: Cost | None
    model: str
    provider: str
    notes: tuple[str, ...]
    requested: str


def _with_amount(draft: EntryDraft, cost: Cost | None) -> EntryDraft:  # noqa: PLR0911  # one for each row of the rule
    """Our amount where it is whole, else the caller's, else the billed one, else what could be priced, else none.

    No figure hides a larger one. What the response says it was billed counts where it is above our price, because
    the answer did something that its usage does not say; a caller's or a billed figure below what we could price
    of a call is no better than ours, which counts and stays unpriced.
    """
    billed_pico = _billed_pico(draft.usage)
    priced_pico = None
    if cost is not None:
        if not cost.unpriced and (billed_pico is None or billed_pico <= cost.priced_pico):
            return draft._replace(lines=cost.lines, amount_pico=cost.priced_pico, amount_source="priced")
        draft = draft._replace(lines=cost.lines, unpriced=cost.unpriced)
        priced_pico = cost.priced_pico if cost.lines else None
        if not cost.unpriced and billed_pico is not None:
            note = (
                f"the response says that it was billed {usd_from_pico(billed_pico)} USD, more than the "
                f"{usd_from_pico(cost.priced_pico)} USD of what its usage says: the larger is counted"
            )
            return draft._replace(amount_pico=billed_pico, amount_source="billed", notes=(*draft.notes, note))
    least_pico = priced_pico or 0
    if draft.caller_pico is not None and draft.caller_pico >= least_pico:
        return draft._replace(amount_pico=draft.caller_pico, amount_source="caller")
    if billed_pico is not None and billed_pico >= least_pico:
        return draft._replace(amount_pico=billed_pico, amount_source="billed")
    if priced_pico is None:
        return draft
    draft = draft._replace(amount_pico=priced_pico, amount_source="priced")
    if draft.caller_pico is None:
        return draft
    note = (
        f"the caller's {usd_from_pico(draft.caller_pico)} USD is less than the {usd_from_pico(priced_pico)} USD "
        "of what has a price: the larger is counted"
    )
    return draft._replace(notes=(*draft.notes, note))


def _billed_pico(usage: Usage | None) -> int | None:
    """Return what the response says it was billed; None where it says nothing, or nothing that can be a bill.

    A bill of 0 decides nothing: a router says so too where the caller's own key paid the provider.
    """
    if usage is None or usage.billed_usd is None or usage.billed_usd <= 0:
        return None
    return pico_from_usd(usage.billed_usd, name="usage.billed_usd")


@cache
def usage_reader() -> Callable[[Any, str | None], Usage]:
    """Return the reader of providers' payloads: thirty files of wire formats, loaded with the first payload."""
    from tokencalc.providers.registry import read_usage  # noqa: PLC0415  # loaded with the first payload

    return read_usage


def usage_from(arguments: Mapping[str, Any]) -> Usage | None:
    """Return the usage that a caller gave as a payload, an object, a `Usage` or counts; None where there is none."""
    usage = arguments.get("usage")
    counts = {name: arguments[name] for name in _COUNTS if arguments.get(name) is not None}
    if usage is not None and counts:
        raise CallInvalid(
            f"expected usage or counts, found usage and {', '.join(counts)}", path="usage", found=list(counts)
        )
    if counts:
        return Usage(**counts)
    if usage is None or isinstance(usage, Usage):
        return usage
    return usage_reader()(usage, arguments.get("provider"))


def context_from(arguments: Mapping[str, Any]) -> dict[str, str]:
    """Return what the caller says that decides a price and no response says; CallInvalid for what no price knows."""
    context = arguments.get("context")
    if context is None:
        return {}
    check_context(context)
    return dict(context)


def _notional(arguments: Mapping[str, Any]) -> bool:
    notional = arguments.get("notional")
    if notional is not None and not isinstance(notional, bool):
        raise CallInvalid(f"notional: expected True or False, found {notional!r:.60}", path="notional", found=notional)
    return bool(notional)


_COUNTS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
_LABELS = ("agent_id", "user_id", "project", "api_key_id", "operation")


def _attribution(arguments: Mapping[str, Any], *, inherit: bool) -> Attribution:
    tags = arguments.get("tags")
    labels: dict[str, Any] = {name: arguments.get(name) for name in _LABELS}
    own = Attribution(**labels) if tags is None else Attribution(**labels, tags=tags)
    return own.over(current_attribution()) if inherit else own


def _dimension(about: Attribution, model: str, provider: str | None, *, notional: bool) -> Dimension:
    return Dimension(
        provider=provider or "",
        model=model,
        agent_id=about.agent_id or "",
        user_id=about.user_id or "",
        project=about.project or "",
        api_key_id=about.api_key_id or "",
        operation=about.operation or "",
        notional=notional,
    )


def request_from(arguments: Mapping[str, Any]) -> Request:
    """Return what is known about a call before it is made; its values are checked where they are used."""
    names = (
        "model",
        "provider",
        "input_tokens",
        "text",
        "messages",
        "operation_type",
        "operation",
        "max_output_tokens",
        "choices",
        "context",
    )
    given = {name: arguments.get(name) for name in names}
    described: Any = {name: arguments[name] for name in DESCRIBED_NAMES if arguments.get(name) is not None}
    return Request(**given, described=described)  # type: ignore[arg-type]  # checked by estimate


def _budget_names(budget: object) -> tuple[str, ...]:
    if budget is None:
        return ()
    names = (budget,) if isinstance(budget, str) else budget
    if not isinstance(names, tuple | list) or not all(isinstance(name, str) for name in names):
        raise CallInvalid(
            f"budget: expected a budget's name or several, found {budget!r:.60}", path="budget", found=budget
        )
    return tuple(dict.fromkeys(label_from(name, name="budget") for name in names))


def lifetime_us_from(lifetime_s: object) -> int:
    """Return a lifetime in microseconds; CallInvalid outside one second to a year."""
    seconds = whole_count(lifetime_s, path="lifetime_s")
    if not 0 < seconds <= _LONGEST_LIFETIME_S:
        raise CallInvalid(
            f"lifetime_s: expected 1 to {_LONGEST_LIFETIME_S} seconds, found {seconds}",
            path="lifetime_s",
            found=seconds,
        )
    return seconds * 1_000_000


def amount_pico_from(value: object, name: str) -> int:
    """Return an amount in pico-dollars; CallInvalid below 0 or above what a ledger can hold."""
    pico = pico_from_usd(value, name=name)
    if not 0 <= pico <= MAX_PICO:
        raise CallInvalid(f"{name}: expected 0 to 9223372 dollars, found {value!r:.60}", path=name, found=value)
    return pico
