"""What one line of the spool says: a charge as the ledger would have booked it, or a settlement by a hold's id.

A charge was read and priced before the ledger failed, so its draft is kept whole:
what is booked later is what would have been booked then, whatever the price tables
say by that time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tokencalc.ledger.codec import json_text, money_texts, usage_from_text, usage_text
from tokencalc.ledger.rows import decoding, dimension_from_row, dimension_values, draft_from_columns, entry_detail
from tokencalc.money import decimal_text
from tokencalc.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokencalc.ledger.records import EntryDraft

OWN_KEY = "tokencalc-spool-"
"""How the keys begin that were made for calls whose callers gave none; their entries keep no key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spooled:
    """One charge that waits for the ledger.

    ``key`` is the caller's idempotency key, or one made for this line. ``tried`` are the
    (sequence, digest) under which the ledger may have taken it after all: a commit whose
    end was not seen. ``hold`` is the number of the hold that it settles, ``chain_id`` the
    ledger that it was meant for. Where only a hold's id was known, ``draft`` is None and
    ``arguments`` are those of settle.
    """

    key: str
    fingerprint: bytes
    chain_id: str
    spooled_us: int
    draft: EntryDraft | None = None
    hold: int | None = None
    tried: tuple[tuple[int, str], ...] = ()
    arguments: Mapping[str, Any] = field(default_factory=dict)


def spooled_values(line: Spooled) -> dict[str, Any]:
    """Return what the spool's file keeps of a charge, in plain JSON kinds."""
    values: dict[str, Any] = {
        "key": line.key,
        "mark": line.fingerprint.hex(),
        "chain": line.chain_id,
        "spooled_us": line.spooled_us,
        "hold": line.hold,
        "tried": [list(pair) for pair in line.tried],
    }
    if line.draft is None:
        values["arguments"] = _argument_values(line.arguments)
    else:
        values["draft"] = _draft_values(line.draft)
    return values


def spooled_from(values: Mapping[str, Any]) -> Spooled:
    """Read what `spooled_values` wrote; LedgerCorrupt where it cannot be."""
    with decoding("its spool", "a line"):
        draft = values.get("draft")
        found = _draft_from(draft) if draft is not None else None
        arguments = _arguments_from(values["arguments"]) if draft is None else {}
        tried = tuple((int(sequence), str(digest)) for sequence, digest in values["tried"])
        mark, hold, spooled_us = bytes.fromhex(values["mark"]), values["hold"], int(values["spooled_us"])
        key, chain_id = str(values["key"]), str(values["chain"])
    return Spooled(
        key=key,
        fingerprint=mark,
        chain_id=chain_id,
        spooled_us=spooled_us,
        draft=found,
        hold=hold,
        tried=tried,
        arguments=arguments,
    )


def _draft_values(draft: EntryDraft) -> dict[str, Any]:
    basis, usage, lines = money_texts(draft.usage, draft.lines)
    return {
        "at_us": draft.at_us,
        "dimension": list(dimension_values(draft.dimension)),
        "amount_pico": draft.amount_pico,
        "amount_source": draft.amount_source,
        "caller_pico": draft.caller_pico,
        "basis": basis,
        "usage": usage,
        "lines": lines,
        "detail": json_text(entry_detail(draft)),
    }


def _draft_from(values: Mapping[str, Any]) -> EntryDraft:
    return draft_from_columns(
        kind="charge",
        at_us=values["at_us"],
        dimension=dimension_from_row(values["dimension"]),
        amount_pico=values["amount_pico"],
        amount_source=values["amount_source"],
        caller_pico=values["caller_pico"],
        basis=values["basis"],
        usage=values["usage"],
        lines=values["lines"],
        detail=values["detail"],
    )


def _argument_values(arguments: Mapping[str, Any]) -> dict[str, Any]:
    values = {name: value for name, value in arguments.items() if name not in {"usage", "cost_usd"}}
    usage, cost = arguments.get("usage"), arguments.get("cost_usd")
    if usage is not None:
        values["usage"] = usage_text(usage)
        values["notes"] = _notes_of(usage)
    if cost is not None:
        values["cost_usd"] = decimal_text(cost)
    return values


def _arguments_from(values: Mapping[str, Any]) -> dict[str, Any]:
    arguments = {name: value for name, value in values.items() if name not in {"usage", "notes", "cost_usd"}}
    if "usage" in values:
        arguments["usage"] = _with_notes(usage_from_text(values["usage"]), values["notes"])
    if "cost_usd" in values:
        arguments["cost_usd"] = Decimal(values["cost_usd"])
    return arguments


def _notes_of(usage: Usage) -> list[Any]:
    """Return a usage's notes, which become its entry's, and those of its parts."""
    return [list(usage.notes), [_notes_of(part) for part in usage.parts]]


def _with_notes(usage: Usage, notes: list[Any]) -> Usage:
    own, of_parts = notes
    if usage.parts:
        parts = [_with_notes(part, said) for part, said in zip(usage.parts, of_parts, strict=True)]
        return Usage.from_parts(
            parts, notes=tuple(own), billed_usd=usage.billed_usd, is_interrupted=usage.is_interrupted
        )
    return usage.replace(notes=tuple(own))
