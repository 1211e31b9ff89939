"""What control groups allow this process, versions 1 and 2: processor time and memory.

In a container the machine's figures mislead: it has 64 cores and we may use two.
A limit holds for a group and all below it, so every group from ours up to the
mount is read and the tightest one counts, with what that group uses.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_US_PER_S, _NS_PER_S = 10**6, 10**9

_UNLIMITED_BYTES = 2**60
"""Version 1 writes "no limit" as a number near 2**63, rounded down to a page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlGroup:
    """The limits that hold for this process, None where there is none, and what the limited group uses.

    ``cpu_used_s`` counts seconds of processor time since the group was made. ``memory_used_bytes``
    leaves out cached files that the kernel would drop before it refuses memory.
    """

    cpu_limit_cores: float | None = None
    cpu_used_s: float | None = None
    memory_limit_bytes: int | None = None
    memory_used_bytes: int | None = None


class ControlGroups:
    """Finds the groups of this process once, and reads their limits whenever asked."""

    def __init__(self, proc: Path = Path("/proc/self")) -> None:
        """Look below ``proc`` for where the groups are; a machine without them has no limits."""
        mounts, paths = list(_mounts(_text(proc / "mountinfo"))), dict(_paths(_text(proc / "cgroup")))
        self._cpu, self._is_v2_cpu = _folders("cpu", mounts, paths)
        self._accounts, _ = _folders("cpuacct", mounts, paths)
        self._memory, self._is_v2_memory = _folders("memory", mounts, paths)

    def read(self) -> ControlGroup:
        """Return the limits of now."""
        cores, place = self._tightest_cpu()
        memory, folder = self._tightest_memory()
        return ControlGroup(
            cpu_limit_cores=cores,
            cpu_used_s=None if place is None else self._cpu_used_s(place),
            memory_limit_bytes=memory,
            memory_used_bytes=None if folder is None else self._memory_used(folder),
        )

    def _tightest_cpu(self) -> tuple[float | None, int | None]:
        limits = [(cores, place) for place, folder in enumerate(self._cpu) if (cores := self._cores(folder))]
        return min(limits, default=(None, None), key=lambda found: found[0])

    def _cores(self, folder: Path) -> float | None:
        if self._is_v2_cpu:
            quota, _, period = _text(folder / "cpu.max").strip().partition(" ")
        else:
            quota, period = (_text(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period"))
        if not (quota.isdecimal() and period.isdecimal() and int(period)):
            return None
        return int(quota) / int(period) or None

    def _cpu_used_s(self, place: int) -> float | None:
        if self._is_v2_cpu:
            used = _figures(_text(self._cpu[place] / "cpu.stat")).get("usage_usec")
            return None if used is None else used / _US_PER_S
        if place >= len(self._accounts):
            return None
        used = _number(_text(self._accounts[place] / "cpuacct.usage"))
        return None if used is None else used / _NS_PER_S

    def _tightest_memory(self) -> tuple[int | None, Path | None]:
        name = "memory.max" if self._is_v2_memory else "memory.limit_in_bytes"
        limits = [(_number(_text(folder / name)), folder) for folder in self._memory]
        known = [(limit, folder) for limit, folder in limits if limit is not None and 0 < limit < _UNLIMITED_BYTES]
        return min(known, default=(None, None), key=lambda found: found[0])

    def _memory_used(self, folder: Path) -> int | None:
        used = _number(_text(folder / ("memory.current" if self._is_v2_memory else "memory.usage_in_bytes")))
        if used is None:
            return None
        figures = _figures(_text(folder / "memory.stat"))
        return max(0, used - figures.get("inactive_file" if self._is_v2_memory else "total_inactive_file", 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mount:
    """One mounted hierarchy: which controllers, where, and which group stands at its root."""

    controllers: frozenset[str]
    is_v2: bool
    folder: Path
    root: PurePosixPath


def _mounts(text: str) -> Iterator[_Mount]:
    # Each line: id, parent, device, root, mount point, options, optional fields, "-", type, source, super options.
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) < 5 or len(kind) < 3 or kind[0] not in {"cgroup", "cgroup2"}:  # noqa: PLR2004  # see above
            continue
        yield _Mount(
            controllers=frozenset(kind[2].split(",")),
            is_v2=kind[0] == "cgroup2",
            folder=Path(_unescaped(fields[4])),
            root=PurePosixPath(_unescaped(fields[3])),
        )


def _unescaped(text: str) -> str:
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, char)
    return text


def _paths(text: str) -> Iterator[tuple[str, PurePosixPath]]:
    """Yield each controller with our group in its hierarchy; version 2 is the controller without a name."""
    for line in text.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        for controller in controllers.split(","):
            yield controller, PurePosixPath(path)


def _folders(controller: str, mounts: list[_Mount], paths: dict[str, PurePosixPath]) -> tuple[list[Path], bool]:
    """Return the folders from our group up to the mount, and whether they are of version 2."""
    for mount in mounts:
        if mount.is_v2 or controller not in mount.controllers or controller not in paths:
            continue
        return list(_up(mount, paths[controller])), False
    for mount in mounts:
        if mount.is_v2 and "" in paths:
            return list(_up(mount, paths[""])), True
    return [], False


def _up(mount: _Mount, path: PurePosixPath) -> Iterator[Path]:
    # Within a namespace of its own, the mount shows only our part: then its root is where we are.
    inside = path.relative_to(mount.root).parts if path.is_relative_to(mount.root) and ".." not in path.parts else ()
    for length in range(len(inside), -1, -1):
        folder = mount.folder.joinpath(*inside[:length])
        if folder.is_dir():
            yield folder


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _number(text: str) -> int | None:
    return int(text) if text.strip().isdecimal() else None


def _figures(text: str) -> dict[str, int]:
    pairs = (line.partition(" ") for line in text.splitlines())
    return {name: int(value) for name, _, value in pairs if value.strip().isdecimal()}
