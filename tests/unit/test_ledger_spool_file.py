"""The spool's file: whole lines only, damaged ones kept aside, nothing lost whoever is killed when."""

from __future__ import annotations

import fcntl
import os
import stat
from typing import TYPE_CHECKING, Any

import pytest

from tokencalc.ledger.spool import ReadBack, Spool, Verdict, sealed, unsealed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

BOOKED = Verdict(kind="booked")
WAITS = Verdict(kind="waits")
REFUSED = Verdict(kind="refused", reason="no such hold")


class Book:
    """Takes lines as the ledger would: keeps what it booked, says what it was told to say."""

    def __init__(self, *verdicts: Verdict) -> None:
        """Answer with these verdicts in turn, then always that it was booked."""
        self.lines: list[Any] = []
        self._verdicts = list(verdicts)

    def __call__(self, lines: Sequence[dict[str, Any]]) -> list[Verdict]:
        """Book lines."""
        found = [self._verdicts.pop(0) if self._verdicts else BOOKED for _ in lines]
        self.lines += [line["n"] for line, verdict in zip(lines, found, strict=True) if verdict.kind == "booked"]
        return found


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    """Give a spool with nothing in it."""
    return Spool(tmp_path / "ledger.db")


def append(spool: Spool, *numbers: int) -> None:
    """Keep a line for each number."""
    spool.append([{"n": number} for number in numbers])


def files(spool: Spool) -> set[str]:
    """Return which files of a spool there are."""
    return {path.name.removeprefix("ledger.db-spool") for path in spool.path.parent.iterdir()}


def test_lines_come_back_in_order_and_once(spool: Spool) -> None:
    append(spool, 1, 2)
    append(spool, 3)
    book = Book()
    assert ReadBack(booked=3) == spool.read_back(book)
    assert ReadBack() == spool.read_back(book)
    assert (book.lines, spool.is_empty, files(spool)) == ([1, 2, 3], True, {"-lock"})


def test_its_files_are_their_owners_alone(spool: Spool) -> None:
    os.umask(os.umask(0o022))
    append(spool, 1, 2)
    spool.read_back(Book(REFUSED, WAITS))
    modes = {stat.S_IMODE(path.stat().st_mode) for path in spool.path.parent.iterdir()}
    assert modes == {0o600}
    assert files(spool) == {"-reading", "-refused", "-lock"}


def test_a_link_that_somebody_laid_at_its_path_is_not_followed(spool: Spool, tmp_path: Path) -> None:
    spool.path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        append(spool, 1)
    assert not (tmp_path / "elsewhere").exists()


def test_two_links_to_one_ledger_share_a_spool(tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "ledger.db")
    assert Spool(tmp_path / "link.db").path == Spool(tmp_path / "ledger.db").path


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda text: text.replace(b'"n":2', b'"n":7'), [1, 3]),
        (lambda text: text.replace(b'"check"', b'"chick"'), []),
        (lambda text: text.replace(b"{", b"[", 1), [2, 3]),
        (lambda text: b"\xff\xfe\n" + text, [1, 2, 3]),
        (lambda text: b"[" * 100_000 + b"\n" + text, [1, 2, 3]),
        (lambda text: b"null\n7\n" + text, [1, 2, 3]),
        (lambda text: text[:-5], [1, 2]),
        (lambda text: text[:-1], [1, 2, 3]),
    ],
)
def test_a_damaged_line_is_kept_aside_and_the_others_are_booked(
    spool: Spool, damage: Callable[[bytes], bytes], expected: list[int]
) -> None:
    append(spool, 1, 2, 3)
    text = damage(spool.path.read_bytes())
    spool.path.write_bytes(text)
    book = Book()
    found = spool.read_back(book)
    lines = len([line for line in text.split(b"\n") if line])
    assert (expected, ReadBack(booked=len(expected), refused=lines - len(expected))) == (book.lines, found)
    assert spool.state().refused == ("the line is damaged: its checksum does not fit",) * found.refused


def test_a_line_after_a_torn_one_is_whole(spool: Spool) -> None:
    append(spool, 1)
    with spool.path.open("ab") as file:
        file.write(b'{"check":"00')
    append(spool, 2)
    book = Book()
    assert ReadBack(booked=2, refused=1) == spool.read_back(book)
    assert book.lines == [1, 2]
    (line,) = spool.refused_path.read_bytes().splitlines()
    assert unsealed(line) == {"why": "the line is damaged: its checksum does not fit", "line": '{"check":"00'}


