"""Messages of several shapes: what is text is counted, what is not is named, nothing is dropped."""

from __future__ import annotations

from collections import UserList
from typing import Any

import pytest

from tokencalc.errors import TextInvalid
from tokencalc.tokens.count import count_messages, count_text
from tokencalc.tokens.messages import MESSAGES_MAX, UNACCOUNTED_MAX, read_messages

USER = {"role": "user", "content": "What is the capital of Mexico?"}
SYSTEM = {"role": "system", "content": "You are a helpful assistant."}
ANSWER = {"role": "assistant", "content": "Mexico City."}


def _texts(messages: Any) -> list[str]:
    return [part.text for part in read_messages(messages).texts]


@pytest.mark.parametrize(
    ("expected", "model", "messages"),
    [
        (7 + 7, "gpt-4o", [USER]),
        (11 + 7 + 6, "gpt-4o", [SYSTEM, USER]),
        (19 + 7 + 6 + 3 + 7, "gpt-4o", [SYSTEM, USER, ANSWER, USER]),
        (7 + 1 + 1 + 7, "gpt-4o", [{**USER, "name": "ann"}]),
        (6 + 7, "gpt-5-2025-08-07", [USER]),
        (6 + 7, "openai/o4-mini", [USER]),
        (14 + 7 + 3 + 7, "o3-mini", [USER, ANSWER, USER]),
    ],
)
def test_openai_adds_what_was_measured_around_each_message(
    expected: int, model: str, messages: list[dict[str, object]]
) -> None:
    assert expected == count_messages(messages, tokenizer="openai", encoding="o200k_base", model=model).tokens


@pytest.mark.parametrize(
    ("around", "tokenizer", "model", "messages"),
    [
        (7, "claude", "claude-sonnet-4-5", [USER]),
        (7, "claude", "claude-sonnet-4-5", [SYSTEM, USER]),
        (13, "claude_4_7", "claude-opus-4-8", [SYSTEM, USER, ANSWER, USER]),
        (1, "gemini", "gemini-2.5-flash", [USER]),
        (0, "gemini", "gemini-2.0-flash", [USER]),
        (3, "mistral", "mistral-large-latest", [USER]),
        (10, "llama", "llama3-8b-8192", [USER]),
        (47, "llama", "llama-3.3-70b-versatile", [USER]),
        (71, "gpt_oss", "openai/gpt-oss-120b", [USER]),
        (8, "qwen", "qwen/qwen3-32b", [USER]),
    ],
)
def test_other_families_add_their_own_envelope(
    around: int, tokenizer: str, model: str, messages: list[dict[str, str]]
) -> None:
    inside = sum(count_text(message["content"], tokenizer=tokenizer, encoding=None).tokens for message in messages)
    counted = count_messages(messages, tokenizer=tokenizer, encoding=None, model=model)
    # Weights are parts of tokens: they are summed first and rounded once.
    assert abs(around - (counted.tokens - inside)) <= 2
    assert counted.low <= counted.tokens <= counted.high
    assert counted.method != "exact"


SHAPES = {
    "openai": [{"role": "system", "content": "be"}, {"role": "user", "content": "hi"}],
    "openai_parts": [
        {"role": "system", "content": [{"type": "text", "text": "be"}]},
        {"role": "user", "content": [{"type": "text", "text": "hi"}]},
    ],
    "responses": {"instructions": "be", "input": "hi"},
    "responses_items": [
        {"type": "message", "role": "developer", "content": "be"},
        {"role": "user", "content": [{"type": "input_text", "text": "hi"}]},
    ],
    "anthropic": {"system": [{"type": "text", "text": "be"}], "messages": [{"role": "user", "content": "hi"}]},
    "gemini": {
        "systemInstruction": {"parts": [{"text": "be"}]},
        "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
    },
    "bare_texts": ["be", "hi"],
}


@pytest.mark.parametrize("messages", SHAPES.values(), ids=SHAPES)
def test_every_shape_gives_the_same_texts_and_leaves_nothing_out(messages: Any) -> None:
    request = read_messages(messages)
    assert [part.text for part in request.texts] == ["be", "hi"]
    assert len(request.roles) == 2
    assert request.unaccounted == ()


CALLS: dict[str, list[object]] = {
    "openai": [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}],
        },
        {"role": "tool", "tool_call_id": "c", "content": "done"},
    ],
    "responses": [
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"a": 1}'},
        {"type": "function_call_output", "call_id": "c", "output": "done"},
    ],
    "anthropic": [
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": "done"}]},
    ],
    "gemini": [
        {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"a": 1}}}]},
        {"role": "user", "parts": [{"functionResponse": {"response": "done"}}]},
    ],
}


@pytest.mark.parametrize("messages", CALLS.values(), ids=CALLS)
def test_calls_and_their_results_are_text_of_the_prompt(messages: list[object]) -> None:
    request = read_messages(messages)
    assert [part.text for part in request.texts] == ["f", '{"a": 1}', "done"]
    assert (request.tool_calls, request.tool_results) == (1, 1)
    assert request.unaccounted == ()


