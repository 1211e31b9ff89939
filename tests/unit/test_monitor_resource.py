"""The resource collectors on a machine of numbers, and on the one that runs the tests."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.unit.machines import GB, Machine, by_name
from tokencalc.clock import ManualClock
from tokencalc.errors import FeatureUnavailable
from tokencalc.monitor.cgroups import ControlGroup
from tokencalc.monitor.gpu import Gpus
from tokencalc.monitor.host import Memory, ProcessFigures, PsutilHost, Space
from tokencalc.monitor.resource import ProcessCollector, ResourceCollector, Speeds

if TYPE_CHECKING:
    from tokencalc.monitor.samples import Sample


def no_cards() -> object:
    raise FeatureUnavailable("no driver here", feature="gpu")


class Bench:
    """A machine, its limits, a clock, and the collector over them."""

    def __init__(self) -> None:
        """Start without limits."""
        self.machine, self.group, self.clock = Machine(), ControlGroup(), ManualClock()
        self.collector = ResourceCollector(
            host=self.machine, groups=lambda: self.group, gpus=Gpus(no_cards), clock=self.clock
        )

    def collect(self, seconds: float = 30) -> list[Sample]:
        """Let time pass, and collect."""
        self.clock.advance(seconds)
        return self.collector.collect()


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_the_first_reading_has_no_shares_of_time_rather_than_zeros(bench: Bench) -> None:
    names = {sample.name for sample in bench.collect()}
    assert not names & {"system.cpu_share", "system.cpu_core_share", "system.disk_read_bytes_per_s"}
    assert {"system.memory_share", "system.disk_share", "system.cpu_logical_count"} <= names


def test_shares_are_those_of_the_time_between_two_readings(bench: Bench) -> None:
    bench.collect()
    bench.machine.work(30, 6, seconds=30)
    samples = bench.collect()
    assert [(s.labels["core"], s.value) for s in samples if s.name == "system.cpu_core_share"] == [
        ("0", 1.0),
        ("1", 0.2),
    ]
    assert by_name(samples)["system.cpu_share"] == pytest.approx(0.6)


@pytest.mark.parametrize(("busy", "expected"), [((30, 0, 0, 0), 1), ((30, 30, 30, 30), 0), ((3, 3, 3, 3), 0)])
def test_one_busy_core_among_idle_ones_is_pointed_out(busy: tuple[float, ...], expected: int, bench: Bench) -> None:
    bench.machine.cores *= 2
    bench.collect()
    bench.machine.work(*busy, seconds=30)
    assert expected == by_name(bench.collect())["system.cpu_one_core_bound"]


def test_under_a_limit_the_processor_is_shared_by_the_limit(bench: Bench) -> None:
    bench.group = ControlGroup(cpu_limit_cores=0.5, cpu_used_s=100.0)
    assert by_name(bench.collect())["system.cpu_limit_cores"] == 0.5
    bench.group = ControlGroup(cpu_limit_cores=0.5, cpu_used_s=106.0)
    bench.machine.work(1, 1, seconds=30)
    assert by_name(bench.collect())["system.cpu_share"] == pytest.approx(6 / (30 * 0.5))


def test_memory_is_that_of_the_machine_without_a_limit(bench: Bench) -> None:
    found = by_name(bench.collect())
    assert found["system.memory_total_bytes"] == 16 * GB
    assert found["system.memory_share"] == 0.75
    assert found["system.memory_used_share"] == 11 / 16
    assert found["system.memory_available_share"] == 0.25
    assert found["system.memory_cached_bytes"] == 3 * GB


@pytest.mark.parametrize(
    ("used", "expected_available", "expected_share"),
    [
        (2 * GB, 2 * GB, 0.5),
        (5 * GB, 0, 1.0),  # more than the limit, as can be for a moment
        (0, 4 * GB, 0.0),  # the machine has no more than 4 GB to give
    ],
)
def test_memory_is_that_of_the_limit_where_there_is_one(
    used: int, expected_available: int, expected_share: float, bench: Bench
) -> None:
    bench.group = ControlGroup(memory_limit_bytes=4 * GB, memory_used_bytes=used)
    found = by_name(bench.collect())
    assert found["system.memory_total_bytes"] == found["system.memory_limit_bytes"] == 4 * GB
    assert expected_available == found["system.memory_available_bytes"]
    assert expected_share == found["system.memory_share"]


def test_a_limit_above_the_machine_is_none(bench: Bench) -> None:
    bench.group = ControlGroup(memory_limit_bytes=64 * GB, memory_used_bytes=GB)
    found = by_name(bench.collect())
    assert found["system.memory_total_bytes"] == 16 * GB
    assert "system.memory_limit_bytes" not in found


def test_a_machine_without_swap_has_no_share_of_it(bench: Bench) -> None:
    bench.machine.swap_now = Space(0, 0, 0)
    found = by_name(bench.collect())
    assert found["system.swap_total_bytes"] == 0
    assert "system.swap_share" not in found


def test_what_the_system_hides_is_left_out(bench: Bench) -> None:
    bench.machine.memory_now = Memory(16 * GB, 4 * GB, 11 * GB, GB)
    bench.machine.frequencies = (None, None, None)
    bench.machine.disk_now = bench.machine.network_now = None
    names = {sample.name for sample in bench.collect()}
    assert not {name for name in names if "cached" in name or "mhz" in name or "network" in name or "_read_" in name}


def test_a_disk_is_full_when_its_users_have_nothing_left(bench: Bench) -> None:
    bench.machine.disks = {"/": Space(100, 90, 0), "/data": Space(100, 60, 20), "/empty": Space(0, 0, 0)}
    shares = {s.labels["mount"]: s.value for s in bench.collect() if s.name == "system.disk_share"}
    assert shares == {"/": 1.0, "/data": 0.75}


def test_counters_and_their_speeds_survive_a_reset(bench: Bench) -> None:
    def speed(now: int) -> float | None:
        bench.machine.network_now = {"network_sent_bytes": now}
        return by_name(bench.collect()).get("system.network_sent_bytes_per_s")

    assert [speed(now) for now in (500, 800, 100, 400)] == [None, 10.0, None, 10.0]


def test_no_time_between_two_readings_gives_no_speed() -> None:
    speeds = Speeds()
    assert [speeds.per_s("x", 1, 5.0), speeds.per_s("x", 2, 5.0), speeds.per_s("x", 4, 6.0)] == [None, None, 2.0]


@pytest.mark.parametrize("error", [OSError("no such file"), RuntimeError("odd kernel"), KeyError("x"), psutil.Error()])
def test_a_broken_sensor_is_told_once_and_costs_the_others_nothing(
    error: Exception, bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.machine.broken = {"memory": error}
    for _ in range(3):
        assert "system.load_1m" in by_name(bench.collect())
    assert len(caplog.records) == 1
    assert "the sensor memory gives no figures" in caplog.text
    assert len(bench.collector.problems) == 1
    bench.machine.broken = {}
    assert "system.memory_share" in by_name(bench.collect())
    assert not bench.collector.problems


def test_a_mount_that_cannot_be_read_hides_no_other(bench: Bench) -> None:
    bench.machine.disks |= {"/secret": Space(1, 1, 0)}
    bench.machine.broken = {"disk /secret": PermissionError("not for you")}
    assert {s.labels["mount"] for s in bench.collect() if s.name == "system.disk_share"} == {"/"}
    assert "disk /secret" in bench.collector.problems[0]


def test_limits_that_cannot_be_read_leave_the_machines_own_figures() -> None:
    def broken() -> ControlGroup:
        raise OSError("gone")

    collector = ResourceCollector(host=Machine(), groups=broken, gpus=Gpus(no_cards), clock=ManualClock())
    assert by_name(collector.collect())["system.memory_total_bytes"] == 16 * GB


def test_a_machine_without_graphics_cards_has_no_problem(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="tokencalc"):
        bench.collect()
        bench.collect()
    assert [record.getMessage() for record in caplog.records] == ["no driver here"]
    assert bench.collector.problems == ()


def test_processes_have_figures_of_their_own() -> None:
    machine, clock = Machine(), ManualClock()
    collector = ProcessCollector((4711,), host=machine, clock=clock)
    collector.collect()
    machine.process_now = ProcessFigures(17.0, 60_000_000, 5, None)
    clock.advance(10)
    samples = collector.collect()
    assert by_name(samples) == {
        "process.cpu_cores": 1.5,
        "process.cpu_s": 17.0,
        "process.memory_rss_bytes": 60_000_000,
        "process.thread_count": 5,
    }
    assert {s.name for s in samples if s.labels == {"pid": "4711"}} == set(by_name(samples))


def test_a_process_that_ended_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    machine = Machine(broken={"process 4711": psutil.NoSuchProcess(4711)})
    collector = ProcessCollector((4711,), host=machine, clock=ManualClock())
    assert by_name(collector.collect())["process.thread_count"] == 4
    collector.collect()
    assert len(caplog.records) == 1
    assert "process 4711" in collector.problems[0]


def test_this_machine_has_sensible_figures() -> None:
    clock = ManualClock()
    collector = ResourceCollector(clock=clock)
    collector.collect()
    clock.advance(1)
    samples = collector.collect()
    assert {s.value for s in samples if s.name.endswith("_share") and not 0 <= s.value <= 1} == set()
    assert {s.labels["mount"] for s in samples if s.name == "system.disk_share"} >= {"/"}
    assert by_name(samples)["system.process_count"] >= 1
    host = PsutilHost()
    assert len(host.core_times()) == host.core_counts()[0]
    assert host.process(None) == pytest.approx(host.process(os.getpid()), rel=0.5, abs=5)
