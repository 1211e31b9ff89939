"""Group commit: many callers' steps, one transaction, one fsync.

Callers queue a step and one of them, the *leader*, runs all waiting steps in one
transaction; the others sleep until their answer is there. When its own step is
answered and others wait, it hands the lead to the longest waiting caller. A
leader costs no thread switch where one caller is alone, which is why there is no
writer thread for blocking callers; asyncio callers, who may not block, are led
by one background thread that starts with the first of them.

A step's refusal (an error of our tree) is its own answer. Any other error rolls
the batch back, and its steps are run again one by one, so that one bad step
cannot take others with it. A step that was cancelled before it started is dropped.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from tokencalc.errors import LedgerClosed, LedgerError, LedgerUnavailable
from tokencalc.ledger.store import Step

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tokencalc.ledger.store import Transaction

Result = TypeVar("Result")

_BATCH_STEPS = 1_000
"""Steps in one transaction at most; more would make the first caller wait for the last one's rows."""


_BACKGROUND = object()
"""Leads in the place of a ticket whose caller may not block."""


class Outcome:
    """What became of one step: a value, or an error to raise."""

    __slots__ = ("error", "value")

    def __init__(self, value: Any = None, error: BaseException | None = None) -> None:
        """Keep one of the two."""
        self.value = value
        self.error = error

    def get(self) -> Any:
        """Return the value, or raise the error."""
        if self.error is not None:
            raise self.error
        return self.value


class InterruptedAfterCommit(BaseException):  # as KeyboardInterrupt is, so that no handler takes it for an error
    """The leading thread was interrupted when the batch was committed already; carries the outcomes."""

    def __init__(self, outcomes: Sequence[Outcome], cause: BaseException) -> None:
        """Keep what the callers are to be told, and what the leading thread is to raise."""
        super().__init__()
        self.outcomes = outcomes
        self.cause = cause


class RunBatch(Protocol):
    """Runs steps in one committed transaction, or raises with nothing written."""

    def __call__(self, steps: Sequence[Step[Any]], /) -> list[Outcome]:
        """Return one outcome for each step, in order."""


class Ticket:
    """One queued step and the place where its outcome arrives."""

    __slots__ = ("_arrived", "cancelled", "on_outcome", "outcome", "step")

    def __init__(self, step: Step[Any], on_outcome: Callable[[Ticket], None] | None = None) -> None:
        """Wait for an outcome by `wait`, or be told by ``on_outcome`` (called on the leader's thread)."""
        self.step = step
        self.outcome: Outcome | None = None
        self.cancelled = False
        self.on_outcome = on_outcome
        self._arrived = threading.Lock()
        self._arrived.acquire()

    def wait(self) -> None:
        """Sleep until woken: with an outcome, or with the lead."""
        self._arrived.acquire()

    def wake(self) -> None:
        """Wake whoever waits; waking twice does no harm."""
        with suppress(RuntimeError):  # somebody else has just done it
            self._arrived.release()

    def answer(self, outcome: Outcome) -> None:
        """Deliver the outcome; again, where an interrupt may have kept it: the first one stands."""
        if self.outcome is None:
            self.outcome = outcome
        if self.on_outcome is None:
            self.wake()
        else:
            self.on_outcome(self)


