"""The ledger fails after a call: its usage waits in a file, and is booked once when the ledger works again."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import stat
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.processes import end, line_of, tell, workers
from tests.faults.spoiling import FAULTS, ledger_of, moved_away
from tokencalc import AsyncEngine, Budget, Engine, TokenCalculatorTool, Usage
from tokencalc.clock import ManualClock
from tokencalc.config import Settings
from tokencalc.errors import (
    CallInvalid,
    HoldNotOpen,
    IdempotencyConflict,
    LedgerClosed,
    LedgerUnavailable,
    UsageLost,
    UsageSpooled,
)
from tokencalc.ledger.spool import ReadBack, Spool, SpoolState

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tokencalc.ledger.store import Step

KEPT = "Nothing was booked yet, but this usage is safe in"
CALL: dict[str, Any] = {"model": "gpt-4o", "input_tokens": 1000, "output_tokens": 100, "agent_id": "a"}


@pytest.fixture
def clock() -> ManualClock:
    """Give the time of the test's engines."""
    return ManualClock()


@pytest.fixture
def engine(tmp_path: Path, clock: ManualClock) -> Iterator[Engine]:
    """Give an engine over a file, with a budget; its books must balance in the end."""
    with Engine.open(tmp_path / "ledger.db", clock=clock, settings=Settings()) as engine:
        engine.set_budget(Budget(name="b", limit_usd=10))
        yield engine
        assert engine.verify().problems == ()


def spool_of(engine: Engine) -> SpoolState:
    """Tell what lies in an engine's spool."""
    return Spool(ledger_of(engine)).state()


def spooled(engine: Engine, **arguments: Any) -> UsageSpooled:
    """Record a call while the ledger is away; return the error that says where it waits."""
    with moved_away(engine), pytest.raises(UsageSpooled, match=KEPT) as caught:
        engine.record(**{**CALL, **arguments})
    return caught.value


@pytest.mark.parametrize("fault", FAULTS)
def test_usage_of_a_ledger_that_fails_waits_and_is_booked_once(engine: Engine, fault: str) -> None:
    hold = engine.reserve(model="gpt-4o", amount_usd=1)
    with FAULTS[fault](engine):
        with pytest.raises(UsageSpooled, match=KEPT) as caught:
            engine.record(**CALL)
        with pytest.raises(UsageSpooled, match=KEPT):
            engine.settle(hold, input_tokens=2000)
        assert spool_of(engine).waiting == 2
    assert isinstance(caught.value.__cause__, LedgerUnavailable)
    assert caught.value.path == str(spool_of(engine).path)
    assert stat.S_IMODE(spool_of(engine).path.stat().st_mode) == 0o600
    assert ReadBack(booked=2) == engine.read_spool()
    assert ReadBack() == engine.read_spool()
    assert spool_of(engine) == SpoolState(
        path=spool_of(engine).path, refused_path=spool_of(engine).refused_path, waiting=0, refused=()
    )
    status = engine.budget_status("b")
    assert (Decimal("0.0085"), Decimal(0)) == (status.spent_usd, status.held_usd)
    assert [entry.hold_id for entry in engine.entries()] == [hold.hold_id, None]


def test_the_next_opening_books_what_waits(engine: Engine) -> None:
    error = spooled(engine)
    assert error.key.startswith("tokencalc-spool-")
    with Engine.open(engine.path, clock=engine.clock, settings=Settings()) as other:
        assert other.report().total.calls == 1
    assert spool_of(engine).waiting == 0


def test_the_sweep_books_what_waits(engine: Engine, clock: ManualClock) -> None:
    spooled(engine)
    engine.holds()
    assert spool_of(engine).waiting == 1
    clock.advance(61)
    engine.holds()
    assert spool_of(engine).waiting == 0
    (entry,) = engine.entries()
    assert entry.recorded_at - entry.at == clock.now() - entry.at
    assert entry.idempotency_key is None


