"""Samples over every store: written beside the book, read back newest first, dropped with a count, deleted when old."""

from __future__ import annotations

import asyncio
import os
import threading
from datetime import timedelta
from itertools import islice, pairwise
from math import inf, nan
from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.calls import spend
from tokencalc import AsyncEngine
from tokencalc.config import Settings
from tokencalc.errors import CallInvalid, LedgerClosed, UsageInvalid
from tokencalc.ledger.samples import MOST_SERIES, QUEUE_SAMPLES, RESERVED_SERIES, Sample

if TYPE_CHECKING:
    from tests.contract.conftest import Book
    from tokencalc import Engine
    from tokencalc.clock import ManualClock


def values(engine: Engine, name: str = "latency_ms", **where: Any) -> list[float]:
    """Return the values of a metric, the newest first."""
    return [sample.value for sample in engine.metric_history(name, **where)]


def stored(engine: Engine) -> int:
    """Return how many samples are in the ledger's tables."""
    with engine.store.reading() as connection:
        (found,) = connection.execute("SELECT count(*) FROM sample").fetchone()
    return int(found)


def test_a_sample_comes_back_as_it_was(engine: Engine, clock: ManualClock) -> None:
    assert engine.record_metric("latency_ms", 12.5, labels={"model": "gpt-4o", "a": "b"}, unit="ms", source="probe")
    assert engine.record_metric("queue", 7, at="2026-11-20T11:00:00Z")
    (sample,) = engine.metric_history("latency_ms")
    host = os.uname().nodename
    assert sample == Sample(
        name="latency_ms",
        at=clock.now(),
        value=12.5,
        unit="ms",
        labels={"a": "b", "model": "gpt-4o"},
        host=host,
        process=os.getpid(),
        source="probe",
    )
    assert values(engine, "queue") == [7.0]
    assert values(engine, "nothing") == []


