"""Settling streams that nobody closes: a finalizer only puts them in a queue, one thread books them.

A finalizer runs wherever the collector happens to run, perhaps while this very
thread holds a lock of ours; it must not count, lock or write. The thread starts
with the first stream, not in a finalizer.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_DRAIN_S = 10.0
"""How long a program that ends waits for streams that it left behind."""


class Late:
    """Runs what is handed to it on one background thread, in order; `put` is safe in finalizers."""

    def __init__(self) -> None:
        """Start with an empty queue and no thread."""
        self._renew()

    def _renew(self) -> None:
        self._process = os.getpid()
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._mutex = threading.Lock()

    def start(self) -> None:
        """Have a thread that serves the queue; not for finalizers."""
        if self._process != os.getpid():  # in the child of a fork neither the thread nor the work is there
            self._renew()
        if self._thread is not None:
            return
        with self._mutex:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="tokencalc-streams", daemon=True)
                self._thread.start()

    def put(self, work: Callable[[], None]) -> None:
        """Queue some work; never blocks, never raises."""
        self._queue.put(work)

    def drain(self, timeout_s: float = _DRAIN_S) -> bool:
        """Wait until everything that was put before is done; False where the time was not enough."""
        if self._thread is None or self._process != os.getpid():
            return True
        done = threading.Event()
        self._queue.put(done.set)
        return done.wait(timeout_s)

    def _run(self) -> None:
        queue = self._queue
        while (work := queue.get()) is not None:
            try:
                work()
            except Exception:  # bulk: the next stream must be settled all the same
                logging.getLogger("tokencalc").exception("a stream that was left behind could not be settled")


LATE = Late()
"""The one of this process."""

atexit.register(LATE.drain)
