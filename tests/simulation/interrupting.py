"""Interrupting a caller at a chosen line of the code that writes, as a signal's handler could."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from linecache import getline
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tokencalc

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_NO_PLACES = ("with ", "try:")
_PACKAGE = Path(tokencalc.__file__).parent
_FILES = {str(file) for room in ("ledger", "budgets") for file in (_PACKAGE / room).glob("*.py")}


@contextmanager
def interrupts(line: int) -> Iterator[None]:
    """Raise KeyboardInterrupt before the line of that number, counted from 0, that runs in the rooms that write.

    Lines with ``with`` and ``try`` are left out: tracing stops there in places where the interpreter lets no signal's
    handler run, as between the end of a body and the release of its lock.
    """
    left = line

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal left
        if frame.f_code.co_filename not in _FILES:
            return None
        if event == "line" and not getline(frame.f_code.co_filename, frame.f_lineno).lstrip().startswith(_NO_PLACES):
            left -= 1
            if left < 0:
                sys.settrace(None)
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)
