"""`tokencalc ci`: judge what a run used by budgets, a baseline and samples; `ci init` writes a workflow."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tokencalc.budgets.budget import ANY_VALUE
from tokencalc.cli.exits import FAILED, NOTHING, OK, REFUSED, REGRESSED, UNPRICED
from tokencalc.cli.options import Instant, Pair, examples, filters_from, json_option, ledger_option, open_ledger
from tokencalc.config import load_settings
from tokencalc.engine import Engine
from tokencalc.errors import CallInvalid
from tokencalc.gate.annotations import verdict_annotations
from tokencalc.gate.baseline import read_baseline
from tokencalc.gate.document import verdict_document, verdict_json
from tokencalc.gate.expressions import MetricBound, cap_from, expression_from
from tokencalc.gate.judging import Demands, Verdict, judged
from tokencalc.gate.reading import run_of_files
from tokencalc.gate.run import DEFAULT_KEY, run_of
from tokencalc.gate.run_file import run_json
from tokencalc.gate.text import verdict_text
from tokencalc.gate.words import log_text
from tokencalc.gate.workflow import workflow_text, write_workflow
from tokencalc.gate.writing import append_summary, target_from, write_file, write_reports
from tokencalc.jsontext import to_json
from tokencalc.money import pico_from_usd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

    from tokencalc.budgets.setting import BudgetStatus
    from tokencalc.gate.baseline import Baseline
    from tokencalc.gate.expressions import Growth
    from tokencalc.gate.judging import CheckKind
    from tokencalc.gate.run import Run

_ORDER: tuple[tuple[CheckKind, int], ...] = (
    ("budget", REFUSED),
    ("regression", REGRESSED),
    ("metric", REGRESSED),
    ("unpriced", UNPRICED),
)
"""Which code a run ends with where several checks failed: the first of these, then that of nothing measured."""

_SOURCES = (
    click.option(
        "--usage", multiple=True, metavar="FILE", help="JSON Lines of calls, or a run by the pytest plugin; repeatable."
    ),
    ledger_option,
    click.option("--by", metavar="KEY", help="What names are: operation (unless said), model, agent_id, tag:NAME, ..."),
    click.option("--since", type=Instant(), metavar="DATE", help="Of a ledger: from this instant on."),
    click.option("--until", type=Instant(), metavar="DATE", help="Of a ledger: before this instant."),
    click.option("--where", type=Pair(), multiple=True, metavar="KEY=VALUE", help="Only these, as agent_id=analyzer."),
    click.option(
        "--prices",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        multiple=True,
        metavar="FILE",
        help="A price table of your own, on top of ours.",
    ),
)
_DEMANDS = (
    click.option("--budget", "caps", multiple=True, metavar="[NAME=]USD", help="The most it may cost; repeatable."),
    click.option("--warn-at", type=click.IntRange(1, 100), metavar="PERCENT", help="Warn from this part of a budget."),
    click.option("--baseline", metavar="FILE", help="Compare with a run that was saved: FILE, git:REV, git:REV:FILE."),
    click.option("--save-baseline", metavar="FILE", help="Save this run to compare with."),
    click.option(
        "--fail",
        "fails",
        multiple=True,
        metavar="RULE",
        help="cost:10%, output_tokens_per_call:20%, metric:NAME<=X; repeatable.",
    ),
    click.option("--noise", metavar="USD", help="Changes of the cost below this never fail."),
    click.option("--strict-prices", is_flag=True, help="Exit with 5 if a call has no whole price."),
    click.option("--require-usage", is_flag=True, help="Exit with 6 if nothing was measured."),
    click.option("--exit-zero", is_flag=True, help="Report only: end with 0 whatever was found."),
)
_OUTPUTS = (
    click.option(
        "--report", "reports", multiple=True, metavar="FORMAT:FILE", help="Write json, junit, md, text or run."
    ),
    click.option(
        "--annotations/--no-annotations", default=None, help="Print GitHub's annotations; else where it runs this."
    ),
    json_option,
)


def _with(*options: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return add


@click.group(
    invoke_without_command=True,
    epilog=examples(
        "tokencalc ci --usage calls.jsonl --budget 0.50",
        "tokencalc ci --usage run.json --baseline git:origin/main --fail cost:10%",
        "tokencalc ci init",
    ),
)
@_with(*_SOURCES, *_DEMANDS, *_OUTPUTS)
@click.pass_context
def ci(context: click.Context, /, **options: Any) -> int:
    """Judge what a run used: by budgets, by a baseline, by prices that are missing.

    Without --usage the ledger's entries are the run, and its budgets have to hold. Exit codes: 3 a budget is
    exceeded, 4 a regression, 5 unpriced (--strict-prices), 6 nothing measured (--require-usage).
    """
    if context.invoked_subcommand is not None:
        return OK
    return _gate(options)


@ci.command("init", epilog=examples("tokencalc ci init --budget 0.50 --fail cost:10%"))
@click.option("--budget", default="1.00", show_default=True, metavar="USD", help="What a run of the tests may cost.")
@click.option("--fail", default="cost:10%", show_default=True, metavar="RULE", help="How much a run may grow.")
@click.option("--force", is_flag=True, help="Write over a workflow that is there.")
@json_option
def init(*, budget: str, fail: str, force: bool, as_json: bool) -> int:
    """Write .github/workflows/llm-cost.yml: run the tests, measure them, judge the pull request."""
    cap, rule = cap_from(budget), expression_from(fail)
    if cap.name is not None or isinstance(rule, MetricBound):
        # A test's name, or a metric's, may hold anything, and this text goes into a shell.
        raise CallInvalid(
            "init: expected a budget in dollars and a rule on growth, as 1.00 and cost:10%; add others by hand",
            path="init",
            found=cap.text if cap.name is not None else rule.text,
        )
    path = write_workflow(Path(), workflow_text(budget=cap.text, fail=rule.text), force=force)
    if as_json:
        click.echo(to_json({"workflow": path}))
    else:
        click.echo(f"Wrote {path}; read it, and commit it with a baseline (tokencalc ci --save-baseline).")
    return OK


def _gate(options: dict[str, Any]) -> int:
    """Read the options before anything is opened, then the run; judge it, and tell."""
    targets = tuple(target_from(text) for text in options["reports"])
    demands = Demands(
        caps=tuple(cap_from(text) for text in options["caps"]),
        expressions=tuple(expression_from(text) for text in options["fails"]),
        strict_prices=options["strict_prices"],
        require_usage=options["require_usage"],
        warn_at=options["warn_at"],
        noise_pico=0 if options["noise"] is None else pico_from_usd(options["noise"], name="noise"),
    )
    baseline = None if options["baseline"] is None else read_baseline(options["baseline"])
    verdict = _verdict(options, demands, baseline)
    code = OK if options["exit_zero"] else exit_code_of(verdict)
    # Told before anything is written: a full disk must not cost the verdict.
    _tell(verdict, options, code)
    for failure in append_summary(verdict):
        _say(f"warning: {failure}")
    failures = write_reports(verdict, targets, exit_code=code)
    if options["save_baseline"] is not None and verdict.run.calls:
        failures += _save_baseline(verdict, options["save_baseline"])
    elif options["save_baseline"] is not None:
        # By a baseline of nothing every name would be new for ever, and nothing compared.
        _say(f"error: {options['save_baseline']}: not saved, because nothing was measured")
        code = code or (OK if options["exit_zero"] else NOTHING)
    for failure in failures:
        _say(f"error: {failure}")
    return code or (FAILED if failures else OK)


def _save_baseline(verdict: Verdict, file: str) -> list[str]:
    """Save the run to compare with; return why that failed, if it did."""
    failures = write_file(Path(file), run_json(verdict.run))
    if not failures:
        failed = f", in which {len(verdict.failed)} of {len(verdict.checks)} checks failed" if verdict.failed else ""
        _say(f"Saved the run to {file}{failed}.")
    return failures


def _say(text: str) -> None:
    click.echo(log_text(text, longest=1000), err=True)


def exit_code_of(verdict: Verdict) -> int:
    """Return the code that a verdict ends with: budgets before regressions before prices before usage."""
    found = (code for kind, code in _ORDER if verdict.has_failed(kind))
    return next(found, NOTHING if verdict.has_failed("usage") else OK)


def _verdict(options: dict[str, Any], demands: Demands, baseline: Baseline | None) -> Verdict:
    if options["usage"]:
        return _verdict_of_files(options, demands, baseline)
    where = filters_from(options["where"])
    with open_ledger(options["ledger"], prices=options["prices"]) as engine:
        by, since, until = options["by"] or DEFAULT_KEY, options["since"], options["until"]
        run = run_of(engine, by=by, since=since, until=until, where=where)
        budgets = _budgets(engine, where)
        metrics = _metrics(engine, demands.expressions, options)
        return judged(
            run, engine.catalog, engine.clock.now(), replace(demands, budgets=budgets, metrics=metrics), baseline
        )


def _verdict_of_files(options: dict[str, Any], demands: Demands, baseline: Baseline | None) -> Verdict:
    refused = [name for name in ("since", "until") if options[name] is not None]
    if refused:
        raise CallInvalid(
            f"{refused[0]}: an interval is of a ledger; with --usage the files are the run", path=refused[0], found=True
        )
    metrics: dict[str, float | None] = {}
    needs_samples = any(isinstance(expression, MetricBound) for expression in demands.expressions)
    if options["ledger"] is not None and not needs_samples:
        raise CallInvalid(
            "ledger: with --usage the files are the run, and the ledger is read for metric:NAME<=X alone; give one of "
            "the two",
            path="ledger",
            found=options["ledger"],
        )
    if needs_samples:
        # Files hold no samples: they come from the ledger beside.
        with open_ledger(options["ledger"], needs_prices=False) as beside:
            metrics = _metrics(beside, demands.expressions, options)
    settings = replace(load_settings(), budgets=())
    with Engine.open(":memory:", settings=settings, prices=options["prices"]) as engine:
        run: Run = run_of_files(engine, options["usage"], by=options["by"], where=filters_from(options["where"]))
        return judged(run, engine.catalog, engine.clock.now(), replace(demands, metrics=metrics), baseline)


def _budgets(engine: Engine, where: Mapping[str, str]) -> tuple[BudgetStatus, ...]:
    """The budgets of a ledger that are more than observed and may cover what is looked at, in their current periods."""
    return tuple(
        status for status in engine.budget_statuses() if status.budget.policy != "observe" and _may_cover(status, where)
    )


def _may_cover(status: BudgetStatus, where: Mapping[str, str]) -> bool:
    """Whether an instance of a budget can hold a call that a filter keeps; its stars stand for its scope's value."""
    scope = status.budget.scope
    stars = [key for key, value in scope.items() if value == ANY_VALUE]
    value = status.scope_value or ""
    values = [value] if len(stars) == 1 else json.loads(value) if stars and value else []
    covered = {**scope, **dict(zip(stars, values, strict=False))}
    return all(covered.get(key, wanted) == wanted for key, wanted in where.items())


def _metrics(
    engine: Engine, expressions: tuple[Growth | MetricBound, ...], options: dict[str, Any]
) -> dict[str, float | None]:
    since, until = options["since"], options["until"]
    return {bound.text: _metric(engine, bound, since, until) for bound in expressions if isinstance(bound, MetricBound)}


def _metric(engine: Engine, bound: MetricBound, since: datetime | None, until: datetime | None) -> float | None:
    if bound.average:
        return engine.metric_average(bound.name, since=since, until=until)
    newest: Iterator[Any] = engine.metric_history(bound.name, since=since, until=until, limit=1)
    return next((sample.value for sample in newest), None)


def _tell(verdict: Verdict, options: dict[str, Any], code: int) -> None:
    """Print the verdict; annotations go to stderr, which GitHub reads as well, so that stdout stays data."""
    if options["as_json"]:
        click.echo(verdict_json(verdict_document(verdict, exit_code=code)), nl=False)
    else:
        click.echo(verdict_text(verdict), nl=False)
    wanted = options["annotations"]
    if os.environ.get("GITHUB_ACTIONS") == "true" if wanted is None else wanted:
        click.echo(verdict_annotations(verdict), nl=False, err=True)
