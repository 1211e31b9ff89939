"""The line before a limiter's gates: first come, first served, all dimensions together or none.

Nothing here reads a clock, waits or locks: each method is told the instant and runs under the
limiter's lock. A caller passes at once, or stands in line with a ticket. Whoever comes by
(a newcomer, somebody who wakes, a release) calls `pump`, which lets everybody through whose
turn has come, on their behalf, so one caller that sleeps too long holds up nobody.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from tokencalc.clock import NS_PER_S
from tokencalc.errors import CallInvalid
from tokencalc.limits.permits import Permit, SlotPermit
from tokencalc.limits.waiting import FOREVER, Bell, Ticket

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tokencalc.limits.gates import Gate
    from tokencalc.limits.permits import Demand, Issuer

DIMENSIONS = ("requests", "input_tokens", "output_tokens")

_LOOK_AGAIN_NS = NS_PER_S
"""Who waits for what has no computed instant looks again after this long, in case nobody could ring."""


class Line:
    """Gates of several dimensions, places for concurrent calls, and who waits for them."""

    __slots__ = (
        "_granted_after", "_issuer", "_plan", "_returned_at", "concurrency", "gates", "generation", "granted",
        "in_flight", "paused_until", "tickets",
    )  # fmt: skip

    def __init__(
        self,
        gates: Sequence[tuple[int, Gate]],
        concurrency: int | None,
        issuer: Issuer,
        granted_after: Callable[[int, int], None],
    ) -> None:
        """Guard these gates, each with the place of its dimension; ``granted_after`` is told each wait and its end."""
        self.gates = tuple(gates)
        self.concurrency = concurrency
        self.in_flight = 0
        self.granted = 0
        self.generation = 0
        self.paused_until = 0
        self.tickets: deque[Ticket] = deque()
        self._issuer = issuer
        self._granted_after = granted_after
        self._returned_at = 0
        self._plan: _Plan | None = None

    def check(self, demand: Demand) -> None:
        """Raise CallInvalid for what can never pass."""
        for index, gate in self.gates:
            if demand[index] > gate.most:
                raise CallInvalid(
                    f"{DIMENSIONS[index]}: expected at most {gate.most}, which is all that can ever pass at once, "
                    f"found {demand[index]}; split the call or raise the limit",
                    path=DIMENSIONS[index],
                    found=demand[index],
                    maximum=gate.most,
                )

    @property
    def is_full(self) -> bool:
        """Whether as many calls are in flight as may be."""
        return self.concurrency is not None and self.in_flight >= self.concurrency

    def passed(self, demand: Demand, now: int) -> Permit | None:
        """Let a newcomer through at once, or return None."""
        if self.tickets or now < self.paused_until:
            return None
        if self.concurrency is not None and self.in_flight >= self.concurrency:
            return None
        marks: list[int] = []
        try:
            for index, gate in self.gates:
                amount = demand[index]
                if amount > gate.most:
                    self.check(demand)
                mark = gate.pass_at(now, amount)
                if mark is None:
                    self._undo(demand, marks)
                    return None
                marks.append(mark)
            return self._permit(demand, marks)
        except BaseException:  # bulk: an interrupt between two gates must leave neither taken
            self._undo(demand, marks)
            raise

    def ready_at(self, demand: Demand) -> int:
        """Return the instant from which the demand could pass if nobody stood before it; FOREVER if none is known."""
        if self.concurrency is None:
            at = self.paused_until
        elif self.in_flight >= self.concurrency:
            return FOREVER
        else:
            at = max(self.paused_until, self._returned_at)
        for index, gate in self.gates:
            at = max(at, gate.ready_at(demand[index]))
        return at

    def planned_at(self, demand: Demand, now: int) -> int:
        """Return the instant at which a newcomer would pass behind all who wait, as far as it can be known.

        How long concurrent calls take cannot be known, so it is the earliest instant.
        """
        return self._planned(now).next_at(demand)

    def join(self, demand: Demand, now: int, deadline: int, bell: Bell) -> Ticket:
        """Stand at the end of the line."""
        ticket = Ticket(demand, now, deadline, bell)
        ticket.planned_at = self._planned(now).add(demand)
        # Not append: after a call an interrupt could be handled, and nobody would know of the ticket.
        self.tickets += (ticket,)
        return ticket

    def look(self, ticket: Ticket, now: int) -> int:
        """Return for how many nanoseconds a ticket's owner may sleep; 0 when its wait is over."""
        self.pump(now)
        if ticket.is_over or ticket.permit is not None:
            return 0
        if ticket.deadline <= now:
            self.leave(ticket, now)
            return 0
        wake_at = self.ready_at(ticket.demand) if ticket is self.tickets[0] else ticket.planned_at
        if not now < wake_at < FOREVER:
            wake_at = now + _LOOK_AGAIN_NS
        ticket.armed_until = min(wake_at, ticket.deadline)
        return ticket.armed_until - now

    def pump(self, now: int) -> None:
        """Let through, in order, whoever's turn has come; tell the first of the others if its instant came nearer."""
        while self.tickets:
            head = self.tickets[0]
            ready_at = self.ready_at(head.demand)
            if now < ready_at and now < head.deadline and (ready_at <= head.deadline or ready_at == FOREVER):
                if ready_at < head.armed_until:
                    head.bell.ring()
                return
            # Who was late to look is not refused what was there in time.
            if ready_at <= now and ready_at <= head.deadline:
                permit = self._granted_at(head.demand, now)
                permit.waited_ns = now - head.entered_at
                head.permit = permit
                del self.tickets[0]
                self._granted_after(permit.waited_ns, now)
            else:
                del self.tickets[0]
                self._over(head)
            if not head.bell.ring() and head.permit is not None:
                self.put_back(head.permit, now)
        self._plan = None

    def leave(self, ticket: Ticket, now: int) -> None:
        """Take a ticket out of the line; the others move up."""
        if ticket in self.tickets:
            self.tickets.remove(ticket)
        self._over(ticket)
        self.pump(now)

    def pause(self, until: int, now: int) -> None:
        """Let nobody through before an instant; a later one that was said before stays."""
        if until <= self.paused_until:
            return
        self.paused_until = until
        self._plan = None
        for ticket in [one for one in self.tickets if one.deadline < until]:
            self.tickets.remove(ticket)
            self._over(ticket)
            ticket.bell.ring()
        self.pump(now)

    def replan(self) -> None:
        """Forget the plan, because a gate was changed."""
        self._plan = None

    def put_back(self, permit: Permit, now: int) -> bool:
        """Give back what a permit took, and its place; False where that was settled before."""
        self.return_slot(permit, now)
        first = permit.settle() and permit.generation == self.generation
        if first:
            self._undo(permit.demand, permit.marks)
            self._plan = None
        return first

    def return_slot(self, permit: Permit, now: int) -> None:
        """Give a place among the concurrent calls back, once; one from before a fork is none of ours."""
        if isinstance(permit, SlotPermit) and permit.has_slot:
            permit.has_slot = False
            if permit.generation == self.generation:
                if self.in_flight == self.concurrency:
                    self._returned_at = now
                self.in_flight -= 1

    def forked(self) -> None:
        """Start anew in the child of a fork: who waited and what was in flight is the parent's."""
        self.generation += 1
        self.in_flight = 0
        self.tickets.clear()
        self._plan = None

    def _over(self, ticket: Ticket) -> None:
        ticket.is_over = True
        self._plan = None

    def _granted_at(self, demand: Demand, now: int) -> Permit:
        """Let a demand through that is ready."""
        marks: list[int] = []
        try:
            for index, gate in self.gates:
                marks.append(gate.take(now, demand[index]))
            return self._permit(demand, marks)
        except BaseException:  # bulk: as above
            self._undo(demand, marks)
            raise

    def _permit(self, demand: Demand, marks: list[int]) -> Permit:
        """Make the permit for what was taken from the gates; where this fails, nobody has it."""
        if self.concurrency is None:
            permit = Permit(self._issuer, demand, marks, self.generation)
        else:
            slotted = permit = SlotPermit(self._issuer, demand, marks, self.generation)
            # Assignments without a call between them, where an interrupt could be handled.
            self.in_flight += 1
            slotted.has_slot = True
        self.granted += 1
        return permit

    def _undo(self, demand: Demand, marks: list[int]) -> None:
        for (index, gate), mark in zip(self.gates, marks, strict=False):
            gate.give_back(demand[index], mark)

    def _planned(self, now: int) -> _Plan:
        plan = self._plan
        # Without anybody in line, others may have passed since the plan was made.
        if plan is None or not self.tickets:
            plan = self._plan = _Plan(self.gates, max(now, self.paused_until))
            for ticket in self.tickets:
                ticket.planned_at = plan.add(ticket.demand)
        plan.begin = max(plan.begin, now)
        return plan


class _Plan:
    """The gates as they will be when all who wait have passed, each as early as it can."""

    __slots__ = ("begin", "gates")

    def __init__(self, gates: Sequence[tuple[int, Gate]], begin: int) -> None:
        self.gates = [(index, gate.copy()) for index, gate in gates]
        self.begin = begin

    def next_at(self, demand: Demand) -> int:
        """Return when the next one would pass."""
        return max(self.begin, *(gate.ready_at(demand[index]) for index, gate in self.gates))

    def add(self, demand: Demand) -> int:
        """Let one more pass, and return when."""
        at = self.begin = self.next_at(demand)
        for index, gate in self.gates:
            gate.take(at, demand[index])
        return at
