"""The verbs: price, estimate, reserve, settle, release, record, set_budget; wires the rooms, owns no rule.

Those that look at the book (status, report, explain, verify, ...) are in `BookReader`.

::

    with Engine.open("usage.db") as engine:
        engine.set_budget(Budget(name="daily", limit_usd="10"))
        hold = engine.reserve(model="gpt-4o", input_tokens=1200, max_output_tokens=800)
        ...                                    # the call
        engine.settle(hold, usage=response)

Safe for any number of threads; one engine a process and ledger is enough.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, Unpack

from tokencalc.arguments import ESTIMATE_NAMES, PROMPT_NAMES, checked
from tokencalc.budgets import setting
from tokencalc.budgets.budget import Budget, budget_from
from tokencalc.clock import Clock, SystemClock, instant_from
from tokencalc.config import Settings, default_ledger_path, load_settings
from tokencalc.context import label_from
from tokencalc.counting import count
from tokencalc.drafts import usage_reader
from tokencalc.errors import CallInvalid, IdempotencyConflict, TokencalcError
from tokencalc.events import Announcer
from tokencalc.ledger.records import Hold
from tokencalc.ledger.samples import sample_from
from tokencalc.ledger.sqlite import SqliteStore
from tokencalc.ledger.store import Step
from tokencalc.pricing.evaluate import evaluate
from tokencalc.pricing.own import catalog_with
from tokencalc.reader import BookReader
from tokencalc.spooling import LEDGER_FAILURES
from tokencalc.usage import Usage
from tokencalc.verbs import Verbs

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from tokencalc.arguments import (
        EstimateArguments,
        PromptArguments,
        RecordArguments,
        ReserveArguments,
        SettleArguments,
    )
    from tokencalc.budgets.setting import BudgetStatus
    from tokencalc.cost import Cost
    from tokencalc.estimation import Estimate
    from tokencalc.events import Listener
    from tokencalc.ledger.records import Entry
    from tokencalc.ledger.sqlite import Durability
    from tokencalc.prompts import PromptAdvice
    from tokencalc.tokens.result import TokenCount
    from tokencalc.verbs import Booking


class Engine(BookReader):
    """Prices, holds, books and reports; a context manager over one ledger."""

    _announcer: Announcer | None = None

    @classmethod
    def open(  # noqa: PLR0913  # keyword only
        cls,
        ledger: str | os.PathLike[str] | None = None,
        *,
        clock: Clock | None = None,
        settings: Settings | None = None,
        prices: Sequence[str | os.PathLike[str]] | None = (),
        durability: Durability | None = None,
        run: str | None = None,
        listeners: Sequence[Listener] = (),
    ) -> Self:
        """Open a ledger (a path, ``":memory:"``, or None for the settings' or the user's own) and what belongs to it.

        ``prices`` are the caller's own price tables, on top of those in the settings
        (None: no own table is read, enough to read the book); ``run`` names this run
        for budgets of the period "run"; ``listeners`` are called with events, on a
        thread of their own. Raises ConfigInvalid,
        PriceTableInvalid, LedgerUnavailable, LedgerCorrupt or LedgerVersionUnsupported.
        """
        found = load_settings() if settings is None else settings
        if run is not None:
            found = replace(found, run=label_from(run, name="run"))
        budgets = [budget_from(definition) for definition in found.budgets]
        files = None if prices is None else (*found.prices, *(Path(path) for path in prices))
        catalog = catalog_with(found, files)
        announcer = Announcer(listeners)
        watch = SystemClock() if clock is None else clock
        store = SqliteStore(
            ledger if ledger is not None else found.ledger or default_ledger_path(),
            clock=watch,
            durability=durability or found.durability,
            tell=announcer.tell if announcer.is_heard else None,
        )
        engine = cls(store, catalog, found, watch)
        engine._announcer = announcer
        try:
            for budget in budgets:
                engine.set_budget(budget)
            engine.read_spool()
        except TokencalcError:
            engine.close()
            raise
        return engine

    def __enter__(self) -> Self:
        """Return the engine."""
        return self

    def __exit__(self, *failure: object) -> None:
        """Close the engine."""
        self.close()

    def close(self) -> None:
        """Finish what waits and close the ledger; a second close does nothing."""
        self.store.close()
        if self._announcer is not None:
            self._announcer.close()

    def reload_prices(self) -> None:
        """Read the price tables anew: what was accepted since the engine was opened holds from now on."""
        self.catalog = catalog_with(self.settings, self.catalog.files)
        self.verbs = Verbs(replace(self.verbs.drafts, catalog=self.catalog), self.store.chain_id)

    @property
    def path(self) -> Path | None:
        """The ledger's file, or None for one in memory."""
        return self.store.path

    @property
    def size_bytes(self) -> int:
        """The ledger's size in bytes."""
        return self.store.size_bytes

    # before the call

    def price(
        self,
        *,
        usage: object,
        model: str | None = None,
        provider: str | None = None,
        at: datetime | str | None = None,
        context: Mapping[str, str] | None = None,
    ) -> Cost:
        """Price a payload, a response object or a `Usage`, at ``at`` (now if None).

        ``model`` may be left out where the payload names the one that served it.
        Raises PriceUnknown for an unknown model; meters without a rate are listed in
        ``cost.unpriced``.
        """
        found = usage if type(usage) is Usage else usage_reader()(usage, provider)
        name = model if model is not None else next((call.model for call in found.calls if call.model), None)
        if name is None:
            raise CallInvalid(
                "model: the payload does not name the model that served it; give one", path="model", found=None
            )
        if type(at) is not datetime or at.tzinfo is not UTC:  # what needs no reading is not read: this is a hot path
            at = self.clock.now() if at is None else instant_from(at, name="at")
        return evaluate(self.catalog, found, model=name, provider=provider, at=at, context=context)

    def count(self, model: str, text: Any = None, **arguments: Any) -> TokenCount:
        """Count the input tokens that a request will be billed for; see `tokencalc.count`."""
        return count(model, text, catalog=self.catalog, **arguments)

    def estimate(
        self, *, model: str, at: datetime | str | None = None, **arguments: Unpack[EstimateArguments]
    ) -> Estimate:
        """Say what a call will cost at ``at`` (now if None): expected and at worst.

        Give one of ``text``, ``messages``, ``input_tokens``; see `EstimateArguments` for the rest.
        """
        return self.verbs.drafts.estimate({"model": model, "at": at, **checked(arguments, ESTIMATE_NAMES, "estimate")})

    def reserve(self, *, model: str, **arguments: Unpack[ReserveArguments]) -> Hold:
        """Set the worst case of a call aside in every budget that covers it.

        See `ReserveArguments` for what it takes. Raises BudgetExceeded, ClockBehind, PriceUnknown,
        MetersUnpriced, CallInvalid, IdempotencyConflict; then nothing was written.
        """
        return self._run(self.verbs.reserve({"model": model, **arguments}))

    def extend(self, hold: Hold | str, *, lifetime_s: int | None = None, amount_usd: object = None) -> Hold:
        """Give an open hold a new lifetime from now, another amount, or both; hard budgets may refuse an increase."""
        return self._run(self.verbs.extend(hold, lifetime_s, amount_usd))

    def release(self, hold: Hold | str) -> Hold:
        """Give a hold back unused; again returns it marked replayed. HoldNotOpen if it was settled."""
        return self._run(self.verbs.release(hold))

    def optimize_prompt(self, text: str, *, model: str, **arguments: Unpack[PromptArguments]) -> PromptAdvice:
        """Shorten a prompt and name cheaper models of its class; each saving is counted and priced by rate cards.

        White space, repeated lines and filler go, code stays: read the changes. Raises PriceUnknown, TextInvalid.
        """
        from tokencalc.prompts import optimize  # noqa: PLC0415  # 4 ms that only this verb needs

        checked(arguments, PROMPT_NAMES, "optimize_prompt")
        return optimize(self.catalog, self.clock.now(), text, model, arguments)

    # after the call

    def settle(self, hold: Hold | str, *, usage: object = None, **arguments: Unpack[SettleArguments]) -> Entry:
        """Book the actual charge of a held call; never refused, whatever it costs.

        Arguments: ``usage`` (payload, response, `Usage`) or counts (``input_tokens``,
        ``output_tokens``, ...), ``cost_usd`` (the caller's figure, kept beside ours),
        ``model`` and ``provider`` if another served, ``context``, ``operation``, ``tags``
        (new ones are added; where the hold has the name, the hold's stays, with a note).
        The same again returns the first entry, replayed; another raises HoldNotOpen.
        """
        given = {"usage": usage, **arguments}
        if isinstance(hold, Hold):
            return self._book(self.verbs.settle(hold, given))
        try:
            found = self._run(self.verbs.find_hold(hold))
        except LEDGER_FAILURES as failure:
            self.spooling.keep_settlement(self.verbs, hold, given, failure)
            raise
        return self._book(self.verbs.settle(found, given))

    def record(self, **arguments: Unpack[RecordArguments]) -> Entry:
        """Book a call that had no hold; never refused by a budget.

        Arguments: ``model``, ``provider``; ``usage`` or counts (``input_tokens``,
        ``output_tokens``, ``cache_read_tokens``, ``cache_write_tokens``,
        ``reasoning_tokens``) or ``cost_usd``; ``at`` (now if None), ``agent_id``,
        ``user_id``, ``project``, ``api_key_id``, ``operation``, ``tags``,
        ``idempotency_key``, ``context``, ``notional``, ``source``, ``budget``. An unknown
        price books the caller's cost, or nothing, and is counted as unpriced.
        """
        return self._book(self.verbs.record(arguments))

    def record_many(self, calls: Iterable[Mapping[str, Any]]) -> list[Entry | IdempotencyConflict]:
        """Book many calls in few transactions; each mapping holds the arguments of `record`.

        Everything is read and priced before the first is booked, so a bad one stops
        all with nothing written. The answer has one item for each call: its entry, or
        the IdempotencyConflict where its key was used before with other arguments.
        """
        if not isinstance(calls, Iterable):
            raise CallInvalid(f"calls: expected mappings, found {calls!r:.60}", path="calls", found=calls)
        bookings = [self.verbs.record(call) for call in calls]
        outcomes = self.store.writer.run_many([booking.step for booking in bookings])
        self.spooling.keep_failed(bookings, outcomes)
        return [
            outcome.error if isinstance(outcome.error, IdempotencyConflict) else outcome.get() for outcome in outcomes
        ]

    def _book(self, booking: Booking) -> Entry:
        try:
            return self._run(booking.step)
        except LEDGER_FAILURES as failure:
            self.spooling.keep([booking], failure)
            raise

    def record_metric(  # noqa: PLR0913  # keyword only
        self,
        name: str,
        value: float,
        *,
        at: datetime | str | None = None,
        labels: Mapping[str, str] | None = None,
        unit: str | None = None,
        source: str | None = None,
    ) -> bool:
        """Keep a figure at ``at`` (now if None); returns at once, and False where it had to be dropped.

        Written when there is time, never in money's way; deleted after ``sample_retention_days``. Raises CallInvalid
        for a name, a label or a value (NaN, infinity) that cannot be.
        """
        instant = self.clock.now() if at is None else instant_from(at, name="at")
        sample = sample_from(name=name, at=instant, value=value, unit=unit, labels=labels, source=source)
        return self.store.samples.offer(sample)

    # budgets

    def set_budget(self, budget: Budget) -> BudgetStatus:
        """Set a budget, new or changed, and return its state in the current period."""
        if not isinstance(budget, Budget):
            raise CallInvalid(f"budget: expected a Budget, found {budget!r:.60}", path="budget", found=budget)
        self._run(Step(lambda transaction: setting.set_budget(transaction, budget)))
        found = self.budget_statuses(budget.name)
        return found[0] if found else self.budget_status(budget.name, value="")
