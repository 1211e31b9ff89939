"""Between table rows and records: entries, holds and dimensions of the SQLite store."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from tokencalc.clock import instant_from_micros
from tokencalc.errors import LedgerCorrupt
from tokencalc.ledger.codec import money_from_row
from tokencalc.ledger.records import Dimension, Entry, EntryDraft, entry_id, hold_id
from tokencalc.usage import Meter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tokencalc.ledger.records import AmountSource, EntryKind

DIMENSION_COLUMNS = "provider, model, agent_id, user_id, project, api_key_id, operation, notional"
MONEY_COLUMNS = "(SELECT text FROM basis WHERE basis.basis_id = entry.basis_id), usage, lines"
"""Of the table, or the subquery, that is called entry; `codec.money_from_row` reads them."""
ENTRY_COLUMNS = (
    "sequence, dimension_id, kind, at_us, recorded_us, amount_pico, amount_source, caller_pico, unpriced, "
    f"{MONEY_COLUMNS}, detail, corrects, digest"
)
"""In the order in which `entry_from_row` reads them and the chain hashes them, with the basis as text."""


@contextmanager
def decoding(ledger: str, row: str) -> Iterator[None]:
    """Turn whatever a damaged row makes of its reader into LedgerCorrupt, which names the row."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise LedgerCorrupt(
            f"ledger {ledger}: {row} cannot be read ({type(error).__name__}: {error}); it was left as it is. "
            "Run `tokencalc verify`, and restore a backup",
            ledger=ledger,
            row=row,
        ) from error


def dimension_from_row(row: Sequence[Any]) -> Dimension:
    """Make a dimension of the eight columns of `DIMENSION_COLUMNS`."""
    return Dimension(
        provider=row[0],
        model=row[1],
        agent_id=row[2],
        user_id=row[3],
        project=row[4],
        api_key_id=row[5],
        operation=row[6],
        notional=bool(row[7]),
    )


def dimension_values(dimension: Dimension) -> tuple[object, ...]:
    """Return the dimension as the eight columns of `DIMENSION_COLUMNS`."""
    return (
        dimension.provider,
        dimension.model,
        dimension.agent_id,
        dimension.user_id,
        dimension.project,
        dimension.api_key_id,
        dimension.operation,
        int(dimension.notional),
    )


def entry_detail(draft: EntryDraft) -> dict[str, object]:
    """Return what an entry says beyond its columns; only what is there takes room."""
    alone = (
        ("run", draft.run),
        ("hold", draft.hold_id),
        ("requested_model", draft.requested_model),
        ("requested_provider", draft.requested_provider),
        ("source", draft.source),
        ("key", draft.idempotency_key),
    )
    said: dict[str, object] = {name: value for name, value in alone if value}
    if not (draft.tags or draft.context or draft.unpriced or draft.notes or draft.budgets):
        return said
    for name, mapping in (("tags", draft.tags), ("context", draft.context)):
        if mapping:
            said[name] = dict(mapping)
    for name, several in (("unpriced", draft.unpriced), ("notes", draft.notes), ("budgets", draft.budgets)):
        if several:
            said[name] = list(several)
    return said


def hold_detail(text: str | None) -> dict[str, object]:
    """Read what a hold says beyond its columns; TypeError or ValueError where somebody made something else of it."""
    if not text:
        return {}
    said = json.loads(text)
    if not isinstance(said, dict) or not all(
        isinstance(said.get(name, kind()), kind) for name, kind in (("tags", dict), ("budgets", list), ("run", str))
    ):
        raise TypeError(f"its detail is {text:.60}")
    return said


def entry_from_row(row: Sequence[Any], dimension: Dimension, chain_id: str) -> Entry:
    """Make the public record of an entry from the columns of `ENTRY_COLUMNS`."""
    sequence, _, kind, at_us, recorded_us, amount_pico, amount_source, caller_pico, unpriced_calls, *rest = row
    basis, usage, lines, detail, corrects, digest = rest
    draft = draft_from_columns(
        kind=kind,
        at_us=at_us,
        dimension=dimension,
        amount_pico=amount_pico,
        amount_source=amount_source,
        caller_pico=caller_pico,
        basis=basis,
        usage=usage,
        lines=lines,
        detail=detail,
        corrects=corrects,
        unpriced_calls=unpriced_calls,
    )
    return entry_from_draft(draft, sequence, digest, recorded_us=recorded_us, chain_id=chain_id)


def draft_from_columns(  # noqa: PLR0913  # one argument for each column
    *,
    kind: str,
    at_us: int,
    dimension: Dimension,
    amount_pico: int | None,
    amount_source: str | None,
    caller_pico: int | None,
    basis: str | None,
    usage: str | None,
    lines: str | None,
    detail: str | None,
    corrects: int | None = None,
    unpriced_calls: int = 0,
) -> EntryDraft:
    """Make the draft again of which a row was made; its texts are those of the columns."""
    said: dict[str, Any] = json.loads(detail) if detail else {}
    used, priced = money_from_row(basis, usage, lines)
    return EntryDraft(
        kind=cast("EntryKind", kind),
        at_us=at_us,
        dimension=dimension,
        amount_pico=amount_pico,
        amount_source=cast("AmountSource | None", amount_source),
        caller_pico=caller_pico,
        usage=used,
        lines=priced,
        unpriced=tuple(Meter(meter) for meter in said.get("unpriced", ())),
        tags=said.get("tags", {}),
        hold_id=said.get("hold"),
        corrects=corrects,
        budgets=tuple(said.get("budgets", ())),
        run=said.get("run", ""),
        requested_model=said.get("requested_model"),
        requested_provider=said.get("requested_provider"),
        source=said.get("source"),
        notes=tuple(said.get("notes", ())),
        idempotency_key=said.get("key"),
        context=said.get("context", {}),
        fills_unpriced=unpriced_calls < 0,
    )


def entry_from_draft(draft: EntryDraft, sequence: int, digest: bytes, *, recorded_us: int, chain_id: str) -> Entry:
    """Make the public record of a draft that has its place in the chain."""
    dimension = draft.dimension
    return Entry(
        entry_id=entry_id(chain_id, sequence),
        sequence=sequence,
        kind=draft.kind,
        at=instant_from_micros(draft.at_us),
        recorded_at=instant_from_micros(recorded_us),
        provider=dimension.provider or None,
        model=dimension.model,
        requested_model=draft.requested_model,
        requested_provider=draft.requested_provider,
        usage=draft.usage,
        amount_pico=draft.amount_pico,
        amount_source=draft.amount_source,
        caller_pico=draft.caller_pico,
        lines=draft.lines,
        unpriced=draft.unpriced,
        notes=draft.notes,
        agent_id=dimension.agent_id or None,
        user_id=dimension.user_id or None,
        project=dimension.project or None,
        api_key_id=dimension.api_key_id or None,
        operation=dimension.operation or None,
        tags=draft.tags,
        run=draft.run or None,
        notional=dimension.notional,
        hold_id=hold_id(chain_id, draft.hold_id) if draft.hold_id else None,
        corrects=entry_id(chain_id, draft.corrects) if draft.corrects else None,
        source=draft.source,
        idempotency_key=draft.idempotency_key,
        context=draft.context,
        budgets=draft.budgets,
        unpriced_calls=draft.unpriced_calls,
        digest=digest.hex(),
    )
