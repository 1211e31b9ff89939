"""Recorded bodies of the five providers: every raw number is mapped, or listed by its path.

To tell "mapped" from "forgotten" without trusting the readers' own lists, each
number is changed alone: the result has to change, or be refused, or the number's
path has to be among the ignored ones.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tokencalc.errors import UsageInvalid
from tokencalc.providers.registry import read_usage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokencalc.usage import Usage

RECORDED = Path(__file__).parents[2].parent / "shared" / "recorded"
FOLDERS = (
    "openai_chat",
    "openai_responses",
    "openai_other",
    "anthropic",
    "google",
    "groq",
    "mistral",
    "azure_openai",
    "google_vertex",
)
FEWEST_BODIES = 250

OWN = [
    {
        "usage": {
            "prompt_tokens": 90,
            "completion_tokens": 40,
            "total_tokens": 130,
            "prompt_tokens_details": {
                "cached_tokens": 20,
                "cache_write_tokens": 5,
                "audio_tokens": 0,
                "text_tokens": 90,
            },
            "completion_tokens_details": {"reasoning_tokens": 8, "accepted_prediction_tokens": 3},
        }
    },
    {
        "type": "message",
        "usage": {
            "input_tokens": 9,
            "output_tokens": 40,
            "cache_creation_input_tokens": 12,
            "cache_read_input_tokens": 30,
            "cache_creation": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 5},
            "output_tokens_details": {"thinking_tokens": 6},
            "server_tool_use": {"web_search_requests": 1, "web_fetch_requests": 2},
        },
    },
    {
        "usageMetadata": {
            "promptTokenCount": 90,
            "candidatesTokenCount": 30,
            "thoughtsTokenCount": 4,
            "cachedContentTokenCount": 12,
            "toolUsePromptTokenCount": 3,
            "totalTokenCount": 127,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 60}, {"modality": "IMAGE", "tokenCount": 30}],
        }
    },
]


def numbers(value: Any, path: str) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield the path of each number as text, and as the keys that lead to it."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        name = f"{path}[{key}]" if isinstance(value, list) else f"{path}.{key}"
        if isinstance(item, int | float) and not isinstance(item, bool):
            yield name, (key,)
        for below, keys in numbers(item, name):
            yield below, (key, *keys)


def changed(body: dict[str, Any], root: str, keys: tuple[Any, ...]) -> dict[str, Any]:
    """Return the body with one number larger by one."""
    other = {**body, root: copy.deepcopy(body[root])}
    holder = other[root]
    for key in keys[:-1]:
        holder = holder[key]
    holder[keys[-1]] += 1
    return other


def forgotten(body: dict[str, Any]) -> list[str]:
    """Return the numbers of the usage that neither matter nor are listed."""
    before = read_usage(body)
    missing = []
    for root in ("usage", "usageMetadata", "usage_breakdown"):
        for path, keys in numbers(body.get(root) or {}, root):
            if path not in before.ignored and not _matters(changed(body, root, keys), before):
                missing.append(path)
    return missing


def _matters(body: dict[str, Any], before: Usage) -> bool:
    try:
        after = read_usage(body)
    except UsageInvalid:
        return True
    return (after.leaves, after.parts, after.notes) != (before.leaves, before.parts, before.notes)


def bodies() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the recorded bodies that are one JSON object with a usage."""
    for folder in FOLDERS:
        for file in sorted((RECORDED / folder).glob("*.json")):
            text = json.loads(file.read_text(encoding="utf-8"))["response"]["body"]
            try:
                body = json.loads(text)
            except ValueError:
                continue  # a stream
            if isinstance(body, dict) and (body.get("usage") or "promptTokenCount" in body.get("usageMetadata", {})):
                yield f"{folder}/{file.name}", body


@pytest.mark.parametrize("body", OWN, ids=["chat", "message", "gemini"])
def test_every_number_of_our_own_bodies_is_mapped_or_listed(body: dict[str, Any]) -> None:
    read_usage(body)
    assert forgotten(body) == []


def _values(body: dict[str, Any]) -> list[float]:
    usage = body.get("usage") or body["usageMetadata"]
    return [value for value in usage.values() if isinstance(value, int | float)]


@pytest.mark.parametrize("body", OWN, ids=["chat", "message", "gemini"])
def test_our_own_bodies_are_read_without_a_note(body: dict[str, Any]) -> None:
    assert read_usage(body).notes == ()


@pytest.mark.skipif(not RECORDED.is_dir(), reason="recorded bodies are not beside this checkout")
def test_every_number_of_every_recorded_body_is_mapped_or_listed() -> None:
    missing = {name: found for name, body in bodies() if (found := forgotten(body))}
    assert missing == {}


@pytest.mark.skipif(not RECORDED.is_dir(), reason="recorded bodies are not beside this checkout")
def test_every_recorded_body_has_a_usage_that_is_not_zero_and_adds_up() -> None:
    read = {name: read_usage(body) for name, body in bodies()}
    assert len(read) > FEWEST_BODIES
    zero = [name for name, usage in read.items() if not usage.input_tokens + usage.output_tokens]
    assert [name for name in zero if any(_values(dict(bodies())[name]))] == []
    assert [
        name for name, usage in read.items() if any("total" in note and " is not " in note for note in usage.notes)
    ] == []
    assert [
        name for name, usage in read.items() if any("is not known to this reader" in note for note in usage.notes)
    ] == []
