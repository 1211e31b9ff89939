"""The expected output is the table's until enough calls of the kind are booked; then it is what those gave back."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokencalc import AsyncEngine, Budget, Engine, Usage
from tokencalc.clock import ManualClock
from tokencalc.config import Settings
from tokencalc.errors import CallInvalid
from tokencalc.ledger.outputs import KEPT_CALLS, LOOKED_AT_ROWS, newest_outputs
from tokencalc.outputs import KEPT_FOR_S, LEARNED_FROM_CALLS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


@pytest.fixture
def engine() -> Iterator[Engine]:
    """Give an engine over memory, whose time stands still."""
    with Engine.open(":memory:", clock=ManualClock(), settings=Settings()) as engine:
        yield engine


def book(engine: Engine, outputs: Iterable[int], *, model: str = "gpt-4o", operation: str = "simple_chat") -> None:
    """Book one charge for each output count."""
    engine.record_many(
        {"model": model, "usage": Usage(input_tokens=1000, output_tokens=output), "operation": operation}
        for output in outputs
    )


def expected(engine: Engine, **arguments: Any) -> tuple[int, str]:
    """Return the output that an estimate for 1000 tokens expects, and where it comes from."""
    given = {"model": "gpt-4o", "operation_type": "simple_chat", **arguments}
    found = engine.estimate(input_tokens=1000, **given)
    return found.output_tokens, found.output_method


BOOKED = range(1001, 1001 + LEARNED_FROM_CALLS)
TABLE, LEARNED = (400, "table"), (1015, "ledger")


@pytest.mark.parametrize(("answer", "calls"), [(TABLE, 0), (TABLE, 29), (LEARNED, 30)])
def test_the_table_is_replaced_by_the_median_of_thirty_calls(
    engine: Engine, answer: tuple[int, str], calls: int
) -> None:
    book(engine, BOOKED[:calls])
    assert answer == expected(engine)


@pytest.mark.parametrize(
    ("answer", "arguments"),
    [
        (LEARNED, {"operation_type": None}),
        (LEARNED, {"operation_type": None, "operation": "simple_chat"}),
        (LEARNED, {"operation_type": "summarization", "operation": "simple_chat"}),
        ((500, "table"), {"operation_type": None, "operation": "of another name"}),
        ((200, "table"), {"operation_type": "summarization"}),
        (TABLE, {"model": "gpt-4o-mini"}),
        (TABLE, {"model": "claude-sonnet-4-5"}),
        ((700, "ledger"), {"max_output_tokens": 700}),
        ((0, "ledger"), {"max_output_tokens": 0}),
        ((3045, "ledger"), {"choices": 3}),
        ((0, "table"), {"operation_type": "embedding"}),
        ((0, "table"), {"operation_type": "embedding", "max_output_tokens": 50}),
        ((0, "table"), {"model": "text-embedding-3-small", "operation_type": None, "max_output_tokens": 50}),
    ],
)
def test_calls_speak_for_their_model_and_operation_and_never_above_the_limit(
    engine: Engine, answer: tuple[int, str], arguments: dict[str, Any]
) -> None:
    book(engine, BOOKED)
    assert answer == expected(engine, **arguments)


def test_the_note_says_how_many_calls_and_how_they_spread(engine: Engine) -> None:
    book(engine, [100] * 10 + [200] * 20 + [900] * 10)
    notes = engine.estimate(model="gpt-4o", input_tokens=1, operation_type="simple_chat").notes
    assert (
        "the expected output is the median of the ledger's newest 40 calls of gpt-4o for simple_chat; half of them "
        "gave 100 to 200 tokens"
    ) in notes


def test_a_name_that_is_served_under_a_dated_one_learns_from_it(engine: Engine) -> None:
    body = {"model": "gpt-4o-2024-08-06", "usage": {"prompt_tokens": 9, "completion_tokens": 77, "total_tokens": 86}}
    engine.record_many({"model": "gpt-4o", "usage": body} for _ in BOOKED)
    assert expected(engine, operation_type=None) == (77, "ledger")
    assert expected(engine, operation_type=None, model="gpt-4o-2024-08-06") == (77, "ledger")


def test_what_is_no_whole_answer_teaches_nothing(engine: Engine) -> None:
    cut = Usage.from_leaves(Usage(input_tokens=1000, output_tokens=3).leaves, is_interrupted=True)
    engine.record_many({"model": "gpt-4o", "usage": cut} for _ in range(50))
    engine.record_many({"model": "gpt-4o", "cost_usd": "0.01"} for _ in range(50))
    tags = {"requested_model": "gpt-4o"}
    engine.record_many(
        {"model": "gpt-4o-mini", "usage": Usage(input_tokens=1, output_tokens=1), "tags": tags} for _ in range(50)
    )
    engine.set_budget(Budget(name="daily", limit_usd="100"))
    assert expected(engine, operation_type=None) == (500, "table")


def test_the_worst_case_and_a_hold_do_not_ask_the_ledger(engine: Engine) -> None:
    arguments: dict[str, Any] = {"model": "gpt-4o", "input_tokens": 1000, "operation_type": "simple_chat"}
    before, hold_before = engine.estimate(**arguments), engine.reserve(**arguments)
    book(engine, BOOKED)
    engine.clock.advance(KEPT_FOR_S)  # type: ignore[attr-defined]  # the fixture's clock
    after, hold_after = engine.estimate(**arguments), engine.reserve(**arguments)
    assert before.cost_usd != after.cost_usd
    assert (before.cost_max_usd, before.output_tokens_max) == (after.cost_max_usd, after.output_tokens_max)
    assert (hold_before.amount_usd, hold_before.expected_usd) == (hold_after.amount_usd, hold_after.expected_usd)


def test_an_answer_stands_for_a_minute_and_is_read_again_then(engine: Engine) -> None:
    book(engine, [100] * 30)
    assert expected(engine) == (100, "ledger")
    book(engine, [500] * 40)
    assert expected(engine) == (100, "ledger")
    engine.clock.advance(KEPT_FOR_S)  # type: ignore[attr-defined]  # the fixture's clock
    assert expected(engine) == (500, "ledger")


def test_only_the_newest_calls_of_the_newest_entries_count(engine: Engine) -> None:
    book(engine, [900] * 300)
    book(engine, [100] * KEPT_CALLS)
    assert newest_outputs(engine.store, provider="openai", model="gpt-4o", operation=None) == (100,) * KEPT_CALLS
    book(engine, [7] * (LOOKED_AT_ROWS - 50), model="gpt-4o-mini")
    assert newest_outputs(engine.store, provider="openai", model="gpt-4o", operation=None) == (100,) * 50
    book(engine, [7] * 50, model="gpt-4o-mini")
    assert newest_outputs(engine.store, provider="openai", model="gpt-4o", operation=None) == ()


@settings(max_examples=20)
@given(outputs=st.lists(st.integers(0, 20_000), min_size=30, max_size=80), limit=st.integers(0, 20_000))
def test_the_same_ledger_gives_the_same_estimate_within_the_limit(
    tmp_path_factory: pytest.TempPathFactory, outputs: list[int], limit: int
) -> None:
    path = tmp_path_factory.mktemp("ledger") / "usage.db"
    arguments: dict[str, Any] = {"model": "gpt-4o", "input_tokens": 1000, "max_output_tokens": limit}
    with Engine.open(path, clock=ManualClock(), settings=Settings(), durability="normal") as engine:
        book(engine, outputs)
        first = engine.estimate(**arguments)
    with Engine.open(path, clock=ManualClock(), settings=Settings()) as engine:
        again = engine.estimate(**arguments)
    assert first == again
    assert min(outputs) <= first.output_tokens <= limit or first.output_tokens == limit


def test_the_async_twin_learns_as_well(engine: Engine) -> None:
    book(engine, BOOKED)
    found = asyncio.run(AsyncEngine(engine).estimate(model="gpt-4o", input_tokens=1, operation_type="simple_chat"))
    assert (found.output_tokens, found.output_method) == LEARNED


def test_a_ledger_that_cannot_be_read_leaves_the_table_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "usage.db"
    with Engine.open(path, clock=ManualClock(), settings=Settings()) as engine:
        book(engine, BOOKED)
        with sqlite3.connect(path) as connection:
            connection.execute("UPDATE entry SET usage = '[]'")
        found = engine.estimate(model="gpt-4o", input_tokens=1000, operation_type="simple_chat")
    assert (found.output_tokens, found.output_method) == TABLE
    assert "the expected output is the table's, the ledger could not be read: ledger " in " ".join(found.notes)


def test_a_label_that_could_not_be_booked_is_refused(engine: Engine) -> None:
    with pytest.raises(CallInvalid, match="operation: "):
        engine.estimate(model="gpt-4o", input_tokens=1, operation="")
