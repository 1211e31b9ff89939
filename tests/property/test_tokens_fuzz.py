"""A part of the fuzz of counting; the whole is ``make fuzz``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.property import fuzz_tokens
from tests.property.fuzz_texts import text_of
from tokencalc.tokens.backends import fast

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXTS = 1_200

pytestmark = pytest.mark.extras


@pytest.fixture(scope="module")
def compared() -> Iterator[list[fuzz_tokens.Pair]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fast, "_made", {})
        yield fuzz_tokens.run(TEXTS, seed=7)


def test_every_back_end_that_says_exact_has_the_count_of_its_reference(compared: list[fuzz_tokens.Pair]) -> None:
    assert {("tiktoken", "o200k_base"), ("tiktoken", "cl100k_base")} <= {
        (pair.backend, pair.vocabulary) for pair in compared
    }
    assert [pair.line() for pair in compared if pair.differing] == []
    # Kimi's texts with a long s are not called exact, and a test of their own says so.
    assert {pair.vocabulary for pair in compared if pair.inexact} <= {"kimi_k2"}


@pytest.mark.parametrize(("vocabularies", "backend"), [(2, "fastokens"), (6, "splintr-rs")])
def test_the_fuzz_compares_each_vocabulary_of_the_extras(
    vocabularies: int, backend: str, compared: list[fuzz_tokens.Pair]
) -> None:
    found = [pair for pair in compared if pair.backend == backend]
    if not found:
        pytest.skip(f"{backend} is not installed; pip install -e '.[exact,fast]' has it")
    assert vocabularies == len(found)


def test_texts_of_the_fuzz_are_the_same_on_every_machine_and_of_every_kind() -> None:
    texts = [text_of(1, number) for number in range(600)]
    assert texts == [text_of(1, number) for number in range(600)]
    assert any(len(text) > fast.PIECE_BYTES_MAX for text in texts)
    for part in ("<|endoftext|>", "\U0001f1e9", '{"', "    ", "\u4e00", "don't"):
        assert any(part in text for text in texts), part
