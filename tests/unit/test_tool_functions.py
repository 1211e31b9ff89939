"""The tool's actions as functions and schemas: by themselves, and in the frameworks that are installed."""

from __future__ import annotations

import asyncio
import inspect
import json
from typing import TYPE_CHECKING, Any, get_type_hints

import agents
import pytest
from agents.tool_context import ToolContext
from langchain_core.tools import StructuredTool
from pydantic_ai import Agent
from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import FunctionModel

from tokencalc import TokenCalculatorTool
from tokencalc.errors import CallInvalid
from tokencalc.tool_arguments import ACTIONS, action_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TRACK = {"agent_id": "a", "operation": "o", "model": "gpt-4o", "input_tokens": 1000, "output_tokens": 100}


@pytest.fixture
def tool() -> Iterator[TokenCalculatorTool]:
    """Give a tool over a ledger in memory."""
    made = TokenCalculatorTool(ledger=":memory:")
    yield made
    made.close()


def named(tool: TokenCalculatorTool, action: str) -> Callable[..., Any]:
    """Return one action as a function."""
    (function,) = tool.functions([action])
    return function


def test_there_is_an_async_function_for_every_action(tool: TokenCalculatorTool) -> None:
    functions = tool.functions()
    assert [function.__name__ for function in functions] == list(ACTIONS)
    assert all(inspect.iscoroutinefunction(function) for function in functions)


@pytest.mark.parametrize("action", ACTIONS)
def test_a_function_has_the_arguments_of_its_action(action: str, tool: TokenCalculatorTool) -> None:
    function, schema = named(tool, action), action_schema(action)
    parameters = inspect.signature(function).parameters
    assert set(parameters) == set(schema["properties"])
    assert {name for name, one in parameters.items() if one.default is one.empty} == set(schema.get("required", []))
    hints = get_type_hints(function)
    assert all(hints[name] == one.annotation for name, one in parameters.items())
    assert all(name in (function.__doc__ or "") for name in parameters)


def test_a_function_answers_plain_values_with_every_digit(tool: TokenCalculatorTool) -> None:
    answer = asyncio.run(named(tool, "track_usage")(**TRACK, cost_usd="0.004"))
    assert (answer["cost_usd"], answer["caller_cost_usd"]) == ("0.0035", "0.004")
    assert json.loads(json.dumps(answer)) == answer


def test_a_mistake_is_an_answer(tool: TokenCalculatorTool) -> None:
    answer = asyncio.run(named(tool, "estimate_cost")(model="no-such-model", text="x"))
    assert answer["error"] == "price_unknown"
    assert asyncio.run(named(tool, "estimate_cost")(model="gpt-4o", txt="x"))["error"] == "call_invalid"


@pytest.mark.parametrize(
    ("expected", "call"),
    [
        ("expected one of estimate_cost", lambda tool: tool.functions(["estimate"])),
        ("expected a list of names", lambda tool: tool.functions("estimate_cost")),
        ("expected one of chat, responses, anthropic", lambda tool: tool.schemas("soap")),
        ("expected one of estimate_cost", lambda tool: tool.schemas(actions=["estimate"])),
    ],
)
def test_an_unknown_action_or_shape_is_refused(
    expected: str, call: Callable[[TokenCalculatorTool], object], tool: TokenCalculatorTool
) -> None:
    with pytest.raises(CallInvalid, match=expected):
        call(tool)


@pytest.mark.parametrize(
    ("expected", "shape"),
    [
        (("type", "function"), "chat"),
        (("type", "name", "description", "parameters", "strict"), "responses"),
        (("name", "description", "input_schema"), "anthropic"),
    ],
)
def test_a_schema_has_the_shape_of_its_interface(
    expected: tuple[str, ...], shape: str, tool: TokenCalculatorTool
) -> None:
    found = tool.schemas(shape)
    assert [tuple(one) for one in found] == [expected] * len(ACTIONS)
    assert json.loads(json.dumps(found)) == found
    about = [one.get("function", one) for one in found]
    parameters = [one.get("parameters") or one["input_schema"] for one in about]
    assert [one["name"] for one in about] == list(ACTIONS)
    assert all(one["type"] == "object" and one["additionalProperties"] is False for one in parameters)


# frameworks: docs/tool.md shows the same


def test_openai_agents_takes_the_functions(tool: TokenCalculatorTool) -> None:
    tools = [agents.function_tool(function, strict_mode=False) for function in tool.functions()]
    assert [one.name for one in tools] == list(ACTIONS)
    track = tools[1]
    given = json.dumps(TRACK)
    about = ToolContext(context=None, tool_name=track.name, tool_call_id="1", tool_arguments=given)

    async def invoked() -> Any:
        return await track.on_invoke_tool(about, given)

    assert asyncio.run(invoked())["cost_usd"] == "0.0035"
    assert track.params_json_schema["properties"]["agent_id"]["description"] == "The agent that made the call."


def test_pydantic_ai_takes_the_functions(tool: TokenCalculatorTool) -> None:
    def model(history: list[Any], info: Any) -> Any:
        assert [one.name for one in info.function_tools] == list(ACTIONS)
        if len(history) > 1:
            return ModelResponse(parts=[TextPart(json.dumps(history[-1].parts[0].content))])
        return ModelResponse(parts=[ToolCallPart("track_usage", TRACK)])

    agent = Agent(FunctionModel(model), tools=list(tool.functions()))
    assert json.loads(asyncio.run(agent.run("book it")).output)["cost_usd"] == "0.0035"


def test_langchain_takes_the_functions(tool: TokenCalculatorTool) -> None:
    made = [StructuredTool.from_function(coroutine=function) for function in tool.functions()]
    assert [one.name for one in made] == list(ACTIONS)
    assert asyncio.run(made[1].ainvoke(TRACK))["cost_usd"] == "0.0035"
    assert set(made[1].args) == set(action_schema("track_usage")["properties"])
