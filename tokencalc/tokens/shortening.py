"""The same prompt in fewer tokens: white space, lines said twice, filler phrases; each change by name, none in vain.

Code is left alone: fenced blocks, inline code, lines that look like code or JSON,
and lines indented as Markdown indents code. Filler is looked for outside double
quotes, because what is quoted is meant to the letter. What a change saves is
counted, by the counter that is handed in; one that saves nothing is not made.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, NamedTuple

from tokencalc.tokens.runs import runs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

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
    "basically": "",
    "in spite of the fact that": "although",
    "despite the fact that": "although",
    "due to the fact that": "because",
    "in light of the fact that": "because",
    "at this point in time": "now",
    "at the present time": "now",
    "in the event that": "if",
    "in the near future": "soon",
    "in order to": "to",
    "for the purpose of": "for",
    "with the exception of": "except",
    "a large number of": "many",
    "the majority of": "most",
    "prior to": "before",
    "subsequent to": "after",
}
"""English phrases that a model does not need, with what stands for them; longer ones before those that they contain.
Left out on purpose: words such as very, just, only, really, which change what a sentence asks for."""

LINE_CHARS_MIN, LINE_WORDS_MIN = 24, 4
"""A line that is said again is a repeat from this length on: shorter ones (a brace, a list's yes) are structure."""

# No fence that is never closed ends the protection: it holds to the end of the text.
_FENCED = r"(?ms)^[ \t]*(?P<fence>`{3,}|~{3,})[^\n]*(?:\n.*?(?:^[ \t]*(?P=fence)[`~]*[ \t\r]*$|\Z)|\Z)"
_INLINE_CODE = r"(?P<ticks>`+)[^`\n](?:[^\n]*?[^`\n])??(?P=ticks)(?!`)"
_QUOTED = r"\"[^\"\n]*\"|\u201c[^\u201d\n]*\u201d"
_INDENTED = re.compile(r" {4}| {0,3}\t")
_GAPS = re.compile(r"(?<=\S)[ \t]{2,}(?=\S)")


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
    for kind, what, work in _steps():
        shorter, places = work(text)
        if not places or not shorter.strip():
            continue
        after = count(shorter)
        if after < tokens:
            changes.append(Change(kind, what, places, tokens - after))
            text, tokens = shorter, after
    return Shortened(text=text, tokens_before=before, tokens_after=tokens, changes=tuple(changes))


def _steps() -> Iterator[tuple[str, str, Callable[[str], tuple[str, int]]]]:
    """Yield each change: its kind, what it changes, and the function to a text and the number of places."""
    yield "white_space", "spaces at the ends of lines", partial(_by_lines, change=_end)
    yield "white_space", "several spaces between two words", partial(_by_lines, change=_gaps)
    yield "repeated_lines", "lines that stand above word for word", _repeats
    yield "white_space", "several empty lines together", _empty_lines
    for phrase, instead in FILLERS.items():
        yield "filler", f"{phrase} -> {instead or '(nothing)'}", partial(_filler, phrase=phrase, instead=instead)


KINDS = ("white_space", "repeated_lines", "filler")
"""The kinds of change."""


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _outside(protected: str, text: str, change: Callable[[str], tuple[str, int]]) -> tuple[str, int]:
    """Change what stands outside the protected parts, and count the places."""
    parts: list[str] = []
    places = start = 0
    for match in _compiled(protected).finditer(text):
        changed, found = change(text[start : match.start()])
        parts += changed, match.group()
        places, start = places + found, match.end()
    changed, found = change(text[start:])
    return "".join([*parts, changed]), places + found


def _by_lines(text: str, *, change: Callable[[str], tuple[str, int]]) -> tuple[str, int]:
    """Change each line outside fenced blocks, without its line break."""

    def lines(part: str) -> tuple[str, int]:
        found = [_keeping_return(line, change) for line in part.split("\n")]
        return "\n".join([line for line, _ in found]), sum(places for _, places in found)

    return _outside(_FENCED, text, lines)


def _keeping_return(line: str, change: Callable[[str], tuple[str, int]]) -> tuple[str, int]:
    if not line.endswith("\r"):
        return change(line)
    changed, places = change(line[:-1])
    return f"{changed}\r", places


def _end(line: str) -> tuple[str, int]:
    changed = line.rstrip(" \t")
    return changed, int(changed != line)


def _gaps(line: str) -> tuple[str, int]:
    if not _GAPS.search(line) or _is_code(line):
        return line, 0
    return _outside(f"{_INLINE_CODE}|{_QUOTED}", line, lambda part: _GAPS.subn(" ", part))


def _is_code(line: str) -> bool:
    return bool(_INDENTED.match(line)) or any(run.kind in {"code", "json"} for run in runs(line))


def _repeats(text: str) -> tuple[str, int]:
    seen: set[str] = set()

    def lines(part: str) -> tuple[str, int]:
        kept, dropped = [], 0
        for line in part.split("\n"):
            if _is_sentence(line) and line.strip() in seen:
                dropped += 1
                continue
            seen.add(line.strip())
            kept.append(line)
        return "\n".join(kept), dropped

    return _outside(_FENCED, text, lines)


def _is_sentence(line: str) -> bool:
    said = line.strip()
    if len(said) < LINE_CHARS_MIN or "`" in said:
        return False
    # Chinese, Japanese and Thai have no spaces between words.
    return (len(said.split()) >= LINE_WORDS_MIN or not said.isascii()) and not _is_code(line)


def _empty_lines(text: str) -> tuple[str, int]:
    return _outside(_FENCED, text, lambda part: _compiled(r"(\r?\n)(?:\r?\n){2,}").subn(r"\1\1", part))


def _filler(text: str, *, phrase: str, instead: str) -> tuple[str, int]:
    if not _compiled(_pattern(phrase)).search(text):
        return text, 0

    def change(line: str) -> tuple[str, int]:
        if not _compiled(_pattern(phrase)).search(line) or _is_code(line):
            return line, 0
        return _outside(f"{_INLINE_CODE}|{_QUOTED}", line, lambda part: _without(part, phrase, instead))

    return _by_lines(text, change=change)


def _pattern(phrase: str) -> str:
    words = r"[ \t]+".join(map(re.escape, phrase.split()))
    # "To please somebody" is no filler.
    return rf"(?i)(?<![\w'/-])(?<!to ){words}(?![\w'/-])"


def _without(part: str, phrase: str, instead: str) -> tuple[str, int]:
    if instead:
        return _compiled(_pattern(phrase)).subn(lambda match: _as_written(match.group(), instead), part)
    # Before a word with its space and comma, whose capital the next word inherits; else at a sentence's end.
    part, leading = _compiled(rf"{_pattern(phrase)},?[ \t]+(?P<next>\w)").subn(
        lambda match: _as_written(match.group(), match["next"]), part
    )
    part, closing = _compiled(rf",?[ \t]+{_pattern(phrase).removeprefix('(?i)')}(?=[.!?])".join(("(?i)", ""))).subn(
        "", part
    )
    return part, leading + closing


def _as_written(found: str, instead: str) -> str:
    return instead[0].upper() + instead[1:] if found[0].isupper() else instead
