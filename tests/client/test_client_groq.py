"""A wrapped groq client against a local server; it is made as openai's is, so this is what differs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import groq
import pytest
from groq import AsyncGroq, Groq

from tests.client import bodies
from tests.client.ledgers import EXACT, booked, counts, only, states
from tests.client.provider import OPENED, Provider, events, whole
from tokencalc import wrap

if TYPE_CHECKING:
    from tokencalc import Engine

MODEL = "llama-3.3-70b-versatile"
ASKED: dict[str, Any] = {"model": MODEL, "messages": bodies.HELLO, "max_completion_tokens": 100}


def bare(provider: Provider) -> Groq:
    client = Groq(api_key="key", base_url=provider.url, max_retries=0)
    OPENED.append(client)
    return client


def chunks() -> list[dict[str, Any]]:
    """Return a stream whose last chunk says the usage under x_groq, without being asked."""
    *said, last = bodies.chat_chunks(MODEL, usage=False)
    return [*said, {**last, "x_groq": {"id": "req-1", "usage": bodies.USAGE}}]


def test_a_whole_call_is_booked(provider: Provider, engine: Engine) -> None:
    provider.say(whole(bodies.chat(MODEL)))
    expected = bare(provider).chat.completions.create(**ASKED)
    assert wrap(bare(provider), engine=engine).chat.completions.create(**ASKED) == expected
    assert (counts(only(engine)), only(engine).provider) == (EXACT, "groq")


def test_a_stream_is_booked_by_its_own_field_and_asked_for_nothing(provider: Provider, engine: Engine) -> None:
    provider.say(events(chunks()))
    expected = list(bare(provider).chat.completions.create(**ASKED, stream=True))
    assert list(wrap(bare(provider), engine=engine).chat.completions.create(**ASKED, stream=True)) == expected
    assert "stream_options" not in provider.seen[1].body
    assert counts(only(engine)) == EXACT


def test_an_error_releases_the_hold(provider: Provider, engine: Engine) -> None:
    provider.say(whole({"error": {"message": "slow down", "type": "tokens"}}, status=429))
    with pytest.raises(groq.RateLimitError, match="slow down"):
        wrap(bare(provider), engine=engine).chat.completions.create(**ASKED)
    assert (len(provider.seen), booked(engine), states(engine)) == (1, [], ["released"])


def test_an_async_call_is_booked(provider: Provider, engine: Engine) -> None:
    provider.say(whole(bodies.chat(MODEL)))

    async def go() -> None:
        async with wrap(AsyncGroq(api_key="key", base_url=provider.url), engine=engine) as client:
            await client.chat.completions.create(**ASKED)

    asyncio.run(go())
    assert counts(only(engine)) == EXACT
