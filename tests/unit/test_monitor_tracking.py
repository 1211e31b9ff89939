"""track(): one object as decorator, context manager and handle; and the figures of operations."""

from __future__ import annotations

import asyncio
import inspect
import os
import threading
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokencalc.clock import ManualClock
from tokencalc.errors import CallInvalid
from tokencalc.limits.metrics import HISTOGRAM_ERROR
from tokencalc.monitor.operations import MOST_OPERATIONS, OTHER, Figures, Operation, Operations, PerformanceCollector
from tokencalc.monitor.samples import LONGEST_NAME, Sample
from tokencalc.monitor.tracking import Track, _entered, track
from tokencalc.monitor.tracking import operations as usual_operations

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def operations(clock: ManualClock) -> Operations:
    return Operations(clock=clock)


def only(operations: Operations) -> Figures:
    """Return the figures of the one operation there is."""
    (figures,) = operations.summary()
    return figures


class Ways:
    """The ways to time a piece of work that takes two seconds and may raise."""

    def __init__(self, timed: Track, clock: ManualClock, error: BaseException | None) -> None:
        """Time by this object."""
        self.timed, self.clock, self.error = timed, clock, error

    def work(self) -> str:
        """Take two seconds, and raise or return."""
        self.clock.advance(2)
        if self.error is not None:
            raise self.error
        return "done"

    def decorated(self) -> str:
        """Call a decorated function."""
        return self.timed(self.work)()

    def decorated_async(self) -> str:
        """Await a decorated coroutine function."""

        @self.timed
        async def later() -> str:
            await asyncio.sleep(0)
            return self.work()

        return asyncio.run(later())

    def block(self) -> str:
        """Work inside of a block."""
        with self.timed:
            return self.work()

    def block_async(self) -> str:
        """Work inside of an async block."""

        async def later() -> str:
            async with self.timed:
                await asyncio.sleep(0)
                return self.work()

        return asyncio.run(later())


WAYS = ["decorated", "decorated_async", "block", "block_async"]


@pytest.mark.parametrize("way", WAYS)
def test_each_way_counts_a_success_with_its_seconds(way: str, operations: Operations, clock: ManualClock) -> None:
    assert getattr(Ways(track("work", "part", into=operations), clock, None), way)() == "done"
    found = only(operations)
    assert (found.operation, found.component, found.calls, found.failures) == ("work", "part", 1, 0)
    assert found.duration_mean_s == found.duration_max_s == 2
    assert found.duration_p99_s == pytest.approx(2, rel=HISTOGRAM_ERROR)
    assert found.success_share == 1
    assert found.throughput_per_s == 0.5


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("error", "failures", "cancelled"),
    [(ValueError("bad"), 1, 0), (asyncio.CancelledError(), 0, 1), (SystemExit(3), 1, 0)],
)
def test_each_way_counts_what_was_raised_and_lets_it_through(
    way: str, error: BaseException, failures: int, cancelled: int, operations: Operations, clock: ManualClock
) -> None:
    with pytest.raises(type(error), match=r"^(bad|3)?$"):
        getattr(Ways(track("work", into=operations), clock, error), way)()
    found = only(operations)
    assert (1, failures, cancelled) == (found.calls, found.failures, found.cancelled)
    assert found.duration_mean_s == 2
    assert operations.recent()[0].error == type(error).__name__


def test_a_function_keeps_its_name_doc_and_kind(operations: Operations) -> None:
    @track(into=operations)
    def plain(number: int, *, more: str = "") -> tuple[int, str]:
        """Say what was given."""
        return number, more

    @track(into=operations)
    async def later() -> None: ...

    assert plain(1, more="x") == (1, "x")
    assert (plain.__name__, plain.__doc__) == ("plain", "Say what was given.")
    assert inspect.signature(plain).parameters.keys() == {"number", "more"}
    assert inspect.iscoroutinefunction(later)
    assert not inspect.iscoroutinefunction(plain)
    assert only(operations).operation == f"{test_a_function_keeps_its_name_doc_and_kind.__name__}.<locals>.plain"


def test_a_decorator_needs_no_brackets() -> None:
    before = {figures.operation: figures.calls for figures in usual_operations.summary()}

    @track
    def plain(number: int) -> int:
        return number + 1

    @track
    async def later() -> int:
        return 3

    assert (plain(1), asyncio.run(later())) == (2, 3)
    after = {figures.operation: figures.calls for figures in usual_operations.summary()}
    of_this = f"{test_a_decorator_needs_no_brackets.__name__}.<locals>."
    assert {name.removeprefix(of_this) for name in after.keys() - before} == {"plain", "later"}


