"""Record and settle take what the five providers answer, as it came."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.calls import figures, usd
from tokencalc import Budget, Engine, Usage
from tokencalc.clock import ManualClock
from tokencalc.config import Settings
from tokencalc.errors import PriceUnknown, UsageInvalid

if TYPE_CHECKING:
    from collections.abc import Iterator

CHAT = {
    "prompt_tokens": 1000,
    "completion_tokens": 100,
    "total_tokens": 1100,
    "prompt_tokens_details": {"cached_tokens": 400},
}
PAYLOADS: dict[str, tuple[dict[str, Any], tuple[int, int, int]]] = {
    "openai": ({"object": "chat.completion", "model": "gpt-4o", "choices": [], "usage": CHAT}, (1000, 400, 100)),
    "anthropic": (
        {
            "type": "message",
            "model": "claude-sonnet-4-5",
            "content": [],
            "usage": {
                "input_tokens": 600,
                "cache_read_input_tokens": 400,
                "cache_creation_input_tokens": 0,
                "output_tokens": 100,
            },
        },
        (1000, 400, 100),
    ),
    "google": (
        {
            "candidates": [],
            "modelVersion": "gemini-2.5-flash",
            "usageMetadata": {
                "promptTokenCount": 1000,
                "cachedContentTokenCount": 400,
                "candidatesTokenCount": 60,
                "thoughtsTokenCount": 40,
                "totalTokenCount": 1100,
            },
        },
        (1000, 400, 100),
    ),
    "groq": (
        {
            "object": "chat.completion",
            "model": "llama-3.3-70b-versatile",
            "choices": [],
            "usage": {**CHAT, "prompt_tokens_details": None, "queue_time": 0.1, "total_time": 0.5},
            "x_groq": {"id": "req_1"},
        },
        (1000, 0, 100),
    ),
    "mistral": (
        {
            "object": "chat.completion",
            "model": "mistral-large-latest",
            "choices": [],
            "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
        },
        (1000, 0, 100),
    ),
}


@pytest.fixture
def engine() -> Iterator[Engine]:
    """Give an engine whose books must balance in the end."""
    with Engine.open(":memory:", clock=ManualClock(), settings=Settings()) as engine:
        engine.set_budget(Budget(name="b", limit_usd=1))
        yield engine
        assert engine.verify().problems == ()


@pytest.mark.parametrize("provider", PAYLOADS)
def test_a_payload_is_recorded_as_it_is_priced(engine: Engine, provider: str) -> None:
    payload, tokens = PAYLOADS[provider]
    cost = engine.price(provider=provider, usage=payload)
    entry = engine.record(provider=provider, usage=payload)
    assert (provider, cost.total_usd, cost.lines) == (entry.provider, entry.amount_usd, entry.lines)
    assert cost.total_usd is not None
    assert cost.total_usd > 0
    assert sum((line.amount_usd for line in entry.lines), Decimal(0)) == cost.total_usd
    assert entry.usage is not None
    assert tokens == (entry.usage.input_tokens, entry.usage.cache_read_tokens, entry.usage.output_tokens)
    (read,) = engine.entries()
    assert (entry.lines, entry.amount_usd, entry.digest) == (read.lines, read.amount_usd, read.digest)


@pytest.mark.parametrize("provider", PAYLOADS)
def test_a_payload_settles_its_hold_once(engine: Engine, provider: str) -> None:
    payload, _ = PAYLOADS[provider]
    model = str(payload.get("model") or payload["modelVersion"])
    hold = engine.reserve(provider=provider, model=model, input_tokens=1000, max_output_tokens=100)
    first = engine.settle(hold, usage=payload)
    again = engine.settle(hold, usage=payload)
    assert (first.entry_id, True) == (again.entry_id, again.replayed)
    assert first.amount_usd is not None
    assert first.amount_usd <= hold.amount_usd
    assert figures(engine, "b") == (first.amount_usd, Decimal(0), 1 - first.amount_usd)


def test_an_entry_reads_back_as_it_was_written(engine: Engine) -> None:
    entry = engine.record(
        provider="anthropic", usage=PAYLOADS["anthropic"][0], at="2026-11-19T10:00:00.123456Z", agent_id="a",
        tags={"team": "x"}, source="log.jsonl:7", notional=True, cost_usd="0.5", idempotency_key="k", budget="b",
    )  # fmt: skip
    (read,) = engine.entries()
    assert {name for name in entry._fields if getattr(entry, name) != getattr(read, name)} <= {"usage"}
    assert entry.usage is not None
    assert read.usage is not None
    assert (entry.usage.leaves, entry.usage.model) == (read.usage.leaves, read.usage.model)


def test_a_deployment_s_own_name_is_priced_by_the_model_that_served(engine: Engine) -> None:
    payload = {"object": "chat.completion", "model": "gpt-4o-2024-08-06", "choices": [], "usage": CHAT}
    entry = engine.record(model="our-deployment", usage=payload)
    assert (entry.provider, entry.model, entry.requested_model) == ("openai", "gpt-4o-2024-08-06", "our-deployment")
    assert entry.amount_usd == engine.price(model="gpt-4o-2024-08-06", usage=payload).total_usd


def test_a_name_that_moves_asked_for_the_model_of_its_day(engine: Engine) -> None:
    entry = engine.record(model="mistral-large-latest", input_tokens=1000, at="2025-01-10")
    assert (entry.model, entry.requested_model) == ("mistral-large-2411", None)


def test_an_unknown_model_books_the_caller_s_figure_or_none(engine: Engine) -> None:
    payload = {"object": "chat.completion", "model": "acme-1", "choices": [], "usage": CHAT}
    with pytest.raises(PriceUnknown, match="acme-1"):
        engine.price(usage=payload)
    unpriced, given = engine.record(usage=payload), engine.record(usage=payload, cost_usd="0.25")
    assert (unpriced.amount_usd, unpriced.amount_source) == (None, None)
    assert "no price is known for model 'acme-1'" in unpriced.notes[0]
    assert (Decimal("0.25"), "caller", None) == (given.amount_usd, given.amount_source, given.cost_gap_usd)
    assert usd("0.25", "0", "0.75") == figures(engine, "b")
    assert engine.budget_status("b").unpriced_calls == 1


def test_a_payload_that_cannot_be_read_leaves_the_hold_open(engine: Engine) -> None:
    hold = engine.reserve(model="gpt-4o", input_tokens=1, max_output_tokens=1)
    with pytest.raises(UsageInvalid, match="prompt_tokens"):
        engine.settle(hold, usage={"model": "gpt-4o", "usage": {"prompt_tokens": -5, "completion_tokens": 1}})
    assert engine.holds("open") == (hold,)
    engine.settle(hold, usage=Usage(input_tokens=1))


def test_an_explicit_zero_usage_costs_nothing_and_is_no_missing_one(engine: Engine) -> None:
    hold = engine.reserve(model="gpt-4o", input_tokens=1000, max_output_tokens=1000)
    entry = engine.settle(hold, input_tokens=0, output_tokens=0)
    assert (Decimal(0), "priced") == (entry.amount_usd, entry.amount_source)
    assert usd("0", "0", "1") == figures(engine, "b")


def test_the_price_is_that_of_the_day_of_the_call(engine: Engine) -> None:
    usage = Usage(input_tokens=1_000_000)
    then, now = (engine.record(model="gpt-4o", usage=usage, at=at) for at in ("2024-06-01T00:00:00Z", None))
    assert (Decimal(5), Decimal("2.5")) == (then.amount_usd, now.amount_usd)


@pytest.mark.parametrize(
    ("context", "expected"), [(None, "0.0125"), ({"processing": "batch"}, "0.00625")], ids=["standard", "batch"]
)
def test_a_hold_carries_its_context_to_the_settlement(
    engine: Engine, context: dict[str, str] | None, expected: str
) -> None:
    hold = engine.reserve(model="gpt-4o", input_tokens=1000, max_output_tokens=1000, context=context)
    entry = engine.settle(hold, input_tokens=1000, output_tokens=1000)
    assert (Decimal(expected), Decimal(expected)) == (hold.amount_usd, entry.amount_usd)