def test_the_newest_come_first_over_all_series_and_pages(engine: Engine, clock: ManualClock) -> None:
    for number in range(1500):
        engine.record_metric("latency_ms", number, labels={"model": f"m{number % 3}"})
        clock.advance(0.0005 if number % 2 else 0)  # pairs of one instant
    everything = values(engine)
    assert sorted(everything, reverse=True) == sorted(set(everything), reverse=True)
    assert [value // 2 for value in everything] == [number // 2 for number in reversed(range(1500))]
    assert values(engine, limit=700) == everything[:700]
    assert values(engine, labels={"model": "m1"}) == [value for value in everything if value % 3 == 1]
    assert values(engine, labels={"model": "m9"}) == []


def test_an_interval_has_its_start_and_not_its_end(engine: Engine, clock: ManualClock) -> None:
    start = clock.now()
    for number in range(5):
        engine.record_metric("latency_ms", number, at=start + timedelta(seconds=number))
    since, until = start + timedelta(seconds=1), start + timedelta(seconds=4)
    assert values(engine, since=since, until=until) == [3, 2, 1]
    assert engine.metric_average("latency_ms", since=since, until=until) == 2
    assert engine.metric_average("latency_ms") == 2
    assert engine.metric_average("latency_ms", until=start) is None
    assert engine.metric_average("latency_ms", labels={"a": "b"}) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "", "value": 1}, "name: expected text of 1 to 200 characters"),
        ({"name": 7, "value": 1}, "name: expected text"),
        ({"name": "a\nb", "value": 1}, "name: expected text"),
        ({"value": nan}, "value: expected a finite number, whole ones up to 2\\*\\*53, found nan"),
        ({"value": inf}, "value: expected a finite number"),
        ({"value": True}, "value: expected a finite number"),
        ({"value": "7"}, "value: expected a finite number"),
        ({"value": None}, "value: expected a finite number"),
        ({"value": 10**5000}, "found a huge integer"),
        ({"value": 1, "labels": ["a"]}, "labels: expected a mapping of at most 20 texts"),
        ({"value": 1, "labels": {str(n): "x" for n in range(21)}}, "labels: expected a mapping of at most 20"),
        ({"value": 1, "labels": {"a": 7}}, r"labels\.a: expected text"),
        ({"value": 1, "labels": {7: "a"}}, "labels: expected text"),
        ({"value": 1, "unit": ""}, "unit: expected text"),
        ({"value": 1, "source": 7}, "source: expected text"),
    ],
)
def test_what_cannot_be_a_sample_is_refused_by_name(engine: Engine, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(CallInvalid, match=message):
        engine.record_metric(**{"name": "latency_ms", **arguments})
    assert stored(engine) == 0


def test_reading_refuses_what_it_cannot_mean(engine: Engine) -> None:
    with pytest.raises(CallInvalid, match="name: expected text"):
        engine.metric_history("")
    with pytest.raises(UsageInvalid, match="limit: expected an integer"):
        engine.metric_history("latency_ms", limit=-1)
    with pytest.raises(CallInvalid, match="labels: expected a mapping"):
        engine.metric_average("latency_ms", labels="a")  # type: ignore[arg-type]  # the mistake


def test_nothing_waits_for_a_sample_and_the_next_batch_takes_it_along(engine: Engine, clock: ManualClock) -> None:
    spend(engine, 1)
    engine.record_metric("latency_ms", 1)
    assert stored(engine) == 0
    spend(engine, 1)
    assert stored(engine) == 0, "not with every batch: at most once a second"
    clock.advance(1)
    spend(engine, 1)
    assert stored(engine) == 1


def test_samples_alone_are_written_by_the_writers_own_thread(engine: Engine, clock: ManualClock) -> None:
    engine.record_metric("latency_ms", 1)
    clock.advance(1)
    engine.record_metric("latency_ms", 2)
    while stored(engine) < 2:
        pass
    assert list(engine.entries()) == []


def test_a_queue_that_is_full_drops_and_counts_and_never_raises(engine: Engine, book: Book) -> None:
    inside, go = threading.Event(), threading.Event()

    def busy(_: object) -> None:
        inside.set()
        assert go.wait(30)

    # While somebody has the book, nothing can be written beside it.
    holder = threading.Thread(target=engine.store.aside, args=(busy,))
    holder.start()
    assert inside.wait(30)
    taken = sum(engine.record_metric("latency_ms", number) for number in range(QUEUE_SAMPLES + 600))
    go.set()
    holder.join()
    assert QUEUE_SAMPLES <= taken <= QUEUE_SAMPLES + 500
    assert engine.samples_dropped() == QUEUE_SAMPLES + 600 - taken > 0
    assert stored(engine) == taken
    engine.close()
    if book.place != ":memory:":
        with book.open() as again:
            assert again.samples_dropped() == QUEUE_SAMPLES + 600 - taken


def test_money_is_all_booked_while_samples_flood(engine: Engine) -> None:
    stop = threading.Event()
    flooded = [0, 0]

    def flood(place: int) -> None:
        while not stop.is_set():
            for number in range(1000):
                engine.record_metric("latency_ms", number, labels={"thread": str(place)})
            flooded[place] += 1000

    floods = [threading.Thread(target=flood, args=(place,)) for place in range(2)]
    for thread in floods:
        thread.start()
    while min(flooded) < 20_000:
        pass
    booked = [engine.record(model="acme-1", cost_usd="0.01", idempotency_key=str(number)) for number in range(300)]
    stop.set()
    for thread in floods:
        thread.join()
    assert len({entry.entry_id for entry in booked}) == engine.report().total.calls == 300
    dropped = engine.samples_dropped()
    assert dropped > 0
    assert stored(engine) + dropped == sum(flooded)


def test_a_failing_sample_takes_no_money_with_it(engine: Engine, clock: ManualClock) -> None:
    with engine.store._gate:
        engine.store._open_writing().execute("ALTER TABLE sample RENAME TO hidden")
    clock.advance(1)
    engine.record_metric("latency_ms", 1)
    spend(engine, 1)
    assert engine.report().total.calls == 1
    with engine.store._gate:
        engine.store._open_writing().execute("ALTER TABLE hidden RENAME TO sample")
    clock.advance(1)
    spend(engine, 1)
    assert (engine.samples_dropped(), stored(engine)) == (1, 0)


def test_old_samples_are_deleted_in_small_steps_and_money_never_is(book: Book) -> None:
    engine = book.open(settings=Settings(sample_retention_days=2))
    spend(engine, 1)
    for number in range(2500):
        engine.record_metric("latency_ms", number, at=book.clock.now() + timedelta(seconds=number))
        if number % 100 == 0:  # too few wait for the writer's own thread, whose steps would come in between
            engine.store.samples.flush()
    engine.metric_average("latency_ms")
    book.clock.advance(2 * 86_400 + 2000)
    left = []
    for _ in range(4):
        spend(engine, 1)
        left.append(stored(engine))
        book.clock.advance(61)
    assert left == [1500, 500, 378, 317]
    assert min(values(engine)) == 2500 - 317
    assert engine.report().total.calls == 5


def test_series_have_a_bound_and_samples_beyond_it_are_dropped_and_counted(book: Book) -> None:
    engine = book.open(settings=Settings(sample_retention_days=1))
    engine.record_metric("queue", 1, at=book.clock.now() - timedelta(days=3))
    engine.store.samples.flush()
    add_empty_series(engine, MOST_SERIES - 1)
    engine.record_metric("latency_ms", 1, labels={"request_id": "new"})
    assert engine.samples_dropped() == 1
    engine.record_metric("queue", 2)
    assert values(engine, "queue") == [2.0, 1.0]
    assert engine.samples_dropped() == 1
    forget(engine, book)
    assert series(engine) == 1
    engine.record_metric("latency_ms", 1, labels={"request_id": "new"})
    assert values(engine) == [1.0]
    assert engine.samples_dropped() == 1


def test_a_ledger_full_of_series_still_takes_the_figures_of_machines(engine: Engine) -> None:
    add_empty_series(engine, MOST_SERIES)
    for number in range(RESERVED_SERIES + 5):
        engine.record_metric("system.disk_share", 0.5, labels={"mount": str(number)})
    engine.record_metric("queue", 1)
    engine.store.samples.flush()
    assert series(engine) == MOST_SERIES + RESERVED_SERIES
    assert engine.store.samples.lost == engine.samples_dropped() == 6
    assert "the ledger has its 10000 series" in engine.store.samples.problem


def test_series_without_samples_are_deleted_a_few_at_a_time(book: Book) -> None:
    engine = book.open(settings=Settings(sample_retention_days=1))
    engine.record_metric("queue", 1)
    engine.store.samples.flush()
    add_empty_series(engine, 1000)
    counts = forget(engine, book)
    assert counts[-1] == 1
    assert all(0 <= before - after <= 50 for before, after in pairwise(counts))
    assert values(engine, "queue") == [1.0]


def test_a_series_that_another_engine_deleted_is_made_again(book: Book) -> None:
    if book.place == ":memory:":
        pytest.skip("a ledger in memory has one engine")
    first, other = book.open(settings=Settings(sample_retention_days=1)), book.open()
    first.record_metric("queue", 1, at=book.clock.now() - timedelta(days=3))
    other.record_metric("queue", 1, at=book.clock.now() - timedelta(days=3))
    other.store.samples.flush()
    forget(first, book)
    assert series(first) == 0
    other.record_metric("queue", 3)
    assert values(other, "queue") == [3.0]


def series(engine: Engine) -> int:
    """Return how many series the ledger has."""
    with engine.store.reading() as connection:
        (found,) = connection.execute("SELECT count(*) FROM series").fetchone()
    return int(found)


def add_empty_series(engine: Engine, count: int) -> None:
    """Add series of which no sample is left."""
    engine.store.aside(
        lambda connection: connection.executemany(
            "INSERT INTO series (name, labels, unit, host, source) VALUES (?, '{}', '', '', '')",
            ((f"old-{number}",) for number in range(count)),
        )
    )


def forget(engine: Engine, book: Book) -> list[int]:
    """Let a minute pass, then write until nothing is left to be forgotten; return the counts of series on the way."""
    book.clock.advance(61)
    engine.holds()
    counts = [series(engine)]
    for _ in range(1 + MOST_SERIES // 50):
        book.clock.advance(2)
        engine.holds()
        counts.append(series(engine))
    return counts


def test_a_closed_engine_takes_no_samples_and_has_written_what_waited(engine: Engine, book: Book) -> None:
    engine.record_metric("latency_ms", 1)
    engine.close()
    with pytest.raises(LedgerClosed, match="closed"):
        engine.record_metric("latency_ms", 1)
    if book.place != ":memory:":
        assert values(book.open()) == [1]


def test_a_forked_child_writes_its_own_samples_alone(book: Book) -> None:
    if book.place == ":memory:":
        pytest.skip("a ledger in memory does not cross a fork")
    engine = book.open()
    engine.record_metric("latency_ms", 1)
    child = os.fork()
    if not child:
        try:
            engine.record_metric("latency_ms", 2)
            engine.close()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert sorted(values(engine)) == [1, 2]
    assert {sample.process for sample in engine.metric_history("latency_ms")} == {os.getpid(), child}


def test_tasks_keep_and_read_samples(engine: Engine) -> None:
    async def work() -> tuple[bool, list[Sample], float | None, int]:
        twin = AsyncEngine(engine)
        kept = await twin.record_metric("latency_ms", 3, labels={"a": "b"})
        return (
            kept,
            await twin.metric_history("latency_ms"),
            await twin.metric_average("latency_ms"),
            (await twin.samples_dropped()),
        )

    kept, history, average, dropped = asyncio.run(work())
    assert (kept, [sample.value for sample in history], average, dropped) == (True, [3], 3, 0)


def test_history_reads_no_more_than_it_returns(engine: Engine, clock: ManualClock) -> None:
    """Flat whatever lies before: the plan of the statement uses the key, and a page is all that is read."""
    for number in range(3000):
        engine.record_metric("latency_ms", number)
        clock.advance(0.001)
    engine.metric_average("latency_ms")
    read: list[str] = []
    with engine.store.reading() as connection:
        plan = connection.execute(
            "EXPLAIN QUERY PLAN SELECT at_us, series_id, process, number, value FROM sample WHERE series_id = 1 "
            "AND at_us >= 0 AND at_us <= 9 AND (at_us, series_id, process, number) < (9, 1, 1, 1) "
            "ORDER BY at_us DESC, process DESC, number DESC LIMIT 5"
        ).fetchall()
        connection.set_trace_callback(read.append)
    assert [sample.value for sample in islice(engine.metric_history("latency_ms"), 3)] == [2999, 2998, 2997]
    with engine.store.reading() as connection:
        connection.set_trace_callback(None)
    assert [row[3] for row in plan] == ["SEARCH sample USING PRIMARY KEY (series_id=? AND at_us>? AND at_us<?)"]
    assert len([text for text in read if " FROM sample " in text]) == 1