def test_methods_of_a_class_are_timed_whichever_decorator_comes_first(operations: Operations) -> None:
    class Loader:
        @track("class", into=operations)
        @classmethod
        def of_class(cls) -> str:
            return cls.__name__

        @track("static", into=operations)
        @staticmethod
        def of_nobody() -> int:
            return 5

        @classmethod
        @track("inner", into=operations)
        def inner(cls) -> str:
            return cls.__name__

    assert (Loader.of_class(), Loader().of_class(), Loader.of_nobody(), Loader.inner()) == (
        "Loader",
        "Loader",
        5,
        "Loader",
    )
    assert {figures.operation: figures.calls for figures in operations.summary()} == {
        "class": 2,
        "static": 1,
        "inner": 1,
    }


@pytest.mark.parametrize("way", [track, track("x")])
def test_a_class_is_refused_with_what_to_do_instead(way: Callable[[Any], object]) -> None:
    class Loader:
        pass

    with pytest.raises(
        CallInvalid, match=r"Loader is a class; put @track on its methods, on __init__ to time its making"
    ):
        way(Loader)


def test_a_component_goes_with_a_function_that_names_itself(operations: Operations) -> None:
    track(component="loader", into=operations)(lambda: None)()
    assert only(operations).component == "loader"


def test_an_object_with_an_async_call_is_timed_to_its_end(operations: Operations, clock: ManualClock) -> None:
    class Later:
        async def __call__(self) -> None:
            await asyncio.sleep(0)
            clock.advance(3)

    asyncio.run(track("later", into=operations)(Later())())
    assert only(operations).duration_mean_s == 3


def test_a_generator_is_refused_with_what_to_do_instead(operations: Operations) -> None:
    def numbers() -> Iterator[int]:
        yield 1

    async def later() -> AsyncIterator[int]:
        yield 1

    for function in (numbers, later):
        with pytest.raises(CallInvalid, match=r"is a generator.*put `with track\(\.\.\.\)` inside it"):
            track("x", into=operations)(function)


def test_a_handle_counts_once_and_says_so_to_a_second_end(operations: Operations, clock: ManualClock) -> None:
    handle = track("upload", into=operations).start()
    clock.advance(1.5)
    with pytest.raises(CallInvalid, match="status: expected one of success, failure, cancelled, found 'ok'"):
        handle.end("ok")  # type: ignore[arg-type]
    assert handle.end("failure", error="x" * 10_000) == 1.5
    with pytest.raises(CallInvalid, match="the operation 'upload' was ended before"):
        handle.end()
    assert (only(operations).calls, only(operations).failures) == (1, 1)
    assert len(operations.recent()[0].error or "") == LONGEST_NAME


@pytest.mark.parametrize("use", [lambda timed: timed.start(), lambda timed: timed.__enter__()])
def test_only_a_function_names_itself(use: Callable[[Track], object], operations: Operations) -> None:
    with pytest.raises(CallInvalid, match=r'give one, as in track\("my_operation"\)'):
        use(track(into=operations))


@pytest.mark.parametrize("name", ["", 5, b"x"])
def test_a_name_is_a_text(name: Any, operations: Operations) -> None:
    with pytest.raises(CallInvalid, match="name: expected the name of an operation, found"):
        track(name, into=operations)


def test_something_that_is_no_function_is_refused(operations: Operations) -> None:
    with pytest.raises(CallInvalid, match="track: expected a function, found 5"):
        track("x", into=operations)(5)  # type: ignore[type-var]


def test_blocks_of_one_object_may_be_nested(operations: Operations, clock: ManualClock) -> None:
    timed = track("again", into=operations)
    with timed:
        clock.advance(1)
        with timed, track("other", into=operations):
            clock.advance(2)
        clock.advance(1)
    again, other = operations.summary()
    assert (again.calls, again.duration_max_s, again.duration_mean_s) == (2, 4, 3)
    assert other.duration_mean_s == 2


def streamed(operations: Operations, clock: ManualClock) -> Iterator[int]:
    """Give numbers inside of a timed block, a second each."""
    with track("stream", into=operations):
        for number in range(3):
            clock.advance(1)
            yield number


