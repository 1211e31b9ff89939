"""One process of a machine records the machine's figures: who holds the lock of a file beside the ledger.

The kernel gives the lock back when its holder ends, however it ends, so another
process takes over with its next collection. Containers that share a ledger have
limits of their own, and so a lease of their own: the file's name carries the host's.
"""

from __future__ import annotations

import fcntl
import os
import socket
from hashlib import blake2s
from typing import TYPE_CHECKING
from weakref import WeakSet

if TYPE_CHECKING:
    from pathlib import Path

_leases: WeakSet[HostLease] = WeakSet()


class HostLease:
    """The right to record the figures of this host in one ledger; one holder at a time."""

    def __init__(self, ledger: Path | None, *, host: str | None = None) -> None:
        """Stand beside a ledger's file; None is a ledger in memory, which nobody shares."""
        self._file = None if ledger is None else _file_beside(ledger, socket.gethostname() if host is None else host)
        self._descriptor: int | None = None
        _leases.add(self)

    @property
    def is_held(self) -> bool:
        """Whether this process records the host's figures."""
        return self._file is None or self._descriptor is not None

    def take(self) -> bool:
        """Take the lease if nobody has it, without waiting; True where it is ours. May raise OSError."""
        if self.is_held or self._file is None:
            return True
        descriptor = os.open(self._file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The holder before removes the file at its end; a lock of a file without a name guards nothing.
            is_there = os.path.samestat(os.fstat(descriptor), self._file.stat())
        except OSError as error:
            os.close(descriptor)
            if isinstance(error, BlockingIOError | FileNotFoundError):
                return False
            raise
        if is_there:
            self._descriptor = descriptor
        else:
            os.close(descriptor)
        return is_there

    def release(self) -> None:
        """Give the lease back; without one, nothing."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None or self._file is None:
            return
        try:
            self._file.unlink(missing_ok=True)
        finally:
            os.close(descriptor)

    def forked(self) -> None:
        """Leave the lease to the parent: the child's copy would keep it when the parent ends."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def _file_beside(ledger: Path, host: str) -> Path:
    real = ledger.resolve()
    return real.with_name(f"{real.name}-monitor-{blake2s(host.encode(), digest_size=4).hexdigest()}")


def _leave_to_parent() -> None:
    for lease in _leases:
        lease.forked()


os.register_at_fork(after_in_child=_leave_to_parent)
