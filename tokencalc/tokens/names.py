"""What a model's name says that its servers put into a prompt by themselves; nobody can count it before the call."""

from __future__ import annotations

import re

_SERVER_SIDE: tuple[tuple[str, str], ...] = (
    (r"-search(?:-|$)", "what its own web search finds"),
    (r"deep-research", "what its own research finds"),
    (r"(?:^|/)compound(?:-|$)", "what its own tools find, and their instructions"),
    (r":online$", "what the web search finds"),
    # gpt-5-pro is not meant: what was billed for it is the prompt alone.
    (r"(?:^|/)o[1-9]-pro\b|gpt-5[.p-][1-9]\d*(?:-[a-z]+)?-pro\b", "pro mode reads the prompt more than once"),
    (r"gpt-(?:4o-(?:mini-)?)?audio|realtime|gpt-live", "what a model of sound adds to its prompt"),
)
"""By what a name holds; recorded bills of such models have from 8 to 5,000 tokens more than the prompt."""


def server_side(model: str | None) -> list[str]:
    """Return what the servers of a model of that name may add to its prompt unasked."""
    name = (model or "").lower()
    return [what for pattern, what in _SERVER_SIDE if re.search(pattern, name)]
