"""A wrapped openai client against a local server: what comes back, what is booked, what goes out."""

from __future__ import annotations

import asyncio
import gc
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx2
import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from tests.client import bodies
from tests.client.ledgers import EXACT, booked, counts, only, states
from tests.client.provider import OPENED, Provider, Reply, events, whole
from tokencalc import Budget, BudgetExceeded, Engine, LedgerError, PriceUnknown, attribution, wrap
from tokencalc.errors import CallInvalid, FeatureUnavailable, IdempotencyConflict

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokencalc import Entry

ASKED: dict[str, Any] = {"model": "gpt-4o", "messages": bodies.HELLO, "max_tokens": 100}


def bare(provider: Provider, **options: Any) -> OpenAI:
    client = OpenAI(api_key="key", base_url=f"{provider.url}/v1", max_retries=0, **options)
    OPENED.append(client)
    return client


def bare_async(provider: Provider) -> AsyncOpenAI:
    return AsyncOpenAI(api_key="key", base_url=f"{provider.url}/v1", max_retries=0)


class Greeting(BaseModel):
    """What `.parse` makes of an answer."""

    text: str


def _parsed(client: OpenAI) -> object:
    return client.chat.completions.parse(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])


def _read_stream(client: OpenAI) -> list[object]:
    return list(client.chat.completions.create(**ASKED, stream=True))


def _read_helper(client: OpenAI) -> object:
    with client.chat.completions.stream(model="gpt-4o", messages=[{"role": "user", "content": "hi"}]) as stream:
        return stream.get_final_completion()


def _raw(client: OpenAI) -> object:
    return client.chat.completions.with_raw_response.create(**ASKED).parse()


def _raw_stream(client: OpenAI) -> list[object]:
    return list(client.chat.completions.with_raw_response.create(**ASKED, stream=True).parse())


def _streaming_lines(client: OpenAI) -> list[str]:
    with client.chat.completions.with_streaming_response.create(**ASKED, stream=True) as answer:
        return [line for line in answer.iter_lines() if line]


def _streaming_body(client: OpenAI) -> object:
    with client.chat.completions.with_streaming_response.create(**ASKED) as answer:
        return answer.parse()


def _responses_helper(client: OpenAI) -> object:
    with client.responses.stream(model="gpt-4o", input="hi") as stream:
        return stream.get_final_response()


WAYS: list[tuple[str, Callable[[OpenAI], object], Reply]] = [
    ("create", lambda client: client.chat.completions.create(**ASKED), whole(bodies.chat())),
    ("parse", _parsed, whole(bodies.chat())),
    ("stream", _read_stream, events(bodies.chat_chunks())),
    ("stream helper", _read_helper, events(bodies.chat_chunks())),
    ("raw response", _raw, whole(bodies.chat())),
    ("raw stream", _raw_stream, events(bodies.chat_chunks())),
    ("streaming response, lines", _streaming_lines, events(bodies.chat_chunks())),
    ("streaming response, body", _streaming_body, whole(bodies.chat())),
    ("responses", lambda client: client.responses.create(model="gpt-4o", input="hi"), whole(bodies.response())),
    (
        "responses, streamed",
        lambda client: list(client.responses.create(model="gpt-4o", input="hi", stream=True)),
        events(bodies.response_events()),
    ),
    ("responses helper", _responses_helper, events(bodies.response_events())),
    (
        "completions",
        lambda client: client.completions.create(model="gpt-3.5-turbo-instruct", prompt="hi", max_tokens=5),
        whole(
            {**bodies.chat("gpt-3.5-turbo-instruct"), "choices": [{"index": 0, "text": "hi", "finish_reason": "stop"}]}
        ),
    ),
]


@pytest.mark.parametrize(("way", "reply"), [row[1:] for row in WAYS], ids=[row[0] for row in WAYS])
def test_a_wrapped_call_returns_what_the_bare_one_returns_and_books_the_bodys_usage(
    provider: Provider, engine: Engine, way: Callable[[OpenAI], object], reply: Reply
) -> None:
    provider.say(reply)
    client = wrap(bare(provider), engine=engine, agent_id="greeter")
    expected, found = way(bare(provider)), way(client)
    assert type(found) is type(expected)
    assert found == expected
    entry = only(engine)
    assert counts(entry) == EXACT
    assert (entry.agent_id, entry.provider) == ("greeter", "openai")
    assert entry.amount_usd is not None


