"""Texts for the fuzz of counting: scripts, emoji, code, JSON, base64, white space, spellings of special tokens."""

from __future__ import annotations

import base64
import json
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LONG_EVERY = 250
"""One text in so many is long enough to be counted in pieces."""

WORDS = [
    "the",
    "budget",
    "of",
    "this",
    "month",
    "is",
    "spent",
    "before",
    "its",
    "end",
    "nobody",
    "knows",
    "where",
    "tokens",
    "went",
    "because",
    "each",
    "request",
    "grew",
    "café's",
    "naïve",
    "façade",
    "Größe",
    "Übung",
    "señor",
    "año",
    "déjà-vu",
    "coöperate",
    "HTTPServer",
    "getUserById",
    "snake_case_name",
    "CONSTANT_VALUE",
    "kebab-case",
    "don't",
    "I'LL",
    "we've",
    "it'\u017f",
    "'\u017f'LLe",
    "\u0301'\u017f'LLa",
    "\u212a'\u212a's",
    "THEY'RE",
    "it's",
    "'S",
    "y'all",
    "o'clock",
    "rock'n'roll",
    "10,000.50",
    "3.14e-10",
    "0xDEADBEEF",
    "2026-11-21T08:00:00Z",
    "v1.2.3-rc4",
    "https://example.org/a/b?c=d&e=%20f#g",
    "user@example.com",
    "C:\\Temp\\x.txt",
    "/usr/local/bin",
    "~/.config",
    "#hashtag",
    "@handle",
    "$9.99",
    "50%",
    "a/b",
]
CODE = [
    "def f(x): return",
    "    if not x:",
    "\treturn None",
    "for (let i = 0; i < n; ++i) {",
    "}",
    "=> { ... };",
    "#include <stdio.h>",
    "// note",
    "\n/* block */",
    "SELECT * FROM t WHERE a = 'b' AND c <> 1;",
    '<div class="x">&nbsp;</div>',
    "import numpy as np",
    "@property",
    "a[i][j] += b->c;",
    "\nfn main() -> Result<(), Error> {",
    'println!("{}", x);',
    "#!/bin/sh",
    '$ echo "$HOME"',
    "",
    " ---",
    ":--:",
    "**bold** _it_ `code`",
    "- [ ] item",
    ">>> 1 // 2",
    "\n'''doc'''",
    '"""doc"""',
    "%s %d",
    "{{name}}",
    "lambda x: x ** 2",
    "async with a as b:",
    "\\n\\t\\u00e9",
    "0b1010_1010",
    "x!=y===z",
    "a?.b ?? c",
]
SPECIALS = [
    "<|endoftext|>",
    "<|endofprompt|>",
    "<|fim_prefix|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|eot_id|>",
    "<|start_header_id|>",
    "<bos>",
    "<eos>",
    "<s>",
    "</s>",
    "[INST]",
    "[/INST]",
    "<start_of_turn>",
    "<unused5>",
    "<table>",
    "<0x0A>",
    "<|begin▁of▁sentence|>",
    "<think>",
    "</tool_call>",
    "<|reserved_200001|>",
]
WHITE = [
    *" \t\n\r\x0b\x0c\x85\xa0\u1680\u2000\u2009\u200b\u2028\u2029\u202f\u205f\u3000\ufeff\x1c\x1f",
    "\r\n",
    "  ",
    " " * 4,
    "\n\n",
]
SCRIPTS = tuple(
    int(start, 16)
    for start in [
        "20",
        "A0",
        "100",
        "180",
        "250",
        "2B0",
        "300",
        "370",
        "400",
        "530",
        "590",
        "600",
        "700",
        "900",
        "980",
        "A00",
        "B80",
        "C00",
        "E00",
        "F00",
        "1000",
        "10A0",
        "1100",
        "1200",
        "1780",
        "1E00",
        "1F00",
        "2000",
        "2070",
        "2100",
        "2150",
        "2190",
        "2200",
        "2500",
        "3000",
        "3040",
        "30A0",
        "3130",
        "4E00",
        "5F00",
        "7A00",
        "9F00",
        "A640",
        "AC00",
        "C000",
        "F900",
        "FB00",
        "FE00",
        "FF00",
        "10300",
        "10400",
        "12000",
        "1D400",
        "1E900",
        "1F000",
        "1F300",
        "1F600",
        "1F900",
        "20000",
    ]
)
EMOJI = [
    "😀",
    "👩",
    "👍🏽",
    "❤️",
    "🇩🇪",
    "🇺",
    "\u200d",
    "️",
    "🏽",
    "👨\u200d👩\u200d👧\u200d👦",
    "1️⃣",
    "🏴\U000e0067\U000e007f",
    "🚀",
    "✅",
    "™️",
]


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
        text = text[:at] + chosen.choice([*WHITE, *"'\u2019\".,;:!?-/()1aZ"]) + text[at + chosen.randrange(3) :]
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
    plain = (
        None,
        chosen.random() < 0.5,
        chosen.randrange(-(10**9), 10**12),
        chosen.random() * 1e6,
        _letters(chosen)[:30],
    )
    return plain[kind]


def _json(chosen: random.Random) -> str:
    values = {chosen.choice(WORDS): _value(chosen, 3) for _ in range(chosen.randint(1, 8))}
    return json.dumps(values, ensure_ascii=chosen.random() < 0.5, indent=chosen.choice((None, None, 1, 2, "\t")))


def _coded(chosen: random.Random) -> str:
    data = chosen.randbytes(chosen.randint(1, 300))
    ways: tuple[Callable[[bytes], bytes], ...] = (
        base64.b64encode,
        base64.urlsafe_b64encode,
        base64.b32encode,
        base64.a85encode,
    )
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
