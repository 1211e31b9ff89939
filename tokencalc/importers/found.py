"""Where logs live: the agents' own folders, a folder or file that somebody names, or the sample week.

Nobody's own files are looked at unless ``auto`` is said. The home folder and the
environment are handed in, so a test can never reach the real ones.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tokencalc.errors import CallInvalid

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

AUTO = "auto"
SAMPLE = "sample"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFile:
    """One log file: its path, the folder that it was found under, and its size in bytes when it was found."""

    path: Path
    root: Path
    size_bytes: int

    @property
    def below_root(self) -> str:
        """Path below the folder that was looked into, with which its owner finds the file again."""
        return self.path.relative_to(self.root).as_posix() if self.path != self.root else self.path.name

    @property
    def shown(self) -> str:
        """Path below the project's folder, to be kept; agents spell a project's whole path in that folder's name."""
        parts = tuple(self.below_root.split("/"))
        if "projects" in parts[:-2]:
            parts = parts[parts.index("projects") + 2 :]
        elif self.root.name == "projects" and len(parts) > 1:
            parts = parts[1:]
        return "/".join(part for part in parts if not part.startswith("-")) or self.path.name


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundLogs:
    """Log files in a fixed order, the folders that were looked into, and what could not be read."""

    files: tuple[LogFile, ...]
    looked_in: tuple[Path, ...]
    problems: tuple[str, ...]

    @property
    def size_bytes(self) -> int:
        """Size of all files together."""
        return sum(file.size_bytes for file in self.files)


def find_logs(where: str | Path, *, home: Path, environ: Mapping[str, str]) -> FoundLogs:
    """Find Claude Code's logs in ``"auto"`` places, in the shipped ``"sample"``, or in any folder or file.

    Raises CallInvalid for a path that does not exist. Folders that cannot be
    read, and loops of symbolic links, are survived and named in ``problems``.
    """
    if where == AUTO:
        roots = tuple(root for root in claude_code_folders(home=home, environ=environ) if root.is_dir())
    elif where == SAMPLE:
        roots = (sample_folder(),)
    else:
        root = _expanded(str(where), home)
        if not root.exists():
            raise CallInvalid(
                f'logs: no such file or folder: {root}; give a path, "{AUTO}" or "{SAMPLE}"',
                path="logs",
                found=str(where),
            )
        roots = (root,)
    files: dict[tuple[int, int], LogFile] = {}
    problems: list[str] = []
    for root in roots:
        for file, identity in _walk(root, problems):
            files.setdefault(identity, file)
    return FoundLogs(files=tuple(files.values()), looked_in=roots, problems=tuple(problems))


def claude_code_folders(*, home: Path, environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return where Claude Code keeps its logs: CLAUDE_CONFIG_DIR (a comma list) where set, else its two defaults."""
    named = [entry.strip() for entry in environ.get("CLAUDE_CONFIG_DIR", "").split(",") if entry.strip()]
    if named:
        bases = [_expanded(entry, home) for entry in named]
    else:
        config = environ.get("XDG_CONFIG_HOME") or str(home / ".config")
        bases = [Path(config) / "claude", home / ".claude"]
    return tuple(dict.fromkeys(base if base.name == "projects" else base / "projects" for base in bases))


def sample_folder() -> Path:
    """Return the folder of the week of sample logs that the package ships."""
    return Path(__file__).parent / "sample"


def _expanded(text: str, home: Path) -> Path:
    # Not expanduser(): that reads the environment behind the caller's back.
    return home / text[2:] if text.startswith("~/") else home if text == "~" else Path(text)


def _walk(root: Path, problems: list[str]) -> Iterator[tuple[LogFile, tuple[int, int]]]:
    """Yield regular ``.jsonl`` files below ``root`` in the order of their names, each with device and inode."""
    pending = [root]
    seen: set[tuple[int, int]] = set()
    while pending:
        path = pending.pop()
        try:
            status = path.stat()
            identity = (status.st_dev, status.st_ino)
            if stat.S_ISDIR(status.st_mode):
                if identity not in seen:
                    seen.add(identity)
                    with os.scandir(path) as entries:
                        names = sorted((entry.name for entry in entries), reverse=True)
                    pending.extend(path / name for name in names if _may_hold_logs(path / name))
                continue
        except OSError as error:
            problems.append(f"{path.name}: cannot be read: {error.strerror}")
            continue
        if stat.S_ISREG(status.st_mode):
            yield LogFile(path=path, root=root, size_bytes=status.st_size), identity


def _may_hold_logs(path: Path) -> bool:
    return path.suffix == ".jsonl" or path.is_dir()
