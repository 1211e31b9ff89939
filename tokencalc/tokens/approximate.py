"""Counts for families without a public vocabulary: runs of the text, each by its measured factor."""

from __future__ import annotations

import re

from tokencalc.tokens.exact import count_exact
from tokencalc.tokens.factors import FAMILIES, UNKNOWN
from tokencalc.tokens.pieces import pieces
from tokencalc.tokens.result import Counted
from tokencalc.tokens.runs import runs

_DIGITS = re.compile(r"[0-9]+")
_DIGITS_PER_TOKEN = 3
_UNITS = 1000
_SHORT_TEXT_SLACK = 1
"""Tokens each way that a short text may differ by, whatever its factor says."""


LATIN = frozenset({"prose", "latin", "vi", "markdown", "code", "json"})
"""Kinds of run in Latin letters, whose words and signs a family may weigh apart."""

_MARKS = {
    "sign": re.compile(r"[^\w\s]"),
    "line": re.compile(r"\n"),
    "indent": re.compile(r"\n +"),
    "digit": re.compile(r"[0-9]"),
    "capital": re.compile(r"[A-Z][a-z]+"),
    "joint": re.compile(r"[a-z_][A-Z_]|[A-Z]_"),
}
"""What a vocabulary of another make splits or joins in its own way; ``joint`` is inside names_like_this or likeThis."""


def marks(text: str) -> dict[str, int]:
    """Return how many of each mark a text has."""
    return {name: sum(1 for _ in pattern.finditer(text)) for name, pattern in _MARKS.items()}


def count_approximate(text: str, family_name: str) -> Counted:
    """Estimate a text's tokens for a family, with the range that its measured scatter gives."""
    if not text:
        return Counted(0, 0, 0, "exact")
    family = FAMILIES.get(family_name, UNKNOWN)
    units, slack, below, above = 0, 0, 0, 0
    # Piece by piece, so that a long text is never held a second time as a list of its lines.
    for kind, part in (run for piece in pieces(text) for run in runs(piece.text)):
        counted = count_exact(part, family.encoding)
        tokens = counted.tokens
        slack += counted.high - tokens
        found = 0
        if family.digits_alone:
            digits = sum(map(len, _DIGITS.findall(part)))
            tokens -= digit_groups(part)
            found += digits * _UNITS
        found += tokens * family.thousandths[kind]
        if family.marks and kind in LATIN:
            found += sum(family.marks[name] * count for name, count in marks(part).items())
        units += found
        low, high = family.reach.get(kind, (0, 0))
        below += found * max(low, family.scatter_thousandths)
        above += found * max(high, family.scatter_thousandths)
    total = max((units + _UNITS // 2) // _UNITS, 1)
    slack += _SHORT_TEXT_SLACK
    low, high = total - below // _UNITS**2 - slack, total + above // _UNITS**2 + slack
    return Counted(total, max(low, 1), high, "estimated")


def digit_groups(text: str) -> int:
    """Return how many tokens o200k and cl100k make of a text's digits, three at a time."""
    return sum(-(-len(group) // _DIGITS_PER_TOKEN) for group in _DIGITS.findall(text))
