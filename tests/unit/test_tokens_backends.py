"""Other libraries that count: when they are asked, when they are not trusted, and what a count then says of itself."""

from __future__ import annotations

import re
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tokencalc.counting import count
from tokencalc.pricing.catalog import Catalog
from tokencalc.tokens import exact, vocabularies
from tokencalc.tokens.backends import bundled, families, fast
from tokencalc.tokens.backends.installed import backends
from tokencalc.tokens.count import TokenCount, cache_info, count_text
from tokencalc.tokens.factors import FAMILIES
from tokencalc.tokens.pieces import CHARS_MAX, _word_cut, small_chars, small_pieces
from tokencalc.tokens.result import Counted

VERSIONS = {backend.name: backend.version for backend in backends()}
needs_fastokens = pytest.mark.skipif(VERSIONS["fastokens"] is None, reason="the extra fast is not installed: fastokens")
needs_splintr = pytest.mark.skipif(
    VERSIONS["splintr-rs"] is None, reason="the extra exact is not installed: splintr-rs"
)
NAME = "cl100k_base"
CURATED = ("openai", "anthropic", "google", "groq", "mistral")


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what this process has counted and made."""
    monkeypatch.setattr(fast, "_made", {})
    monkeypatch.setattr(fast, "_counted_chars", {})


class Fake:
    """Stands where fastokens' tokenizer would."""

    made = 0

    @classmethod
    def from_tiktoken(cls, path: str, **_: object) -> Fake:
        """Take the ranks of a file."""
        cls.made += 1
        assert Path(path).stat().st_size == 1_681_126
        return cls()

    def encode_batch_flat(self, texts: list[str]) -> tuple[bytes, bytes]:
        """Return four bytes for each token."""
        return bytes(4 * self.count(texts[0])), b""

    def count(self, text: str) -> int:
        """Count as tiktoken does."""
        return len(vocabularies.encoding(NAME).encode_ordinary(text))


class Wrong(Fake):
    """Counts an apostrophe once too often."""

    def count(self, text: str) -> int:
        """Count one more."""
        return super().count(text) + ("'" in text)


class Broken(Fake):
    """Cannot read ranks any more."""

    @classmethod
    def from_tiktoken(cls, path: str, **_: object) -> Fake:
        """Refuse every file."""
        raise ValueError(f"cannot read {path}")


def _install(monkeypatch: pytest.MonkeyPatch, tokenizer: type[Fake] | None) -> None:
    module: Any = ModuleType("fastokens")
    module.Tokenizer = tokenizer
    monkeypatch.setitem(sys.modules, "fastokens", None if tokenizer is None else module)


