"""A provider's error costs nothing; what only looks like one does not become free."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tokencalc import Engine
from tokencalc.errors import UsageInvalid, UsageMissing
from tokencalc.providers.registry import read_usage


@pytest.mark.parametrize(
    ("expected", "body"),
    [
        (" (invalid_request_error)", {"error": {"message": "no", "type": "invalid_request_error", "code": "x"}}),
        (" (overloaded_error)", {"type": "error", "error": {"type": "overloaded_error"}, "request_id": "r"}),
        (" (429)", {"error": {"code": 429, "message": "slow down"}}),
        (" (NOT_FOUND)", {"error": {"code": None, "status": "NOT_FOUND"}}),
        (" (server_error)", {"type": "error", "code": "server_error", "message": "busy"}),
        (" (ValidationException)", {"__type": "ValidationException", "message": "no such model"}),
        (" (throttlingException)", {"throttlingException": {"message": "slow down"}}),
        ("", {"error": "model not loaded"}),
        ("", {"error": {"message": "no"}, "usage": None, "output": []}),
        ("", {"message": "no such model"}),
        ("", {"id": "x", "message": "no such model"}),
        ("", {"type": "error"}),
        (" (2)", {"error": {"type": True, "code": 2}}),
        (r" ('\x1b[31m')", {"error": {"type": "\x1b[31m"}}),
    ],
)
def test_an_error_has_an_empty_usage_and_says_its_kind(expected: str, body: dict[str, Any]) -> None:
    usage = read_usage(body)
    assert usage.leaves == ()
    assert usage.notes == (f"the provider answered with an error{expected}: nothing was used",)
    assert not usage.is_interrupted
    assert read_usage([body]) == usage


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"code": 502}, "choices": [{"message": {"content": "half an ans"}}]},
        {"error": {"code": "server_error"}, "output": [{"type": "message"}]},
        {"candidates": [{}]},
    ],
)
def test_an_answer_without_usage_is_not_free_with_an_error_beside_it_or_without(body: dict[str, Any]) -> None:
    with pytest.raises(UsageMissing, match="this body has an answer and says no usage"):
        read_usage(body)
    with pytest.raises(UsageMissing, match="usage: null in this body"):
        read_usage({**body, "usage": None})


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"code": 1}, "eval_tokens": 5},
        {"error": 5},
        {"error": {}},
        {"message": {"role": "assistant"}},
        {"message": "hello", "role": "assistant"},
    ],
)
def test_what_only_looks_like_an_error_is_not_free(body: dict[str, Any]) -> None:
    with pytest.raises(UsageInvalid, match="cannot tell the format"):
        read_usage(body)
    with pytest.raises(UsageMissing, match="usage: null in this body"):
        read_usage({**body, "usage": None})


def test_a_usage_beside_an_error_counts() -> None:
    usage = read_usage({"error": {"code": 502}, "usage": {"prompt_tokens": 3, "completion_tokens": 1}})
    assert (usage.input_tokens, usage.output_tokens) == (3, 1)


def test_an_error_is_priced_at_nothing() -> None:
    with Engine.open(":memory:") as engine:
        cost = engine.price(provider="openai", model="gpt-4o", usage={"error": {"type": "server_error"}})
        assert cost.total_usd == Decimal(0)
        assert "nothing was used" in cost.notes[0]
        entry = engine.record(provider="openai", model="gpt-4o", usage={"error": {"type": "server_error"}})
        assert entry.amount_usd == Decimal(0)
