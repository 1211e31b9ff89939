"""What a call describes beside its messages, in any provider's shape: tools, their choice, the form of the answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple

from tokencalc.tokens.reading import as_plain_json, is_list, kind_of, mapping_of, plain, refused, text_of

if TYPE_CHECKING:
    from tokencalc.tokens.request import Request

TOOLS_MAX = 100_000
"""Tools that one request may define before it is refused."""

Json = object
"""A value as JSON has it: text, number, boolean, None, list, or dictionary with text keys."""

_DECLARATIONS = ("functionDeclarations", "function_declarations")
_PARAMETERS = ("parameters", "input_schema", "inputSchema", "parametersJsonSchema", "parameters_json_schema")
_SCHEMAS = ("schema", "responseSchema", "response_schema", "responseJsonSchema", "response_json_schema")
_SCHEMA_HOLDERS = ("json_schema", "format")
_CHOICES = ("tool_choice", "function_call", "toolConfig", "tool_config")


class Tool(NamedTuple):
    """A function that the model may call; ``parameters`` is its JSON schema."""

    name: str
    description: str
    parameters: dict[str, Json]


class Choice(NamedTuple):
    """Whether the model may, must or must not call a tool; ``named`` where one tool is asked for by its name."""

    kind: Literal["auto", "any", "tool", "none"] = "auto"
    named: bool = False


class Schema(NamedTuple):
    """The JSON schema that the answer must keep to, and its name."""

    name: str
    schema: dict[str, Json]


class Definitions(NamedTuple):
    """Everything that a call describes beside its messages."""

    tools: tuple[Tool, ...] = ()
    choice: Choice = Choice()
    schema: Schema | None = None
    thinking: bool = False


def read_tools(tools: object, request: Request) -> tuple[Tool, ...]:
    """Read the functions among tools; what is no function (a provider's own tool) is omitted by name.

    TextInvalid for what are no tools at all.
    """
    found = plain(tools)
    if found is None:
        return ()
    listed = [found] if isinstance(found, Mapping) else found
    if not is_list(listed) or len(listed) > TOOLS_MAX:
        raise refused("tools", f"a list of up to {TOOLS_MAX} tools", tools)
    read: list[Tool] = []
    for index, raw in enumerate(listed):
        tool, path = plain(raw), f"tools[{index}]"
        if not isinstance(tool, Mapping):
            raise refused(path, "a tool as a mapping", raw)
        read.extend(_read_tool(tool, path, request))
    return tuple(read)


def _read_tool(tool: Mapping[object, object], path: str, request: Request) -> list[Tool]:
    for key in _DECLARATIONS:
        declared = plain(tool.get(key))
        if is_list(declared):
            others = [str(other) for other in tool if other != key]
            for other in others:
                request.omit(f"{path}.{other:.40}", "a tool of the provider's own")
            return list(read_tools(declared, request))
    kind = kind_of(tool)
    inner = mapping_of(tool, "function", "custom", "toolSpec") or tool
    name, parameters = text_of(inner, "name"), mapping_of(inner, *_PARAMETERS)
    if parameters and set(parameters) == {"json"}:
        parameters = mapping_of(parameters, "json")
    if not name or (kind not in {None, "function", "custom"} and parameters is None):
        request.omit(path, kind or ", ".join(map(str, tool)) or "nothing")
        return []
    if kind == "custom" and parameters is None and "format" in inner:
        request.omit(f"{path}.format", "grammar")
    read = as_plain_json(parameters or {}, f"{path}.parameters")
    return [Tool(name, text_of(inner, "description"), read if isinstance(read, dict) else {})]


def read_choice(choice: object) -> Choice:
    """Read a tool choice in any shape; what is not known is "auto"."""
    found = plain(choice)
    if isinstance(found, str):
        return _choice_named(found)
    if not isinstance(found, Mapping):
        return Choice()
    calling = mapping_of(found, "functionCallingConfig", "function_calling_config")
    if calling:
        return _choice_named(text_of(calling, "mode").lower())
    kind = kind_of(found) or str(next(iter(mapping_of(found, "toolChoice") or ()), ""))
    if text_of(found, "name") or mapping_of(found, "function", "custom"):
        return Choice("tool", named=True)
    if kind == "allowed_tools":
        return _choice_named(text_of(mapping_of(found, "allowed_tools") or found, "mode"))
    return _choice_named(kind)


def _choice_named(name: str) -> Choice:
    if name in {"any", "required"}:
        return Choice("any")
    if name == "none":
        return Choice("none")
    return Choice("tool") if name in {"tool", "function"} else Choice()


def read_schema(response_format: object, path: str = "response_format") -> Schema | None:
    """Read the schema of an answer in any shape, or a class that describes itself; None where there is none.

    TextInvalid for what is no response format.
    """
    describe = getattr(response_format, "model_json_schema", None)
    if isinstance(response_format, type) and callable(describe):
        try:
            found = describe()
        except Exception as error:  # bulk: the method is the caller's own
            raise refused(path, "a class whose model_json_schema() answers", response_format) from error
    else:
        found = plain(response_format)
    if found is None or isinstance(found, str):
        return None
    if not isinstance(found, Mapping):
        raise refused(path, "a response format or a JSON schema", response_format)
    holder = mapping_of(found, *_SCHEMA_HOLDERS) or found
    schema = mapping_of(holder, *_SCHEMAS)
    if schema is None:
        if not ({"properties", "$defs", "anyOf", "items", "$ref"} & set(holder) or kind_of(holder) == "object"):
            return None
        schema = holder
    read = as_plain_json(schema, path)
    if not isinstance(read, dict):
        return None
    return Schema(text_of(holder, "name") or text_of(read, "title"), read)


def read_definitions(
    request: Request,
    *,
    tools: object = None,
    tool_choice: object = None,
    response_format: object = None,
    thinking: bool = False,
) -> Definitions:
    """Read what was handed in, and where it was not, what the body holds beside its messages."""
    beside = request.beside
    # Bedrock has the tools and their choice in one.
    config: Mapping[object, object] = mapping_of(dict(beside.items()), "toolConfig", "tool_config") or {}
    listed = tools if tools is not None else beside.get("tools", beside.get("functions", config.get("tools")))
    choice = next((beside[key] for key in _CHOICES if key in beside), None)
    keys = ("response_format", "text", "output_format", "output_config", "generationConfig", "generation_config")
    schemas = (read_schema(beside[key], key) for key in keys if isinstance(plain(beside.get(key)), (Mapping, type)))
    budget = plain(beside.get("thinking"))
    return Definitions(
        tools=read_tools(listed, request),
        choice=read_choice(tool_choice if tool_choice is not None else choice),
        schema=read_schema(response_format) or next((schema for schema in schemas if schema), None),
        thinking=bool(thinking) or (isinstance(budget, Mapping) and kind_of(budget) in {"enabled", "adaptive"}),
    )


def described_as_responses(request: Request, tools: object) -> bool:
    """Say whether a call has OpenAI's Responses shape: by its body, its items, or tools without a nested function."""
    if request.beside.get("list") == "input" or "items" in request.beside:
        return True
    found = plain(tools if tools is not None else request.beside.get("tools"))
    first = plain(found[0]) if is_list(found) and found else None
    return isinstance(first, Mapping) and kind_of(first) == "function" and bool(text_of(first, "name"))


def schema_words(schema: Json, depth: int = 0) -> tuple[list[str], dict[str, int]]:
    """Return the words of a JSON schema (names, descriptions, allowed values) and how many of each thing it has.

    The counts are of ``property``, ``required``, ``described`` and ``object``; below a depth of 32 a schema is
    one word, its JSON.
    """
    words: list[str] = []
    counts = dict.fromkeys(("property", "required", "described", "object"), 0)
    if not isinstance(schema, dict):
        return words, counts
    if depth > _DEPTH_MAX:
        return [re.sub(r"\s+", " ", str(schema))], counts
    properties = schema.get("properties")
    if isinstance(properties, dict) and properties:
        counts["object"] += 1
        counts["property"] += len(properties)
        required = schema.get("required")
        counts["required"] += len(required) if isinstance(required, list) else 0
    for name, inner in _inner_schemas(schema):
        if name:
            words.append(name)
        if isinstance(inner, dict):
            if inner.get("description"):
                counts["described"] += 1
                words.append(str(inner["description"]))
            allowed = inner.get("enum")
            words.extend(str(value) for value in allowed) if isinstance(allowed, list) else None
        more, found = schema_words(inner, depth + 1)
        words.extend(more)
        counts = {key: counts[key] + found[key] for key in counts}
    return words, counts


_DEPTH_MAX = 32


def _inner_schemas(schema: dict[str, Json]) -> list[tuple[str, Json]]:
    inner: list[tuple[str, Json]] = []
    for key in ("properties", "$defs", "definitions"):
        named = schema.get(key)
        if isinstance(named, dict):
            inner.extend(named.items())
    for key in ("anyOf", "oneOf", "allOf"):
        several = schema.get(key)
        if isinstance(several, list):
            inner.extend(("", one) for one in several)
    inner.append(("", schema.get("items")))
    return inner
