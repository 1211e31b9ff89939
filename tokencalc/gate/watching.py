"""What one run of tests used: what any engine of the process booked since somebody last looked, and who used it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tokencalc.config import load_settings
from tokencalc.counts import whole_count
from tokencalc.engine import Engine
from tokencalc.errors import CallInvalid, PriceUnknown
from tokencalc.gate.figures import NOTHING, Figures, figures_of
from tokencalc.gate.run import CallKind, Calls, CallSums, alone_kind, kind_of
from tokencalc.gate.words import calls_text
from tokencalc.ledger.witnesses import dismiss, witness
from tokencalc.money import amount_from, pico_from_usd, round_half_even, usd_from_pico

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokencalc.ledger.records import Entry

FIXTURES = "(fixtures)"
"""The name under which is counted what no test used by itself, fixtures for several tests above all."""

ON_EXCEED = ("fail", "warn", "stop")


class RunWatch:
    """Sees what every engine of this process books, each entry once, and says whose it was.

    ``owner`` is the name that is counted for what is booked now; ``test`` that of the test that is running.
    """

    def __init__(self) -> None:
        """Begin to look."""
        self._seen = witness()
        self._kinds: dict[str, CallKind] = {}
        self._taken, self._of_test, self._figures = CallSums(), CallSums(), NOTHING
        self._is_open = False
        self.test, self.owner = "", FIXTURES
        self.billed_pico = 0

    @cached_property
    def engine(self) -> Engine:
        """An engine over a ledger in memory, with the prices of the settings and without their budgets."""
        self._is_open = True
        return Engine.open(":memory:", settings=replace(load_settings(), budgets=()))

    def begin(self, test: str) -> None:
        """Count for this test from now on; what waits was booked outside of any, and stays its owner's."""
        self.hand_to(test)
        self.test, self._of_test, self._figures = test, CallSums(), NOTHING

    def hand_to(self, owner: str) -> str:
        """Count what waits for its owner, and what comes for another; return who it was."""
        self.credit(self.owner)
        before, self.owner = self.owner, owner
        return before

    def credit(self, owner: str) -> None:
        """Count what waits for this owner; a correction for whoever made the call, where this run saw it."""
        while self._seen:
            entry = self._seen.popleft()
            if entry.kind == "budget":
                continue
            calls = self._calls(entry, owner)
            self._taken.add(calls)
            self.billed_pico += 0 if calls.kind.notional else calls.booked_pico
            if calls.kind.name == self.test:
                self._of_test.add(calls)
                self._figures = self._figures.plus(figures_of((calls,)))

    def _calls(self, entry: Entry, owner: str) -> Calls:
        """Return what an entry adds to the sums of its kind: for a correction no call, perhaps a missing price less."""
        pico = entry.amount_pico or 0
        if entry.corrects is None:
            kind = self._kinds[entry.entry_id] = kind_of(entry, owner)
            return Calls(kind, int(entry.kind == "charge"), pico, entry.unpriced_calls)
        corrected = self._kinds.get(entry.corrects)
        if corrected is None:
            return Calls(alone_kind(entry, owner), 0, pico, 0)
        return Calls(corrected, 0, pico, entry.unpriced_calls)

    def taken(self) -> tuple[Calls, ...]:
        """Return what was counted since the last call; what corrects earlier calls can be below 0."""
        self.credit(self.owner)
        found, self._taken = self._taken.calls, CallSums()
        return found

    def of_test(self) -> Figures:
        """Return what the test that is running has used until now, as booked."""
        self.credit(self.owner)
        return self._figures

    def unpriced_models(self) -> tuple[str, ...]:
        """Return the models of those calls of the test that is running which have no whole price."""
        return tuple(calls.kind.model for calls in self._of_test.calls if calls.unpriced_calls)

    def close(self) -> None:
        """Look no more, and close the engine; what was recorded is forgotten."""
        dismiss(self._seen)
        if self._is_open:
            self.engine.close()


