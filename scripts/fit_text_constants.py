"""Fits the factors of runs and their reach on the published vocabularies, and writes tokencalc/tokens/fitted_runs.py.

    python -m scripts.fit_text_constants

Needs the extra ``exact``. What is fitted on is text of our own: the sentences of ``script_samples.toml`` (those under
``fit``; those under ``held`` are for tests), and this project's pages, code and tables. Each sample is counted alone,
twice in a row, and with its language's others.

A script's factor is that of its first language there, which is the one with most readers, and the reach covers the
others. Kinds of Latin text but Vietnamese keep the factors that larger texts gave, because a few sentences say less
than those. ``other``, for scripts that no sample is in, lies between the rare ones. The reach covers every sentence,
and all parts of files but the `OUTLIERS` of a hundred at each end, with `SPARE` of it on top: sentences that nobody
fitted on scatter more.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from tokencalc.tokens import factors
from tokencalc.tokens.approximate import digit_groups
from tokencalc.tokens.backends import bundled
from tokencalc.tokens.backends.families import OWN
from tokencalc.tokens.exact import count_exact
from tokencalc.tokens.runs import runs

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "tokencalc" / "tokens" / "fitted_runs.py"
SAMPLES = ROOT / "scripts" / "script_samples.toml"
FILES = ("README.md", "docs/*.md", "tokencalc/budgets/*.py", "tokencalc/tokens/[c-l]*.py", "pricing/[a-d]*.toml")
FILES_JSON = "tokencalc/pricing/tables/[a-c]*.json"
PART_CHARS = 2_000
"""Files are looked at in parts of this length, which scatter as prompts do."""
KEPT = frozenset({"prose", "latin", "markdown", "code", "json"})
"""Kinds whose factor stays, and whose reach is fitted."""
SPARE = 1
"""What the reach is wider than the samples need."""
LEAST, LEAST_OF_ONE = 250, 350
"""The reach at the least, in thousandths, where a few sentences, or one, are all that was fitted on."""
SHORT_TOKENS = {"emoji": 2, "joined": 2}
SHORT_TOKENS_ELSE = 12
"""Shorter runs are left out: the token that a short text may be off covers them."""
OUTLIERS = 2
OTHER = ("bn", "pa", "gu", "ta", "te", "kn", "ml", "lo", "my", "ka", "hy", "am", "km")
"""Kinds that stand for the scripts without samples."""


class Ratio(NamedTuple):
    """The tokens of one family's vocabulary to those of the encoding that its factor is for, of one run."""

    kind: str
    language: str
    true: float
    base: float

    @property
    def value(self) -> float:
        """How many of its own tokens one of the encoding's is."""
        return self.true / self.base


def samples() -> dict[str, list[str]]:
    """Return the texts to fit on, by what they are."""
    with SAMPLES.open("rb") as file:
        languages = tomllib.load(file)
    found = {name: [*told["fit"], " ".join(told["fit"])] for name, told in languages.items()}
    for pattern in (*FILES, FILES_JSON):
        for path in sorted(ROOT.glob(pattern))[:12]:
            text = path.read_text(encoding="utf-8")[:40_000]
            found[path.name] = [text[start : start + PART_CHARS] for start in range(0, len(text), PART_CHARS)]
    return found


def ratios(family: str, texts: dict[str, list[str]]) -> list[Ratio]:
    """Return the ratio of each run of each text for a family."""
    known, own = factors.FAMILIES[family], OWN[family].name
    found: list[Ratio] = []
    for language, several in texts.items():
        for text in several:
            sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
            for kind, part in runs(text):
                true = bundled.count_bundled(part, own).tokens
                base = count_exact(part, known.encoding).tokens
                if known.digits_alone:
                    true -= sum(char in "0123456789" for char in part)
                    base -= digit_groups(part)
                sums[kind][0] += true
                sums[kind][1] += base
            found.extend(
                Ratio(kind, language, true, base)
                for kind, (true, base) in sums.items()
                if base >= SHORT_TOKENS.get(kind, SHORT_TOKENS_ELSE) and true > 0
            )
    return found


def fit(family: str, found: list[Ratio]) -> dict[str, tuple[int, int, int]]:
    """Return each kind's factor and its reach below and above, in thousandths."""
    fitted: dict[str, tuple[int, int, int]] = {}
    for kind in factors.KINDS:
        kinds = OTHER if kind == "other" else (kind,)
        own = [ratio for ratio in found if ratio.kind in kinds]
        if not own:
            continue
        values = sorted(ratio.value for ratio in own)
        if kind in KEPT:
            factor = factors.FAMILIES[family].thousandths[kind] / 1000
        elif kind == "other":
            factor = (values[0] * values[-1]) ** 0.5
        else:
            first = [ratio for ratio in own if ratio.language == own[0].language]
            factor = sum(ratio.true for ratio in first) / sum(ratio.base for ratio in first)
        files = sorted(ratio.value for ratio in own if "." in ratio.language)
        sentences = [ratio.value for ratio in own if "." not in ratio.language]
        spare = len(files) * OUTLIERS // 100
        inside = sorted([*files[spare : len(files) - spare], *sentences])
        below, above = max(1 - inside[0] / factor, 0), max(inside[-1] / factor - 1, 0)
        least = 0 if kind in KEPT else LEAST if len(set(values)) > 1 else LEAST_OF_ONE
        fitted[kind] = (
            round(factor * 1000),
            max(min(round(1000 * below * (1 + SPARE)), 900), least),
            max(round(1000 * above * (1 + SPARE)), least),
        )
    return fitted


HEADER = '''"""Factors of runs in thousandths, and their reach, made by scripts/fit_text_constants.py."""

from __future__ import annotations

'''


def main() -> None:
    """Fit every family whose vocabulary is at hand."""
    texts = samples()
    found = {}
    for family, own in OWN.items():
        if not bundled.available(own.name):
            sys.exit("the extra exact is not installed: pip install 'tokencalc-engine[exact]'")
        found[family] = fit(family, ratios(family, texts))
        print(family, found[family])
    told = "By family and kind of run: the factor, and how far its range goes below and above, of the count."
    lines = f'RUNS: dict[str, dict[str, tuple[int, int, int]]] = {found!r}\n"""{told}"""\n'
    TARGET.write_text(HEADER + lines, encoding="utf-8")
    ruff = Path(sys.executable).with_name("ruff")
    subprocess.run([str(ruff), "format", "--quiet", str(TARGET)], check=True)  # noqa: S603  # our own tool


if __name__ == "__main__":
    main()
