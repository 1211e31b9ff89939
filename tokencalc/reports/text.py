"""Making foreign names harmless: for a terminal, and for Markdown.

Names of models, agents and tools come from logs and callers. On a terminal
their control characters are shown, not obeyed; in Markdown they stand in code
spans, where no link, image, mention or HTML can start.
"""

from __future__ import annotations

import re
from html import escape

_LONGEST = 200

_FORMULA = frozenset("=+-@\uff1d\uff0b\uff0d\uff20|%'")
"""What a cell begins with that a spreadsheet may run, in half and full width, and the quote that prevents it."""

# GitHub's runner obeys lines that begin so, in any step's output; a cell may be folded at any place.
_COMMAND = re.compile(
    r":(?=:(?:error|warning|notice|debug|group|endgroup|echo|stop-commands|add-mask|add-matcher|remove-matcher"
    r"|add-path|save-state|set-env|set-output)\b)|#(?=#\[)",
    re.IGNORECASE,
)

_MARKDOWN = re.compile(r"([\\`*_\[\]|~!])")


def safe_text(value: object, *, longest: int = _LONGEST) -> str:
    """Return one line of printable text: what is not printable as its escape, cut after ``longest`` characters."""
    text = printable(str(value)[: longest + 1])
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def printable(text: str) -> str:
    """Return the text with what is not printable as its escape, and without commands for a CI runner's log."""
    if not text.isprintable():
        text = "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)
    return _COMMAND.sub(lambda found: f"\\x{ord(found.group()):x}", text) if "::" in text or "##[" in text else text


def csv_cell(name: object) -> str:
    """Return a name for a CSV cell that no spreadsheet takes for a formula, whole, without control characters.

    A quote is put before what begins like a formula, or with a quote already, so that taking the first quote off gives
    the name back.
    """
    text = printable("" if name is None else str(name))
    return f"'{text}" if text.lstrip()[:1] in _FORMULA else text


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