def test_a_block_inside_a_generator_may_outlive_the_block_around_it(operations: Operations, clock: ManualClock) -> None:
    stream = streamed(operations, clock)
    with track("request", into=operations), track("part", into=operations):
        next(stream)
    clock.advance(10)
    assert list(stream) == [1, 2]
    found = {figures.operation: (figures.calls, figures.duration_max_s) for figures in operations.summary()}
    assert found == {"part": (1, 1), "request": (1, 1), "stream": (1, 13)}


def test_the_same_holds_for_async_generators(operations: Operations) -> None:
    async def answer() -> AsyncIterator[int]:
        async with track("stream", into=operations):
            for number in range(3):
                await asyncio.sleep(0)
                yield number

    async def main() -> None:
        stream = answer()
        async with track("request", into=operations):
            await anext(stream)
        assert [number async for number in stream] == [1, 2]

    asyncio.run(main())
    assert {figures.operation: figures.calls for figures in operations.summary()} == {"request": 1, "stream": 1}


def test_a_generator_whose_steps_run_in_contexts_of_their_own_is_counted(
    operations: Operations, clock: ManualClock
) -> None:
    stream = streamed(operations, clock)
    steps = [copy_context().run(next, stream, None) for _ in range(4)]
    assert steps == [0, 1, 2, None]
    assert (only(operations).calls, only(operations).duration_max_s) == (1, 3)


def test_blocks_that_ended_elsewhere_are_not_kept(operations: Operations, clock: ManualClock) -> None:
    for _ in range(50):
        stream = streamed(operations, clock)
        next(stream)
        copy_context().run(list, stream)
    with track("last", into=operations):
        assert [block.track.operation for block in _entered.get() if block.is_open] == [Operation("last")]
        assert len(_entered.get()) == 1


@given(st.lists(st.integers(0, 4), max_size=40))
def test_blocks_end_in_any_order_and_each_is_counted_once(steps: list[int]) -> None:
    clock = ManualClock()
    operations = Operations(clock=clock)
    tracks = [track(str(number), into=operations) for number in range(5)]
    open_since: list[list[float]] = [[] for _ in tracks]
    expected: list[list[float]] = [[] for _ in tracks]
    for place, number in enumerate(steps):
        clock.advance(1)
        if open_since[number] and place % 2:
            expected[number].append(clock.monotonic() - open_since[number].pop())
            tracks[number].__exit__(None, None, None)
        else:
            open_since[number].append(clock.monotonic())
            tracks[number].__enter__()
    found = {figures.operation: (figures.calls, figures.duration_max_s) for figures in operations.summary()}
    assert found == {str(number): (len(took), max(took)) for number, took in enumerate(expected) if took}


def test_blocks_of_one_object_in_tasks_and_threads_do_not_mix(operations: Operations, clock: ManualClock) -> None:
    timed = track("shared", into=operations)

    async def wait(steps: int) -> None:
        async with timed:
            for _ in range(steps):
                await asyncio.sleep(0)

    async def main() -> None:
        async def ticking() -> None:
            for _ in range(5):
                clock.advance(1)
                await asyncio.sleep(0)

        await asyncio.gather(wait(1), wait(3), ticking())

    asyncio.run(main())
    assert only(operations).calls == 2
    barrier = threading.Barrier(8)

    def many() -> None:
        barrier.wait()
        for _ in range(500):
            with timed:
                pass

    threads = [threading.Thread(target=many) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert only(operations).calls == 2 + 8 * 500


def test_a_duration_from_elsewhere_counts_as_well(operations: Operations) -> None:
    operations.record_duration("job", 1.25)
    operations.record_duration("job", 0.75, status="failure")
    assert only(operations).duration_mean_s == 1.0
    for wrong in (-1, True, "1", float("nan"), float("inf")):
        with pytest.raises(CallInvalid, match="duration_s: expected seconds"):
            operations.record_duration("job", wrong)  # type: ignore[arg-type]


def test_context_is_kept_bounded_and_without_secrets(operations: Operations) -> None:
    with track("x", into=operations, agent_name="Data", api_key="sk-1", retries=3, prompt=["a", "b"], note="n" * 999):
        pass
    (finished,) = operations.recent()
    assert finished.context["agent_name"] == "Data"
    assert finished.context["api_key"] == "(redacted)"
    assert finished.context["retries"] == "3"
    assert finished.context["prompt"] == "list"
    assert len(finished.context["note"]) == LONGEST_NAME


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ("https://(redacted)@host/path", "https://u:pw@host/path"),
        ("see https://host/path", "see https://host/path"),
        ("ada@example.com", "ada@example.com"),
        ("key (redacted) was refused", "key sk-ant-api03-abcdefgh was refused"),
        ("(redacted)", "sk-proj-x"),
        ("(redacted)", "sk-1234567890abcdef"),
        ("(redacted)", "ghp_16C7e42F292c6912E7710c838347Ae178B4a"),
        ("(redacted)", "AKIAIOSFODNN7EXAMPLE"),
        ("(redacted)", "xoxb-123456789012-abcdef"),
        ("(redacted)", "hf_abcdefgh12345678"),
        ("(redacted)", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc_def"),
        ("Authorization: (redacted)", "Authorization: Bearer abcdefgh12345"),
        ("sk-learn, a bearer of news, npm-registry", "sk-learn, a bearer of news, npm-registry"),
    ],
)
def test_texts_that_look_like_secrets_are_redacted(expected: str, text: str, operations: Operations) -> None:
    with track("x", into=operations, note=text):
        pass
    track("x", into=operations).start().end("failure", error=text)
    failed, finished = operations.recent()
    assert finished.context["note"] == expected
    assert failed.error == expected


