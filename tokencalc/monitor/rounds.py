"""The two threads of a started monitor: one asks the sensors, the other serves the pumps; each watches the other.

A sensor may hang, as that of a mount whose server is gone. What works on what is in the
ledger already, alerts above all, must not stand behind it. A pump may hang as well, and
then only the thread of the sensors is left to tell it.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tokencalc.clock import Clock

PATIENCE_S = 1.0
"""So much longer than its interval the pumps wait for a collection, then they go on without."""

WAIT_S = 10.0
"""How long an end waits for a sensor, and for each pump."""


class Piece(NamedTuple):
    """Foreign work, and the monotonic instant in seconds at which it began."""

    who: str
    since_s: float


class Work:
    """What one thread is at, for the other to see."""

    def __init__(self, clock: Clock) -> None:
        """Be at nothing."""
        self._clock = clock
        self.piece: Piece | None = None
        self.begun = 0
        """Pieces that were begun."""

    @contextmanager
    def on(self, who: str) -> Iterator[None]:
        """Be at a piece."""
        self.begun += 1
        self.piece = Piece(who, self._clock.monotonic())
        try:
            yield
        finally:
            self.piece = None


class Rounds:
    """Collects at once and every so many seconds, and serves after each collection, or without one that hangs.

    ``collect`` and ``serve`` may not raise. At the end each runs once more, then ``finish``.
    """

    def __init__(
        self, collect: Callable[[], object], serve: Callable[[], object], finish: Callable[[], object], *, clock: Clock
    ) -> None:
        """Be ready to start; intervals are those of the clock."""
        self._collect, self._serve, self._finish, self._clock = collect, serve, finish, clock
        self._over, self._collected = threading.Event(), threading.Event()
        self._threads: tuple[threading.Thread, ...] = ()

    def start(self, every_s: float) -> None:
        """Start both threads."""
        self._threads = tuple(
            threading.Thread(target=work, args=(every_s,), name=name, daemon=True)
            for name, work in (("tokencalc-monitor", self._collect_on), ("tokencalc-monitor-pumps", self._serve_on))
        )
        for thread in self._threads:
            thread.start()

    @property
    def is_running(self) -> bool:
        """Whether the sensors are still asked."""
        return not self._over.is_set()

    def end(self) -> None:
        """Begin the last round; returns at once."""
        self._over.set()
        self._collected.set()

    def join(self, served: Work) -> bool:
        """Wait for the end; False where a thread hangs. Does not wait on either thread itself.

        As long as the pumps' thread goes from piece to piece it is waited for, but for no piece much longer than
        ``WAIT_S``.
        """
        if threading.current_thread() in self._threads:
            return True
        begun = -1
        while begun != served.begun and self._threads[1].is_alive():  # which waits for the other
            begun = served.begun
            self._threads[1].join(WAIT_S + PATIENCE_S)
        return not any(thread.is_alive() for thread in self._threads)

    def _collect_on(self, every_s: float) -> None:
        due_s = self._clock.monotonic()
        while not self._over.is_set():
            self._collect()
            self._collected.set()
            now_s = self._clock.monotonic()
            # After a suspended machine, the rounds that were missed are not made up for.
            due_s = max(due_s + every_s, now_s)
            self._over.wait(due_s - now_s)
        self._collect()

    def _serve_on(self, every_s: float) -> None:
        while not self._over.is_set():
            self._collected.wait(every_s + min(every_s, PATIENCE_S))
            self._collected.clear()
            if not self._over.is_set():
                self._serve()
        # What the last collection found is served, too; one that hangs is not waited for for ever.
        self._threads[0].join(WAIT_S)
        self._serve()
        self._finish()
