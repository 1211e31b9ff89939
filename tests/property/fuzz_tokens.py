"""Differential fuzz of counting: seeded texts of many kinds, each back end beside a reference.

``make fuzz TEXTS=100000`` runs this file; ``make test`` runs a part of it through `test_tokens_fuzz`.

References: tiktoken itself for o200k and cl100k. For the vocabularies of splintr-rs, tiktoken again, on the
vocabulary's own tokens in order of their numbers and its published pattern; for Gemma 4, which has neither,
splintr-rs's second way to count, on Gemma 3's vocabulary, which counts alike.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING
from unicodedata import category

from tiktoken.core import Encoding

from tests.property.fuzz_texts import text_of
from tokencalc.tokens import vocabularies
from tokencalc.tokens.backends import bundled, fast
from tokencalc.tokens.exact import count_exact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tokencalc.tokens.result import Counted

    Count = Callable[[str], int]

# The published patterns by which these vocabularies split a text.
_ENDS = r"|\s*[\r\n]+|\s+(?!\S)|\s+"
_CASED = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}HAN]*[\p{Ll}\p{Lm}\p{Lo}\p{M}HAN]+"
_CASED += r"SHORT|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}HAN]+[\p{Ll}\p{Lm}\p{Lo}\p{M}HAN]*SHORT"
_SHORT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_WORDS = _SHORT + r"|[^\r\n\p{L}\p{N}]?\p{L}+|DIGITS| ?[^\s\p{L}\p{N}]+[\r\n]*" + _ENDS
PATTERNS = {
    "llama_3": _WORDS.replace("DIGITS", r"\p{N}{1,3}"),
    "qwen_3": _WORDS.replace("DIGITS", r"\p{N}"),
    "mistral_v3": _CASED.replace("HAN", "").replace("SHORT", "") + r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*" + _ENDS,
    "kimi_k2": r"[\p{Han}]+|"
    + _CASED.replace("HAN", r"&&[^\p{Han}]").replace("SHORT", _SHORT + "?")
    + r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    + _ENDS,
}


def twin(name: str) -> Encoding:
    """Return tiktoken on the tokens of a vocabulary that splintr-rs carries, with its published pattern."""
    return Encoding(name, pat_str=PATTERNS[name], mergeable_ranks=tokens_of(name), special_tokens={})


@cache
def tokens_of(name: str) -> dict[bytes, int]:
    """Return the ordinary tokens of a vocabulary that splintr-rs carries, with their numbers."""
    from splintr import Tokenizer, base_vocab_size  # noqa: PLC0415  # an extra

    tokenizer = Tokenizer.from_pretrained(bundled.VOCABULARIES[name])
    special = set(tokenizer.special_tokens().values())
    found: dict[bytes, int] = {}
    for number in range(SPECIALS_BELOW.get(name, 0), base_vocab_size(bundled.VOCABULARIES[name])):
        if number not in special:
            try:
                found.setdefault(tokenizer.decode_token_bytes(number), number)
            except ValueError:  # a gap in the numbers
                continue
    return found


SPECIALS_BELOW = {"mistral_v3": 1000}


@dataclass(kw_only=True)
class Pair:
    """A back end beside its reference, and what came of it."""

    backend: str
    vocabulary: str
    count: Callable[[str], Counted]
    reference: Count
    texts: int = 0
    size_bytes: int = 0
    differing: list[tuple[int, int, int]] = field(default_factory=list)
    """Number of the text, our count, the reference's."""
    inexact: int = 0

    def compare(self, number: int, text: str) -> None:
        """Count one text both ways."""
        counted, expected = self.count(text), self.reference(text)
        self.texts += 1
        self.size_bytes += len(text.encode())
        self.inexact += counted.method != "exact"
        if counted.tokens != expected:
            self.differing.append((number, counted.tokens, expected))

    def line(self) -> str:
        """Say in one line how it went."""
        wrong = ", ".join(f"text {number}: {ours} for {theirs}" for number, ours, theirs in self.differing[:3])
        return (
            f"{self.backend:<12}{self.vocabulary:<13}{self.texts:>8,} texts {self.size_bytes / 1e6:>7.1f} MB, "
            f"{len(self.differing)} differ, {self.inexact} not said to be exact{': ' * bool(wrong)}{wrong}"
        )


def pairs() -> Iterator[Pair]:
    """Yield each back end that is installed with each vocabulary that it counts."""
    for name in vocabularies.SPECS:
        plain = _plain(vocabularies.encoding(name))
        yield Pair(backend="tiktoken", vocabulary=name, count=_by(name, None), reference=plain)
        made = fast._make(name)
        if made is not None:
            yield Pair(backend="fastokens", vocabulary=name, count=_by(name, made), reference=plain)
    for name in filter(bundled.available, bundled.VOCABULARIES):
        reference = _plain(twin(name)) if name in PATTERNS else REFERENCES[name]()
        yield Pair(backend="splintr-rs", vocabulary=name, count=_bundled(name), reference=reference)


def _by(name: str, made: fast.FastEncoding | None) -> Callable[[str], Counted]:
    def count(text: str) -> Counted:
        fast._made[name] = made
        return count_exact(text, name)

    return count


def _bundled(name: str) -> Callable[[str], Counted]:
    return lambda text: bundled.count_bundled(text, name)


def _plain(encoding: Encoding) -> Count:
    return lambda text: len(encoding.encode_ordinary(text))


def _gemma() -> Count:
    from splintr import Tokenizer  # noqa: PLC0415  # an extra

    other = Tokenizer.from_pretrained("gemma3")
    return lambda text: len(other.encode_ordinary(text))


# DeepSeek splits three times, each time inside the parts of the time before.
_DEEPSEEK = (
    r"\p{N}{1,3}",
    "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
    r"[!-/:-@\[-`{-~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
)


def _deepseek() -> Count:
    import regex  # type: ignore[import-untyped]  # noqa: PLC0415  # tiktoken's own, without types

    whole = Encoding("deepseek", pat_str=r"[\s\S]+", mergeable_ranks=tokens_of("deepseek_v3"), special_tokens={})
    splits = [regex.compile(f"({pattern})") for pattern in _DEEPSEEK]

    def count(text: str) -> int:
        parts = [text]
        for split in splits:
            parts = [found for part in parts for found in split.split(part) if found]
        return sum(len(whole.encode_ordinary(part)) for part in parts)

    return count


REFERENCES: dict[str, Callable[[], Count]] = {"gemma_4": _gemma, "deepseek_v3": _deepseek}


def run(texts: int, seed: int, only: str = "") -> list[Pair]:
    """Compare every back end (or those of that name) on that many texts."""
    found = [pair for pair in pairs() if only in pair.backend or only == pair.vocabulary]
    for number in range(texts):
        text = text_of(seed, number)
        known = assigned(text)
        for pair in found:
            pair.compare(number, text if pair.vocabulary in vocabularies.SPECS else known)
    return found


def assigned(text: str) -> str:
    """Return a text without characters that are none yet: libraries of different years see a letter there or nothing.

    tiktoken's own pattern decides for o200k and cl100k, so they are compared with them.
    """
    return "".join("\ufffd" if category(character) == "Cn" else character for character in text)


def main() -> int:
    """Print a line for each back end; 1 where one that says exact differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="a back end or a vocabulary")
    arguments = parser.parse_args()
    found = run(arguments.texts, arguments.seed, arguments.only)
    for pair in found:
        print(pair.line())  # noqa: T201  # a program's output
    return int(any(pair.differing for pair in found))


if __name__ == "__main__":
    sys.exit(main())
