"""The verb count: of the package, of the engine and of its async twin."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

import tokencalc
from tokencalc import AsyncEngine, Engine, count
from tokencalc.errors import CallInvalid, TextInvalid
from tokencalc.tokens.count import INTERFACES

if TYPE_CHECKING:
    from collections.abc import Iterator

USER = {"role": "user", "content": "What is the capital of Mexico?"}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [{"type": "function", "function": {"name": "get_weather", "description": "Weather.", "parameters": SCHEMA}}]
MODELS = [
    "gpt-4o",
    "gpt-5",
    "claude-sonnet-4-5",
    "claude-opus-4-8",
    "gemini-2.5-flash",
    "gemini-3-flash-preview",
    "mistral-large-latest",
    "llama-3.3-70b-versatile",
    "meta-llama/llama-4-scout-17b-16e-instruct",
    "openai/gpt-oss-120b",
    "qwen/qwen3-32b",
    "a-model-of-nobody",
]


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Engine.open(":memory:") as opened:
        yield opened


@pytest.mark.parametrize("model", MODELS)
def test_everything_that_is_sent_counts(model: str) -> None:
    plain = count(model, messages=[USER])
    tools = count(model, messages=[USER], tools=TOOLS)
    more = count(model, messages=[USER], tools=TOOLS * 3)
    assert 0 < plain.low <= plain.tokens <= plain.high
    assert plain.tokens < tools.tokens < more.tokens
    assert tools.low <= tools.tokens <= tools.high
    assert tools.unaccounted == ()


@pytest.mark.parametrize(
    ("expected", "model", "arguments"),
    [
        (4, "gpt-4o", {"text": "Analyze this code snippet"}),
        (14, "gpt-4o", {"messages": [USER]}),
        (13, "gpt-5", {"messages": [USER]}),
        (14, "gpt-4-0613", {"messages": [USER]}),
        (46, "gpt-4o", {"messages": [USER], "tools": TOOLS}),
        (62, "gpt-4o", {"messages": [USER], "tools": TOOLS, "tool_choice": TOOLS[0]}),
        (14, "gpt-4o", {"messages": [USER], "tools": TOOLS, "tool_choice": "none"}),
        (40, "gpt-4o", {"messages": [USER], "tools": TOOLS, "interface": "responses"}),
        (40, "gpt-4o", {"messages": {"input": [USER], "tools": [{"type": "function", **TOOLS[0]["function"]}]}}),  # type: ignore[dict-item]  # a function, as above
        (14 + 765, "gpt-4o", {"messages": [USER], "images": [(1024, 1024)]}),
    ],
)
def test_openai_is_counted_to_the_token(expected: int, model: str, arguments: dict[str, Any]) -> None:
    assert expected == count(model, **arguments).tokens


@pytest.mark.parametrize("model", ["claude-sonnet-4-5", "claude-opus-4-8"])
def test_claude_is_billed_for_tools_that_it_must_not_call(model: str) -> None:
    # One tool forbidden was billed 567 tokens, and 566 where it was free.
    free = count(model, messages=[USER], tools=TOOLS)
    assert free == count(model, messages=[USER], tools=TOOLS, tool_choice="none")
    assert free == count(model, messages=[USER], tools=TOOLS, tool_choice={"type": "none"})


def test_llama_4_is_not_billed_for_tools_that_it_must_not_call() -> None:
    model = "meta-llama/llama-4-scout-17b-16e-instruct"
    assert count(model, messages=[USER]) == count(model, messages=[USER], tools=TOOLS, tool_choice="none")


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-5", "gemini-2.5-flash", "mistral-large-latest", "a-model-of-nobody"])
def test_forbidden_tools_are_in_the_range_where_no_bill_tells(model: str) -> None:
    plain, free = count(model, messages=[USER]), count(model, messages=[USER], tools=TOOLS)
    found = count(model, messages=[USER], tools=TOOLS, tool_choice="none")
    assert (plain.low, plain.tokens, free.high) == (found.low, found.tokens, found.high)
    assert found.method != "exact"


def test_what_is_no_text_in_its_place_is_read_as_messages() -> None:
    assert count("gpt-4o", [USER]) == count("gpt-4o", messages=[USER])
    assert count("gpt-4o", {"messages": [USER]}) == count("gpt-4o", messages=[USER])


def test_a_text_with_tools_is_one_message_of_a_user() -> None:
    assert count("gpt-4o", USER["content"], tools=TOOLS) == count("gpt-4o", messages=[USER], tools=TOOLS)


def test_the_engine_and_its_twin_count_as_the_package_does(engine: Engine) -> None:
    async def counted() -> tokencalc.TokenCount:
        async with AsyncEngine.open(":memory:") as twin:
            return await twin.count("claude-sonnet-4-5", messages=[USER], tools=TOOLS)

    expected = count("claude-sonnet-4-5", messages=[USER], tools=TOOLS)
    assert expected == engine.count("claude-sonnet-4-5", messages=[USER], tools=TOOLS)
    assert expected == asyncio.run(counted())


def test_an_estimate_and_a_reserve_pay_for_tools_and_images(engine: Engine) -> None:
    given: dict[str, Any] = {"model": "gpt-4o", "messages": [USER], "max_output_tokens": 10}
    plain, full = engine.estimate(**given), engine.estimate(**given, tools=TOOLS, images=[(1024, 1024)])
    assert full.input_tokens - plain.input_tokens == 46 - 14 + 765
    assert full.high >= full.input_tokens
    held, held_full = engine.reserve(**given), engine.reserve(**given, tools=TOOLS, images=[(1024, 1024)])
    assert held.amount_usd < held_full.amount_usd == full.cost_max_usd


def test_a_model_that_no_table_knows_is_counted_by_what_its_name_says() -> None:
    known, guessed = count("claude-sonnet-4-5", messages=[USER]), count("claude-sonnet-4-5-of-ours", messages=[USER])
    assert known.tokens == guessed.tokens
    assert count("gpt-4o-of-ours", messages=[USER]).method == "estimated"
    nobody = count("nobody-1", messages=[USER])
    assert nobody.method == "estimated"
    assert nobody.high > 2 * nobody.low


@pytest.mark.parametrize(
    ("error", "match", "arguments"),
    [
        (CallInvalid, "expected one of text, messages, found none", {}),
        (CallInvalid, "expected one of text, messages, found both", {"text": "a", "messages": [USER]}),
        (CallInvalid, "count: unknown argument 'tool'; allowed: images, interface, ", {"text": "a", "tool": []}),
        (TextInvalid, "text: expected some text to count, found str ''", {"text": ""}),
        (TextInvalid, "messages: expected a list of 1 to", {"messages": []}),
        (TextInvalid, "tools: expected a list of up to", {"messages": [USER], "tools": 3}),
        (TextInvalid, "interface: expected one of chat, responses, vertex or None", {"text": "a", "interface": "x"}),
    ],
)
def test_what_cannot_be_counted_is_refused_with_a_way_out(
    error: type[Exception], match: str, arguments: dict[str, Any]
) -> None:
    with pytest.raises(error, match=match):
        count("gpt-4o", **arguments)


def test_every_interface_counts() -> None:
    for interface in INTERFACES:
        assert count("gemini-2.5-flash", messages=[USER], interface=interface).tokens > 5
