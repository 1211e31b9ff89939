"""One guarded call: the rules of what happens in which order, written once for every client and both ways of waiting.

::

    look at the breaker -> wait for permits -> reserve -> lease -> attempt -> settle

A generator that yields steps (`tokencalc.client.steps`) and decides on what comes
back. What the rules say:

* a refused hold refunds its permits; so does a breaker that opened meanwhile;
* a retry takes permits again, under the same hold;
* an answer is settled before the caller has it, a stream when it ends, once;
* an error with a status releases the hold, a request that never left refunds its
  permits too, and an end that nobody saw leaves the hold to become suspect;
* once the provider has answered, no failure of ours reaches the caller.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from tokencalc.client.bills import usage_of_body, usage_of_stream, usage_unread, with_note
from tokencalc.client.capturing import CUT, Capture
from tokencalc.client.guarding import LEDGER_FAILURES
from tokencalc.client.late import LATE
from tokencalc.client.outcomes import fate_of, fate_of_status
from tokencalc.client.sizes import NOTHING_KNOWN, size_of
from tokencalc.client.steps import Door, Step, run
from tokencalc.errors import BreakerOpen, IdempotencyConflict, TokencalcError, UsageSpooled
from tokencalc.limits.adapting import pause_s_max
from tokencalc.providers.signals import read_signal

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokencalc.client.asking import Ask
    from tokencalc.client.guarding import Guard
    from tokencalc.client.outcomes import Fate
    from tokencalc.client.sizes import Size
    from tokencalc.client.steps import Steps
    from tokencalc.ledger.records import Hold
    from tokencalc.limits.breaker import Lease
    from tokencalc.limits.limiter import Limiter
    from tokencalc.limits.permits import Permit
    from tokencalc.providers.signals import ProviderSignal
    from tokencalc.usage import Usage


def guarded(guard: Guard, ask: Ask, send: Callable[[Capture], Any]) -> Steps[Any]:
    """Make one call under guard; ``send`` lets one attempt go out and fills the capture that it is given."""
    call = _Call(guard, ask)
    call.look()
    call.size = yield from size_of(guard, ask)
    yield from call.acquire()
    try:
        yield from call.reserve()
    except BaseException:  # bulk: whatever kept the call from going out, its permits are not used
        call.refund()
        raise
    caught: BaseException | None = None
    while True:
        yield from call.lease_or_release(caught)
        capture = Capture()
        result: Any = None
        caught = None
        try:
            result = yield Step("attempt", (send, capture))
        except BaseException as error:  # noqa: BLE001  # bulk: every end of an attempt is booked, and raised again
            caught = error
        wait_s = yield from call.after(capture, caught)
        if wait_s is None:
            if caught is not None:
                raise caught
            return result
        yield from call.again(wait_s, caught)


class _Call:
    """The state of one call: its hold, and the permit and the lease of its current attempt."""

    __slots__ = (
        "about",
        "ask",
        "attempt",
        "guard",
        "hold",
        "key",
        "lease",
        "limiter",
        "pause_s",
        "permit",
        "size",
        "unseen",
    )

    def __init__(self, guard: Guard, ask: Ask) -> None:
        """Begin; who the call is for is read now, where it is made."""
        self.guard = guard
        self.ask = ask
        self.limiter: Limiter | None = guard.limiter_of(ask.provider, ask.model)
        self.about = guard.labels()
        self.size: Size = NOTHING_KNOWN
        self.hold: Hold | None = None
        self.permit: Permit | None = None
        self.lease: Lease | None = None
        self.attempt = 0
        self.unseen = 0
        self.pause_s = 0.0
        self.key = f"tokencalc-call-{secrets.token_hex(12)}"

    # before the call

    def look(self) -> None:
        """Fail fast where the breaker is open."""
        if self.guard.breaker is not None:
            self.guard.breaker.look()

    def acquire(self, more_s: float = 0) -> Steps[None]:
        """Wait for permits, by ``more_s`` seconds longer than the guard allows."""
        if self.limiter is not None:
            timeout_s = self.guard.wait_timeout_s
            timeout_s = None if timeout_s is None else timeout_s + more_s
            wanted: dict[str, Any] = {**self.size.permits(self.ask), "timeout_s": timeout_s}
            self.permit = yield Step("acquire", (self.limiter, wanted))

    def reserve(self) -> Steps[None]:
        """Set the worst case aside; a ledger that fails refuses the call, unless the guard allows it."""
        arguments = self._reserve_arguments()
        while True:
            try:
                hold: Hold = yield Step("book", ("reserve", arguments))
            except LEDGER_FAILURES as error:
                if self.guard.on_ledger_error == "refuse":
                    raise
                self.guard.tell("reserve", "the ledger failed, the call goes out without a hold: %s", error)
                return
            if not hold.replayed:
                break
            if hold.state != "released":
                raise _in_flight(hold, self.ask.idempotency_key)
            # It cost nothing, so it may be made again: once, whoever asks, by a key that follows from its hold.
            arguments["idempotency_key"] = f"tokencalc-after-{hold.hold_id}"
        self.hold = hold

    def _reserve_arguments(self) -> dict[str, Any]:
        guard, ask = self.guard, self.ask
        arguments: dict[str, Any] = {
            "model": ask.model,
            "provider": ask.provider,
            "context": dict(ask.context) or None,
            "budget": guard.budget or None,
            "lifetime_s": guard.lifetime_s,
            "idempotency_key": ask.idempotency_key,
            **self.about,
        }
        if guard.hold_usd is not None or self.size is NOTHING_KNOWN:
            return {**arguments, "amount_usd": "0" if guard.hold_usd is None else guard.hold_usd}
        return {
            **arguments,
            "input_tokens": self.size.input_tokens_high,
            "max_output_tokens": ask.max_output_tokens,
            "choices": ask.choices,
            "operation_type": ask.operation_type,
        }

    def lease_or_release(self, before: BaseException | None) -> Steps[None]:
        """Ask the breaker for leave to try; where it refuses, give hold and permits back.

        After an attempt that raised, its error is what the caller gets.
        """
        if self.guard.breaker is None:
            return
        try:
            self.lease = self.guard.breaker.enter()
        except BreakerOpen as refused:
            self.refund()
            yield from self._release_if_seen()
            if before is None:
                raise
            raise before from refused

    def refund(self) -> None:
        """Give the permits back: the call did not go out."""
        permit, self.permit = self.permit, None
        if permit is not None:
            permit.refund()

    # after an attempt

    def after(self, capture: Capture, caught: BaseException | None) -> Steps[float | None]:
        """Book what an attempt has cost; return how long to wait for the next one, None where this was the last."""
        self.attempt += 1
        signal = self._signal(capture, caught)
        if capture.is_answered and not capture.is_stream:
            self._conclude(signal)
            usage = yield from self._try(usage_of_body(self.ask, self.size, capture))
            yield from self._settle(usage)
            return None
        if capture.is_answered and (caught is not None or capture.tally.failure is None):
            if caught is None:
                capture.arm(self.ended, Door(self.guard.engine))
            if caught is not None or capture.how is not None:
                yield from self.ended(capture, capture.how or CUT)
            return None
        return (yield from self._after_failure(capture, caught, signal))

    def _after_failure(
        self, capture: Capture, caught: BaseException | None, signal: ProviderSignal | None
    ) -> Steps[float | None]:
        wait_s = self._wait_s(caught, signal)
        self.pause_s = 0.0 if signal is None else pause_s_max(signal)
        if wait_s is None and caught is None and capture.is_answered:
            # The client finds the error in the stream, and raises it as it always does.
            capture.arm(self.ended, Door(self.guard.engine))
            return None
        fate = _fate(capture, caught)
        self._conclude(signal)
        if wait_s is not None:
            self.unseen += fate == "unknown"
            self._give_back(is_sent=fate != "unsent")
            return wait_s
        self._give_back(is_sent=fate != "unsent")
        if fate != "unknown":
            yield from self._release_if_seen()
        return None

    def again(self, wait_s: float, caught: BaseException | None) -> Steps[None]:
        """Wait, and take permits for another attempt; where there are none, the provider's own error is raised."""
        if self.limiter is not None:
            self.limiter.retried(self.attempt, wait_s)
        try:
            yield Step("wait", (wait_s,))
            # The limiter pauses for what the provider said too, but drew by itself how much longer.
            yield from self.acquire(max(0.0, self.pause_s - wait_s))
        except GeneratorExit:
            raise
        except BaseException as stopped:  # bulk: a cancelled wait frees the hold of attempts that cost nothing
            yield from self._release_if_seen()
            if caught is None or not isinstance(stopped, TokencalcError):
                raise
            raise caught from stopped

    def ended(self, capture: Capture, how: str) -> Steps[None]:
        """Settle a stream that has ended in some way."""
        self._conclude_stream(capture, how)
        usage = None
        if capture.is_events:
            usage = yield from self._try(usage_of_stream(self.ask, self.size, capture.tally, how))
            if usage is None:
                self._give_back(is_sent=True)
                yield from self._release_if_seen()
                return
        elif capture.body is not None:
            usage = yield from self._try(usage_of_body(self.ask, self.size, capture))
        else:
            usage = usage_unread(self.size, f"the answer was {how} before its usage was read")
        yield from self._settle(usage)

    # what is done at the end

    def _settle(self, usage: Usage | None) -> Steps[None]:
        """Book the charge; the caller has the answer, so nothing that fails here may be raised."""
        permit, self.permit = self.permit, None
        if usage is not None and self.unseen:
            usage = with_note(usage, f"{self.unseen} earlier attempts ended unseen and may have been billed too")
        if permit is not None:
            try:
                if usage is not None:
                    permit.correct(input_tokens=usage.input_tokens, output_tokens=usage.output_tokens)
                permit.release()
            except Exception as error:  # noqa: BLE001  # bulk: as below
                self.guard.tell("permit", "permits could not be given back: %s", error)
        if usage is None:
            return
        try:
            yield from self._book(usage)
        except BaseException:  # bulk: a cancelled task, an interrupted thread: the charge is booked all the same
            LATE.start()
            LATE.put(lambda: run(Door(self.guard.engine), self._book(usage)))
            raise

    def _book(self, usage: Usage) -> Steps[None]:
        """Write a charge; done twice it is booked once, by its hold or by this call's own key."""
        try:
            if self.hold is None:
                about = {"model": self.ask.model, "provider": self.ask.provider, "usage": usage, **self.about}
                key = {"budget": self.guard.budget or None, "idempotency_key": self.key}
                yield Step("book", ("record", {**about, **key}))
            else:
                yield Step("book", ("settle", {"hold": self.hold, "usage": usage}))
        except UsageSpooled as kept:
            self.guard.tell("spool", "the ledger failed after a call; its usage waits in the spool: %s", kept)
        except Exception as error:  # noqa: BLE001  # bulk: the provider's answer is the caller's, whatever happens to us
            self.guard.tell_lost(error, None if self.hold is None else self.hold.hold_id, usage)

    def _release_if_seen(self) -> Steps[None]:
        """Release the hold, unless an earlier attempt ended unseen and may have been billed."""
        if not self.unseen:
            yield from self._release()

    def _release(self) -> Steps[None]:
        hold, self.hold = self.hold, None
        if hold is not None:
            try:
                yield Step("book", ("release", {"hold": hold}))
            except Exception as error:  # noqa: BLE001  # bulk: the provider's error is what the caller needs to see
                self.guard.tell("release", "hold %s could not be released and will be suspect: %s", hold.hold_id, error)

    def _try(self, steps: Steps[Usage | None]) -> Steps[Usage | None]:
        """Read a usage; what we cannot read is expected, and said, and never the caller's trouble."""
        try:
            return (yield from steps)
        except Exception as error:  # noqa: BLE001  # bulk: the provider's answer is the caller's, whatever happens to us
            self.guard.tell("read", "the usage of an answer could not be read: %s: %s", type(error).__name__, error)
            return usage_unread(self.size, f"the usage could not be read ({type(error).__name__})")

    def _give_back(self, *, is_sent: bool) -> None:
        """Set the permits of an attempt that failed right: the request counted, its tokens did not."""
        permit, self.permit = self.permit, None
        if permit is None:
            return
        if is_sent:
            permit.correct(input_tokens=0, output_tokens=0)
            permit.release()
        else:
            permit.refund()

    def _signal(self, capture: Capture, caught: BaseException | None) -> ProviderSignal | None:
        """Return what an attempt says about the provider, and tell the limiter; None where nobody wants to know."""
        went_well = caught is None and capture.is_answered and capture.tally.failure is None
        if self.limiter is None and self.lease is None and (went_well or self.guard.retries is None):
            return None
        said = capture.body if capture.tally.failure is None else capture.tally.failure
        signal = read_signal(
            self.ask.provider,
            status=capture.status,
            headers=capture.headers or None,
            body=None if went_well or caught is not None else said,
            error=None if capture.is_answered and capture.tally.failure is None else caught,
        )
        if self.limiter is not None:
            self.limiter.observe(signal)
        return signal

    def _conclude(self, signal: ProviderSignal | None) -> None:
        """Tell the breaker what the attempt says about the provider."""
        lease, self.lease = self.lease, None
        if lease is not None and signal is not None:
            lease.told(signal)

    def _conclude_stream(self, capture: Capture, how: str) -> None:
        lease, self.lease = self.lease, None
        if lease is None:
            return
        if capture.tally.failure is not None:
            lease.told(read_signal(self.ask.provider, status=capture.status, body=capture.tally.failure))
        elif how == CUT:
            lease.failed()
        else:
            lease.succeeded()

    def _wait_s(self, caught: BaseException | None, signal: ProviderSignal | None) -> float | None:
        """Return how long to wait for another attempt; None where there is none."""
        if self.guard.retries is None or signal is None or not self.ask.is_repeatable:
            return None
        if isinstance(caught, TokencalcError):
            return None
        return self.guard.retries.next_wait_s(self.attempt, signal)


def _fate(capture: Capture, caught: BaseException | None) -> Fate:
    """Tell what an attempt that failed may have cost."""
    if caught is None:
        return fate_of_status(capture.status or 200)
    # A key that could not be had, a body that could not be written: the client failed by itself.
    return "unsent" if capture.has_left is False else fate_of(caught)


def _in_flight(hold: Hold, key: str | None) -> IdempotencyConflict:
    what = "is in flight" if hold.state in {"open", "suspect"} else "was made before"
    return IdempotencyConflict(
        f"a call with the idempotency key {key!r} {what} (hold {hold.hold_id}, {hold.state}); "
        "a second one would be billed again: use a new key for a new call",
        idempotency_key=str(key),
        hold_id=hold.hold_id,
    )
