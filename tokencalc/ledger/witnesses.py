"""Every entry that any engine of this process writes, for whoever measures a whole process: a run of tests.

A witness sees an entry once, after its commit and before its caller has the answer, whatever ledger it went to. It is
a queue and no callback, so that nothing of a witness runs, or fails, where money is written.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokencalc.ledger.records import Entry

WITNESSES: list[deque[Entry]] = []
"""The queues that entries are put into; mostly none."""


def witness() -> deque[Entry]:
    """Return a queue that gets every entry from now on, budgets' changes among them, until `dismiss`."""
    seen: deque[Entry] = deque()
    WITNESSES.append(seen)
    return seen


def dismiss(seen: deque[Entry]) -> None:
    """Put nothing into this queue any more."""
    # By identity: two empty queues are equal.
    WITNESSES[:] = [other for other in WITNESSES if other is not seen]
