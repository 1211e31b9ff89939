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
    "he": r"\u0590-\u05ff\ufb1d-\ufb4f",
    "el": r"\u0370-\u03ff\u1f00-\u1fff",
    "bn": r"\u0980-\u09ff",
    "pa": r"\u0a00-\u0a7f",
    "gu": r"\u0a80-\u0aff",
    "ta": r"\u0b80-\u0bff",
    "te": r"\u0c00-\u0c7f",
    "kn": r"\u0c80-\u0cff",
    "ml": r"\u0d00-\u0d7f",
    "lo": r"\u0e80-\u0eff",
    "my": r"\u1000-\u109f",
    "ka": r"\u10a0-\u10ff",
    "hy": r"\u0530-\u058f",
    "am": r"\u1200-\u139f",
    "km": r"\u1780-\u17ff",
    "emoji": r"\u2600-\u27bf\u2b00-\u2bff\u200d\u20e3\ufe0f\U0001f000-\U0001faff\U000e0020-\U000e007f",
    "other": r"\u0700-\u074f\u0780-\u089f\u0b00-\u0b7f\u0d80-\u0dff\u0f00-\u0fff\u1100-\u11ff\u13a0-\u177f\u1800-\u1dbf"
    r"\ua000-\uabff",
}
_JOINED = re.compile(r"[\u200d\u20e3\ufe0f\U0001f1e6-\U0001f1ff\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]")
"""What makes one picture of several characters: joiners, variants, flags, skin."""

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
    if name == "emoji" and _JOINED.search(match.group()):
        return "joined"
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


_VIETNAMESE = re.compile(r"[\u1ea0-\u1ef9\u01a0\u01a1\u01af\u01b0]")
_VIETNAMESE_SHARE = 16
"""Letters that no other language has, one in so many characters; Vietnamese has one in six."""

_ENGLISH = re.compile(r"\b(?:the|of|and|to|is|it|that|this|for|with|you|was|are|have|not|be|by|on|at|what|how)\b")
_FOREIGN = re.compile(
    r"\b(?:de|la|el|los|las|les|des|du|que|qui|und|der|die|das|den|ist|nicht|ein|eine|het|een|van|dat|kun|je|wat|voor"
    r"|yang|dan|di|ke|ini|itu|pada|tidak|akan|adalah|untuk|dengan|dari|il|che|non|un|una|em|da|och|att|det|som|og|w|na|se|ve|bir|ja|egy|az|nu|si|le|et)\b"
)
"""Small words by which an English line and one in another language are told apart where neither has an accent."""

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
    return _language(shown, size)


def _language(shown: str, size: int) -> str:
    """Return what language of prose a line is in: English (prose), Vietnamese, or any other in Latin letters."""
    if not shown.isascii():
        return "vi" if len(_VIETNAMESE.findall(shown)) * _VIETNAMESE_SHARE >= size else "latin"
    words = shown.lower()
    return "latin" if len(_FOREIGN.findall(words)) > 2 * len(_ENGLISH.findall(words)) else "prose"


def _is_json(shown: str, size: int) -> bool:
    if shown.count('"') >= _QUOTES_OF_JSON:
        return len(re.findall(_JSON_MARKS, shown)) * _JSON_SHARE >= size
    return (shown[0] == '"' and '":' in shown) or shown.rstrip("{}[],") == ""
