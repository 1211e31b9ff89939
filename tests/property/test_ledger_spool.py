"""What is booked from the spool is what would have been booked at once: the same rows, down to their digests."""

from __future__ import annotations

import shutil
from decimal import Decimal
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.faults.spoiling import moved_away
from tokencalc import Budget, Engine, Meter, Usage
from tokencalc.clock import ManualClock
from tokencalc.config import Settings
from tokencalc.errors import UsageSpooled
from tokencalc.ledger.spool import ReadBack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    Twins = tuple[Engine, Engine]

counts = st.integers(0, 10**7)
words = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=12)
served = st.fixed_dictionaries(
    {},
    optional={
        "model": st.sampled_from(["gpt-4o", "gpt-4o-2024-08-06", "acme-1"]),
        "service_tier": st.sampled_from(["default", "flex", "odd"]),
        "region": words,
        "notes": st.lists(words, max_size=2).map(tuple),
        "billed_usd": st.decimals("0", "5", places=9),
        "is_interrupted": st.booleans(),
        "conditions": st.just((("search_context_size", "low"),)),
    },
)
leaves = st.dictionaries(st.sampled_from(sorted(Meter)), st.integers(0, 10**6), max_size=5)
lengths = st.dictionaries(st.just(Meter.INPUT), counts, max_size=1)
single = st.builds(lambda found, more, facts: Usage.from_leaves({**found, **more}, **facts), leaves, lengths, served)
usages = single | st.lists(single, min_size=1, max_size=3).map(
    lambda parts: Usage.from_parts(parts, notes=("parts",), billed_usd=Decimal("0.000000001"))
)
about = st.fixed_dictionaries(
    {},
    optional={
        "model": st.sampled_from(["gpt-4o", "gpt-4o-mini", "claude-sonnet-4-5", "acme-1"]),
        "cost_usd": st.decimals("0", "9000000", places=12),
        "operation": words,
        "tags": st.dictionaries(words, words, max_size=3),
        "context": st.sampled_from([{}, {"processing": "batch"}]),
    },
)
whom = st.fixed_dictionaries(
    {},
    optional={
        "agent_id": words,
        "user_id": words,
        "project": words,
        "api_key_id": words,
        "source": words,
        "notional": st.booleans(),
        "budget": st.sampled_from(["named", "nobody's", ["named", "nobody's"]]),
        "at": st.datetimes().filter(lambda at: 2020 < at.year < 2030).map(lambda at: f"{at.isoformat()}Z"),
        "key": st.just(True),
    },
)
numbers = count()


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twins]:
    """Give two engines over copies of one ledger, whose clocks stand still."""
    folder: Path = tmp_path_factory.mktemp("twins")
    settings = Settings(run="r")
    with Engine.open(folder / "a.db", clock=ManualClock(), settings=settings) as engine:
        engine.set_budget(Budget(name="b", limit_usd=1, period="total", scope={"agent_id": "*"}))
        engine.set_budget(Budget(name="named", limit_usd=1, period="run", scope={"project": "none"}))
    shutil.copyfile(folder / "a.db", folder / "b.db")
    with (
        Engine.open(folder / "a.db", clock=ManualClock(), settings=settings) as direct,
        Engine.open(folder / "b.db", clock=ManualClock(), settings=settings) as late,
    ):
        yield direct, late
        assert direct.verify() == late.verify()
        assert direct.verify().problems == ()


def heads(twins: Twins) -> tuple[object, ...]:
    """Return what the newest entry of each twin says, and its digest."""
    first, second = (next(engine.entries(limit=1)) for engine in twins)
    return first, second


@given(usage=st.none() | usages, said=about, who=whom)
def test_a_spooled_record_becomes_the_same_entry(
    twins: Twins, usage: Usage | None, said: dict[str, Any], who: dict[str, Any]
) -> None:
    direct, late = twins
    call = {"usage": usage, **said, **who}
    if call.pop("key", False):
        call["idempotency_key"] = f"k{next(numbers)}"
    if usage is None:
        call |= {"cost_usd": call.get("cost_usd", 1)}
    call.setdefault("model", "gpt-4o")
    direct.record(**call)
    with moved_away(late), pytest.raises(UsageSpooled, match="this usage is safe"):
        late.record(**call)
    assert ReadBack(booked=1) == late.read_spool()
    first, second = heads(twins)
    assert first == second


@given(usage=st.none() | usages, said=about, by_id=st.booleans(), tags=st.dictionaries(words, words, max_size=2))
def test_a_spooled_settlement_becomes_the_same_entry(
    twins: Twins, usage: Usage | None, said: dict[str, Any], tags: dict[str, str], *, by_id: bool
) -> None:
    direct, late = twins
    given_usage = {"usage": usage} if usage is not None else {"cost_usd": said.get("cost_usd", 1)}
    holds = [
        engine.reserve(model="gpt-4o", amount_usd="0.000001", agent_id="a", tags=tags, project="p")
        if engine.budget_status("b", "a").spent_usd < Decimal("0.5")
        else engine.reserve(model="gpt-4o", amount_usd=0, tags=tags)
        for engine in twins
    ]
    arguments = {**said, **given_usage}
    direct.settle(holds[0], **arguments)
    with moved_away(late), pytest.raises(UsageSpooled, match="this usage is safe"):
        late.settle(holds[1].hold_id if by_id else holds[1], **arguments)
    assert ReadBack(booked=1) == late.read_spool()
    first, second = heads(twins)
    assert first == second