def test_memory_is_bounded_whatever_the_names(operations: Operations) -> None:
    for number in range(MOST_OPERATIONS + 50):
        operations.record_duration(f"{number}{'x' * 10_000}", 1)
    summary = operations.summary()
    assert len(summary) == MOST_OPERATIONS + 1
    assert {figures.operation: figures.calls for figures in summary}[OTHER] == 50
    assert max(len(figures.operation) for figures in summary) == LONGEST_NAME
    assert len(operations.recent(10**6)) == 200


def test_each_collection_has_the_figures_of_its_own_interval(operations: Operations, clock: ManualClock) -> None:
    collector = PerformanceCollector(operations)
    operations.record_duration("job", 1)
    operations.record_duration("job", 3, status="failure")
    clock.advance(10)
    assert Sample("operation.failures", 1, {"operation": "job"}) in collector.collect()
    operations.record_duration("job", 7)
    clock.advance(2)
    found = {sample.name: sample.value for sample in collector.collect()}
    assert found["operation.calls"] == 1
    assert found["operation.duration_mean_s"] == found["operation.duration_max_s"] == 7
    assert found["operation.throughput_per_s"] == 0.5
    assert collector.collect() == []
    assert (only(operations).calls, only(operations).failures) == (3, 1)


def test_an_operation_that_was_only_cancelled_has_no_success_share(operations: Operations) -> None:
    operations.record_duration("job", 1, status="cancelled")
    samples = PerformanceCollector(operations).collect()
    assert Sample("operation.cancelled", 1, {"operation": "job"}) in samples
    assert "operation.success_share" not in {sample.name for sample in samples}


def test_the_child_of_a_fork_counts_its_own(operations: Operations) -> None:
    operations.record_duration("job", 1)
    child = os.fork()
    if child == 0:
        operations.record_duration("job", 1)
        os._exit(only(operations).calls)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1


@given(st.lists(st.floats(0, 10_000, allow_subnormal=False), min_size=1, max_size=200), st.integers(0, 200))
def test_percentiles_are_near_the_true_ones_however_the_intervals_fall(durations: list[float], cut: int) -> None:
    operations = Operations(clock=ManualClock())
    for place, duration_s in enumerate(durations):
        operations.record_duration("job", duration_s)
        if place == cut:
            operations.take()
    found, ordered = only(operations), sorted(durations)
    assert found.calls == len(durations)
    assert found.duration_max_s == pytest.approx(ordered[-1], abs=1e-6)
    for share, value in ((0.5, found.duration_p50_s), (0.9, found.duration_p90_s), (0.99, found.duration_p99_s)):
        true = ordered[max(0, -int(-share * len(ordered) // 1) - 1)]
        assert value == pytest.approx(true, rel=2 * HISTOGRAM_ERROR, abs=2e-6)


def test_without_other_operations_the_usual_ones_count() -> None:
    before = len(usual_operations.recent(200))
    with track("tests.usual"):
        pass
    assert len(usual_operations.recent(200)) == min(200, before + 1)