def test_a_ledger_that_still_fails_keeps_what_waits(engine: Engine) -> None:
    spooled(engine)
    with moved_away(engine):
        assert ReadBack(waiting=1) == engine.read_spool()
        assert spool_of(engine).waiting == 1
    spooled(engine, agent_id="later")
    assert ReadBack(booked=2) == engine.read_spool()
    assert [entry.agent_id for entry in engine.entries()] == ["later", "a"]


def test_a_repeat_with_the_same_key_is_booked_once_whoever_comes_first(engine: Engine) -> None:
    assert spooled(engine, idempotency_key="k").key == "k"
    first = engine.record(**CALL, idempotency_key="k")
    engine.read_spool()
    assert first.entry_id == engine.record(**CALL, idempotency_key="k").entry_id
    spooled(engine, idempotency_key="k2")
    engine.read_spool()
    assert engine.record(**CALL, idempotency_key="k2").replayed
    assert engine.report().total.calls == 2


def test_what_the_book_does_not_take_any_more_is_kept_aside_with_the_reason(engine: Engine) -> None:
    hold = engine.reserve(model="gpt-4o", amount_usd=1)
    with moved_away(engine):
        with pytest.raises(UsageSpooled, match=KEPT):
            engine.settle(hold, input_tokens=2000)
        with pytest.raises(UsageSpooled, match=KEPT):
            engine.record(**CALL, idempotency_key="k")
    engine.settle(hold, input_tokens=3000)
    engine.record(model="gpt-4o", input_tokens=1, idempotency_key="k")
    assert ReadBack(refused=2) == engine.read_spool()
    settled, used = spool_of(engine).refused
    assert settled.startswith("HoldNotOpen: ")
    assert used.startswith("IdempotencyConflict: idempotency key 'k' was used before")
    assert engine.report().total.calls == 2


def test_a_hold_of_another_ledger_is_kept_aside(engine: Engine, tmp_path: Path, clock: ManualClock) -> None:
    hold = engine.reserve(model="gpt-4o", amount_usd=1)
    with moved_away(engine), pytest.raises(UsageSpooled, match=KEPT):
        engine.settle(hold, input_tokens=2000)
    other = tmp_path / "other.db"
    spool_of(engine).path.rename(Spool(other).path)
    with Engine.open(other, clock=clock, settings=Settings()) as elsewhere:
        (reason,) = spool_of(elsewhere).refused
        assert f"it settles hold {hold.hold_id}, which is not of this ledger" in reason
        assert list(elsewhere.entries()) == []
    engine.release(hold)


def test_a_settlement_by_id_alone_waits_too(engine: Engine) -> None:
    hold = engine.reserve(model="gpt-4o", amount_usd=1, tags={"team": "x"})
    expected = engine.reserve(model="gpt-4o", amount_usd=1, tags={"team": "x"})
    arguments: dict[str, Any] = {"operation": "o", "tags": {"more": "y"}, "context": {"processing": "batch"}}
    usage = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
    arguments |= {"usage": usage, "provider": "openai", "model": "gpt-4o-mini", "cost_usd": "0.5"}
    with moved_away(engine):
        with pytest.raises(UsageSpooled, match=KEPT):
            engine.settle(hold.hold_id, **arguments)
        with pytest.raises(CallInvalid, match="nothing says what was used"):
            engine.settle(hold.hold_id)
    engine.settle(expected.hold_id, **arguments)
    assert ReadBack(booked=1) == engine.read_spool()
    late, direct = engine.entries()
    assert (hold.hold_id, expected.hold_id) == (late.hold_id, direct.hold_id)
    for name in ("amount_pico", "usage", "lines", "tags", "context", "operation", "caller_pico", "model", "provider"):
        assert getattr(direct, name) == getattr(late, name), name


def test_many_calls_are_kept_together_and_each_is_booked_once(engine: Engine) -> None:
    calls = [{**CALL, "agent_id": str(number)} for number in range(1200)]
    with moved_away(engine), pytest.raises(UsageSpooled, match="the usage of 1200 calls is safe in") as caught:
        engine.record_many(calls)
    assert len(set(caught.value.keys)) == 1200
    assert ReadBack(booked=1200) == engine.read_spool()
    assert [entry.agent_id for entry in engine.entries()] == [str(number) for number in reversed(range(1200))]


