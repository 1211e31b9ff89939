"""Tools as the TypeScript that OpenAI's models are shown, by which they are billed.

The form was found by fitting recorded requests, and agrees with the openly published form of gpt-oss: a namespace
of types, titles and descriptions as comments, defaults behind the line.
"""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tokencalc.tokens.definitions import Json, Tool

_DEPTH_MAX = 32
"""A schema that nests deeper is written as its JSON, which is longer: never left out."""

HEADER = "# Tools\n\n## functions\n\n"


class Renderer:
    """Renders tools; ``nested`` counts the objects inside others, ``inline`` puts uncommented ones on one line."""

    def __init__(self, *, inline: bool) -> None:
        """Make a renderer for GPT-4 generations (``inline``) or for later ones."""
        self.inline = inline
        self.nested = 0
        self._named: dict[str, Json] = {}
        self._budget = 0

    def tools(self, tools: Iterable[Tool]) -> str:
        """Return the whole namespace."""
        lines = ["namespace functions {", ""]
        for tool in tools:
            lines.extend(_comment(tool.description))
            self._named = _definitions(tool.parameters)
            self._budget = _EXPANSIONS_MAX
            if tool.parameters.get("properties"):
                lines.append(f"type {tool.name} = (_: {self._object(tool.parameters, 0, headed=True)}) => any;")
            else:
                lines.append(f"type {tool.name} = () => any;")
            lines.append("")
        return "\n".join([*lines, "} // namespace functions"])

    def _object(self, schema: dict[str, Json], depth: int, *, headed: bool) -> str:
        self.nested += depth > 0
        lines = self._properties(schema, depth)
        if self.inline and not any("//" in line or "{" in line for line in lines):
            body = " " + " ".join(lines).rstrip(",") + " "
        else:
            body = "\n" + "\n".join(lines) + "\n"
        head = [*_comment(schema.get("title")), *_comment(schema.get("description"))] if headed else []
        return "".join(f"{line}\n" for line in head) + "{" + body + "}"

    def _properties(self, schema: dict[str, Json], depth: int) -> list[str]:
        lines: list[str] = []
        required = schema.get("required")
        required = {name for name in required if isinstance(name, str)} if isinstance(required, list) else set()
        properties = schema.get("properties")
        for name, raw in (properties if isinstance(properties, dict) else {}).items():
            inner = raw if isinstance(raw, dict) else {}
            head = [*_comment(inner.get("title")), *_comment(inner.get("description"))]
            mark = "" if name in required else "?"
            line = f"{name}{mark}: {self._type(inner, depth + 1, headed=not head)},"
            if "default" in inner:
                default = inner["default"]
                line += f" // default: {default if isinstance(default, str) else json.dumps(default)}"
            lines.extend([*head, line])
        return lines

    def _type(self, schema: Json, depth: int, *, headed: bool) -> str:  # noqa: PLR0911  # one line for each kind
        if not isinstance(schema, dict):
            return "any"
        if depth > _DEPTH_MAX:
            return json.dumps(schema, ensure_ascii=False)
        reference = schema.get("$ref")
        if isinstance(reference, str):
            return self._referred(reference, depth, headed=headed)
        for key, mark in (("anyOf", "|"), ("oneOf", "|"), ("allOf", "&")):
            several = schema.get(key)
            if isinstance(several, list) and several:
                return mark.join(self._type(one, depth + 1, headed=headed) for one in several)
        for key in ("enum", "const"):
            if key in schema:
                values = schema[key] if isinstance(schema[key], list) else [schema[key]]
                return " | ".join(json.dumps(value, ensure_ascii=False) for value in values)
        if schema.get("properties"):
            return self._object(schema, depth, headed=headed)
        return self._simple(schema, depth, headed=headed)

    def _referred(self, reference: str, depth: int, *, headed: bool) -> str:
        name = reference.rsplit("/", 1)[-1]
        # A schema that refers to itself, or many times to others, is expanded so often and then named.
        self._budget -= 1
        if name in self._named and self._budget >= 0 and depth < _REFERENCE_DEPTH_MAX:
            return self._type(self._named[name], depth + 1, headed=headed)
        return name

    def _simple(self, schema: dict[str, Json], depth: int, *, headed: bool) -> str:
        kind = schema.get("type")
        if isinstance(kind, list):
            return " | ".join(_word(one) for one in kind)
        word = _word(kind)
        if word == "array":
            return f"{self._type(schema['items'], depth + 1, headed=headed)}[]" if "items" in schema else "any[]"
        return word


_EXPANSIONS_MAX = 200
_REFERENCE_DEPTH_MAX = 8
_WORDS = {"integer": "number", "INTEGER": "number"}


def _word(kind: Json) -> str:
    return _WORDS.get(kind, kind.lower()) if isinstance(kind, str) else "any"


def _comment(text: Json) -> list[str]:
    if not isinstance(text, str) or not text:
        return []
    lines = (line.strip() for line in inspect.cleandoc(text).split("\n"))
    return [f"// {line}" if line else "//" for line in lines]


def _definitions(schema: dict[str, Json]) -> dict[str, Json]:
    return {
        name: inner
        for key in ("$defs", "definitions")
        if isinstance(named := schema.get(key), dict)
        for name, inner in named.items()
    }
