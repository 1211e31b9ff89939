"""The monitor: what it records, what it survives, and that it starts and stops as it says."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.machines import Given, Kept, Machine, Pump, Stuck
from tokencalc.async_engine import AsyncEngine
from tokencalc.clock import ManualClock
from tokencalc.engine import Engine
from tokencalc.errors import CallInvalid, LedgerUnavailable
from tokencalc.ledger.samples import MOST_SERIES
from tokencalc.limits.breaker import Breaker, BreakerProfile
from tokencalc.limits.limiter import Limiter
from tokencalc.monitor.host import Space
from tokencalc.monitor.limiter import LimiterCollector
from tokencalc.monitor.monitor import Monitor
from tokencalc.monitor.operations import Operations, PerformanceCollector
from tokencalc.monitor.resource import ResourceCollector
from tokencalc.monitor.rounds import PATIENCE_S, Rounds, Work
from tokencalc.monitor.rounds import WAIT_S as WAIT_AT_END_S
from tokencalc.monitor.samples import Sample
from tokencalc.monitor.steady import AGAIN_S
from tokencalc.monitor.stored import latest_limiter_samples
from tokencalc.monitor.tracking import track

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from tokencalc.monitor.samples import Collector

OURS = ("monitor.collect_s", "monitor.problems", "monitor.lost_samples")
WAIT_S = 30
"""For what happens at once; a test that waits so long is red."""


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def engine(clock: ManualClock) -> Iterator[Engine]:
    with Engine.open(":memory:", clock=clock) as opened:
        yield opened


@pytest.fixture
def kept() -> Kept:
    return Kept()


def foreign(kept: Kept) -> list[Sample]:
    """Return what was recorded, without the monitor's own figures."""
    return [sample for sample in kept.samples if sample.name not in OURS]


def test_a_collection_records_what_all_collectors_give_at_one_instant(
    engine: Engine, kept: Kept, clock: ManualClock
) -> None:
    one, two = Sample("a.x", 1), Sample("b.y", 2, {"core": "0"})
    monitor = Monitor(engine, collectors=[Given("a", one), Given("b", two)], sink=kept)
    samples = monitor.collect_once()
    assert foreign(kept) == [one, two]
    assert set(kept.instants) == {clock.now()}
    assert kept.sources == ["a", "b", *["monitor"] * len(OURS)]
    assert samples == monitor.latest
    assert {sample.name for sample in samples} == {"a.x", "b.y", *OURS}


def test_the_usual_collectors_are_the_machine_this_process_limiters_and_operations(engine: Engine, kept: Kept) -> None:
    operations = Operations(clock=engine.clock)
    limiter, breaker = Limiter(60, name="openai/gpt-4o", clock=engine.clock), Breaker(BreakerProfile(failures=1))
    breaker.enter().failed()
    limiter.acquire()
    with track("work", into=operations):
        pass
    monitor = Monitor(
        engine,
        sink=kept,
        operations=operations,
        limiters=lambda: [limiter],
        breakers=lambda: {"openai/gpt-4o": breaker},
    )
    assert monitor.get_rate_limiter_summary() == {"total_limiters": 0, "overall_health": None}
    monitor.collect_once()
    assert monitor.get_rate_limiter_summary() == {"total_limiters": 1, "overall_health": "healthy"}
    of_model = {"provider": "openai", "model": "gpt-4o"}
    assert Sample("limiter.granted", 1, {"limiter": "openai/gpt-4o", **of_model}) in kept.samples
    assert Sample("limiter.health", 0, {"limiter": "openai/gpt-4o", **of_model}) in kept.samples
    assert Sample("breaker.state", 2, {"breaker": "openai/gpt-4o", **of_model}) in kept.samples
    assert Sample("operation.calls", 1, {"operation": "work"}) in kept.samples
    assert {"system.memory_share", "process.memory_rss_bytes"} <= {sample.name for sample in kept.samples}


