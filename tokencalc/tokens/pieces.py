"""Where a long text may be cut so that its parts' counts add up to the whole's.

Both public encodings split a text by a pattern first and merge inside the parts
only. A cut is exact where a part must end whatever surrounds it, and where the
pattern looks neither ahead nor back across it:

* before white space that is no line break, after anything that is not white space;
* after a line feed, before what is neither white space nor ``/``;
* between a digit and what is none, unless white space comes first;
* between a letter and punctuation, unless that is ``'`` (contractions) or may be
  a mark that belongs to the letter.

Text offers such a place every few characters. What does not (a million times
``a``) is cut by force at `CHARS_MAX`, and its count is then said to be modelled.
"""

from __future__ import annotations

import re
from functools import cache
from sys import getsizeof
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

CHARS_GOAL = 1 << 18
"""Length from which the next exact cut is taken; bounds the memory for a list of tokens to a few MB."""

CHARS_MAX = 1 << 21
"""Longest piece handed to tiktoken, which merges a single part of this length in about a second."""

WHITE_MAX = 1 << 18
"""Longest run of white space handed to tiktoken's pattern, which panics from 999,999 characters."""

_UTF8_BYTES_OF_WIDTH = {1: 2, 2: 3}

# Explicit classes: Python's \s also holds \x1c to \x1f, which the Rust pattern's \s does not, and its \d and \w differ
# for number letters. In doubt a place is left out.
_WHITE = r"\t\v\f \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_LETTER = r"A-Za-z\u3041-\u3096\u30a1-\u30fa\u4e00-\u9fff\uac00-\ud7a3"
_MARKS = r"!-/:-@\[-`{-~"
# Where any vocabulary ends a token; Gemma's has one token with a space inside, between two tags.
_WORD_CUT = rf"(?<=[^\s>])(?=[{_WHITE}])|(?<=\n)(?=[^\s/])"
_CUT = (
    rf"(?<=[^\s])(?=[{_WHITE}])"
    r"|(?<=\n)(?=[^\s/])"
    rf"|(?<=[{_LETTER}{_MARKS}])(?=[0-9])"
    rf"|(?<=[0-9])(?=[{_LETTER}{_MARKS}\r\n])"
    rf"|(?<=[{_LETTER}])(?=[!-&(-/:-@\[-`{{-~\u3001\u3002\uff01\uff0c\uff1a\uff1b\uff1f])"
)


@cache
def _cut() -> re.Pattern[str]:
    # On first need: compiling takes longer than counting a short text.
    return re.compile(_CUT)


@cache
def _word_cut() -> re.Pattern[str]:
    return re.compile(_WORD_CUT)


@cache
def _long_white(white_max: int) -> re.Pattern[str]:
    return re.compile(rf"[{_WHITE}]{{{white_max},}}")


class Piece(NamedTuple):
    """A part of a text; ``white`` parts are one run of white space, ``forced`` ones end at an inexact cut."""

    text: str
    white: bool
    forced: bool


def pieces(text: str) -> Iterator[Piece]:
    """Yield the parts of a text in order, for the two public encodings; a text below the goal is one part, itself."""
    for part in _parts(text, _cut(), CHARS_GOAL):
        yield from _without_long_white(part.text, forced=part.forced)


def small_chars(text: str, bytes_max: int) -> int:
    """Return how many characters like those of this text are certain to be no more bytes than that."""
    if text.isascii():
        return bytes_max
    # Python keeps a text as wide as its widest character needs: 1, 2 or 4 bytes, which are at most 2, 3 or 4 in UTF-8.
    # What else it keeps beside a text only makes this more careful.
    return bytes_max // _UTF8_BYTES_OF_WIDTH.get(getsizeof(text) // len(text), 4)


def small_pieces(text: str, bytes_max: int) -> Iterator[Piece]:
    """Yield the parts of a text in order, as long as that many bytes allow; without a place to cut a part is longer."""
    start, size = 0, len(text)
    search = _cut().search
    while start < size:
        # Each part's own characters decide: one é in a long English text makes it no longer in bytes. What is searched
        # is the part, because a slice of ASCII is taken out of wider text only once then.
        part = text[start : start + bytes_max]
        part = part[: small_chars(part, bytes_max)]
        forced = False
        if start + len(part) < size:
            cut = search(part, len(part) * 7 // 8)
            if cut is not None:
                part = part[: cut.start()]
            else:
                last = min(start + CHARS_MAX, size)
                cut = search(text, start + len(part), last)
                part = text[start : cut.start() if cut else last]
                forced = cut is None and last < size
        yield Piece(part, white=False, forced=forced)
        start += len(part)


def words_and_lines(text: str) -> Iterator[Piece]:
    """Yield the parts of a text in order, cut before white space or after a line feed: where any vocabulary ends."""
    return _parts(text, _word_cut(), CHARS_GOAL)


def _parts(text: str, cuts: re.Pattern[str], goal: int) -> Iterator[Piece]:
    start, size = 0, len(text)
    while size - start > goal:
        cut = cuts.search(text, start + goal, min(start + CHARS_MAX, size))
        end = cut.start() if cut else min(start + CHARS_MAX, size)
        yield Piece(text[start:end], white=False, forced=cut is None and end < size)
        start = end
    if start < size:
        yield Piece(text[start:], white=False, forced=False)


def _without_long_white(text: str, *, forced: bool) -> Iterator[Piece]:
    start = 0
    if len(text) > WHITE_MAX:
        for run in _long_white(WHITE_MAX).finditer(text):
            end = run.end()
            if text[end : end + 1] in ("\r", "\n") and end < len(text):
                continue  # up to its last line break a run is one part that does not look ahead: it cannot panic
            # Before a word the pattern leaves the run's last character to the word.
            end -= end < len(text)
            if run.start() > start:
                yield Piece(text[start : run.start()], white=False, forced=False)
            yield Piece(text[run.start() : end], white=True, forced=forced and end == len(text))
            start = end
    if start < len(text):
        yield Piece(text[start:], white=False, forced=forced)
