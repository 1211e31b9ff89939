"""A progress bar for long work, on a terminal only; on stderr, so that data on stdout stays clean."""

from __future__ import annotations

import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def progress_bar(label: str, *, least: int) -> Iterator[Callable[[int, int], None] | None]:
    """Lend a function of (done, all) that draws a bar, from ``least`` in all on; None where nobody watches."""
    if not sys.stderr.isatty():
        yield None
        return
    with ExitStack() as stack:
        shown: list[Any] = []

        def progress(done: int, total: int) -> None:
            if total < least:
                return
            if not shown:
                shown.append(stack.enter_context(click.progressbar(length=total, label=label, file=sys.stderr)))
            shown[0].length = total
            shown[0].update(done - shown[0].pos)

        yield progress