def test_host_figures_are_recorded_by_one_of_two_and_read_by_both(tmp_path: Path) -> None:
    host, own = Given("host", Sample("system.cpu_share", 0.5), is_host=True), Given("own", Sample("process.cpu_s", 1))
    with Engine.open(tmp_path / "usage.db") as engine, Engine.open(tmp_path / "usage.db") as other:
        first, second = Kept(), Kept()
        monitors = [Monitor(one, collectors=[host, own], sink=sink) for one, sink in ((engine, first), (other, second))]
        for _ in range(2):
            for monitor in monitors:
                monitor.collect_once()
        assert (first.values("system.cpu_share"), second.values("system.cpu_share")) == ([0.5, 0.5], [])
        assert (first.values("process.cpu_s"), second.values("process.cpu_s")) == ([1, 1], [1, 1])
        assert [monitor.records_host for monitor in monitors] == [True, False]
        assert monitors[1].get_current_metrics()["resource_metrics"]["cpu_percent"] == 50


def test_the_other_takes_over_when_the_one_stops(tmp_path: Path) -> None:
    host = Given("host", Sample("system.cpu_share", 0.5), is_host=True)
    with Engine.open(tmp_path / "usage.db") as engine:
        second = Kept()
        other = Monitor(engine, collectors=[host], sink=second)
        with Monitor(engine, collectors=[host], sink=Kept()) as monitor:
            wait_for(lambda: monitor.records_host)
            other.collect_once()
            assert second.values("system.cpu_share") == []
        other.collect_once()
        assert second.values("system.cpu_share") == [0.5]


def test_a_lease_that_cannot_be_taken_costs_host_figures_only(tmp_path: Path, kept: Kept) -> None:
    collectors = [Given("host", Sample("h.x", 1), is_host=True), Given("own", Sample("o.x", 1))]
    with Engine.open(tmp_path / "folder" / "usage.db") as engine:
        monitor = Monitor(engine, collectors=collectors, sink=kept)
        (tmp_path / "folder").rename(tmp_path / "moved")
        monitor.collect_once()
        (tmp_path / "moved").rename(tmp_path / "folder")
    assert foreign(kept) == [Sample("o.x", 1)]
    assert "lease" in monitor.problems[0]


def test_a_broken_collector_is_told_once_and_the_others_go_on(
    engine: Engine, kept: Kept, caplog: pytest.LogCaptureFixture
) -> None:
    broken, well = Given("broken", Sample("b.x", 1)), Given("well", Sample("w.x", 1))
    broken.failing = RuntimeError("no such thing")
    monitor = Monitor(engine, collectors=[broken, well], sink=kept)
    for _ in range(3):
        monitor.collect_once()
    assert [record.getMessage() for record in caplog.records] == [
        "the monitor's collector broken failed: RuntimeError: no such thing; told once"
    ]
    assert kept.values("w.x") == [1, 1, 1]
    assert kept.values("monitor.problems") == [1, 1, 1]
    broken.failing = None
    monitor.collect_once()
    assert kept.values("b.x") == [1]
    assert not monitor.problems


@pytest.mark.parametrize("error", [SystemExit(3), asyncio.CancelledError(), GeneratorExit()])
def test_what_would_end_a_thread_is_survived_and_told(error: BaseException, engine: Engine, kept: Kept) -> None:
    broken, pumped = Given("broken"), threading.Semaphore(0)
    broken.failing = error

    def stubborn(_: object) -> None:
        pumped.release()
        raise error

    with Monitor(engine, every_s=0.001, collectors=[broken], pumps=[stubborn], sink=kept) as monitor:
        assert all(pumped.acquire(timeout=WAIT_S) for _ in range(3))
        assert monitor.is_running
        wait_for(
            lambda: (
                {text.split(":")[0] for text in monitor.problems}
                == {"the monitor's collector broken failed", "the monitor's pump 0 failed"}
            )
        )


FIELDS: tuple[Any, ...] = (("x", 1, None), (7, 1), ("x", float("nan")), ("x", "1"), ("x", True), ("x", 1, {"a": 1}))
BAD = [("t", 1), None, *(Sample(*fields) for fields in FIELDS)]


