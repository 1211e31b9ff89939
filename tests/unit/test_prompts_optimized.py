"""`optimize_prompt`: each saving is a difference of two counts at a card's rates, and no model is named in vain."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from tokencalc.async_engine import AsyncEngine
from tokencalc.clock import ManualClock
from tokencalc.engine import Engine
from tokencalc.errors import CallInvalid, PriceUnknown, TextInvalid
from tokencalc.prompts import CHEAPER_MAX, PRICE_BAND, PromptAdvice, generation_of, line_of
from tokencalc.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WORDY = (
    "Please read the report below, and in order to help the reader, name what is missing.\n"
    "Always answer in the language of the reader.\n"
    "Always answer in the language of the reader.\n"
    "```\nplease  keep   this\n```\n"
)
SHORT = (
    "Read the report below, and to help the reader, name what is missing.\n"
    "Always answer in the language of the reader.\n"
    "```\nplease  keep   this\n```\n"
)
TABLE = """
provider = "house"
[sources]
list = "https://example.org/prices"
[standard]
processing = ["sync", "standard"]
"""
CARD = """
[[model.card]]
effective_from = {since}
rates = {{ input_per_mtok = "{rate}", output_per_mtok = "{rate}" }}
source = ["list"]
checked_on = 2026-11-01
"""


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Engine.open(":memory:", clock=ManualClock("2026-11-20T12:00:00Z")) as opened:
        yield opened


def _house(folder: Path, *models: tuple[str, str, str, int]) -> Path:
    """Write a table of models: name, rate for a million tokens, first day, window."""
    text = TABLE
    for name, rate, since, window in models:
        text += f'\n[[model]]\nid = "{name}"\ntokenizer = "openai"\nencoding = "o200k_base"\nencoding_verified = true\n'
        text += f'context_window_tokens = {window}\noutput_limit_tokens = 4096\nmode = "text"\n'
        text += CARD.format(rate=rate, since=since)
    path = folder / "house.toml"
    path.write_text(text, encoding="utf-8")
    return path


def _same_line(advice: PromptAdvice) -> list[tuple[str, str]]:
    return [(model.provider, model.model) for model in advice.cheaper if model.basis == "same_line"]


def test_the_text_is_shorter_and_every_saving_is_a_difference_of_counts_at_the_cards_rate(engine: Engine) -> None:
    advice = engine.optimize_prompt(WORDY, model="gpt-4o", max_output_tokens=100)
    before, after = (engine.count("gpt-4o", text) for text in (WORDY, SHORT))
    assert (advice.text, advice.method) == (SHORT, "exact")
    assert (before.tokens, after.tokens) == (advice.input_tokens, advice.input_tokens_after)
    # gpt-4o since 2024-10-02: $2.50 for a million tokens of input.
    assert Decimal("0.0000025") * advice.tokens_saved == advice.saved_usd
    for change in advice.changes:
        assert Decimal("0.0000025") * change.tokens_saved == change.saved_usd
    assert advice.tokens_saved == sum(change.tokens_saved for change in advice.changes) > 0
    assert [(one.kind, one.places) for one in advice.changes] == [("repeated_lines", 1), ("filler", 1), ("filler", 1)]


def test_a_model_that_is_known_to_reason_where_ours_does_not_and_a_preview_are_other_classes(engine: Engine) -> None:
    advice = engine.optimize_prompt(WORDY * 50, model="gpt-4.1", max_output_tokens=100)
    assert _same_line(advice) == [("openai", "gpt-5.1")], "gpt-5 reasons by default, gpt-5.1 where a request asks"
    assert not any(model.model == "gpt-5" or "preview" in model.model for model in advice.cheaper)


def test_a_text_with_nothing_to_spare_comes_back_as_it_is(engine: Engine) -> None:
    advice = engine.optimize_prompt(SHORT, model="gpt-4o")
    assert (SHORT, (), 0, Decimal(0)) == (advice.text, advice.changes, advice.tokens_saved, advice.saved_usd)


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4", "claude-opus-4-1", "gemini-2.5-pro", "mistral-large-latest"])
def test_every_cheaper_model_is_cheaper_by_its_own_price_for_the_same_call(model: str, engine: Engine) -> None:
    advice = engine.optimize_prompt(WORDY * 20, model=model, operation_type="summarization")
    ours = engine.catalog.resolve(model, at=engine.clock.now())
    assert advice.cost_usd is not None
    assert advice.cheaper
    for other in advice.cheaper:
        facts = engine.catalog.resolve(other.model, provider=other.provider)
        usage = Usage(input_tokens=other.input_tokens, output_tokens=advice.output_tokens)
        priced = engine.price(provider=other.provider, model=other.model, usage=usage)
        assert (priced.total_usd, priced.cards) == (other.cost_usd, other.cards)
        assert other.saved_usd == advice.cost_usd - other.cost_usd > 0
        assert facts.mode == ours.mode
        assert other.context_window_tokens >= other.input_tokens + advice.output_tokens
        if other.basis == "same_line":
            assert line_of(advice.model) == line_of(other.model)
        else:
            assert other.provider != advice.provider
            assert other.cost_usd * PRICE_BAND >= advice.cost_usd
    assert max(len(_same_line(advice)), len(advice.cheaper) - len(_same_line(advice))) <= CHEAPER_MAX


@pytest.mark.parametrize(
    ("expected", "others"),
    [
        (["big-2"], [("big-2", "9", "2026-01-01", 8192)]),
        ([], [("big-2", "10", "2026-01-01", 8192)]),
        ([], [("big-0", "9", "2025-01-01", 8192)]),
        ([], [("big-2", "9", "2027-01-01", 8192)]),
        ([], [("big-2", "9", "2026-01-01", 500)]),
        ([], [("small-2", "9", "2026-01-01", 8192)]),
        ([], [("big-0.5", "9", "2026-01-01", 8192)]),
        (["big-0613", "big-1-0613"], [(f"big-{one}0613", "9", "2026-01-01", 8192) for one in ("1-", "")]),
        (["big-4", "big-3", "big-2"], [(f"big-{n}", f"{9 - n}", "2026-01-01", 8192) for n in (2, 3, 4)]),
    ],
    ids=[
        "cheaper",
        "as_dear",
        "older",
        "not_yet",
        "too_small_a_window",
        "another_line",
        "an_older_generation_with_a_late_price",
        "only_a_date",
        "most_saved_first",
    ],
)
def test_a_cheaper_model_is_newer_of_the_same_line_with_room_for_the_call(
    expected: list[str], others: list[tuple[str, str, str, int]], tmp_path: Path
) -> None:
    table = _house(tmp_path, ("big-1", "10", "2025-06-01", 8192), *others)
    with Engine.open(":memory:", clock=ManualClock("2026-11-20T12:00:00Z"), prices=[table]) as engine:
        advice = engine.optimize_prompt("a word " * 300, model="big-1", max_output_tokens=300)
    assert [("house", model) for model in expected] == _same_line(advice)


def test_prices_that_nobody_compared_and_other_vectors_are_no_ground_to_change(engine: Engine) -> None:
    for other in engine.optimize_prompt(WORDY, model="gpt-4").cheaper:
        card = engine.catalog.card(provider=other.provider, model=other.model, at=engine.clock.now())
        assert card.imported is None
    assert engine.optimize_prompt(WORDY, model="text-embedding-3-large").cheaper == ()


def test_context_decides_the_rates_on_both_sides(engine: Engine) -> None:
    plain = engine.optimize_prompt(WORDY, model="gpt-4o", max_output_tokens=100)
    batch = engine.optimize_prompt(WORDY, model="gpt-4o", max_output_tokens=100, context={"processing": "batch"})
    assert plain.saved_usd is not None
    assert plain.saved_usd / 2 == batch.saved_usd
    for other in batch.cheaper:
        usage = Usage(input_tokens=other.input_tokens, output_tokens=batch.output_tokens)
        priced = engine.price(provider=other.provider, model=other.model, usage=usage, context={"processing": "batch"})
        assert priced.total_usd == other.cost_usd


@pytest.mark.parametrize(
    ("expected", "model"),
    [
        ({"gpt"}, "gpt-4o"),
        ({"gpt"}, "gpt-4.1-2025-04-14"),
        ({"gpt", "mini"}, "gpt-4o-mini"),
        ({"claude", "opus"}, "claude-3-opus-20240229"),
        ({"claude", "opus"}, "claude-opus-4-1"),
        ({"gemini", "flash", "lite"}, "gemini-2.5-flash-lite-preview"),
        ({"o", "mini"}, "o4-mini"),
        ({"llama", "70b", "versatile"}, "llama-3.3-70b-versatile"),
        ({"openai", "gpt", "oss", "120b"}, "openai/gpt-oss-120b"),
        ({"mistral", "large"}, "mistral-large-latest"),
    ],
)
def test_a_line_is_the_name_without_its_version(expected: set[str], model: str) -> None:
    assert expected == line_of(model)


@pytest.mark.parametrize(
    ("expected", "model"),
    [
        ((3, 5), "gpt-3.5-0301"),
        ((3, 5), "gpt-3.5-turbo-16k"),
        ((4, 0), "gpt-4-32k"),
        ((4, 0), "gpt-4o-2024-08-06"),
        ((5, 0), "gpt-5-2025-08-07"),
        ((4, 5), "gpt-4.5-preview"),
        ((3, 0), "claude-3-opus-20240229"),
        ((4, 0), "claude-opus-4-0"),
        ((2, 0), "llama2-70b-4096"),
        ((3, 3), "llama-3.3-70b-versatile"),
        ((2, 5), "gemini-2.5-computer-use-preview-10-2025"),
        ((1, 0), "o1-preview"),
        (None, "mistral-large-2512"),
        (None, "command-r-08-2024"),
        (None, "openai/gpt-oss-120b"),
        (None, "gemini-exp-1206"),
    ],
)
def test_a_generation_is_the_version_in_the_name(expected: tuple[int, int] | None, model: str) -> None:
    assert expected == generation_of(model)


@pytest.mark.parametrize("model", ["gpt-4", "gpt-4-32k", "gpt-4-turbo", "claude-3-opus", "gemini-2.5-pro", "o1"])
def test_no_older_generation_of_a_line_is_offered_and_no_model_twice(engine: Engine, model: str) -> None:
    advice = engine.optimize_prompt(WORDY, model=model, max_output_tokens=100)
    own = generation_of(advice.model)
    assert own is not None
    assert all((generation_of(name) or own) >= own for _, name in _same_line(advice))
    named = [(other.provider, other.model) for other in advice.cheaper]
    assert len(named) == len(set(named))


@pytest.mark.parametrize(
    ("error", "match", "arguments"),
    [
        (PriceUnknown, "unheard-of", {"text": "x", "model": "unheard-of"}),
        (TextInvalid, "text: expected some text to shorten, found ' '", {"text": " ", "model": "gpt-4o"}),
        (TextInvalid, "text: expected some text to shorten, found None", {"text": None, "model": "gpt-4o"}),
        (CallInvalid, "operation_type: expected one of", {"text": "x", "model": "gpt-4o", "operation_type": "poem"}),
    ],
)
def test_mistakes_are_refused_by_name(
    error: type[Exception], match: str, arguments: dict[str, Any], engine: Engine
) -> None:
    with pytest.raises(error, match=match):
        engine.optimize_prompt(**arguments)


def test_without_a_rate_for_output_the_input_is_priced_and_no_model_compared(tmp_path: Path) -> None:
    table = _house(tmp_path, ("big-1", "10", "2025-06-01", 8192), ("big-2", "9", "2026-01-01", 8192))
    text = table.read_text(encoding="utf-8").replace(', output_per_mtok = "10"', "", 1)
    table.write_text(text, encoding="utf-8")
    with Engine.open(":memory:", clock=ManualClock("2026-11-20T12:00:00Z"), prices=[table]) as engine:
        advice = engine.optimize_prompt(WORDY, model="big-1")
    assert Decimal("0.00001") * advice.tokens_saved == advice.saved_usd
    assert (advice.cost_usd, advice.cheaper) == (None, ())
    assert any("output" in note for note in advice.notes)


def test_the_async_engine_answers_the_same() -> None:
    async def both() -> tuple[PromptAdvice, PromptAdvice]:
        async with AsyncEngine.open(":memory:", clock=ManualClock("2026-11-20T12:00:00Z")) as engine:
            given = {"model": "gpt-4o", "max_output_tokens": 50}
            return await engine.optimize_prompt(WORDY, **given), engine.engine.optimize_prompt(WORDY, **given)  # type: ignore[arg-type]  # of two kinds

    there, here = asyncio.run(both())
    assert here == there
