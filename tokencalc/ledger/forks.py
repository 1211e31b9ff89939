"""Forks: every open store is told before and after, so that nothing half done is inherited."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Forking(Protocol):
    """What has locks and connections that a child of a fork may not share."""

    def before_fork(self) -> None:
        """Take every lock and close the connections."""

    def after_fork_in_parent(self) -> None:
        """Go on."""

    def after_fork_in_child(self) -> None:
        """Start anew."""


_stores: weakref.WeakSet[Forking] = weakref.WeakSet()
_forking: list[Forking] = []


def follow_forks(store: Forking) -> None:
    """Tell the store of every fork, for as long as it lives."""
    _stores.add(store)


def _before_fork() -> None:
    _forking[:] = sorted(_stores, key=id)
    for store in _forking:
        store.before_fork()


def _after_fork_in_parent() -> None:
    for store in reversed(_forking):
        store.after_fork_in_parent()
    _forking.clear()


def _after_fork_in_child() -> None:
    for store in _forking:
        store.after_fork_in_child()
    _forking.clear()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
