"""Counts by a public encoding: tiktoken's number, for any text, without its panics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokencalc.tokens import pieces, vocabularies
from tokencalc.tokens.backends.fast import PIECE_BYTES_MAX, fast_encoding
from tokencalc.tokens.pieces import small_chars
from tokencalc.tokens.result import Counted
from tokencalc.tokens.sums import Summing, count_or_none

if TYPE_CHECKING:
    from collections.abc import Callable

    from tiktoken.core import Encoding

    from tokencalc.tokens.backends.fast import FastEncoding


_CHUNK_CHARS = 1 << 20

_LONG_S = "\u017f"
"""A long s, the one character that is no letter of a contraction and folds to one: behind an apostrophe tiktoken takes
it for an s, and fastokens does not."""


def count_exact(text: str, name: str) -> Counted:
    """Count a text of valid characters by the encoding of that name.

    Spellings of special tokens are counted as the ordinary text that they are in
    a user's mouth. Exact, but where one part of the text is so long that it had
    to be cut by force: then modelled, with a range. Raises UnicodeEncodeError for
    a text with half a surrogate pair, which is no character.
    """
    fast = fast_encoding(name, text)
    if fast is not None and _LONG_S not in text:
        return _count_fast(fast, text, name)
    # tiktoken counts another character in its place and does not say so.
    _check_characters(text)
    if len(text) <= pieces.CHARS_GOAL:
        tokens = count_or_none(_counter(vocabularies.encoding(name)), text)
        if tokens is not None:
            return Counted(tokens, tokens, tokens, "exact")
    summing = Summing()
    _add_in_pieces(summing, text, name)
    return summing.counted()


def _count_fast(fast: FastEncoding, text: str, name: str) -> Counted:
    """Count by fastokens, and by tiktoken what has no place to be cut for longer than fastokens is to have."""
    if len(text) <= small_chars(text, PIECE_BYTES_MAX):
        tokens = count_or_none(fast.count, text)
        if tokens is not None:
            return Counted(tokens, tokens, tokens, "exact")
    summing = Summing()
    for piece in pieces.small_pieces(text, PIECE_BYTES_MAX):
        if len(piece.text) <= small_chars(piece.text, PIECE_BYTES_MAX):
            summing.add(fast.count, piece.text)
        else:
            _check_characters(piece.text)
            _add_in_pieces(summing, piece.text, name)
            summing.cut(forced=piece.forced)
    return summing.counted()


def _add_in_pieces(summing: Summing, text: str, name: str) -> None:
    plain = _counter(vocabularies.encoding(name))
    for piece in pieces.pieces(text):
        summing.add(_counter(vocabularies.white_encoding(name)) if piece.white else plain, piece.text)
        summing.cut(forced=piece.forced)


def _counter(encoding: Encoding) -> Callable[[str], int]:
    encode = encoding.encode_ordinary
    return lambda text: len(encode(text))


def _check_characters(text: str) -> None:
    if text.isascii():
        return
    if len(text) <= _CHUNK_CHARS:
        text.encode()
        return
    for start in range(0, len(text), _CHUNK_CHARS):
        text[start : start + _CHUNK_CHARS].encode()
