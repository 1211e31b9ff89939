"""The table of metric names in the docs is whole: each name that a collector gives is in it, and no other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tests.unit.machines import GB, Given, Kept, Machine
from tests.unit.test_monitor_gpu import Library
from tokencalc.clock import ManualClock
from tokencalc.engine import Engine
from tokencalc.limits.breaker import Breaker
from tokencalc.limits.limiter import Limiter
from tokencalc.monitor.cgroups import ControlGroup
from tokencalc.monitor.gpu import Gpus
from tokencalc.monitor.limiter import LimiterCollector
from tokencalc.monitor.monitor import Monitor
from tokencalc.monitor.operations import Operations, PerformanceCollector
from tokencalc.monitor.resource import ProcessCollector, ResourceCollector

if TYPE_CHECKING:
    from tokencalc.monitor.samples import Collector

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
DISK = ("disk_read_bytes", "disk_write_bytes", "disk_read_count", "disk_write_count")
NETWORK = ("sent_bytes", "received_bytes", "sent_packets", "received_packets", "error_count")


def given_names() -> set[str]:
    """Return the names of all samples, of a machine that has everything."""
    clock, operations = ManualClock(), Operations(clock=ManualClock())
    machine = Machine(
        frequencies=(2.0, 1.0, 3.0),
        disk_now=dict.fromkeys(DISK, 1),
        network_now={f"network_{name}": 1 for name in NETWORK},
    )
    limiter = Limiter(60, name="openai/gpt-4o", clock=clock)
    limiter.acquire()
    limiter.retried(1, 0.5)
    group = ControlGroup(cpu_limit_cores=2, memory_limit_bytes=GB, memory_used_bytes=1)
    machine.core_counts = lambda: (8, 4)  # type: ignore[method-assign]
    collectors: list[Collector] = [
        ResourceCollector(host=machine, groups=lambda: group, gpus=Gpus(Library), clock=clock),
        ProcessCollector((1,), host=machine, clock=clock),
        LimiterCollector(lambda: [limiter], lambda: {"openai/gpt-4o": Breaker(clock=clock)}),
        PerformanceCollector(operations),
        Given("none"),
    ]
    with Engine.open(":memory:", clock=clock) as engine:
        monitor = Monitor(engine, collectors=collectors, sink=Kept())
        monitor.collect_once()
        clock.advance(30)
        operations.clock.advance(1)  # type: ignore[attr-defined]
        machine.work(1, 1, seconds=30)
        operations.record_duration("job", 1)
        return {sample.name for sample in monitor.collect_once()}


def test_the_docs_name_every_metric_and_no_other() -> None:
    rows = [line.split("|")[1] for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    documented = {name for row in rows for name in re.findall(r"`([a-z]+\.[a-z0-9_]+)`", row)}
    given = {name.removesuffix("_per_s") if name.startswith("system.") else name for name in given_names()}
    assert documented == given
