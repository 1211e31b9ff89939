"""Counts by a public encoding: tiktoken's number, for any text, without its panics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokencalc.tokens import vocabularies
from tokencalc.tokens.pieces import CHARS_GOAL, pieces
from tokencalc.tokens.result import Counted

if TYPE_CHECKING:
    from tiktoken.core import Encoding

    from tokencalc.tokens.pieces import Piece

FORCED_CUT_TOKENS = 64
"""Allowed each way for a cut inside one part; the largest difference that we measured is below a quarter of it."""


def count_exact(text: str, name: str) -> Counted:
    """Count a text of valid characters by the encoding of that name.

    Spellings of special tokens are counted as the ordinary text that they are in
    a user's mouth. Exact, but where one part of the text is so long that it had
    to be cut by force: then modelled, with a range.
    """
    encoding = vocabularies.encoding(name)
    if len(text) <= CHARS_GOAL:
        tokens = _count(encoding, text)
        if tokens is not None:
            return Counted(tokens, tokens, tokens, "exact")
    total, cuts = 0, 0
    for piece in pieces(text):
        tokens, inexact = _count_piece(encoding, name, piece)
        total += tokens
        cuts += inexact
    slack = cuts * FORCED_CUT_TOKENS
    return Counted(total, max(total - slack, 0), total + slack, "modelled" if cuts else "exact")


def _count_piece(encoding: Encoding, name: str, piece: Piece) -> tuple[int, int]:
    """Return the tokens of a piece, and how many inexact cuts are in them."""
    chosen = vocabularies.white_encoding(name) if piece.white else encoding
    tokens = _count(chosen, piece.text)
    if tokens is not None:
        return tokens, int(piece.forced)
    return _count_halves(encoding, piece.text)


def _count_halves(encoding: Encoding, text: str) -> tuple[int, int]:
    """Count a text that tiktoken cannot take in one go, by halves."""
    middle = len(text) // 2
    if not middle:
        return len(text.encode()), 1
    total, cuts = 0, 1
    for half in (text[:middle], text[middle:]):
        tokens = _count(encoding, half)
        found, inexact = (tokens, 0) if tokens is not None else _count_halves(encoding, half)
        total += found
        cuts += inexact
    return total, cuts


def _count(encoding: Encoding, text: str) -> int | None:
    """Return the count, or None where tiktoken panics."""
    try:
        return len(encoding.encode_ordinary(text))
    except BaseException as error:  # bulk: a panic in Rust arrives as a BaseException that no module exports
        if type(error).__name__ != "PanicException":
            raise
        return None
