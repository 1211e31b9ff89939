"""Counts by a public encoding: tiktoken's number, for any text, without its panics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokencalc.tokens import pieces, vocabularies
from tokencalc.tokens.backends.fast import fast_encoding, piece_chars, piece_chars_max
from tokencalc.tokens.result import Counted
from tokencalc.tokens.sums import Summing, count_or_none

if TYPE_CHECKING:
    from collections.abc import Callable

    from tiktoken.core import Encoding


def count_exact(text: str, name: str) -> Counted:
    """Count a text of valid characters by the encoding of that name.

    Spellings of special tokens are counted as the ordinary text that they are in
    a user's mouth. Exact, but where one part of the text is so long that it had
    to be cut by force: then modelled, with a range.
    """
    fast = fast_encoding(name, text)
    goal = pieces.CHARS_GOAL if fast is None else piece_chars(text)
    if len(text) <= goal:
        tokens = count_or_none(_counter(vocabularies.encoding(name)) if fast is None else fast.count, text)
        if tokens is not None:
            return Counted(tokens, tokens, tokens, "exact")
    return _in_pieces(text, name, goal, None if fast is None else fast.count)


def _in_pieces(text: str, name: str, goal: int, quick: Callable[[str], int] | None) -> Counted:
    """Count a long text, by ``quick`` where there is one, and what that must not have by tiktoken."""
    plain, summing, quick_max = _counter(vocabularies.encoding(name)), Summing(), piece_chars_max(text)
    for piece in pieces.pieces(text, goal):
        count = plain
        if piece.white:
            count = _counter(vocabularies.white_encoding(name))
        elif quick is not None and len(piece.text) <= quick_max:
            count = quick
        summing.add(count, piece.text, forced=piece.forced)
    return summing.counted()


def _counter(encoding: Encoding) -> Callable[[str], int]:
    encode = encoding.encode_ordinary
    return lambda text: len(encode(text))
