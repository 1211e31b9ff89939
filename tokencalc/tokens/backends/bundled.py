"""splintr-rs for vocabularies that tiktoken has not: it carries them, so nothing is fetched.

A long text is cut at white space and line ends only. No token of these
vocabularies reaches across such a place (a test looks at each token), so the
parts' counts add up to the whole's whether or not a pattern splits the text first.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from tokencalc.tokens.pieces import CHARS_GOAL, words_and_lines
from tokencalc.tokens.result import Counted
from tokencalc.tokens.sums import Summing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from splintr import AnyTokenizer

VOCABULARIES: Mapping[str, str] = {
    "gemma_4": "gemma4",
    "mistral_v3": "mistral_v3",
    "llama_3": "llama3",
    "qwen_3": "qwen3",
    "deepseek_v3": "deepseek_v3",
    "kimi_k2": "kimi_k2",
}
"""The vocabularies by our names, with splintr's."""

_FOLDING, _LONG_S = "kimi_k2", "\u017f"
"""Behind an apostrophe a long s folds to the s of a contraction, by Kimi's published pattern and not always by
splintr-rs: each one may be a token more or less, so that such a text is not called exact."""

_lock = threading.Lock()
_made: dict[str, AnyTokenizer | None] = {}


def count_bundled(text: str, name: str) -> Counted:
    """Count a text of valid characters by the vocabulary of that name, which must be `available`.

    Special tokens' spellings are counted as ordinary text. Exact for that
    vocabulary, but where a text has no place to be cut for a long way: then
    modelled, with a range.
    """
    tokenizer = _made[name]
    if tokenizer is None:
        raise KeyError(name)
    encode, summing = tokenizer.encode_ordinary, Summing()

    def count(part: str) -> int:
        return len(encode(part))

    if len(text) <= CHARS_GOAL:
        summing.add(count, text)
    else:
        for piece in words_and_lines(text):
            summing.add(count, piece.text)
            summing.cut(forced=piece.forced)
    found = summing.counted()
    doubtful = text.count(_LONG_S) if name == _FOLDING else 0
    if not doubtful:
        return found
    return Counted(found.tokens, max(found.low - doubtful, 1), found.high + doubtful, "modelled")


def available(name: str) -> bool:
    """Say whether a vocabulary can be counted here, loading it on the first question (15 to 400 ms)."""
    if name not in _made:
        with _lock:
            if name not in _made:
                _made[name] = _load(name)
    return _made[name] is not None


def in_use() -> tuple[str, ...]:
    """Names of the vocabularies that this process has loaded from splintr-rs."""
    return tuple(name for name, made in _made.items() if made is not None)


def _load(name: str) -> AnyTokenizer | None:
    try:
        from splintr import Tokenizer  # noqa: PLC0415  # an extra, on first need
    except ImportError:
        return None
    try:
        return Tokenizer.from_pretrained(VOCABULARIES[name])
    except ValueError:  # a release that has it no more
        return None
