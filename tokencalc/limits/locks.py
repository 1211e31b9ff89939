"""Locks that survive a fork: the child of a fork gets new ones.

A lock that another thread held at the moment of a fork stays locked in the child
for ever, because that thread does not exist there. So each owner starts anew in
the child: a new lock, and nobody waiting, because who waited is not there either.
"""

from __future__ import annotations

import os
from threading import Lock
from typing import Protocol
from weakref import WeakSet


class LockOwner(Protocol):
    """Something with a lock of its own in ``lock``."""

    lock: Lock

    def forked(self) -> None:
        """Forget what belongs to threads that the child of a fork does not have."""


_owners: WeakSet[LockOwner] = WeakSet()


def own_lock(owner: LockOwner) -> None:
    """Give the owner a new lock, now and in the child of every later fork."""
    owner.lock = Lock()
    _owners.add(owner)


def _renew_locks() -> None:
    for owner in _owners:
        owner.lock = Lock()
        owner.forked()


os.register_at_fork(after_in_child=_renew_locks)
