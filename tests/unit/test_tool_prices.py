"""`update_pricing`: a dry run by default, the same path as the command, and never an exception."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from tokencalc.clock import ManualClock
from tokencalc.config import Settings
from tokencalc.engine import Engine
from tokencalc.jsontext import to_json
from tokencalc.tool import TokenCalculatorTool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OFFER = """
provider = "openai"
[[model]]
id = "o3"
[[model.card]]
effective_from = 2026-11-15
rates = { input_per_mtok = "USD", cache_read_per_mtok = "0.5", output_per_mtok = "8" }
"""


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    own = tmp_path / "own.toml"
    own.write_text(
        'provider = "acme"\n[[model]]\nid = "mine"\n[[model.card]]\neffective_from = 2026-01-01\nrates = {}\n'
    )
    settings = Settings(price_folder=tmp_path / "accepted", prices=(own,))
    with Engine.open(":memory:", clock=ManualClock("2026-11-20T12:00:00Z"), settings=settings) as opened:
        yield opened


@pytest.fixture
def tool(engine: Engine) -> TokenCalculatorTool:
    return TokenCalculatorTool(engine, clock=engine.clock)


def offer(tmp_path: Path, usd: str = "3") -> str:
    path = tmp_path / f"offer-{usd}.toml"
    path.write_text(OFFER.replace("USD", usd), encoding="utf-8")
    return str(path)


def act(tool: TokenCalculatorTool, **arguments: Any) -> tuple[bool, dict[str, Any]]:
    ok, payload = asyncio.run(tool.execute("update_pricing", **arguments))
    json.loads(to_json(payload))
    return ok, payload


def test_without_confirm_it_answers_what_would_change(tool: TokenCalculatorTool, tmp_path: Path) -> None:
    ok, payload = act(tool, file=offer(tmp_path))
    assert (ok, payload["applied"], payload["written"], payload["undo"]) == (True, False, [], None)
    change = payload["changed"][0]
    assert (change["model"], change["meter"], change["percent"]) == ("o3", "input", Decimal("50.0"))
    assert not (tmp_path / "accepted").exists()


def test_confirmed_it_prices_from_then_on(tool: TokenCalculatorTool, engine: Engine, tmp_path: Path) -> None:
    before = engine.price(model="o3", usage={"input_tokens": 10**6, "output_tokens": 0}).total_usd
    ok, payload = act(tool, file=offer(tmp_path), confirm=True)
    after = engine.price(model="o3", usage={"input_tokens": 10**6, "output_tokens": 0}).total_usd
    entry = engine.record(model="o3", usage={"input_tokens": 10**6, "output_tokens": 0})
    assert (ok, payload["applied"]) == (True, True)
    assert [before, after, entry.amount_usd] == [Decimal(2), Decimal(3), Decimal(3)]
    assert payload["written"] == [tmp_path / "accepted" / "openai.toml"]
    assert engine.catalog.resolve("mine").provider == "acme"
    _, metrics = asyncio.run(tool.execute("get_metrics"))
    assert metrics["configuration"]["price_updates"] == payload["written"]


def test_a_jump_is_told_in_a_dry_run_and_refused_with_confirm(tool: TokenCalculatorTool, tmp_path: Path) -> None:
    ok, payload = act(tool, file=offer(tmp_path, "30"))
    assert (ok, [jump["meter"] for jump in payload["jumps"]]) == (True, ["input"])
    ok, payload = act(tool, file=offer(tmp_path, "30"), confirm=True)
    assert (ok, payload["error"]) == (False, "price_jump")
    assert payload["jumps"] == ["openai/o3 input $2 -> $30"]
    ok, payload = act(tool, file=offer(tmp_path, "30"), confirm=True, force=True)
    assert (ok, payload["applied"]) == (True, True)


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        ("call_invalid", {}),
        ("call_invalid", {"file": 7}),
        ("call_invalid", {"file": "a\0b"}),
        ("call_invalid", {"file": "\ud800"}),
        ("call_invalid", {"file": "offer.toml", "wheel": "x.whl"}),
        ("call_invalid", {"file": "offer.toml", "confirm": "yes"}),
        ("price_table_invalid", {"file": "missing.toml"}),
        ("price_table_invalid", {"file": "."}),
        ("price_table_invalid", {"file": "genai-prices", "wheel": "missing.whl"}),
        ("call_invalid", {"file": "genai-prices", "wheel": "a\0b"}),
    ],
)
def test_a_mistake_is_answered(
    code: str,
    arguments: dict[str, Any],
    tool: TokenCalculatorTool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    ok, payload = act(tool, **arguments)
    assert (ok, payload["error"]) == (False, code), payload


def test_metrics_say_how_old_the_list_is(engine: Engine) -> None:
    clock = ManualClock("2027-03-01T00:00:00Z")
    _, fresh = asyncio.run(TokenCalculatorTool(engine, clock=engine.clock).execute("get_metrics"))
    _, old = asyncio.run(TokenCalculatorTool(engine, clock=clock).execute("get_metrics"))
    found, later = fresh["configuration"], old["configuration"]
    assert (found["price_table_is_stale"], later["price_table_is_stale"]) == (False, True)
    assert later["price_table_age_days"] - found["price_table_age_days"] == 101
