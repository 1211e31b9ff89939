"""A run as a JSON document: what ``--save-baseline`` writes and the pytest plugin hands to `tokencalc ci`.

It holds usage, so that both sides of a comparison can be priced with one table.
"""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING, Any

from tokencalc.clock import instant_from
from tokencalc.counts import whole_count
from tokencalc.errors import CallInvalid, InvalidInput
from tokencalc.gate.run import CallKind, Calls, Run, merged
from tokencalc.jsontext import to_json
from tokencalc.ledger.codec import usage_from_text
from tokencalc.money import decimal_text, pico_from_usd, usd_from_pico

if TYPE_CHECKING:
    from collections.abc import Mapping

RUN_SCHEMA = "tokencalc.run/1"
"""Name and version of the document; the number grows when a reader would have to change."""

_FAMILY = "tokencalc.run/"


class RunVersionUnknownError(Exception):
    """A run that another version of tokencalc wrote; ``schema`` is what it says of itself."""

    def __init__(self, schema: str) -> None:
        """Keep what the document says of itself."""
        super().__init__(schema)
        self.schema = schema


def run_document(run: Run) -> dict[str, Any]:
    """Return the run as plain values; `run_json` writes it."""
    return {
        "schema": RUN_SCHEMA,
        "by": run.by,
        "made_at": run.made_at,
        "prices_checked_on": run.prices_checked_on,
        "calls": [calls_document(calls) for calls in run.calls],
    }


def run_json(run: Run) -> str:
    """Return the document as JSON text, one kind of call on a line: a changed baseline can be read as a diff."""
    document = run_document(run)
    calls = document.pop("calls")
    head = to_json(document, indent=2).removesuffix("\n}")
    rows = ",\n".join(f"    {to_json(row)}" for row in calls)
    return f'{head},\n  "calls": [\n{rows}\n  ]\n}}\n' if calls else f'{head},\n  "calls": []\n}}\n'


def calls_document(calls: Calls) -> dict[str, Any]:
    """Return calls of one kind as plain values; what is not said is left out."""
    kind = calls.kind
    said = {
        "provider": kind.provider,
        "requested_model": kind.requested_model,
        "context": dict(kind.context) or None,
        "usage": None if kind.usage is None else json.loads(kind.usage),
        "notional": kind.notional or None,
    }
    return {
        "name": kind.name,
        "model": kind.model,
        **{key: value for key, value in said.items() if value is not None},
        "calls": calls.calls,
        "booked_usd": decimal_text(usd_from_pico(calls.booked_pico)),
        "unpriced_calls": calls.unpriced_calls,
    }


def is_run(document: object) -> bool:
    """Whether a parsed JSON document says that it is a run, of whatever version."""
    return isinstance(document, dict) and str(document.get("schema", "")).startswith(_FAMILY)


def run_from(document: Mapping[str, Any], *, place: str) -> Run:
    """Read a run back; ``place`` names the file in messages.

    Raises RunVersionUnknownError for a document of another version and CallInvalid for one that is broken.
    """
    schema = str(document.get("schema", ""))
    if schema != RUN_SCHEMA:
        raise RunVersionUnknownError(f"{schema:.60}")
    try:
        rows = document["calls"]
        return Run(
            by=_text(document["by"]),
            made_at=instant_from(document["made_at"], name="made_at"),
            prices_checked_on=date.fromisoformat(document["prices_checked_on"]),
            calls=merged(calls_from(row, place=f"{place}: calls[{number}]") for number, row in enumerate(rows)),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _broken(place, error) from error


def calls_from(row: Mapping[str, Any], *, place: str) -> Calls:
    """Read calls of one kind back; CallInvalid names what is wrong."""
    try:
        provider, requested, context = row.get("provider"), row.get("requested_model"), row.get("context") or {}
        return Calls(
            CallKind(
                name=_text(row["name"]),
                model=_text(row["model"]),
                provider=None if provider is None else _text(provider),
                requested_model=None if requested is None else _text(requested),
                context=tuple(sorted((_text(key), _text(value)) for key, value in context.items())),
                usage=None if row.get("usage") is None else _usage(row["usage"]),
                notional=_flag(row.get("notional", False)),
            ),
            whole_count(row["calls"], path="calls"),
            pico_from_usd(row["booked_usd"], name="booked_usd"),
            whole_count(row["unpriced_calls"], path="unpriced_calls"),
        )
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise _broken(place, error) from error


def _usage(value: object) -> str:
    text = json.dumps(value, separators=(",", ":"))
    usage = usage_from_text(text)
    if any(quantity < 0 for call in (usage, *usage.parts) for _, quantity in call.leaves):
        raise ValueError("usage: expected no quantity below 0")
    return text


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"expected true or false, found {value!r:.60}")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(f"expected text, found {value!r:.60}")
    return value


def _broken(place: str, error: Exception) -> CallInvalid:
    if isinstance(error, CallInvalid):
        return error
    reason = (
        f"no {error}" if isinstance(error, KeyError) else error.message if isinstance(error, InvalidInput) else error
    )
    return CallInvalid(
        f"{place}: expected a run as `tokencalc ci --save-baseline` writes it, found a broken one ({reason!s:.200}); "
        "write it anew",
        path=place,
        found=str(error)[:200],
    )
