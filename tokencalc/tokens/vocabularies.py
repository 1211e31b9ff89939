"""OpenAI's public vocabularies from our own packed files to ``tiktoken.Encoding``, without a network.

tiktoken ships no vocabulary and downloads one on first use; we carry the ranks
(see NOTICE) and hand them to its constructor. Constructing costs 0.1 to 0.2 s
once for each encoding, most of it inside tiktoken, so it happens on first use.
"""

from __future__ import annotations

import struct
import threading
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tiktoken.core import Encoding

if TYPE_CHECKING:
    from collections.abc import Mapping

VOCABULARIES = Path(__file__).parent / "vocabularies"
"""Where the packed files are."""

_O200K_ALTERNATIVES = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"\p{N}{1,3}",
    r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
    r"\s*[\r\n]+",
    r"\s+(?!\S)",
    r"\s+",
)
_CL100K_ALTERNATIVES = (
    r"'(?i:[sdmt]|ll|ve|re)",
    r"[^\r\n\p{L}\p{N}]?+\p{L}++",
    r"\p{N}{1,3}+",
    r" ?[^\s\p{L}\p{N}]++[\r\n]*+",
    r"\s++$",
    r"\s*[\r\n]",
    r"\s+(?!\S)",
    r"\s",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class VocabularySpec:
    """What is known of one vocabulary: its size, its published file's sha256, its splitting pattern and specials."""

    tokens: int
    sha256: str
    pattern: str
    special_tokens: Mapping[str, int]


SPECS: Mapping[str, VocabularySpec] = {
    "o200k_base": VocabularySpec(
        tokens=199_998,
        sha256="446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
        pattern="|".join(_O200K_ALTERNATIVES),
        special_tokens={"<|endoftext|>": 199_999, "<|endofprompt|>": 200_018},
    ),
    "cl100k_base": VocabularySpec(
        tokens=100_256,
        sha256="223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
        pattern="|".join(_CL100K_ALTERNATIVES),
        special_tokens={
            "<|endoftext|>": 100_257,
            "<|fim_prefix|>": 100_258,
            "<|fim_middle|>": 100_259,
            "<|fim_suffix|>": 100_260,
            "<|endofprompt|>": 100_276,
        },
    ),
}
"""The encodings that we can count exactly, by tiktoken's names."""

_lock = threading.Lock()
_encodings: dict[str, Encoding] = {}
_white_encodings: dict[str, Encoding] = {}

_WHITE = "".join(map(chr, (*range(9, 14), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B))))
_WHITE_BYTES = frozenset((_WHITE + "\u2028\u2029\u202f\u205f\u3000").encode())


def read_tokens(name: str) -> tuple[bytes, ...]:
    """Return the tokens of a packed vocabulary in rank order."""
    count = SPECS[name].tokens
    data = zlib.decompress((VOCABULARIES / f"{name}.bin").read_bytes())
    # One struct format for the whole table slices it in C: a third faster than slicing in a comprehension.
    fields = [f"{length}s" for length in range(256)]
    tokens: tuple[bytes, ...] = struct.unpack_from("".join([fields[length] for length in data[:count]]), data, count)
    return tokens


def encoding(name: str) -> Encoding:
    """Return the one tiktoken encoding of that name, made on first use; threads share it."""
    found = _encodings.get(name)
    if found is None:
        with _lock:
            found = _encodings.get(name)
            if found is None:
                found = _encodings[name] = _construct(name)
    return found


def white_encoding(name: str) -> Encoding:
    """Return an encoding that takes a whole run of white space as one piece.

    tiktoken's own pattern panics on a run of a million. Merges inside white
    space use tokens made of white space's bytes and no others, so a few hundred
    ranks give the same count as the full table.
    """
    found = _white_encodings.get(name)
    if found is None:
        with _lock:
            ranks = {token: rank for rank, token in enumerate(read_tokens(name)) if _WHITE_BYTES.issuperset(token)}
            found = Encoding(f"{name}_white", pat_str=r"\s+", mergeable_ranks=ranks, special_tokens={})
            _white_encodings[name] = found
    return found


def loaded() -> tuple[str, ...]:
    """Names of the encodings that were made so far, in the order of their first use."""
    return tuple(_encodings)


def _construct(name: str) -> Encoding:
    spec = SPECS[name]
    tokens = read_tokens(name)
    return Encoding(
        name,
        pat_str=spec.pattern,
        mergeable_ranks=dict(zip(tokens, range(len(tokens)), strict=True)),
        special_tokens=dict(spec.special_tokens),
    )