def test_the_type_stays_and_the_original_is_untouched(provider: Provider, engine: Engine) -> None:
    provider.say(whole(bodies.chat()))
    client = bare(provider, organization="org")
    before = dict(client.__dict__)
    wrapped = wrap(client, engine=engine)
    assert type(wrapped) is OpenAI
    assert wrapped is not client
    assert client.__dict__ == before
    client.chat.completions.create(**ASKED)
    assert booked(engine) == []


@pytest.mark.parametrize("derive", ["with_options", "copy"])
def test_derived_clients_stay_guarded(provider: Provider, engine: Engine, derive: str) -> None:
    provider.say(whole(bodies.chat()))
    client = getattr(wrap(bare(provider), engine=engine), derive)(timeout=5, max_retries=4)
    assert isinstance(client, OpenAI)
    client.with_options(timeout=6).chat.completions.create(**ASKED)
    assert counts(only(engine)) == EXACT


def test_the_usage_of_a_stream_is_asked_for_and_kept_from_a_caller_who_did_not_ask(
    provider: Provider, engine: Engine
) -> None:
    provider.say(events(bodies.chat_chunks()))
    chunks = list(wrap(bare(provider), engine=engine).chat.completions.create(**ASKED, stream=True))
    assert provider.seen[0].body["stream_options"] == {"include_usage": True}
    assert all(chunk.choices for chunk in chunks)


def test_a_caller_who_asks_for_the_usage_gets_it(provider: Provider, engine: Engine) -> None:
    provider.say(events(bodies.chat_chunks()))
    client = wrap(bare(provider), engine=engine)
    chunks = list(client.chat.completions.create(**ASKED, stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].usage is not None
    assert counts(only(engine)) == EXACT


@pytest.mark.parametrize("said", [{"stream_options": {"include_usage": False}}, {}])
def test_a_stream_that_says_no_usage_is_booked_as_counted_and_marked(
    provider: Provider, engine: Engine, said: dict[str, Any]
) -> None:
    provider.say(events(bodies.chat_chunks(usage=False)))
    client = wrap(bare(provider), engine=engine, include_usage=bool(said))
    list(client.chat.completions.create(**ASKED, stream=True, **said))
    assert provider.seen[0].body.get("stream_options", {}) == said.get("stream_options", {})
    _is_estimated(only(engine))


def _is_estimated(entry: Entry, text: str = "".join(bodies.SAID)) -> None:
    with Engine.open(":memory:") as counter:
        prompt = counter.count("gpt-4o", messages=ASKED).tokens
        output = counter.count("gpt-4o", text).tokens if text else 0
    assert counts(entry) == (prompt, output)
    assert entry.usage is not None
    assert entry.usage.is_interrupted
    assert any("estimated" in note for note in entry.notes), entry.notes


def _broken_off(stream: Any) -> None:
    for _ in stream:
        break
    stream.close()


def _in_with(stream: Any) -> None:
    with stream as entered:
        next(iter(entered))


def _asked_once(stream: Any) -> None:
    next(stream)
    stream.close()
    stream.close()


def _dropped(stream: Any) -> None:
    next(stream)


def _stopped(stream: Any) -> None:
    iterator = iter(stream)
    next(iterator)
    iterator.close()
    stream.response.close()


@pytest.mark.parametrize("leave", [_broken_off, _in_with, _asked_once, _dropped, _stopped])
def test_a_stream_that_is_left_books_the_prompt_and_what_was_received_once(
    provider: Provider, engine: Engine, leave: Callable[[Any], None]
) -> None:
    provider.say(events(bodies.chat_chunks(), pauses=True))
    client = wrap(bare(provider), engine=engine)
    leave(client.chat.completions.create(**ASKED, stream=True))
    gc.collect()
    _is_estimated(only(engine), bodies.SAID[0])


@pytest.mark.parametrize("close", [True, False])
def test_a_stream_that_is_never_read_is_settled_too(provider: Provider, engine: Engine, *, close: bool) -> None:
    provider.say(events(bodies.chat_chunks(), pauses=True))
    stream = wrap(bare(provider), engine=engine).chat.completions.create(**ASKED, stream=True)
    if close:
        stream.close()
    del stream
    gc.collect()
    _is_estimated(only(engine), "")


def test_a_cut_in_mid_stream_books_what_was_received_and_raises_what_the_client_raises(
    provider: Provider, engine: Engine
) -> None:
    provider.say(events(bodies.chat_chunks()[:2], is_cut=True))
    with pytest.raises(openai.APIConnectionError, match="Connection error"):
        list(wrap(bare(provider), engine=engine).chat.completions.create(**ASKED, stream=True))
    _is_estimated(only(engine), "".join(bodies.SAID[:2]))


ERRORS = [
    (400, openai.BadRequestError, "invalid_request_error"),
    (401, openai.AuthenticationError, "invalid_api_key"),
    (429, openai.RateLimitError, "rate_limit_exceeded"),
    (429, openai.RateLimitError, "insufficient_quota"),
    (500, openai.InternalServerError, "server_error"),
    (503, openai.InternalServerError, "server_error"),
]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("status", "kind", "code"), ERRORS)
def test_an_error_is_the_clients_own_and_releases_the_hold(
    provider: Provider, engine: Engine, status: int, kind: type[Exception], code: str, *, streamed: bool
) -> None:
    provider.say(whole({"error": {"message": "no", "type": code, "code": code}}, status=status))
    with pytest.raises(kind, match="no"):
        wrap(bare(provider), engine=engine).chat.completions.create(**ASKED, stream=streamed)
    assert len(provider.seen) == 1
    assert booked(engine) == []
    assert states(engine) == ["released"]


