"""The asyncio twin of `Engine`: the same verbs, awaited.

Writing verbs are futures on the same queue as everybody else's steps, so a task
never blocks its loop on the disk. A step that is cancelled before it started is
dropped; a reserve that is cancelled after it was committed is followed by its
release. Reading verbs run on a thread.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack
from weakref import WeakKeyDictionary

from tokencalc.budgets import setting
from tokencalc.engine import Engine
from tokencalc.errors import LedgerError
from tokencalc.inbox import Inbox, tell_lost
from tokencalc.ledger.records import Hold
from tokencalc.ledger.store import Step
from tokencalc.spooling import LEDGER_FAILURES

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
    from datetime import datetime
    from types import TracebackType

    from tokencalc.arguments import RecordArguments, ReserveArguments, SettleArguments
    from tokencalc.budgets.budget import Budget
    from tokencalc.budgets.checks import Verification
    from tokencalc.budgets.setting import BudgetStatus
    from tokencalc.cost import Cost
    from tokencalc.errors import IdempotencyConflict
    from tokencalc.estimation import Estimate
    from tokencalc.explaining import Explanation
    from tokencalc.ledger.backup import Backup
    from tokencalc.ledger.records import Crossing, Entry
    from tokencalc.ledger.report import Report
    from tokencalc.ledger.samples import Sample
    from tokencalc.prompts import PromptAdvice
    from tokencalc.repricing import Repricing
    from tokencalc.tokens.result import TokenCount
    from tokencalc.verbs import Booking

Result = TypeVar("Result")


class AsyncEngine:
    """Prices, holds, books and reports without blocking the loop; usable from several loops at once."""

    def __init__(self, engine: Engine) -> None:
        """Wrap an engine; both may be used side by side. Most callers want `AsyncEngine.open`."""
        self.engine = engine
        self._inboxes: WeakKeyDictionary[asyncio.AbstractEventLoop, Inbox] = WeakKeyDictionary()

    @classmethod
    def open(cls, *arguments: Any, **options: Any) -> Self:
        """Open a ledger; the arguments are those of `Engine.open`.

        Opens at once, which takes some milliseconds of disk: do it where the program
        starts. ``async with AsyncEngine.open(...) as engine`` and
        ``engine = await AsyncEngine.open(...)`` work as well as the bare call.
        """
        return cls(Engine.open(*arguments, **options))

    def __await__(self) -> Generator[Any, None, Self]:
        """Return the engine, which is open already."""
        return self
        yield  # makes this a generator, which is what await asks for

    async def __aenter__(self) -> Self:
        """Return the engine."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the engine."""
        await self.close()

    async def close(self) -> None:
        """Finish what waits and close the ledger."""
        await asyncio.to_thread(self.engine.close)

    # before the call

    async def price(
        self,
        *,
        usage: object,
        model: str | None = None,
        provider: str | None = None,
        at: datetime | str | None = None,
        context: Mapping[str, str] | None = None,
    ) -> Cost:
        """Price a payload or a usage; see `Engine.price`. Microseconds, so it runs where it stands."""
        return self.engine.price(usage=usage, model=model, provider=provider, at=at, context=context)

    async def count(
        self, model: str, text: str | Sequence[Any] | Mapping[str, Any] | None = None, **arguments: Any
    ) -> TokenCount:
        """Count the input tokens that a request will be billed for; see `Engine.count`. Runs on a thread."""
        return await asyncio.to_thread(partial(self.engine.count, model, text, **arguments))

    async def estimate(self, *, model: str, **arguments: Any) -> Estimate:
        """Say what a call will cost; see `Engine.estimate`. Counting runs on a thread."""
        return await asyncio.to_thread(partial(self.engine.estimate, model=model, **arguments))

    async def optimize_prompt(self, text: str, *, model: str, **arguments: Any) -> PromptAdvice:
        """Shorten a prompt and name cheaper models; see `Engine.optimize_prompt`. Counting runs on a thread."""
        return await asyncio.to_thread(partial(self.engine.optimize_prompt, text, model=model, **arguments))

    async def reserve(self, *, model: str, **arguments: Unpack[ReserveArguments]) -> Hold:
        """Set the worst case of a call aside; see `Engine.reserve`."""
        verbs = self.engine.verbs
        given: dict[str, Any] = {"model": model, **arguments}
        if arguments.get("text") is None and arguments.get("messages") is None:
            step = verbs.reserve(given)
        else:
            step = await asyncio.to_thread(verbs.reserve, given)
        return await self._run(step, self._release_lost)

    async def extend(self, hold: Hold | str, *, lifetime_s: int | None = None, amount_usd: object = None) -> Hold:
        """Give an open hold more time, another amount, or both; see `Engine.extend`."""
        return await self._run(self.engine.verbs.extend(hold, lifetime_s, amount_usd))

    async def release(self, hold: Hold | str) -> Hold:
        """Give a hold back unused; see `Engine.release`."""
        return await self._run(self.engine.verbs.release(hold))

    # after the call

    async def settle(self, hold: Hold | str, *, usage: object = None, **arguments: Unpack[SettleArguments]) -> Entry:
        """Book the actual charge of a held call; see `Engine.settle`."""
        given = {"usage": usage, **arguments}
        if isinstance(hold, Hold):
            return await self._book(self.engine.verbs.settle(hold, given))
        try:
            found = await self._run(self.engine.verbs.find_hold(hold))
        except LEDGER_FAILURES as failure:
            keep = partial(self.engine.spooling.keep_settlement, self.engine.verbs, hold, given, failure)
            await asyncio.shield(asyncio.to_thread(keep))
            raise
        return await self._book(self.engine.verbs.settle(found, given))

    async def record(self, **arguments: Unpack[RecordArguments]) -> Entry:
        """Book a call that had no hold; see `Engine.record`."""
        return await self._book(self.engine.verbs.record(arguments))

    async def record_many(self, calls: Iterable[Mapping[str, Any]]) -> list[Entry | IdempotencyConflict]:
        """Book many calls in few transactions; see `Engine.record_many`."""
        return await asyncio.to_thread(self.engine.record_many, calls)

    # budgets and reading the book

    async def set_budget(self, budget: Budget) -> BudgetStatus:
        """Set a budget, new or changed; see `Engine.set_budget`."""
        return await asyncio.to_thread(self.engine.set_budget, budget)

    async def budgets(self) -> tuple[Budget, ...]:
        """Return every budget."""
        return await self._run(Step(setting.stored_budgets))

    async def budget_status(
        self, name: str, value: str | None = None, *, at: datetime | str | None = None, run: str | None = None
    ) -> BudgetStatus:
        """Return a budget's state in a period; see `Engine.budget_status`."""
        return await asyncio.to_thread(partial(self.engine.budget_status, name, value, at=at, run=run))

    async def budget_statuses(
        self, name: str | None = None, *, at: datetime | str | None = None, run: str | None = None
    ) -> tuple[BudgetStatus, ...]:
        """Return the state of every instance of one budget, or of all; see `Engine.budget_statuses`."""
        return await asyncio.to_thread(partial(self.engine.budget_statuses, name, at=at, run=run))

    async def report(self, *, group_by: Sequence[str] = ("provider", "model"), **arguments: Any) -> Report:
        """Sum what was booked; see `Engine.report`."""
        return await asyncio.to_thread(partial(self.engine.report, group_by=group_by, **arguments))

    async def entries(
        self, *, since: datetime | str | None = None, until: datetime | str | None = None, limit: int = 1000
    ) -> list[Entry]:
        """Return the newest entries of ``[since, until)``, at most ``limit``."""
        return await asyncio.to_thread(lambda: list(self.engine.entries(since=since, until=until, limit=limit)))

    async def explain(self, entry: Entry | str) -> Explanation:
        """Show how an entry's amount comes about; see `Engine.explain`."""
        return await asyncio.to_thread(self.engine.explain, entry)

    async def reprice(self, *, since: datetime | str, apply: bool = False, **arguments: Any) -> Repricing:
        """Price charges again by the tables of now; see `Engine.reprice`. Runs on a thread, ``progress`` too."""
        return await asyncio.to_thread(partial(self.engine.reprice, since=since, apply=apply, **arguments))

    async def holds(self, state: str | None = None, *, limit: int = 1000) -> tuple[Hold, ...]:
        """Return the newest holds in a state, or in any; see `Engine.holds`."""
        return await self._run(self.engine.verbs.list_holds(state, limit))

    async def crossings(self) -> tuple[Crossing, ...]:
        """Return every threshold that was passed."""
        return await asyncio.to_thread(self.engine.crossings)

    async def verify(self, *, expect: str | None = None, **arguments: Any) -> Verification:
        """Check chain, counters and rollups; see `Engine.verify`. Runs on a thread, ``progress`` too."""
        return await asyncio.to_thread(partial(self.engine.verify, expect=expect, **arguments))

    async def backup(self, path: str | os.PathLike[str], **arguments: Any) -> Backup:
        """Copy the ledger to a new file while others go on; see `Engine.backup`. Runs on a thread."""
        return await asyncio.to_thread(partial(self.engine.backup, path, **arguments))

    # samples

    async def record_metric(self, name: str, value: float, **arguments: Any) -> bool:
        """Keep a figure; see `Engine.record_metric`. It only queues, so it runs where it stands."""
        return self.engine.record_metric(name, value, **arguments)

    async def metric_history(self, name: str, *, limit: int = 1000, **arguments: Any) -> list[Sample]:
        """Return a metric's newest samples, at most ``limit``; see `Engine.metric_history`."""
        return await asyncio.to_thread(lambda: list(self.engine.metric_history(name, limit=limit, **arguments)))

    async def metric_average(self, name: str, **arguments: Any) -> float | None:
        """Return the mean of a metric's samples; see `Engine.metric_average`."""
        return await asyncio.to_thread(partial(self.engine.metric_average, name, **arguments))

    async def samples_dropped(self) -> int:
        """Return how many samples this ledger has dropped; see `Engine.samples_dropped`."""
        return await asyncio.to_thread(self.engine.samples_dropped)

    # the queue

    async def _book(self, booking: Booking) -> Entry:
        try:
            return await self._run(booking.step)
        except LEDGER_FAILURES as failure:
            # Shielded: a task that is cancelled now would else lose what it spent.
            await asyncio.shield(asyncio.to_thread(self.engine.spooling.keep, [booking], failure))
            raise

    async def _run(self, step: Step[Result], on_lost: Callable[[Result], None] | None = None) -> Result:
        """Queue a step and await its outcome; ``on_lost`` gets a result whose awaiter was cancelled."""
        loop = asyncio.get_running_loop()
        inbox = self._inboxes.get(loop)
        if inbox is None:
            inbox = self._inboxes[loop] = Inbox(loop)
        future: asyncio.Future[Result] = loop.create_future()
        self.engine.sweep_soon()
        ticket = self.engine.store.writer.post(step, inbox.letter(future, on_lost))
        try:
            return await future
        except asyncio.CancelledError:
            ticket.cancelled = True
            if future.done() and not future.cancelled():  # it was delivered, and the task cancelled before it went on
                tell_lost(ticket, on_lost)
            raise

    def _release_lost(self, hold: Hold) -> None:
        """Give back what a cancelled reserve has set aside; nobody waits for it."""
        if not hold.replayed:
            try:
                self.engine.store.writer.post(self.engine.verbs.release(hold), lambda _: None)
            except LedgerError:  # closed meanwhile: the hold stays, becomes suspect and is shown as such
                return
