"""Names of models: how the ways to write one are brought back to the names in the tables.

Names are compared in lower case. What a name may carry besides the id is listed
here and nowhere else: a path in front (``models/``, ``openai/``), a version
behind an ``@``, a date at the end, the tail of a fine-tuned model. Nothing is
matched by prefix or likeness: a name that is not known stays unknown.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from tokencalc.errors import CallInvalid

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_NAME = 200
_PATHS = ("publishers/google/models/", "publishers/anthropic/models/", "models/")
_DATE = re.compile(
    r"[-@](?:20\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])|20\d{2}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01]))$"
)
_VERSION = re.compile(r"@[\w.-]+$")
_FINE_TUNED_PARTS = 2


class Form(NamedTuple):
    """One way to read a name: the name to look up, and whether its model must take dated names."""

    name: str
    dated: bool


def plain_name(value: object, *, path: str) -> str:
    """Return a name in lower case; CallInvalid for what is no text, empty, overlong or not printable."""
    if not isinstance(value, str) or not value.strip():
        raise _refused(value, path, "expected the name of a model or provider, for example gpt-4o")
    if len(value) > LONGEST_NAME:
        raise _refused(f"{value[:40]}...", path, f"expected at most {LONGEST_NAME} characters")
    if not value.isprintable():
        raise _refused(value, path, "expected printable characters; control characters are refused")
    return value.strip().lower()


def _refused(value: object, path: str, why: str) -> CallInvalid:
    return CallInvalid(f"{path}: {why}, found {value!r:.80}", path=path, found=value)


def forms(name: str) -> Iterator[Form]:
    """Yield the readings of a plain name, the most literal first."""
    for path in _PATHS:
        name = name.removeprefix(path)
    yield Form(name, dated=False)
    if name.startswith("ft:"):
        yield Form(":".join(name.split(":")[:_FINE_TUNED_PARTS]), dated=False)
    date = _DATE.search(name)
    if date:
        yield Form(name[: date.start()], dated=True)
    version = _VERSION.search(name)
    if version:
        yield Form(name[: version.start()], dated=True)