def test_a_request_that_never_left_releases_the_hold(engine: Engine) -> None:
    with Provider() as gone:
        client = wrap(bare(gone), engine=engine)
    with pytest.raises(openai.APIConnectionError, match="Connection error"):
        client.chat.completions.create(**ASKED)
    assert states(engine) == ["released"]


def test_an_end_that_nobody_saw_leaves_the_hold(provider: Provider, engine: Engine) -> None:
    provider.say(Reply(headers={"content-type": "application/json"}, pieces=(b'{"id"',), is_cut=True))
    with pytest.raises(openai.APIConnectionError, match="Connection error"):
        wrap(bare(provider), engine=engine).chat.completions.create(**ASKED)
    assert states(engine) == ["open"]


def test_with_room_for_k_exactly_k_of_n_concurrent_calls_go_out(engine: Engine) -> None:
    asked = threading.Barrier(16)
    worst = engine.reserve(model="gpt-4o", messages=ASKED, max_output_tokens=100)
    engine.release(worst)
    engine.set_budget(Budget(name="small", limit_usd=worst.amount_usd * 5 + worst.amount_usd / 2))
    gate, refused = threading.Event(), threading.Semaphore(0)

    def answer(_seen: object) -> Reply:
        assert gate.wait(30)
        return whole(bodies.chat())

    with Provider(answer) as slow:
        client = wrap(bare(slow), engine=engine)

        def call(_number: int) -> bool:
            asked.wait(30)
            try:
                client.chat.completions.create(**ASKED)
            except BudgetExceeded:
                refused.release()
                return False
            return True

        with ThreadPoolExecutor(16) as pool:
            calls = [pool.submit(call, number) for number in range(16)]
            for _ in range(11):
                assert refused.acquire(timeout=30)
            gate.set()
            admitted = sum(one.result() for one in calls)
        assert (admitted, len(slow.seen)) == (5, 5)


def test_a_refused_call_sends_nothing(provider: Provider, engine: Engine) -> None:
    engine.set_budget(Budget(name="daily", limit_usd="0.000001", scope={"agent_id": "greedy"}))
    with pytest.raises(BudgetExceeded, match="daily"):
        wrap(bare(provider), engine=engine, agent_id="greedy").chat.completions.create(**ASKED)
    assert provider.seen == []


