"""The resource collectors: the machine's figures, and those of processes.

Counters become speeds and shares between two collections, so the first has none of
those: no figure, rather than a zero. Where a control group limits this process, memory
and processor time are shares of what it may use.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Protocol

from tokencalc.clock import SystemClock
from tokencalc.errors import ExtraMissing, FeatureUnavailable
from tokencalc.monitor.cgroups import ControlGroup, ControlGroups
from tokencalc.monitor.gpu import Gpus
from tokencalc.monitor.samples import Sample, Told, bounded, failure_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from tokencalc.clock import Clock
    from tokencalc.monitor.host import CoreTimes, Memory, ProcessFigures, Space

_MOST_MOUNTS = 50
_ONE_CORE_BUSY, _TOTAL_LOW = 0.9, 0.5


class Host(Protocol):
    """What a machine is asked; `PsutilHost` asks the real one."""

    def core_times(self) -> Sequence[CoreTimes]:
        """Return the times of each core."""

    def core_counts(self) -> tuple[int | None, int | None]:
        """Return how many cores there are, logical and physical."""

    def frequencies_mhz(self) -> tuple[float | None, float | None, float | None]:
        """Return the frequency of the cores in MHz: now, least, most."""

    def load(self) -> tuple[float, float, float]:
        """Return the load averages of 1, 5 and 15 minutes."""

    def memory(self) -> Memory:
        """Return the memory."""

    def swap(self) -> Space:
        """Return the swap space."""

    def mounts(self) -> Sequence[str]:
        """Return where disks are mounted."""

    def disk(self, mount: str) -> Space:
        """Return the space of one mount."""

    def disk_counters(self) -> Mapping[str, int] | None:
        """Return what the disks read and wrote."""

    def network_counters(self) -> Mapping[str, int] | None:
        """Return what was sent and received."""

    def process_count(self) -> int:
        """Return how many processes there are."""

    def process(self, pid: int | None) -> ProcessFigures:
        """Return the figures of one process, of this one for None."""


class Speeds:
    """Turns counters into speeds; a counter that fell was reset, and has none this time."""

    def __init__(self) -> None:
        """Start with nothing seen."""
        self._seen: dict[str, tuple[float, float]] = {}

    def per_s(self, name: str, value: float, now_s: float) -> float | None:
        """Return how much the counter grew for each second since it was last seen, or None."""
        before = self._seen.get(name)
        self._seen[name] = (value, now_s)
        if before is None or now_s <= before[1] or value < before[0]:
            return None
        return (value - before[0]) / (now_s - before[1])


class _Sensors:
    """Asks one sensor after the other; one that is missing or fails is told once and costs the others nothing."""

    def __init__(self) -> None:
        self.told = Told()
        self._missing: set[str] = set()

    def ask(self, name: str, sensor: Callable[[], Iterable[Sample]]) -> list[Sample]:
        try:
            found = list(sensor())
        except (ExtraMissing, FeatureUnavailable) as missing:
            # Most machines have no such thing: that is no problem, and nobody needs to be warned of it.
            if name not in self._missing:
                self._missing.add(name)
                logging.getLogger("tokencalc").debug("%s", missing.message)
        except Exception as error:  # noqa: BLE001  # bulk: whatever a sensor of somebody's machine raises, the others go on
            self.told.tell(name, f"the sensor {bounded(name)} gives no figures: {failure_text(error)}; told once")
        else:
            self.told.works(name)
            return found
        return []


class ResourceCollector:
    """The machine's figures: processor, memory, swap, disks, network, processes, graphics cards."""

    name = "resource"
    is_host = True

    def __init__(
        self,
        *,
        host: Host | None = None,
        groups: Callable[[], ControlGroup] | None = None,
        gpus: Gpus | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Read this machine, or what is handed in."""
        self._host = _this_machine() if host is None else host
        self._groups = ControlGroups().read if groups is None else groups
        self._gpus = Gpus() if gpus is None else gpus
        self._clock: Clock = SystemClock() if clock is None else clock
        self._speeds = Speeds()
        self._cores: Sequence[CoreTimes] = ()
        self._sensors = _Sensors()

    @property
    def problems(self) -> tuple[str, ...]:
        """Sensors that are broken, one text each."""
        return self._sensors.told.texts

    def collect(self) -> list[Sample]:
        """Return the figures of now; shares of processor time and speeds are those since the last collection."""
        now_s, ask = self._clock.monotonic(), self._sensors.ask
        group = self._group()
        samples = [
            *ask("processor", lambda: self._processor(group, now_s)),
            *ask("cores", self._core_figures),
            *ask("frequency", self._frequency),
            *ask("load", self._load),
            *ask("memory", lambda: self._memory(group)),
            *ask("swap", self._swap),
            *ask("disk counters", lambda: self._counters(self._host.disk_counters(), now_s)),
            *ask("network", lambda: self._counters(self._host.network_counters(), now_s)),
            *ask("processes", lambda: [Sample("system.process_count", self._host.process_count())]),
            *ask("gpu", self._gpus.samples),
        ]
        return samples + self._disks()

    def _group(self) -> ControlGroup:
        found: list[ControlGroup] = []

        def read() -> Iterable[Sample]:
            found.append(self._groups())
            return ()

        self._sensors.ask("control group", read)
        return found[0] if found else ControlGroup()

    def _processor(self, group: ControlGroup, now_s: float) -> Iterator[Sample]:
        before, self._cores = self._cores, self._host.core_times()
        shares = _core_shares(before, self._cores)
        for core, share in enumerate(shares):
            if share is not None:
                yield Sample("system.cpu_core_share", share, {"core": str(core)})
        known = [share for share in shares if share is not None]
        total = sum(known) / len(known) if known else None
        if group.cpu_limit_cores is not None:
            yield Sample("system.cpu_limit_cores", group.cpu_limit_cores)
            if group.cpu_used_s is not None:
                used = self._speeds.per_s("cpu_used_s", group.cpu_used_s, now_s)
                total = None if used is None else min(1.0, used / group.cpu_limit_cores)
        if total is not None:
            yield Sample("system.cpu_share", total)
        if known and total is not None:
            yield Sample("system.cpu_one_core_bound", int(max(known) > _ONE_CORE_BUSY and total < _TOTAL_LOW))

    def _core_figures(self) -> Iterator[Sample]:
        for kind, count in zip(("logical", "physical"), self._host.core_counts(), strict=True):
            if count is not None:
                yield Sample(f"system.cpu_{kind}_count", count)

    def _frequency(self) -> Iterator[Sample]:
        names = ("cpu_frequency_mhz", "cpu_frequency_min_mhz", "cpu_frequency_max_mhz")
        for name, value in zip(names, self._host.frequencies_mhz(), strict=True):
            if value is not None:
                yield Sample(f"system.{name}", value)

    def _load(self) -> Iterator[Sample]:
        for minutes, value in zip((1, 5, 15), self._host.load(), strict=True):
            yield Sample(f"system.load_{minutes}m", value)

    def _memory(self, group: ControlGroup) -> Iterator[Sample]:
        memory = self._host.memory()
        total, used, available, free = memory.total, memory.used, memory.available, memory.free
        limit = group.memory_limit_bytes
        if limit is not None and limit < total:
            yield Sample("system.memory_limit_bytes", limit)
            total = limit
            if group.memory_used_bytes is not None:
                used = min(limit, group.memory_used_bytes)
                # What the group may still take, which the machine must have, too.
                available = free = min(limit - used, available)
        yield Sample("system.memory_total_bytes", total)
        yield Sample("system.memory_used_bytes", used)
        yield Sample("system.memory_available_bytes", available)
        yield Sample("system.memory_free_bytes", free)
        for name, value in (("cached", memory.cached), ("buffers", memory.buffers)):
            if value is not None:
                yield Sample(f"system.memory_{name}_bytes", value)
        if total:
            yield Sample("system.memory_share", min(1.0, max(0.0, (total - available) / total)))
            yield Sample("system.memory_used_share", min(1.0, used / total))
            yield Sample("system.memory_available_share", min(1.0, available / total))

    def _swap(self) -> Iterator[Sample]:
        swap = self._host.swap()
        yield from _space("swap", swap, {})
        # A machine without swap has none to fill; a share of nothing is no figure.
        if swap.total:
            yield Sample("system.swap_share", swap.used / swap.total)

    def _disks(self) -> list[Sample]:
        mounts: list[str] = []

        def find() -> Iterable[Sample]:
            mounts.extend(self._host.mounts())
            return ()

        self._sensors.ask("disks", find)
        # Each by itself: one mount that cannot be read hides no other.
        return [
            sample
            for mount in mounts[:_MOST_MOUNTS]
            for sample in self._sensors.ask(f"disk {mount}", partial(self._disk, mount))
        ]

    def _disk(self, mount: str) -> Iterator[Sample]:
        space, labels = self._host.disk(mount), {"mount": bounded(mount)}
        yield from _space("disk", space, labels)
        # As df counts: of what users can have, without the part that is reserved.
        if space.used + space.free:
            yield Sample("system.disk_share", space.used / (space.used + space.free), labels)

    def _counters(self, counters: Mapping[str, int] | None, now_s: float) -> Iterator[Sample]:
        for name, value in (counters or {}).items():
            yield Sample(f"system.{name}", value)
            speed = self._speeds.per_s(name, value, now_s)
            if speed is not None:
                yield Sample(f"system.{name}_per_s", speed)


class ProcessCollector:
    """Figures of this process, and of others by their ids; ``process.cpu_cores`` is how many cores it kept busy."""

    name = "process"
    is_host = False

    def __init__(self, pids: Sequence[int] = (), *, host: Host | None = None, clock: Clock | None = None) -> None:
        """Read this process and those of ``pids``; one that has ended is told once and left out."""
        self._pids = (None, *pids)
        self._host = _this_machine() if host is None else host
        self._clock: Clock = SystemClock() if clock is None else clock
        self._speeds = Speeds()
        self._sensors = _Sensors()

    @property
    def problems(self) -> tuple[str, ...]:
        """Processes that cannot be read, one text each."""
        return self._sensors.told.texts

    def collect(self) -> list[Sample]:
        """Return the figures of now."""
        now_s = self._clock.monotonic()
        return [
            sample
            for pid in self._pids
            for sample in self._sensors.ask(f"process {pid or 'of our own'}", partial(self._process, pid, now_s))
        ]

    def _process(self, pid: int | None, now_s: float) -> Iterator[Sample]:
        figures = self._host.process(pid)
        labels = {} if pid is None else {"pid": str(pid)}
        cores = self._speeds.per_s(f"cpu {pid}", figures.cpu_s, now_s)
        if cores is not None:
            yield Sample("process.cpu_cores", cores, labels)
        yield Sample("process.cpu_s", figures.cpu_s, labels)
        yield Sample("process.memory_rss_bytes", figures.memory_rss_bytes, labels)
        yield Sample("process.thread_count", figures.thread_count, labels)
        if figures.file_descriptor_count is not None:
            yield Sample("process.file_descriptor_count", figures.file_descriptor_count, labels)


def _this_machine() -> Host:
    from tokencalc.monitor.host import PsutilHost  # noqa: PLC0415  # psutil is loaded by who reads the machine

    return PsutilHost()


def _space(name: str, space: Space, labels: Mapping[str, str]) -> Iterator[Sample]:
    for part, value in zip(("total", "used", "free"), space, strict=True):
        yield Sample(f"system.{name}_{part}_bytes", value, labels)


def _core_shares(before: Sequence[CoreTimes], now: Sequence[CoreTimes]) -> list[float | None]:
    """Return what share of the time between two readings each core was busy; None where it was not seen twice."""
    if len(before) != len(now):
        return [None] * len(now)
    found: list[float | None] = []
    for old, new in zip(before, now, strict=True):
        elapsed_s = new.total_s - old.total_s
        found.append(min(1.0, max(0.0, (new.busy_s - old.busy_s) / elapsed_s)) if elapsed_s > 0 else None)
    return found
