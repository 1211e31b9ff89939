"""Tools, their choice and the answer's schema, in any provider's shape."""

from __future__ import annotations

from typing import Any

import pytest

from tokencalc.errors import TextInvalid
from tokencalc.tokens.definitions import Choice, Schema, Tool, read_choice, read_definitions, read_schema, read_tools
from tokencalc.tokens.messages import read_messages
from tokencalc.tokens.request import Request

SCHEMA: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = Tool("weather", "Tells the weather.", SCHEMA)
FUNCTION = {"name": "weather", "description": "Tells the weather.", "parameters": SCHEMA}


class _Forecast:
    """Describes itself, as pydantic's models do."""

    @staticmethod
    def model_json_schema() -> dict[str, object]:
        return {**SCHEMA, "title": "Forecast"}


TOOLS = {
    "openai_chat": [{"type": "function", "function": FUNCTION}],
    "openai_responses": [{"type": "function", **FUNCTION, "strict": True}],
    "anthropic": [{"name": "weather", "description": "Tells the weather.", "input_schema": SCHEMA}],
    "anthropic_custom": [
        {"type": "custom", "name": "weather", "description": "Tells the weather.", "input_schema": SCHEMA}
    ],
    "gemini": [{"functionDeclarations": [FUNCTION]}],
    "gemini_schema": [
        {
            "function_declarations": [
                {"name": "weather", "description": "Tells the weather.", "parametersJsonSchema": SCHEMA}
            ]
        }
    ],
    "gemini_alone": {"functionDeclarations": [FUNCTION]},
    "bedrock": [
        {"toolSpec": {"name": "weather", "description": "Tells the weather.", "inputSchema": {"json": SCHEMA}}}
    ],
    "bare": [FUNCTION],
}


@pytest.mark.parametrize("tools", TOOLS.values(), ids=TOOLS)
def test_a_tool_is_the_same_in_every_shape(tools: object) -> None:
    request = Request()
    assert read_tools(tools, request) == (TOOL,)
    assert request.unaccounted == ()


@pytest.mark.parametrize(
    ("expected", "tool"),
    [
        ("tools[0]: web_search_20250305", {"type": "web_search_20250305", "name": "web_search"}),
        ("tools[0]: file_search", {"type": "file_search", "vector_store_ids": ["v"]}),
        ("tools[0]: google_search", {"google_search": {}}),
        ("tools[0]: function", {"type": "function"}),
        ("tools[0]: nothing", {}),
        ("tools[0].googleSearch: a tool of the provider's own", {"functionDeclarations": [], "googleSearch": {}}),
        ("tools[0].format: grammar", {"type": "custom", "name": "sql", "format": {"type": "grammar"}}),
    ],
)
def test_a_tool_of_the_providers_own_is_named(expected: str, tool: dict[str, object]) -> None:
    request = Request()
    read_tools([tool], request)
    assert (expected,) == request.unaccounted


@pytest.mark.parametrize(
    ("match", "tools"),
    [
        ("tools: expected a list of up to 100000 tools, found int 3", 3),
        ("tools: expected a list of up to 100000 tools, found str 'weather'", "weather"),
        (r"tools\[1\]: expected a tool as a mapping, found int 7", [FUNCTION, 7]),
    ],
)
def test_what_are_no_tools_is_refused(match: str, tools: object) -> None:
    with pytest.raises(TextInvalid, match=match):
        read_tools(tools, Request())


@pytest.mark.parametrize(
    ("expected", "choice"),
    [
        (Choice(), None),
        (Choice(), "auto"),
        (Choice(), {"type": "auto"}),
        (Choice("none"), "none"),
        (Choice("any"), "required"),
        (Choice("any"), {"type": "any"}),
        (Choice("any"), {"functionCallingConfig": {"mode": "ANY"}}),
        (Choice("any"), {"type": "allowed_tools", "mode": "required", "tools": []}),
        (Choice("tool"), "tool"),
        (Choice("tool", named=True), {"type": "function", "function": {"name": "weather"}}),
        (Choice("tool", named=True), {"type": "function", "name": "weather"}),
        (Choice("tool", named=True), {"type": "tool", "name": "weather"}),
        (Choice(), 7),
    ],
)
def test_a_choice_is_read_in_every_shape(expected: Choice, choice: object) -> None:
    assert expected == read_choice(choice)


@pytest.mark.parametrize(
    ("expected", "response_format"),
    [
        (None, None),
        (None, "text"),
        (None, {"type": "json_object"}),
        (None, {"format": {"type": "text"}}),
        (Schema("city", SCHEMA), {"type": "json_schema", "json_schema": {"name": "city", "schema": SCHEMA}}),
        (Schema("city", SCHEMA), {"format": {"type": "json_schema", "name": "city", "schema": SCHEMA}}),
        (Schema("", SCHEMA), {"type": "json_schema", "schema": SCHEMA}),
        (Schema("", SCHEMA), {"responseMimeType": "application/json", "responseSchema": SCHEMA}),
        (Schema("", SCHEMA), SCHEMA),
        (Schema("Forecast", {**SCHEMA, "title": "Forecast"}), _Forecast),
    ],
)
def test_a_schema_is_read_in_every_shape(expected: Schema | None, response_format: object) -> None:
    assert expected == read_schema(response_format)


def test_what_is_no_response_format_is_refused() -> None:
    with pytest.raises(TextInvalid, match="response_format: expected a response format or a JSON schema, found int 3"):
        read_schema(3)


BODIES: dict[str, Any] = {
    "openai_chat": {
        "messages": ["hi"],
        "tools": TOOLS["openai_chat"],
        "tool_choice": "required",
        "response_format": {"type": "json_schema", "json_schema": {"schema": SCHEMA}},
    },
    "openai_responses": {
        "input": "hi",
        "tools": TOOLS["openai_responses"],
        "tool_choice": "required",
        "text": {"format": {"type": "json_schema", "schema": SCHEMA}},
    },
    "anthropic": {
        "messages": ["hi"],
        "tools": TOOLS["anthropic"],
        "tool_choice": {"type": "any"},
        "output_format": {"type": "json_schema", "schema": SCHEMA},
    },
    "gemini": {
        "contents": ["hi"],
        "tools": TOOLS["gemini"],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
        "generationConfig": {"responseSchema": SCHEMA},
    },
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_body_brings_its_own_definitions(body: dict[str, object]) -> None:
    definitions = read_definitions(read_messages(body))
    assert definitions.tools == (TOOL,)
    assert definitions.choice == Choice("any")
    assert definitions.schema == Schema("", SCHEMA)


@pytest.mark.parametrize(
    ("expected", "thinking"),
    [(True, {"type": "enabled", "budget_tokens": 1024}), (True, {"type": "adaptive"}), (False, {"type": "disabled"})],
)
def test_a_body_says_whether_it_thinks(expected: bool, thinking: object) -> None:  # noqa: FBT001  # a table's column
    assert expected is read_definitions(read_messages({"messages": ["hi"], "thinking": thinking})).thinking


def test_what_is_handed_in_goes_before_the_body() -> None:
    request = read_messages(BODIES["openai_chat"])
    definitions = read_definitions(request, tools=[{"name": "other"}], tool_choice="none")
    assert definitions.tools == (Tool("other", "", {}),)
    assert definitions.choice == Choice("none")
