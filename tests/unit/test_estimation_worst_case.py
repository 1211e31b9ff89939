"""An estimate counts, expects and fears: the worst case covers what the call can become, and says what it assumed."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokencalc import Engine, Usage
from tokencalc.clock import ManualClock
from tokencalc.config import Settings
from tokencalc.errors import CallInvalid, MetersUnpriced, PriceUnknown

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OWN = """\
provider = "acme"

[sources]
contract = "the contract"

[[model]]
id = "acme-1"
mode = "text"
output_limit_tokens = 1000

[[model.card]]
effective_from = 2020-01-01
rates = { input_per_mtok = "1" }
source = ["contract"]
checked_on = 2026-11-01
"""


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """Give an engine over memory."""
    with Engine.open(":memory:", clock=ManualClock(), settings=Settings()) as engine:
        yield engine


def test_counts_that_are_given_are_taken_as_they_are(engine: Engine) -> None:
    found = engine.estimate(model="gpt-4o", input_tokens=1000, max_output_tokens=100)
    assert (
        found.input_tokens, found.low, found.high, found.method, found.unaccounted,
    ) == (1000, 1000, 1000, "given", ())  # fmt: skip
    assert (100, Decimal("0.0035")) == (found.output_tokens_max, found.cost_max_usd)
    assert found.output_tokens <= 100
    assert (found.provider, found.model) == ("openai", "gpt-4o")
    assert len(found.cards) == 1


def test_the_worst_case_counts_every_choice(engine: Engine) -> None:
    one, three = (engine.estimate(model="gpt-4o", input_tokens=1000, max_output_tokens=100, choices=n) for n in (1, 3))
    assert (300, Decimal("0.0055")) == (three.output_tokens_max, three.cost_max_usd)
    assert one.output_tokens * 3 == three.output_tokens


def test_without_a_limit_of_its_own_the_model_s_counts_and_is_said(engine: Engine) -> None:
    found = engine.estimate(model="gpt-4o", text="Why is the sky blue?")
    assert found.output_tokens_max == 16384
    assert "no max_output_tokens was given: the worst case counts the model's limit of 16384" in found.notes
    assert found.cost_usd is not None
    assert found.cost_max_usd is not None
    assert found.cost_usd < found.cost_max_usd


def test_the_worst_case_takes_the_high_end_of_an_approximate_count(engine: Engine) -> None:
    found = engine.estimate(model="claude-3-haiku-20240307", text="Why is the sky blue? " * 50, max_output_tokens=0)
    assert found.method != "exact"
    assert found.low <= found.input_tokens < found.high
    high = engine.estimate(model="claude-3-haiku-20240307", input_tokens=found.high, max_output_tokens=0)
    assert found.cost_max_usd == high.cost_max_usd


def test_an_embedding_generates_nothing(engine: Engine) -> None:
    found = engine.estimate(model="text-embedding-3-small", text="a fact")
    assert (found.output_tokens, found.output_tokens_max) == (0, 0)
    assert found.cost_usd == found.cost_max_usd


def test_the_worst_case_counts_writing_to_the_cache_and_the_highest_tier(engine: Engine) -> None:
    found = engine.estimate(model="claude-sonnet-4-5", input_tokens=100_000, max_output_tokens=1)
    written = engine.price(
        model="claude-sonnet-4-5", usage=Usage(input_tokens=100_000, cache_write_1h_tokens=100_000, output_tokens=1)
    )
    assert written.total_usd == found.cost_max_usd
    long = engine.estimate(model="gemini-2.5-pro", input_tokens=300_000, max_output_tokens=1000)
    priced = engine.price(model="gemini-2.5-pro", usage=Usage(input_tokens=300_000, output_tokens=1000))
    assert long.cost_max_usd is not None
    assert priced.total_usd is not None
    assert priced.total_usd <= long.cost_max_usd


@given(
    read=st.integers(0, 400_000),
    fresh=st.integers(0, 400_000),
    output=st.integers(0, 8000),
    model=st.sampled_from(["gpt-4o", "claude-sonnet-4-5", "gemini-2.5-pro", "gemini-2.5-flash", "gpt-5"]),
)
def test_no_usage_within_the_counts_costs_more_than_the_worst_case(
    engine: Engine, read: int, fresh: int, output: int, model: str
) -> None:
    worst = engine.estimate(model=model, input_tokens=read + fresh, max_output_tokens=output).cost_max_usd
    usage = Usage(input_tokens=read + fresh, cache_read_tokens=read, output_tokens=output, reasoning_tokens=output // 2)
    actual = engine.price(model=model, usage=usage).total_usd
    assert worst is not None
    assert actual is not None
    assert actual <= worst


def test_a_model_without_a_known_output_limit_must_be_given_one(tmp_path: Path) -> None:
    table = tmp_path / "own.toml"
    table.write_text(OWN.replace("output_limit_tokens = 1000\n", ""), encoding="utf-8")
    with (
        Engine.open(":memory:", clock=ManualClock(), settings=Settings(), prices=[table]) as engine,
        pytest.raises(CallInvalid, match=r"max_output_tokens: the output limit of .*acme-1 is not known; say how"),
    ):
        engine.estimate(model="acme-1", input_tokens=1)


def test_a_missing_rate_is_named_and_a_hold_needs_an_amount(tmp_path: Path) -> None:
    table = tmp_path / "own.toml"
    table.write_text(OWN, encoding="utf-8")
    with Engine.open(":memory:", clock=ManualClock(), settings=Settings(), prices=[table]) as engine:
        found = engine.estimate(model="acme-1", input_tokens=10, max_output_tokens=5)
        assert (found.cost_usd, found.cost_max_usd) == (None, None)
        with pytest.raises(MetersUnpriced, match=r"acme-1 has no rate for output .*; give amount_usd, or add the rate"):
            engine.reserve(model="acme-1", input_tokens=10, max_output_tokens=5)
        assert engine.reserve(model="acme-1", amount_usd="0.1").model == "acme-1"


def test_an_unknown_model_is_no_guess(engine: Engine) -> None:
    with pytest.raises(PriceUnknown, match="no price is known for model 'gpt-99'"):
        engine.estimate(model="gpt-99", input_tokens=1)


def test_before_its_first_card_a_model_has_no_price(engine: Engine) -> None:
    with pytest.raises(PriceUnknown, match="gpt-4o"):
        engine.estimate(model="gpt-4o", input_tokens=1, at="2020-01-01T00:00:00Z")


@pytest.mark.parametrize(
    ("messages", "named"),
    [
        ([{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AA"}}]}], "input_audio"),
        ({"messages": [{"role": "user", "content": "hi"}], "tools": [{"type": "web_search"}]}, "web_search"),
    ],
)
def test_what_cannot_be_counted_is_not_reserved_at_a_guess(engine: Engine, messages: Any, named: str) -> None:
    assert engine.estimate(model="gpt-4o", messages=messages, max_output_tokens=10).unaccounted
    with pytest.raises(CallInvalid, match=f"messages: .*{named}.* cannot be counted before the call"):
        engine.reserve(model="gpt-4o", messages=messages, max_output_tokens=10)
    assert engine.holds() == ()


@pytest.mark.parametrize(
    ("arguments", "note"),
    [
        ({"input_tokens": 200_001, "max_output_tokens": 1}, "context window of 128000 tokens"),
        ({"input_tokens": 1, "max_output_tokens": 10**9}, "above the model's own limit of 16384"),
    ],
)
def test_more_than_the_model_can_do_is_said(engine: Engine, arguments: dict[str, int], note: str) -> None:
    assert note in " ".join(engine.estimate(model="gpt-4o", **arguments).notes)  # type: ignore[arg-type]  # counts only
