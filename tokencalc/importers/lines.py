"""Lines of a JSONL file, bounded in memory: a line of a gigabyte costs no more than one of a few megabytes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator

LINE_BYTES_MAX = 32 * 1024 * 1024
"""Longest line that is read; longer ones hold pasted files, and no usage that we could trust."""

_CHUNK_BYTES = 1024 * 1024


def bounded_lines(file: BinaryIO, *, line_bytes_max: int = LINE_BYTES_MAX) -> Iterator[tuple[int, bytes | None]]:
    """Yield each line's length in bytes and its content, None in place of a line that is too long."""
    while line := file.readline(line_bytes_max + 1):
        if len(line) <= line_bytes_max or line.endswith(b"\n"):
            yield len(line), line
            continue
        length = len(line)
        while rest := file.readline(_CHUNK_BYTES):
            length += len(rest)
            if rest.endswith(b"\n"):
                break
        yield length, None


def parse_object(line: bytes) -> dict[str, Any] | None:
    """Return the JSON object of a line; None where there is none: cut, damaged, too deep, or no object."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
