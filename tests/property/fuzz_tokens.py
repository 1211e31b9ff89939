"""Differential fuzz of counting: seeded texts of many kinds, each back end beside a reference.

``make fuzz TEXTS=100000`` runs this file; ``make test`` runs a part of it through `test_tokens_fuzz`.

References: tiktoken itself for o200k and cl100k. For the vocabularies that splintr-rs carries, tiktoken again, on the
vocabulary's own tokens in order of their numbers and its published pattern; for Gemma 4, which has neither, splintr-rs's
second way to count, on Gemma 3's vocabulary, which counts alike.
"""

from __future__ import annotations

import argparse
import base64
import json
import random
import sys
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING
from unicodedata import category

from tiktoken.core import Encoding

from tokencalc.tokens import vocabularies
from tokencalc.tokens.backends import bundled, fast
from tokencalc.tokens.exact import count_exact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tokencalc.tokens.result import Counted

    Count = Callable[[str], int | None]

LONG_EVERY = 250
"""One text in so many is long enough to be counted in pieces."""

WORDS = """the budget of this month is spent before its end nobody knows where tokens went because each request grew
café's naïve façade Größe Übung señor año déjà-vu coöperate HTTPServer getUserById snake_case_name CONSTANT_VALUE kebab-case
don't I'LL we've THEY'RE it's 'S y'all o'clock rock'n'roll 10,000.50 3.14e-10 0xDEADBEEF 2026-11-21T08:00:00Z v1.2.3-rc4
https://example.org/a/b?c=d&e=%20f#g user@example.com C:\\Temp\\x.txt /usr/local/bin ~/.config #hashtag @handle $9.99 50% a/b""".split()
CODE = """def f(x): return|    if not x:|\treturn None|for (let i = 0; i < n; ++i) {|}|=> { ... };|#include <stdio.h>|// note|
/* block */|SELECT * FROM t WHERE a = 'b' AND c <> 1;|<div class="x">&nbsp;</div>|import numpy as np|@property|a[i][j] += b->c;|
fn main() -> Result<(), Error> {|println!("{}", x);|#!/bin/sh|$ echo "$HOME"|| ---|:--:|**bold** _it_ `code`|- [ ] item|>>> 1 // 2|
'''doc'''|\"\"\"doc\"\"\"|%s %d|{{name}}|lambda x: x ** 2|async with a as b:|\\n\\t\\u00e9|0b1010_1010|x!=y===z|a?.b ?? c""".split("|")
SPECIALS = (
    "<|endoftext|> <|endofprompt|> <|fim_prefix|> <|im_start|> <|im_end|> <|eot_id|> <|start_header_id|> <bos> <eos> <s> "
    "</s> [INST] [/INST] <start_of_turn> <unused5> <table> <0x0A> <|begin▁of▁sentence|> <think> </tool_call> <|reserved_200001|>"
).split()
WHITE = [*" \t\n\r\x0b\x0c\x85\xa0\u1680\u2000\u2009\u200b\u2028\u2029\u202f\u205f\u3000\ufeff\x1c\x1f", "\r\n", "  ", "    ", "\n\n"]
SCRIPTS = (
    *(0x20, 0xA0, 0x100, 0x180, 0x250, 0x2B0, 0x300, 0x370, 0x400, 0x530, 0x590, 0x600, 0x700, 0x900, 0x980, 0xA00, 0xB80),
    *(0xC00, 0xE00, 0xF00, 0x1000, 0x10A0, 0x1100, 0x1200, 0x1780, 0x1E00, 0x1F00, 0x2000, 0x2070, 0x2100, 0x2150, 0x2190),
    *(0x2200, 0x2500, 0x3000, 0x3040, 0x30A0, 0x3130, 0x4E00, 0x5F00, 0x7A00, 0x9F00, 0xA640, 0xAC00, 0xC000, 0xF900),
    *(0xFB00, 0xFE00, 0xFF00, 0x10300, 0x10400, 0x12000, 0x1D400, 0x1E900, 0x1F000, 0x1F300, 0x1F600, 0x1F900, 0x20000),
)
EMOJI = ["😀", "👩", "👍🏽", "❤️", "🇩🇪", "🇺", "\u200d", "\ufe0f", "🏽", "👨\u200d👩\u200d👧\u200d👦", "1️⃣", "🏴\U000e0067\U000e007f", "🚀", "✅", "™️"]


def _letters(chosen: random.Random) -> str:
    start, width = chosen.choice(SCRIPTS), chosen.choice((16, 96, 256))
    parts = (chr(start + chosen.randrange(width)) for _ in range(chosen.randint(1, 200)))
    return "".join(part if chosen.random() > 0.1 else chosen.choice(" \n.,'1") for part in parts)


def _points(chosen: random.Random) -> str:
    tops = (0x80, 0x800, 0xD800, 0x10FFFF - 0x800)
    points = (chosen.randrange(chosen.choice(tops)) for _ in range(chosen.randint(1, 120)))
    return "".join(chr(point if point < 0xD800 else point + 0x800) for point in points)


