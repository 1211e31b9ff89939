"""The spool: usage that the ledger could not take, in a file beside it, until it is read back.

JSON Lines, each with a checksum. A line is on disk before anybody is told that it
is kept. To be read back, the whole file is first set aside under another name, so
that whoever has usage to keep never waits for the ledger; what cannot be booked
goes to a file of its own. A line leaves the spool only after it was booked or kept
there, so a crash in between books it again, under its key: once.

Beside ``ledger.db`` these are ``ledger.db-spool`` (waits), ``-spool-reading`` (is
being read back), ``-spool-refused`` (for a person to look at), ``-spool-lock``.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from tokencalc.ledger.files import sync_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

_CHUNK_LINES = 500
_FULL_SYNC = getattr(fcntl, "F_FULLFSYNC", None)

Values = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of one line: booked, to be tried again later, or refused for a reason."""

    kind: Literal["booked", "waits", "refused"]
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadBack:
    """How many lines one reading back has booked and refused, and how many wait on."""

    booked: int = 0
    refused: int = 0
    waiting: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolState:
    """What lies in the spool: lines that wait, and lines that were refused, each with its reason."""

    path: Path
    refused_path: Path
    waiting: int
    refused: tuple[str, ...]


class Spool:
    """The spool of one ledger file; safe for any number of threads and processes."""

    def __init__(self, ledger: Path) -> None:
        """Keep usage beside ``ledger``; no file is made before there is something to keep."""
        real = ledger.resolve()  # two links to one ledger share its spool
        self.path = real.with_name(f"{real.name}-spool")
        self.refused_path = real.with_name(f"{real.name}-spool-refused")
        self._reading_path = real.with_name(f"{real.name}-spool-reading")
        self._lock_path = real.with_name(f"{real.name}-spool-lock")

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits; two looks at the folder, no reading."""
        return not (self.path.exists() or self._reading_path.exists())

    def append(self, lines: Sequence[Values]) -> None:
        """Write lines and wait until they are on disk; an OSError means that none of them is kept."""
        text = "".join(f"{sealed(values)}\n" for values in lines)
        with self._locked_spool() as descriptor:
            _append(descriptor, text.encode("ascii"))
        sync_folder(self.path.parent)

    def read_back(self, book: Callable[[Sequence[Values]], Sequence[Verdict]]) -> ReadBack:
        """Hand every line to ``book`` and keep those that it could not book; nothing where another does it now."""
        booked = refused = waiting = 0
        with self._turn() as is_ours:
            while is_ours and self._set_aside():
                found = self._work_through(book)
                booked, refused, waiting = booked + found.booked, refused + found.refused, found.waiting
                if waiting:
                    break
        return ReadBack(booked=booked, refused=refused, waiting=waiting)

    def state(self) -> SpoolState:
        """Count what waits, and tell what was refused and why."""
        waiting = sum(len(_lines_of(path)) for path in (self._reading_path, self.path))
        refused = tuple(_reason(line) for line in _lines_of(self.refused_path))
        return SpoolState(path=self.path, refused_path=self.refused_path, waiting=waiting, refused=refused)

    # the files

    @contextmanager
    def _locked_spool(self) -> Iterator[int]:
        """Lend the spool's file, locked: the one that stands at its path, made if there is none."""
        while True:
            with _opened(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT) as descriptor, _locked(descriptor):
                if _is_at(self.path, descriptor):  # else it was set aside while we waited
                    yield descriptor
                    return

    @contextmanager
    def _turn(self) -> Iterator[bool]:
        with _opened(self._lock_path, os.O_RDWR | os.O_CREAT) as descriptor:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            try:
                yield True
            finally:
                fcntl.flock(descriptor, fcntl.LOCK_UN)

    def _set_aside(self) -> bool:
        """Rename what waits, so that it can be read in peace; False where nothing waits."""
        if self._reading_path.exists():  # whoever read it was killed, or the ledger failed again
            return True
        if not self.path.exists():
            return False
        with self._locked_spool():
            self.path.rename(self._reading_path)
        sync_folder(self.path.parent)
        return True

    def _work_through(self, book: Callable[[Sequence[Values]], Sequence[Verdict]]) -> ReadBack:
        lines = _lines_of(self._reading_path)
        refused: list[tuple[bytes, str]] = []
        kept: list[bytes] = []
        for start in range(0, len(lines), _CHUNK_LINES):
            chunk = lines[start : start + _CHUNK_LINES]
            verdicts = _judged(chunk, book)
            refused += [(line, found.reason) for line, found in zip(chunk, verdicts, strict=True) if found.reason]
            waits = [line for line, found in zip(chunk, verdicts, strict=True) if found.kind == "waits"]
            kept += waits
            if len(waits) == len(chunk):  # the ledger fails: the rest would fare no better
                kept += lines[start + _CHUNK_LINES :]
                break
        self._keep_refused(refused)
        if not kept:
            self._reading_path.unlink()
        elif len(kept) < len(lines):
            self._replace_reading(kept)
        sync_folder(self.path.parent)
        return ReadBack(booked=len(lines) - len(kept) - len(refused), refused=len(refused), waiting=len(kept))

    def _keep_refused(self, refused: Sequence[tuple[bytes, str]]) -> None:
        if not refused:
            return
        # A crash may have fallen between this and the end of the last reading back.
        known = {_refused_line(line) for line in _lines_of(self.refused_path)}
        texts = [sealed({"why": why, "line": line.decode("utf-8", "backslashreplace")}) for line, why in refused]
        new = [text for text in texts if _refused_line(text.encode("ascii")) not in known]
        with _opened(self.refused_path, os.O_RDWR | os.O_APPEND | os.O_CREAT) as descriptor:
            _append(descriptor, "".join(f"{text}\n" for text in new).encode("ascii"))
        sync_folder(self.refused_path.parent)

    def _replace_reading(self, lines: Sequence[bytes]) -> None:
        made = self._reading_path.with_name(f"{self._reading_path.name}-new")
        with _opened(made, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_TRUNC) as descriptor:
            _append(descriptor, b"".join(line + b"\n" for line in lines))
        made.replace(self._reading_path)


