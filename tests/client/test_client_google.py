"""A wrapped google-genai client against a local server."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any

import pytest
from google import genai
from google.genai import errors, types

from tests.client import bodies
from tests.client.ledgers import EXACT, booked, counts, only, states
from tests.client.provider import OPENED, Provider, Reply, events, whole
from tokencalc import Budget, BudgetExceeded, wrap
from tokencalc.errors import FeatureUnavailable
from tokencalc.limits.retry import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokencalc import Engine

MODEL = "gemini-2.5-flash"
ASKED: dict[str, Any] = {"model": MODEL, "contents": "Say hello, please."}


def bare(provider: Provider, **options: Any) -> genai.Client:
    client = genai.Client(api_key="key", http_options=types.HttpOptions(base_url=provider.url, **options))
    OPENED.append(client)
    return client


def _chat(client: genai.Client) -> object:
    chat = client.chats.create(model=MODEL)
    return chat.send_message("Say hello, please.").text


WHOLE, STREAM = whole(bodies.generation()), events(bodies.generation_chunks(), done=False)
WAYS: list[tuple[str, Callable[[genai.Client], object], Reply]] = [
    ("whole", lambda client: client.models.generate_content(**ASKED).model_dump(exclude={"sdk_http_response"}), WHOLE),
    ("chat", _chat, WHOLE),
    (
        "streamed",
        lambda client: [chunk.text for chunk in client.models.generate_content_stream(**ASKED)],
        STREAM,
    ),
]


@pytest.mark.parametrize(("way", "reply"), [row[1:] for row in WAYS], ids=[row[0] for row in WAYS])
def test_a_wrapped_call_returns_what_the_bare_one_returns_and_books_the_bodys_usage(
    provider: Provider, engine: Engine, way: Callable[[genai.Client], object], reply: Reply
) -> None:
    provider.say(reply)
    assert way(wrap(bare(provider), engine=engine)) == way(bare(provider))
    entry = only(engine)
    assert (counts(entry), entry.provider, entry.model) == (EXACT, "google", MODEL)


def test_the_type_stays_and_the_original_is_untouched(provider: Provider, engine: Engine) -> None:
    provider.say(WHOLE)
    client = bare(provider)
    inside, before = client._api_client, dict(client._api_client.__dict__)
    assert type(wrap(client, engine=engine)) is genai.Client
    gc.collect()
    assert client._api_client is inside
    assert client._api_client.__dict__ == before
    assert client.models.generate_content(**ASKED).text
    assert booked(engine) == []


def test_every_round_of_automatic_function_calling_is_booked(provider: Provider, engine: Engine) -> None:
    def weather(city: str) -> str:
        """Say the weather."""
        return f"It rains in {city}."

    asks = whole(bodies.generation({"functionCall": {"name": "weather", "args": {"city": "Bern"}}}))
    provider.say(asks, asks, asks, WHOLE)
    found = wrap(bare(provider), engine=engine).models.generate_content(
        **ASKED, config=types.GenerateContentConfig(tools=[weather])
    )
    assert found.text == "".join(bodies.SAID)
    assert [counts(entry) for entry in booked(engine)] == [EXACT] * 4


def test_a_stream_that_is_left_books_what_was_received(provider: Provider, engine: Engine) -> None:
    provider.say(Reply(headers=STREAM.headers, pieces=STREAM.pieces, pauses=True))
    for _ in wrap(bare(provider), engine=engine).models.generate_content_stream(**ASKED):
        break
    gc.collect()
    entry = only(engine)
    assert counts(entry) == (bodies.INPUT, engine.count(MODEL, bodies.SAID[0]).tokens)
    assert any("estimated" in note for note in entry.notes)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("status", "kind"), [(400, errors.ClientError), (429, errors.ClientError), (503, errors.ServerError)]
)
def test_an_error_is_the_clients_own_and_releases_the_hold(
    provider: Provider, engine: Engine, status: int, kind: type[Exception], *, streamed: bool
) -> None:
    provider.say(whole({"error": {"code": status, "message": "no", "status": "X"}}, status=status))
    client = wrap(bare(provider, retry_options=types.HttpRetryOptions(attempts=5)), engine=engine, retries=0)
    call: Any = client.models.generate_content_stream if streamed else client.models.generate_content
    with pytest.raises(kind, match="no"):
        list(call(**ASKED))
    assert (len(provider.seen), booked(engine), states(engine)) == (1, [], ["released"])


@pytest.mark.parametrize("is_async", [False, True])
def test_retry_options_of_a_request_do_not_multiply_with_ours(
    provider: Provider, engine: Engine, *, is_async: bool
) -> None:
    provider.say(whole({"error": {"code": 503, "message": "no", "status": "UNAVAILABLE"}}, status=503))
    again = types.HttpRetryOptions(attempts=4, initial_delay=0.001, max_delay=0.001)
    config = types.GenerateContentConfig(http_options=types.HttpOptions(retry_options=again))
    policy = RetryPolicy(attempts_max=2, wait_s=0, jitter_share=0)
    plain = bare(provider)
    client = wrap(plain, engine=engine, retries=policy)

    async def go() -> None:
        try:
            await client.aio.models.generate_content(**ASKED, config=config)
        finally:
            await plain.aio.aclose()

    with pytest.raises(errors.ServerError, match="no"):
        asyncio.run(go()) if is_async else client.models.generate_content(**ASKED, config=config)
    assert (len(provider.seen), states(engine)) == (2, ["released"])


def test_a_refusal_sends_nothing(provider: Provider, engine: Engine) -> None:
    engine.set_budget(Budget(name="daily", limit_usd="0.000001"))
    with pytest.raises(BudgetExceeded, match="daily"):
        wrap(bare(provider), engine=engine).models.generate_content(**ASKED)
    assert provider.seen == []


def test_counting_costs_nothing_and_passes(provider: Provider, engine: Engine) -> None:
    provider.say(whole({"totalTokens": 5}))
    assert wrap(bare(provider), engine=engine).models.count_tokens(**ASKED).total_tokens == 5
    assert states(engine) == []


def test_embeddings_are_held_and_booked(provider: Provider, engine: Engine) -> None:
    provider.say(whole({"embeddings": [{"values": [0.1], "statistics": {"tokenCount": 4}}]}))
    found = wrap(bare(provider), engine=engine).models.embed_content(model="gemini-embedding-001", contents="hello")
    assert found.embeddings
    assert states(engine) == ["settled"]


def test_interactions_are_guarded_too(provider: Provider, engine: Engine) -> None:
    provider.say(
        whole(
            {
                "id": "i-1",
                "status": "completed",
                "model": MODEL,
                "outputs": [{"type": "text", "text": "Hello."}],
                "usage": {
                    "total_input_tokens": bodies.INPUT,
                    "total_output_tokens": bodies.OUTPUT,
                    "total_tokens": bodies.INPUT + bodies.OUTPUT,
                },
            }
        )
    )
    wrap(bare(provider), engine=engine).interactions.create(model=MODEL, input="Say hello, please.")
    assert counts(only(engine)) == EXACT


def test_a_client_whose_inside_changed_is_refused_at_once(provider: Provider, engine: Engine) -> None:
    client = bare(provider)
    inside = client._api_client
    client._api_client = object()  # type: ignore[assignment]  # a version that we do not know
    with pytest.raises(FeatureUnavailable, match="its api client has no _httpx_client"):
        wrap(client, engine=engine)
    client._api_client = inside


def test_a_client_is_wrapped_once(provider: Provider, engine: Engine) -> None:
    with pytest.raises(FeatureUnavailable, match="wrapped already"):
        wrap(wrap(bare(provider), engine=engine), engine=engine)


async def _whole(client: genai.Client) -> object:
    return (await client.aio.models.generate_content(**ASKED)).text


async def _streamed(client: genai.Client) -> object:
    return [chunk.text async for chunk in await client.aio.models.generate_content_stream(**ASKED)]


@pytest.mark.parametrize(("way", "reply"), [(_whole, WHOLE), (_streamed, STREAM)])
def test_a_wrapped_async_call_returns_what_the_bare_one_returns_and_books_the_bodys_usage(
    provider: Provider, engine: Engine, way: Callable[[genai.Client], Any], reply: Reply
) -> None:
    provider.say(reply)

    async def both() -> tuple[object, object]:
        plain, inner = bare(provider), bare(provider)
        try:
            return await way(plain), await way(wrap(inner, engine=engine))
        finally:
            await plain.aio.aclose()
            await inner.aio.aclose()

    expected, found = asyncio.run(both())
    assert found == expected
    assert counts(only(engine)) == EXACT
