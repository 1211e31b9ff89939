"""The verdict as JUnit XML: a case for each check, a failure for each that failed, figures as properties."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from tokencalc.clock import instant_text
from tokencalc.money import decimal_text, usd_from_pico
from tokencalc.reports.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokencalc.gate.figures import Figures
    from tokencalc.gate.judging import Check, Verdict


def properties(figures: Figures) -> tuple[tuple[str, str], ...]:
    """Return figures by the names of JUnit properties; the cost in dollars with every digit."""
    return (
        ("llm_cost_usd", decimal_text(usd_from_pico(figures.booked_pico))),
        ("llm_calls", str(figures.calls)),
        ("llm_unpriced_calls", str(figures.unpriced_calls)),
        ("llm_tokens_input", str(figures.input_tokens)),
        ("llm_tokens_output", str(figures.output_tokens)),
        ("llm_tokens_cache_read", str(figures.cache_read_tokens)),
        ("llm_tokens_cache_write", str(figures.cache_write_tokens)),
        ("llm_tokens_reasoning", str(figures.reasoning_tokens)),
    )


def verdict_junit(verdict: Verdict) -> str:
    """Return the verdict as one JUnit document."""
    return "".join(f"{line}\n" for line in _document(verdict))


def _document(verdict: Verdict) -> Iterator[str]:
    cases, failures = len(verdict.checks) + len(verdict.figures), len(verdict.failed)
    counts = f'tests="{cases}" failures="{failures}" errors="0" skipped="0"'
    yield '<?xml version="1.0" encoding="utf-8"?>'
    yield f'<testsuites name="tokencalc" {counts}>'
    yield f'<testsuite name="tokencalc" {counts} timestamp="{instant_text(verdict.at)}">'
    yield from _properties(verdict.total)
    for name, figures in verdict.figures.items():
        yield f"<testcase classname={_attribute(f'tokencalc.{verdict.run.by}')} name={_attribute(name)}>"
        yield from _properties(figures)
        yield "</testcase>"
    for check in verdict.checks:
        yield from _case(check)
    yield "</testsuite>"
    yield "</testsuites>"


def _case(check: Check) -> Iterator[str]:
    what = check.what if check.name is None else f"{check.what}: {check.name}"
    yield f'<testcase classname="tokencalc.{check.kind}" name={_attribute(what)}>'
    if check.state == "failed":
        yield f'<failure type="{check.kind}" message={_attribute(check.text)}>{_text(check.text)}</failure>'
    elif check.state != "ok":
        yield f"<system-out>{_text(f'{check.state}: {check.text}')}</system-out>"
    yield "</testcase>"


def _properties(figures: Figures) -> Iterator[str]:
    yield "<properties>"
    for name, value in properties(figures):
        yield f'<property name="{name}" value="{value}"/>'
    yield "</properties>"


def _text(value: str) -> str:
    # By html, which writes the same here: xml.sax takes 40 ms to import, with all that opens addresses.
    return escape(safe_text(value, longest=1000))


def _attribute(value: str) -> str:
    # Control characters have no place in XML, not even escaped; they are shown by their names here.
    return f'"{escape(safe_text(value))}"'
