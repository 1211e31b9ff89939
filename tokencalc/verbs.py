"""What each verb does, as steps for the ledger: read and price outside the lock, write inside.

`Engine` runs these steps and waits; `AsyncEngine` awaits them. All reading of
arguments, counting and pricing happens here, before the step is queued, so that
the writer only compares and adds integers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from tokencalc.arguments import RECORD_NAMES, RESERVE_NAMES, SETTLE_NAMES, checked, hold_state_from
from tokencalc.budgets import holds
from tokencalc.budgets.booking import book
from tokencalc.clock import instant_from, micros_from_instant
from tokencalc.context import Attribution, current_attribution, label_from
from tokencalc.errors import CallInvalid, HoldUnknown, IdempotencyConflict, PriceUnknown
from tokencalc.estimation import Request, estimate, worst_case_pico
from tokencalc.ledger.codec import fingerprint
from tokencalc.ledger.records import Dimension, EntryDraft, Hold
from tokencalc.ledger.store import Step
from tokencalc.money import MAX_PICO, pico_from_usd
from tokencalc.pricing.evaluate import check_context, evaluate
from tokencalc.providers.registry import read_usage
from tokencalc.usage import Usage, whole_count

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from tokencalc.clock import Clock
    from tokencalc.config import Settings
    from tokencalc.cost import Cost
    from tokencalc.ledger.records import Entry
    from tokencalc.ledger.store import Transaction
    from tokencalc.pricing.catalog import Catalog

Result = TypeVar("Result")

_LONGEST_LIFETIME_S = 366 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Verbs:
    """Makes steps; holds what every verb needs and no state of its own."""

    catalog: Catalog
    clock: Clock
    settings: Settings
    chain_id: str

    def price(
        self,
        *,
        usage: object,
        model: str | None,
        provider: str | None,
        at: datetime | str | None,
        context: Mapping[str, str] | None,
    ) -> Cost:
        """Price a payload or a usage at an instant."""
        found = usage if isinstance(usage, Usage) else read_usage(usage, provider)
        name = model if model is not None else next((call.model for call in found.calls if call.model), None)
        if name is None:
            raise CallInvalid(
                "model: the payload does not name the model that served it; give one", path="model", found=None
            )
        return evaluate(self.catalog, found, model=name, provider=provider, at=self._instant(at), context=context)

    def record(self, arguments: Mapping[str, Any]) -> Step[Entry]:
        """Book a charge without a hold; the arguments are those of `Engine.record`."""
        checked(arguments, RECORD_NAMES, "record")
        draft = self._charge(arguments)
        return self._once("record", arguments, lambda transaction: book(transaction, draft, "record_without_hold"))

    def reserve(self, arguments: Mapping[str, Any]) -> Step[Hold]:
        """Set a worst case aside; the arguments are those of `Engine.reserve`."""
        checked(arguments, RESERVE_NAMES, "reserve")
        request = self._reserve_request(arguments)
        key = request.idempotency_key
        mark = fingerprint("reserve", arguments) if key else b""

        def run(transaction: Transaction) -> Hold:
            seen = transaction.replay(key) if key else None
            if seen is not None:
                if seen.fingerprint != mark or seen.hold_id is None:
                    raise _conflict(str(key))
                row = holds.hold_row(transaction, seen.hold_id)
                return replace(holds.hold_record(transaction, row), replayed=True)
            hold = holds.reserve(transaction, request)
            if key:
                transaction.remember(key, mark, entry_sequence=None, hold_id=self.hold_number(hold.hold_id))
            return hold

        return Step(run, idempotency_keys=(key,) if key else ())

    def settle(self, hold: Hold, arguments: Mapping[str, Any]) -> Step[Entry]:
        """Replace a hold by its charge; the arguments are those of `Engine.settle`."""
        checked(arguments, SETTLE_NAMES, "settle")
        about = {
            "model": hold.model,
            "provider": hold.provider,
            "at": hold.at,
            "agent_id": hold.agent_id,
            "user_id": hold.user_id,
            "project": hold.project,
            "api_key_id": hold.api_key_id,
            "operation": hold.operation,
        }
        given = {name: value for name, value in arguments.items() if value is not None}
        if "model" in given and "provider" not in given and not self._sells(hold.provider, given["model"]):
            del about["provider"]  # a fallback to another provider: the model's name decides
        given["context"] = {**hold.context, **_context(given)}
        draft = self._charge({**about, **given}, inherit=False)
        number = self.hold_number(hold.hold_id)
        return Step(lambda transaction: holds.settle(transaction, number, draft), hold_ids=(number,))

    def release(self, hold: Hold | str) -> Step[Hold]:
        """Give a hold back."""
        number = self.hold_number(hold)
        return Step(lambda transaction: holds.release(transaction, number), hold_ids=(number,))

    def extend(self, hold: Hold | str, lifetime_s: object, amount_usd: object) -> Step[Hold]:
        """Give a hold more time, another amount, or both."""
        if lifetime_s is None and amount_usd is None:
            raise CallInvalid("extend: expected lifetime_s, amount_usd or both", path="lifetime_s", found=None)
        number = self.hold_number(hold)
        lifetime_us = None if lifetime_s is None else _lifetime_us(lifetime_s)
        amount_pico = None if amount_usd is None else _amount_pico(amount_usd, "amount_usd")
        return Step(
            lambda transaction: holds.extend(transaction, number, lifetime_us=lifetime_us, amount_pico=amount_pico),
            hold_ids=(number,),
        )

    def find_hold(self, hold: Hold | str) -> Step[Hold]:
        """Read a hold as it stands."""
        number = self.hold_number(hold)
        return Step(
            lambda transaction: holds.hold_record(transaction, holds.hold_row(transaction, number)), hold_ids=(number,)
        )

    def list_holds(self, state: str | None, limit: int) -> Step[tuple[Hold, ...]]:
        """Read the newest holds in a state, or in any."""
        wanted = hold_state_from(state)
        whole_count(limit, path="limit")
        return Step(
            lambda transaction: tuple(
                holds.hold_record(transaction, row) for row in transaction.newest_holds(wanted, limit)
            )
        )

    def write_off_lost(self) -> Step[list[Entry]]:
        """Close holds that have been suspect for longer than the settings allow."""
        close_after_us = self.settings.suspect_close_after_s * 1_000_000
        return Step(lambda transaction: holds.write_off_lost(transaction, close_after_us=close_after_us))

    def hold_number(self, hold: Hold | str) -> int:
        """Return a hold's number in this ledger; HoldUnknown for another ledger's or no id."""
        name = hold.hold_id if isinstance(hold, Hold) else hold
        chain, separator, digits = name.rpartition("-h") if isinstance(name, str) else ("", "", "")
        if chain != self.chain_id or not separator or not digits.isdecimal() or len(digits) > 18:  # noqa: PLR2004  # 63 bits
            raise HoldUnknown(
                f"hold {name!r:.60} is not of this ledger, whose holds are named {self.chain_id}-hNUMBER",
                hold_id=str(name),
            )
        return int(digits)

    # reading arguments

    def _instant(self, at: datetime | str | None) -> datetime:
        return self.clock.now() if at is None else instant_from(at, name="at")

    def _once(self, verb: str, arguments: Mapping[str, Any], run: Callable[[Transaction], Entry]) -> Step[Entry]:
        key = arguments.get("idempotency_key")
        if key is None:
            return Step(run)
        label_from(key, name="idempotency_key")
        mark = fingerprint(verb, arguments)

        def run_once(transaction: Transaction) -> Entry:
            seen = transaction.replay(key)
            if seen is not None:
                if seen.fingerprint != mark or seen.entry_sequence is None:
                    raise _conflict(key)
                return replace(transaction.entry(seen.entry_sequence), replayed=True)
            entry = run(transaction)
            transaction.remember(key, mark, entry_sequence=entry.sequence, hold_id=None)
            return entry

        return Step(run_once, idempotency_keys=(key,))

    def _charge(self, arguments: Mapping[str, Any], *, inherit: bool = True) -> EntryDraft:
        """Read and price what is to be booked; a missing price is no error here, because the money is gone."""
        about = _attribution(arguments, inherit=inherit)
        at = self._instant(arguments.get("at"))
        usage = _usage(arguments)
        model, provider = arguments.get("model"), arguments.get("provider")
        caller_cost, source = arguments.get("cost_usd"), arguments.get("source")
        caller_pico = None if caller_cost is None else _amount_pico(caller_cost, "cost_usd")
        if usage is None and caller_pico is None:
            raise CallInvalid(
                "expected usage, input_tokens and output_tokens, or cost_usd: nothing says what was used",
                path="usage",
                found=None,
            )
        calls = () if usage is None else usage.calls
        name = model if model is not None else next((call.model for call in calls if call.model), None)
        if name is None:
            raise CallInvalid("model: give the model, the usage does not name it", path="model", found=None)
        label_from(name, name="model")
        priced = self._priced(usage, name, provider, at, _context(arguments))
        draft = EntryDraft(
            kind="charge",
            at_us=micros_from_instant(at),
            dimension=_dimension(about, priced.model, priced.provider, notional=_notional(arguments)),
            caller_pico=caller_pico,
            usage=usage,
            tags=about.tags,
            budgets=_budget_names(arguments.get("budget")),
            run=self.settings.run or "",
            requested_model=priced.requested if priced.requested != priced.model else None,
            source=None if source is None else label_from(source, name="source"),
            notes=priced.notes,
            idempotency_key=arguments.get("idempotency_key"),
        )
        return _with_amount(draft, priced.cost)

    def _priced(
        self,
        usage: Usage | None,
        model: str,
        provider: str | None,
        at: datetime,
        context: Mapping[str, str] | None,
    ) -> _Priced:
        requested, sold_by, notes = self._names(model, provider)
        if usage is None:
            return _Priced(None, requested, sold_by, notes or ("only the caller's cost is known",), requested)
        try:
            cost = evaluate(self.catalog, usage, model=model, provider=provider, at=at, context=context)
        except PriceUnknown as unknown:
            served = requested if usage.model is None else usage.model
            return _Priced(None, served, sold_by, (unknown.message,), requested)
        return _Priced(cost, cost.model, cost.provider, cost.notes, requested)

    def _reserve_request(self, arguments: Mapping[str, Any]) -> holds.ReserveRequest:
        about = _attribution(arguments, inherit=True)
        key = arguments.get("idempotency_key")
        if key is not None:
            label_from(key, name="idempotency_key")
        lifetime_s = arguments.get("lifetime_s")
        amount = arguments.get("amount_usd")
        context = _context(arguments)
        if amount is None:
            found = estimate(self.catalog, _request(arguments), self.clock.now())
            amount_pico, notes = worst_case_pico(found), found.notes
            expected_pico = min(found.cost.priced_pico, amount_pico)
            model, provider = found.model, found.provider
        else:
            amount_pico = expected_pico = _amount_pico(amount, "amount_usd")
            model, provider, notes = self._names(arguments["model"], arguments.get("provider"))
        if amount_pico > MAX_PICO:
            raise CallInvalid(
                f"the worst case of {amount_pico} pico-dollars is more than a ledger can hold", path="amount_usd",
                found=amount,
            )  # fmt: skip
        return holds.ReserveRequest(
            amount_pico=amount_pico,
            expected_pico=expected_pico,
            dimension=_dimension(about, model, provider, notional=False),
            lifetime_us=_lifetime_us(self.settings.hold_lifetime_s if lifetime_s is None else lifetime_s),
            tags=about.tags,
            run=self.settings.run or "",
            budgets=_budget_names(arguments.get("budget")),
            context=context,
            notes=notes,
            idempotency_key=key,
        )

    def _names(self, model: str, provider: str | None) -> tuple[str, str, tuple[str, ...]]:
        """Return the model's and the provider's own names, with a note where no card knows them."""
        label_from(model, name="model")
        if provider is not None:
            label_from(provider, name="provider")
        try:
            facts = self.catalog.resolve(model, provider=provider)
        except PriceUnknown as unknown:
            return model, provider or unknown.provider or "", (unknown.message,)
        return facts.model, facts.provider, ()

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


def _with_amount(draft: EntryDraft, cost: Cost | None) -> EntryDraft:
    """Our amount where it is whole, else the caller's, else what could be priced, else none."""
    if cost is not None and not cost.unpriced:
        return replace(draft, amount_pico=cost.priced_pico, amount_source="priced", lines=cost.lines)
    if draft.caller_pico is not None:
        lines, unpriced = (cost.lines, cost.unpriced) if cost is not None else ((), ())
        return replace(draft, amount_pico=draft.caller_pico, amount_source="caller", lines=lines, unpriced=unpriced)
    if cost is not None and cost.lines:
        return replace(
            draft, amount_pico=cost.priced_pico, amount_source="priced", lines=cost.lines, unpriced=cost.unpriced
        )
    return replace(draft, unpriced=cost.unpriced if cost is not None else ())


