"""The store of counts: bounded, shared, and keyed by the whole text."""

from __future__ import annotations

import sys
import threading

import pytest

from tokencalc.tokens.cache import CHARS_MIN, CountCache, text_key
from tokencalc.tokens.count import cache_info, count_text
from tokencalc.tokens.result import CacheInfo, Counted

LONG = "x" * CHARS_MIN


def _length(text: str, _: str) -> Counted:
    return Counted(len(text), len(text), len(text), "exact")


def test_same_text_is_counted_once_and_each_counter_has_its_own_count() -> None:
    counts = CountCache()
    for counter in ("o200k_base", "o200k_base", "claude"):
        assert counts.get_or_count(LONG, counter, _length, "") == _length(LONG, "")
    assert CacheInfo(hits=1, misses=2, size=2) == counts.info()


def test_short_texts_are_counted_anew_because_hashing_them_is_dearer() -> None:
    counts = CountCache()
    counts.get_or_count(LONG[1:], "o200k_base", _length, "")
    assert CacheInfo(hits=0, misses=0, size=0) == counts.info()


def test_store_forgets_the_least_recently_used_at_its_bound() -> None:
    counts = CountCache(counts_max=2)
    for text in ("a", "b", "a", "c", "a", "b"):
        counts.get_or_count(text * CHARS_MIN, "o200k_base", _length, "")
    assert CacheInfo(hits=2, misses=4, size=2) == counts.info()


def test_texts_that_differ_in_one_character_have_their_own_counts() -> None:
    keys = {text_key(text) for text in ("x" * 9999 + "a", "x" * 9999 + "b", "x" * 9999, "a" + "x" * 9999, "x" * 10_000)}
    assert len(keys) == 5


def test_a_text_that_answers_its_own_hash_and_equality_is_keyed_by_its_characters() -> None:
    class Odd(str):
        __slots__ = ()

        def __hash__(self) -> int:
            return 1

    assert text_key(Odd("x" * 600)) == text_key("x" * 600)
    assert text_key(Odd("x" * 600)) != text_key(Odd("y" * 600))


def test_what_counting_raises_is_raised_and_nothing_is_kept() -> None:
    def refuse(text: str, _: str) -> Counted:
        raise UnicodeEncodeError("utf-8", text, 0, 1, "surrogates not allowed")

    counts = CountCache()
    for text in ("\ud800", "\ud800" * CHARS_MIN):
        with pytest.raises(UnicodeEncodeError, match="surrogates not allowed"):
            counts.get_or_count(text, "o200k_base", refuse, "")
    assert counts.info().size == 0


def test_no_text_stays_in_the_store() -> None:
    text = str(list(range(100)))
    count_text(text, tokenizer="openai", encoding="o200k_base")
    # Only this function's name and the call's argument still hold it.
    assert sys.getrefcount(text) == 2


def test_hits_and_misses_are_visible() -> None:
    before = cache_info()
    for _ in range(3):
        count_text("a text of its own for this test, counted three times. " * 50, tokenizer="claude", encoding=None)
    after = cache_info()
    assert (after.hits - before.hits, after.misses - before.misses) == (2, 1)


def test_threads_share_the_store_without_losing_a_lookup() -> None:
    counts = CountCache(counts_max=16)

    def work() -> None:
        for number in range(200):
            counts.get_or_count(f"{number % 20:04}" * CHARS_MIN, "o200k_base", _length, "")

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    info = counts.info()
    assert (info.hits + info.misses, info.size) == (1200, 16)