def test_what_the_ledger_cannot_take_yet_waits_on_alone(spool: Spool) -> None:
    append(spool, *range(5))
    book = Book(BOOKED, WAITS, REFUSED, WAITS)
    assert ReadBack(booked=2, refused=1, waiting=2) == spool.read_back(book)
    append(spool, 5)
    assert spool.state().waiting == 3
    assert ReadBack(booked=3) == spool.read_back(book)
    assert book.lines == [0, 4, 1, 3, 5]
    assert spool.state().refused == ("no such hold",)


def test_a_ledger_that_fails_is_not_asked_for_every_line(spool: Spool) -> None:
    append(spool, *range(1200))
    asked: list[int] = []

    def fails(lines: Sequence[dict[str, Any]]) -> list[Verdict]:
        asked.append(len(lines))
        return [WAITS] * len(lines)

    assert ReadBack(waiting=1200) == spool.read_back(fails)
    assert asked == [500]
    book = Book()
    assert ReadBack(booked=1200) == spool.read_back(book)
    assert book.lines == list(range(1200))


def test_whoever_keeps_usage_does_not_wait_for_whoever_reads_back(spool: Spool) -> None:
    append(spool, 1)
    book = Book()

    def keeps_more(lines: Sequence[dict[str, Any]]) -> list[Verdict]:
        if lines[0]["n"] == 1:
            append(spool, 2)
            assert ReadBack() == spool.read_back(book), "the turn is taken"
        return book(lines)

    assert ReadBack(booked=2) == spool.read_back(keeps_more)
    assert book.lines == [1, 2]


def test_a_line_that_is_written_while_the_file_is_set_aside_is_in_the_next_one(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(spool, 1)
    flock, is_first = fcntl.flock, [True]

    def set_aside_first(descriptor: int, how: int) -> None:
        if is_first.pop() if is_first else False:
            spool.path.rename(spool.path.with_name("ledger.db-spool-reading"))
        flock(descriptor, how)

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", set_aside_first)
        append(spool, 2)
    assert files(spool) == {"", "-reading"}
    book = Book()
    spool.read_back(book)
    assert book.lines == [1, 2]


class Killed(BaseException):
    """Stands for a kill: what comes after it does not happen."""


@pytest.mark.parametrize(
    ("place", "booked_again"),
    [
        ("Path.rename", []),
        ("Spool._keep_refused", [1, 3]),
        ("Path.unlink", [1, 3]),
        ("Path.replace", [1, 3]),
    ],
)
def test_a_kill_anywhere_in_reading_back_loses_nothing(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, place: str, booked_again: list[int]
) -> None:
    """What is handed to the ledger again has its key, so that the ledger books it once."""
    owner: Any = {"Path": type(spool.path), "Spool": Spool}[place.partition(".")[0]]
    waits = [WAITS] if place == "Path.replace" else []
    append(spool, 1, 2, 3, *([4] if waits else []))
    first = Book(BOOKED, REFUSED, BOOKED, *waits)

    def kill(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(owner, place.partition(".")[2], kill)
        with pytest.raises(Killed, match=r"^$"):
            spool.read_back(first)
    second = Book(BOOKED, REFUSED)
    spool.read_back(second)
    assert second.lines == ([1, 3, 4] if waits else [1, 3])
    assert first.lines == booked_again
    assert spool.state().refused == ("no such hold",)
    assert spool.is_empty


def test_a_killed_readers_file_comes_before_what_was_written_since(spool: Spool) -> None:
    append(spool, 1)
    spool.path.rename(spool.path.with_name("ledger.db-spool-reading"))
    append(spool, 2)
    assert spool.state().waiting == 2
    book = Book()
    assert ReadBack(booked=2) == spool.read_back(book)
    assert book.lines == [1, 2]


def test_a_forked_child_keeps_no_lock_of_its_parents(spool: Spool) -> None:
    """A child that outlives a killed parent would else keep everybody from the spool."""
    append(spool, 1)
    read, write = os.pipe()

    def forks(lines: Sequence[dict[str, Any]]) -> list[Verdict]:
        child = os.fork()
        if not child:
            os.read(read, 1)
            os._exit(0)
        children.append(child)
        return [WAITS] * len(lines)

    children: list[int] = []
    spool.read_back(forks)
    assert ReadBack(booked=1) == spool.read_back(Book())
    os.write(write, b"!")
    os.waitpid(children[0], 0)
    os.close(read)
    os.close(write)


def test_a_seal_fits_only_what_it_was_made_for() -> None:
    values = {"a": [1, None, "ä\ud800", {"b": True}], "big": 2**70}
    assert unsealed(sealed(values).encode()) == values
    assert unsealed(sealed(values).replace("true", "false").encode()) is None
