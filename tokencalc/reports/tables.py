"""Tables in Markdown; their cells are Markdown already."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def markdown_table(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    texts: Sequence[int] = (0,),
    most: int | None = None,
    total: Sequence[str] = (),
) -> Iterator[str]:
    """Yield the lines of a table and an empty one: text columns to the left, figures to the right, a total last.

    Of more than ``most`` rows the first are shown, and a line says how many are left. Nothing where nothing is in it.
    """
    shown = rows[:most]
    if not shown and not total:
        return
    yield f"| {' | '.join(heads)} |"
    yield f"|{'|'.join(' --- ' if place in texts else ' ---: ' for place in range(len(heads)))}|"
    for row in (*shown, *([total] if total else ())):
        yield f"| {' | '.join(row)} |"
    yield ""
    if len(rows) > len(shown):
        yield f"{len(rows) - len(shown):,} more rows are in the JSON report."
        yield ""
