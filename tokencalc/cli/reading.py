"""Reading the text that a command is about: from its argument, a file, or stdin."""

from __future__ import annotations

import sys
from pathlib import Path

from tokencalc.errors import TextInvalid

_MAX_BYTES = 512 * 1024 * 1024


def read_text(text: str | None, file: str | None) -> str:
    """Return the text from the argument, a file or stdin; TextInvalid where it is not UTF-8 text."""
    if text is not None and file is not None:
        raise TextInvalid("text: give either TEXT or --file, not both", path="text", found=file)
    if text is not None and text != "-":
        return text
    if file is None and text is None and sys.stdin.isatty():
        raise TextInvalid("text: give TEXT, --file FILE, or pipe it in", path="text", found=None)
    name = "stdin" if file in (None, "-") else str(file)
    try:
        if name == "stdin":
            raw = sys.stdin.buffer.read(_MAX_BYTES + 1)
        else:
            with Path(name).open("rb") as stream:
                raw = stream.read(_MAX_BYTES + 1)
    except OSError as error:
        raise TextInvalid(f"{name}: {error.strerror}", path="file", found=name) from error
    if len(raw) > _MAX_BYTES:
        raise TextInvalid(f"{name}: expected at most {_MAX_BYTES} bytes", path="file", found=len(raw))
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise TextInvalid(f"{name}: expected UTF-8 text; byte {error.start} is not", path="file", found=name) from error
