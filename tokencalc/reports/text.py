"""Making foreign names harmless: for a terminal, and for Markdown.

Names of models, agents and tools come from logs and callers. On a terminal
their control characters are shown, not obeyed; in Markdown they stand in code
spans, where no link, image, mention or HTML can start.
"""

from __future__ import annotations

import re
from html import escape

_LONGEST = 200

_MARKDOWN = re.compile(r"([\\`*_\[\]|~!])")


def safe_text(value: object, *, longest: int = _LONGEST) -> str:
    """Return one line of printable text: what is not printable as its escape, cut after ``longest`` characters."""
    text = str(value)[: longest + 1]
    if not text.isprintable():
        text = "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def markdown_code(value: object) -> str:
    """Return a name as a Markdown code span that also holds inside a table cell."""
    text = safe_text(value) or " "
    longest_run = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * (longest_run + 1)
    padded = f" {text} " if longest_run else text
    return f"{fence}{padded}{fence}".replace("|", "\\|")


def markdown_text(value: object) -> str:
    """Return a sentence for Markdown: HTML, emphasis, links, images and bare addresses are plain text."""
    text = _MARKDOWN.sub(r"\\\1", escape(safe_text(value, longest=1000), quote=False))
    for mark, harmless in (("#", "&#35;"), ("://", "&#58;//"), ("www.", "www&#46;"), ("@", "&#64;")):
        text = text.replace(mark, harmless)
    return text
