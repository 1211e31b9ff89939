"""What one run of tests used: an engine that tests book in, and what was booked since somebody last looked."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tokencalc.config import load_settings
from tokencalc.counts import whole_count
from tokencalc.engine import Engine
from tokencalc.errors import CallInvalid, PriceUnknown
from tokencalc.gate.figures import NOTHING, Figures
from tokencalc.gate.run import Calls, calls_of, merged
from tokencalc.gate.words import calls_text
from tokencalc.ledger.codec import usage_from_text
from tokencalc.money import amount_from, pico_from_usd, round_half_even, usd_from_pico
from tokencalc.usage import token_totals

if TYPE_CHECKING:
    from tokencalc.ledger.records import Entry

ON_EXCEED = ("fail", "warn", "stop")


class RunWatch:
    """An engine over a ledger in memory, with the prices of the settings and without their budgets."""

    def __init__(self) -> None:
        """Open the engine."""
        self.engine = Engine.open(":memory:", settings=replace(load_settings(), budgets=()))
        self._seen = 0

    def waiting(self) -> list[Entry]:
        """Return the entries that were booked since the last `take`, the newest first."""
        found: list[Entry] = []
        for entry in self.engine.entries():
            if entry.sequence <= self._seen:
                break
            found.append(entry)
        return found

    def take(self, name: str) -> tuple[Calls, ...]:
        """Return what was booked since the last call, under a name."""
        entries = self.waiting()
        if entries:
            self._seen = entries[0].sequence
        return _named(entries, name)

    def close(self) -> None:
        """Close the engine; what was recorded is forgotten."""
        self.engine.close()


class LlmCost:
    """What the test that is running has used until now; `usd` is in dollars and exact.

    ``engine`` is where calls are booked: hand it to `tokencalc.wrap`, or record on it.
    """

    def __init__(self, watch: RunWatch) -> None:
        """Look at a watch."""
        self._watch = watch

    @property
    def engine(self) -> Engine:
        """The engine that this test's calls are booked in, as those of every other test."""
        return self._watch.engine

    def record(self, **call: Any) -> Entry:
        """Book a call; the arguments are those of `Engine.record`."""
        return self.engine.record(**call)

    @property
    def figures(self) -> Figures:
        """Every sum at once."""
        return figures_of(_named(self._watch.waiting(), ""))

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
        unpriced = [entry.model for entry in self._watch.waiting() if entry.unpriced_calls > 0]
        if unpriced:
            raise PriceUnknown(
                f"llm_cost.usd: {calls_text(len(unpriced))} no whole price ({unpriced[0]!r:.80}); "
                "llm_cost.priced_usd is what is known; add the model to a price table of your own",
                provider=None,
                model=unpriced[0],
                at=None,
                nearest=(),
            )
        return self.priced_usd

    @property
    def per_call_usd(self) -> Decimal:
        """The cost of one call in dollars, to the pico-dollar; 0 where there was none. Raises as `usd`."""
        pico = pico_from_usd(self.usd, name="usd")
        return usd_from_pico(round_half_even(pico, self.calls)) if self.calls else Decimal(0)


def _named(entries: list[Entry], name: str) -> tuple[Calls, ...]:
    return merged(calls_of(entries, lambda _: name))


def figures_of(calls: tuple[Calls, ...]) -> Figures:
    """Return the sums over calls as booked; nothing is priced again."""
    found = NOTHING
    for one in calls:
        tokens = (0, 0, 0, 0, 0) if one.kind.usage is None else token_totals(usage_from_text(one.kind.usage).leaves)
        found = found.plus(
            Figures(
                one.booked_pico,
                one.booked_pico,
                one.calls,
                one.unpriced_calls,
                *(count * one.calls for count in tokens),
            )
        )
    return found


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

    def broken_by(self, found: Figures) -> str | None:
        """Return what was exceeded, in a sentence; None where the figures are within the limits.

        A cost that is not known does not keep a limit in dollars.
        """
        if self.usd_pico is not None and found.booked_pico > self.usd_pico:
            return f"used {usd_from_pico(found.booked_pico)} USD, allowed are {usd_from_pico(self.usd_pico)}"
        if self.usd_pico is not None and found.unpriced_calls:
            return f"{calls_text(found.unpriced_calls)} no whole price, so nobody knows whether the budget holds"
        if self.tokens is not None and found.tokens > self.tokens:
            return f"used {found.tokens:,} tokens, allowed are {self.tokens:,}"
        if self.calls is not None and found.calls > self.calls:
            return f"made {found.calls:,} calls, allowed are {self.calls:,}"
        return None
