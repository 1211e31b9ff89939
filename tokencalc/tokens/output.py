"""Expected output tokens of an operation, from a table with its reasons; a ledger's own figures are better.

Each row is ``share * input_tokens`` held between ``least`` and ``most``: some
operations answer in proportion to what they are given (a translation), others
hardly look at its length (a chat). The figures are judgements from what such
calls usually ask for; they make an estimate plausible and never bound it: what
is reserved counts the limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokencalc.errors import CallInvalid

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputRule:
    """One operation's expectation: thousandths of the input, within bounds, and why."""

    thousandths: int
    least: int
    most: int
    reason: str


OUTPUT_RULES: Mapping[str, OutputRule] = {
    "embedding": OutputRule(thousandths=0, least=0, most=0, reason="A vector comes back; no tokens are generated."),
    "simple_chat": OutputRule(
        thousandths=500, least=50, most=400, reason="A turn of chat is a few sentences, whatever the history's length."
    ),
    "code_generation": OutputRule(
        thousandths=1500,
        least=300,
        most=4000,
        reason="A request is shorter than the code that it asks for; a file ends at some 400 lines.",
    ),
    "data_analysis": OutputRule(
        thousandths=400, least=250, most=2000, reason="Findings are shorter than the data and longer than a chat."
    ),
    "text_generation": OutputRule(
        thousandths=1000, least=200, most=2000, reason="A page or two: a brief asks for about its own length and more."
    ),
    "translation": OutputRule(
        thousandths=1100,
        least=10,
        most=100_000,
        reason="The same text again; other languages than English take more tokens for it.",
    ),
    "summarization": OutputRule(
        thousandths=200, least=60, most=1000, reason="A fifth of the text, until a page is full."
    ),
    "explanation": OutputRule(
        thousandths=800,
        least=200,
        most=1500,
        reason="About as long as what is explained, at least a few paragraphs.",
    ),
    "creative_writing": OutputRule(
        thousandths=3000,
        least=500,
        most=4000,
        reason="A short brief asks for a story of one to five pages.",
    ),
}
"""The nine operation types."""

DEFAULT_RULE = OutputRule(
    thousandths=500, least=100, most=1000, reason="Nothing is known of the operation: between a chat and a text."
)
"""For a call that names no operation type."""


def expected_output_tokens(operation_type: str | None, input_tokens: int, limit: int | None) -> int:
    """Return the output tokens to expect, never above ``limit`` (the caller's maximum, or the model's).

    Raises CallInvalid for an operation type that is none of `OUTPUT_RULES`.
    """
    if operation_type is not None and not (isinstance(operation_type, str) and operation_type in OUTPUT_RULES):
        known = ", ".join(OUTPUT_RULES)
        raise CallInvalid(
            f"operation_type: expected one of {known}, found {operation_type!r:.60}",
            path="operation_type",
            found=operation_type,
            allowed=tuple(OUTPUT_RULES),
        )
    rule = DEFAULT_RULE if operation_type is None else OUTPUT_RULES[operation_type]
    wanted = (max(input_tokens, 0) * rule.thousandths + 500) // 1000
    expected = min(max(wanted, rule.least), rule.most)
    return expected if limit is None else min(expected, max(limit, 0))