@pytest.mark.usefixtures("fresh")
def test_fastokens_is_made_once_when_a_process_has_counted_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    _install(monkeypatch, Fake)
    monkeypatch.setattr(Fake, "made", 0)
    monkeypatch.setattr(fast, "WORTH_CHARS", 10)
    for expected, text in ((0, "five!"), (0, "x" * 40), (1, "a"), (1, "b" * 99)):
        assert exact.count_exact(text, NAME).method == "exact"
        assert expected == Fake.made
    assert fast.in_use() == (NAME,)


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize("tokenizer", [None, Wrong, Broken], ids=["absent", "wrong", "broken"])
def test_without_a_fastokens_that_counts_as_tiktoken_does_tiktoken_counts(
    tokenizer: type[Fake] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    _install(monkeypatch, tokenizer)
    assert not fast.check(NAME)
    assert Counted(2, 2, 2, "exact") == exact.count_exact("it's", NAME)
    assert (fast.in_use(), fast.refused()) == ((), (NAME,))


@pytest.mark.usefixtures("fresh")
def test_who_comes_while_fastokens_is_made_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    entered, leave = threading.Event(), threading.Event()

    def slow(_: str) -> None:
        entered.set()
        leave.wait(timeout=30)

    monkeypatch.setattr(fast, "_make", slow)
    monkeypatch.setattr(fast, "_counted_chars", {NAME: fast.WORTH_CHARS})
    maker = threading.Thread(target=fast.fast_encoding, args=(NAME, "first"))
    maker.start()
    assert entered.wait(timeout=30)
    assert fast.fast_encoding(NAME, "second") is None
    leave.set()
    maker.join(timeout=30)
    assert fast._made == {NAME: None}


def test_a_panic_in_fastokens_is_counted_by_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    class PanicException(BaseException):  # pyo3's name
        """What a panic in Rust looks like from Python."""

    class Panicking(Fake):
        def count(self, text: str) -> int:
            if len(text) > 4:
                raise PanicException("called `Option::unwrap()` on a `None` value")
            return super().count(text)

    made: Any = fast.FastEncoding(Panicking())
    monkeypatch.setattr(fast, "_made", {NAME: made})
    counted = exact.count_exact("ten chars.", NAME)
    assert counted.method == "modelled"
    assert counted.low <= 3 <= counted.high


@pytest.mark.parametrize("character", ["a", "é", "ÿ", "Ā", "你", "\uffff", "\U00010000", "\U0010ffff"])
def test_small_pieces_have_no_more_bytes_than_they_may(character: str) -> None:
    for text in (character * 300, f"{character} " * 150, "plain words " * 20 + character):
        for times in (1, 7):
            for piece in small_pieces(text * times, 240):
                found = len(piece.text.encode())
                assert found <= 240 or len(piece.text) > small_chars(piece.text, 240)
        assert text == "".join(piece.text for piece in small_pieces(text, 240))


@needs_fastokens
@pytest.mark.extras
@pytest.mark.parametrize("text", ["word " * 60_000, "ภาษาไทย " * 30_000, "ก" * 100_000, "a" * 300_000], ids=len)
def test_fastokens_counts_long_texts_as_tiktoken_does_and_starts_no_thread(text: str) -> None:
    assert fast.check(NAME)
    before = _threads()
    assert len(vocabularies.encoding(NAME).encode_ordinary(text)) == exact.count_exact(text, NAME).tokens
    assert before == _threads()


def _threads() -> int:
    tasks = Path("/proc/self/task")
    return len(list(tasks.iterdir())) if tasks.exists() else threading.active_count()


@needs_fastokens
@pytest.mark.extras
def test_half_a_surrogate_pair_is_the_replacement_character_for_fastokens_too() -> None:
    assert fast.check(NAME)
    for text in ("a\ud800b", "x" * 600 + "\udc00"):
        counted = count_text(text, tokenizer="openai", encoding=NAME)
        expected = count_text(re.sub("[\ud800-\udfff]", "\ufffd", text), tokenizer="openai", encoding=NAME)
        assert (expected.tokens, "modelled") == (counted.tokens, counted.method)


def test_every_family_that_splintr_counts_has_factors_for_where_it_is_absent() -> None:
    assert set(families.OWN) <= set(FAMILIES)
    assert {own.name for own in families.OWN.values()} == set(bundled.VOCABULARIES)


@pytest.mark.parametrize("family", sorted(families.OWN))
def test_without_splintr_factors_count_and_say_so(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundled, "_made", {})
    monkeypatch.setitem(sys.modules, "splintr", None)
    assert count_text("How sure is this?", tokenizer=family, encoding=None).method == "estimated"
    assert bundled.in_use() == ()


def test_every_vocabulary_that_a_models_facts_name_is_one_that_we_know() -> None:
    facts = [facts for name in CURATED for facts in Catalog.packaged().models(name)]
    known = {*vocabularies.SPECS, *bundled.VOCABULARIES}
    assert {one.encoding for one in facts} - {None} <= known
    # A family's verified vocabulary is its own, else the estimate would be of another one.
    for one in facts:
        if one.encoding in bundled.VOCABULARIES:
            assert (families.OWN[one.tokenizer or ""].name, True) == (one.encoding, one.encoding_verified), one.model


# Counted by each provider's own public vocabulary.
KNOWN = [
    ("modelled", 13, "gemini", None, "Analyze this code snippet: 2026年の請求書"),
    ("exact", 16, "mistral", None, "Analyze this code snippet: 2026年の請求書"),
    ("exact", 13, "llama", None, "Analyze this code snippet: 2026年の請求書"),
    ("exact", 14, "qwen", "qwen_3", "Analyze this code snippet: 2026年の請求書"),
    ("exact", 12, "deepseek", None, "Analyze this code snippet: 2026年の請求書"),
    ("exact", 13, "kimi", None, "Analyze this code snippet: 2026年の請求書"),
]


@needs_splintr
@pytest.mark.extras
@pytest.mark.parametrize(("method", "tokens", "family", "encoding", "text"), KNOWN)
def test_with_splintr_a_familys_own_vocabulary_counts(
    method: Any, tokens: int, family: str, encoding: str | None, text: str
) -> None:
    counted = count_text(text, tokenizer=family, encoding=encoding)
    assert TokenCount(tokens=tokens, method=method, low=tokens, high=tokens) == counted


@needs_splintr
@pytest.mark.extras
@pytest.mark.parametrize(("family", "encoding"), [("gemini", None), ("llama", "llama_3"), (None, "mistral_v3")])
def test_a_model_that_nobody_has_compared_is_estimated_with_a_range(family: str | None, encoding: str | None) -> None:
    counted = count_text("How sure is this count?", tokenizer=family, encoding=encoding, verified=False)
    assert counted.method == "estimated"
    assert counted.low < counted.tokens < counted.high


@needs_splintr
@pytest.mark.extras
@pytest.mark.parametrize(
    ("method", "model"),
    [
        ("exact", "mistral-large-2512"),
        ("exact", "mistral-small-2506"),
        ("exact", "moonshotai/kimi-k2-instruct"),
        ("exact", "qwen/qwen3-32b"),
        ("estimated", "mistral-medium-3-1"),
        ("estimated", "mistral-medium-latest"),
        ("estimated", "magistral-medium"),
    ],
)
def test_only_a_published_vocabulary_or_agreeing_bills_make_a_count_exact(method: str, model: str) -> None:
    assert method == count(model, "How sure is this count?").method


@needs_splintr
@pytest.mark.extras
def test_a_vocabulary_that_is_not_here_is_never_replaced_by_the_familys() -> None:
    assert families.own_vocabulary("llama", "llama_4") is None
    assert families.own_vocabulary("llama", None) == "llama_3"


@needs_splintr
@pytest.mark.extras
@pytest.mark.parametrize("name", sorted(bundled.VOCABULARIES))
def test_no_token_of_a_vocabulary_reaches_across_a_place_where_we_cut(name: str) -> None:
    assert bundled.available(name)
    tokenizer: Any = bundled._made[name]
    special = set(tokenizer.special_tokens().values())
    reaching = []
    for number in range(tokenizer.vocab_size):
        if number in special:
            continue
        try:
            # Gemma writes a space as a low line of its own.
            token = tokenizer.decode_token_bytes(number).decode("utf-8", "replace").replace("\u2581", " ")
        except ValueError:  # a gap in the numbers
            continue
        if any(0 < cut.start() < len(token) for cut in _word_cut().finditer(token)):
            reaching.append(token)
    assert reaching == []


@needs_splintr
@pytest.mark.extras
@pytest.mark.parametrize("name", sorted(bundled.VOCABULARIES))
@pytest.mark.parametrize("unit", ["a", "你", " ", "\n", "!", "ab你", "👍", "=-"])
def test_text_without_a_place_to_cut_is_modelled_with_a_range_that_holds(
    unit: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bundled.available(name)
    text = unit * 3000
    whole = bundled.count_bundled(text, name)
    for setting, size in (("CHARS_GOAL", 100), ("CHARS_MAX", 1000)):
        monkeypatch.setattr(f"tokencalc.tokens.pieces.{setting}", size)
    monkeypatch.setattr(bundled, "CHARS_GOAL", 100)
    counted = bundled.count_bundled(text, name)
    assert (whole.method, counted.method) == ("exact", "modelled")
    assert counted.low <= whole.tokens <= counted.high


@needs_splintr
@pytest.mark.extras
def test_long_text_is_counted_in_pieces_and_kept_by_its_vocabulary() -> None:
    line = "The quick brown fox pays 12.50 for 3 tokens; 日本語も。\n"
    before = cache_info()
    for family in ("gemini", "mistral", "gemini"):
        counted = count_text(line * 20_000, tokenizer=family, encoding=None)
        each = count_text(line, tokenizer=family, encoding=None)
        assert each.tokens * 20_000 == counted.tokens
    after = cache_info()
    assert (after.hits - before.hits, after.misses - before.misses) == (1, 2)
    assert len(line) * 20_000 < CHARS_MAX


def test_installed_names_each_library_with_what_it_counts() -> None:
    plain, quick, other = backends()
    assert (plain.name, plain.extra, plain.vocabularies) == ("tiktoken", "", ("o200k_base", "cl100k_base"))
    assert ("fastokens", "fast", plain.vocabularies) == (quick.name, quick.extra, quick.vocabularies)
    assert ("splintr-rs", "exact", tuple(bundled.VOCABULARIES)) == (other.name, other.extra, other.vocabularies)
    assert plain.version is not None


@needs_fastokens
@pytest.mark.extras
@pytest.mark.parametrize("text", ["一'\u017f'LLe", "\u0301'\u017f'LLa", "it'\u017f", "x" * 70_000 + " '\u017f'LLe" * 3])
@pytest.mark.parametrize("name", sorted(vocabularies.SPECS))
def test_a_long_s_counts_the_same_before_and_after_fastokens_comes_in(name: str, text: str) -> None:
    assert fast.check(name)
    for times in (1, 100):
        expected = len(vocabularies.encoding(name).encode_ordinary(text * times))
        assert (expected, "exact") == (exact.count_exact(text * times, name).tokens, "exact")


@needs_splintr
@pytest.mark.extras
@pytest.mark.parametrize(("method", "text"), [("modelled", "'\u017f'LLe"), ("exact", "'s'LLe")])
def test_a_long_s_keeps_kimi_from_calling_a_count_exact(method: str, text: str) -> None:
    assert bundled.available("kimi_k2")
    found = bundled.count_bundled(text, "kimi_k2")
    assert found.method == method
    assert found.low <= found.tokens <= found.high
    assert (found.low < found.high) == (method == "modelled")
