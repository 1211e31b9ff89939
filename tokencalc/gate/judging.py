"""What a run is judged by, and the verdict: one check for each budget, expression and demand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from tokencalc.gate.baseline import refuse_other_names
from tokencalc.gate.expressions import COST, Growth, MetricBound
from tokencalc.gate.figures import NOTHING, Comparison, Figures, Pair, compared, figures_by_name, total
from tokencalc.gate.run import NOBODY
from tokencalc.gate.words import calls_text, change_text, figure_text, usd_text
from tokencalc.money import pico_from_usd
from tokencalc.reports.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date, datetime

    from tokencalc.budgets.setting import BudgetStatus
    from tokencalc.gate.baseline import Baseline
    from tokencalc.gate.expressions import Cap
    from tokencalc.gate.run import Run
    from tokencalc.pricing.catalog import Catalog

CheckKind = Literal["budget", "regression", "metric", "unpriced", "usage", "baseline"]
State = Literal["ok", "notice", "warning", "failed"]

_PERCENT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at: what it is, how it ended, and a sentence; ``name`` is the test or operation."""

    kind: CheckKind
    what: str
    state: State
    text: str
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Demands:
    """What a run has to keep: caps, expressions, prices for everything, any usage at all.

    ``warn_at`` is the percentage of a cap from which on it is a warning; ``metrics`` has the values of the
    metrics that expressions name, None where there is no sample. ``budgets`` are those of the ledger.
    """

    caps: tuple[Cap, ...] = ()
    expressions: tuple[Growth | MetricBound, ...] = ()
    strict_prices: bool = False
    require_usage: bool = False
    warn_at: int | None = None
    noise_pico: int = 0
    metrics: Mapping[str, float | None] | None = None
    budgets: tuple[BudgetStatus, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A run, what it was compared with, and every check; priced at ``at`` by tables that were checked on a day.

    ``comparison`` is None where there was no baseline to compare with.
    """

    run: Run
    figures: dict[str, Figures]
    total: Figures
    comparison: Comparison | None
    baseline: Baseline | None
    checks: tuple[Check, ...]
    at: datetime
    prices_checked_on: date

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if check.state == "failed")

    @property
    def outcome(self) -> str:
        """How it ended, in words: well only where something was judged and all of it is known."""
        warnings = self.count("warning")
        if self.failed:
            return f"{len(self.failed)} failed"
        if warnings:
            return "1 warning" if warnings == 1 else f"{warnings} warnings"
        return "within what is allowed" if self.count("ok") else "nothing was judged"

    def count(self, state: State) -> int:
        """Return how many checks ended so."""
        return sum(check.state == state for check in self.checks)

    def has_failed(self, *kinds: CheckKind) -> bool:
        """Whether a check of one of these kinds failed."""
        return any(check.kind in kinds for check in self.failed)


def judged(run: Run, catalog: Catalog, at: datetime, demands: Demands, baseline: Baseline | None = None) -> Verdict:
    """Judge a run; both it and the baseline are priced by the cards of ``at``.

    Raises CallInvalid for a baseline whose names are of another kind than the run's.
    """
    if baseline is not None:
        refuse_other_names(baseline, run.by)
    figures = figures_by_name(run, catalog, at)
    base = None if baseline is None else baseline.run
    comparison = None if base is None else compared(figures, figures_by_name(base, catalog, at))
    whole = total(figures.values())
    checks = (
        *_usage(whole, demands),
        *_caps(figures, whole, demands),
        *_budgets(demands),
        *_baseline(baseline),
        *_expressions(comparison, demands),
        *_unpriced(run, whole, demands),
    )
    return Verdict(
        run=run,
        figures=figures,
        total=whole,
        comparison=comparison,
        baseline=baseline,
        checks=checks,
        at=at,
        prices_checked_on=catalog.checked_on,
    )


def _usage(whole: Figures, demands: Demands) -> Iterator[Check]:
    if not whole.calls:
        state: State = "failed" if demands.require_usage else "notice"
        yield Check(kind="usage", what="usage", state=state, text="Nothing was measured: no call was recorded.")


def _caps(figures: Mapping[str, Figures], whole: Figures, demands: Demands) -> Iterator[Check]:
    for cap in demands.caps:
        found = whole if cap.name is None else figures.get(cap.name)
        what = "budget of the run" if cap.name is None else f"budget of {cap.name}"
        if found is None:
            text = f"No call was recorded for {safe_text(cap.name)}: its budget was not tried."
            yield _not_tried("budget", what, text, demands, name=cap.name)
            continue
        spent = _Spent(found.billed_pico, pico_from_usd(cap.limit_usd, name="budget"), found.billed_unpriced_calls)
        yield _spent(what, spent, demands.warn_at, name=cap.name)


def _budgets(demands: Demands) -> Iterator[Check]:
    for status in demands.budgets:
        label = status.name if not status.scope_value else f"{status.name} {status.scope_value}"
        spent, limit = (pico_from_usd(usd, name="usd") for usd in (status.spent_usd, status.limit_usd))
        what = f"budget {label}, {status.period.key}"
        yield _spent(what, _Spent(spent, limit, status.unpriced_calls), demands.warn_at)


class _Spent(NamedTuple):
    """What is known to be spent of a limit, and how many calls may not be in it."""

    spent_pico: int
    limit_pico: int
    unpriced_calls: int


def _spent(what: str, found: _Spent, warn_at: int | None, *, name: str | None = None) -> Check:
    spent, limit, unpriced = found
    is_near = warn_at is not None and spent and spent * _PERCENT >= limit * warn_at
    state: State = "failed" if spent > limit else "warning" if is_near or unpriced else "ok"
    above = f", {usd_text(spent - limit)} above it" if spent > limit else ""
    unknown = f"; {calls_text(unpriced)} no whole price and may not be in it" if unpriced else ""
    text = f"{safe_text(what)}: {usd_text(spent)} of {usd_text(limit)}{above}{unknown}"
    return Check(kind="budget", what=what, state=state, text=text, name=name)


def _not_tried(kind: CheckKind, what: str, text: str, demands: Demands, *, name: str | None = None) -> Check:
    """A demand that nothing was measured for: it is not kept, but only those who require usage want to fail for it."""
    if demands.require_usage:
        return Check(kind="usage", what=what, state="failed", text=text, name=name)
    return Check(kind=kind, what=what, state="warning", text=text, name=name)


def _baseline(baseline: Baseline | None) -> Iterator[Check]:
    if baseline is not None and baseline.missing is not None:
        yield Check(kind="baseline", what="baseline", state="notice", text=baseline.missing)


def _expressions(comparison: Comparison | None, demands: Demands) -> Iterator[Check]:
    for expression in demands.expressions:
        if isinstance(expression, MetricBound):
            yield _metric(expression, demands)
        elif comparison is not None:
            yield from _growth(expression, comparison, demands)
        else:
            text = f"{safe_text(expression.text)}: there is no baseline to compare with."
            yield Check(kind="regression", what=expression.text, state="notice", text=text)


def _metric(bound: MetricBound, demands: Demands) -> Check:
    value = (demands.metrics or {}).get(bound.text)
    if value is None:
        text = f"{safe_text(bound.text)}: there is no sample of {safe_text(bound.name)}."
        return _not_tried("metric", bound.text, text, demands)
    state: State = "ok" if bound.allows(value) else "failed"
    said = "mean" if bound.average else "newest sample"
    return Check(kind="metric", what=bound.text, state=state, text=f"{safe_text(bound.text)}: the {said} is {value!r}.")


def _growth(growth: Growth, comparison: Comparison, demands: Demands) -> Iterator[Check]:
    pairs = comparison.pairs if growth.each else (comparison.common,)
    both = [pair for pair in pairs if pair is not None and pair.run is not None and pair.base is not None]
    found = [check for pair in both for check in _grown(growth, pair, demands)]
    # Of names that are well, one line for all of them is enough.
    yield from (check for check in found if check.state != "ok")
    if found and all(check.state == "ok" for check in found):
        text = found[0].text if len(found) == 1 else f"{safe_text(growth.text)}: kept by all {len(found)}."
        yield Check(kind="regression", what=growth.text, state="ok", text=text)
    if not found:
        text = f"{safe_text(growth.text)}: the baseline and the run have no call of one name, so nothing was compared."
        yield _not_tried("regression", growth.text, text, demands)


def _grown(growth: Growth, pair: Pair, demands: Demands) -> Iterator[Check]:
    """Judge one pair; nothing comes where a side has no call to divide by."""
    figure, name = growth.figure, pair.name if growth.each else None
    who = f"{safe_text(pair.name)}: " if growth.each else ""
    base, run = (growth.value_of(side or NOTHING) for side in (pair.base, pair.run))
    if base is None or run is None:
        return
    if figure == COST and pair.unknown_calls:
        unknown = f"{calls_text(pair.unknown_calls)} no whole price"
        text = f"{who}{figure}: {unknown}, so its change is not known; allowed by {safe_text(growth.text)}: unknown"
        unpriced: State = "failed" if demands.strict_prices else "warning"
        yield Check(kind="unpriced", what=growth.text, state=unpriced, text=text, name=name)
        return
    # Noise is said for a sum; a difference per call is one for each call.
    calls = pair.run.calls if growth.per_call and pair.run is not None else 1
    is_noise = figure == COST and (run - base) * calls < demands.noise_pico
    allowed = "yes" if growth.allows(base, run) else "below the noise" if is_noise else "no"
    said = f"{figure} per call" if growth.per_call else figure
    text = (
        f"{who}{said} {change_text(figure, base, run)}, from {figure_text(figure, base)} "
        f"to {figure_text(figure, run)}; allowed by {safe_text(growth.text)}: {allowed}"
    )
    state: State = "failed" if allowed == "no" else "ok"
    yield Check(kind="regression", what=growth.text, state=state, text=text, name=name)


def _unpriced(run: Run, whole: Figures, demands: Demands) -> Iterator[Check]:
    state: State = "failed" if demands.strict_prices else "warning"
    for (name, model), calls in unpriced_models(run).items():
        who = "" if name == NOBODY else f" ({safe_text(name)})"
        text = f"{safe_text(model)}{who}: {calls_text(calls)} no whole price, so the cost is not known."
        yield Check(kind="unpriced", what=f"price of {model}", state=state, text=text, name=name)
    if demands.strict_prices and whole.calls and not whole.unpriced_calls:
        yield Check(kind="unpriced", what="prices", state="ok", text="Every call has a price.")


def unpriced_models(run: Run) -> dict[tuple[str, str], int]:
    """Return how many calls have no whole price, by name and model."""
    found: dict[tuple[str, str], int] = {}
    for calls in run.calls:
        if calls.unpriced_calls:
            key = (calls.kind.name, calls.kind.model)
            found[key] = found.get(key, 0) + calls.unpriced_calls
    return {key: count for key, count in found.items() if count > 0}
