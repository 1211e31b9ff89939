"""Pictures of a terminal for the docs, as SVG; each `capture_*.py` beside this file draws one."""

from __future__ import annotations

import argparse
import re
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import RenderableType

WIDTH = 80
NOW = "2026-11-20T14:30:00Z"
"""When each picture is taken: a clock that stands still draws the same picture every time."""
_DOCS = Path(__file__).resolve().parents[1] / "docs"


def terminal_svg(*shown: RenderableType, title: str, name: str) -> str:
    """Return what a terminal of 80 columns shows, with the fonts of whoever looks at it."""
    console = Console(file=StringIO(), width=WIDTH, record=True, force_terminal=True, color_system="truecolor")
    console.print(*shown)
    drawn = console.export_svg(title=title, unique_id=name)
    # rich names fonts on somebody's server; a picture in the docs asks nobody for anything.
    return re.sub(r"\s*@font-face \{.*?\}", "", drawn, flags=re.DOTALL)


def write_picture(about: str | None, name: str, draw: Callable[[], str]) -> None:
    """Write one picture into docs/, or where the command line's --output says."""
    reader = argparse.ArgumentParser(description=about)
    reader.add_argument("--output", type=Path, default=_DOCS / f"{name}.svg", help="where to write it")
    output = reader.parse_args().output
    output.write_text(draw(), encoding="utf-8")
    print(f"written: {output}")
