"""What the families without a published form add around messages: features of a request, each with a fitted weight."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING

from tokencalc.tokens.definitions import Definitions, schema_words
from tokencalc.tokens.fitted import REACH, WEIGHTS
from tokencalc.tokens.layout import UNITS, Layout, Reach, group_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tokencalc.tokens.definitions import Json
    from tokencalc.tokens.request import Request, Turn

_PROFILES: tuple[tuple[str, str, str], ...] = (
    ("claude", r"claude-(?:2|instant|v)", "claude_2"),
    ("claude", r"claude-3-opus", "claude_3_opus"),
    ("claude", r"claude-3-(?:5-)?haiku|claude-3-haiku", "claude_3_haiku"),
    ("claude", r"claude-3-7", "claude_3_7"),
    ("claude", r"claude-3", "claude_3"),
    ("claude", r"claude-(?:sonnet|opus)-4(?:-[01])?(?:-\d{8}|$|@|-v|-latest)", "claude_4"),
    ("claude_4_7", r"claude-(?:sonnet|haiku)-5", "claude_sonnet_5"),
    ("claude_4_7", r"claude-opus-5", "claude_opus_5"),
    ("gemini", r"gemini-(?:pro|1|2\.0)", "gemini_2_0"),
    ("gemini", r"gemini-2\.5", "gemini_2_5"),
    ("llama", r"(?:meta-)?llama-?3(?:[.p]|-(?=[1-9]-))[1-9]", "llama_3_1"),
    ("llama", r"(?:meta-)?llama-?4", "llama_4"),
)
"""Generations that differ from their family's newest, by the beginning of the model's name."""

WORDS_MAX = 10_000
"""Words that are counted one by one; more are counted as one text, which is quicker and nearly the same."""


def profile_of(tokenizer: str | None, model: str | None, interface: str | None) -> str:
    """Return the name of the weights for a family, a generation and an interface."""
    name = re.sub(r"^.*/", "", model or "")
    if tokenizer == "gemini" and interface == "vertex":
        return "gemini_2_0"
    for family, pattern, profile in _PROFILES:
        if family == tokenizer and re.match(pattern, name):
            return profile
    return tokenizer if tokenizer in WEIGHTS else "unknown"


_TOOLS_UNDER_NONE = {"claude": True, "claude_4_7": True, "llama_4": False}
"""Whether tools are billed that a call forbids (choice "none"), by family or profile, where a recorded bill says so:
Claude's has them whole, Llama 4's on Groq has nothing of them."""


def tools_under_none(tokenizer: str | None, model: str | None) -> bool | None:
    """Say whether tools that must not be called are billed all the same; None where no recorded bill tells."""
    profile = profile_of(tokenizer, model, None)
    return _TOOLS_UNDER_NONE.get(profile, _TOOLS_UNDER_NONE.get(tokenizer or ""))


def features(request: Request, definitions: Definitions) -> Counter[str]:
    """Return how many of each thing a request has that costs tokens beside its texts."""
    found: Counter[str] = Counter(request=1)
    for turn in request.turns:
        if turn.role == "system":
            found["system"] += 1
        elif turn.role == "assistant" and (turn.parts or turn.images):
            found["assistant"] += 1
        elif turn.role != "tool" and (turn.parts or turn.images):
            found["message"] += 1
        found["call"] += turn.calls
        found["parallel"] += max(turn.calls - 1, 0)
        found["result"] += turn.results
    found["name"] = sum(len(turn.texts("name")) for turn in request.turns)
    found["thinking"] = int(definitions.thinking)
    if definitions.tools and definitions.choice.kind != "none":
        found[f"tools_{definitions.choice.kind}"] = 1
        found["tool"] = len(definitions.tools)
    found["schema"] = int(definitions.schema is not None)
    return found


def lay_out(request: Request, definitions: Definitions, profile: str) -> Layout:
    """Lay a request out with the weights of a profile."""
    weights, found = WEIGHTS[profile], features(request, definitions)
    layout = Layout(features=found)
    as_words = bool(weights.get("as_words"))
    for turn in request.turns:
        found["pair"] += _turn(layout, turn, as_words=as_words)
    if definitions.choice.kind != "none":
        (_described_in_words if as_words else _described_in_json)(layout, definitions, found, weights)
    if definitions.schema is not None and weights.get("schema_text"):
        layout.add(_spaced(definitions.schema.schema), "response_format", weights["schema_text"])
    layout.around = sum(weights.get(name, 0) * count for name, count in found.items())
    layout.reach = Reach(*REACH[profile][group_of(request, definitions)])
    layout.method = "modelled"
    return layout


def _turn(layout: Layout, turn: Turn, *, as_words: bool) -> int:
    """Add a turn's texts; return how many names are paired with values in them."""
    pairs = 0
    for part in turn.parts:
        if as_words and part.kind in {"arguments", "result"}:
            words, found = _words(part.text)
            pairs += found
            _add_words(layout, words, part.path)
        else:
            layout.add(part.text, part.path)
    if as_words:
        _add_words(layout, turn.result_names, "result")
    return pairs


def _described_in_json(
    layout: Layout, definitions: Definitions, _found: Counter[str], weights: Mapping[str, int]
) -> None:
    for tool in definitions.tools:
        shown = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
        layout.add(_spaced(shown), f"tools.{tool.name:.40}", weights.get("definition", UNITS))


def _described_in_words(
    layout: Layout, definitions: Definitions, found: Counter[str], _weights: Mapping[str, int]
) -> None:
    for tool in definitions.tools:
        words, counts = schema_words(tool.parameters)
        found["tool_described"] += bool(tool.description)
        found.update(counts)
        _add_words(layout, [tool.name, tool.description, *words], f"tools.{tool.name:.40}")


def _add_words(layout: Layout, words: list[str], path: str) -> None:
    for word in words if len(words) <= WORDS_MAX else (" ".join(words),):
        layout.add(word, path)


def _words(text: str) -> tuple[list[str], int]:
    """Return the words of a JSON object or list, and its names; other text is one word."""
    if not text.lstrip().startswith(("{", "[")):
        return [text], 0
    try:
        value: Json = json.loads(text)
    except (ValueError, RecursionError):
        return [text], 0
    words: list[str] = []
    pairs, waiting = 0, [value]
    while waiting:
        one = waiting.pop()
        inner: Iterable[Json] = one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
        if isinstance(one, dict):
            words.extend(one)
            pairs += len(one)
        elif isinstance(one, list):
            pairs += len(one)
        else:
            words.append(one if isinstance(one, str) else json.dumps(one))
        waiting.extend(inner)
    return words, pairs


def _spaced(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False)
