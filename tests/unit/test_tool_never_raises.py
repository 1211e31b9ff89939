"""Whatever is handed in, the tool answers with a code of our tree, in values that are JSON, and books nothing wrong."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import Any

from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from tokencalc.cli.main import main
from tokencalc.clock import ManualClock
from tokencalc.engine import Engine
from tokencalc.jsontext import to_json
from tokencalc.limits.limiter import Limiter
from tokencalc.tool import TokenCalculatorTool
from tokencalc.tool_arguments import ACTIONS

ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([400, 5000]).map(lambda digits: 10**digits),  # Python writes no more than 4,300 digits
    st.floats(),
    st.decimals(),
    st.text(max_size=30),
    st.binary(max_size=5),
    st.sampled_from(["gpt-4o", "claude-sonnet-4-5", "openai", "day", "2026-11-20", "\x1b[2J", "\ud800", "model"]),
    st.builds(object),
)
VALUES = st.recursive(
    ODD,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
NAMES = sorted({name for arguments in ACTIONS.values() for name in arguments.model_fields})
GOOD = {"model": "gpt-4o", "text": "x", "agent_id": "a", "operation": "o", "input_tokens": 1, "output_tokens": 1}


@settings(max_examples=400)
@given(
    st.sampled_from([*ACTIONS, "odd"]) | VALUES,
    st.dictionaries(
        st.sampled_from([*NAMES, "\ud800"]) | st.text(max_size=5).filter(lambda name: name != "action"),
        VALUES,
        max_size=4,
    ),
    st.booleans(),
)
def test_no_arguments_make_the_tool_raise(action: Any, arguments: dict[str, Any], complete: object) -> None:
    if complete and action in ("estimate_cost", "track_usage"):
        known = ACTIONS[action].model_fields
        arguments = {**{name: value for name, value in GOOD.items() if name in known}, **arguments}
    clock = ManualClock("2026-11-20T12:00:00Z")
    with Engine.open(":memory:", clock=clock) as engine:
        tool = TokenCalculatorTool(engine, limiter=Limiter(10**6, clock=clock), clock=clock)
        ok, payload = asyncio.run(tool.execute(action, **arguments))
        calls = engine.report().total.calls
        assert engine.verify().ok
    json.loads(to_json(payload))
    assert ok or (payload["error"] and payload["message"])
    assert calls == int(ok and action == "track_usage")


@settings(max_examples=100)
@given(st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=4))
def test_a_ledger_that_cannot_be_opened_makes_the_tool_raise_no_more(arguments: dict[str, Any]) -> None:
    tool = TokenCalculatorTool(ledger="/dev/null/usage.db")
    given_ones = {name: value for name, value in GOOD.items() if name != "text"} | arguments
    ok, payload = asyncio.run(tool.execute("track_usage", **given_ones))
    json.loads(to_json(payload))
    assert not ok
    assert payload["message"]
    assert payload.get("booked") in {None, False}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["usage", "model", "prompt_tokens", "completion_tokens", "input_tokens", "output_tokens", "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


@given(JSON)
def test_no_response_makes_the_command_line_fall_over(body: object) -> None:
    result = CliRunner().invoke(main, ["price", "-m", "gpt-4o", "--file", "-", "--json"], input=json.dumps(body))
    assert result.exit_code in {0, 2}, result.output
    shown = json.loads(result.stdout)
    if result.exit_code == 0:
        total = shown["total_usd"]
        assert total is None or Decimal(total) == sum(Decimal(line["amount_usd"]) for line in shown["lines"])
