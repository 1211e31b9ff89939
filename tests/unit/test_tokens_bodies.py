"""A request's whole body: each key is counted, known to cost nothing, or named; what it asks for is held to."""

from __future__ import annotations

from typing import Any

import pytest

from tokencalc import Engine, count
from tokencalc.errors import TextInvalid, UsageInvalid
from tokencalc.tokens.bodies import Asked, asked
from tokencalc.tokens.names import server_side

HI = [{"role": "user", "content": "hi"}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTION = {"name": "get_weather", "description": "Weather.", "parameters": SCHEMA}


@pytest.mark.parametrize(
    ("expected", "beside"),
    [
        ("web_search_options: may hold input", {"web_search_options": {"search_context_size": "low"}}),
        ("documents: may hold input", {"documents": [{"text": "a page"}]}),
        ("plugins: may hold input", {"plugins": [{"id": "web"}]}),
        ("suffix: may hold input", {"suffix": "the end"}),
        ("text: may hold input", {"text": "no settings, but words"}),
        ("safe_prompt: may hold input", {"safe_prompt": True}),
        ("a_key_of_next_year: may hold input", {"a_key_of_next_year": 1}),
        ("7: may hold input", {7: "odd"}),
        ("prompt: kept by the provider", {"prompt": {"id": "p_1", "variables": {"city": "Rome"}}}),
        ("cached_content: kept by the provider", {"cached_content": "c"}),
        ("cachedContent: kept by the provider", {"cachedContent": "c"}),
        ("extra_body.documents: may hold input", {"extra_body": {"documents": ["a"]}}),
        ("config.cached_content: kept by the provider", {"config": {"cached_content": "c"}}),
        ("generationConfig.mediaResolution: may hold input", {"generationConfig": {"mediaResolution": "HIGH"}}),
        ("config: may hold input", {"config": "words"}),
        ("reasoning: mode pro", {"reasoning": {"mode": "pro", "effort": "high"}}),
        ("reasoning: notes", {"reasoning": {"notes": "think of Rome"}}),
    ],
)
def test_a_key_that_may_hold_input_is_named(expected: str, beside: dict[Any, Any]) -> None:
    counted = count("gpt-4o", {"messages": HI, **beside})
    assert ((expected,), "modelled") == (counted.unaccounted, counted.method)


FREE_BODIES: list[dict[str, Any]] = [
    {"temperature": 0.2, "top_p": 1, "seed": 7, "stream": True, "metadata": {"a": "b"}, "user": "u", "store": True},
    {"n": 2, "max_tokens": 10, "stop": ["x"], "model": "gpt-4o", "logprobs": True, "reasoning": {"effort": "low"}},
    {"reasoning": {"mode": "standard"}, "web_search_options": None, "documents": [], "plugins": {}, "prompt": ""},
    {"generationConfig": {"temperature": 1, "maxOutputTokens": 5, "candidateCount": 1, "stopSequences": ["x"]}},
    {"config": {"temperature": 1, "max_output_tokens": 5, "thinking_config": {"thinking_budget": 0}}},
    {"inferenceConfig": {"maxTokens": 10, "topP": 1}, "extra_headers": {"x": "y"}, "timeout": 3},
]


@pytest.mark.parametrize("beside", FREE_BODIES)
def test_a_key_that_steers_costs_nothing(beside: dict[str, Any]) -> None:
    assert count("gpt-4o", messages=HI) == count("gpt-4o", {"messages": HI, **beside})


class _NotGiven:
    """What SDKs put where a caller gave nothing."""

    def __bool__(self) -> bool:
        return False


def test_what_an_sdk_was_not_given_is_nothing() -> None:
    body = {"messages": HI, "container": _NotGiven(), "tools": _NotGiven(), "a_key_of_next_year": _NotGiven()}
    assert count("gpt-4o", messages=HI) == count("gpt-4o", body)


def test_the_sdks_config_is_read_as_rest() -> None:
    tools = [{"function_declarations": [FUNCTION]}]
    rest = {
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
        "tools": tools,
        "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
        "generationConfig": {"responseSchema": SCHEMA, "responseMimeType": "application/json"},
    }
    config = {
        "system_instruction": "Be brief.",
        "tools": tools,
        "tool_config": {"function_calling_config": {"mode": "ANY"}},
        "response_schema": SCHEMA,
        "response_mime_type": "application/json",
    }
    expected = count("gemini-2.5-flash", rest)
    assert expected.tokens > 30
    for contents in ("hi", {"role": "user", "parts": [{"text": "hi"}]}, [{"parts": [{"text": "hi"}]}]):
        assert expected == count("gemini-2.5-flash", {"contents": contents, "config": config})


def test_bedrocks_tools_are_beside_their_choice() -> None:
    spec = {"toolSpec": {"name": "get_weather", "description": "Weather.", "inputSchema": {"json": SCHEMA}}}
    tools = [{"name": "get_weather", "description": "Weather.", "input_schema": SCHEMA}]
    body = {"messages": HI, "toolConfig": {"tools": [spec], "toolChoice": {"any": {}}}}
    assert count("claude-sonnet-4-5", messages=HI, tools=tools, tool_choice="any") == count("claude-sonnet-4-5", body)


def test_a_legacy_function_call_is_the_choice_of_a_tool() -> None:
    body = {"messages": HI, "functions": [FUNCTION], "function_call": {"name": "get_weather"}}
    forced = {"type": "function", "function": {"name": "get_weather"}}
    assert count("gpt-4o", messages=HI, tools=[FUNCTION], tool_choice=forced).tokens == count("gpt-4o", body).tokens


@pytest.mark.parametrize("body", [{"messages": HI, "input": "hi"}, {"model": "gpt-4o"}, {"messages": None}])
def test_a_body_has_its_messages_once(body: dict[str, Any]) -> None:
    with pytest.raises(TextInvalid, match="a body with one of messages, contents, input"):
        count("gpt-4o", body)


@pytest.mark.parametrize(
    ("expected", "body"),
    [
        (Asked(), HI),
        (Asked(), {"messages": HI}),
        (Asked(4, 100), {"n": 4, "max_tokens": 100}),
        (Asked(None, 200), {"max_tokens": 100, "max_completion_tokens": 200}),
        (Asked(3, 50), {"generationConfig": {"candidateCount": 3, "maxOutputTokens": 50}}),
        (Asked(3, 50), {"config": {"candidate_count": 3, "max_output_tokens": 50}}),
        (Asked(None, 60), {"inferenceConfig": {"maxTokens": 60}, "n": None}),
        (Asked("four"), {"n": "four"}),
    ],
)
def test_a_body_says_how_much_output_it_asks_for(expected: Asked, body: object) -> None:
    assert expected == asked(body)


def test_an_estimate_holds_to_what_the_body_asks_for() -> None:
    body = {"messages": HI, "n": 4, "max_tokens": 100}
    with Engine.open(":memory:") as engine:
        found = engine.estimate(model="gpt-4o", messages=body)
        said = engine.estimate(model="gpt-4o", messages=HI, choices=4, max_output_tokens=100)
        own = engine.estimate(model="gpt-4o", messages=body, choices=2, max_output_tokens=7)
        held = engine.reserve(model="gpt-4o", messages=body)
        assert (400, said.cost_max_usd) == (found.output_tokens_max, found.cost_max_usd)
        assert (14, said.cost_max_usd) == (own.output_tokens_max, held.amount_usd)
        with pytest.raises(UsageInvalid, match="choices: expected an integer"):
            engine.estimate(model="gpt-4o", messages={**body, "n": "four"})


@pytest.mark.parametrize(
    ("expected", "model", "text"),
    [
        (8, "gpt-4o", "hi"),
        (72, "openai/gpt-oss-120b", "hi"),
        (48, "llama-3.3-70b-versatile", "hi"),
        (1, "text-embedding-3-small", "hi"),
        (1, "gpt-3.5-turbo-instruct", "hi"),
    ],
)
def test_an_estimate_prices_a_text_as_it_is_sent(expected: int, model: str, text: str) -> None:
    with Engine.open(":memory:") as engine:
        found = engine.estimate(model=model, text=text, max_output_tokens=5)
        assert expected == found.input_tokens
        assert count(model, text).tokens == 1
        assert count(model, text) == count(model, text, tools=[], images=(), thinking=False)


@pytest.mark.parametrize(
    ("named", "model"),
    [
        (True, "gpt-4o-search-preview-2025-03-11"),
        (True, "gpt-5-search-api"),
        (True, "gpt-4o-audio-preview-2024-12-17"),
        (True, "gpt-audio-mini"),
        (True, "o3-deep-research"),
        (True, "groq/compound"),
        (True, "compound-beta-mini"),
        (True, "o3-pro"),
        (True, "openai/o1-pro-2025-03-19"),
        (True, "gpt-5.4-pro-2026-03-05"),
        (True, "openai/gpt-4o:online"),
        (False, "gpt-5-pro-2025-10-06"),
        (False, "gemini-2.5-pro"),
        (False, "deepseek-v4-pro"),
        (False, "gpt-4o-mini"),
        (False, "gpt-4o-mini-tts"),
        (False, "research-1"),
    ],
)
def test_what_servers_add_is_named_by_the_models_name(named: bool, model: str) -> None:  # noqa: FBT001
    assert named == bool(server_side(model))
    counted = count(model, messages=HI)
    assert named == bool(counted.unaccounted)
    assert not (named and counted.method == "exact")