# lines


def sealed(values: Mapping[str, Any]) -> str:
    """Return a line without its end: the values in plain ASCII JSON, with their checksum."""
    text = json.dumps(values, separators=(",", ":"), ensure_ascii=True)
    return f'{{"check":"{_checksum(text)}","spooled":{text}}}'


def unsealed(line: bytes) -> Values | None:
    """Return the values of a line, or None where it is torn or somebody changed it."""
    try:
        found = json.loads(line)
        values = found["spooled"]
        text = json.dumps(values, separators=(",", ":"), ensure_ascii=True)
        is_whole = found["check"] == _checksum(text)
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return values if is_whole and isinstance(values, dict) else None


def _checksum(text: str) -> str:
    return hashlib.blake2b(text.encode("ascii"), digest_size=16).hexdigest()


def _judged(lines: Sequence[bytes], book: Callable[[Sequence[Values]], Sequence[Verdict]]) -> list[Verdict]:
    """Return what became of each line; damaged ones are refused, the others are tried."""
    read = [unsealed(line) for line in lines]
    whole = [values for values in read if values is not None]
    verdicts = iter(book(whole) if whole else ())
    damaged = Verdict(kind="refused", reason="the line is damaged: its checksum does not fit")
    return [damaged if values is None else next(verdicts) for values in read]


def _lines_of(path: Path) -> list[bytes]:
    """Return a file's lines, a torn last one too; none where there is no file."""
    try:
        with path.open("rb") as file:
            return [line for line in file.read().split(b"\n") if line]
    except FileNotFoundError:
        return []


def _reason(line: bytes) -> str:
    return str((unsealed(line) or {}).get("why", "the line is damaged: its checksum does not fit"))


def _refused_line(line: bytes) -> str | None:
    return (unsealed(line) or {}).get("line")


# descriptors


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    _open_descriptors.add(descriptor)
    try:
        yield descriptor
    finally:
        _open_descriptors.discard(descriptor)
        os.close(descriptor)


@contextmanager
def _locked(descriptor: int) -> Iterator[None]:
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    ours = os.fstat(descriptor)
    return (found.st_dev, found.st_ino) == (ours.st_dev, ours.st_ino)


def _append(descriptor: int, data: bytes) -> None:
    """Append bytes and wait until they are on disk; where that fails, nothing of them stays."""
    size = os.fstat(descriptor).st_size
    if size and os.pread(descriptor, 1, size - 1) != b"\n":
        data = b"\n" + data  # whoever wrote the last line was killed in it: it stays a line of its own
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(descriptor, left) :]
        if _FULL_SYNC is not None:  # on macOS an ordinary fsync leaves data in the drive's cache
            fcntl.fcntl(descriptor, _FULL_SYNC)
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, size)
        raise


_open_descriptors: set[int] = set()


def _close_inherited() -> None:
    # A child that kept its parent's descriptor would keep its lock, too, when the parent is killed.
    while _open_descriptors:
        os.close(_open_descriptors.pop())


os.register_at_fork(after_in_child=_close_inherited)