def test_a_call_makes_an_openai_count_modelled_with_a_range() -> None:
    counted = count_messages([USER, *CALLS["openai"]], tokenizer="openai", encoding="o200k_base", model="gpt-4o")
    assert counted.method == "modelled"
    assert counted.low < counted.tokens < counted.high


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        ("messages[0].content[0]: image_url", {"role": "user", "content": [{"type": "image_url", "image_url": {}}]}),
        ("messages[0].content[0]: document", {"role": "user", "content": [{"type": "document", "source": {}}]}),
        ("messages[0].content[0]: thinking", {"role": "assistant", "content": [{"type": "thinking", "thinking": "?"}]}),
        ("messages[0].parts[0].inlineData: dict", {"role": "user", "parts": [{"inlineData": {"data": "AA"}}]}),
        ("messages[0].audio: dict", {"role": "assistant", "audio": {"id": "audio_1"}}),
        ("messages[0]: reasoning", {"type": "reasoning", "encrypted_content": "AA"}),
        ("messages[0].price: int", {"role": "user", "content": "hi", "price": 3}),
    ],
)
def test_what_cannot_be_counted_is_named_by_its_path(expected: str, message: dict[str, object]) -> None:
    counted = count_messages([message], tokenizer="openai", encoding="o200k_base", model="gpt-4o")
    assert (expected,) == counted.unaccounted
    assert counted.method == "modelled"


def test_what_only_the_provider_has_is_named_too() -> None:
    body = {"messages": [USER], "tools": [{"type": "web_search_20250305"}], "container": "c_1", "temperature": 1}
    counted = count_messages(body, tokenizer="claude", encoding=None)
    assert counted.unaccounted == ("container: kept by the provider", "tools[0]: web_search_20250305")


def test_an_endless_list_of_images_is_named_in_part_and_told_in_number() -> None:
    images = [{"type": "image"}] * (UNACCOUNTED_MAX + 7)
    unaccounted = read_messages([{"role": "user", "content": images}]).unaccounted
    assert (len(unaccounted), unaccounted[-1]) == (UNACCOUNTED_MAX + 1, "7 more")


def test_an_sdk_object_is_read_as_what_it_would_send() -> None:
    class Message:
        def model_dump(self, *, exclude_none: bool) -> dict[str, object]:
            assert exclude_none
            return dict(USER)

    assert _texts([Message()]) == [USER["content"]]


@pytest.mark.parametrize(
    ("match", "messages"),
    [
        (r"messages: expected a list of 1 to \d+ messages, found str 'hi'", "hi"),
        (r"messages: expected a list of 1 to \d+ messages, found NoneType None", None),
        (r"messages: expected a list of 1 to \d+ messages, found list \[\]", []),
        (r"messages: expected a list of 1 to \d+ messages, found list_iterator", iter([USER])),
        (r"messages: expected a list, or a body with one of messages, contents, input", {"prompt": "hi"}),
        (r"messages\[1\]: expected a message with a role and content, found int 7", [USER, 7]),
        (r"messages\[0\]\.role: expected text, found int 3", [{"role": 3, "content": "hi"}]),
        (r"messages\[0\]\.content: expected text or parts, found int 3", [{"role": "user", "content": 3}]),
        (r"messages\[0\]\.content: expected text or parts, found bytes", [{"role": "user", "content": b"hi"}]),
        (r"messages\[0\]\.tool_calls\[0\]: expected a tool call", [{"role": "assistant", "tool_calls": [3]}]),
        (r"expected an object that can be dumped", [type("Broken", (), {"model_dump": lambda _: None})()]),
    ],
)
def test_what_are_no_messages_is_refused_by_path(match: str, messages: Any) -> None:
    with pytest.raises(TextInvalid, match=match):
        count_messages(messages, tokenizer="openai", encoding="o200k_base")


def test_too_many_messages_are_refused_before_one_is_read() -> None:
    with pytest.raises(TextInvalid, match="expected a list of 1 to"):
        read_messages(UserList([USER]) * (MESSAGES_MAX + 1))


def test_parts_without_end_are_refused() -> None:
    content: list[object] = []
    content.append(content)
    with pytest.raises(TextInvalid, match="nested deeper than 16"):
        read_messages([{"role": "user", "content": content}])


def test_arguments_without_end_are_refused() -> None:
    arguments: dict[str, object] = {}
    arguments["again"] = arguments
    with pytest.raises(TextInvalid, match="cannot be written as JSON"):
        read_messages([{"role": "assistant", "content": [{"type": "tool_use", "name": "f", "input": arguments}]}])


def test_texts_that_are_too_long_only_together_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tokencalc.tokens.count.TEXT_CHARS_MAX", 40)
    with pytest.raises(TextInvalid, match="messages: 60 characters are more than the 40"):
        count_messages([USER, USER], tokenizer="openai", encoding="o200k_base")
