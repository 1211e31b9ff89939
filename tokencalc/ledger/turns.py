"""Whose turn it is to write: one process at a time, and nobody waits for ever.

SQLite's own busy handler sleeps and retries, and starves the unlucky; a plain
advisory lock goes to whoever runs first when it is free, which one process can be
hundreds of times in a row. Here those who wait stand in *rounds*: nobody stands
twice in a round, and the next round begins when this one is over. Standing gives
one turn and up to three more while the lock happens to be free, because handing a
turn to another process costs more than a short commit. So a process waits for at most
nine turns of each other one: one that had begun, four in the round before its
own, four in its own.

Every mark of who waits is an advisory lock, which the kernel takes back when its
holder is killed. Where nobody waits, a turn costs what a plain lock costs.
"""

from __future__ import annotations

import fcntl
import os
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING

from tokencalc.errors import LedgerUnavailable

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

_ROUNDS = 3
"""Rounds are numbered modulo this, each with its own gate: the current one, the next one, and the one before.

With two gates, who still waits for the end of the round before would wait for those who join the next one,
and they for him.
"""
_GATES = ("-lock-a", "-lock-b", "-lock-c")
_FREE_TURNS = 3


class WriteLock:
    """One writer at a time among processes, by rounds; waits ``wait_s`` at most."""

    def __init__(self, path: Path | None, *, wait_s: float = 30.0) -> None:
        """Lock beside the ledger at ``path``; None (a ledger in memory) needs no lock."""
        self._ledger = path
        self._wait_s = wait_s
        self._files: _Files | None = None
        self._line: _Line | None = None
        self._free_turns = 0

    def __enter__(self) -> None:
        """Wait for the turn and take it; LedgerUnavailable when it does not come in time."""
        if self._ledger is None:
            return
        files = self._files
        if files is None:
            files = self._files = _Files(self._ledger.resolve())  # two links to one ledger share its lock
        try:
            if self._take(files):
                return
            self._line = self._line or _Line(files)
            if self._line.wait(self._wait_s):
                self._free_turns = _FREE_TURNS
                return
        except BaseException:  # bulk: an interrupt on the way in must not leave other processes waiting
            self.leave()
            raise
        raise LedgerUnavailable(
            f"ledger {self._ledger}: another process has kept its turn to write for more than {self._wait_s:g} s; "
            "end or continue it (it may be stopped), and repeat the call: nothing was written by it",
            ledger=str(self._ledger),
            locked=True,
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Give the turn back."""
        self.leave()

    def _take(self, files: _Files) -> bool:
        """Take the turn without standing in line, where nobody stands there or a free turn is left."""
        if self._line is not None and self._line.is_standing:
            return False  # left there by a caller whose patience ended; the kernel would count us as one
        is_allowed = self._free_turns > 0 or not files.is_crowded()
        if not is_allowed or not _try(files.turn, fcntl.LOCK_EX):
            return False
        self._free_turns = max(0, self._free_turns - 1)
        return True

    def leave(self) -> None:
        """Give the turn back; where there is none, this changes nothing."""
        if self._line is not None and self._line.leave():
            return
        if self._files is not None:
            fcntl.flock(self._files.turn, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the files; the next use opens them again (a forked child needs its own)."""
        line, self._line = self._line, None
        files, self._files = self._files, None
        if files is not None and (line is None or line.end()):
            files.close()


class _Files:
    """The lock's files: whose turn it is, with the round's number in it, and a gate for each round."""

    def __init__(self, ledger: Path) -> None:
        self._ledger = ledger
        self._gates: list[int] = []
        self.turn = self._open("-lock")

    def _open(self, ending: str) -> int:
        path = self._ledger.with_name(self._ledger.name + ending)
        return os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)

    @property
    def gates(self) -> list[int]:
        """The gates of the rounds; made when somebody has to wait for the first time."""
        while len(self._gates) < len(_GATES):
            self._gates.append(self._open(_GATES[len(self._gates)]))
        return self._gates

    def is_crowded(self) -> bool:
        """Whether somebody stands in line, or was killed there: then everybody does."""
        return os.pread(self.turn, 1, 1) == b"\1"

    def set_crowded(self, *, crowded: bool) -> None:
        """Tell the others whether somebody stands in line."""
        os.pwrite(self.turn, b"\1" if crowded else b"\0", 1)

    def round(self) -> int:
        """The round whose members have their turns now."""
        return (os.pread(self.turn, 1, 0) or b"\0")[0] % _ROUNDS

    def set_round(self, number: int) -> None:
        """Begin a round; by whoever has its predecessor's gate."""
        os.pwrite(self.turn, bytes((number,)), 0)

    def unlock_gates(self) -> None:
        """Stand in no round."""
        for gate in self._gates:
            fcntl.flock(gate, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close every file; the kernel takes back what was locked by them."""
        for descriptor in (self.turn, *self._gates):
            os.close(descriptor)


class _Line:
    """Stands in line for its process, on a thread of its own, because only so can a wait for the kernel have an end.

    A caller whose patience ends leaves the place in line to the next caller.
    """

    def __init__(self, files: _Files) -> None:
        self._files = files
        self._last = -1
        self._mutex = threading.Lock()
        self._granted = threading.Semaphore(0)
        self._asked: SimpleQueue[bool] = SimpleQueue()
        self._wanted = False
        self._round: int | None = None
        self._failure: OSError | None = None
        self._is_ended = False
        self.is_standing = False
        self._thread = threading.Thread(target=self._stand_on, name="tokencalc-turns", daemon=True)
        self._thread.start()

    def wait(self, wait_s: float) -> bool:
        """Wait for the turn; False when it has not come in time. Raises OSError where one cannot stand in line."""
        with self._mutex:
            self._wanted = True
            self._failure = None
            if not self.is_standing:
                self.is_standing = True
                self._asked.put(True)
        has_come = self._granted.acquire(timeout=wait_s)
        if not has_come:
            with self._mutex:
                self._wanted = False
                has_come = self._granted.acquire(blocking=False)
        if has_come and self._failure is not None:
            raise self._failure
        return has_come

    def leave(self) -> bool:
        """Give a turn back that was waited for here, or want none any more; False where there was none."""
        with self._mutex:
            self._wanted = False
            self._granted.acquire(blocking=False)
            is_ours = self._round is not None
            self._step_out()
            return is_ours or self.is_standing

    def end(self) -> bool:
        """Let the thread end; False where it stands behind somebody who does not move, and closes the files later.

        It is not waited for there. Closing its files meanwhile would let it lock others that got their numbers.
        """
        if not self._thread.is_alive():  # in a forked child
            return True
        with self._mutex:
            self._is_ended = True
            if self.is_standing:
                return False
        self._asked.put(False)
        self._thread.join()
        return True

    def _stand_on(self) -> None:
        while self._asked.get():
            number, failure = None, None
            try:
                number = self._stand()
            except OSError as error:  # no more files to open, a full disk: told to whoever waits
                failure = error
                self._files.unlock_gates()
            with self._mutex:
                self.is_standing = False
                if self._is_ended:
                    self._files.close()
                    return
                self._round, self._failure = number, failure
                if self._wanted:
                    self._granted.release()
                else:
                    self._step_out()

    def _stand(self) -> int:
        """Join a round, wait for it, and take the turn; returns the round."""
        files = self._files
        while True:
            now = files.round()
            mine = now if now != self._last else (now + 1) % _ROUNDS
            fcntl.flock(files.gates[mine], fcntl.LOCK_SH)
            # Nobody can end a round while we are in it; but it may have ended before we were.
            if files.round() in {now, mine}:
                break
            fcntl.flock(files.gates[mine], fcntl.LOCK_UN)
        files.set_crowded(crowded=True)
        while (now := files.round()) != mine:
            fcntl.flock(files.gates[now], fcntl.LOCK_EX)  # free when each member has had its turn
            if files.round() == now:
                files.set_round(mine)
            fcntl.flock(files.gates[now], fcntl.LOCK_UN)
        fcntl.flock(files.turn, fcntl.LOCK_EX)
        self._last = mine
        return mine

    def _step_out(self) -> None:
        """Leave the round and give the turn back; the last one in line says that the line is gone."""
        if self._round is None:
            return
        files = self._files
        fcntl.flock(files.gates[self._round], fcntl.LOCK_UN)
        self._round = None
        free = [gate for gate in files.gates if _try(gate, fcntl.LOCK_EX)]
        if len(free) == len(files.gates):
            files.set_crowded(crowded=False)
        for gate in free:
            fcntl.flock(gate, fcntl.LOCK_UN)
        fcntl.flock(files.turn, fcntl.LOCK_UN)


def _try(descriptor: int, operation: int) -> bool:
    try:
        fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
