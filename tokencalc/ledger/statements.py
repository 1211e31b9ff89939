"""The statements that write a batch, and the values that go with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokencalc.money import MAX_PICO

if TYPE_CHECKING:
    from tokencalc.ledger.store import HoldRow, PeriodRow


def _marks(count: int) -> str:
    return ", ".join("?" * count)


INSERT_DIMENSION = f"INSERT INTO dimension VALUES ({_marks(9)})"
INSERT_BASIS = "INSERT INTO basis VALUES (?, ?)"
INSERT_SCOPE = f"INSERT INTO hold_scope VALUES ({_marks(2)})"
INSERT_EVENT = f"INSERT INTO hold_event (hold_id, kind, at_us, amount_pico) VALUES ({_marks(4)})"
INSERT_REPLAY = f"INSERT INTO idempotency VALUES ({_marks(4)})"
INSERT_ENTRY = (
    "INSERT INTO entry (sequence, dimension_id, kind, at_us, recorded_us, amount_pico, amount_source, caller_pico, "
    f"unpriced, basis_id, usage, lines, detail, corrects, digest) VALUES ({_marks(15)})"
)
INSERT_PERIOD = f"INSERT INTO budget_period VALUES ({_marks(12)})"
UPDATE_PERIOD = (
    "UPDATE budget_period SET limit_pico = ?, held_pico = ?, spent_pico = ?, unpriced_calls = ?, overflowed = ? "
    "WHERE period_id = ?"
)
INSERT_HOLD = f"INSERT INTO hold VALUES ({_marks(9)})"
UPDATE_HOLD = (
    "UPDATE hold SET state = ?, amount_pico = ?, expected_pico = ?, expires_us = ?, entry_sequence = ? "
    "WHERE hold_id = ?"
)
INSERT_CROSSING = (
    "INSERT INTO crossing (period_id, threshold_percent, at_us, recorded_us, spent_pico, limit_pico, in_open_period) "
    f"VALUES ({_marks(7)})"
)
INSERT_EXCESS = f"INSERT INTO excess (period_id, reason, amount_pico, at_us, entry_sequence) VALUES ({_marks(5)})"
_ROLLUP_FIGURES = (
    "calls", "unpriced_calls", "cost_micro", "cost_rest", "input_tokens", "cache_read_tokens", "cache_write_tokens",
    "output_tokens", "reasoning_tokens",
)  # fmt: skip
ADD_ROLLUP = (
    f"INSERT INTO rollup VALUES ({_marks(11)}) ON CONFLICT (quarter, dimension_id) DO UPDATE SET "  # our own columns
    # SQLite turns an integer sum past 63 bits into a float; the largest integer is kept instead.
    + ", ".join(f"{name} = min({MAX_PICO}, {name} + excluded.{name})" for name in _ROLLUP_FIGURES)
)


def period_values(row: PeriodRow) -> tuple[object, ...]:
    """Return the values of `INSERT_PERIOD`."""
    return (
        row.period_id,
        row.budget_id,
        row.revision,
        row.scope_value,
        row.period_key,
        row.start_us,
        row.end_us,
        *period_counters(row)[:-1],
    )


def period_counters(row: PeriodRow) -> tuple[object, ...]:
    """Return the values of `UPDATE_PERIOD`."""
    # A counter past 63 bits is kept at the largest value and marked; the entries still hold the truth.
    counters = (min(row.limit_pico, MAX_PICO), min(row.held_pico, MAX_PICO), min(row.spent_pico, MAX_PICO))
    return (*counters, row.unpriced_calls, int(row.overflowed), row.period_id)


def hold_end(row: HoldRow) -> tuple[object, ...]:
    """Return the values of `UPDATE_HOLD`."""
    return (row.state, row.amount_pico, row.expected_pico, row.expires_us, row.entry_sequence, row.hold_id)
