"""What a family adds around messages: measured on recorded requests, published by nobody but OpenAI in part."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokencalc.tokens.messages import Request
    from tokencalc.tokens.result import Method


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """Tokens that a family adds to a request, for each message, call, result and name."""

    request: int = 0
    message: int = 0
    system: int | None = None
    assistant: int | None = None
    tool_call: int = 0
    tool_result: int = 0
    name: int = 0
    method: Method = "modelled"
    slack: int = 2
    """Tokens each way that the envelope itself may be off, once for each request and once for each call or result."""

    def tokens(self, request: Request) -> tuple[int, int, Method]:
        """Return what is added to this request, how far that may be off each way, and how sure it is."""
        added = self.request + self.name * request.names
        for role in request.roles:
            if role in {"system", "developer"} and self.system is not None:
                added += self.system
            elif role in {"assistant", "model"} and self.assistant is not None:
                added += self.assistant
            else:
                added += self.message
        added += self.tool_call * request.tool_calls + self.tool_result * request.tool_results
        tools = request.tool_calls + request.tool_results
        if self.method == "exact" and not tools and not request.unaccounted:
            return added, 0, "exact"
        method: Method = "modelled" if self.method == "exact" else self.method
        return added, self.slack * (1 + 2 * tools), method


_OPENAI = Envelope(request=3, message=4, name=1, tool_call=4, tool_result=4, method="exact")
_OPENAI_REASONING = Envelope(request=3, message=3, assistant=5, name=1, tool_call=6, tool_result=6, slack=1)
_CLAUDE = Envelope(request=4, message=3, system=0, tool_call=27, tool_result=27)
_GEMINI_TO_2_0 = Envelope(slack=1)
_GPT_OSS = Envelope(request=67, message=4, system=31, slack=4)
_LLAMA_WITH_DATE = Envelope(request=42, message=5, slack=12)
"""Llama 3.1 and later put the dates of knowledge and of today before the first message."""

_ENVELOPES: Mapping[str, Envelope] = {
    "openai": _OPENAI,
    "claude": _CLAUDE,
    "claude_4_7": _CLAUDE,
    "gemini": Envelope(message=1, slack=1),
    "mistral": Envelope(request=1, message=2, assistant=1, slack=1),
    "llama": Envelope(request=5, message=5),
    "qwen": Envelope(request=3, message=5),
    "gpt_oss": _GPT_OSS,
}
_UNKNOWN = Envelope(request=3, message=4, slack=10)

_BY_MODEL: tuple[tuple[str, str, Envelope], ...] = (
    ("openai", r"(?:.*/)?(?:o[1-9]|gpt-[5-9])", _OPENAI_REASONING),
    ("gemini", r"(?:.*/)?gemini-(?:1|2\.0)", _GEMINI_TO_2_0),
    ("llama", r"(?:.*/)?llama-?3\.[1-9]", _LLAMA_WITH_DATE),
)


def envelope_for(tokenizer: str | None, model: str | None) -> Envelope:
    """Return the envelope of a family, and of the model where its generation differs from its family's."""
    for family, pattern, envelope in _BY_MODEL:
        if family == tokenizer and model and re.match(pattern, model):
            return envelope
    return _ENVELOPES.get(tokenizer or "", _UNKNOWN)
