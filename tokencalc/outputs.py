"""How many output tokens a call may be expected to give back, learned from the charges of its like.

The rule is the median of the newest charges of the same model and operation. A
median, because lengths are skewed and one runaway answer should not move it; of
the output itself and not of its ratio to the input, because history and caches
make an input long and no answer longer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tokencalc.ledger.outputs import newest_outputs

if TYPE_CHECKING:
    from tokencalc.clock import Clock
    from tokencalc.ledger.sqlite import SqliteStore

LEARNED_FROM_CALLS = 30
"""Charges that it takes: of 30, those from the tenth to the twenty-first hold the true median between them in 19 of 20
cases, so the middle third of what was seen is about as wrong as the answer can be."""

KEPT_FOR_S = 60.0
"""Seconds for which an answer stands, by the monotonic clock: estimates in a row agree and cost no read."""

_ANSWERS_MAX = 256


class LearnedOutput(NamedTuple):
    """The median of what came back, the quartiles around it, and how many charges say so."""

    tokens: int
    lower: int
    upper: int
    calls: int


class OutputHistory:
    """One ledger's answer to how much a model gives back, read at most once a minute for each question."""

    def __init__(self, store: SqliteStore, clock: Clock) -> None:
        """Ask a store, and keep its answers by a clock."""
        self._store = store
        self._clock = clock
        # Without a lock, which a fork might leave taken: two threads at most read the same twice.
        self._answers: dict[tuple[str, str, str | None], tuple[float, LearnedOutput | None]] = {}

    def expected(self, *, provider: str, model: str, operation: str | None) -> LearnedOutput | None:
        """Return what the ledger says of a model and an operation (any, if None); None below `LEARNED_FROM_CALLS`.

        Raises LedgerError where the ledger cannot be read.
        """
        question, now_s = (provider, model, operation), self._clock.monotonic()
        kept = self._answers.get(question)
        if kept is not None and now_s < kept[0]:
            return kept[1]
        answer = _learned(newest_outputs(self._store, provider=provider, model=model, operation=operation))
        if len(self._answers) >= _ANSWERS_MAX:
            self._answers.clear()
        self._answers[question] = (now_s + KEPT_FOR_S, answer)
        return answer


def _learned(outputs: tuple[int, ...]) -> LearnedOutput | None:
    calls, ranked = len(outputs), sorted(outputs)
    if calls < LEARNED_FROM_CALLS:
        return None
    # Counts that were seen, the lower of two in the middle; the module statistics costs 10 ms to import.
    lower, tokens, upper = (ranked[(calls - 1) * quarter // 4] for quarter in (1, 2, 3))
    return LearnedOutput(tokens=tokens, lower=lower, upper=upper, calls=calls)
