"""The second part of an audit: rows that hang from entries and holds, each compared with what it hangs from."""

from __future__ import annotations

from collections import defaultdict
from itertools import groupby
from typing import TYPE_CHECKING, Any

from tokencalc.clock import instant_from_micros, instant_text
from tokencalc.errors import LedgerCorrupt
from tokencalc.ledger.audit import as_object
from tokencalc.ledger.codec import money_from_row
from tokencalc.ledger.records import entry_id, hold_id
from tokencalc.ledger.rows import MONEY_COLUMNS, decoding, hold_detail
from tokencalc.ledger.schema import PICO_PER_MICRO, QUARTER_US
from tokencalc.ledger.spooled import OWN_KEY
from tokencalc.money import MAX_PICO
from tokencalc.usage import token_totals

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokencalc.ledger.audit import Audit

_FIGURES = ("calls", "unpriced", "pico-dollars", "input", "cache read", "cache write", "output", "reasoning tokens")
_ENDED_BY = {"settled": "charge", "written_off": "write_off"}
_STATES = frozenset({"open", "released", *_ENDED_BY})

Sums = dict[int, list[int]]


def check_rollups(book: Audit) -> None:
    """Sum the entries of each quarter-hour anew, tokens too, and compare the rollup of every dimension."""
    booked, rolled = _booked_quarters(book), _rolled_quarters(book)
    should, found = next(booked, None), next(rolled, None)
    while should is not None or found is not None:
        quarter = min(pair[0] for pair in (should, found) if pair is not None)
        sums, stored = {}, {}
        if should is not None and should[0] == quarter:
            sums, should = should[1], next(booked, None)
        if found is not None and found[0] == quarter:
            stored, found = found[1], next(rolled, None)
        _compare_quarter(book, quarter, sums, stored)


def _compare_quarter(book: Audit, quarter: int, sums: Sums, stored: Sums) -> None:
    for dimension_id, rolled in stored.items():
        should = [min(figure, MAX_PICO) for figure in sums.pop(dimension_id, [0] * len(_FIGURES))]
        if rolled != should:
            book.problem(f"rollup of {_about(quarter, dimension_id)}: {_said(rolled)}, its entries {_said(should)}")
    for dimension_id, should in sums.items():
        book.problem(f"rollup of {_about(quarter, dimension_id)} is missing: its entries {_said(should)}")


def _rolled_quarters(book: Audit) -> Iterator[tuple[int, Sums]]:
    rows = book.connection.execute(
        "SELECT quarter, dimension_id, calls, unpriced_calls, cost_micro, cost_rest, input_tokens, "
        "cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens FROM rollup "
        "ORDER BY quarter, dimension_id"
    )
    for quarter, some in groupby(rows, key=lambda row: row[0]):
        yield quarter, {row[1]: [*row[2:4], min(row[4] * PICO_PER_MICRO + row[5], MAX_PICO), *row[6:]] for row in some}


