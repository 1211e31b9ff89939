"""The machine's raw figures by psutil: counters, bytes and seconds as the system has them, nothing derived.

What a system hides is None, never 0. Shares and speeds are made of these by `resource`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import psutil

if TYPE_CHECKING:
    from collections.abc import Mapping

_READ_ONLY_IMAGES = frozenset({"squashfs", "iso9660", "erofs"})
"""File systems that are always full and never fill up."""

_LOOPBACK = ("lo", "lo0")


class CoreTimes(NamedTuple):
    """Seconds that one core was busy, and seconds in all, since the start of the machine."""

    busy_s: float
    total_s: float


class Memory(NamedTuple):
    """Bytes of memory; ``available`` can be had without swapping."""

    total: int
    available: int
    used: int
    free: int
    cached: int | None = None
    buffers: int | None = None


class Space(NamedTuple):
    """Bytes of swap or of a disk; ``free`` is what a user without special rights can still have."""

    total: int
    used: int
    free: int


class ProcessFigures(NamedTuple):
    """Figures of one process: processor seconds, resident bytes, threads, open files."""

    cpu_s: float
    memory_rss_bytes: int
    thread_count: int
    file_descriptor_count: int | None


class PsutilHost:
    """Reads this machine; each method may raise what psutil and the system raise."""

    def core_times(self) -> list[CoreTimes]:
        """Return the times of each core; waiting for a disk is not being busy."""
        found = []
        for times in psutil.cpu_times(percpu=True):
            # Time of guests is part of user and nice already.
            total = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
            found.append(CoreTimes(total - times.idle - getattr(times, "iowait", 0.0), total))
        return found

    def core_counts(self) -> tuple[int | None, int | None]:
        """Return how many cores there are, logical and physical."""
        return psutil.cpu_count(logical=True), psutil.cpu_count(logical=False)

    def frequencies_mhz(self) -> tuple[float | None, float | None, float | None]:
        """Return the frequency of the cores in MHz: now, least, most."""
        found = psutil.cpu_freq() if hasattr(psutil, "cpu_freq") else None
        # psutil writes 0 for what it does not know.
        return (None, None, None) if found is None else (found.current or None, found.min or None, found.max or None)

    def load(self) -> tuple[float, float, float]:
        """Return the load averages of 1, 5 and 15 minutes."""
        return psutil.getloadavg()

    def memory(self) -> Memory:
        """Return the machine's memory."""
        found = psutil.virtual_memory()
        cached, buffers = getattr(found, "cached", None), getattr(found, "buffers", None)
        return Memory(found.total, found.available, found.used, found.free, cached, buffers)

    def swap(self) -> Space:
        """Return the machine's swap space."""
        found = psutil.swap_memory()
        return Space(found.total, found.used, found.free)

    def mounts(self) -> list[str]:
        """Return where disks are mounted: each device once, at its shortest path, and the root in any case."""
        places: dict[str, str] = {}
        for part in psutil.disk_partitions(all=False):
            # Containers mount single files from the machine's disk.
            if part.fstype in _READ_ONLY_IMAGES or not Path(part.mountpoint).is_dir():
                continue
            places[part.device] = min(places.get(part.device, part.mountpoint), part.mountpoint, key=len)
        # The root of a container is an overlay, which is no physical device.
        return sorted({"/", *places.values()})

    def disk(self, mount: str) -> Space:
        """Return the space of one mount."""
        found = psutil.disk_usage(mount)
        return Space(found.total, found.used, found.free)

    def disk_counters(self) -> Mapping[str, int] | None:
        """Return what all disks together read and wrote since the start of the machine."""
        found = psutil.disk_io_counters()
        if found is None:
            return None
        return {
            "disk_read_bytes": found.read_bytes,
            "disk_write_bytes": found.write_bytes,
            "disk_read_count": found.read_count,
            "disk_write_count": found.write_count,
        }

    def network_counters(self) -> Mapping[str, int] | None:
        """Return what all interfaces but the loopback sent and received since the start of the machine."""
        cards = [card for name, card in psutil.net_io_counters(pernic=True).items() if name not in _LOOPBACK]
        if not cards:
            return None
        return {
            "network_sent_bytes": sum(card.bytes_sent for card in cards),
            "network_received_bytes": sum(card.bytes_recv for card in cards),
            "network_sent_packets": sum(card.packets_sent for card in cards),
            "network_received_packets": sum(card.packets_recv for card in cards),
            "network_error_count": sum(card.errin + card.errout for card in cards),
        }

    def process_count(self) -> int:
        """Return how many processes there are."""
        return len(psutil.pids())

    def process(self, pid: int | None) -> ProcessFigures:
        """Return the figures of one process, of this one for None."""
        process = psutil.Process(os.getpid() if pid is None else pid)
        with process.oneshot():
            times = process.cpu_times()
            files = process.num_fds() if hasattr(process, "num_fds") else None
            return ProcessFigures(times.user + times.system, process.memory_info().rss, process.num_threads(), files)
