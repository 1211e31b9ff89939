"""fastokens for o200k and cl100k: tiktoken's counts, many times quicker, once its costly start is worth it.

Making its tables takes about a second and 100 MB (tiktoken: 0.15 s), so a process
is counted by tiktoken until it has counted `WORTH_CHARS`. What was made is then
compared with tiktoken on the spot, and left alone if any count differs.
"""

from __future__ import annotations

import threading
from base64 import b64encode
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING

from tokencalc.tokens import vocabularies

if TYPE_CHECKING:
    from fastokens import Tokenizer  # type: ignore[import-untyped]  # it ships no py.typed

WORTH_CHARS = 1 << 17
"""Fresh text after which the start is made: a single question never waits for it, a process that goes on has it."""

PIECE_BYTES_MAX = 60 * 1024
"""Longest piece that is handed over. From 64 KiB on fastokens starts threads of its own, and a process with threads
cannot safely fork."""

_BYTES_PER_TOKEN_ID = 4

_PROBES = (
    "Counting is cheap; being wrong is not. It's 2026, we'll see: 1234567 tokens (12.5 %) -- THEY'RE here!\r\n\r\n",
    "def f(x):\n\treturn {\"a\": [x, None], 'b': 0x1f}  # _private // path/to//file\n\n\n    end   \n",
    "À l'été, naïve cafés; e\u0301 \u00df \u01c5 İ \u017f 'S 's \u2019s Ⅷ ½ ٣٤٥ \u0e51\u0e52",
    "你好\uff0c世界。毎月の請求書を見て驚きます。ー々〇 한국어 텍스트 😀👩\u200d👧 \U0001f1e9\U0001f1ea",
    "Привет мир हिन्दी में पाठ ภาษาไทย العربية עברית \u200b\ufeff\ufffd\x00\x1c\x85\u2028",
    "<|endoftext|> <|fim_prefix|><|endofprompt|> <|im_start|>user",
    " \t \n \r\n\r \x0b\x0c\xa0\u1680\u2003\u3000 x  y   z    \n  \n!" + " " * 300 + "a" * 300 + "!" * 300 + "\n" * 300,
    "aGVsbG8gd29ybGQgYWdhaW4gYW5kIGFnYWlu" * 9,
)

_lock = threading.Lock()
_counted_chars: dict[str, int] = {}
_made: dict[str, FastEncoding | None] = {}


class FastEncoding:
    """One vocabulary in fastokens; threads share it."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Count by that tokenizer."""
        self._encode = tokenizer.encode_batch_flat

    def count(self, text: str) -> int:
        """Return the tokens of a text of valid characters; special tokens' spellings are ordinary text."""
        # As flat bytes: no list, and no object for each token.
        return len(self._encode([text])[0]) // _BYTES_PER_TOKEN_ID


def fast_encoding(name: str, text: str) -> FastEncoding | None:
    """Return fastokens' encoding of that name, or None where it is absent or not worth its start yet.

    ``text`` is what is about to be counted. One caller makes the tables; callers
    that come meanwhile are answered None and need not wait.
    """
    try:
        return _made[name]
    except KeyError:
        counted = _counted_chars.get(name, 0) + len(text)
        _counted_chars[name] = counted
        # The text that crosses the line is counted by tiktoken still, so that its own size never decides.
        if counted - len(text) < WORTH_CHARS or not _lock.acquire(blocking=False):
            return None
    try:
        if name not in _made:
            _made[name] = _make(name)
        return _made[name]
    finally:
        _lock.release()


def check(name: str) -> bool:
    """Say whether fastokens counts that encoding as tiktoken does here, making its tables now if they are not made."""
    with _lock:
        if name not in _made:
            _made[name] = _make(name)
        return _made[name] is not None


def in_use() -> tuple[str, ...]:
    """Names of the encodings that fastokens counts in this process."""
    return tuple(name for name, made in _made.items() if made is not None)


def refused() -> tuple[str, ...]:
    """Names of the encodings for which fastokens was tried in vain: absent, or its counts differed."""
    return tuple(name for name, made in _made.items() if made is None)


def _make(name: str) -> FastEncoding | None:
    try:
        from fastokens import Tokenizer  # noqa: PLC0415  # an extra, on first need
    except ImportError:
        return None
    try:
        with NamedTemporaryFile(suffix=".tiktoken") as file:  # it reads ranks from a file only
            tokens = vocabularies.read_tokens(name)
            file.write(b"".join([b"%b %d\n" % (b64encode(token), rank) for rank, token in enumerate(tokens)]))
            file.flush()
            # By its own name for the pattern, which it then scans without a regular expression. No special tokens.
            made = FastEncoding(Tokenizer.from_tiktoken(file.name, encoding=name, special_tokens={}))
        same = all(made.count(text) == _tiktoken_count(name, text) for text in _PROBES)
    except Exception:  # noqa: BLE001  # bulk: whatever another release of an extra does, tiktoken still counts
        return None
    return made if same else None


def _tiktoken_count(name: str, text: str) -> int:
    return len(vocabularies.encoding(name).encode_ordinary(text))
