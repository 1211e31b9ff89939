"""A wrapped anthropic client against a local server."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any

import anthropic
import pytest
from anthropic import Anthropic, AnthropicVertex, AsyncAnthropic, beta_tool

from tests.client import bodies
from tests.client.ledgers import EXACT, booked, counts, only, states
from tests.client.provider import OPENED, Provider, Reply, events, whole
from tokencalc import Budget, BudgetExceeded, Engine, wrap

if TYPE_CHECKING:
    from collections.abc import Callable

ASKED: dict[str, Any] = {"model": "claude-sonnet-5", "messages": bodies.HELLO, "max_tokens": 100}


def bare(provider: Provider, **options: Any) -> Anthropic:
    client = Anthropic(api_key="key", base_url=provider.url, max_retries=0, **options)
    OPENED.append(client)
    return client


def bare_async(provider: Provider) -> AsyncAnthropic:
    return AsyncAnthropic(api_key="key", base_url=provider.url, max_retries=0)


def _stream_helper(client: Anthropic) -> object:
    with client.messages.stream(**ASKED) as stream:
        return "".join(stream.text_stream), stream.get_final_message()


def _beta_helper(client: Anthropic) -> object:
    with client.beta.messages.stream(**ASKED) as stream:
        return stream.get_final_message()


def _lines(client: Anthropic) -> object:
    with client.messages.with_streaming_response.create(**ASKED, stream=True) as answer:
        return [line for line in answer.iter_lines() if line]


MESSAGE, STREAM = whole(bodies.message()), events(bodies.message_events(), done=False)
WAYS: list[tuple[str, Callable[[Anthropic], object], Reply]] = [
    ("create", lambda client: client.messages.create(**ASKED), MESSAGE),
    ("beta", lambda client: client.beta.messages.create(**ASKED), MESSAGE),
    ("streamed", lambda client: list(client.messages.create(**ASKED, stream=True)), STREAM),
    ("stream helper", _stream_helper, STREAM),
    ("beta's stream helper", _beta_helper, STREAM),
    ("raw response", lambda client: client.messages.with_raw_response.create(**ASKED).parse(), MESSAGE),
    (
        "raw response, streamed",
        lambda client: list(client.messages.with_raw_response.create(**ASKED, stream=True).parse()),
        STREAM,
    ),
    ("streaming response, lines", _lines, STREAM),
]


@pytest.mark.parametrize(("way", "reply"), [row[1:] for row in WAYS], ids=[row[0] for row in WAYS])
def test_a_wrapped_call_returns_what_the_bare_one_returns_and_books_the_bodys_usage(
    provider: Provider, engine: Engine, way: Callable[[Anthropic], object], reply: Reply
) -> None:
    provider.say(reply)
    expected, found = way(bare(provider)), way(wrap(bare(provider), engine=engine))
    assert type(found) is type(expected)
    assert found == expected
    entry = only(engine)
    assert counts(entry) == EXACT
    assert (entry.provider, entry.notes) == ("anthropic", ())


def test_every_round_of_a_tool_runner_is_booked(provider: Provider, engine: Engine) -> None:
    @beta_tool
    def weather(city: str) -> str:
        """Say the weather.

        Args:
            city: where
        """
        return f"It rains in {city}."

    call = {"type": "tool_use", "id": "t-1", "name": "weather", "input": {"city": "Bern"}}
    asked, said = whole(bodies.message(call, stop_reason="tool_use")), whole(bodies.message())
    provider.say(asked, asked, asked, said)
    runner = wrap(bare(provider), engine=engine).beta.messages.tool_runner(**ASKED, tools=[weather])
    assert runner.until_done().content
    assert [counts(entry) for entry in booked(engine)] == [EXACT] * 4
    assert engine.holds("open") == ()


def test_a_stream_that_is_left_keeps_the_input_that_was_said_and_counts_the_output_that_came(
    provider: Provider, engine: Engine
) -> None:
    said = bodies.message_events()
    provider.say(Reply(headers=STREAM.headers, pieces=(b"".join(STREAM.pieces[:5]), *STREAM.pieces[5:]), pauses=True))
    with wrap(bare(provider), engine=engine).messages.stream(**ASKED) as stream:
        for _ in stream.text_stream:
            break
    entry = only(engine)
    received = "".join(piece["delta"]["text"] for piece in said[:5] if piece["type"] == "content_block_delta")
    assert counts(entry) == (bodies.INPUT, engine.count("claude-sonnet-5", received).tokens)
    assert any("estimated" in note for note in entry.notes)


def test_a_stream_that_is_dropped_by_the_collector_is_settled(provider: Provider, engine: Engine) -> None:
    provider.say(Reply(headers=STREAM.headers, pieces=STREAM.pieces, pauses=True))
    stream = wrap(bare(provider), engine=engine).messages.create(**ASKED, stream=True)
    del stream
    gc.collect()
    assert only(engine).usage is not None


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (
            400,
            {"type": "error", "error": {"type": "invalid_request_error", "message": "no"}},
            anthropic.BadRequestError,
        ),
        (429, {"type": "error", "error": {"type": "rate_limit_error", "message": "no"}}, anthropic.RateLimitError),
        (529, bodies.overloaded(), anthropic.InternalServerError),
    ],
)
def test_an_error_is_the_clients_own_and_releases_the_hold(
    provider: Provider, engine: Engine, status: int, body: dict[str, Any], kind: type[Exception]
) -> None:
    provider.say(whole(body, status=status))
    with pytest.raises(kind, match=body["error"]["message"]):
        wrap(bare(provider), engine=engine).messages.create(**ASKED)
    assert (len(provider.seen), booked(engine), states(engine)) == (1, [], ["released"])


def test_an_overload_inside_a_stream_that_never_began_costs_nothing(provider: Provider, engine: Engine) -> None:
    provider.say(events([bodies.overloaded()], done=False))
    with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
        list(wrap(bare(provider), engine=engine).messages.create(**ASKED, stream=True))
    assert (booked(engine), states(engine)) == ([], ["released"])


def test_an_overload_in_mid_stream_books_what_came(provider: Provider, engine: Engine) -> None:
    provider.say(events([*bodies.message_events()[:5], bodies.overloaded()], done=False))
    with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
        list(wrap(bare(provider), engine=engine).messages.create(**ASKED, stream=True))
    assert counts(only(engine))[0] == bodies.INPUT


def test_a_refusal_is_raised_as_it_is_and_sends_nothing(provider: Provider, engine: Engine) -> None:
    engine.set_budget(Budget(name="daily", limit_usd="0.000001"))
    with pytest.raises(BudgetExceeded, match="daily"):
        wrap(bare(provider), engine=engine).messages.create(**ASKED)
    assert provider.seen == []


def test_counting_tokens_costs_nothing_and_passes(provider: Provider, engine: Engine) -> None:
    provider.say(whole({"input_tokens": 12}))
    counted = wrap(bare(provider), engine=engine).messages.count_tokens(
        model="claude-sonnet-5", messages=[{"role": "user", "content": "hi"}]
    )
    assert (counted.input_tokens, states(engine)) == (12, [])


def test_middleware_of_the_caller_still_runs(provider: Provider, engine: Engine) -> None:
    ran: list[str] = []

    def note(request: Any, call_next: Any) -> Any:
        ran.append("before")
        return call_next(request)

    provider.say(MESSAGE)
    wrap(bare(provider, middleware=[note]), engine=engine).messages.create(**ASKED)
    assert (ran, counts(only(engine))) == (["before"], EXACT)


def test_blocks_of_an_earlier_answer_are_counted(provider: Provider, engine: Engine) -> None:
    provider.say(MESSAGE)
    client = wrap(bare(provider), engine=engine)
    first = client.messages.create(**ASKED)
    history: Any = [*bodies.HELLO, {"role": "assistant", "content": first.content}, {"role": "user", "content": "And?"}]
    client.messages.create(**{**ASKED, "messages": history})
    later, before = engine.holds()
    assert before.amount_usd < later.amount_usd < before.amount_usd * 2


async def _async_create(client: AsyncAnthropic) -> object:
    return await client.messages.create(**ASKED)


async def _async_stream(client: AsyncAnthropic) -> object:
    return [event async for event in await client.messages.create(**ASKED, stream=True)]


async def _async_helper(client: AsyncAnthropic) -> object:
    async with client.messages.stream(**ASKED) as stream:
        return await stream.get_final_message()


@pytest.mark.parametrize(("way", "reply"), [(_async_create, MESSAGE), (_async_stream, STREAM), (_async_helper, STREAM)])
def test_a_wrapped_async_call_returns_what_the_bare_one_returns_and_books_the_bodys_usage(
    provider: Provider, engine: Engine, way: Callable[[AsyncAnthropic], Any], reply: Reply
) -> None:
    provider.say(reply)

    async def both() -> tuple[object, object]:
        async with bare_async(provider) as plain, wrap(bare_async(provider), engine=engine) as client:
            return await way(plain), await way(client)

    expected, found = asyncio.run(both())
    assert found == expected
    assert counts(only(engine)) == EXACT


@pytest.mark.parametrize("streamed", [False, True])
def test_vertex_is_held_and_booked_at_its_prices(provider: Provider, engine: Engine, *, streamed: bool) -> None:
    provider.say(STREAM if streamed else MESSAGE)
    client = AnthropicVertex(region="us-east5", project_id="p", access_token=provider.url, base_url=provider.url)
    OPENED.append(client)
    said: Any = {"model": "claude-sonnet-4-5@20250929", "messages": bodies.HELLO, "max_tokens": 50}
    found = wrap(client, engine=engine).messages.create(**said, stream=streamed)
    if streamed:
        list(found)
    assert provider.seen[0].path.endswith("RawPredict" if streamed else ":rawPredict")
    assert counts(only(engine)) == EXACT
    assert engine.holds()[0].amount_usd
    assert only(engine).amount_usd is not None
