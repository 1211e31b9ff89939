"""Whatever a request looks like: an answer above nothing, or an error of our tree."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokencalc import TokencalcError, count

WORDS = st.sampled_from(
    ["", "hi", "你好", "\ud800", "x" * 300, "{", '{"a": 1}', "[1, 2]", "data:image/png;base64,AA=="]
)
KEYS = st.sampled_from(
    [
        "role",
        "content",
        "type",
        "text",
        "name",
        "tool_calls",
        "function",
        "arguments",
        "parts",
        "functionCall",
        "id",
        "functionResponse",
        "response",
        "inlineData",
        "mimeType",
        "data",
        "source",
        "image_url",
        "url",
        "input",
        "system",
        "messages",
        "contents",
        "tools",
        "parameters",
        "properties",
        "input_schema",
        "functionDeclarations",
        "required",
        "$ref",
        "$defs",
        "anyOf",
        "enum",
        "default",
        "items",
        "description",
        "title",
        "schema",
        "json_schema",
        "format",
        "width",
        "height",
        "tool_use_id",
        "tool_call_id",
        "call_id",
        "output",
        "thinking",
        "tool_choice",
        "response_format",
    ]
)
KINDS = st.sampled_from(
    [
        "user",
        "assistant",
        "system",
        "tool",
        "model",
        "developer",
        "function",
        "object",
        "array",
        "string",
        "image",
        "image_url",
        "input_image",
        "tool_use",
        "tool_result",
        "function_call",
        "function_call_output",
        "custom",
        "json_schema",
        "web_search",
        "thinking",
        "document",
        "text",
        "any",
        "required",
        "none",
        "#/$defs/a",
        "image/png",
    ]
)
LEAVES = st.one_of(WORDS, KINDS, st.none(), st.booleans(), st.integers(), st.floats(), st.binary(max_size=30))
ODD: st.SearchStrategy[Any] = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=5), st.dictionaries(WORDS, inner, max_size=2)
    ),
    max_leaves=25,
)
MODELS = st.sampled_from(
    [
        "gpt-4o",
        "gpt-5",
        "claude-sonnet-4-5",
        "claude-opus-5",
        "gemini-2.5-flash",
        "gemini-3-pro-preview",
        "nobody-1",
        "mistral-large-latest",
        "llama-3.3-70b-versatile",
        "openai/gpt-oss-120b",
        "qwen/qwen3-32b",
        "gpt-4.1-nano",
    ]
)
MESSAGES = st.one_of(ODD, st.lists(st.fixed_dictionaries({"role": KINDS, "content": ODD}), min_size=1, max_size=3))
TOOL = st.fixed_dictionaries({"name": WORDS, "description": ODD, "parameters": ODD})


def _counted(model: str, **arguments: Any) -> None:
    try:
        found = count(model, **arguments)
    except TokencalcError:
        return
    assert found.tokens > 0
    assert 0 <= found.low <= found.tokens <= found.high


@given(model=MODELS, messages=MESSAGES, tools=ODD, response_format=ODD, images=ODD, tool_choice=ODD)
def test_no_request_is_a_silent_nothing_or_a_strange_error(model: str, **arguments: Any) -> None:
    _counted(model, **arguments)


@given(model=MODELS, tools=st.lists(TOOL, max_size=3), schema=ODD, choice=ODD)
def test_no_tool_or_schema_is_either(model: str, tools: Any, schema: Any, choice: Any) -> None:
    arguments = {"tools": tools, "response_format": {"schema": schema}, "tool_choice": choice}
    _counted(model, messages=[{"role": "user", "content": "hi"}], **arguments)


@given(model=MODELS, odd=ODD)
@pytest.mark.parametrize("key", ["tools", "response_format", "images", "tool_choice", "interface", "thinking"])
def test_no_odd_argument_is_either(key: str, model: str, odd: Any) -> None:
    _counted(model, messages=[{"role": "user", "content": "hi"}], **{key: odd})


@given(model=MODELS, odd=ODD)
def test_no_odd_model_or_text_is_either(model: str, odd: Any) -> None:
    _counted(odd, text="hi")
    _counted(model, text=odd)


@given(depth=st.integers(1, 3000), model=MODELS)
def test_no_depth_is_either(depth: int, model: str) -> None:
    nested: Any = "x"
    for _ in range(depth):
        nested = {"type": "object", "properties": {"a": nested}}
    arguments = '{"a":' * depth + "1" + "}" * depth
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
    messages = [
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": arguments},
    ]
    _counted(model, messages=messages, tools=[{"name": "f", "parameters": nested}], response_format={"schema": nested})
