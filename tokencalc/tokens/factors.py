"""Measured factors from o200k counts to each family's, in thousandths, with their scatter.

Thousandths as integers: the same text gives the same count on every machine, and
sums do not depend on their order.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tokencalc.tokens.fitted import TEXT
from tokencalc.tokens.fitted_runs import RUNS

if TYPE_CHECKING:
    from collections.abc import Mapping

_MEASURED = ("prose", "latin", "markdown", "code", "json", "zh", "ja", "ko", "ru", "ar", "hi", "th", "other")
"""The kinds of the tables below, in their order."""

_RARER = ("vi", "el", "he", "bn", "pa", "gu", "ta", "te", "kn", "ml", "lo", "my", "ka", "hy", "am", "km")

KINDS = (*_MEASURED, *_RARER, "emoji", "joined")
"""The kinds of run that a factor is known for: ``prose`` is English, ``latin`` every other language in Latin letters
but Vietnamese (``vi``), ``ru`` Cyrillic, ``ar`` Arabic script, ``hi`` Devanagari; from ``el`` on one script each, by
the code of its largest language; ``joined`` emoji of several characters, ``other`` the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """How one family's vocabulary compares with ``encoding``'s."""

    encoding: str
    thousandths: Mapping[str, int]
    scatter_thousandths: int
    """Half the width of the range that held the true count in 95 of 100 measured requests, on top of the factor."""
    reach: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Thousandths of a run's count that its range goes below and above it, by kind, where wider than the scatter."""
    marks: Mapping[str, int] = field(default_factory=dict)
    """Thousandths for each mark in Latin text, beside its tokens; see `tokencalc.tokens.approximate`."""
    digits_alone: bool = False
    """Whether each digit is a token of its own; o200k takes three at a time."""


def _table(*values: int) -> dict[str, int]:
    """Return factors by kind; the kinds that were split from ``other`` later have its factor."""
    return dict.fromkeys(KINDS, values[-1]) | {"vi": values[1]} | dict(zip(_MEASURED, values, strict=True))


def _fitted(name: str, family: Family) -> Family:
    """Return a family with what was fitted on its own vocabulary; see scripts/fit_text_constants.py."""
    runs = RUNS.get(name, {})
    return replace(
        family,
        thousandths={**family.thousandths, **{kind: factor for kind, (factor, _, _) in runs.items()}},
        reach={kind: (below, above) for kind, (_, below, above) in runs.items()},
    )


def _claude(name: str, *scripts: int) -> Family:
    latin = TEXT[name]
    marks = {mark: latin[mark] for mark in latin if mark != "text"}
    return Family(
        encoding="o200k_base",
        thousandths=_table(*(latin["text"],) * 5, *scripts),
        scatter_thousandths=60,
        marks=marks,
    )


_FAMILIES: Mapping[str, Family] = {
    # No vocabulary is published. Measured on billed usage, but for "other", which lies between the rest. Text in Latin
    # letters has one factor and its marks: that fits prose, Markdown, code and JSON at once, in any mixture.
    "claude": _claude("claude", 1350, 1090, 1740, 1510, 2050, 2380, 2030, 1700),
    "claude_4_7": _claude("claude_4_7", 1350, 1090, 1740, 1510, 2050, 2380, 2030, 1700),
    # The rest against the published vocabularies: Gemma 4, Mistral v3, Llama 3, Qwen 3, DeepSeek V3, Kimi K2. What
    # `RUNS` has is fitted on those again, and stands instead.
    "gemini": Family(
        encoding="o200k_base",
        thousandths=_table(1020, 1020, 1080, 1280, 1100, 860, 680, 960, 970, 1080, 855, 815, 1050),
        scatter_thousandths=90,
        digits_alone=True,
    ),
    "mistral": Family(
        encoding="o200k_base",
        thousandths=_table(1018, 1050, 1100, 1030, 1110, 1140, 940, 890, 1100, 945, 1200, 1250, 1050),
        scatter_thousandths=110,
        digits_alone=True,
    ),
    # Llama 3 and Qwen are cl100k with further merges for other languages: in English and code they count alike.
    "llama": Family(
        encoding="cl100k_base",
        thousandths=_table(1003, 980, 1000, 1000, 1000, 715, 655, 630, 650, 550, 520, 530, 700),
        scatter_thousandths=60,
    ),
    "qwen": Family(
        encoding="cl100k_base",
        thousandths=_table(1002, 980, 1000, 1000, 1000, 560, 590, 710, 750, 520, 940, 620, 900),
        scatter_thousandths=60,
        digits_alone=True,
    ),
    "deepseek": Family(
        encoding="o200k_base",
        thousandths=_table(1014, 1170, 1030, 1096, 1200, 740, 850, 1130, 1170, 1200, 1900, 950, 1250),
        scatter_thousandths=110,
    ),
    "kimi": Family(
        encoding="o200k_base",
        thousandths=_table(1004, 1350, 1060, 985, 955, 720, 1010, 1370, 1450, 1540, 1910, 1990, 1600),
        scatter_thousandths=120,
    ),
}

FAMILIES: Mapping[str, Family] = {name: _fitted(name, family) for name, family in _FAMILIES.items()}
"""Families whose vocabulary we do not carry."""

UNKNOWN = Family(
    encoding="o200k_base",
    thousandths=_table(1150, 1150, 1200, 1200, 1250, 1200, 1200, 1300, 1300, 1400, 1400, 1400, 1400),
    scatter_thousandths=500,
)
"""A tokenizer that nobody named: between the families above, with a range that covers them."""
