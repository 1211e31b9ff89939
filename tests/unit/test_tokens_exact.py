"""Exact counts: tiktoken's own numbers, without its network and without its panics."""

from __future__ import annotations

import base64
import hashlib
import socket
import threading
from typing import Any

import pytest

from tokencalc.errors import TextInvalid
from tokencalc.tokens import count, exact, pieces, vocabularies
from tokencalc.tokens.count import TokenCount, count_text

# Counted with tiktoken 0.14 on encodings built from OpenAI's own rank files.
KNOWN = [
    (0, 0, ""),
    (1, 1, "a"),
    (1, 1, " "),
    (1, 1, "\n"),
    (2, 2, "hello world"),
    (4, 5, "Analyze this code snippet"),
    (11, 11, "What does this cost?\n\nShow every step, please."),
    (14, 14, "def total(lines):\n    return sum(line.amount for line in lines)\n"),
    (23, 23, '{"model": "gpt-4o", "input_tokens": 1200, "cached": null}'),
    (16, 16, "- one\n- two\n\n| a | b |\n|---|---|\n"),
    (11, 20, "每个团队都想知道模型花了多少钱。"),
    (18, 23, "毎月の終わりに請求書を見て驚きます。"),
    (12, 19, "매달 말이 되면 청구서를 봅니다."),
    (7, 11, "Стоимость видна до вызова."),  # Russian
    (9, 21, "التكلفة واضحة قبل الاستدعاء."),
    (9, 26, "खर्च कॉल से पहले दिखता है।"),
    (9, 22, "ค่าใช้จ่ายมองเห็นได้ก่อน"),
    (13, 14, "À la fin du mois, l'équipe s'étonne."),
    (12, 17, "\U0001f469\u200d\U0001f467 \U0001f680\U0001f680 na\xefve caf\xe9"),
    (15, 14, "<|endoftext|> and <|im_start|>user"),
    (12, 12, "3.14159265358979 1234567890"),
    (22, 24, "aGVsbG8gd29ybGQgYWdhaW4gYW5kIGFnYWlu"),
    (7, 8, "IT'S we'll I'd THEY'RE"),
    (12, 12, "\t\tx = 1\r\n\r\n\t\ty = 2   \n"),
    (7, 8, "e\u0301 \u200b \xa0 \u3000 \x1c"),
]


@pytest.mark.parametrize(("o200k", "cl100k", "text"), KNOWN)
def test_text_has_the_count_that_tiktoken_gives_it(o200k: int, cl100k: int, text: str) -> None:
    for expected, encoding in ((o200k, "o200k_base"), (cl100k, "cl100k_base")):
        counted = count_text(text, tokenizer="openai", encoding=encoding)
        assert TokenCount(tokens=expected, method="exact", low=expected, high=expected) == counted


@pytest.mark.parametrize("name", sorted(vocabularies.SPECS))
def test_pack_rebuilds_the_published_rank_file_to_the_byte(name: str) -> None:
    tokens = vocabularies.read_tokens(name)
    raw = b"".join(b"%b %d\n" % (base64.b64encode(token), rank) for rank, token in enumerate(tokens))
    assert vocabularies.SPECS[name].sha256 == hashlib.sha256(raw).hexdigest()