class GroupWriter:
    """Queues steps and runs them in batches; safe for any number of threads."""

    def __init__(self, run_batch: RunBatch, after_answers: Callable[[], None]) -> None:
        """Run batches by ``run_batch``, and call ``after_answers`` when the callers of one have theirs."""
        self._run_batch = run_batch
        self._after_answers = after_answers
        self._closed = False
        self.reset()

    def reset(self) -> None:
        """Start with an empty queue and new locks: at birth, and in a forked child."""
        self._mutex = threading.Lock()
        self._queue: deque[Ticket] = deque()
        self._dropped: deque[Step[Any]] = deque()
        self._leader: object | None = None
        self._untold: Ticket | None = None
        self._last_batch_steps = 0
        self._batch: list[Ticket] = []
        self._is_running = False
        self._outcomes: tuple[list[Ticket], Sequence[Outcome]] | None = None
        self._thread: threading.Thread | None = None
        self._leads: SimpleQueue[Ticket | None] = SimpleQueue()

    @property
    def is_waited_for(self) -> bool:
        """Whether steps wait to be run."""
        return bool(self._queue)

    @property
    def is_closed(self) -> bool:
        """Whether further steps are refused."""
        return self._closed

    def close(self) -> None:
        """Refuse further steps; those that wait are still run by whoever leads."""
        if self._dropped:
            with suppress(LedgerError):  # closed already, or the ledger fails: what was dropped is lost with it
                self.run(Step(_do_nothing))
        with self._mutex:
            self._closed = True
            thread, leads = self._end_background()
        leads.put(None)
        if thread is not None:
            thread.join()

    def run(self, step: Step[Result]) -> Result:
        """Run one step and return its value after the commit; raises what the step refused with."""
        (outcome,) = self.run_many((step,))
        return outcome.get()  # type: ignore[no-any-return]

    def run_many(self, steps: Sequence[Step[Any]]) -> list[Outcome]:
        """Run many steps in as few transactions as they fit in; one outcome each, in order."""
        tickets = [Ticket(step) for step in steps]
        if not tickets:
            return []
        try:
            leads = self._enqueue(tickets)
            for ticket in tickets:
                if not leads:
                    ticket.wait()
                if ticket.outcome is None:
                    leads = True
                    self._lead(tickets[-1])
        except BaseException:  # bulk: an interrupted caller must not keep a lead, nor be given one
            self._leave(tickets)
            raise
        return [ticket.outcome or Outcome() for ticket in tickets]

    def post(self, step: Step[Any], on_outcome: Callable[[Ticket], None]) -> Ticket:
        """Queue a step without waiting; ``on_outcome`` is called on another thread. For asyncio."""
        ticket = Ticket(step, on_outcome)
        try:
            if self._enqueue([ticket]):
                self._lead_in_background(ticket)
        except BaseException:  # bulk: as above
            self._leave([ticket])
            raise
        return ticket

    def drop(self, step: Step[Any]) -> None:
        """Leave a step for the next batch, or for `close`; nobody is told what became of it. For finalizers.

        The collector may run a finalizer in the middle of any line, of ours too: here no lock is taken and nobody
        is waited for.
        """
        self._dropped.append(step)

    def _enqueue(self, tickets: list[Ticket]) -> bool:
        """Queue the tickets; True gives the lead to the caller."""
        with self._mutex:
            if self._closed:
                raise LedgerClosed("the ledger was closed; open the engine again to go on")
            self._queue.extend(tickets)
            if self._leader is not None:
                return False
            self._leader = tickets[0]
            return True

    def _leave(self, tickets: list[Ticket]) -> None:
        with self._mutex:
            for ticket in tickets:
                ticket.cancelled = True
            leads, untold = self._leader in tickets, self._untold
        if leads:
            self._pass_on()
        elif untold is not None:  # the lead was given away, and the interrupt fell before its heir was told
            self._tell(untold)

    def _lead_in_background(self, ticket: Ticket) -> None:
        with self._mutex:
            if self._thread is None:
                thread = threading.Thread(
                    target=self._background, args=(self._leads,), name="tokencalc-writer", daemon=True
                )
                thread.start()
                # In this order an interrupt costs a thread too many, and not the ledger one that never ran.
                self._thread = thread
            self._leads.put(ticket)
            if self._closed:  # nobody will close this thread any more
                _, leads = self._end_background()
                leads.put(None)

    def _end_background(self) -> tuple[threading.Thread | None, SimpleQueue[Ticket | None]]:
        """Let go of the background thread and of its queue; the next one has a queue of its own."""
        thread, self._thread = self._thread, None
        leads, self._leads = self._leads, SimpleQueue()
        return thread, leads

    def _background(self, leads: SimpleQueue[Ticket | None]) -> None:
        while (ticket := leads.get()) is not None:
            if self._claims(ticket):
                self._lead(None)
        leads.put(None)  # for another thread on this queue, which an interrupt may have left

    def _claims(self, ticket: Ticket) -> bool:
        """Take the lead that was given to a ticket which cannot lead itself; False where it was given on, or twice."""
        with self._mutex:
            if self._leader is not ticket:
                return False
            self._leader = _BACKGROUND
            return True

    def _lead(self, own: Ticket | None) -> None:
        """Run batches until the own ticket is answered (or the queue is empty), then pass the lead on."""
        try:
            while own is None or own.outcome is None:
                self._linger()
                batch = self._take()
                if not batch:
                    break
                self._answer(batch, own)
        except BaseException:  # bulk: whoever called has to give the lead away
            if own is None:
                self._pass_on()
            raise
        self._pass_on()

    def _linger(self) -> None:
        """Let the callers of the last batch return before the next one starts, as long as they keep coming."""
        waiting = len(self._queue)
        while waiting < self._last_batch_steps:
            time.sleep(0)
            if len(self._queue) == waiting:
                break
            waiting = len(self._queue)

    def _take(self) -> list[Ticket]:
        with self._mutex:
            # An interrupt may fall after any call: a ticket is never in neither of the two.
            self._outcomes, self._is_running, self._batch = None, False, []
            batch = self._batch
            while self._dropped:
                self._queue.append(Ticket(self._dropped.popleft(), _tell_nobody))
            while self._queue and len(batch) < _BATCH_STEPS:
                ticket = self._queue[0]
                if not ticket.cancelled:
                    batch.append(ticket)
                self._queue.popleft()
            self._last_batch_steps = len(batch)
            return batch

    def _pass_on(self) -> None:
        """Hand the lead to the longest waiting caller, to the background thread, or to nobody.

        An interrupt may fall between any two calls. Until an heir is named the lead is the
        interrupted caller's, who leaves and does all of this again; from then until the heir
        is told it is in ``_untold``, and whoever leaves tells it.
        """
        self._end_batch()
        with self._mutex:
            in_front = next((ticket for ticket in self._queue if not ticket.cancelled), None)
            waiting = next((t for t in self._queue if t.on_outcome is None and not t.cancelled), None)
            heir = waiting or in_front
            self._leader = self._untold = heir
        if heir is not None:
            self._tell(heir)

    def _tell(self, heir: Ticket) -> None:
        if heir.on_outcome is None:
            heir.wake()
        else:
            self._lead_in_background(heir)
        with self._mutex:
            if self._untold is heir:
                self._untold = None

    def _end_batch(self) -> None:
        """Queue again, or answer, what an interrupt has left of the batch."""
        if self._is_running:
            for ticket in self._batch:
                ticket.answer(self._outcome_of(ticket))
        elif self._batch:  # interrupted before the batch began: it is still to be done
            with self._mutex:
                self._queue.extendleft(ticket for ticket in reversed(self._batch) if ticket not in self._queue)
        self._batch = []

    def _outcome_of(self, ticket: Ticket) -> Outcome:
        tickets, outcomes = self._outcomes or ([], [])
        return outcomes[tickets.index(ticket)] if ticket in tickets else Outcome(error=_unknown_end())

    def _answer(self, batch: list[Ticket], own: Ticket | None) -> None:
        cause: BaseException | None = None
        steps = [ticket.step for ticket in batch]
        try:
            self._is_running = True
            outcomes: Sequence[Outcome] = self._run_batch(steps)
        except Exception as error:  # noqa: BLE001  # bulk: it was rolled back; each caller gets it as their answer
            # A lock that did not come is nobody's step's fault: one by one, each would wait for it again.
            is_everyones = len(batch) == 1 or getattr(error, "locked", False)
            outcomes, cause = ([Outcome(error=error)] * len(batch), None) if is_everyones else self._one_by_one(batch)
        except InterruptedAfterCommit as interrupt:
            outcomes, cause = interrupt.outcomes, interrupt.cause
        except BaseException:  # bulk: an interrupt of the leading thread; the others' steps go back to the queue
            with self._mutex:
                self._queue.extendleft(ticket for ticket in reversed(batch) if ticket is not own)
                self._batch = []
            raise
        self._outcomes = (batch, outcomes)
        _deliver(batch, outcomes)
        self._batch = []
        self._after_answers()
        if cause is not None:
            raise cause

    def _one_by_one(self, batch: list[Ticket]) -> tuple[list[Outcome], BaseException | None]:
        """Return each step's outcome, and what interrupted this thread after a commit, if anything did."""
        outcomes: list[Outcome] = []
        cause: BaseException | None = None
        for ticket in batch:
            try:
                outcomes += self._run_batch([ticket.step])
            except InterruptedAfterCommit as interrupt:
                outcomes += interrupt.outcomes
                cause = interrupt.cause
            except Exception as error:  # noqa: BLE001  # bulk: the same, for a step alone
                outcomes.append(Outcome(error=error))
        return outcomes, cause


def _do_nothing(_: Transaction) -> None:
    """Make a batch that takes along what finalizers left."""


def _tell_nobody(_: Ticket) -> None:
    """Take the outcome of a step whose caller is gone."""


def _unknown_end() -> LedgerUnavailable:
    return LedgerUnavailable(
        "the program was interrupted while this was written, and whether it was is not known; "
        "repeat the call with the same idempotency key",
        ledger="",
    )


def _deliver(batch: list[Ticket], outcomes: Sequence[Outcome]) -> None:
    pairs = list(zip(batch, outcomes, strict=True))
    try:
        for ticket, outcome in pairs:
            ticket.answer(outcome)
    except BaseException:  # bulk: an interrupt of this thread keeps no answer from the others
        for ticket, outcome in pairs:
            ticket.answer(outcome)
        raise
