"""A disk that keeps only what was synced: what is left of a folder when its process, or its power, ends.

The layer stands between SQLite and the file system. Reads, locks and shared memory go straight through. Writes go
through too and are noted as pending until the file is synced; names in a folder are pending until the folder is
synced. `Disk.image` then writes down what a disk could hold after a power cut: what was synced, and of the rest
nothing, everything, or a random part, torn in sectors. From a chosen operation on it also fails, once or for good.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import stat
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Literal

import pytest

from tests.simulation import sqlite_files as c

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECTOR_BYTES = 512

Left = Literal["synced", "part", "all"]
"""What a power cut leaves of what was not synced: nothing, a random part; "all" is a killed process, not the power."""


def seeded(seed: int) -> Random:
    """Return the random numbers of a seed."""
    return Random(seed)  # noqa: S311  # a test's dice, no secrets


@dataclass
class Kept:
    """One file: its bytes as of the last sync, and what was done to it since: (offset, data), or (size, None)."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)
    is_watched: bool = False
    """Whether SQLite writes it, through the layer; what others write is looked up in the file."""

    def sync(self) -> None:
        """Make what is pending durable."""
        for offset, data in self.pending:
            _put(self.durable, offset, data)
        self.pending.clear()

    def content(self, survives: Callable[[], bool]) -> bytearray:
        """Return what the file holds if each pending sector survives or not."""
        content = bytearray(self.durable)
        for offset, data in self.pending:
            for start, part in _sectors(offset, data):
                if survives():
                    _put(content, start, part)
        return content


def _put(content: bytearray, offset: int, data: bytes | None) -> None:
    content.extend(bytes(max(0, offset - len(content))))
    if data is None:
        del content[offset:]
    else:
        content[offset : offset + len(data)] = data


def _sectors(offset: int, data: bytes | None) -> Iterator[tuple[int, bytes | None]]:
    """Cut one write where a power cut may tear it."""
    if data is None:
        yield offset, None
        return
    start = 0
    while start < len(data):
        end = min(len(data), start + SECTOR_BYTES - (offset + start) % SECTOR_BYTES)
        yield offset + start, data[start:end]
        start = end


@dataclass
class Fault:
    """From the operation of that number on (0 is the next), the disk fails: once, or whatever comes after too."""

    after: int
    once: bool = False
    is_full: bool = False
    only_syncs: bool = False
    """Whether only syncs count: the moment in which all is written and nobody knows whether it is kept."""


