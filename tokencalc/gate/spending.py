"""What the processes of one run of tests have spent together, so that each can stop itself at the run's cap.

Each process writes its own sum into a file of a folder that all of them read. pytest-xdist hands tests out ahead, and
a worker that is told to stop still runs those that it has; one that looks by itself does not.
"""

from __future__ import annotations

from pathlib import Path

_NEW = ".new"


class Spending:
    """One process's part of what a run has spent, and the sum over all, in pico-dollars."""

    def __init__(self, folder: str | None = None, name: str = "") -> None:
        """Share a folder under a name of its own; without one, or on another machine, know of oneself alone."""
        self._file = Path(folder) / name if folder is not None and Path(folder).is_dir() else None

    def total_pico(self, own_pico: int) -> int:
        """Tell the others what this process has spent in all, and return what all have."""
        if self._file is None:
            return own_pico
        new = self._file.with_suffix(_NEW)
        new.write_text(str(own_pico), encoding="ascii")
        # Whole or not at all, because others read it meanwhile.
        new.replace(self._file)
        files = [file for file in self._file.parent.iterdir() if file.suffix != _NEW]
        return sum(int(file.read_text(encoding="ascii")) for file in files)
