"""What counts tokens on this machine, for people who look: `tokencalc doctor` and the tool's metrics."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

from tokencalc.tokens import vocabularies
from tokencalc.tokens.backends import bundled, fast


class Backend(NamedTuple):
    """A library that counts, its version (None: not installed), and the vocabularies that it counts or would count.

    ``extra`` is what installs it, empty for the base install; ``loaded`` are the
    vocabularies that this process counts by it; ``refused`` those that it was tried
    for in vain, because its counts differed from tiktoken's or it failed.
    """

    name: str
    version: str | None
    extra: str
    vocabularies: tuple[str, ...]
    loaded: tuple[str, ...]
    refused: tuple[str, ...]


def backends() -> tuple[Backend, ...]:
    """Return every library that can count, the base way first; loads none of them."""
    public = tuple(vocabularies.SPECS)
    fast_version = _version("fastokens")
    return (
        Backend("tiktoken", _version("tiktoken"), "", public, vocabularies.loaded(), ()),
        Backend("fastokens", fast_version, "fast", public, fast.in_use(), fast.refused() if fast_version else ()),
        Backend("splintr-rs", _version("splintr-rs"), "exact", tuple(bundled.VOCABULARIES), bundled.in_use(), ()),
    )


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
