"""Makes a large ledger in minutes: rows as the engine writes them, put in below it, with the chain and the rollups.

`tokencalc verify` accepts the result. The calls are spread evenly over a month, over five models and eight agents,
with the mix that `MIX` lists.
"""

from __future__ import annotations

import random
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from tokencalc import Engine, Usage
from tokencalc.clock import ManualClock, micros_from_instant
from tokencalc.ledger.chain import entry_digest, first_digest
from tokencalc.ledger.codec import basis_from, json_text
from tokencalc.ledger.records import Dimension
from tokencalc.ledger.rows import dimension_values
from tokencalc.ledger.schema import PICO_PER_MICRO, QUARTER_US
from tokencalc.ledger.statements import ADD_ROLLUP, INSERT_DIMENSION, INSERT_ENTRY
from tokencalc.usage import token_totals

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

    from tokencalc.ledger.codec import Basis

MONTH = ("2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z")
MIX: tuple[tuple[str, dict[str, int]], ...] = (
    ("gpt-4o", {"input_tokens": 1, "output_tokens": 1}),
    ("gpt-4o-mini", {"input_tokens": 1, "output_tokens": 1}),
    ("claude-sonnet-4-5", {"input_tokens": 3, "cache_read_tokens": 1, "cache_write_tokens": 1, "output_tokens": 1}),
    ("gpt-5", {"input_tokens": 2, "cache_read_tokens": 1, "output_tokens": 2, "reasoning_tokens": 1}),
    ("gemini-2.5-flash", {"input_tokens": 1, "output_tokens": 2, "reasoning_tokens": 1}),
)
"""Models with the counters that their answers have: 2 to 4 cost lines."""
AGENTS = 8
CHUNK = 50_000
_SHAPES = 200


def make(path: Path, entries: int) -> None:
    """Make a ledger with so many entries, and nothing else in it."""
    clock = ManualClock(MONTH[1])
    with Engine.open(path, clock=clock) as engine:
        engine.store.writer.close()  # what follows is written by its connection alone
        connection = engine.store._open_writing()  # noqa: SLF001  # below the engine on purpose
        connection.execute("PRAGMA synchronous = OFF")
        writing = _Writing(connection, engine.store.chain_id, _shapes(engine))
        for start in range(0, entries, CHUNK):
            writing.chunk(start, min(CHUNK, entries - start), entries)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


_Shape = tuple[Dimension, "Basis", str, int, tuple[int, int, int, int, int]]


def _shapes(engine: Engine) -> list[_Shape]:
    """Return calls of every model and agent, priced by the engine, with random quantities."""
    chance = random.Random(1)  # noqa: S311  # the same ledger every time
    found = []
    for model, parts in MIX:
        for number in range(_SHAPES):
            tokens = chance.randint(10, 4000)
            usage = Usage(**{name: share * tokens for name, share in parts.items()})  # type: ignore[arg-type]  # counts
            cost = engine.price(model=model, usage=usage)
            basis = basis_from(usage, cost.lines)
            dimension = Dimension(provider=cost.provider, model=cost.model, agent_id=f"agent-{number % AGENTS}")
            totals = token_totals(usage.leaves)
            found.append((dimension, basis, basis.lines_text(cost.lines), cost.priced_pico, totals))
    chance.shuffle(found)
    return found


class _Writing:
    """Appends entries in large transactions, and keeps chain, dimensions, bases and rollups with them."""

    def __init__(self, connection: sqlite3.Connection, chain_id: str, shapes: list[_Shape]) -> None:
        self._connection = connection
        self._shapes = shapes
        self._digest = first_digest(chain_id)
        self._start_us, self._end_us = (micros_from_instant(ManualClock(text).now()) for text in MONTH)
        dimensions = list(dict.fromkeys(shape[0] for shape in shapes))
        bases = list(dict.fromkeys(shape[1].text for shape in shapes))
        self._dimension_ids = {dimension: number for number, dimension in enumerate(dimensions, 1)}
        self._basis_ids = {text: number for number, text in enumerate(bases, 1)}
        rows = [(number, *dimension_values(dimension)) for dimension, number in self._dimension_ids.items()]
        connection.executemany(INSERT_DIMENSION, rows)
        connection.executemany("INSERT INTO basis VALUES (?, ?)", enumerate(bases, 1))

    def chunk(self, first: int, count: int, of: int) -> None:
        """Append ``count`` of ``of`` entries, of which ``first`` are there."""
        rollup: defaultdict[tuple[int, int], list[int]] = defaultdict(lambda: [0] * 9)
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany(INSERT_ENTRY, self._rows(first, count, of, rollup))
        self._connection.executemany(ADD_ROLLUP, ((*key, *row) for key, row in rollup.items()))
        self._connection.execute("UPDATE clock SET last_us = ?", (self._end_us,))
        self._connection.execute("COMMIT")

    def _rows(
        self, first: int, count: int, of: int, rollup: dict[tuple[int, int], list[int]]
    ) -> Iterator[tuple[Any, ...]]:
        for sequence in range(first + 1, first + count + 1):
            dimension, basis, lines, pico, tokens = self._shapes[sequence % len(self._shapes)]
            at_us = self._start_us + (self._end_us - self._start_us) * (sequence - 1) // of
            detail = json_text({"key": f"call-{sequence}"}) if sequence % 4 == 0 else None
            head = ("charge", at_us, at_us + 900, pico, "priced", None, 0)
            columns = (*head, basis.text, None, lines, detail, None)
            self._digest = entry_digest(self._digest, sequence, dimension, columns)
            number = self._dimension_ids[dimension]
            figures = rollup[at_us // QUARTER_US, number]
            for place, figure in enumerate((1, 0, *divmod(pico, PICO_PER_MICRO), *tokens)):
                figures[place] += figure
            yield (sequence, number, *head, self._basis_ids[basis.text], None, lines, detail, None, self._digest)
