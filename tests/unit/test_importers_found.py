"""Where logs live: only where somebody pointed, with a home that is handed in."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tokencalc.errors import CallInvalid
from tokencalc.importers.found import LogFile, claude_code_folders, find_logs
from tokencalc.importers.lines import bounded_lines, parse_object

if TYPE_CHECKING:
    from pathlib import Path


def write(path: Path, text: str = "{}\n") -> Path:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_auto_looks_into_both_default_folders_of_the_given_home(tmp_path: Path) -> None:
    first = write(tmp_path / ".config/claude/projects/p/a.jsonl")
    second = write(tmp_path / ".claude/projects/p/b.jsonl")
    write(tmp_path / ".claude/history.jsonl")
    found = find_logs("auto", home=tmp_path, environ={})
    assert [file.path for file in found.files] == [first, second]
    assert found.size_bytes == 6


@pytest.mark.parametrize(
    ("expected", "environ"),
    [
        (["one/projects", "HOME/two/projects"], {"CLAUDE_CONFIG_DIR": "one, ~/two,,"}),
        (["one/projects"], {"CLAUDE_CONFIG_DIR": "one/projects,one"}),
        (["x/claude/projects", "HOME/.claude/projects"], {"XDG_CONFIG_HOME": "x"}),
        (["HOME/.config/claude/projects", "HOME/.claude/projects"], {"HOME": "/elsewhere"}),
    ],
)
def test_the_environment_that_is_handed_in_names_the_folders(
    expected: list[str], environ: dict[str, str], tmp_path: Path
) -> None:
    folders = claude_code_folders(home=tmp_path, environ=environ)
    assert [str(folder).replace(str(tmp_path), "HOME") for folder in folders] == expected


def test_auto_without_any_logs_finds_nothing_and_says_where_it_looked(tmp_path: Path) -> None:
    found = find_logs("auto", home=tmp_path, environ={})
    assert (found.files, found.looked_in, found.problems) == ((), (), ())


def test_a_file_or_a_folder_may_be_named(tmp_path: Path) -> None:
    file = write(tmp_path / "logs/deep/er/a.jsonl")
    write(tmp_path / "logs/notes.txt")
    for where in (file, tmp_path / "logs", "~/logs"):
        assert [found.path for found in find_logs(where, home=tmp_path, environ={}).files] == [file]


def test_a_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CallInvalid, match=r'logs: no such file or folder: .*nowhere; give a path, "auto" or "sample"'):
        find_logs(tmp_path / "nowhere", home=tmp_path, environ={})


def test_loops_and_repeated_links_are_survived_and_read_once(tmp_path: Path) -> None:
    file = write(tmp_path / "logs/a/x.jsonl")
    (tmp_path / "logs/a/loop").symlink_to(tmp_path / "logs")
    (tmp_path / "logs/b").symlink_to(tmp_path / "logs/a")
    (tmp_path / "logs/self.jsonl").symlink_to(tmp_path / "logs/self.jsonl")
    (tmp_path / "logs/same.jsonl").hardlink_to(file)
    found = find_logs(tmp_path / "logs", home=tmp_path, environ={})
    assert len(found.files) == 1
    assert [problem.split(":")[0] for problem in found.problems] == ["self.jsonl"]


def test_pipes_are_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    assert find_logs(tmp_path, home=tmp_path, environ={}).files == ()


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unreadable for root")
def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o000)
    found = find_logs(tmp_path, home=tmp_path, environ={})
    assert found.problems == ("closed: cannot be read: Permission denied",)
    closed.chmod(0o700)


@pytest.mark.parametrize(
    ("shown", "root", "path"),
    [
        ("s.jsonl", "projects", "projects/-home-ada-shop/s.jsonl"),
        ("s/subagents/agent-1.jsonl", "projects", "projects/C--Users-ada/s/subagents/agent-1.jsonl"),
        ("s.jsonl", "", "projects/-home-ada-shop/s.jsonl"),
        ("x/s.jsonl", "", "-home-ada-shop/x/s.jsonl"),
        ("s.jsonl", "s.jsonl", "s.jsonl"),
    ],
)
def test_a_file_is_shown_without_the_project_folder_that_spells_a_path(
    shown: str, root: str, path: str, tmp_path: Path
) -> None:
    assert LogFile(path=tmp_path / path, root=tmp_path / root, size_bytes=0).shown == shown


def test_huge_lines_cost_bounded_memory_and_are_told_apart(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", "ok\n" + "x" * 3_000_000 + "\nend")
    with file.open("rb") as stream:
        lines = list(bounded_lines(stream, line_bytes_max=1000))
    assert lines == [(3, b"ok\n"), (3_000_001, None), (3, b"end")]


@pytest.mark.parametrize("line", [b"", b"[1]", b"{", b'{"a":' + b"9" * 5000 + b"}", b"[" * 100_000, b"\xff"])
def test_a_line_that_is_no_object_is_none(line: bytes) -> None:
    assert parse_object(line) is None
