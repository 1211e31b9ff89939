"""The tool end to end, on a ledger in memory: what each action answers, and what it answers to mistakes."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from tokencalc.async_engine import AsyncEngine
from tokencalc.budgets.budget import Budget
from tokencalc.clock import ManualClock
from tokencalc.context import attribution
from tokencalc.engine import Engine
from tokencalc.errors import LedgerUnavailable
from tokencalc.jsontext import to_json
from tokencalc.limits.breaker import Breaker, BreakerProfile
from tokencalc.limits.limiter import Limiter
from tokencalc.tool import TokenCalculatorTool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CALL = {
    "agent_id": "analyzer_agent",
    "operation": "code_analysis",
    "model": "gpt-4o",
    "input_tokens": 150,
    "output_tokens": 75,
}
# gpt-4o since 2024-10-02: $2.50 and $10.00 for a million tokens.
CALL_COST = Decimal("0.001125")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock("2026-11-20T12:00:00Z")


@pytest.fixture
def engine(clock: ManualClock) -> Iterator[Engine]:
    with Engine.open(":memory:", clock=clock) as opened:
        yield opened


@pytest.fixture
def tool(engine: Engine, clock: ManualClock) -> TokenCalculatorTool:
    return TokenCalculatorTool(engine, clock=clock)


def run(tool: TokenCalculatorTool, action: Any, **arguments: Any) -> tuple[bool, dict[str, Any]]:
    """Do one action and prove that its answer can be written as JSON."""
    ok, payload = asyncio.run(tool.execute(action, **arguments))
    json.loads(to_json(payload))
    return ok, payload


def good(tool: TokenCalculatorTool, action: str, **arguments: Any) -> dict[str, Any]:
    ok, payload = run(tool, action, **arguments)
    assert ok, payload
    return payload


def bad(tool: TokenCalculatorTool, action: Any, **arguments: Any) -> dict[str, Any]:
    ok, payload = run(tool, action, **arguments)
    assert not ok, payload
    return payload


def test_an_estimate_splits_its_cost_and_says_how_it_counted(tool: TokenCalculatorTool) -> None:
    payload = good(tool, "estimate_cost", model="gpt-4o", text="Analyze this code snippet", max_output_tokens=100)
    assert payload["method"] == "exact"
    assert payload["cost_usd"] == payload["input_cost_usd"] + payload["output_cost_usd"]
    assert payload["cost_usd"] <= payload["cost_max_usd"]
    assert payload["input_tokens_low"] <= payload["input_tokens"] <= payload["input_tokens_high"]
    assert payload["output_tokens_max"] == 100
    assert all(isinstance(payload[name], Decimal) for name in payload if name.endswith("_usd"))


TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}


@pytest.mark.parametrize(
    ("model", "described"),
    [
        ("gpt-4o", {"tools": [TOOL]}),
        ("gpt-4o", {"tools": [TOOL], "tool_choice": "required"}),
        ("gpt-4o", {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "look"}}}),
        ("gpt-4o", {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}}),
        ("gpt-4o", {"images": [[1024, 1024]]}),
        ("gpt-4o", {"tools": [TOOL], "interface": "responses"}),
        ("claude-sonnet-4-5", {"thinking": True}),
    ],
)
def test_an_estimate_counts_what_the_call_describes(
    tool: TokenCalculatorTool, engine: Engine, model: str, described: dict[str, Any]
) -> None:
    said = [{"role": "user", "content": "Explain this"}]
    payload = good(tool, "estimate_cost", model=model, messages=said, **described)
    counted = engine.count(model, messages=said, **described)
    assert (counted.tokens, counted.low, counted.high) == (
        payload["input_tokens"], payload["input_tokens_low"], payload["input_tokens_high"],
    )  # fmt: skip
    assert payload["input_tokens"] > engine.count(model, messages=said).tokens


def test_an_estimate_takes_a_count_and_the_number_of_answers(tool: TokenCalculatorTool) -> None:
    payload = good(tool, "estimate_cost", model="gpt-4o", input_tokens=1000, choices=3, max_output_tokens=100)
    assert (payload["input_tokens"], payload["method"], payload["output_tokens_max"]) == (1000, "given", 300)


def test_an_estimate_expects_what_the_agents_own_calls_gave_back(tool: TokenCalculatorTool) -> None:
    for _ in range(30):
        good(tool, "track_usage", **CALL)
    wanted = {"model": "gpt-4o", "text": "hello", "operation_type": "code_generation"}
    by_label, by_type = (good(tool, "estimate_cost", **wanted, **also) for also in ({"operation": "code_analysis"}, {}))
    assert (by_label["output_tokens"], by_label["output_method"]) == (75, "ledger")
    assert (by_type["output_tokens"], by_type["output_method"]) == (300, "table")


def test_optimize_prompt_answers_the_shorter_text_with_what_each_change_saves(tool: TokenCalculatorTool) -> None:
    payload = good(
        tool, "optimize_prompt", model="gpt-4o", text="Please   explain this in order to help.", max_output_tokens=100
    )
    assert payload["text"] == "Explain this to help."
    assert [change["kind"] for change in payload["changes"]] == ["white_space", "filler", "filler"]
    assert payload["tokens_saved"] == sum(change["tokens_saved"] for change in payload["changes"])
    assert payload["saved_usd"] == sum(change["saved_usd"] for change in payload["changes"])
    assert payload["saved_usd"] == payload["input_cost_usd"] - payload["input_cost_after_usd"]
    for model in payload["cheaper_models"]:
        assert model["saved_usd"] == payload["cost_usd"] - model["cost_usd"]


def test_optimize_prompt_needs_a_model_and_a_text(tool: TokenCalculatorTool) -> None:
    payload = bad(tool, "optimize_prompt", model="gpt-4o")
    assert (payload["error"], payload["path"]) == ("call_invalid", "text")
    assert bad(tool, "optimize_prompt", model="gpt-4o", text="")["error"] == "text_invalid"


def test_metrics_say_which_library_counts(tool: TokenCalculatorTool) -> None:
    good(tool, "estimate_cost", model="gpt-4o", text="hello")
    found = good(tool, "get_metrics")["token_backends"]
    assert set(found) == {"tiktoken", "fastokens", "splintr-rs"}
    assert "o200k_base" in found["tiktoken"]["loaded"]
    assert found["fastokens"]["loaded"] == found["splintr-rs"]["loaded"] == []


def test_tracking_books_our_price_and_flags_the_callers(tool: TokenCalculatorTool) -> None:
    payload = good(tool, "track_usage", **CALL, cost_usd=0.000375)
    assert payload["cost_usd"] == CALL_COST
    assert payload["caller_cost_usd"] == Decimal("0.000375")
    assert payload["cost_mismatch"] is True
    assert payload["cost_gap_usd"] == Decimal("-0.00075")
    assert payload["daily_spend_usd"] == CALL_COST


def test_an_equal_cost_is_no_mismatch(tool: TokenCalculatorTool) -> None:
    payload = good(tool, "track_usage", **CALL, cost_usd="0.001125")
    assert (payload["cost_mismatch"], payload["cost_gap_usd"]) == (False, None)


def test_an_unknown_model_is_booked_with_the_callers_cost_and_a_reason(tool: TokenCalculatorTool) -> None:
    payload = good(tool, "track_usage", **{**CALL, "model": "my-own-model"}, cost_usd="0.5")
    assert (Decimal("0.5"), "caller") == (payload["cost_usd"], payload["amount_source"])
    assert any("my-own-model" in note for note in payload["notes"])


def test_an_unknown_model_without_a_cost_is_unpriced_never_free(tool: TokenCalculatorTool) -> None:
    payload = good(tool, "track_usage", **{**CALL, "model": "my-own-model"})
    assert payload["cost_usd"] is None
    assert payload["notes"]
    report = good(tool, "get_usage_report")
    assert report["unpriced_calls"] == 1
    (missing,) = report["unpriced"]
    assert (missing["calls"], missing["meters"]) == (1, [])
    assert "no price is known for" in missing["reason"]


def test_the_same_key_books_once(tool: TokenCalculatorTool) -> None:
    first = good(tool, "track_usage", **CALL, idempotency_key="k")
    second = good(tool, "track_usage", **CALL, idempotency_key="k")
    assert (first["replayed"], second["replayed"]) == (False, True)
    assert first["entry_id"] == second["entry_id"]
    assert good(tool, "get_usage_report")["total_cost_usd"] == CALL_COST


def test_the_same_key_with_another_call_is_an_error_and_nothing_to_retry(tool: TokenCalculatorTool) -> None:
    good(tool, "track_usage", **CALL, idempotency_key="k")
    payload = bad(tool, "track_usage", **{**CALL, "output_tokens": 76}, idempotency_key="k")
    assert payload["error"] == "idempotency_conflict"
    assert "retry" not in payload


def test_a_providers_usage_is_read_as_it_is(tool: TokenCalculatorTool) -> None:
    body = {"prompt_tokens": 150, "completion_tokens": 75, "total_tokens": 225}
    arguments = {key: CALL[key] for key in ("agent_id", "operation", "model")}
    payload = good(tool, "track_usage", **arguments, provider="openai", usage=body)
    assert payload["cost_usd"] == CALL_COST


@pytest.mark.parametrize(
    ("message", "change"),
    [
        ("missing output_tokens", {"output_tokens": None}),
        ("missing input_tokens and output_tokens", {"input_tokens": None, "output_tokens": None}),
        ("usage and input_tokens, output_tokens were both given", {"usage": {"prompt_tokens": 1}}),
        ("less than its parts cache_read", {"cache_read_tokens": 151}),
        ("less than its parts reasoning", {"reasoning_tokens": 76}),
        ("control characters", {"model": "gpt\x1b[2J"}),
    ],
)
def test_a_call_that_cannot_be_is_refused_and_not_booked(
    tool: TokenCalculatorTool, message: str, change: dict[str, Any]
) -> None:
    payload = bad(tool, "track_usage", **{**CALL, **change})
    assert message in payload["message"]
    assert good(tool, "get_usage_report")["total"]["calls"] == 0


def test_tracking_shows_the_budgets_that_it_fell_in(tool: TokenCalculatorTool, engine: Engine) -> None:
    engine.set_budget(Budget(name="mine", limit_usd="0.00125", scope={"agent_id": "analyzer_agent"}))
    engine.set_budget(Budget(name="other", limit_usd=1, scope={"agent_id": "somebody"}))
    engine.set_budget(Budget(name="each", limit_usd=1, scope={"agent_id": "*"}, policy="soft"))
    budgets = {status["budget"]: status for status in good(tool, "track_usage", **CALL)["budgets"]}
    assert set(budgets) == {"mine", "each"}
    assert budgets["mine"]["available_usd"] == Decimal("0.000125")
    assert budgets["mine"]["alerts_passed"] == [75, 90]
    assert budgets["each"]["scope_value"] == "analyzer_agent"


def test_usage_that_a_subscription_paid_falls_only_in_budgets_that_say_so(
    tool: TokenCalculatorTool, engine: Engine
) -> None:
    engine.set_budget(Budget(name="money", limit_usd=1))
    engine.set_budget(Budget(name="all", limit_usd=1, notional=True))
    budgets = good(tool, "track_usage", **CALL, notional=True)["budgets"]
    assert [(status["budget"], status["notional"], status["spent_usd"]) for status in budgets] == [
        ("all", True, CALL_COST)
    ]
    budgets = good(tool, "track_usage", **CALL)["budgets"]
    assert {status["budget"]: status["spent_usd"] for status in budgets} == {"money": CALL_COST, "all": 2 * CALL_COST}


def test_a_value_that_was_found_is_answered_as_it_was(tool: TokenCalculatorTool) -> None:
    assert bad(tool, "nope")["found"] == "nope"
    assert bad(tool, "track_usage", **CALL, tags=["a", 1])["found"] == ["a", 1]
    assert bad(tool, "get_usage_report", period={"a": "day"})["found"] == {"a": "day"}


def test_a_budget_is_checked_with_an_amount(tool: TokenCalculatorTool, engine: Engine) -> None:
    engine.set_budget(Budget(name="daily", limit_usd="1"))
    engine.set_budget(Budget(name="watch", limit_usd="0.1", policy="observe"))
    assert good(tool, "check_budget", amount_usd="0.5")["allowed"] is True
    payload = good(tool, "check_budget", amount_usd="1.5")
    assert (payload["allowed"], payload["refused_by"]) == (False, ["daily"])
    one = good(tool, "check_budget", name="daily")
    assert (Decimal(1), Decimal(0)) == (one["available_usd"], one["utilisation"])
    assert one["limit_usd"] == good(tool, "check_budget", budget="daily")["limit_usd"]


def test_an_unknown_budget_names_the_known_ones(tool: TokenCalculatorTool, engine: Engine) -> None:
    engine.set_budget(Budget(name="daily", limit_usd="1"))
    payload = bad(tool, "check_budget", name="dayly")
    assert payload["error"] == "budget_unknown"
    assert "daily" in payload["known"]


def test_a_report_sums_to_its_total(tool: TokenCalculatorTool) -> None:
    good(tool, "track_usage", **CALL)
    good(tool, "track_usage", **{**CALL, "model": "gpt-4", "agent_id": "other"})
    payload = good(tool, "get_usage_report", group_by=["agent_id", "model"], period="day")
    assert payload["total_cost_usd"] == sum(row["cost_usd"] for row in payload["rows"])
    assert {row["agent_id"] for row in payload["rows"]} == {"analyzer_agent", "other"}
    assert good(tool, "get_usage_report", until="2026-11-20")["rows"] == []


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        ("give either a period or since", {"period": "day", "since": "2026-11-01"}),
        ("expected an instant after since", {"since": "2026-11-02", "until": "2026-11-01"}),
    ],
)
def test_an_interval_that_cannot_be_is_refused(
    tool: TokenCalculatorTool, message: str, arguments: dict[str, Any]
) -> None:
    assert message in bad(tool, "get_usage_report", **arguments)["message"]


def test_a_breakdown_gives_shares_of_what_the_filters_leave(tool: TokenCalculatorTool) -> None:
    for agent, count in (("a", 3), ("b", 1)):
        for _ in range(count):
            good(tool, "track_usage", **{**CALL, "agent_id": agent})
    payload = good(tool, "get_cost_breakdown")
    assert {"a": Decimal("0.750000"), "b": Decimal("0.250000")} == {
        row["agent_id"]: row["share"] for row in payload["agents"]
    }
    narrowed = good(tool, "get_cost_breakdown", agent_id="b")
    assert (narrowed["calls"], narrowed["total_cost_usd"]) == (1, CALL_COST)


def test_an_empty_ledger_has_no_shares_and_no_division_by_zero(tool: TokenCalculatorTool) -> None:
    payload = good(tool, "get_cost_breakdown")
    assert (Decimal(0), []) == (payload["total_cost_usd"], payload["models"])


def test_metrics_tell_how_the_tool_fares(tool: TokenCalculatorTool) -> None:
    good(tool, "track_usage", **CALL)
    good(tool, "estimate_cost", model="gpt-4o", text="hello")
    bad(tool, "estimate_cost", model="gpt-4o")
    bad(tool, "no_such_action")
    payload = good(tool, "get_metrics")
    assert payload["operations"]["estimate_cost"] == {"ok": 1, "failed": 1}
    assert payload["operations"]["unknown"] == {"ok": 0, "failed": 1}
    assert (4, 2, Decimal("0.5")) == (
        payload["total_operations"],
        payload["failed_operations"],
        payload["error_rate"],
    )
    assert payload["total_cost_usd"] == CALL_COST
    assert payload["breakers"]["estimate_cost"] == "closed"
    assert 0 < payload["limiter"]["fill"] < 1
    assert "o200k_base" in payload["tokenizers_loaded"]
    assert payload["configuration"]["requests_per_minute"] == 300


def test_an_empty_bucket_refuses_all_but_tracking(engine: Engine, clock: ManualClock) -> None:
    tool = TokenCalculatorTool(engine, limiter=Limiter(1, clock=clock), clock=clock)
    good(tool, "get_usage_report")
    payload = bad(tool, "estimate_cost", model="gpt-4o", text="x")
    assert payload["error"] == "throttled"
    assert 0 < payload["retry_after_s"] <= 60
    good(tool, "track_usage", **CALL)
    clock.advance(payload["retry_after_s"])
    good(tool, "estimate_cost", model="gpt-4o", text="x")


def test_our_own_failures_open_the_breaker_and_a_probe_closes_it(
    engine: Engine, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(**_: object) -> None:
        raise LedgerUnavailable("the disk is full", ledger="x")

    tool = TokenCalculatorTool(engine, breaker=Breaker(BreakerProfile(failures=2, open_s=60), clock=clock), clock=clock)
    with monkeypatch.context() as patch:
        patch.setattr(engine, "report", fails)
        codes = [bad(tool, "get_usage_report")["error"] for _ in range(3)]
    assert codes == ["ledger_unavailable", "ledger_unavailable", "breaker_open"]
    good(tool, "track_usage", **CALL)
    clock.advance(61)
    good(tool, "get_usage_report")


def test_a_users_mistakes_leave_the_breaker_closed(engine: Engine, clock: ManualClock) -> None:
    breaker = Breaker(BreakerProfile(failures=1), clock=clock)
    tool = TokenCalculatorTool(engine, breaker=breaker, clock=clock)
    for model in ("no-such-model", "gpt-4o\x00", ""):
        bad(tool, "estimate_cost", model=model, text="x")
    assert breaker.state == "closed"


def test_a_ledger_that_fails_gives_the_usage_back(
    engine: Engine, tool: TokenCalculatorTool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(**_: object) -> None:
        raise LedgerUnavailable("the disk is full", ledger="x")

    with monkeypatch.context() as patch:
        patch.setattr(engine, "record", fails)
        payload = bad(tool, "track_usage", **CALL, tags={"team": "search"})
    assert (payload["booked"], payload["error"]) == (False, "ledger_unavailable")
    assert "NOT booked" in payload["message"]
    assert good(tool, "track_usage", **payload["retry"])["cost_usd"] == CALL_COST


def test_a_ledger_that_cannot_be_opened_gives_the_usage_back(tmp_path: Path, clock: ManualClock) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    tool = TokenCalculatorTool(ledger=tmp_path / "file" / "usage.db", clock=clock)
    payload = bad(tool, "track_usage", **CALL, tags={"team": "search"})
    assert (payload["booked"], payload["error"]) == (False, "ledger_unavailable")
    assert "NOT booked" in payload["message"]
    assert {**CALL, "tags": {"team": "search"}, "at": clock.now()} == payload["retry"]
    (tmp_path / "file").unlink()
    assert good(tool, "track_usage", **payload["retry"])["at"] == clock.now()


def test_a_tool_that_was_closed_gives_the_usage_back(
    tool: TokenCalculatorTool, engine: Engine, clock: ManualClock
) -> None:
    tool.close()
    payload = bad(tool, "track_usage", **CALL, usage=None, cost_usd="0.5")
    assert (payload["booked"], payload["error"]) == (False, "ledger_closed")
    clock.advance(86_400)
    good(TokenCalculatorTool(engine, clock=clock), "track_usage", **json.loads(to_json(payload["retry"])))
    entry = next(engine.entries())
    assert (str(entry.at), entry.caller_cost_usd) == ("2026-11-20 12:00:00+00:00", Decimal("0.5"))


def test_settings_that_cannot_be_read_give_the_usage_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tokencalc.toml").write_text("ledgr = 1\n", encoding="utf-8")
    payload = bad(TokenCalculatorTool(), "track_usage", **CALL)
    assert (payload["booked"], payload["error"]) == (False, "config_invalid")
    assert payload["retry"]["input_tokens"] == 150


@pytest.mark.parametrize(
    ("error", "change"),
    [
        ("call_invalid", {"tags": {"team": 7}}),
        ("call_invalid", {"context": {"colour": "red"}}),
        ("usage_invalid", {"usage": {"prompt_tokens": -1}, "input_tokens": None, "output_tokens": None}),
    ],
)
def test_what_no_ledger_could_book_is_not_kept_for_later(
    tool: TokenCalculatorTool, error: str, change: dict[str, Any]
) -> None:
    tool.close()
    payload = bad(tool, "track_usage", **{**CALL, **change})
    assert payload["error"] == error
    assert "retry" not in payload


def test_the_tool_opens_its_ledger_on_first_use_and_closes_it(tmp_path: Path) -> None:
    async def work() -> list[tuple[bool, dict[str, Any]]]:
        async with TokenCalculatorTool(ledger=tmp_path / "usage.db") as tool:
            assert not (tmp_path / "usage.db").exists()
            answers = [await tool.execute("track_usage", **CALL)]
        return [*answers, await tool.execute("get_metrics")]

    booked, late = asyncio.run(work())
    assert booked[0]
    assert (late[0], late[1]["error"]) == (False, "ledger_closed")
    with Engine.open(tmp_path / "usage.db") as engine:
        assert engine.report().total.calls == 1


def test_an_engine_that_was_handed_in_stays_open(engine: Engine, tool: TokenCalculatorTool) -> None:
    good(tool, "track_usage", **CALL)
    tool.close()
    assert engine.report().total.calls == 1


def test_an_async_engine_serves_as_well(engine: Engine, clock: ManualClock) -> None:
    good(TokenCalculatorTool(AsyncEngine(engine), clock=clock), "track_usage", **CALL)
    assert engine.report().total.calls == 1


def test_attribution_reaches_the_entry(tool: TokenCalculatorTool, engine: Engine) -> None:
    with attribution(project="shop", tags={"team": "search"}):
        good(tool, "track_usage", **CALL)
    entry = next(engine.entries())
    assert (entry.project, dict(entry.tags)) == ("shop", {"team": "search"})


def test_a_file_that_is_no_ledger_is_an_answer_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "usage.db"
    path.write_bytes(b"not a ledger at all")
    payload = bad(TokenCalculatorTool(ledger=path), "get_metrics")
    assert payload["error"] == "ledger_corrupt"
    assert path.read_bytes() == b"not a ledger at all"


def test_many_tasks_share_one_tool(tool: TokenCalculatorTool) -> None:
    async def work() -> list[tuple[bool, dict[str, Any]]]:
        return await asyncio.gather(*(tool.execute("track_usage", **CALL) for _ in range(50)))

    assert all(ok for ok, _ in asyncio.run(work()))
    assert good(tool, "get_usage_report")["total_cost_usd"] == 50 * CALL_COST


@pytest.mark.parametrize("text", ["", 5, b"bytes", None.__class__])
def test_what_is_no_text_is_not_counted(tool: TokenCalculatorTool, text: object) -> None:
    ok, payload = run(tool, "estimate_cost", model="gpt-4o", text=text)
    assert (ok, payload["error"]) == (False, "text_invalid")
    assert payload["message"].startswith("text: expected some text to count, found ")