@pytest.mark.parametrize("name", sorted(vocabularies.SPECS))
def test_patterns_and_special_tokens_are_those_of_the_installed_tiktoken(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    public = pytest.importorskip("tiktoken_ext.openai_public")
    monkeypatch.setattr(public, "load_tiktoken_bpe", lambda *_, **__: {})
    theirs = getattr(public, name)()
    spec = vocabularies.SPECS[name]
    assert (theirs["pat_str"], theirs["special_tokens"]) == (spec.pattern, dict(spec.special_tokens))


# By hand: o200k has a token for 128 spaces, one for 16 tabs and one for 16 line feeds; the last space or tab before a
# word belongs to the word.
WHITE = [
    (7_813, " " * 1_000_000),
    (7_815, "x" + " " * 1_000_001 + "y"),
    (75_004, "x\n" + "\t" * 1_200_000 + "!"),
    (1_250 + 7_813 + 1, "\n" * 20_000 + " " * 1_000_000 + "end"),
]


@pytest.mark.parametrize(("tokens", "text"), WHITE, ids=["spaces", "inside", "tabs", "after_lines"])
def test_white_space_that_makes_tiktoken_panic_is_counted_exactly(tokens: int, text: str) -> None:
    counted = exact.count_exact(text, "o200k_base")
    assert counted == (tokens, tokens, tokens, "exact")


@pytest.mark.parametrize("name", sorted(vocabularies.SPECS))
@pytest.mark.parametrize("unit", [" ", "\t", " \t", "\xa0", "\u3000 ", "\u2003\x0b", "\x85 "])
def test_ranks_of_white_space_alone_count_white_space_as_all_ranks_do(name: str, unit: str) -> None:
    full, white = vocabularies.encoding(name), vocabularies.white_encoding(name)
    for length in (1, 2, 3, 17, 128, 129, 1000, 4099):
        assert len(full.encode_ordinary(unit * length)) == len(white.encode_ordinary(unit * length))


@pytest.mark.parametrize("unit", ["a", "你", "!", "\n", " \n", "ab你", "👍"])
def test_text_without_a_place_to_cut_is_modelled_with_a_range_that_holds_the_true_count(
    unit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = unit * 3000
    whole = exact.count_exact(text, "o200k_base")
    monkeypatch.setattr(pieces, "CHARS_GOAL", 100)
    monkeypatch.setattr(pieces, "CHARS_MAX", 1000)
    counted = exact.count_exact(text, "o200k_base")
    assert (whole.method, counted.method) == ("exact", "modelled")
    assert counted.low <= whole.tokens <= counted.high


class _Panicking:
    """An encoding that panics on anything longer than a few characters, as a broken release could."""

    class PanicException(BaseException):  # pyo3's name
        """What a panic in Rust looks like from Python."""

    def encode_ordinary(self, text: str) -> list[int]:
        if len(text) > 3:
            raise self.PanicException("called `Result::unwrap()` on an `Err` value")
        return [0]


def test_a_panic_never_reaches_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabularies, "encoding", lambda _: _Panicking())
    counted = exact.count_exact("ten chars.", "o200k_base")
    assert (counted.tokens, counted.method) == (4, "modelled")


def test_an_interrupt_while_counting_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted:
        def encode_ordinary(self, text: str) -> list[int]:
            raise KeyboardInterrupt(text)

    monkeypatch.setattr(vocabularies, "encoding", lambda _: Interrupted())
    with pytest.raises(KeyboardInterrupt, match="stop"):
        exact.count_exact("stop", "o200k_base")


def test_fifty_megabytes_are_counted_in_pieces_of_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    line = "The quick brown fox pays 12.50 for 3 tokens;\n"
    longest = 0
    encoding = vocabularies.encoding("o200k_base")
    each = len(encoding.encode_ordinary(line))

    class Watching:
        def encode_ordinary(self, text: str) -> list[int]:
            nonlocal longest
            longest = max(longest, len(text))
            return encoding.encode_ordinary(text)

    monkeypatch.setattr(vocabularies, "encoding", lambda _: Watching())
    times = 50_000_000 // len(line)
    counted = exact.count_exact(line * times, "o200k_base")
    assert (each * times, "exact") == (counted.tokens, counted.method)
    assert longest < pieces.CHARS_GOAL + 100


@pytest.mark.parametrize("size", [1, 600, 2 * exact._CHUNK_CHARS + 1])
def test_half_a_surrogate_pair_is_found_wherever_it_stands(size: int) -> None:
    for text in ("\ud800" + "é" * size, "é" * size + "\udfff"):
        with pytest.raises(UnicodeEncodeError, match="surrogates not allowed"):
            exact.count_exact(text, "o200k_base")


def test_lone_surrogates_are_counted_as_the_replacement_character() -> None:
    counted = count_text("a\ud800b", tokenizer="openai", encoding="o200k_base")
    expected = count_text("a\ufffdb", tokenizer="openai", encoding="o200k_base")
    assert (expected.tokens, "modelled") == (counted.tokens, counted.method)


@pytest.mark.parametrize(("found", "name"), [(None, "NoneType"), (b"x", "bytes"), (7, "int"), (["x"], "list")])
def test_what_is_no_text_is_refused_by_name(found: Any, name: str) -> None:
    with pytest.raises(TextInvalid, match=f"text: expected text, found {name}") as refused:
        count_text(found, tokenizer="openai", encoding="o200k_base")
    assert refused.value.found == found


def test_text_above_the_limit_is_refused_with_both_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(count, "TEXT_CHARS_MAX", 10)
    with pytest.raises(TextInvalid, match="text: 11 characters are more than the 10") as refused:
        count_text("x" * 11, tokenizer="openai", encoding="o200k_base")
    assert (refused.value.found, refused.value.values["maximum"]) == (11, 10)


def test_counting_opens_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refused)
    monkeypatch.setattr(vocabularies, "_encodings", {})
    assert count_text("hello world", tokenizer="openai", encoding="cl100k_base").tokens == 2


def test_threads_that_start_together_share_one_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    construct = vocabularies._construct

    def counting(name: str) -> object:
        made.append(name)
        return construct(name)

    monkeypatch.setattr(vocabularies, "_encodings", {})
    monkeypatch.setattr(vocabularies, "_construct", counting)
    start = threading.Barrier(8)
    found: list[int] = []

    def work(number: int) -> None:
        start.wait(timeout=30)
        found.append(count_text(f"thread {number} counts", tokenizer="openai", encoding="cl100k_base").tokens)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert (found, made) == ([4] * 8, ["cl100k_base"])
    assert vocabularies.loaded() == ("cl100k_base",)


@pytest.mark.parametrize(
    ("tokenizer", "encoding", "verified", "method"),
    [
        ("openai", "o200k_base", True, "exact"),
        ("openai", "o200k_base", False, "estimated"),
        ("openai", None, True, "estimated"),
        ("openai", "p50k_base", True, "estimated"),
        ("gpt_oss", None, True, "exact"),
        ("claude", None, True, "estimated"),
        (None, None, True, "estimated"),
        ("a family of tomorrow", None, True, "estimated"),
    ],
)
def test_method_says_how_sure_the_count_is(
    tokenizer: str | None, encoding: str | None, *, verified: bool, method: str
) -> None:
    counted = count_text("How sure is this count?", tokenizer=tokenizer, encoding=encoding, verified=verified)
    assert method == counted.method
    assert (counted.low == counted.high) is (method == "exact")
    assert counted.low <= counted.tokens <= counted.high
