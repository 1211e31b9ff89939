"""Which lines of a text are prose, so that their white space and filler may change; whatever is doubtful is not.

Not prose: what stands in a fence (inside a quotation too), in triple quotes, between
the tags of ``<pre>`` and its like, and after the head of a diff; an indented line, a
heading, a comment, a table's row, ``key: value``; a line with a quotation mark, a
bracket of code, a tab, or whatever else a sentence does not need.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from tokencalc.tokens.runs import runs

if TYPE_CHECKING:
    from collections.abc import Iterator

WORDS_MIN = 3
"""Words of a line without a full stop from which it may be a sentence; below, it may be a name, a value or a cell."""

_FENCE = re.compile(r"[ \t]*(?:>[ \t]*)*(`{3,}|~{3,})")
_TRIPLE_QUOTES = ('"""', "'''")
_TAG = re.compile(r"(?i)<(/?)(pre|code|script|style|textarea|svg)\b")
_DIFF = re.compile(r"@@ -\d|diff --git |\+\+\+ ")
# A list's mark may stand before a sentence.
_MARK = re.compile(r"(?:[-*•] |\d{1,3}[.)] )?")
_KEY = re.compile(r"[\w.-]{1,40}[ \t]?:(?:\s|$)")
# A quotation mark, a bracket of code, a cell, an assignment, an escape, a call, a comma without its space.
_NO_SENTENCE = re.compile(
    r"[\t\"`{}\[\]<>|=$\\_~^@#%&*+\u201c-\u201f\u00ab\u00bb\u2018\u2039\u203a]|;$|\w\(|,\S|(?<!\w)['\u2019]|['\u2019](?!\w)|://"
)
_ENDED = re.compile(r"[.!?:…。！？][)]?$")  # noqa: RUF001  # the full-width marks are what Chinese ends sentences with
_PLAIN_WORDS = re.compile(r"[^\W\d]+(?:['\u2019-][^\W\d]+)*(?:,? +[^\W\d]+(?:['\u2019-][^\W\d]+)*)*,?")


class Line(NamedTuple):
    """One line: its text without its break, the break ("" at the end of the text), and what it is."""

    text: str
    end: str
    is_prose: bool
    is_blank: bool


def lines_of(text: str) -> list[Line]:
    """Return the lines of a text; joined again (text and end of each) they are the text."""
    return list(_lines(text))


def joined(lines: list[Line]) -> str:
    """Return the text of lines."""
    return "".join([f"{line.text}{line.end}" for line in lines])


def mark_of(line: str) -> int:
    """Return where a line's first word begins, after the mark of a list."""
    found = _MARK.match(line)
    return found.end() if found is not None else 0


def is_ended(line: str) -> bool:
    """Tell whether a line ends as a sentence does."""
    return _ENDED.search(line.rstrip()) is not None


def _lines(text: str) -> Iterator[Line]:
    protection = _Protection()
    parts = text.split("\n")
    for index, part in enumerate(parts):
        said = part.removesuffix("\r")
        end = part[len(said) :] + ("\n" if index < len(parts) - 1 else "")
        is_free = not protection.holds(said)
        yield Line(said, end, is_free and _is_sentence(said), is_free and not said.strip())


class _Protection:
    """What was opened above and is not closed yet."""

    def __init__(self) -> None:
        self._fence = ""
        self._quotes = ""
        self._tag = ""
        self._is_diff = False

    def holds(self, line: str) -> bool:
        """Read the next line, and tell whether it is protected; lines that open or close are."""
        if self._fence:
            found = _FENCE.match(line)
            if found is not None and found[1].startswith(self._fence) and not line[found.end() :].strip("`~ \t"):
                self._fence = ""
            return True
        if self._quotes:
            if line.count(self._quotes) % 2:
                self._quotes = ""
            return True
        if self._tag:
            self._read_tags(line)
            return True
        return self._opens(line)

    def _opens(self, line: str) -> bool:
        if self._is_diff or _DIFF.match(line):
            self._is_diff = True
            return True
        fence = _FENCE.match(line)
        if fence is not None:
            self._fence = fence[1]
            return True
        for quotes in _TRIPLE_QUOTES:
            if quotes in line:
                self._quotes = quotes if line.count(quotes) % 2 else ""
                return True
        self._read_tags(line)
        return bool(self._tag)

    def _read_tags(self, line: str) -> None:
        for closing, name in _TAG.findall(line):
            if not closing and not self._tag:
                self._tag = name.lower()
            elif closing and name.lower() == self._tag:
                self._tag = ""


def _is_sentence(line: str) -> bool:
    said = line[mark_of(line) :].rstrip(" ")
    if not said[:1].isalpha() or _NO_SENTENCE.search(said) or _KEY.match(said):
        return False
    if not _ENDED.search(said) and not (_PLAIN_WORDS.fullmatch(said) and len(said.split()) >= WORDS_MIN):
        return False
    return not any(run.kind in {"code", "json"} for run in runs(said))
