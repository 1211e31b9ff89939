"""Tools as TypeScript: the text that OpenAI's models are shown."""

from __future__ import annotations

from typing import Any

import pytest

from tokencalc.tokens.definitions import Tool
from tokencalc.tokens.typescript import Renderer


def _tool(properties: dict[str, Any], *required: str, **rest: Any) -> Tool:
    return Tool("look", "Looks it up.", {"type": "object", "properties": properties, "required": [*required], **rest})


def _types(*tools: Tool, inline: bool = True) -> str:
    text = Renderer(inline=inline).tools(tools)
    assert text.startswith("namespace functions {\n\n")
    assert text.endswith("\n\n} // namespace functions")
    return text.removeprefix("namespace functions {\n\n").removesuffix("\n\n} // namespace functions")


CITY = {"type": "string", "description": "Its name"}
ROWS: dict[str, tuple[str, Tool]] = {
    "nothing to say": ("type look = () => any;", Tool("look", "", {})),
    "one line": (
        "// Looks it up.\ntype look = (_: { a: number, b?: string[] }) => any;",
        _tool({"a": {"type": "integer"}, "b": {"type": "array", "items": {"type": "string"}}}, "a"),
    ),
    "described": (
        "// Looks it up.\ntype look = (_: {\n// City\n// Its name\ncity: string,\n}) => any;",
        _tool({"city": {**CITY, "title": "City"}}, "city"),
    ),
    "titled object": (
        "// Looks it up.\ntype look = (_: // look_args\n// All of it.\n{ a?: any }) => any;",
        _tool({"a": {}}, title="look_args", description="All of it."),
    ),
    "defaults": (
        '// Looks it up.\ntype look = (_: {\na?: number, // default: 3\nb?: "u", // default: u\n}) => any;',
        _tool(
            {
                "a": {"type": "number", "default": 3},
                "b": {"enum": ["u"], "default": "u"},
            }
        ),
    ),
    "several types": (
        "// Looks it up.\ntype look = (_: { a?: string|number[], b?: string | null, c?: 7 }) => any;",
        _tool(
            {
                "a": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "integer"}}]},
                "b": {"type": ["string", "null"]},
                "c": {"const": 7},
            }
        ),
    ),
    "objects inside": (
        "// Looks it up.\ntype look = (_: {\nwho?: // Person\n{\n// Its name\nname?: string,\n},\n}) => any;",
        _tool(
            {"who": {"$ref": "#/$defs/Person"}},
            **{"$defs": {"Person": {"title": "Person", "type": "object", "properties": {"name": CITY}}}},
        ),
    ),
    "indented description": (
        "// Adds.\n//\n// Args:\n// a: one\ntype look = () => any;",
        Tool("look", "Adds.\n\n        Args:\n            a: one", {}),
    ),
    "Gemini's names of types": (
        "// Looks it up.\ntype look = (_: { a?: string, b?: number }) => any;",
        _tool({"a": {"type": "STRING"}, "b": {"type": "INTEGER"}}),
    ),
}


@pytest.mark.parametrize(("expected", "tool"), ROWS.values(), ids=ROWS)
def test_a_tool_is_written_as_the_model_is_shown_it(expected: str, tool: Tool) -> None:
    assert expected == _types(tool)


def test_later_generations_are_shown_every_property_on_its_line() -> None:
    assert "{\na?: string,\n}" in _types(_tool({"a": {"type": "string"}}), inline=False)


def test_a_schema_that_holds_itself_ends() -> None:
    tree = {"type": "object", "properties": {"left": {"$ref": "#/$defs/Tree"}, "right": {"$ref": "#/$defs/Tree"}}}
    text = _types(_tool({"tree": {"$ref": "#/$defs/Tree"}}, **{"$defs": {"Tree": tree}}))
    assert "left?: Tree" in text
    assert len(text) < 100_000


def test_a_schema_that_nests_without_end_is_written_in_short_not_left_out() -> None:
    schema: dict[str, Any] = {"type": "string", "description": "the innermost"}
    for _ in range(200):
        schema = {"type": "object", "properties": {"in": schema}}
    assert "the innermost" in _types(_tool({"out": schema}))


@pytest.mark.parametrize("odd", [3, None, [], "text", {"properties": 3}, {"properties": {"a": 3}}, {"type": 3}])
def test_odd_schemas_are_written_somehow(odd: Any) -> None:
    assert "odd" in _types(_tool({"odd": odd}))


def test_references_are_expanded_so_often_and_then_named() -> None:
    inner = {"type": "object", "properties": {"city": {"type": "string"}}}
    uses = {f"p{index}": {"$ref": "#/$defs/Place"} for index in range(300)}
    tool = Tool("f", "", {"type": "object", "properties": uses, "$defs": {"Place": inner}})
    text = Renderer(inline=True).tools([tool])
    assert (text.count("city?: string"), text.count(": Place,")) == (200, 100)


def test_a_property_is_looked_up_among_the_required_at_once() -> None:
    names = [f"p{index}" for index in range(100_000)]
    properties: dict[str, object] = {name: {} for name in names}
    required = [*names[:50_000], ["odd"]]
    tool = Tool("f", "", {"type": "object", "properties": properties, "required": required})
    text = Renderer(inline=True).tools([tool])
    assert (text.count("?: any"), text.count(": any")) == (50_000, 100_000)