class LlmCost:
    """What the test that is running has used until now, on whatever engine; `usd` is in dollars and exact.

    ``engine`` is one to book calls in where the code has none of its own: hand it to `tokencalc.wrap`, or record on it.
    """

    def __init__(self, watch: RunWatch) -> None:
        """Look at a watch."""
        self._watch = watch

    @property
    def engine(self) -> Engine:
        """The plugin's own engine, the same for every test of this process."""
        return self._watch.engine

    def record(self, **call: Any) -> Entry:
        """Book a call; the arguments are those of `Engine.record`."""
        return self.engine.record(**call)

    @property
    def figures(self) -> Figures:
        """Every sum at once."""
        return self._watch.of_test()

    @property
    def calls(self) -> int:
        """How many calls were made."""
        return self.figures.calls

    @property
    def tokens(self) -> int:
        """Input and output tokens together."""
        return self.figures.tokens

    @property
    def input_tokens(self) -> int:
        """All input tokens, cached ones included."""
        return self.figures.input_tokens

    @property
    def output_tokens(self) -> int:
        """All output tokens, reasoning included."""
        return self.figures.output_tokens

    @property
    def priced_usd(self) -> Decimal:
        """What is known of the cost in dollars: calls without a whole price count only in part."""
        return usd_from_pico(self.figures.booked_pico)

    @property
    def usd(self) -> Decimal:
        """The cost in dollars; raises PriceUnknown where a call has no whole price."""
        count = self.figures.unpriced_calls
        if count:
            model = self._watch.unpriced_models()[0]
            raise PriceUnknown(
                f"llm_cost.usd: {calls_text(count)} no whole price ({model!r:.80}); "
                "llm_cost.priced_usd is what is known; add the model to a price table of your own",
                provider=None,
                model=model,
                at=None,
                nearest=(),
            )
        return self.priced_usd

    @property
    def per_call_usd(self) -> Decimal:
        """The cost of one call in dollars, to the pico-dollar; 0 where there was none. Raises as `usd`."""
        pico = pico_from_usd(self.usd, name="usd")
        return usd_from_pico(round_half_even(pico, self.calls)) if self.calls else Decimal(0)


class CallBudget:
    """What one test may use: dollars, tokens, calls; and what happens where it used more: fail, warn or stop."""

    __slots__ = ("calls", "on_exceed", "tokens", "usd_pico")

    def __init__(
        self, *, usd: object = None, tokens: object = None, calls: object = None, on_exceed: str = "fail"
    ) -> None:
        """Read the limits; CallInvalid or another InvalidInput says what is wrong with one."""
        if usd is None and tokens is None and calls is None:
            raise CallInvalid("llm_budget: give at least one of usd, tokens, calls", path="llm_budget", found=None)
        if on_exceed not in ON_EXCEED:
            raise CallInvalid(
                f"llm_budget: expected on_exceed as one of {', '.join(ON_EXCEED)}, found {on_exceed!r:.40}",
                path="on_exceed",
                found=on_exceed,
            )
        self.usd_pico = None if usd is None else pico_from_usd(amount_from(usd, name="usd"), name="usd")
        self.tokens = None if tokens is None else whole_count(tokens, path="tokens")
        self.calls = None if calls is None else whole_count(calls, path="calls")
        self.on_exceed = on_exceed

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> CallBudget:
        """Read the limits by their names; InvalidInput says what is wrong with one."""
        known = ("usd", "tokens", "calls", "on_exceed")
        unknown = next((name for name in given if name not in known), None)
        if unknown is not None:
            raise CallInvalid(
                f"llm_budget: expected {', '.join(known)}, found {unknown!r:.60}", path="llm_budget", found=unknown
            )
        return cls(**given)

    def broken_by(self, found: Figures) -> str | None:
        """Return what was exceeded, in a sentence; None where the figures are within the limits.

        A cost that is not known does not keep a limit in dollars; what a subscription paid does not count in one.
        """
        if self.usd_pico is not None and found.billed_pico > self.usd_pico:
            return f"used {usd_from_pico(found.billed_pico)} USD, allowed are {usd_from_pico(self.usd_pico)}"
        if self.usd_pico is not None and found.billed_unpriced_calls:
            return f"{calls_text(found.billed_unpriced_calls)} no whole price, so nobody knows whether the budget holds"
        if self.tokens is not None and found.tokens > self.tokens:
            return f"used {found.tokens:,} tokens, allowed are {self.tokens:,}"
        if self.calls is not None and found.calls > self.calls:
            return f"made {found.calls:,} calls, allowed are {self.calls:,}"
        return None