def test_a_ledger_in_memory_has_no_spool(clock: ManualClock) -> None:
    with Engine.open(":memory:", clock=clock, settings=Settings()) as engine:
        with engine.store._gate:
            engine.store._open_writing().execute("PRAGMA query_only = ON")
        with pytest.raises(LedgerUnavailable, match="read-only") as caught:
            engine.record(**CALL)
        assert type(caught.value) is LedgerUnavailable
        with pytest.raises(LedgerUnavailable, match="read-only"):
            engine.record_many([CALL])


def test_mistakes_and_a_closed_engine_are_no_failures_of_the_ledger(engine: Engine, clock: ManualClock) -> None:
    with moved_away(engine), pytest.raises(CallInvalid, match="unknown argument"):
        engine.record(**CALL, modell="x")  # type: ignore[call-arg]  # the mistake
    engine.record(**CALL, idempotency_key="k")
    with pytest.raises(IdempotencyConflict, match="used before"):
        engine.record(model="gpt-4o", input_tokens=1, idempotency_key="k")
    hold = engine.reserve(model="gpt-4o", amount_usd=1)
    engine.settle(hold, input_tokens=1)
    with pytest.raises(HoldNotOpen, match="settled with other arguments"):
        engine.settle(hold, input_tokens=2)
    other = Engine.open(engine.path, clock=clock, settings=Settings())
    other.close()
    with pytest.raises(LedgerClosed, match="closed"):
        other.record(**CALL)
    assert not spool_of(engine).path.exists()


def test_where_the_spool_fails_too_the_error_has_the_usage(engine: Engine) -> None:
    Spool(ledger_of(engine)).path.mkdir()
    hold = engine.reserve(model="gpt-4o", amount_usd=1)
    with moved_away(engine):
        with pytest.raises(UsageLost, match="this usage is lost unless you keep it") as caught:
            engine.record(**CALL)
        with pytest.raises(UsageLost, match="cannot be written either") as by_id:
            engine.settle(hold.hold_id, input_tokens=7)
    assert caught.value.usage == (Usage(input_tokens=1000, output_tokens=100),)
    assert by_id.value.usage == (Usage(input_tokens=7),)
    assert json.loads(caught.value.lines[0])["spooled"]["chain"] == engine.store.chain_id
    assert ReadBack() == engine.read_spool()
    # What the error holds is what the file would have held.
    Spool(ledger_of(engine)).path.rmdir()
    Spool(ledger_of(engine)).path.write_text(f"{caught.value.lines[0]}\n", encoding="ascii")
    assert ReadBack(booked=1) == engine.read_spool()
    engine.release(hold)


def test_a_disk_without_room_for_the_spool_leaves_no_half_line(engine: Engine) -> None:
    spooled(engine)
    size = spool_of(engine).path.stat().st_size
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, limit[1]))
    try:
        with moved_away(engine), pytest.raises(UsageLost, match="File too large"):
            engine.record(**CALL)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, ignored)
    assert spool_of(engine).path.stat().st_size == size
    assert ReadBack(booked=1) == engine.read_spool()