def _usage(arguments: Mapping[str, Any]) -> Usage | None:
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
    return read_usage(usage, arguments.get("provider"))


def _context(arguments: Mapping[str, Any]) -> dict[str, str]:
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


def _request(arguments: Mapping[str, Any]) -> Request:
    names = ("model", "provider", "input_tokens", "text", "messages", "operation_type", "max_output_tokens", "context")
    given = {name: arguments.get(name) for name in names}
    return Request(**given, choices=1 if arguments.get("choices") is None else arguments["choices"])  # type: ignore[arg-type]  # checked by estimate


def _budget_names(budget: object) -> tuple[str, ...]:
    if budget is None:
        return ()
    names = (budget,) if isinstance(budget, str) else budget
    if not isinstance(names, tuple | list) or not all(isinstance(name, str) for name in names):
        raise CallInvalid(
            f"budget: expected a budget's name or several, found {budget!r:.60}", path="budget", found=budget
        )
    return tuple(dict.fromkeys(label_from(name, name="budget") for name in names))


def _lifetime_us(lifetime_s: object) -> int:
    seconds = whole_count(lifetime_s, path="lifetime_s")
    if not 0 < seconds <= _LONGEST_LIFETIME_S:
        raise CallInvalid(
            f"lifetime_s: expected 1 to {_LONGEST_LIFETIME_S} seconds, found {seconds}",
            path="lifetime_s",
            found=seconds,
        )
    return seconds * 1_000_000


def _amount_pico(value: object, name: str) -> int:
    pico = pico_from_usd(value, name=name)
    if not 0 <= pico <= MAX_PICO:
        raise CallInvalid(f"{name}: expected 0 to 9223372 dollars, found {value!r:.60}", path=name, found=value)
    return pico


def _conflict(key: str) -> IdempotencyConflict:
    return IdempotencyConflict(
        f"idempotency key {key!r} was used before with other arguments; use a new key for a new call, "
        "or repeat the first call as it was",
        idempotency_key=key,
    )