@dataclass(eq=False)
class Disk:
    """What is known of the folder ``root``; whatever lies in it at birth counts as durable."""

    root: Path
    process: object = None
    """Whoever is running now; the files that it opens are its own."""
    dead: set[object] = field(default_factory=set)
    fault: Fault | None = None
    operations: int = 0
    syncs: int = 0
    _files: dict[tuple[int, int], Kept] = field(default_factory=dict)
    _names: dict[Path, dict[str, Kept | None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Take down what is there."""
        for folder, _, _ in os.walk(self.root):
            self.folder_synced(Path(folder))
        for names in self._names.values():
            for kept in names.values():
                if kept is not None:
                    kept.sync()

    def kept(self, path: Path) -> Kept | None:
        """Return what is known of a file of ours; a folder has None."""
        found = path.stat()
        if stat.S_ISDIR(found.st_mode):
            return None
        key = (found.st_dev, found.st_ino)
        kept = self._files.setdefault(key, Kept())
        if not kept.is_watched:
            content = path.read_bytes()
            kept.pending = [] if content == kept.durable else [(0, None), (0, content)]
        return kept

    def folder_synced(self, folder: Path) -> None:
        """Make the names in a folder durable."""
        self._names[folder] = {one.name: self.kept(one) for one in sorted(folder.iterdir())}

    def removed(self, path: Path) -> None:
        """Forget which file a number of the file system stood for: the next file may get it again."""
        found = path.stat()
        self._files.pop((found.st_dev, found.st_ino), None)

    def refuses(self, process: object, *, syncs: bool = False) -> bool:
        """Count an operation, and say whether it fails."""
        if process in self.dead:
            return True
        self.operations += 1
        if self.fault is None or (self.fault.only_syncs and not syncs):
            return False
        self.fault.after -= 1
        return self.fault.after == -1 if self.fault.once else self.fault.after < 0

    @property
    def error(self) -> int:
        """What a write that fails answers."""
        return c.FULL if self.fault is not None and self.fault.is_full else c.IOERR_WRITE

    def image(self, target: Path, left: Left, random: Random) -> None:
        """Write down what the disk holds after the end; shared memory is never part of it."""
        if left == "all":
            shutil.copytree(self.root, target, ignore=shutil.ignore_patterns("*-shm"))
            return
        chance = random.random() if left == "part" else 0.0
        self._copy(self.root, target, lambda: random.random() < chance)

    def _copy(self, folder: Path, target: Path, survives: Callable[[], bool]) -> None:
        target.mkdir(mode=0o700)
        names = dict(self._names.get(folder, {}))
        now = {one.name: self.kept(one) for one in sorted(folder.iterdir())} if folder.exists() else {}
        for name in sorted({*names, *now}):
            if names.get(name, self) is not now.get(name, self) and survives():
                names.pop(name, None)
                if name in now:
                    names[name] = now[name]
        for name, kept in sorted(names.items()):
            if kept is None:
                self._copy(folder / name, target / name, survives)
            elif not name.endswith("-shm"):
                (target / name).write_bytes(kept.content(survives))
                (target / name).chmod(0o600)


@dataclass(eq=False)
class _Opened:
    disk: Disk
    kept: Kept
    process: object
    methods: c.IoMethods
    """The file system's own."""
    names_folder: bool
    """Whether SQLite will sync the folder too, with this handle's first sync: so it does for journals and logs."""


class _Layer:
    """The virtual file system: registered once, default while a disk is watched, there until the process ends."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self.disks: list[Disk] = []
        self._opened: dict[int, _Opened] = {}
        self._methods: dict[int, c.IoMethods] = {}
        self._library = library
        self._original = library.sqlite3_vfs_find(None)
        original = self._original.contents
        self._open, self._delete = c.Open(original.xOpen), c.Delete(original.xDelete)
        self._callbacks: list[Any] = [c.Open(self.open), c.Delete(self.delete), c.Close(self.close)]
        self._callbacks += [c.Write(self.write), c.Truncate(self.truncate), c.Sync(self.sync)]
        self._vfs = c.Vfs.from_buffer_copy(original)
        self._vfs.zName = b"forgetful"
        self._vfs.xOpen, self._vfs.xDelete = map(_address, self._callbacks[:2])
        asked = c.GetSystemCall(original.xGetSystemCall)(ctypes.addressof(original), b"openDirectory")
        self._open_directory = c.OpenDirectory(asked)
        self._callbacks.append(c.OpenDirectory(self.open_directory))
        set_call = c.SetSystemCall(original.xSetSystemCall)
        set_call(ctypes.addressof(original), b"openDirectory", _address(self._callbacks[-1]))

    def make_default(self, *, is_default: bool) -> None:
        """Let what is opened from now on go through the layer, or past it."""
        vfs = ctypes.addressof(self._vfs)
        self._library.sqlite3_vfs_register(vfs, 1)
        if not is_default:
            self._library.sqlite3_vfs_register(ctypes.cast(self._original, ctypes.c_void_p), 1)

    def disk_of(self, name: int | None) -> tuple[Disk | None, Path]:
        """Return the watched disk that a path lies on."""
        path = Path(os.fsdecode(ctypes.string_at(name))) if name else Path()
        return next((disk for disk in self.disks if path.is_relative_to(disk.root)), None), path

    def open(self, vfs: int, name: int | None, file: int, flags: int, out: int | None) -> int:
        """Open a file, and swap the methods that change it."""
        disk, path = self.disk_of(name)
        if disk is None or not flags & c.KEPT_FILES:
            return int(self._open(vfs, name, file, flags, out))
        if disk.process in disk.dead or (not path.exists() and disk.refuses(disk.process)):
            ctypes.c_void_p.from_address(file).value = None
            return c.CANTOPEN
        code = int(self._open(vfs, name, file, flags, out))
        kept = disk.kept(path) if code == c.OK else None
        if kept is not None:
            pointer = ctypes.c_void_p.from_address(file)
            methods = c.IoMethods.from_address(pointer.value or 0)
            kept.is_watched = True
            self._opened[file] = _Opened(disk, kept, disk.process, methods, not flags & c.MAIN_DB)
            pointer.value = ctypes.addressof(self._swapped(methods))
        return code

    def _swapped(self, methods: c.IoMethods) -> c.IoMethods:
        address = ctypes.addressof(methods)
        if address not in self._methods:
            made = c.IoMethods.from_buffer_copy(methods)
            made.xClose, made.xWrite, made.xTruncate, made.xSync = map(_address, self._callbacks[2:6])
            self._methods[address] = made
        return self._methods[address]

    def delete(self, vfs: int, name: int | None, sync_folder: int) -> int:
        """Remove a file."""
        disk, path = self.disk_of(name)
        if disk is not None and path.exists():
            if disk.refuses(disk.process):
                return c.IOERR_DELETE
            disk.removed(path)
        return int(self._delete(vfs, name, sync_folder))

    def open_directory(self, name: int, out: int) -> int:
        """Note that SQLite syncs the folder of a file, which is all that it opens a folder for."""
        disk, path = self.disk_of(name)
        if disk is not None:
            disk.folder_synced(path.parent)
        return int(self._open_directory(name, out))

    def close(self, file: int) -> int:
        """Close a file."""
        opened = self._opened.pop(file)
        return int(c.Close(opened.methods.xClose)(file))

    def write(self, file: int, data: int, size: int, offset: int) -> int:
        """Write, and note what was written."""
        opened = self._opened[file]
        if opened.disk.refuses(opened.process):
            return opened.disk.error
        code = int(c.Write(opened.methods.xWrite)(file, data, size, offset))
        opened.kept.pending.append((offset, ctypes.string_at(data, size)))
        return code

    def truncate(self, file: int, size: int) -> int:
        """Cut a file, and note where."""
        opened = self._opened[file]
        if opened.disk.refuses(opened.process):
            return opened.disk.error
        opened.kept.pending.append((size, None))
        return int(c.Truncate(opened.methods.xTruncate)(file, size))

    def sync(self, file: int, flags: int) -> int:
        """Make a file durable; one that fails loses what was pending, as a kernel that gives up on dirty pages does."""
        opened = self._opened[file]
        disk = opened.disk
        if disk.refuses(opened.process, syncs=True):
            if disk.fault is not None and disk.fault.once:
                opened.kept.pending.clear()
            return c.IOERR_FSYNC
        disk.syncs += 1
        opened.kept.sync()
        if not opened.names_folder:  # the disk is ours: waiting for the machine's would tell nothing
            return c.OK
        opened.names_folder = False
        return int(c.Sync(opened.methods.xSync)(file, flags))


def _address(callback: Any) -> int:
    return ctypes.cast(callback, ctypes.c_void_p).value or 0


_layers: list[_Layer] = []


@contextmanager
def watched(disk: Disk) -> Iterator[Disk]:
    """Watch a disk: ledgers that are opened in its folder go through the layer. Skips where SQLite is out of reach."""
    if c.LIBRARY is None:
        pytest.skip(c.WHY_NOT)
    if not _layers:
        _layers.append(_Layer(c.LIBRARY))
    layer = _layers[0]
    layer.disks.append(disk)
    layer.make_default(is_default=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "open", _open_on(disk))
        patch.setattr(os, "fsync", _fsync_on(disk))
        try:
            yield disk
        finally:
            layer.disks.remove(disk)
            if not layer.disks:
                layer.make_default(is_default=False)


def _open_on(disk: Disk) -> Callable[..., int]:
    plain = os.open

    def open_(path: Any, *arguments: Any, **options: Any) -> int:
        """Open a file of the package's own, unless the disk fails."""
        if Path(os.fsdecode(path)).is_relative_to(disk.root) and disk.refuses(disk.process):
            raise OSError(errno.EIO, "the disk fails")
        return plain(path, *arguments, **options)

    return open_


def _fsync_on(disk: Disk) -> Callable[[Any], None]:
    plain = os.fsync

    def fsync(descriptor: Any) -> None:
        """Note what the package itself syncs: a folder, or a file of its own."""
        found = os.fstat(descriptor if isinstance(descriptor, int) else descriptor.fileno())
        for path in (disk.root, *disk.root.rglob("*")):
            if os.path.samestat(found, path.stat()):
                if disk.refuses(disk.process):
                    raise OSError(errno.EIO, "the disk fails")
                kept = disk.kept(path)
                if kept is None:
                    disk.folder_synced(path)
                else:
                    kept.sync()
                return
        plain(descriptor)

    return fsync
