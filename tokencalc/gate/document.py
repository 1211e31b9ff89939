"""The verdict as a JSON document: schema versioned, every digit, amounts as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tokencalc.jsontext import to_json
from tokencalc.money import usd_from_pico

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokencalc.gate.figures import Comparison, Figures, Pair
    from tokencalc.gate.judging import Verdict

CI_SCHEMA = "tokencalc.ci/1"
"""Name and version of the document; the number grows when a reader would have to change."""


def verdict_document(verdict: Verdict, *, exit_code: int) -> dict[str, Any]:
    """Return the verdict as plain values; `verdict_json` writes it."""
    comparison = verdict.comparison
    return {
        "schema": CI_SCHEMA,
        "exit_code": exit_code,
        "ok": not verdict.failed,
        "warnings": verdict.count("warning"),
        "priced_at": verdict.at,
        "prices_checked_on": verdict.prices_checked_on,
        "by": verdict.run.by,
        "total": figures_document(verdict.total),
        "rows": [{"name": name, **figures_document(found)} for name, found in verdict.figures.items()],
        "comparison": None if comparison is None else _comparison(comparison, verdict),
        "checks": [
            {
                "kind": check.kind,
                "what": check.what,
                "name": check.name,
                "state": check.state,
                "text": check.text,
            }
            for check in verdict.checks
        ],
    }


def verdict_json(document: Mapping[str, Any]) -> str:
    """Return a document as indented JSON text with a final newline."""
    return to_json(document, indent=2) + "\n"


def figures_document(figures: Figures) -> dict[str, Any]:
    """Return figures as plain values: what was booked, and the same priced with the table of now, null where unknown.

    ``notional_usd`` is that part of ``cost_usd`` which a subscription paid.
    """
    return {
        "cost_usd": usd_from_pico(figures.booked_pico),
        "cost_now_usd": None if figures.unknown_calls else usd_from_pico(figures.now_pico),
        "notional_usd": usd_from_pico(figures.booked_pico - figures.billed_pico),
        "calls": figures.calls,
        "unpriced_calls": figures.unpriced_calls,
        "input_tokens": figures.input_tokens,
        "output_tokens": figures.output_tokens,
        "cache_read_tokens": figures.cache_read_tokens,
        "cache_write_tokens": figures.cache_write_tokens,
        "reasoning_tokens": figures.reasoning_tokens,
    }


def _comparison(comparison: Comparison, verdict: Verdict) -> dict[str, Any]:
    baseline = verdict.baseline
    made = baseline.run if baseline is not None else None
    return {
        "baseline": None if baseline is None else baseline.place,
        "baseline_made_at": None if made is None else made.made_at,
        "baseline_prices_checked_on": None if made is None else made.prices_checked_on,
        "common": None if comparison.common is None else _pair(comparison.common),
        "rows": [_pair(pair) for pair in comparison.pairs],
        "added": list(comparison.added),
        "removed": list(comparison.removed),
    }


def _pair(pair: Pair) -> dict[str, Any]:
    return {
        "name": pair.name,
        "run": None if pair.run is None else figures_document(pair.run),
        "baseline": None if pair.base is None else figures_document(pair.base),
        "usage_change_usd": None if pair.usage_pico is None else usd_from_pico(pair.usage_pico),
        "price_change_usd": None if pair.prices_pico is None else usd_from_pico(pair.prices_pico),
    }
