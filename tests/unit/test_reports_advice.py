"""Every advice's saving is the difference of two prices, computed here once more from the calls alone."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.contract.tables import use_prices
from tokencalc.clock import ManualClock
from tokencalc.engine import Engine
from tokencalc.pricing.catalog import Catalog
from tokencalc.reports import advice
from tokencalc.reports.advice import Advice, Advised, advise
from tokencalc.reports.breakdown import Wanted
from tokencalc.reports.would_be import cap_for, warm_calls, with_cache, with_cap
from tokencalc.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CLOCK = ManualClock("2026-11-20T12:00:00Z")


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Engine.open(":memory:", clock=CLOCK) as opened:
        yield opened


def of_kind(found: Advised, kind: str) -> list[Advice]:
    return [item for item in found.advice if item.kind == kind]


def price(engine: Engine, model: str, usage: Usage, **context: str) -> Decimal:
    total = engine.price(model=model, usage=usage, at=CLOCK.now(), context=context or None).total_usd
    assert total is not None
    return total


def test_a_cheaper_model_of_the_line_is_named_with_what_it_saves(engine: Engine) -> None:
    usages = [Usage(input_tokens=1000 * number, output_tokens=100) for number in (1, 2, 3)]
    for usage in usages:
        engine.record(model="claude-opus-4-1", usage=usage, operation="chat")
    (found,) = of_kind(advise(engine, Wanted()), "cheaper_model")
    model = str(found.values["to_model"])
    assert model.startswith("claude-opus-4-"), "another line is another class"
    before, after = (sum(price(engine, name, usage) for usage in usages) for name in ("claude-opus-4-1", model))
    # $15 and $75 for a million beside $5 and $25.
    assert (before, after) == (Decimal("0.1125"), Decimal("0.0375"))
    assert (found.cost_usd, found.after_usd, found.saved_usd) == (before, after, before - after)
    assert found.key == {"provider": "anthropic", "model": "claude-opus-4-1", "operation": "chat"}
    assert found.calls == 3


def test_a_model_that_cannot_take_every_call_is_not_named(engine: Engine) -> None:
    engine.record(model="claude-opus-4-1", usage=Usage(input_tokens=1000, output_tokens=900_000))
    assert of_kind(advise(engine, Wanted()), "cheaper_model") == []


@pytest.mark.parametrize(
    ("expected", "model"),
    [
        # gpt-5 and its small ones reason unless told not to; gpt-5.1 and later do where a request asks.
        ("gpt-5.1", "gpt-4o"),
        ("gpt-5.1", "gpt-4.1"),
        (None, "gpt-4.1-mini"),
        (None, "gpt-4.1-nano"),
        # A preview was no release to compare with, and a free experiment is no price.
        (None, "gpt-4.5-preview"),
        (None, "gemini-1.5-flash"),
        # Opus 4.8 reasons on request, Opus 5 and later by default.
        (None, "claude-opus-4-8"),
        ("claude-opus-5-5", "claude-opus-5"),
    ],
)
def test_a_cheaper_model_is_one_of_which_it_is_known_that_it_reasons_alike(
    expected: str | None, model: str, engine: Engine
) -> None:
    engine.record(model=model, usage=Usage(input_tokens=10_000, output_tokens=100))
    found = of_kind(advise(engine, Wanted()), "cheaper_model")
    assert [expected] * (expected is not None) == [item.values["to_model"] for item in found]


@pytest.mark.parametrize(
    ("expected", "sellers"),
    [
        (("acme", "big-v"), (("acme", (("big", "10"), ("big-v", "9"))), ("aaa", (("big-v", "9"),)))),
        (("aaa", "big-v"), (("acme", (("big", "10"), ("big-v", "9"))), ("aaa", (("big-v", "8"),)))),
    ],
)
def test_nobody_is_sent_to_another_seller_for_the_same_price(
    expected: tuple[str, str],
    sellers: tuple[tuple[str, tuple[tuple[str, str], ...]], ...],
    engine: Engine,
    tmp_path: Path,
) -> None:
    tables = [
        (seller, tuple((model, rate, "2026-01-01", NEVER, "") for model, rate in models)) for seller, models in sellers
    ]
    use_tables(engine, tmp_path, *tables)
    engine.record(model="big", provider="acme", usage=Usage(input_tokens=10_000, output_tokens=100))
    (found,) = of_kind(advise(engine, Wanted()), "cheaper_model")
    assert expected == (found.values["to_provider"], found.values["to_model"])


def test_both_sides_are_priced_in_the_tier_in_which_the_calls_were_served(engine: Engine) -> None:
    usage = Usage(input_tokens=10_000, output_tokens=100, service_tier="priority")
    engine.record(model="gpt-4.1", usage=usage)
    (found,) = of_kind(advise(engine, Wanted()), "cheaper_model")
    before, after = (price(engine, name, usage) for name in ("gpt-4.1", str(found.values["to_model"])))
    assert (before, after) == (found.cost_usd, found.after_usd)
    plain = Usage(input_tokens=10_000, output_tokens=100)
    assert after > price(engine, str(found.values["to_model"]), plain), "it has a price of its own in that tier"


BIG = """
[[model]]
id = "{model}"
tokenizer = "openai"
encoding = "o200k_base"
context_window_tokens = 100000
{facts}
[[model.card]]
effective_from = {since}
rates = {{ input_per_mtok = "{rate}", output_per_mtok = "{rate}" }}
source = "https://acme.example/prices"
checked_on = 2026-11-01
{more}
"""


def use_tables(engine: Engine, folder: Path, *tables: tuple[str, tuple[tuple[str, str, str, str, str], ...]]) -> None:
    """Give an engine tables of sellers: each model with its rate, first day, facts and what its card has more."""
    files = []
    for provider, models in tables:
        text = f'provider = "{provider}"\nname = "{provider}"\n[standard]\nprocessing = ["sync"]\n'
        for model, rate, since, facts, more in models:
            text += BIG.format(model=model, rate=rate, since=since, facts=facts, more=more)
        files.append(folder / f"{provider}.toml")
        files[-1].write_text(text, encoding="utf-8")
    engine.catalog = Catalog.packaged().with_files(files)
    object.__setattr__(engine.verbs.drafts, "catalog", engine.catalog)


NEVER = 'reasoning = "never"'


@pytest.mark.parametrize(
    ("expected", "seller", "model", "rate", "since", "facts", "more"),
    [
        (["big-v"], "acme", "big-v", "9", "2026-01-01", NEVER, ""),
        ([], "acme", "big-v", "9", "2025-12-31", NEVER, ""),  # older than ours
        ([], "acme", "big-v", "9", "2026-01-01", "", ""),  # nobody says whether it reasons
        ([], "acme", "big-preview", "9", "2026-01-01", NEVER, ""),
        ([], "acme", "big-v", "0", "2026-01-01", NEVER, ""),
        (["big"], "other", "big", "9", "2026-01-01", NEVER, ""),
        ([], "other", "big", "9", "2026-01-01", NEVER, 'imported = "a set"'),  # nobody compared it with its list
        (["big-v"], "acme", "big-v", "9", "2026-01-01", NEVER, 'imported = "a set"'),  # the seller is ours already
    ],
)
def test_a_cheaper_model_is_no_older_one_no_trial_and_at_another_seller_no_unseen_price(  # a table's row
    expected: list[str],
    seller: str,
    model: str,
    rate: str,
    since: str,
    facts: str,
    more: str,
    engine: Engine,
    tmp_path: Path,
) -> None:
    ours, other = ("big", "10", "2026-01-01", NEVER, ""), (model, rate, since, facts, more)
    if seller == "acme":
        use_tables(engine, tmp_path, ("acme", (ours, other)))
    else:
        use_tables(engine, tmp_path, ("acme", (ours,)), (seller, (other,)))
    engine.record(model="big", provider="acme", usage=Usage(input_tokens=10_000, output_tokens=100))
    found = of_kind(advise(engine, Wanted()), "cheaper_model")
    assert expected == [item.values["to_model"] for item in found]


def test_batches_are_advised_at_their_own_rates_and_not_to_calls_that_are_some(engine: Engine, tmp_path: Path) -> None:
    rates = {"input_per_mtok": "2", "output_per_mtok": "8"}
    use_prices(engine, tmp_path, {"sled": rates, "rocket": rates}, {"sled": {**rates, "input_per_mtok": "1"}})
    usage = Usage(input_tokens=10_000, output_tokens=1000)
    for model, context in (("sled", {}), ("sled", {"processing": "batch"}), ("rocket", {})):
        engine.record(model=model, usage=usage, context=context, provider="acme")
    (found,) = of_kind(advise(engine, Wanted()), "batch")
    before, after = price(engine, "sled", usage), price(engine, "sled", usage, processing="batch")
    assert (before, after, 1) == (found.cost_usd, found.after_usd, found.calls)
    assert found.saved_usd == Decimal("0.01")


def test_an_output_cap_keeps_95_calls_in_a_hundred_and_saves_the_tail(engine: Engine) -> None:
    lengths = [100] * 36 + [200, 200] + [5000, 7000]
    for length in lengths:
        engine.record(model="gpt-4o", usage=Usage(input_tokens=10, output_tokens=length))
    (found,) = of_kind(advise(engine, Wanted()), "output_cap")
    assert (found.values["cap_tokens"], found.values["calls_cut"]) == (200, 2)
    costs = [
        sum(price(engine, "gpt-4o", Usage(input_tokens=10, output_tokens=min(length, cap))) for length in lengths)
        for cap in (10**6, 200)
    ]
    assert (found.cost_usd, found.after_usd) == tuple(costs)
    assert found.saved_usd == Decimal("0.116"), "4800 + 6800 tokens at $10 for a million"


def test_no_cap_is_drawn_from_few_calls(engine: Engine) -> None:
    for length in [100] * 28 + [9000]:
        engine.record(model="gpt-4o", usage=Usage(input_tokens=10, output_tokens=length))
    assert of_kind(advise(engine, Wanted()), "output_cap") == []


def test_caching_is_advised_where_calls_follow_each_other_with_writes_in_the_price(engine: Engine) -> None:
    usage = Usage(input_tokens=10_000, output_tokens=100)
    for minute in (0, 4, 8, 30):
        engine.record(model="claude-sonnet-4-5", usage=usage, agent_id="a", at=CLOCK.now() - timedelta(minutes=minute))
    (found,) = of_kind(advise(engine, Wanted()), "caching")
    # The first call of each run writes half its input at $3.75, the two warm ones read it at $0.30.
    cold = Usage(input_tokens=10_000, cache_write_5m_tokens=5000, output_tokens=100)
    warm = Usage(input_tokens=10_000, cache_read_tokens=5000, output_tokens=100)
    after = 2 * price(engine, "claude-sonnet-4-5", cold) + 2 * price(engine, "claude-sonnet-4-5", warm)
    assert (4 * price(engine, "claude-sonnet-4-5", usage), after) == (found.cost_usd, found.after_usd)
    assert found.saved_usd == Decimal("0.0195")
    assert (found.values["warm_calls"], found.key["agent_id"]) == (2, "a")


def test_calls_far_apart_too_short_or_without_a_price_for_reads_are_not_told_to_cache(
    engine: Engine, tmp_path: Path
) -> None:
    use_prices(engine, tmp_path, {"rocket": {"input_per_mtok": "2", "output_per_mtok": "8"}})
    for minute in (0, 4):
        engine.record(model="gpt-4o", usage=Usage(input_tokens=2047), at=CLOCK.now() - timedelta(minutes=minute))
        engine.record(model="rocket", usage=Usage(input_tokens=9000), at=CLOCK.now() - timedelta(minutes=minute))
    for hour in (1, 2, 3):
        usage = Usage(input_tokens=9000)
        engine.record(model="claude-sonnet-4-5", usage=usage, at=CLOCK.now() - timedelta(hours=hour))
    assert of_kind(advise(engine, Wanted()), "caching") == []


@pytest.mark.parametrize(
    ("expected", "model", "tokens"),
    [
        # The least that each of them caches, of which half of the input is needed.
        (1, "claude-sonnet-4-5", 2048),
        (0, "claude-sonnet-4-5", 2047),
        (1, "claude-opus-4-5", 8192),
        (0, "claude-opus-4-5", 8191),
        (0, "claude-haiku-4-5", 8000),
        # They cache unasked: that nothing was read is what the same beginning of each call would have given.
        (0, "gpt-4o", 100_000),
        (0, "gemini-2.5-flash", 100_000),
        (0, "deepseek-chat", 50_000),
    ],
)
def test_caching_is_advised_from_the_least_on_that_a_model_caches_when_asked(
    expected: int, model: str, tokens: int, engine: Engine
) -> None:
    for minute in range(4):
        engine.record(model=model, usage=Usage(input_tokens=tokens), at=CLOCK.now() - timedelta(minutes=minute))
    found = advise(engine, Wanted())
    assert (found.calls, found.left_out, len(of_kind(found, "caching"))) == (4, 0, expected)


@pytest.mark.parametrize(("expected", "storage"), [(1, ""), (0, ', cache_storage_token_hour_per_mtok_hour = "1"')])
def test_where_the_storage_of_a_cache_is_billed_nobody_knows_what_it_would_save(
    expected: int, storage: str, engine: Engine, tmp_path: Path
) -> None:
    table = tmp_path / "acme.toml"
    rates = f'input_per_mtok = "2", cache_read_per_mtok = "0.2", output_per_mtok = "8"{storage}'
    table.write_text(
        'provider = "acme"\nname = "Acme"\n[[model]]\nid = "big"\ncacheable_from_tokens = 1024\n[[model.card]]\n'
        f'effective_from = 2026-01-01\nrates = {{ {rates} }}\nsource = "list"\nchecked_on = 2026-11-01\n',
        encoding="utf-8",
    )
    engine.catalog = Catalog.packaged().with_files([table])
    object.__setattr__(engine.verbs.drafts, "catalog", engine.catalog)
    for minute in range(4):
        usage = Usage(input_tokens=9000)
        engine.record(model="big", provider="acme", usage=usage, at=CLOCK.now() - timedelta(minutes=minute))
    found = advise(engine, Wanted())
    assert (found.left_out, len(of_kind(found, "caching"))) == (0, expected)


def test_a_cache_that_costs_more_than_it_gives_is_told_to_stop(engine: Engine) -> None:
    usage = Usage(input_tokens=10_000, cache_write_5m_tokens=10_000)
    engine.record(model="claude-sonnet-4-5", usage=usage, agent_id="a")
    (found,) = of_kind(advise(engine, Wanted()), "caching")
    plain = price(engine, "claude-sonnet-4-5", Usage(input_tokens=10_000))
    assert (price(engine, "claude-sonnet-4-5", usage), plain) == (found.cost_usd, found.after_usd)
    assert (found.saved_usd, found.values["change"]) == (Decimal("0.0075"), "stop")


def test_only_billed_calls_with_a_whole_price_are_looked_at_and_the_rest_is_counted(engine: Engine) -> None:
    usage = Usage(input_tokens=1000, output_tokens=100)
    engine.record(model="claude-opus-4-1", usage=usage, notional=True)
    engine.record(model="my-own", usage=usage)
    engine.record(model="gpt-4o", cost_usd="3")
    engine.record(model="gpt-4o", usage=Usage.from_parts([usage, usage]))
    assert advise(engine, Wanted()) == Advised(advice=(), calls=4, left_out=4, is_cut=False)


def test_what_a_caller_said_that_it_was_billed_is_not_compared_with_our_prices(engine: Engine, tmp_path: Path) -> None:
    rates = {"input_per_mtok": "2", "output_per_mtok": "8"}
    for _ in range(5):
        usage = Usage(input_tokens=10_000, output_tokens=1000)
        engine.record(model="sled", provider="acme", usage=usage, cost_usd="0.0001")
    use_prices(engine, tmp_path, {"sled": rates}, {"sled": {**rates, "input_per_mtok": "1"}})
    assert advise(engine, Wanted()) == Advised(advice=(), calls=5, left_out=5, is_cut=False)
    # A correction replaces the caller's figure by the tables' price.
    engine.reprice(since="2026-01-01", apply=True)
    (found,) = of_kind(advise(engine, Wanted()), "batch")
    assert (found.calls, found.cost_usd, found.saved_usd) == (5, Decimal("0.14"), Decimal("0.05"))


def test_an_empty_ledger_gets_no_advice(engine: Engine) -> None:
    assert advise(engine, Wanted()) == Advised(advice=(), calls=0, left_out=0, is_cut=False)


def test_filters_tags_and_the_newest_calls_bound_what_is_looked_at(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        usage = Usage(input_tokens=1000, output_tokens=100)
        engine.record(model="claude-opus-4-1", usage=usage, tags={"team": "x" if number else "y"})
    assert advise(engine, Wanted(where={"tag:team": "x"})).calls == 3
    monkeypatch.setattr(advice, "MOST_CALLS", 2)
    found = advise(engine, Wanted(where={"tag:team": "x"}))
    assert (found.calls, found.is_cut) == (2, True)


@pytest.mark.parametrize(
    ("expected", "counts"),
    [(7, [7]), (19, list(range(1, 21))), (20, list(range(1, 22))), (0, [0] * 19 + [9])],
)
def test_a_cap_is_the_least_length_that_95_in_a_hundred_keep_to(expected: int, counts: list[int]) -> None:
    assert expected == cap_for(counts)


@given(st.integers(0, 5000), st.integers(0, 5000), st.integers(0, 12_000))
def test_a_cap_cuts_the_text_before_the_reasoning(text: int, reasoning: int, cap: int) -> None:
    usage = Usage(input_tokens=5, output_tokens=text + reasoning, reasoning_tokens=reasoning)
    found = with_cap(usage, cap)
    assert found.output_tokens == min(cap, text + reasoning)
    assert found.reasoning_tokens == min(reasoning, cap)
    assert found.input_tokens == 5


@given(st.integers(0, 10**6), st.booleans())
def test_a_cache_changes_no_total(tokens: int, is_warm: bool) -> None:  # noqa: FBT001  # drawn
    usage = Usage(input_tokens=tokens, output_tokens=3)
    found = with_cache(usage, is_warm=is_warm)
    assert (found.input_tokens, found.output_tokens) == (tokens, 3)
    assert (found.cache_read_tokens, found.cache_write_tokens) == ((tokens // 2, 0) if is_warm else (0, tokens // 2))


def test_a_call_is_warm_within_five_minutes_of_the_one_before() -> None:
    start = CLOCK.now()
    minutes: list[Any] = [(4, 14), (1, 0), (2, 5), (3, 9), (5, 14)]
    calls = [(number, start + timedelta(minutes=minute)) for number, minute in minutes]
    assert warm_calls(calls) == {3, 5}
