"""A machine of numbers for tests of the monitor: counters that a test moves, sensors that a test breaks."""

# ruff: noqa: D102, D107  # what each method means is said where its shape is declared

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tokencalc.monitor.host import CoreTimes, Memory, ProcessFigures, Space
from tokencalc.monitor.samples import Sample

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

GB = 10**9


@dataclass
class Machine:
    """Has the shape of `Host`; ``broken`` names methods that raise."""

    cores: list[CoreTimes] = field(default_factory=lambda: [CoreTimes(10.0, 100.0), CoreTimes(20.0, 100.0)])
    memory_now: Memory = field(default_factory=lambda: Memory(16 * GB, 4 * GB, 11 * GB, 1 * GB, 3 * GB, 1 * GB))
    swap_now: Space = field(default_factory=lambda: Space(2 * GB, 1 * GB, 1 * GB))
    disks: dict[str, Space] = field(default_factory=lambda: {"/": Space(100 * GB, 60 * GB, 20 * GB)})
    disk_now: dict[str, int] | None = field(default_factory=lambda: {"disk_read_bytes": 1000, "disk_write_count": 7})
    network_now: dict[str, int] | None = field(default_factory=lambda: {"network_sent_bytes": 500})
    process_now: ProcessFigures = field(default_factory=lambda: ProcessFigures(2.0, 50_000_000, 4, 12))
    frequencies: tuple[float | None, float | None, float | None] = (2600.0, None, None)
    broken: dict[str, Exception] = field(default_factory=dict)

    def _may(self, name: str) -> None:
        if name in self.broken:
            raise self.broken[name]

    def work(self, *busy_s: float, seconds: float) -> None:
        """Let every core be busy for so long in so many seconds."""
        self.cores = [
            CoreTimes(core.busy_s + busy, core.total_s + seconds) for core, busy in zip(self.cores, busy_s, strict=True)
        ]

    def core_times(self) -> list[CoreTimes]:
        self._may("core_times")
        return self.cores

    def core_counts(self) -> tuple[int | None, int | None]:
        return len(self.cores), None

    def frequencies_mhz(self) -> tuple[float | None, float | None, float | None]:
        self._may("frequencies_mhz")
        return self.frequencies

    def load(self) -> tuple[float, float, float]:
        self._may("load")
        return (1.5, 1.0, 0.5)

    def memory(self) -> Memory:
        self._may("memory")
        return self.memory_now

    def swap(self) -> Space:
        return self.swap_now

    def mounts(self) -> list[str]:
        return list(self.disks)

    def disk(self, mount: str) -> Space:
        self._may(f"disk {mount}")
        return self.disks[mount]

    def disk_counters(self) -> Mapping[str, int] | None:
        return self.disk_now

    def network_counters(self) -> Mapping[str, int] | None:
        return self.network_now

    def process_count(self) -> int:
        return 123

    def process(self, pid: int | None) -> ProcessFigures:
        self._may(f"process {pid}")
        return self.process_now


class Kept:
    """A sink that keeps the samples it is handed; ``failing`` is raised instead."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self.instants: list[datetime | None] = []
        self.sources: list[str | None] = []
        self.failing: Exception | None = None
        self.is_full = False
        self.asked = 0

    def record_metric(
        self,
        name: str,
        value: float,
        *,
        at: datetime | None = None,
        labels: Mapping[str, str] | None = None,
        source: str | None = None,
    ) -> bool:
        self.asked += 1
        if self.is_full:
            return False
        if self.failing is not None:
            raise self.failing
        self.samples.append(Sample(name, value, labels or {}))
        self.instants.append(at)
        self.sources.append(source)
        return True

    def values(self, name: str) -> list[float]:
        """Return the values that were recorded under a name, in order."""
        return [sample.value for sample in self.samples if sample.name == name]


class Given:
    """A collector that gives what a test says, or raises it."""

    def __init__(self, name: str, *samples: Sample, is_host: bool = False) -> None:
        self.name = name
        self.is_host = is_host
        self.samples = samples
        self.failing: BaseException | None = None

    def collect(self) -> Iterable[Sample]:
        if self.failing is not None:
            raise self.failing
        return self.samples


class Stuck(Given):
    """A collector whose sensor answers when the gate opens."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.asked, self.gate = threading.Event(), threading.Event()

    def collect(self) -> list[Sample]:
        self.asked.set()
        assert self.gate.wait(30)
        return []


class Pump:
    """A pump that notes what is asked of it."""

    def __init__(self, *, is_done: bool = True) -> None:
        self.is_done = is_done
        self.calls: list[str] = []

    def __call__(self, at: datetime) -> None:
        del at
        self.calls.append("pump")

    def finish(self, timeout_s: float) -> bool:
        self.calls.append(f"finish {timeout_s:g}")
        return self.is_done


def by_name(samples: Iterable[Sample]) -> dict[str, float]:
    """Return the samples without labels, by name."""
    return {name: value for name, value, labels in samples if not labels}