def _booked_quarters(book: Audit) -> Iterator[tuple[int, Sums]]:
    rows = book.connection.execute(
        f"SELECT at_us, dimension_id, kind, unpriced, amount_pico, sequence, {MONEY_COLUMNS} FROM entry ORDER BY at_us"
    )
    for quarter, some in groupby(rows, key=lambda row: row[0] // QUARTER_US):
        sums: defaultdict[int, list[int]] = defaultdict(lambda: [0] * len(_FIGURES))
        for row in some:
            book.count()
            if row[2] != "budget":
                row_sums = sums[row[1]]
                for place, figure in enumerate(_figures(book, row)):
                    row_sums[place] += figure
        yield quarter, sums


def _figures(book: Audit, row: tuple[Any, ...]) -> list[int]:
    figures = [int(row[2] == "charge"), row[3], row[4] or 0]
    try:
        with decoding("", f"entry {entry_id(book.chain_id, row[5])}"):
            usage, _ = money_from_row(*row[6:])
            figures += [] if usage is None else token_totals(usage.leaves)
    except LedgerCorrupt as error:
        book.problem(error.message)
    return figures


def check_holds(book: Audit) -> None:
    """Every hold must be readable, ended by the entry that it names, and counted in periods that exist."""
    for number, dimension_id, detail, amount, expected in book.connection.execute(
        "SELECT hold_id, dimension_id, detail, amount_pico, expected_pico FROM hold"
    ):
        name = hold_id(book.chain_id, number)
        if not 0 <= expected <= amount:
            book.problem(f"hold {name}: {expected} pico-dollars are expected of the {amount} that are set aside")
        if dimension_id not in book.dimensions:
            book.problem(f"hold {name}: its dimension {dimension_id} is missing")
        try:
            hold_detail(detail)
        except (TypeError, ValueError):
            book.problem(f"hold {name}: its detail cannot be read")
    _check_held(book)
    _check_ends(book)
    _check_settlements(book)
    _check_events(book)
    for number, period_id in book.connection.execute(
        "SELECT hold_id, period_id FROM hold_scope LEFT JOIN hold USING (hold_id) "
        "LEFT JOIN budget_period USING (period_id) WHERE state IS NULL OR spent_pico IS NULL"
    ):
        book.problem(f"hold {hold_id(book.chain_id, number)} is counted in budget period {period_id}: one is missing")


def _check_held(book: Audit) -> None:
    sums: defaultdict[int, int] = defaultdict(int)
    for period_id, amount in book.connection.execute(
        "SELECT period_id, amount_pico FROM hold_scope JOIN hold USING (hold_id) WHERE state = 'open'"
    ):
        sums[period_id] += amount
    for period in book.periods():
        should = sums[period.period_id]
        is_cut_off = period.overflowed and book.ever_held(period.period_id) > MAX_PICO
        if period.held_pico != should and not is_cut_off:
            book.problem(
                f"budget period {period.period_id}: held is {period.held_pico} pico-dollars, "
                f"its open holds sum to {should}"
            )


def _check_ends(book: Audit) -> None:
    for number, state, sequence, kind, detail, is_moved in book.connection.execute(
        "SELECT hold.hold_id, state, entry_sequence, kind, entry.detail, hold.at_us <> entry.at_us FROM hold "
        "LEFT JOIN entry ON sequence = entry_sequence WHERE entry_sequence IS NOT NULL "
        "OR state NOT IN ('open', 'released')"
    ):
        name = hold_id(book.chain_id, number)
        ended_by = _ENDED_BY.get(state)
        if state not in _STATES:
            book.problem(f"hold {name}: there is no state {state!r:.30}")
        elif ended_by is None:
            book.problem(f"hold {name} is {state} and names entry {sequence}, which ends no hold that is {state}")
        elif kind != ended_by or as_object(detail or "").get("hold") != number:
            book.problem(f"hold {name} is {state}, but entry {sequence}, which it names, did not do that")
        elif is_moved:
            book.problem(f"hold {name}: entry {sequence}, by which it is {state}, is of another instant")


def _check_settlements(book: Audit) -> None:
    (settled,) = book.connection.execute("SELECT count(*) FROM hold WHERE state = 'settled'").fetchone()
    if settled == book.settlements:
        return
    book.problem(f"{settled} holds are settled, {book.settlements} charges settle one")
    for number, count in book.connection.execute(
        "SELECT json_extract(detail, '$.hold') AS number, count(*) FROM entry WHERE kind = 'charge' "
        "AND json_valid(detail) AND number IS NOT NULL GROUP BY number HAVING count(*) > 1"
    ):
        book.problem(f"hold {book.chain_id}-h{number} was settled by {count} charges")


def _check_events(book: Audit) -> None:
    """Compare open holds with their events: when each was opened, what it was last, how long it may live."""
    (unlike,) = book.connection.execute(
        "SELECT (SELECT count(*) FROM hold) - (SELECT count(DISTINCT hold_id) FROM hold_event WHERE kind = 'opened')"
    ).fetchone()
    if unlike:
        book.problem(f"holds and the events by which they were opened do not fit: {unlike:+} holds")
    told: dict[int, list[tuple[str, int, int]]] = defaultdict(list)
    for number, kind, at_us, amount in book.connection.execute(
        "SELECT hold_id, kind, hold_event.at_us, hold_event.amount_pico FROM hold_event JOIN hold USING (hold_id) "
        "WHERE state = 'open' ORDER BY event_id"
    ):
        told[number].append((kind, at_us, amount))
    for number, at_us, expires_us, amount in book.connection.execute(
        "SELECT hold_id, at_us, expires_us, amount_pico FROM hold WHERE state = 'open'"
    ):
        events = told[number]
        fits = bool(events) and events[0][:2] == ("opened", at_us) and events[-1][2] == amount
        if not fits or expires_us <= min(event[1] for event in events):
            book.problem(
                f"hold {hold_id(book.chain_id, number)}: its instants or its amount are not what its events say"
            )


def check_migrations(book: Audit) -> None:
    """Every version of the tables up to this one must have its record."""
    (version,) = book.connection.execute("PRAGMA user_version").fetchone()
    found = [number for (number,) in book.connection.execute("SELECT version FROM migration ORDER BY version")]
    if found != list(range(1, version + 1)):
        book.problem(f"the tables are of version {version}, the records of their migrations say {found}")


def check_keys(book: Audit) -> None:
    """Every idempotency key must point to the entry or the hold that has it, and each of those have its key."""
    entries = holds = 0
    for key, sequence, number, entry, said, held, hold_said in book.connection.execute(
        "SELECT key, idempotency.entry_sequence, idempotency.hold_id, entry.sequence, entry.detail, hold.hold_id, "
        "hold.detail FROM idempotency LEFT JOIN entry ON entry.sequence = idempotency.entry_sequence "
        "LEFT JOIN hold ON hold.hold_id = idempotency.hold_id"
    ):
        is_own = key.startswith(OWN_KEY)
        entries += sequence is not None and not is_own
        holds += number is not None
        target = f"entry {sequence}" if sequence is not None else f"hold {number}"
        if (entry is None) == (held is None):
            book.problem(f"idempotency key {key!r:.80} points to {target}, which is missing")
        elif as_object((said if held is None else hold_said) or "").get("key") != (None if is_own else key):
            book.problem(f"idempotency key {key!r:.80} points to {target}, which has another key")
    (keyed_holds,) = book.connection.execute(
        "SELECT count(*) FROM hold WHERE json_valid(detail) AND json_extract(detail, '$.key') <> ''"
    ).fetchone()
    for what, have, known in (("entries", book.keyed_entries, entries), ("holds", keyed_holds, holds)):
        if have != known:
            book.problem(f"{have} {what} have an idempotency key, {known} keys point to one: a repeat may book again")


def _about(quarter: int, dimension_id: int) -> str:
    try:
        since = instant_text(instant_from_micros(quarter * QUARTER_US))
    except OverflowError:
        since = f"quarter-hour {quarter}"
    return f"dimension {dimension_id} from {since}"


def _said(figures: list[int]) -> str:
    return ", ".join(f"{figure} {name}" for name, figure in zip(_FIGURES, figures, strict=True))
