"""A run of tests as a whole: the demands that its options make, what its tests used, and the verdict on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tokencalc.errors import CallInvalid
from tokencalc.gate.baseline import Baseline, read_baseline, refuse_other_names
from tokencalc.gate.expressions import Cap, Growth, cap_from, expression_from
from tokencalc.gate.judging import Demands, judged
from tokencalc.gate.run import CallSums, Run, unpacked
from tokencalc.gate.text import verdict_text
from tokencalc.gate.watching import CallBudget, RunWatch
from tokencalc.gate.words import log_text, usd_text
from tokencalc.gate.writing import Target, target_from, write_reports
from tokencalc.money import pico_from_usd

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tokencalc.gate.spending import Spending

_BY = "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What the options of a run of tests say, read and checked."""

    cap: Cap | None
    per_test: CallBudget | None
    stop: bool
    targets: tuple[Target, ...]
    demands: Demands
    baseline: Baseline | None

    @classmethod
    def of(cls, given: Mapping[str, Any], *, with_baseline: bool) -> RunOptions:
        """Read the options by their names without a prefix; CallInvalid for one that cannot be.

        Workers of a distributed run need no baseline: ``with_baseline`` is False there.
        """
        cap = None if given["budget"] is None else cap_from(f"{given['budget']}")
        if cap is not None and cap.name is not None:
            raise CallInvalid(
                f"--tokencalc-budget: expected dollars, found {cap.text!r:.80}; a test has its mark llm_budget",
                path="budget",
                found=cap.text,
            )
        if given["stop"] and cap is None:
            raise CallInvalid("--tokencalc-stop: say with --tokencalc-budget when to stop", path="stop", found=True)
        baseline = read_baseline(given["baseline"]) if given["baseline"] and with_baseline else None
        if baseline is not None:
            refuse_other_names(baseline, _BY)
        return cls(
            cap=cap,
            per_test=None if given["per_test"] is None else CallBudget(usd=given["per_test"]),
            stop=bool(given["stop"]),
            targets=tuple(target_from(part) for text in given["report"] for part in text.split(",")),
            demands=Demands(
                caps=() if cap is None else (cap,),
                expressions=tuple(_growth(text) for text in given["fail"]),
                strict_prices=bool(given["strict_prices"]),
                require_usage=bool(given["require_usage"]),
            ),
            baseline=baseline,
        )

    def reason_to_stop(self, spending: Spending, own_pico: int) -> str | None:
        """Return why the run ends here, where its cap is spent and it was to stop then."""
        if self.cap is None or not self.stop:
            return None
        limit_pico = pico_from_usd(self.cap.limit_usd, name="budget")
        spent_pico = spending.total_pico(own_pico)
        if spent_pico < limit_pico:
            return None
        return f"--tokencalc-budget: {usd_text(spent_pico)} of {usd_text(limit_pico)} are spent"


def _growth(text: str) -> Growth:
    found = expression_from(text)
    if isinstance(found, Growth):
        return found
    raise CallInvalid(
        f"--tokencalc-fail: a run of tests has no samples, found {text!r:.80}; give it to `tokencalc ci --fail`",
        path="fail",
        found=text,
    )


class RunSession:
    """What the tests of a run used, as their reports bring it; ``text`` is there once the run is judged."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._sums = CallSums()
        self.text = ""

    def add(self, sent: Iterable[Sequence[Any]]) -> None:
        """Add what a test's report, or the end of a worker, brought: rows that `packed` wrote."""
        for row in sent:
            self._sums.add(unpacked(row))

    def finish(self, options: RunOptions | None, watch: RunWatch | None) -> bool:
        """Judge the run, write the reports that were asked for, keep the text; return whether something failed.

        A report that cannot be written is said in the text, and fails the run too.
        """
        opened = RunWatch() if watch is None else watch
        try:
            engine = opened.engine
            run = Run(
                by=_BY,
                made_at=engine.clock.now(),
                prices_checked_on=engine.catalog.checked_on,
                calls=self._sums.calls,
            )
            demands = Demands() if options is None else options.demands
            baseline = None if options is None else options.baseline
            verdict = judged(run, engine.catalog, run.made_at, demands, baseline)
        finally:
            if watch is None:
                opened.close()
        failed = bool(verdict.failed)
        targets = () if options is None else options.targets
        failures = write_reports(verdict, targets, exit_code=int(failed))
        self.text = verdict_text(verdict) + "".join(f"error: {log_text(failure)}\n" for failure in failures)
        return failed or bool(failures)
