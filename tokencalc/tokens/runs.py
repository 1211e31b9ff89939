"""A text as runs of one script and kind, because vocabularies differ by script and by kind of text.

A Chinese paragraph inside English code is one run of Chinese between runs of
code: each family's factor is looked up for what the run is, not for the whole.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

# What stands inside a run without ending it: spaces, digits and light punctuation between two characters of the script.
_INNER = r"[ \t0-9.,:;!?()\"'%\u2010-\u201f\u3000-\u303f\uff00-\uff65/-]{0,12}"
_CLOSING = r"[\u3001-\u3003\u3008-\u3011\uff01-\uff0f\uff1a-\uff20]*"
_SCRIPTS = {
    "cjk": r"\u2e80-\u2fdf\u3005-\u3007\u3031-\u3035\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    r"\uff66-\uff9f\U00020000-\U0003ffff",
    "ko": r"\u1100-\u11ff\u3130-\u318f\uac00-\ud7af",
    "ru": r"\u0400-\u052f",
    "ar": r"\u0600-\u06ff\u0750-\u077f\u08a0-\u08ff\ufb50-\ufdff\ufe70-\ufeff",
    "hi": r"\u0900-\u097f",
    "th": r"\u0e00-\u0e7f",
    "other": r"\u0370-\u03ff\u0530-\u05ff\u0700-\u074f\u0780-\u08ff\u0980-\u0dff\u0e80-\u10ff\u1200-\u1dbf"
    r"\ua000-\uabff",
}
_SCRIPT_RUN = re.compile(
    "|".join(f"(?P<{name}>[{chars}](?:{_INNER}[{chars}]+)*{_CLOSING})" for name, chars in _SCRIPTS.items())
)
_KANA = re.compile(r"[\u3040-\u30ff\uff66-\uff9f]")
_KANA_SHARE_OF_JAPANESE = 8
"""Japanese has one kana in two or three characters; one in eight leaves room for titles and names."""

# As text: re compiles and keeps them on first need.
_MARKDOWN_START = r"\s*(?:#{1,6} |[-*+] |\d{1,3}[.)] |>|\||```|={3,}|-{3,}|\*\*)"
_CODE_START = (
    r"\s*(?:def |class |import |from \S+ import|return\b|if |for |while |else|elif |try:|except\b|with |@\w|#include|//"
    r"|/\*|func |fn |let |const |var |public |private |static |package |use |</?\w|[)}\]];?,?$|\$ |SELECT |INSERT )"
)
_JSON_MARKS = r'["{}\[\]:,]'
_CODE_MARKS = r"[=(){}\[\];_<>|&$\\]"

_JSON_SHARE = 8
_CODE_SHARE = 14
_CODE_START_SHARE = 50
_QUOTES_OF_JSON = 4
"""One mark in so many characters makes a line JSON (with that many quotes) or code; fewer do after a code word."""


@cache
def _script_run() -> re.Pattern[str]:
    # On first need, because most texts are ASCII. Possessive, because no run needs to be given back and a long one
    # would keep a state for each word.
    return re.compile(
        "|".join(f"(?P<{name}>[{chars}](?:{_INNER}[{chars}]++)*+{_CLOSING})" for name, chars in _SCRIPTS.items())
    )


class Run(NamedTuple):
    """A part of a text that one factor is measured for."""

    kind: str
    text: str


def runs(text: str) -> Iterator[Run]:
    """Yield the runs of a text in order; together they are the text."""
    if text.isascii():
        yield from _latin(text)
        return
    start = 0
    for match in _script_run().finditer(text):
        if match.start() > start:
            yield from _latin(text[start : match.start()])
        start = match.end()
        yield Run(_script(match), match.group())
    if start < len(text):
        yield from _latin(text[start:])


def _script(match: re.Match[str]) -> str:
    name = match.lastgroup or "other"
    if name != "cjk":
        return name
    run = match.group()
    return "ja" if len(_KANA.findall(run)) * _KANA_SHARE_OF_JAPANESE >= len(run) else "zh"


def _latin(text: str) -> Iterator[Run]:
    """Split what is left, mostly Latin letters, by lines into prose, Markdown, code and JSON."""
    kind = ""
    gathered: list[str] = []
    for line in text.splitlines(keepends=True):
        found = _line_kind(line) or kind or "prose"
        if found != kind and gathered:
            yield Run(kind, "".join(gathered))
            gathered = []
        kind = found
        gathered.append(line)
    if gathered:
        yield Run(kind, "".join(gathered))


_LINE_LOOKED_AT_CHARS = 400
"""A line shows what it is at its beginning; bounds the work on a line without end."""


def _line_kind(line: str) -> str:
    """Return the kind of a line, or nothing for a blank one, which belongs to what precedes it."""
    shown = line[:_LINE_LOOKED_AT_CHARS].strip()
    if not shown:
        return ""
    size = len(shown)
    if _is_json(shown, size):
        return "json"
    if re.match(_MARKDOWN_START, shown):
        return "markdown"
    marks = len(re.findall(_CODE_MARKS, shown))
    if marks * _CODE_SHARE >= size or (marks * _CODE_START_SHARE >= size and re.match(_CODE_START, shown)):
        return "code"
    return "prose" if shown.isascii() else "latin"


def _is_json(shown: str, size: int) -> bool:
    if shown.count('"') >= _QUOTES_OF_JSON:
        return len(re.findall(_JSON_MARKS, shown)) * _JSON_SHARE >= size
    return (shown[0] == '"' and '":' in shown) or shown.rstrip("{}[],") == ""
