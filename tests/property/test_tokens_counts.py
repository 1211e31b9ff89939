"""What holds for any text and any messages."""

from __future__ import annotations

import random
from functools import partial

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tokencalc.errors import TextInvalid
from tokencalc.tokens import pieces, vocabularies
from tokencalc.tokens.approximate import count_approximate
from tokencalc.tokens.count import count_messages, count_text
from tokencalc.tokens.exact import count_exact
from tokencalc.tokens.factors import FAMILIES
from tokencalc.tokens.result import TokenCount
from tokencalc.tokens.runs import runs

# What the splitting patterns treat in their own way, and what Python and Rust name differently.
PARTS = [
    "a",
    "b",
    "Z",
    "é",
    "e\u0301",
    "你",
    "好",
    "。",
    "\uff0c",
    "、",
    "1",
    "23",
    "½",
    "Ⅷ",
    "٣",
    " ",
    "  ",
    "\n",
    "\r\n",
]
PARTS += ["\t", "/", "//", "'", "'s", "'LL", "!", "...", "—", "\x1c", "\u3000", "\xa0", "\u200b", "😀", "क", "ी"]
PARTS += ["\u0301", "_", "<|endoftext|>", "(", "\u017f", "İ", "\u3007", "一", "ー", "々", "ª", "ʰ", "한", "\u1680"]
PARTS += ["\x85", "\u2028", "\x0b", "'d", "\u2019s", "foo", " bar", "{", '"', "=", "0x1f", "\x00", "\ufeff", "\ufffd"]
PARTS += ["don't", " I don't know", "I'm", "};", "!\n/", "!\n/usr", "a\n/", "x'll", "/\n", "1'd"]
ENCODINGS = sorted(vocabularies.SPECS)

texts = st.one_of(
    st.text(max_size=60), st.lists(st.sampled_from(PARTS), max_size=40).map("".join), st.text(PARTS[0:1], max_size=300)
)


def _plain(text: str, name: str) -> int:
    return len(vocabularies.encoding(name).encode_ordinary(text))


@given(text=texts)
@example(text="I don't know")
@example(text="we'll, they've, I'd")
@example(text="!\n/usr")
@example(text="};\n/* x */")
@pytest.mark.parametrize("name", ENCODINGS)
def test_any_place_where_we_cut_leaves_the_count_as_it_was(name: str, text: str) -> None:
    whole = _plain(text, name)
    for cut in pieces._cut().finditer(text):
        assert whole == _plain(text[: cut.start()], name) + _plain(text[cut.start() :], name)


@given(text=texts.map(lambda text: text * 20))
@example(text="word " * 200)
@example(text="\n\n\t  x" * 100)
@example(text=" " * 3000)
@example(text="x" + " " * 500 + "\n" + " " * 500 + "y")
@example(text="   \r\n \r\n  z" * 60)
@pytest.mark.parametrize("name", ENCODINGS)
def test_counting_in_pieces_is_counting_the_whole(name: str, text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "CHARS_GOAL", 16)
        patch.setattr(pieces, "CHARS_MAX", 10_000)
        parts = list(pieces.pieces(text))
        counted = count_exact(text, name)
    assert text == "".join(part.text for part in parts)
    assert not any(part.forced for part in parts)
    assert (_plain(text, name), "exact") == (counted.tokens, counted.method)


@given(before=texts, after=texts, size=st.integers(30, 200), white=st.sampled_from([" ", "\t", " \t", "\xa0 "]))
@pytest.mark.parametrize("name", ENCODINGS)
def test_long_runs_of_white_space_are_taken_out_without_changing_the_count(
    name: str, before: str, after: str, size: int, white: str
) -> None:
    text = f"{before}{white * size}{after}"
    parts = list(_without_long_white(text))
    total = sum(len((vocabularies.white_encoding if white else vocabularies.encoding)(name).encode_ordinary(part))
                for part, white in parts)  # fmt: skip
    assert text == "".join(part for part, _ in parts)
    assert _plain(text, name) == total


def _without_long_white(text: str) -> list[tuple[str, bool]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "WHITE_MAX", 20)
        return [(part.text, part.white) for part in pieces._without_long_white(text, forced=False)]


def _generated(seed: int) -> str:
    chosen = random.Random(seed)  # noqa: S311  # the same texts on every machine
    kind = seed % 4
    if kind == 0:
        return "".join(chosen.choices(PARTS, k=chosen.randint(1, 200)))
    if kind == 1:
        start = chosen.choice([0x20, 0x400, 0x600, 0x900, 0xE00, 0x3040, 0x4E00, 0xAC00, 0x1F300])
        return "".join(chr(start + chosen.randrange(96)) for _ in range(chosen.randint(1, 300)))
    if kind == 2:
        return chosen.randbytes(chosen.randint(1, 200)).hex(chosen.choice("-_ \n"), chosen.randint(1, 9))
    return "".join(map(chr, (chosen.randrange(0xD800) for _ in range(chosen.randint(1, 200)))))


@pytest.mark.parametrize("name", ENCODINGS)
def test_hundreds_of_texts_of_many_scripts_have_tiktokens_own_count(name: str) -> None:
    differing = []
    for seed in range(400):
        text = _generated(seed)
        counted = count_text(text, tokenizer="openai", encoding=name)
        if (_plain(text, name), "exact") != (counted.tokens, counted.method):
            differing.append((seed, text[:40]))
    assert differing == []


@given(text=st.one_of(texts, st.text(st.characters(), max_size=50)), family=st.sampled_from([*FAMILIES, "unknown"]))
def test_estimates_lie_in_their_range_and_runs_are_the_text(text: str, family: str) -> None:
    assert text == "".join(run.text for run in runs(text))
    counted = count_approximate(text, family)
    assert 0 <= counted.low <= counted.tokens <= counted.high
    assert (counted.tokens == 0) is (text == "")


@given(text=st.text(st.characters(codec=None), max_size=80))
@example(text="\ud83d\ude00 \udfff")
def test_any_text_at_all_has_a_count(text: str) -> None:
    for tokenizer in ("openai", "claude", None):
        counted = count_text(text, tokenizer=tokenizer, encoding="o200k_base")
        assert counted.low <= counted.tokens <= counted.high


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.binary(max_size=4)
keys = st.sampled_from(
    [
        "role",
        "content",
        "type",
        "text",
        "parts",
        "tool_calls",
        "function",
        "name",
        "arguments",
        "input",
        "output",
        "functionCall",
        "functionResponse",
        "response",
        "args",
        "messages",
        "contents",
        "system",
        "image_url",
        "refusal",
    ]
)
values = st.recursive(
    scalars
    | st.sampled_from(["user", "assistant", "tool", "text", "tool_use", "tool_result", "function_call", "thinking"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=5) | st.tuples(inner),
    max_leaves=20,
)


@given(messages=values | st.lists(st.dictionaries(keys, values, max_size=5), min_size=1, max_size=4))
@pytest.mark.parametrize("tokenizer", ["openai", "claude", "gemini"])
def test_messages_of_odd_shapes_are_counted_or_refused_and_never_a_silent_zero(
    tokenizer: str, messages: object
) -> None:
    count = partial(count_messages, tokenizer=tokenizer, encoding="o200k_base", model="m")
    try:
        counted = count(messages)  # type: ignore[arg-type]
    except TextInvalid:
        return
    assert isinstance(counted, TokenCount)
    assert 0 <= counted.low <= counted.tokens <= counted.high
    assert counted.tokens > 0 or counted.unaccounted
