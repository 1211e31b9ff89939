"""The same key books once: a repeat returns the first result, other arguments are an error."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.calls import MODEL, figures, hold, spend, usd
from tokencalc import Budget, Usage
from tokencalc.errors import BudgetExceeded, IdempotencyConflict

if TYPE_CHECKING:
    from tests.contract.conftest import Book
    from tokencalc import Engine

FIRST: dict[str, Any] = {"model": "gpt-4o", "input_tokens": 1000, "agent_id": "a", "idempotency_key": "k"}


def test_a_repeated_record_returns_the_first_entry(engine: Engine) -> None:
    first, again = engine.record(**FIRST), engine.record(**FIRST, output_tokens=None)
    assert (first.entry_id, False, True) == (again.entry_id, first.replayed, again.replayed)
    assert engine.report().total.calls == 1


@pytest.mark.parametrize(
    "other",
    [
        {"input_tokens": 1001},
        {"agent_id": "b"},
        {"model": "gpt-4o-mini"},
        {"output_tokens": 0},
        {"tags": {"a": "b"}},
        {"cost_usd": 1},
        {"at": datetime(2026, 11, 20, tzinfo=UTC)},
    ],
)
def test_the_same_key_with_other_arguments_is_an_error(engine: Engine, other: dict[str, Any]) -> None:
    engine.record(**FIRST)
    head = engine.verify().head
    with pytest.raises(IdempotencyConflict, match=r"idempotency key 'k' was used before with other arguments"):
        engine.record(**(FIRST | other))
    assert head == engine.verify().head


def test_a_key_of_a_record_does_not_fit_a_reserve_nor_the_other_way_round(engine: Engine) -> None:
    spend(engine, 1, idempotency_key="recorded")
    hold(engine, 1, idempotency_key="held")
    with pytest.raises(IdempotencyConflict, match="'recorded' was used before"):
        hold(engine, 1, idempotency_key="recorded")
    with pytest.raises(IdempotencyConflict, match="'held' was used before"):
        spend(engine, 1, idempotency_key="held")


def test_a_repeated_reserve_returns_the_first_hold_as_it_stands(engine: Engine) -> None:
    engine.set_budget(Budget(name="b", limit_usd=1))
    first = hold(engine, "0.8", idempotency_key="k")
    again = hold(engine, "0.8", idempotency_key="k")
    assert (first.hold_id, "open", True) == (again.hold_id, again.state, again.replayed)
    assert usd("0", "0.8", "0.2") == figures(engine, "b")
    engine.settle(first, cost_usd="0.5")
    ended = hold(engine, "0.8", idempotency_key="k")
    assert (ended.state, ended.replayed) == ("settled", True)
    assert usd("0.5", "0", "0.5") == figures(engine, "b")


def test_a_refused_reserve_leaves_its_key_free(engine: Engine) -> None:
    engine.set_budget(Budget(name="b", limit_usd="0.5"))
    with pytest.raises(BudgetExceeded, match=r"has 0.5 USD left"):
        hold(engine, 1, idempotency_key="k")
    engine.set_budget(Budget(name="b", limit_usd=5))
    assert not hold(engine, 1, idempotency_key="k").replayed


@pytest.mark.parametrize("repeats", [8, 32])
def test_racing_repeats_book_once(engine: Engine, repeats: int) -> None:
    start = Barrier(repeats)

    def run(_: int) -> tuple[str, str]:
        start.wait(timeout=30)
        return (
            spend(engine, 1, idempotency_key="recorded").entry_id,
            hold(engine, 1, idempotency_key="held").hold_id,
        )

    with ThreadPoolExecutor(repeats) as pool:
        found = set(pool.map(run, range(repeats)))
    assert len(found) == 1
    assert engine.report().total.cost_usd == Decimal(1)
    assert len(engine.holds()) == 1


def test_record_many_books_repeats_once_and_tells_conflicts_apart(engine: Engine) -> None:
    calls = [{"model": MODEL, "cost_usd": n, "idempotency_key": f"k{n % 3}"} for n in (0, 1, 2, 1, 5)]
    first, second, third, again, conflict = engine.record_many(calls)
    assert isinstance(conflict, IdempotencyConflict)
    assert [one.replayed for one in (first, second, third, again) if not isinstance(one, IdempotencyConflict)] == [
        False,
        False,
        False,
        True,
    ]
    assert engine.report().total.cost_usd == Decimal(3)


def test_keys_hold_across_openings_and_usages_of_any_form(book: Book) -> None:
    payload = {"model": "gpt-4o", "object": "chat.completion", "choices": [{"index": 0}],
               "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}  # fmt: skip
    engine = book.open()
    entry = engine.record(usage=payload, idempotency_key="payload")
    used = engine.record(model="gpt-4o", usage=Usage(input_tokens=1), idempotency_key="usage")
    later = engine if book.place == ":memory:" else book.open()
    assert entry.entry_id == later.record(usage=dict(payload), idempotency_key="payload").entry_id
    assert used.entry_id == later.record(model="gpt-4o", usage=Usage(input_tokens=1), idempotency_key="usage").entry_id
    with pytest.raises(IdempotencyConflict, match="'usage' was used before"):
        later.record(model="gpt-4o", usage=Usage(input_tokens=2), idempotency_key="usage")


def test_arguments_without_a_json_form_can_carry_a_key(engine: Engine) -> None:
    payload: dict[Any, Any] = {"model": "gpt-4o", "object": "chat.completion", 5: "five", ("a",): "tuple",
                               "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}  # fmt: skip
    first = engine.record(usage=payload, idempotency_key="k")
    assert first.entry_id == engine.record(usage=payload, idempotency_key="k").entry_id
