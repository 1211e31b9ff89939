"""The ledger's file: where it may live and how it is made.

A write-ahead log needs shared memory between the processes that use it, which
network file systems do not give: there the ledger is refused rather than lost.
"""

from __future__ import annotations

import os
from pathlib import Path

from tokencalc.errors import LedgerCorrupt, LedgerUnavailable

MEMORY = ":memory:"
"""The path that names a ledger in memory."""

_SQLITE_HEADER = b"SQLite format 3\x00"
_NETWORK_FILE_SYSTEMS = frozenset(
    {
        "afpfs",
        "afs",
        "ceph",
        "cifs",
        "fuse.sshfs",
        "glusterfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "smb3",
        "smbfs",
        "webdav",
    }
)


def prepare_file(path: Path) -> None:
    """Make the folder (0700) and the file (0600) if they are not there; refuse what is no ledger.

    A folder that we make gets a ``.gitignore``, so that nobody commits a ledger
    by accident. Raises LedgerUnavailable or LedgerCorrupt.
    """
    if "\0" in str(path):
        raise LedgerUnavailable(f"ledger {str(path)!r}: a path holds no null character", ledger=str(path))
    try:
        if not path.parent.exists():
            _make_folder(path.parent)
            (path.parent / ".gitignore").write_text("*\n", encoding="utf-8")
        _refuse_network(path)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        with path.open("rb") as file:
            header = file.read(len(_SQLITE_HEADER))
        if not header:
            sync_folder(path.parent)
    except OSError as error:
        raise LedgerUnavailable(
            f"ledger {path}: cannot be opened ({error.strerror or error}); "
            "give a path in a folder that you may write to",
            ledger=str(path),
        ) from error
    # Where a first write was cut off, SQLite's journal lies beside the file, and SQLite takes the write back.
    if header and header != _SQLITE_HEADER and not path.with_name(path.name + "-journal").exists():
        raise LedgerCorrupt(
            f"ledger {path}: the file is not an SQLite database; it was left as it is. Give another path",
            ledger=str(path),
        )


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, each on disk by name: what was synced in a file is lost with its folder."""
    made = [folder, *(above for above in folder.parents if not above.exists())]
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for one in reversed(made):
        sync_folder(one.parent)


def sync_folder(folder: Path) -> None:
    """Wait until names that were made, changed or removed in a folder are on disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_system(path: Path) -> str:
    """Return the type of the file system that holds the path, or "unknown"."""
    import psutil  # noqa: PLC0415  # 12 ms that a ledger in memory does not need

    real = str(path.resolve())
    best, kind = "", "unknown"
    for partition in psutil.disk_partitions(all=True):
        mount = partition.mountpoint.rstrip("/") + "/"
        if len(mount) > len(best) and real.startswith(mount):
            best, kind = mount, partition.fstype
    return kind


def _refuse_network(path: Path) -> None:
    kind = file_system(path.parent)
    if kind in _NETWORK_FILE_SYSTEMS:
        raise LedgerUnavailable(
            f"ledger {path}: it lies on a network file system ({kind}), where processes cannot share "
            "a write-ahead log; give a path on a local disk",
            ledger=str(path),
        )


def absolute(path: str | os.PathLike[str]) -> Path:
    """Return the absolute path, with ``~`` expanded; LedgerUnavailable for the address of a server."""
    if "://" in str(path):
        scheme = str(path).split("://", 1)[0]
        raise LedgerUnavailable(
            f"ledger: {scheme!r:.20} ledgers are not in this version; give the path of a file", ledger=f"{scheme}://"
        )
    return Path(path).expanduser().absolute()
