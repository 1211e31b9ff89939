"""`guard`: a function of the caller's own, under the same rules as a wrapped client."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.client import bodies
from tests.client.ledgers import EXACT, booked, counts, only, states
from tokencalc import Budget, BudgetExceeded, guard
from tokencalc.errors import CallInvalid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokencalc import Engine


def ask(prompt: str, limit: int = 50) -> dict[str, Any]:
    """Return what a provider of the caller's own would."""
    return {**bodies.chat(), "asked": prompt, "limit": limit}


def described(prompt: str, limit: int = 50) -> dict[str, Any]:
    """Say what a call of `ask` asks for."""
    return {"text": prompt, "max_output_tokens": limit}


def test_a_call_is_held_by_its_description_and_booked_by_its_answer(engine: Engine) -> None:
    found = guard(ask, model="gpt-4o", describe=described, engine=engine, agent_id="own")("hello", limit=7)
    assert found == ask("hello", 7)
    (hold,) = engine.holds()
    bare = engine.reserve(model="gpt-4o", text="hello", max_output_tokens=7)
    assert hold.amount_usd == bare.amount_usd
    engine.release(bare)
    assert (counts(only(engine)), only(engine).agent_id) == (EXACT, "own")


def test_without_a_description_a_used_up_budget_still_refuses(engine: Engine) -> None:
    engine.set_budget(Budget(name="daily", limit_usd="0.001"))
    call = guard(ask, model="gpt-4o", engine=engine)
    call("hello")
    with pytest.raises(BudgetExceeded, match="daily"):
        guard(ask, model="gpt-4o", engine=engine, hold_usd="0.01")("hello")
    assert len(booked(engine)) == 1


def test_usage_may_be_found_by_a_function_of_the_callers(engine: Engine) -> None:
    call = guard(
        lambda: "hello", model="gpt-4o", usage=lambda _text: {"input_tokens": 3, "output_tokens": 1}, engine=engine
    )
    assert call() == "hello"
    assert counts(only(engine)) == (3, 1)


@pytest.mark.parametrize("usage", [None, lambda _text: 1 / 0])
def test_an_answer_without_a_usage_is_handed_on_and_booked_as_estimated(engine: Engine, usage: Any) -> None:
    assert guard(lambda: "hello", model="gpt-4o", usage=usage, engine=engine)() == "hello"
    assert any("estimated" in note for note in only(engine).notes)


def test_an_error_of_the_function_is_its_own_and_leaves_the_hold_as_nobody_knows(engine: Engine) -> None:
    def broken() -> None:
        raise RuntimeError("my own")

    with pytest.raises(RuntimeError, match="my own"):
        guard(broken, model="gpt-4o", engine=engine)()
    assert states(engine) == ["open"]


def test_a_coroutine_function_stays_one(engine: Engine) -> None:
    async def slow(prompt: str) -> dict[str, Any]:
        await asyncio.sleep(0)
        return ask(prompt)

    call = guard(slow, model="gpt-4o", describe=lambda prompt: {"text": prompt, "max_output_tokens": 5}, engine=engine)
    assert asyncio.iscoroutinefunction(call)
    assert asyncio.run(call("hello"))["asked"] == "hello"
    assert counts(only(engine)) == EXACT


def test_what_cannot_be_guarded_says_so_at_once(engine: Engine) -> None:
    def chunks() -> Iterator[str]:
        yield "a"

    with pytest.raises(CallInvalid, match="found a generator"):
        guard(chunks, model="gpt-4o", engine=engine)
    with pytest.raises(CallInvalid, match="expected model or describe, found neither"):
        guard(ask, engine=engine)
    with pytest.raises(CallInvalid, match="unknown argument 'agent'"):
        guard(ask, model="gpt-4o", engine=engine, agent="x")  # type: ignore[call-arg]  # what is refused
    with pytest.raises(CallInvalid, match="describe: unknown name 'max_tokens'"):
        guard(lambda: None, model="gpt-4o", describe=lambda: {"max_tokens": 4}, engine=engine)()


def test_no_sdk_is_loaded_by_the_wrapper_itself() -> None:
    code = "import sys, tokencalc; tokencalc.wrap, tokencalc.guard; print(*sorted(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"openai", "anthropic", "groq", "mistralai", "google.genai", "httpx", "httpx2"} & set(found)


def test_a_stream_that_is_left_at_the_programs_end_is_booked_in_the_users_own_ledger() -> None:
    code = """
import httpx2
from openai import OpenAI
from tokencalc import wrap

def answer(_request):
    return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=b"")

client = wrap(OpenAI(api_key="none", http_client=httpx2.Client(transport=httpx2.MockTransport(answer))))
hello = [{"role": "user", "content": "hi"}]
left = client.chat.completions.create(model="gpt-4o", messages=hello, max_tokens=5, stream=True)
del left
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    count = "from tokencalc import Engine; print(len(list(Engine.open().entries())))"
    assert subprocess.run([sys.executable, "-c", count], capture_output=True, text=True, check=True).stdout == "1\n"
