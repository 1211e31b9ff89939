"""What a test asks the ledger after a call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.client import bodies
from tokencalc.client.late import LATE

if TYPE_CHECKING:
    from tokencalc import Engine, Entry

EXACT = (bodies.INPUT, bodies.OUTPUT)


def booked(engine: Engine) -> list[Entry]:
    """Return every entry, the newest first, also of streams that were left to the collector."""
    assert LATE.drain()
    return list(engine.entries())


def only(engine: Engine) -> Entry:
    """Return the one entry; no hold is open beside it."""
    (entry,) = booked(engine)
    assert engine.holds("open") == ()
    return entry


def counts(entry: Entry) -> tuple[int, int]:
    """Return the input and the output tokens of an entry."""
    assert entry.usage is not None
    return entry.usage.input_tokens, entry.usage.output_tokens


def states(engine: Engine) -> list[str]:
    """Return the states of all holds."""
    assert LATE.drain()
    return [hold.state for hold in engine.holds()]
