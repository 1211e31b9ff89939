"""The same prompt in fewer tokens: white space, repeats, filler phrases; each change by name, none in vain.

Only prose is changed (`tokencalc.tokens.prose` says what that is), because in code,
data, quotations and tables a space or a word may be meant. What a change saves is
counted, by the counter that is handed in; one that saves nothing is not made.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, NamedTuple

from tokencalc.tokens.prose import Line, is_ended, joined, lines_of, mark_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

FILLERS: Mapping[str, str] = {
    "it is important to note that": "",
    "it should be noted that": "",
    "please be aware that": "",
    "please note that": "",
    "needless to say": "",
    "could you please": "",
    "would you please": "",
    "can you please": "",
    "i would like you to": "",
    "i want you to": "",
    "i need you to": "",
    "please": "",
    "kindly": "",
    "in spite of the fact that": "although",
    "despite the fact that": "although",
    "due to the fact that": "because",
    "in light of the fact that": "because",
    "at this point in time": "now",
    "at the present time": "now",
    "in the event that": "if",
    "in order to": "to",
    "with the exception of": "except",
}
"""English phrases that a model does not need, with what stands for them; longer ones before those that they contain.

Those with nothing in their place go only where a sentence begins, or, after a comma, where it ends: "as you please"
and "to please users" are no filler. Left out on purpose: words such as very, just, only, really, which change what a
sentence asks for, and phrases with a second meaning, such as prior to ("use the prior to compute").
"""

LINE_CHARS_MIN = 24
"""A line that is said again is a repeat from this length on: shorter ones (a brace, a list's yes) are structure."""

_GAP = re.compile(r"(?<=\S) {2,}(?=\S)")
_GAP_AFTER_STOP = re.compile(r"(?<=[.!?,:;]) {2,}(?=\S)")
_ORDERED = re.compile(r"(?i)\b(?:sort|order|rank|put|arrang|list|plac)\w*\b[^.!?]*$")


class Change(NamedTuple):
    """One change: its kind of `KINDS`, what was changed, in how many places, and what that saved."""

    kind: str
    what: str
    places: int
    tokens_saved: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortened:
    """A text after every change that saves tokens, with its count before and after; the savings add up."""

    text: str
    tokens_before: int
    tokens_after: int
    changes: tuple[Change, ...]


def shorten(text: str, count: Callable[[str], int]) -> Shortened:
    """Shorten a text, keeping each change that saves tokens by ``count`` and leaves some text."""
    before = tokens = count(text)
    changes = []
    lines = lines_of(text)
    for kind, what, work in _steps():
        shorter, places = work(lines)
        if not places:
            continue
        shorter_text = joined(shorter)
        if not shorter_text.strip():
            continue
        after = count(shorter_text)
        if after < tokens:
            changes.append(Change(kind, what, places, tokens - after))
            text, tokens, lines = shorter_text, after, lines_of(shorter_text)
    return Shortened(text=text, tokens_before=before, tokens_after=tokens, changes=tuple(changes))


def _steps() -> Iterator[tuple[str, str, Callable[[Sequence[Line]], tuple[list[Line], int]]]]:
    """Yield each change: its kind, what it changes, and the function to new lines and the number of places."""
    yield "white_space", "spaces at the ends of lines", _ends
    yield "white_space", "several spaces between two words", _gaps
    yield "repeated_lines", "paragraphs and lines that stand above word for word", _repeats
    yield "white_space", "several empty lines together", _empty_lines
    for phrase, instead in FILLERS.items():
        work = partial(_replaced, phrase=phrase, instead=instead) if instead else partial(_dropped, phrase=phrase)
        yield "filler", f"{phrase} -> {instead or '(nothing)'}", work


KINDS = ("white_space", "repeated_lines", "filler")
"""The kinds of change."""


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _by_lines(lines: Sequence[Line], change: Callable[[str], tuple[str, int]]) -> tuple[list[Line], int]:
    """Change each line of prose."""
    found: list[Line] = []
    places = 0
    for line in lines:
        changed, here = change(line.text) if line.is_prose else (line.text, 0)
        found.append(line._replace(text=changed) if here else line)
        places += here
    return found, places


def _ends(lines: Sequence[Line]) -> tuple[list[Line], int]:
    def change(line: str) -> tuple[str, int]:
        bare = line.rstrip(" ")
        # Two spaces before a line break are a break in Markdown, too.
        kept = bare if len(line) - len(bare) < 2 else f"{bare}  "  # noqa: PLR2004  # as said above
        return kept, int(kept != line)

    return _by_lines(lines, change)


def _gaps(lines: Sequence[Line]) -> tuple[list[Line], int]:
    wide = [bool(_GAP.search(line.text) and _GAP.search(_GAP_AFTER_STOP.sub(" ", line.text))) for line in lines]
    found: list[Line] = []
    places = 0
    for index, line in enumerate(lines):
        if not line.is_prose or not _GAP.search(line.text) or not is_ended(line.text):
            found.append(line)
            continue
        start = mark_of(line.text)
        # Gaps above or below one another may be columns.
        is_column = any(wide[max(index - 1, 0) : index]) or any(wide[index + 1 : index + 2])
        said, here = (_GAP_AFTER_STOP if is_column else _GAP).subn(" ", line.text[start:])
        found.append(line._replace(text=line.text[:start] + said))
        places += here
    return found, places


def _repeats(lines: Sequence[Line]) -> tuple[list[Line], int]:
    seen: set[tuple[str, ...]] = set()
    found: list[Line] = []
    dropped = 0
    for paragraph in _paragraphs(lines):
        kept = [
            line
            for index, line in enumerate(paragraph)
            if not (index and _may_repeat(line) and line.text.strip() == paragraph[index - 1].text.strip())
        ]
        dropped += len(paragraph) - len(kept)
        said = tuple(line.text.strip() for line in kept if not line.is_blank)
        if said in seen and all(_may_repeat(line) for line in kept if not line.is_blank):
            dropped += len(said)
            continue
        seen.add(said)
        found += kept
    return found, dropped


def _paragraphs(lines: Sequence[Line]) -> Iterator[list[Line]]:
    """Yield stretches of lines, each with the empty lines that follow it."""
    paragraph: list[Line] = []
    for line in lines:
        if paragraph and paragraph[-1].is_blank and not line.is_blank:
            yield paragraph
            paragraph = []
        paragraph.append(line)
    if paragraph:
        yield paragraph


def _may_repeat(line: Line) -> bool:
    return line.is_prose and is_ended(line.text) and len(line.text.strip()) >= LINE_CHARS_MIN


def _empty_lines(lines: Sequence[Line]) -> tuple[list[Line], int]:
    found: list[Line] = []
    places = index = 0
    while index < len(lines):
        until = index
        while until < len(lines) and lines[until].is_blank:
            until += 1
        empty = lines[index:until]
        around = [found[-1].is_prose if found else True, lines[until].is_prose if until < len(lines) else True]
        if len(empty) > 1 and all(around):
            found.append(empty[0]._replace(text=""))
            places += 1
        else:
            found += empty
        found += lines[until : until + 1]
        index = until + 1
    return found, places


def _words(phrase: str) -> str:
    return r" +".join(map(re.escape, phrase.split()))


def _replaced(lines: Sequence[Line], *, phrase: str, instead: str) -> tuple[list[Line], int]:
    pattern = _compiled(rf"(?i)(?<![\w'/-]){_words(phrase)}(?![\w'/-])")

    def written(match: re.Match[str]) -> str:
        if phrase == "in order to" and _ORDERED.search(pattern.sub("to", _before(match))):
            return match.group()  # what is put in order may be put "in order to the left"
        return _as_written(match.group(), instead)

    def change(line: str) -> tuple[str, int]:
        said = pattern.sub(written, line)
        return said, len(pattern.findall(line)) - len(pattern.findall(said))

    return _by_lines(lines, change)


def _before(match: re.Match[str]) -> str:
    """Return what stands before a match, as far back as a sentence reaches."""
    return match.string[max(match.start() - 200, 0) : match.start()]


def _dropped(lines: Sequence[Line], *, phrase: str) -> tuple[list[Line], int]:
    words = _words(phrase)
    leading = _compiled(rf"(?i)(?P<before>^|[.!?] +)(?P<phrase>{words}),? +(?P<next>[^\W\d_])")
    closing = _compiled(rf"(?i), +{words}(?=[.!?]+(?: |$))")

    def change(line: str) -> tuple[str, int]:
        start = mark_of(line)
        said, first = leading.subn(
            lambda match: match["before"] + _as_written(match["phrase"], match["next"]), line[start:]
        )
        said, last = closing.subn("", said)
        return line[:start] + said, first + last

    return _by_lines(lines, change)


def _as_written(found: str, instead: str) -> str:
    return instead[0].upper() + instead[1:] if found[0].isupper() else instead
