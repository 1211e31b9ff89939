"""Exit codes, and which error leads to which."""

from __future__ import annotations

from tokencalc.errors import (
    AlertNotOpen,
    AlertUnknown,
    BudgetUnknown,
    EntryUnknown,
    ExtraMissing,
    FeatureUnavailable,
    HoldNotOpen,
    HoldUnknown,
    IdempotencyConflict,
    InvalidInput,
    MetersUnpriced,
    PriceUnknown,
    Refused,
    TokencalcError,
)

OK = 0
FAILED = 1
"""Our side: the ledger, the disk, a bug; or a ledger that does not verify."""
INVALID = 2
"""The caller's side: wrong usage, invalid input, an unknown name."""
REFUSED = 3
"""A budget has no room, or a limit is reached."""
REGRESSED = 4
"""A run used more than its baseline allows, or a metric is out of its bound."""
UNPRICED = 5
"""Something has no price, where ``--strict-prices`` asked to be told."""
NOTHING = 6
"""Nothing was measured, where ``--require-usage`` asked to be told."""

_TABLE: tuple[tuple[tuple[type[TokencalcError], ...], int], ...] = (
    ((Refused,), REFUSED),
    ((MetersUnpriced,), UNPRICED),
    ((InvalidInput, PriceUnknown, BudgetUnknown, HoldUnknown, EntryUnknown), INVALID),
    ((HoldNotOpen, IdempotencyConflict, AlertUnknown, AlertNotOpen), INVALID),
    ((FeatureUnavailable, ExtraMissing), INVALID),
)


def exit_code(error: TokencalcError) -> int:
    """Return the exit code for an error of our tree."""
    return next((code for kinds, code in _TABLE if isinstance(error, kinds)), FAILED)
