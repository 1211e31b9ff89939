"""A wrapped mistralai client against a local server."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any

import pytest
from mistralai.azure.client import MistralAzure
from mistralai.client import Mistral, errors
from mistralai.client.utils import BackoffStrategy, RetryConfig
from mistralai.gcp.client import MistralGCP

from tests.client import bodies
from tests.client.ledgers import EXACT, booked, counts, only, states
from tests.client.provider import OPENED, Provider, Reply, events, whole
from tokencalc import Budget, BudgetExceeded, wrap
from tokencalc.errors import FeatureUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokencalc import Engine

MODEL = "mistral-small-latest"
ASKED: dict[str, Any] = {"model": MODEL, "messages": bodies.HELLO, "max_tokens": 100}


class _Closing:
    """Closes a client of mistralai, which has no method for it."""

    def __init__(self, client: Any) -> None:
        """Keep the client."""
        self._client = client

    def close(self) -> None:
        """Close its HTTP client."""
        self._client.__exit__(None, None, None)


def bare(provider: Provider, **options: Any) -> Mistral:
    client = Mistral(api_key="key", server_url=provider.url, **options)
    OPENED.append(_Closing(client))
    return client


def chunks(model: str = MODEL) -> list[dict[str, Any]]:
    """Return a stream whose last chunk says the usage unasked."""
    *said, last = bodies.chat_chunks(model, usage=False)
    return [*said, {**last, "usage": bodies.USAGE}]


def _read(client: Mistral) -> object:
    with client.chat.stream(**ASKED) as stream:
        return [event.data for event in stream]


WHOLE, STREAM = whole(bodies.chat(MODEL)), events(chunks())


@pytest.mark.parametrize(
    ("way", "reply"),
    [(lambda client: client.chat.complete(**ASKED), WHOLE), (_read, STREAM)],
    ids=["whole", "streamed"],
)
def test_a_wrapped_call_returns_what_the_bare_one_returns_and_books_the_bodys_usage(
    provider: Provider, engine: Engine, way: Callable[[Mistral], object], reply: Reply
) -> None:
    provider.say(reply)
    assert way(wrap(bare(provider), engine=engine)) == way(bare(provider))
    entry = only(engine)
    assert (counts(entry), entry.provider) == (EXACT, "mistral")


def test_the_type_stays_and_the_original_is_untouched(provider: Provider, engine: Engine) -> None:
    provider.say(WHOLE)
    client = bare(provider)
    client.chat.complete(**ASKED)
    before = dict(client.sdk_configuration.__dict__)
    wrapped = wrap(client, engine=engine)
    assert type(wrapped) is Mistral
    wrapped.chat.complete(**ASKED)
    del wrapped
    gc.collect()
    assert client.sdk_configuration.__dict__ == before
    client.chat.complete(**ASKED)
    assert len(booked(engine)) == 1


def test_a_client_that_only_the_wrapped_one_holds_stays_open(provider: Provider, engine: Engine) -> None:
    provider.say(WHOLE)
    wrapped = wrap(bare(provider), engine=engine)
    gc.collect()
    assert wrapped.chat.complete(**ASKED).choices


def test_a_stream_that_is_left_books_the_prompt_and_what_was_received(provider: Provider, engine: Engine) -> None:
    provider.say(Reply(headers=STREAM.headers, pieces=STREAM.pieces, pauses=True))
    with wrap(bare(provider), engine=engine).chat.stream(**ASKED) as stream:
        for _ in stream:
            break
    entry = only(engine)
    assert counts(entry)[1] == engine.count(MODEL, bodies.SAID[0]).tokens
    assert any("estimated" in note for note in entry.notes)


@pytest.mark.parametrize("status", [401, 429, 500])
def test_an_error_is_the_clients_own_and_releases_the_hold(provider: Provider, engine: Engine, status: int) -> None:
    provider.say(whole({"message": "no", "type": "x", "code": "1"}, status=status))
    again = RetryConfig("backoff", BackoffStrategy(1, 2, 1.0, 1000), retry_connection_errors=True)
    with pytest.raises(errors.SDKError, match=str(status)):
        wrap(bare(provider, retry_config=again), engine=engine, retries=0).chat.complete(**ASKED)
    assert (len(provider.seen), booked(engine), states(engine)) == (1, [], ["released"])


def test_a_refusal_sends_nothing(provider: Provider, engine: Engine) -> None:
    engine.set_budget(Budget(name="daily", limit_usd="0.0000001"))
    with pytest.raises(BudgetExceeded, match="daily"):
        wrap(bare(provider), engine=engine).chat.complete(**ASKED)
    assert provider.seen == []


def test_an_agents_call_is_booked_by_the_model_that_its_answer_names(provider: Provider, engine: Engine) -> None:
    provider.say(WHOLE)
    said: Any = [{"role": "user", "content": "hi"}]
    wrap(bare(provider), engine=engine).agents.complete(agent_id="ag:1", messages=said)
    entry = only(engine)
    assert (counts(entry), entry.amount_usd is not None) == (EXACT, True)


def test_embeddings_are_held_and_booked(provider: Provider, engine: Engine) -> None:
    usage = {"prompt_tokens": 4, "total_tokens": 4, "completion_tokens": 0}
    data = [{"object": "embedding", "index": 0, "embedding": [0.1]}]
    provider.say(whole({"id": "e", "object": "list", "model": "mistral-embed", "data": data, "usage": usage}))
    wrap(bare(provider), engine=engine).embeddings.create(model="mistral-embed", inputs=["hello"])
    assert counts(only(engine)) == (4, 0)


CONVERSATION = {
    "object": "conversation.response",
    "conversation_id": "c-1",
    "outputs": [],
    "usage": bodies.USAGE,
}
ENDED = {"type": "conversation.response.done", "usage": bodies.USAGE}
TRANSCRIPT = {
    "model": "voxtral-mini-2507",
    "text": "hi",
    "language": "en",
    "segments": [],
    "usage": {**bodies.USAGE, "prompt_audio_seconds": 10},
}
SPOKEN: Any = bodies.HELLO
CLASSES = {"id": "c", "model": "mistral-moderation-latest", "results": [], "usage": bodies.USAGE}
MEASURED: list[tuple[str, Callable[[Mistral], object], Reply]] = [
    ("start", lambda client: client.beta.conversations.start(model=MODEL, inputs="hi"), whole(CONVERSATION)),
    (
        "append",
        lambda client: client.beta.conversations.append(conversation_id="c-1", inputs="hi"),
        whole(CONVERSATION),
    ),
    (
        "append, streamed",
        lambda client: list(client.beta.conversations.append_stream(conversation_id="c-1", inputs="hi")),
        events([ENDED], done=False),
    ),
    (
        "restart",
        lambda client: client.beta.conversations.restart(conversation_id="c-1", from_entry_id="e", inputs="hi"),
        whole(CONVERSATION),
    ),
    (
        "restart, streamed",
        lambda client: list(
            client.beta.conversations.restart_stream(conversation_id="c-1", from_entry_id="e", inputs="hi")
        ),
        events([ENDED], done=False),
    ),
    (
        "transcription",
        lambda client: client.audio.transcriptions.complete(model="voxtral-mini-latest", file_url="file:x"),
        whole(TRANSCRIPT),
    ),
    ("moderation", lambda client: client.classifiers.moderate(model="m", inputs=["hi"]), whole(CLASSES)),
    ("classes", lambda client: client.classifiers.classify(model="m", inputs=["hi"]), whole(CLASSES)),
    (
        "classes of a chat",
        lambda client: client.classifiers.classify_chat(model="m", input={"messages": SPOKEN}),
        whole(CLASSES),
    ),
]


@pytest.mark.parametrize(("way", "reply"), [row[1:] for row in MEASURED], ids=[row[0] for row in MEASURED])
def test_what_is_known_from_its_answer_only_asks_the_budget_and_is_booked(
    provider: Provider, engine: Engine, way: Callable[[Mistral], object], reply: Reply
) -> None:
    provider.say(reply)
    way(wrap(bare(provider), engine=engine))
    entry = only(engine)
    assert entry.usage is not None
    assert (entry.usage.output_tokens, entry.provider) == (bodies.OUTPUT, "mistral")
    engine.set_budget(Budget(name="daily", limit_usd="0.0000001"))
    with pytest.raises(BudgetExceeded, match="daily"):
        way(wrap(bare(provider), engine=engine, hold_usd="0.01"))
    assert len(provider.seen) == 1


def test_a_conversation_that_goes_on_has_no_price_until_its_model_is_said(provider: Provider, engine: Engine) -> None:
    provider.say(whole(CONVERSATION))
    asked: dict[str, Any] = {"conversation_id": "c-1", "inputs": "hi"}
    wrap(bare(provider), engine=engine).beta.conversations.append(**asked)
    wrap(bare(provider), engine=engine, models={"unnamed": MODEL}).beta.conversations.append(**asked)
    said, unsaid = booked(engine)
    assert (unsaid.model, unsaid.amount_usd) == ("unnamed", None)
    assert said.amount_usd is not None


def azure(provider: Provider) -> Any:
    client = MistralAzure(api_key="key", server_url=provider.url)
    OPENED.append(_Closing(client))
    return client


def vertex(provider: Provider) -> Any:
    client = MistralGCP(project_id="p", access_token=provider.url, server_url=provider.url)
    OPENED.append(_Closing(client))
    return client


ON_CLOUDS: dict[str, Any] = {**ASKED, "model": "mistral-small-2503"}
FILLED = {"model": "codestral-2501", "prompt": "def f(", "max_tokens": 9}
CLOUDS: list[tuple[str, str, Callable[[Provider], Any], Callable[[Any], object], Reply]] = [
    (
        "azure",
        "azure",
        azure,
        lambda client: client.chat.complete(**ON_CLOUDS),
        whole(bodies.chat("mistral-small-2503")),
    ),
    (
        "azure, streamed",
        "azure",
        azure,
        lambda client: list(client.chat.stream(**ON_CLOUDS)),
        events(chunks(ON_CLOUDS["model"])),
    ),
    (
        "vertex",
        "vertex",
        vertex,
        lambda client: client.chat.complete(**ON_CLOUDS),
        whole(bodies.chat("mistral-small-2503")),
    ),
    (
        "vertex, streamed",
        "vertex",
        vertex,
        lambda client: list(client.chat.stream(**ON_CLOUDS)),
        events(chunks(ON_CLOUDS["model"])),
    ),
    (
        "vertex, code",
        "vertex",
        vertex,
        lambda client: client.fim.complete(**FILLED),
        whole(bodies.chat("codestral-2501")),
    ),
]


@pytest.mark.parametrize(
    ("expected", "make", "way", "reply"), [row[1:] for row in CLOUDS], ids=[row[0] for row in CLOUDS]
)
def test_clients_of_clouds_are_held_and_booked_at_their_prices(
    provider: Provider,
    engine: Engine,
    expected: str,
    make: Callable[[Provider], Any],
    way: Callable[[Any], object],
    reply: Reply,
) -> None:
    provider.say(reply)
    way(wrap(make(provider), engine=engine))
    entry = only(engine)
    assert (counts(entry), entry.provider) == (EXACT, expected)
    assert engine.holds()[0].amount_usd
    engine.set_budget(Budget(name="daily", limit_usd="0.0000001"))
    with pytest.raises(BudgetExceeded, match="daily"):
        way(wrap(make(provider), engine=engine))
    assert len(provider.seen) == 1


def test_a_client_is_wrapped_once(provider: Provider, engine: Engine) -> None:
    with pytest.raises(FeatureUnavailable, match="wrapped already"):
        wrap(wrap(bare(provider), engine=engine), engine=engine)


def test_an_async_call_and_an_async_stream_are_booked(provider: Provider, engine: Engine) -> None:
    provider.say(WHOLE, STREAM)

    async def go() -> None:
        async with bare(provider) as plain:
            client = wrap(plain, engine=engine)
            await client.chat.complete_async(**ASKED)
            async for _ in await client.chat.stream_async(**ASKED):
                pass

    asyncio.run(go())
    assert [counts(entry) for entry in booked(engine)] == [EXACT, EXACT]