def _prose(chosen: random.Random) -> str:
    text = " ".join(chosen.choices(WORDS, k=chosen.randint(1, 120)))
    for _ in range(chosen.randrange(8)):
        at = chosen.randrange(len(text) + 1)
        text = text[:at] + chosen.choice([*WHITE, *"'’\".,;:!?-/()1aZ"]) + text[at + chosen.randrange(3) :]
    return chosen.choice((str, str, str.upper, str.title, str.swapcase))(text)


def _code(chosen: random.Random) -> str:
    lines = []
    for _ in range(chosen.randint(1, 40)):
        indent = chosen.choice(("", "  ", "    ", "\t", "\t\t", " " * chosen.randrange(40)))
        lines.append(indent + chosen.choice(CODE).strip("\n") + chosen.choice(("", " ", chosen.choice(WORDS))))
    return chosen.choice(("\n", "\r\n", "\n\n")).join(lines)


def _value(chosen: random.Random, depth: int) -> object:
    kind = chosen.randrange(7 if depth else 5)
    if kind == 5:
        return [_value(chosen, depth - 1) for _ in range(chosen.randrange(5))]
    if kind == 6:
        return {chosen.choice(WORDS): _value(chosen, depth - 1) for _ in range(chosen.randrange(6))}
    plain = (None, chosen.random() < 0.5, chosen.randrange(-(10**9), 10**12), chosen.random() * 1e6, _letters(chosen)[:30])
    return plain[kind]


def _json(chosen: random.Random) -> str:
    values = {chosen.choice(WORDS): _value(chosen, 3) for _ in range(chosen.randint(1, 8))}
    return json.dumps(values, ensure_ascii=chosen.random() < 0.5, indent=chosen.choice((None, None, 1, 2, "\t")))


def _coded(chosen: random.Random) -> str:
    data = chosen.randbytes(chosen.randint(1, 300))
    ways: tuple[Callable[[bytes], bytes], ...] = (base64.b64encode, base64.urlsafe_b64encode, base64.b32encode, base64.a85encode)
    if chosen.random() < 0.3:
        return data.hex(chosen.choice("-_ \n:"), chosen.randint(1, 9))
    return chosen.choice(ways)(data).decode()


def _white(chosen: random.Random) -> str:
    parts = (chosen.choice(WHITE) * chosen.choice((1, 1, 2, 3, 17, 90)) for _ in range(chosen.randint(1, 30)))
    return "".join(part + chosen.choice(("", "", "x", "!", "1", "/", "你", "'s")) for part in parts)


def _specials(chosen: random.Random) -> str:
    parts = chosen.choices([*SPECIALS, *WORDS[:20]], k=chosen.randint(1, 30))
    cut = [part[: chosen.randint(1, len(part))] if chosen.random() < 0.2 else part for part in parts]
    return chosen.choice(("", " ", "\n")).join(cut)


def _emoji(chosen: random.Random) -> str:
    return "".join(chosen.choices([*EMOJI, " ", "a", "\n", "!"], k=chosen.randint(1, 80)))


def _runs(chosen: random.Random) -> str:
    units = [*"aZ1!/.-=_你あ한а\n\t #*", "ab", "  \n", "1,", "👍", "e\u0301"]
    return "".join(chosen.choice(units) * chosen.choice((1, 2, 5, 33, 200)) for _ in range(chosen.randint(1, 12)))


def _mixed(chosen: random.Random) -> str:
    return "".join(chosen.choice(KINDS[:-1])(chosen)[: chosen.randint(1, 40)] for _ in range(chosen.randint(2, 12)))


KINDS = (_letters, _points, _prose, _code, _json, _coded, _white, _specials, _emoji, _runs, _mixed)


def text_of(seed: int, number: int) -> str:
    """Return one text of the fuzz, the same on every machine."""
    chosen = random.Random(seed * 1_000_000_007 + number)  # noqa: S311  # the same texts on every machine
    if number % LONG_EVERY == LONG_EVERY - 1:
        parts = [chosen.choice(KINDS)(chosen) for _ in range(200)]
        return "".join(chosen.choices(parts, k=chosen.choice((300, 600, 1500))))
    return chosen.choice(KINDS)(chosen)


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
        expected = self.reference(text)
        if expected is None:
            return
        counted = self.count(text)
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
    import regex  # noqa: PLC0415  # tiktoken's own

    whole = Encoding("deepseek", pat_str=r"[\s\S]+", mergeable_ranks=tokens_of("deepseek_v3"), special_tokens={})
    splits = [regex.compile(f"({pattern})") for pattern in _DEEPSEEK]

    def count(text: str) -> int | None:
        if any(category(character) == "Cn" for character in text):
            return None  # the regex package knows a newer Unicode, where what was unassigned is a letter
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
        for pair in found:
            pair.compare(number, text)
    return found


def main() -> int:
    """Print a line for each back end; 1 where one that says exact differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="a back end or a vocabulary")
    arguments = parser.parse_args()
    found = run(arguments.texts, arguments.seed, arguments.only)
    for pair in found:
        print(pair.line())
    return int(any(pair.differing for pair in found))


if __name__ == "__main__":
    sys.exit(main())
