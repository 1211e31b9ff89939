"""The tool's actions for agents: plain typed async functions, and what function calling needs to describe them.

Both are made from the models of `tool_arguments`, so that an action has one description. A
function takes its arguments by name, answers plain JSON values (amounts as text,
every digit), and answers a mistake as ``{"error": code, "message": ...}``: an agent
reads it and tries again, where an exception would end its run.
"""

from __future__ import annotations

from functools import reduce
from inspect import Parameter, Signature
from operator import or_
from typing import TYPE_CHECKING, Any, Literal

from tokencalc.errors import CallInvalid
from tokencalc.jsontext import JsonValue, json_value
from tokencalc.tool_arguments import ACTIONS, action_schema

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    Execute = Callable[..., Awaitable[tuple[bool, dict[str, Any]]]]
    ToolFunction = Callable[..., Awaitable[JsonValue]]

SHAPES = ("chat", "responses", "anthropic")
"""How a description is wrapped: OpenAI's chat completions, its responses, Anthropic's messages."""

_PLAIN: dict[str, Any] = {
    "string": str,
    "integer": int,
    "number": float,
    "boolean": bool,
    "array": list[Any],
    "object": dict[str, Any],
}


def functions_of(execute: Execute, actions: Sequence[str] | None = None) -> tuple[ToolFunction, ...]:
    """Return a function for each action, in the order in which they are named; all of them where None.

    Raises CallInvalid for an action that there is none of.
    """
    return tuple(_function(execute, action) for action in _named(actions))


def schemas_of(shape: str = "chat", actions: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Return the actions as function calling takes them: name, description, JSON schema of the arguments.

    Raises CallInvalid for an unknown shape or action.
    """
    if shape not in SHAPES:
        raise CallInvalid(f"shape: expected one of {', '.join(SHAPES)}, found {shape!r:.60}", path="shape", found=shape)
    return [_described(shape, action) for action in _named(actions)]


def _named(actions: Sequence[str] | None) -> tuple[str, ...]:
    if actions is None:
        return tuple(ACTIONS)
    if isinstance(actions, str):
        raise CallInvalid(f"actions: expected a list of names, found {actions!r:.60}", path="actions", found=actions)
    return tuple(dict.fromkeys(actions))


def _described(shape: str, action: str) -> dict[str, Any]:
    parameters = {key: value for key, value in action_schema(action).items() if key not in {"title", "description"}}
    about = {"name": action, "description": _about(action)}
    if shape == "anthropic":
        return {**about, "input_schema": parameters}
    if shape == "responses":
        return {"type": "function", **about, "parameters": parameters, "strict": False}
    return {"type": "function", "function": {**about, "parameters": parameters}}


def _about(action: str) -> str:
    return str(action_schema(action)["description"])


def _function(execute: Execute, action: str) -> ToolFunction:
    schema = action_schema(action)
    required = schema.get("required", [])
    kinds = {name: _kind(about) for name, about in schema["properties"].items()}
    annotations = {name: kind if name in required else kind | None for name, kind in kinds.items()}

    async def call(**arguments: Any) -> JsonValue:
        _, payload = await execute(action, **arguments)
        return json_value(payload)

    # Frameworks read a function by its name, its docstring, its signature and its annotations, and by nothing else.
    call.__name__ = call.__qualname__ = action
    call.__doc__ = _docstring(action, schema["properties"])
    call.__annotations__ = {**annotations, "return": dict[str, Any]}
    parameters = [
        Parameter(
            name,
            Parameter.KEYWORD_ONLY,
            default=Parameter.empty if name in required else None,
            annotation=annotations[name],
        )
        for name in sorted(annotations, key=lambda name: name not in required)
    ]
    call.__dict__["__signature__"] = Signature(parameters, return_annotation=dict[str, Any])
    return call


def _docstring(action: str, properties: dict[str, Any]) -> str:
    lines = [f"    {name}: {about.get('description', '')}" for name, about in properties.items()]
    return "\n".join([_about(action), *(["", "Args:", *lines] if lines else [])])


def _kind(about: dict[str, Any]) -> Any:
    """The plain Python type of a JSON schema of ours."""
    if "anyOf" in about:
        return reduce(or_, (_kind(one) for one in about["anyOf"]))
    if "enum" in about:
        return Literal[tuple(about["enum"])]
    if about["type"] == "array":
        return list[_kind(about["items"])]  # type: ignore[misc]  # a type that is made at run time
    if about["type"] == "object" and isinstance(about.get("additionalProperties"), dict):
        return dict[str, _kind(about["additionalProperties"])]  # type: ignore[misc]  # the same
    return _PLAIN[about["type"]]