def test_a_named_budget_counts_calls_that_are_not_in_its_scope(provider: Provider, engine: Engine) -> None:
    provider.say(whole(bodies.chat()))
    engine.set_budget(Budget(name="team", limit_usd="1", scope={"project": "other"}))
    wrap(bare(provider), engine=engine, budget="team").chat.completions.create(**ASKED)
    assert engine.budget_status("team").spent_usd == only(engine).amount_usd


def test_a_context_around_the_call_says_more_than_the_wrap(provider: Provider, engine: Engine) -> None:
    provider.say(whole(bodies.chat()))
    client = wrap(bare(provider), engine=engine, agent_id="usual", tags={"team": "a", "stage": "test"})
    with attribution(agent_id="special", tags={"team": "b"}):
        client.chat.completions.create(**ASKED)
    entry = only(engine)
    assert (entry.agent_id, dict(entry.tags)) == ("special", {"team": "b", "stage": "test"})


def test_what_costs_nothing_passes_unguarded(provider: Provider, engine: Engine) -> None:
    provider.say(
        whole({"object": "list", "data": [{"id": "gpt-4o", "object": "model", "created": 1, "owned_by": "x"}]})
    )
    assert [model.id for model in wrap(bare(provider), engine=engine).models.list()] == ["gpt-4o"]
    assert engine.holds() == ()


def test_an_answer_that_the_client_cannot_parse_is_booked_all_the_same(provider: Provider, engine: Engine) -> None:
    body = bodies.chat()
    body["choices"][0]["finish_reason"] = "length"
    provider.say(whole(body))
    with pytest.raises(openai.LengthFinishReasonError, match="length limit"):
        wrap(bare(provider), engine=engine).chat.completions.parse(**ASKED, response_format=Greeting)
    assert counts(only(engine)) == EXACT


def test_an_unknown_price_refuses_the_call_unless_an_amount_is_set_aside(provider: Provider, engine: Engine) -> None:
    provider.say(whole(bodies.chat("my-own-model")))
    with pytest.raises(PriceUnknown, match="my-own-model"):
        wrap(bare(provider), engine=engine).chat.completions.create(model="my-own-model", messages=[])
    assert provider.seen == []
    client = wrap(bare(provider), engine=engine, hold_usd="0.05")
    client.chat.completions.create(model="my-own-model", messages=[{"role": "user", "content": "hi"}])
    assert only(engine).amount_usd is None


def test_a_deployments_name_is_held_as_the_model_it_stands_for(provider: Provider, engine: Engine) -> None:
    provider.say(whole(bodies.chat()))
    client = wrap(bare(provider), engine=engine, models={"prod": "gpt-4o"})
    client.chat.completions.create(model="prod", messages=[{"role": "user", "content": "hi"}])
    assert provider.seen[0].body["model"] == "prod"
    assert only(engine).amount_usd is not None


def test_what_cannot_be_counted_is_held_at_the_models_window(provider: Provider, engine: Engine) -> None:
    provider.say(whole(bodies.response()))
    client = wrap(bare(provider), engine=engine)
    client.responses.create(model="gpt-4o", input="hi", previous_response_id="resp-0", max_output_tokens=10)
    (hold,) = engine.holds()
    whole_window = engine.reserve(model="gpt-4o", input_tokens=128_000, max_output_tokens=10)
    assert hold.amount_usd == whole_window.amount_usd


def test_a_call_in_flight_is_not_made_twice(provider: Provider, engine: Engine) -> None:
    provider.say(whole(bodies.chat()))
    client = wrap(bare(provider), engine=engine)
    keyed = {**ASKED, "extra_headers": {"Idempotency-Key": "k1"}}
    client.chat.completions.create(**keyed)
    with pytest.raises(IdempotencyConflict, match="was made before"):
        client.chat.completions.create(**keyed)
    assert len(provider.seen) == 1


