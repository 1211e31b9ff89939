"""`wrap`: the name is fixed, the feature comes with a later version.

It refuses instead of returning the client as it is, because a client that looks
guarded and is not would spend unseen.
"""

from __future__ import annotations

from typing import NoReturn

from tokencalc.errors import FeatureUnavailable


def wrap(client: object, **options: object) -> NoReturn:  # noqa: ARG001  # the public face's signature
    """Guard an LLM client. Not in this version: raises FeatureUnavailable, which says what to use until then."""
    raise FeatureUnavailable(
        f"wrap({type(client).__name__}) is not in this version; until it is, call engine.reserve before the call "
        "and engine.settle after it",
        feature="wrap",
    )