@pytest.mark.parametrize("bad", BAD, ids=repr)
def test_what_is_no_sample_costs_only_itself(
    bad: Any, engine: Engine, kept: Kept, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[object] = []
    pumped: list[datetime] = []
    collectors = [Given("foreign", bad, Sample("f.x", 1)), Given("well", Sample("w.x", 1))]
    monitor = Monitor(engine, collectors=collectors, listeners=[heard.append], pumps=[pumped.append], sink=kept)
    monitor.collect_once()
    monitor.collect_once()
    assert (kept.values("f.x"), kept.values("w.x"), len(heard), len(pumped)) == ([1, 1], [1, 1], 2, 2)
    assert monitor.lost == 2
    (told,) = (record.getMessage() for record in caplog.records)
    assert told.startswith("collector foreign: expected Sample(name, finite number, labels as texts), found ")
    collectors[0].samples = (Sample("f.x", 1),)
    monitor.collect_once()
    assert not monitor.problems
    assert monitor.get_current_metrics()["resource_metrics"]["cpu_percent"] is None


def test_a_sink_that_breaks_is_told_and_stops_no_pump(engine: Engine, kept: Kept) -> None:
    kept.failing = TypeError("not of ours")
    pumped: list[datetime] = []
    monitor = Monitor(engine, collectors=[Given("a", Sample("a.x", 1))], pumps=[pumped.append], sink=kept)
    monitor.collect_once()
    assert monitor.problems[0] == "the monitor's recording of a failed: TypeError: not of ours; told once"
    assert len(pumped) == 1


def test_a_broken_list_of_problems_is_survived(engine: Engine, kept: Kept) -> None:
    class Odd(Given):
        @property
        def problems(self) -> tuple[str, ...]:
            raise KeyError("no list")

    monitor = Monitor(engine, collectors=[Odd("odd", Sample("o.x", 1))], sink=kept)
    monitor.collect_once()
    assert kept.values("o.x") == [1]
    assert "odd's list of problems failed: KeyError" in monitor.problems[0]


@pytest.mark.parametrize("other", [None, 5, object(), Given, Given(7)])  # type: ignore[arg-type]  # the mistake
def test_what_is_no_collector_is_refused_at_birth(other: Any, engine: Engine, kept: Kept) -> None:
    with pytest.raises(
        CallInvalid, match=r"collectors: expected something with a name, is_host and collect\(\), found"
    ):
        Monitor(engine, collectors=[other], sink=kept)


class UnprintableError(Exception):
    """An error whose text is an error."""

    def __str__(self) -> str:
        """Fail."""
        raise ValueError("no text")


def test_an_error_without_a_text_is_survived(engine: Engine, kept: Kept) -> None:
    broken = Given("broken")
    broken.failing = UnprintableError()
    monitor = Monitor(engine, collectors=[broken], sink=kept)
    monitor.collect_once()
    assert monitor.problems == ("the monitor's collector broken failed: UnprintableError; told once",)


def test_listeners_and_pumps_are_served_and_a_broken_one_is_isolated(
    engine: Engine, kept: Kept, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[tuple[Sample, ...]] = []
    pumped: list[datetime] = []

    def broken(_: object) -> None:
        raise ZeroDivisionError

    monitor = Monitor(
        engine,
        collectors=[Given("a", Sample("a.x", 1))],
        listeners=[broken, heard.append],
        pumps=[broken, pumped.append],
        sink=kept,
    )
    monitor.collect_once()
    monitor.collect_once()
    assert [samples[0] for samples in heard] == [Sample("a.x", 1)] * 2
    assert pumped == [clock.now()] * 2
    assert len(caplog.records) == 2


def test_a_failing_ledger_is_told_once_and_asked_once_a_round(
    engine: Engine, kept: Kept, caplog: pytest.LogCaptureFixture
) -> None:
    kept.failing = LedgerUnavailable("the disk is full", ledger="usage.db")
    monitor = Monitor(engine, collectors=[Given("a", Sample("a.x", 1), Sample("a.y", 2))], sink=kept)
    for _ in range(3):
        monitor.collect_once()
    # One of the collector's figures and one of the monitor's own.
    assert kept.asked == 6
    assert [record.getMessage() for record in caplog.records] == ["samples are lost: the disk is full; told once"]
    assert monitor.lost == 3 * 5
    kept.failing = None
    monitor.collect_once()
    assert kept.values("monitor.lost_samples") == [15]
    assert not monitor.problems


def break_samples(engine: Engine, *, now: bool) -> None:
    """Take the samples' table away, or bring it back: what a full disk is to a write."""
    before, after = ("sample", "hidden") if now else ("hidden", "sample")
    engine.store.aside(lambda connection: connection.execute(f"ALTER TABLE {before} RENAME TO {after}"))


def test_samples_that_could_not_be_written_are_counted_and_told_once(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    monitor = Monitor(engine, collectors=[Given("a", Sample("a.x", 1), Sample("a.y", 2))])
    break_samples(engine, now=True)
    for _ in range(3):
        monitor.collect_once()
    assert monitor.lost == 3 * 5
    (told,) = (record.getMessage() for record in caplog.records)
    assert told.startswith("samples are lost: ")
    assert monitor.problems == (told,)
    break_samples(engine, now=False)
    monitor.collect_once()
    assert not monitor.problems
    assert engine.samples_dropped() == 15
    assert [sample.value for sample in engine.metric_history("monitor.lost_samples")] == [15]


def test_a_disk_that_is_full_is_told_in_the_same_round(caplog: pytest.LogCaptureFixture) -> None:
    with Engine.open(":memory:") as engine:
        engine.store.aside(lambda connection: connection.execute("PRAGMA max_page_count = 1"))
        (pages,) = engine.store.aside(lambda connection: connection.execute("PRAGMA page_count").fetchone())
        monitor = Monitor(engine, collectors=[Given("a", *(Sample("a.x", 1, {"n": str(n)}) for n in range(5000)))])
        monitor.collect_once()
        assert monitor.lost > 0, pages
        assert "full" in monitor.problems[0]
        assert len(caplog.records) == 1


def test_a_ledger_without_room_for_series_is_told_and_keeps_the_monitors_own(engine: Engine) -> None:
    engine.store.aside(
        lambda connection: connection.executemany(
            "INSERT INTO series (name, labels, unit, host, source) VALUES (?, '{}', '', '', '')",
            ((f"own-{number}",) for number in range(MOST_SERIES)),
        )
    )
    monitor = Monitor(engine, collectors=[Given("a", Sample("mine.x", 1), Sample("system.load_1m", 2))])
    monitor.collect_once()
    assert monitor.lost == 1
    assert monitor.problems[0].startswith("samples are lost: the ledger has its 10000 series")
    assert [sample.value for sample in engine.metric_history("system.load_1m")] == [2]


def test_a_refused_sample_costs_only_itself(engine: Engine) -> None:
    class Choosy(Kept):
        def record_metric(self, name: str, value: float, **more: Any) -> bool:
            if name == "a.bad":
                raise CallInvalid("value: expected a finite number, found nan", path="value", found="nan")
            return super().record_metric(name, value, **more)

    sink = Choosy()
    monitor = Monitor(engine, collectors=[Given("a", Sample("a.bad", 1), Sample("a.x", 1))], sink=sink)
    monitor.collect_once()
    assert foreign(sink) == [Sample("a.x", 1)]
    assert monitor.lost == 1


def test_what_is_told_is_bounded_too(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    samples = [Sample(f"{number}{'x' * 10_000}", 1) for number in range(300)]
    monitor = Monitor(engine, collectors=[Given("a", *samples)])
    monitor.collect_once()
    assert monitor.lost == 300
    assert len(caplog.records) == len(monitor.problems) == 100
    assert max(len(text) for text in monitor.problems) < 1000


def test_what_the_ledger_drops_is_counted_as_lost(engine: Engine, kept: Kept) -> None:
    monitor = Monitor(engine, collectors=[Given("a", Sample("a.x", 1))], sink=kept)
    kept.is_full = True
    monitor.collect_once()
    kept.is_full = False
    monitor.collect_once()
    assert kept.values("monitor.lost_samples") == [1 + len(OURS)]
    assert not monitor.problems


def test_figures_that_stay_are_recorded_when_they_change_and_now_and_then(
    engine: Engine, kept: Kept, clock: ManualClock
) -> None:
    collector = Given("a", Sample("system.memory_total_bytes", 5), Sample("system.memory_share", 0.5))
    monitor = Monitor(engine, collectors=[collector], sink=kept)
    for _ in range(AGAIN_S // 30 + 1):
        monitor.collect_once()
        clock.advance(30)
    collector.samples = (Sample("system.memory_total_bytes", 6),)
    monitor.collect_once()
    assert kept.values("system.memory_total_bytes") == [5, 5, 6]
    assert len(kept.values("system.memory_share")) == AGAIN_S // 30 + 1


def test_a_clock_that_jumps_back_is_survived(engine: Engine, kept: Kept, clock: ManualClock) -> None:
    machine = Machine()
    monitor = Monitor(engine, collectors=[ResourceCollector(host=machine, clock=clock)], sink=kept)
    monitor.collect_once()
    clock.jump_to("2020-01-01")
    clock.advance(30)
    machine.work(15, 15, seconds=30)
    monitor.collect_once()
    assert kept.values("system.cpu_share") == [0.5]
    assert not monitor.problems


def test_the_current_metrics_have_their_keys_before_the_first_collection(engine: Engine, kept: Kept) -> None:
    found = Monitor(engine, sink=kept).get_current_metrics()
    wanted = ("cpu_percent", "memory_percent", "memory_used_gb", "swap_percent")
    assert [found["resource_metrics"][key] for key in wanted] == [None] * 4


def test_the_current_metrics_are_in_percent_and_gigabytes(engine: Engine, kept: Kept, clock: ManualClock) -> None:
    machine = Machine()
    monitor = Monitor(engine, collectors=[ResourceCollector(host=machine, clock=clock)], sink=kept)
    monitor.collect_once()
    clock.advance(30)
    machine.work(30, 0, seconds=30)
    monitor.collect_once()
    found = monitor.get_current_metrics()["resource_metrics"]
    assert (
        found
        | {
            "cpu_percent": 50.0,
            "memory_percent": 75.0,
            "memory_used_gb": 11.0,
            "swap_percent": 50.0,
            "cpu_core_percent": [100.0, 0.0],
            "disk_percent": {"/": 75.0},
        }
        == found
    )


def test_the_ledger_keeps_what_is_collected_and_gives_it_back_to_the_screen(tmp_path: Path) -> None:
    clock, operations = ManualClock(), Operations(clock=ManualClock())
    limiter = Limiter(60, name=f"openai/gpt\x1b[2J{'4' * 10_000}", clock=clock)
    limiter.acquire()
    operations.record_duration(f"\u202e \x00{'x' * 10_000}", 1)
    collectors: list[Collector] = [
        ResourceCollector(host=Machine(disks={"/a\nb": Space(10, 5, 5)}), clock=clock),
        LimiterCollector(lambda: [limiter], lambda: {"\x07": Breaker(clock=clock)}),
        PerformanceCollector(operations),
    ]
    with Engine.open(tmp_path / "usage.db", clock=clock) as engine:
        monitor = Monitor(engine, collectors=collectors)
        monitor.collect_once()
        clock.advance(30)
        monitor.collect_once()
        assert (monitor.lost, monitor.problems, engine.samples_dropped()) == (0, (), 0)
        stored = list(engine.metric_history("system.load_1m"))
        assert [(one.value, one.source, one.process) for one in stored] == [(1.5, "resource", os.getpid())] * 2
        assert engine.metric_average("system.memory_share") == 0.75
    with Engine.open(tmp_path / "usage.db", clock=clock) as engine:
        found = {sample.name: sample for sample in latest_limiter_samples(engine)}
        assert found["limiter.fill"].labels["provider"] == "openai"
        assert found["breaker.state"] == Sample("breaker.state", 0, {"breaker": "\\x07"})
        clock.advance(300)
        assert latest_limiter_samples(engine) == ()


# start and stop


def wait_for(is_so: object) -> None:
    """Wait until something is so, a turn of the scheduler at a time."""
    pause = threading.Event()
    for _ in range(WAIT_S * 1000):
        if callable(is_so) and is_so():
            return
        pause.wait(0.001)
    pytest.fail("it did not happen")


def monitors_running() -> int:
    return sum(thread.name == "tokencalc-monitor" for thread in threading.enumerate())


def test_it_collects_at_once_in_intervals_and_once_more_at_its_end(kept: Kept) -> None:
    with Engine.open(":memory:") as engine:
        seen = threading.Semaphore(0)
        monitor = Monitor(
            engine, every_s=0.001, collectors=[Given("a")], listeners=[lambda _: seen.release()], sink=kept
        )
        with monitor:
            assert all(seen.acquire(timeout=WAIT_S) for _ in range(3))
            assert monitor.is_running
        ended = len(kept.values("monitor.collect_s"))
        assert ended >= 4
        assert not monitor.is_running
    assert monitors_running() == 0


def test_pumps_do_not_stand_behind_a_sensor_that_hangs_and_it_is_told_once(
    engine: Engine, kept: Kept, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    stuck, pumped = Stuck("mounts"), threading.Semaphore(0)
    monitor = Monitor(
        engine, every_s=0.005, collectors=[stuck], pumps=[lambda _: pumped.release()], sink=kept, clock=clock
    )
    with monitor:
        assert stuck.asked.wait(WAIT_S)
        assert all(pumped.acquire(timeout=WAIT_S) for _ in range(3))
        assert not monitor.problems
        clock.advance(60)
        wait_for(lambda: monitor.problems)
        clock.advance(60)
        wait_for(lambda: "for 120 s" in monitor.problems[0])
        assert monitor.problems == (
            "the monitor's collector mounts has been hanging for 120 s, and figures with it; told once",
        )
        stuck.gate.set()
        wait_for(lambda: not monitor.problems)
    assert [record.getMessage().split(" for ")[0] for record in caplog.records] == [
        "the monitor's collector mounts has been hanging"
    ]


@pytest.mark.parametrize("is_async", [False, True])
def test_at_its_end_pumps_run_once_more_and_then_finish(*, is_async: bool, kept: Kept) -> None:
    done, late = Pump(), Pump(is_done=False)
    collected: list[int] = []

    async def main(monitor: Monitor) -> None:
        async with monitor:
            pass

    with Engine.open(":memory:") as engine:
        monitor = Monitor(
            engine,
            collectors=[],
            listeners=[lambda _: collected.append(len(done.calls))],
            pumps=[done, late, lambda _: None],
            sink=kept,
        )
        if is_async:
            asyncio.run(main(monitor))
        else:
            with monitor:
                pass
    assert done.calls[-2:] == ["pump", "finish 10"]
    assert collected[-1] < len(done.calls) - 1, "what the last collection found is served, too"
    assert monitor.problems == ("the monitor's pump 1 was not done after 10 s; what is left waits in the ledger",)


def test_start_and_stop_may_be_called_twice_and_again(engine: Engine, kept: Kept) -> None:
    monitor = Monitor(engine, collectors=[], sink=kept)
    monitor.stop()
    assert monitor.start() is monitor.start()
    assert monitors_running() == 1
    monitor.stop()
    monitor.stop()
    assert monitors_running() == 0
    monitor.start()
    assert monitor.is_running
    monitor.stop()


def test_it_is_an_async_context_manager_over_either_engine(kept: Kept) -> None:
    async def main() -> None:
        async with AsyncEngine.open(":memory:") as engine:
            async with Monitor(engine, collectors=[], sink=kept) as monitor:
                assert monitor.is_running
            assert not monitor.is_running
            again = await Monitor(engine, collectors=[], sink=kept).start_async()
            await again.stop_async()
            assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []

    asyncio.run(main())
    assert monitors_running() == 0


def test_a_listener_may_stop_it(kept: Kept) -> None:
    with Engine.open(":memory:") as engine:
        monitor = Monitor(engine, every_s=0.001, collectors=[], sink=kept, listeners=[lambda _: monitor.stop()])
        thread = threading.Thread(target=monitor.start)
        thread.start()
        thread.join(WAIT_S)
        wait_for(lambda: monitors_running() == 0)


def test_it_ends_by_itself_where_the_engine_was_closed_first(engine: Engine) -> None:
    monitor = Monitor(engine, every_s=0.001, collectors=[Given("a", Sample("a.x", 1))]).start()
    engine.close()
    wait_for(lambda: not monitor.is_running)
    assert not monitor.problems


@pytest.mark.parametrize(
    ("expected", "role"), [("pump 0", "pumps"), ("listener 0", "listeners"), ("collector own", "collectors")]
)
def test_the_closed_ledger_of_a_callback_is_told_and_ends_nothing(
    expected: str, role: str, engine: Engine, kept: Kept
) -> None:
    with Engine.open(":memory:") as other:
        pass
    own, asked = Given("own"), threading.Semaphore(0)

    def callback(_: object = None) -> list[Sample]:
        asked.release()
        other.record_metric("x", 1)
        return []

    own.collect = callback  # type: ignore[method-assign]  # a collector that asks another ledger
    roles: dict[str, Any] = {"collectors": []} | {role: [own if role == "collectors" else callback]}
    with Monitor(engine, every_s=0.001, sink=kept, **roles) as monitor:
        assert all(asked.acquire(timeout=WAIT_S) for _ in range(3))
        assert monitor.is_running
        (told,) = monitor.problems
        assert told.startswith(f"the monitor's {expected} failed: LedgerClosed: the ledger was closed; open the engine")


def test_a_pump_that_hangs_is_told_and_the_end_does_not_wait_for_the_others(
    engine: Engine, kept: Kept, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck, others = Stuck("pump"), [Pump() for _ in range(3)]
    monitor = Monitor(
        engine, every_s=0.005, collectors=[], pumps=[lambda _: stuck.collect(), *others], sink=kept, clock=clock
    ).start()
    assert stuck.asked.wait(WAIT_S)
    clock.advance(60)
    hangs = "the monitor's pump 0 has been hanging for 60 s, and alerts and whatever else is pumped with it; told once"
    wait_for(lambda: monitor.problems == (hangs,))
    waits: list[float | None] = []
    (serving,) = (one for one in threading.enumerate() if one.name == "tokencalc-monitor-pumps")
    monkeypatch.setattr(serving, "join", waits.append)
    monitor.stop()
    assert sum(wait_s or 0 for wait_s in waits) == WAIT_AT_END_S + PATIENCE_S
    assert monitor.problems[-1].startswith("a thread of the monitor hangs")
    monkeypatch.undo()
    stuck.gate.set()
    serving.join(WAIT_S)
    assert [one.calls[-1] for one in others] == ["finish 10"] * 3


def test_an_end_waits_as_long_as_pieces_of_work_begin(monkeypatch: pytest.MonkeyPatch, clock: ManualClock) -> None:
    work, done = Work(clock), threading.Semaphore(0)

    def finish() -> None:
        for _ in range(3):
            with work.on("a pump"):
                assert done.acquire(timeout=WAIT_S)

    rounds = Rounds(lambda: None, lambda: None, finish, clock=clock)
    rounds.start(30)
    rounds.end()
    (serving,) = (one for one in threading.enumerate() if one.name == "tokencalc-monitor-pumps")

    def join(_: float | None) -> None:
        """Come back when the next piece has begun, or the thread is over: the wait was long enough for one."""
        before = work.begun
        done.release()
        wait_for(lambda: work.begun > before or not serving.is_alive())

    monkeypatch.setattr(serving, "join", join)
    assert rounds.join(work)
    assert work.begun == 3


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # a fork beside a thread is what is tested
def test_the_child_of_a_fork_has_no_running_monitor(engine: Engine, kept: Kept) -> None:
    with Monitor(engine, collectors=[], sink=kept) as monitor:
        child = os.fork()
        if child == 0:
            os._exit(int(monitor.is_running))
        assert os.waitpid(child, 0)[1] == 0
        assert monitor.is_running


@pytest.mark.parametrize("every_s", [0, -1, True, "30", None, float("nan"), 10**6])
def test_an_interval_is_a_number_of_seconds(every_s: object, engine: Engine, kept: Kept) -> None:
    with pytest.raises(CallInvalid, match="every_s: expected seconds above 0 and up to 86400"):
        Monitor(engine, every_s=every_s, sink=kept)  # type: ignore[arg-type]
