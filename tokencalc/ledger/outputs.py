"""What calls like one that is planned gave back: the newest output counts in the book, in a bounded look.

No index leads from a model to its charges, and none is made for this: every
booking would pay for it. The newest rows are read instead, and no more of them
however many there are, so a question costs the same with ten million entries.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tokencalc.ledger.codec import json_text, money_from_row
from tokencalc.ledger.rows import MONEY_COLUMNS, decoding

if TYPE_CHECKING:
    from tokencalc.ledger.sqlite import SqliteStore

LOOKED_AT_ROWS = 5_000
"""The newest rows of the book that a question looks at: some milliseconds."""

KEPT_CALLS = 200
"""The newest charges that count; older ones were made with other prompts."""

# The cross join keeps the newest rows outside: SQLite would else begin with every dimension of the model.
_NEWEST = f"""
SELECT sequence, model, detail, {MONEY_COLUMNS} FROM
    (SELECT sequence, dimension_id, kind, basis_id, usage, lines, detail FROM entry
     ORDER BY sequence DESC LIMIT {LOOKED_AT_ROWS}) AS entry
    CROSS JOIN dimension USING (dimension_id)
WHERE kind = 'charge' AND coalesce(usage, lines) IS NOT NULL AND provider = :provider
    AND (model = :model OR instr(detail, :requested) > 0) AND (:operation IS NULL OR operation = :operation)
ORDER BY sequence DESC
"""  # our own literals


def newest_outputs(store: SqliteStore, *, provider: str, model: str, operation: str | None) -> tuple[int, ...]:
    """Return the output tokens of the newest charges of a model, asked for or served, the newest first.

    ``operation`` keeps the charges that were booked for it; None keeps all. At most
    `KEPT_CALLS` of the newest `LOOKED_AT_ROWS` entries; a response that was cut
    short says nothing about length and is left out. LedgerCorrupt names a row that
    cannot be read.
    """
    # A model that was served under a dated name is booked as that, with the name that was asked for in its detail.
    requested = '"requested_model":' + json_text(model)
    found: list[int] = []
    with store.reading() as connection:
        rows = connection.execute(
            _NEWEST, {"provider": provider, "model": model, "requested": requested, "operation": operation}
        )
        for sequence, served, detail, *money in rows:
            with decoding(store.name, f"entry {sequence}"):
                if served != model and json.loads(detail).get("requested_model") != model:
                    continue
                usage, _ = money_from_row(*money)
            if usage is not None and not usage.is_interrupted:
                found.append(usage.output_tokens)
            if len(found) == KEPT_CALLS:
                break
        rows.close()
    return tuple(found)
