"""Which bundled vocabulary counts a family's text, and how sure that makes the count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokencalc.tokens.backends import bundled
from tokencalc.tokens.result import Counted, least_certain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokencalc.tokens.result import Method


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnVocabulary:
    """The vocabulary of a family's newer models."""

    name: str
    method: Method
    """``exact`` where the provider has published that its models use it; ``modelled`` where bills say so and nobody
    else does."""
    other_thousandths: int
    """How far a model of the family may be off that has another vocabulary, each way: for models nobody looked at."""


OWN: Mapping[str, OwnVocabulary] = {
    # Google publishes Gemma's vocabulary and not Gemini's; the text of recorded requests has the same count by both.
    "gemini": OwnVocabulary(name="gemma_4", method="modelled", other_thousandths=50),
    # Mixtral and Mistral 7B have one of 32 Ki tokens, Llama 4 one of 200 Ki.
    "mistral": OwnVocabulary(name="mistral_v3", method="exact", other_thousandths=110),
    "llama": OwnVocabulary(name="llama_3", method="exact", other_thousandths=60),
    "qwen": OwnVocabulary(name="qwen_3", method="exact", other_thousandths=60),
    "deepseek": OwnVocabulary(name="deepseek_v3", method="exact", other_thousandths=60),
    "kimi": OwnVocabulary(name="kimi_k2", method="exact", other_thousandths=60),
}
"""Families that splintr-rs can count."""


def own_vocabulary(family: str | None, encoding: str | None) -> str | None:
    """Return the vocabulary to count a family's text by; None where there is none here, or splintr-rs is absent.

    ``encoding`` is the model's own, where its facts name one: a vocabulary that we
    have not is never replaced by the family's.
    """
    own = OWN.get(family or "")
    name = encoding or (own.name if own else "")
    return name if name in bundled.VOCABULARIES and bundled.available(name) else None


def how_sure(counted: Counted, family: str | None, *, verified: bool) -> Counted:
    """Return a count by `own_vocabulary` with the method and the range that this family's models warrant."""
    own = OWN.get(family or "")
    if own is None or not verified:
        reach = counted.tokens * (own.other_thousandths if own else 150) // 1000 + bool(counted.tokens)
        return Counted(counted.tokens, max(counted.low - reach, 0), counted.high + reach, "estimated")
    return counted._replace(method=least_certain(counted.method, own.method))
