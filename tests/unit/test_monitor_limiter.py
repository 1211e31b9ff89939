"""The limiter collector: the limiter's own figures, for each provider and model, and the state of breakers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tokencalc.clock import ManualClock
from tokencalc.ledger.samples import Sample as Stored
from tokencalc.limits.breaker import Breaker, BreakerProfile
from tokencalc.limits.limiter import Limiter
from tokencalc.monitor.current import limiter_metrics, limiter_summary, resource_metrics
from tokencalc.monitor.limiter import LimiterCollector
from tokencalc.monitor.samples import LONGEST_NAME, Sample, bounded
from tokencalc.monitor.stored import LATELY, newest_of_limiters

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime


class BrokenLimiter:
    """A limiter whose figures cannot be had."""

    def samples(self) -> Iterator[tuple[str, float, dict[str, str]]]:
        """Fail."""
        raise RuntimeError("no figures")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("openai/gpt-4o", {"provider": "openai", "model": "gpt-4o"}),
        ("openrouter/openai/gpt-4o", {"provider": "openrouter", "model": "openai/gpt-4o"}),
        ("tool", {}),
        ("/model", {}),
        ("provider/", {}),
    ],
)
def test_a_name_of_provider_and_model_gives_labels_of_both(name: str, expected: dict[str, str]) -> None:
    limiter = Limiter(60, name=name, clock=ManualClock())
    limiter.acquire()
    samples = LimiterCollector(lambda: [limiter]).collect()
    assert Sample("limiter.success_rate", 1.0, {"limiter": name, **expected}) in samples


def test_a_series_stays_the_same_when_health_changes() -> None:
    samples = LimiterCollector(lambda: [Limiter(60, name="a", clock=ManualClock())]).collect()
    assert Sample("limiter.health", 0, {"limiter": "a"}) in samples


def test_limiters_and_breakers_made_later_are_seen() -> None:
    limiters: list[Limiter] = []
    breakers: dict[str, Breaker] = {}
    collector = LimiterCollector(lambda: limiters, lambda: breakers)
    assert collector.collect() == []
    limiters.append(Limiter(60, name="x" * 10_000, clock=ManualClock()))
    breakers["a/b"] = Breaker(BreakerProfile(failures=1, open_s=10), clock=ManualClock())
    found = {sample.name: sample for sample in collector.collect()}
    assert len(found["limiter.fill"].labels["limiter"]) == LONGEST_NAME
    assert found["breaker.state"] == Sample("breaker.state", 0, {"breaker": "a/b", "provider": "a", "model": "b"})


def test_limiters_and_breakers_may_be_handed_in_as_they_are() -> None:
    limiter, breaker = Limiter(60, name="a", clock=ManualClock()), Breaker(clock=ManualClock())
    found = {sample.name for sample in LimiterCollector([limiter], {"b": breaker}).collect()}
    assert {"limiter.fill", "breaker.state"} <= found


def test_limiters_of_one_name_are_series_of_their_own() -> None:
    twins = [Limiter(60, name="openai/gpt-4o", clock=ManualClock()) for _ in range(2)]
    twins[1].acquire()
    labels = [sample.labels for sample in LimiterCollector(twins).collect() if sample.name == "limiter.granted"]
    of_model = {"provider": "openai", "model": "gpt-4o"}
    assert labels == [{"limiter": "openai/gpt-4o", **of_model}, {"limiter": "openai/gpt-4o (2)", **of_model}]


def test_foreign_samples_of_known_names_break_no_figures() -> None:
    samples = [
        Sample("limiter.fill", 1),
        Sample("limiter.health", 7, {"limiter": "a"}),
        Sample("breaker.state", 1, {"limiter": "a"}),
        Sample("system.cpu_core_share", 1, {"core": "x"}),
        Sample("system.disk_share", 1),
        Sample("gpu.memory_share", 1),
    ]
    assert limiter_metrics(samples) == {"a": {"health": 7}}
    assert limiter_summary(samples) == {"total_limiters": 1, "overall_health": None}
    assert resource_metrics(samples)["disk_percent"] == {}


def test_each_state_of_a_breaker_has_its_number() -> None:
    clock = ManualClock()
    breaker = Breaker(BreakerProfile(failures=1, open_s=10), clock=clock)
    collector = LimiterCollector(breakers=lambda: {"b": breaker})

    def state() -> float:
        return collector.collect()[0].value

    seen = [state()]
    breaker.enter().failed()
    seen.append(state())
    clock.advance(10)
    lease = breaker.enter()
    seen.append(state())
    lease.succeeded()
    assert [*seen, state()] == [0, 2, 1, 0]


def test_a_broken_limiter_hides_no_other_and_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    well = Limiter(60, name="well", clock=ManualClock())
    collector = LimiterCollector(lambda: [BrokenLimiter(), well])
    for _ in range(2):
        assert {sample.labels["limiter"] for sample in collector.collect()} == {"well"}
    assert [record.getMessage() for record in caplog.records] == [
        "a limiter gives no figures: RuntimeError: no figures; told once"
    ]
    assert len(collector.problems) == 1


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gpt-4o", "gpt-4o"),
        ("a\x1b[2J\r\nb", "a\\x1b[2J\\r\\nb"),
        (" \u2028", " \\u2028"),
        ("   ", "(blank)"),
        ("", "(blank)"),
        ("x" * 201, "x" * 197 + "..."),
    ],
)
def test_a_foreign_name_becomes_a_label(name: str, expected: str) -> None:
    assert expected == bounded(name)


def stored(name: str, value: float, labels: dict[str, str], process: int) -> Stored:
    """Return a sample as a ledger keeps it."""
    return Stored(name=name, at=ManualClock().now(), value=value, labels=labels, process=process, host="here")


class Histories:
    """A ledger's histories, the newest first."""

    def __init__(self, *kept: Stored) -> None:
        """Keep these."""
        self.kept = kept
        self.since: set[datetime] = set()

    def metric_history(self, name: str, *, since: datetime, limit: int) -> Iterable[Stored]:
        """Return those of a name."""
        self.since.add(since)
        return [one for one in self.kept if one.name == name][:limit]


def test_of_each_process_the_newest_counts_and_of_processes_the_worst() -> None:
    openai, tool = {"limiter": "openai/gpt-4o"}, {"limiter": "tool"}
    histories = Histories(
        stored("limiter.fill", 0.9, openai, 1),
        stored("limiter.fill", 0.6, openai, 2),
        stored("limiter.fill", 0.1, openai, 1),
        stored("limiter.fill", 1.0, tool, 1),
        stored("limiter.health", 0, openai, 1),
        stored("limiter.health", 2, openai, 2),
        stored("limiter.granted", 7, openai, 1),
    )
    now = ManualClock().now()
    assert list(newest_of_limiters(histories, now)) == [
        Sample("limiter.fill", 0.6, openai),
        Sample("limiter.fill", 1.0, tool),
        Sample("limiter.health", 2, openai),
    ]
    assert histories.since == {now - LATELY}