def test_a_call_that_failed_and_cost_nothing_may_be_made_again_with_its_key_until_one_goes_well(
    provider: Provider, engine: Engine
) -> None:
    no = whole({"error": {"message": "no", "type": "server_error"}}, status=500)
    provider.say(no, no, whole(bodies.chat()))
    client = wrap(bare(provider), engine=engine)
    keyed = {**ASKED, "extra_headers": {"Idempotency-Key": "k1"}}
    for _ in range(2):
        with pytest.raises(openai.InternalServerError, match="no"):
            client.chat.completions.create(**keyed)
    assert client.chat.completions.create(**keyed).usage is not None
    with pytest.raises(IdempotencyConflict, match="'k1' was made before"):
        client.chat.completions.create(**keyed)
    assert (len(provider.seen), sorted(states(engine))) == (3, ["released", "released", "settled"])


def test_a_closed_ledger_refuses_before_the_call_or_lets_it_out_if_that_was_said(
    provider: Provider, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    provider.say(whole(bodies.chat()))
    engine.close()
    with pytest.raises(LedgerError, match="closed"):
        wrap(bare(provider), engine=engine).chat.completions.create(**ASKED)
    assert provider.seen == []
    allowed = wrap(bare(provider), engine=engine, on_ledger_error="allow")
    assert allowed.chat.completions.create(**ASKED).usage is not None
    assert "goes out without a hold" in caplog.text
    assert "could not be booked" in caplog.text


def test_a_ledger_that_fails_after_the_call_does_not_harm_the_answer(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    def answer(_seen: object) -> Reply:
        engine.close()
        return whole(bodies.chat())

    with Provider(answer) as provider:
        found = wrap(bare(provider), engine=engine).chat.completions.create(**ASKED)
    assert found.choices[0].message.content == "".join(bodies.SAID)
    assert f'"input": "{bodies.INPUT}"' in caplog.text


def test_a_client_is_wrapped_once(provider: Provider, engine: Engine) -> None:
    with pytest.raises(FeatureUnavailable, match="wrapped already"):
        wrap(wrap(bare(provider), engine=engine), engine=engine)


def test_a_client_of_nobody_is_refused_at_once(engine: Engine) -> None:
    with pytest.raises(FeatureUnavailable, match=r"expected a client of openai.*found one of builtins"):
        wrap(object(), engine=engine)


def test_a_client_whose_inside_changed_is_refused_at_once(provider: Provider, engine: Engine) -> None:
    class Changed(OpenAI):
        def post(self, *arguments: Any, **options: Any) -> Any:
            return arguments, options

    with pytest.raises(FeatureUnavailable, match="post does not call request"):
        wrap(Changed(api_key="key", base_url=provider.url), engine=engine)


def test_a_client_that_cannot_be_copied_is_refused_at_once(provider: Provider, engine: Engine) -> None:
    class Own(OpenAI):
        def __init__(self, tenant: str) -> None:
            super().__init__(api_key=tenant, base_url=provider.url)

    with pytest.raises(FeatureUnavailable, match="its with_options does not make another one of it"):
        wrap(Own("tenant"), engine=engine)


def test_settings_that_cannot_be_are_refused(provider: Provider, engine: Engine) -> None:
    with pytest.raises(CallInvalid, match="expected refuse or allow, found 'maybe'"):
        wrap(bare(provider), engine=engine, on_ledger_error="maybe")  # type: ignore[arg-type]  # what is refused
    with pytest.raises(CallInvalid, match="expected an Engine"):
        wrap(bare(provider), engine=object())  # type: ignore[arg-type]  # what is refused


def test_twenty_streams_that_were_left_leak_no_connection(provider: Provider, engine: Engine) -> None:
    pool = httpx2.Client(limits=httpx2.Limits(max_connections=2), timeout=5)
    provider.say(events(bodies.chat_chunks()))
    client = wrap(bare(provider, http_client=pool), engine=engine)
    for _ in range(20):
        _broken_off(client.chat.completions.create(**ASKED, stream=True))
    provider.say(whole(bodies.chat()))
    assert client.chat.completions.create(**ASKED).usage is not None
    assert len(booked(engine)) == 21


# on an event loop


async def _read_async(client: AsyncOpenAI) -> list[object]:
    return [chunk async for chunk in await client.chat.completions.create(**ASKED, stream=True)]


async def _helper_async(client: AsyncOpenAI) -> object:
    async with client.chat.completions.stream(model="gpt-4o", messages=[{"role": "user", "content": "hi"}]) as stream:
        return await stream.get_final_completion()


async def _lines_async(client: AsyncOpenAI) -> list[str]:
    async with client.chat.completions.with_streaming_response.create(**ASKED, stream=True) as answer:
        return [line async for line in answer.iter_lines() if line]


ASYNC_WAYS: list[tuple[str, Callable[[AsyncOpenAI], Any], Reply]] = [
    ("create", lambda client: client.chat.completions.create(**ASKED), whole(bodies.chat())),
    ("stream", _read_async, events(bodies.chat_chunks())),
    ("stream helper", _helper_async, events(bodies.chat_chunks())),
    ("lines", _lines_async, events(bodies.chat_chunks())),
    ("responses", lambda client: client.responses.create(model="gpt-4o", input="hi"), whole(bodies.response())),
]


@pytest.mark.parametrize(("way", "reply"), [row[1:] for row in ASYNC_WAYS], ids=[row[0] for row in ASYNC_WAYS])
def test_a_wrapped_async_call_returns_what_the_bare_one_returns_and_books_the_bodys_usage(
    provider: Provider, engine: Engine, way: Callable[[AsyncOpenAI], Any], reply: Reply
) -> None:
    provider.say(reply)

    async def both() -> tuple[object, object]:
        async with bare_async(provider) as plain, wrap(bare_async(provider), engine=engine) as client:
            return await way(plain), await way(client)

    expected, found = asyncio.run(both())
    assert type(found) is type(expected)
    assert found == expected
    assert counts(only(engine)) == EXACT


async def _break_async(stream: Any) -> None:
    async for _ in stream:
        break
    await stream.close()


async def _with_async(stream: Any) -> None:
    async with stream as entered:
        await anext(aiter(entered))


async def _cancel_async(stream: Any) -> None:
    async def read() -> None:
        async for _ in stream:
            got.set()

    got = asyncio.Event()
    task = asyncio.create_task(read())
    await got.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError, match=r"^$"):
        await task


async def _drop_async(stream: Any) -> None:
    await anext(stream)


@pytest.mark.parametrize("leave", [_break_async, _with_async, _cancel_async, _drop_async])
def test_an_async_stream_that_is_left_books_the_prompt_and_what_was_received_once(
    provider: Provider, engine: Engine, leave: Callable[[Any], Any]
) -> None:
    provider.say(events(bodies.chat_chunks(), pauses=True))

    async def go() -> None:
        async with wrap(bare_async(provider), engine=engine) as client:
            await leave(await client.chat.completions.create(**ASKED, stream=True))
            gc.collect()

    asyncio.run(go())
    gc.collect()
    _is_estimated(only(engine), bodies.SAID[0])


def test_a_cancelled_async_call_leaves_its_hold(engine: Engine) -> None:
    gate = threading.Event()
    arrived = threading.Event()

    def answer(_seen: object) -> Reply:
        arrived.set()
        gate.wait(30)
        return whole(bodies.chat())

    async def go(provider: Provider) -> None:
        async with wrap(bare_async(provider), engine=engine) as client:
            task = asyncio.create_task(client.chat.completions.create(**ASKED))
            await asyncio.to_thread(arrived.wait, 30)
            task.cancel()
            with pytest.raises(asyncio.CancelledError, match=r"^$"):
                await task

    with Provider(answer) as provider:
        asyncio.run(go(provider))
        gate.set()
    assert states(engine) == ["open"]


def test_an_async_refusal_sends_nothing(provider: Provider, engine: Engine) -> None:
    engine.set_budget(Budget(name="daily", limit_usd="0.000001"))

    async def go() -> None:
        async with wrap(bare_async(provider), engine=engine) as client:
            await client.chat.completions.create(**ASKED)

    with pytest.raises(BudgetExceeded, match="daily"):
        asyncio.run(go())
    assert provider.seen == []