def test_a_commit_whose_end_was_not_seen_is_not_booked_again(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    run_batch = engine.store.writer._run_batch

    def commits_and_fails(steps: list[Step[Any]]) -> list[Any]:
        run_batch(steps)
        raise LedgerUnavailable("the disk answered with an error", ledger="x")

    with monkeypatch.context() as patch:
        patch.setattr(engine.store.writer, "_run_batch", commits_and_fails)
        with pytest.raises(UsageSpooled, match=KEPT):
            engine.record(**CALL)
    assert ReadBack(booked=1) == engine.read_spool()
    assert engine.report().total.calls == 1


def test_tasks_of_a_failing_ledger_keep_their_usage(engine: Engine, clock: ManualClock) -> None:
    twin = AsyncEngine(engine)

    async def work() -> None:
        hold = await twin.reserve(model="gpt-4o", amount_usd=1)
        named = await twin.reserve(model="gpt-4o", amount_usd=1)
        with moved_away(engine):
            for call in (
                twin.record(**CALL),
                twin.settle(hold, input_tokens=1),
                twin.settle(named.hold_id, cost_usd=1),
            ):
                with pytest.raises(UsageSpooled, match=KEPT):
                    await call
            with pytest.raises(UsageSpooled, match="the usage of 2 calls"):
                await twin.record_many([CALL, CALL])

    asyncio.run(work())
    assert spool_of(engine).waiting == 5
    clock.advance(61)
    engine.holds()
    assert spool_of(engine).waiting == 0
    assert engine.report().total.calls == 5


def test_a_sweep_on_an_event_loop_reads_back_without_waiting(engine: Engine, clock: ManualClock) -> None:
    spooled(engine)
    clock.advance(61)
    twin = AsyncEngine(engine)

    async def until_read() -> int:
        calls = 0
        while not engine.report().total.calls:
            await twin.holds()
            calls += 1
        return calls

    assert asyncio.run(until_read()) > 0
    assert engine.report().total.calls == 1


def test_the_tool_goes_on_and_says_that_the_usage_waits(engine: Engine, clock: ManualClock) -> None:
    tool = TokenCalculatorTool(engine, clock=clock)
    with moved_away(engine):
        ok, answer = asyncio.run(tool.execute("track_usage", **CALL, operation="o", idempotency_key="k"))
    assert (ok, answer["spooled"], answer["entry_id"], answer["idempotency_key"]) == (True, True, None, "k")
    assert answer["spool"] == str(spool_of(engine).path)
    assert KEPT in answer["notes"][0]
    engine.read_spool()
    ok, answer = asyncio.run(tool.execute("track_usage", **CALL, operation="o", idempotency_key="k"))
    assert (ok, answer["spooled"], answer["replayed"]) == (True, False, True)
    assert engine.report().total.calls == 1
    Spool(ledger_of(engine)).path.mkdir()
    with moved_away(engine):
        ok, answer = asyncio.run(tool.execute("track_usage", **CALL, operation="o"))
    assert (ok, answer["error"], answer["retry"]["input_tokens"]) == (False, "usage_lost", 1000)


# processes


def test_a_child_of_a_fork_keeps_and_reads_back_by_itself(engine: Engine) -> None:
    spooled(engine)
    child = os.fork()
    if not child:
        try:
            spooled(engine, agent_id="child")
            engine.read_spool()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert {entry.agent_id for entry in engine.entries()} == {"a", "child"}
    assert ReadBack() == engine.read_spool()


def spool_many(engine: Engine, calls: int) -> None:
    """Let so many calls wait."""
    with moved_away(engine), pytest.raises(UsageSpooled, match=f"the usage of {calls} calls"):
        engine.record_many([{**CALL, "agent_id": str(number)} for number in range(calls)])


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_that_read_back_at_once_book_each_line_once(engine: Engine, processes: int) -> None:
    with workers("read_spool", ledger_of(engine), 0, processes) as started:
        for worker in started:
            assert line_of(worker) == "ready"
        spool_many(engine, 700)
        for worker in started:
            tell(worker)
        booked = [int(line_of(worker)) for worker in started]
    assert sum(booked) == engine.report().total.calls == 700
    assert len({entry.agent_id for entry in engine.entries()}) == 700


def test_a_process_killed_while_it_reads_back_loses_and_doubles_nothing(engine: Engine) -> None:
    with workers("read_spool", ledger_of(engine), 0, 1) as (worker,):
        assert line_of(worker) == "ready"
        spool_many(engine, 3000)
        tell(worker)
        while not engine.report().total.calls:
            pass
        end(worker)
    engine.read_spool()
    assert engine.report().total.calls == 3000
    assert len({entry.agent_id for entry in engine.entries()}) == 3000
