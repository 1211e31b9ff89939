"""Ends of a call that are easily missed: compressed answers, cancelled waits and settlements, lost attempts."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import TYPE_CHECKING, Any

import anthropic
import pytest
from anthropic import Anthropic
from groq import Groq
from openai import AsyncOpenAI, OpenAI

from tests.client import bodies
from tests.client.ledgers import EXACT, booked, counts, only, states
from tests.client.provider import JSON, OPENED, Provider, Reply, Seen, events, whole
from tokencalc import Budget, Engine, guard, wrap
from tokencalc.clock import ManualClock
from tokencalc.errors import CallInvalid
from tokencalc.limits.breaker import Breaker, BreakerProfile
from tokencalc.limits.limiter import Limiter
from tokencalc.limits.retry import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable

ASKED: dict[str, Any] = {"model": "gpt-4o", "messages": bodies.HELLO, "max_tokens": 100}
AT_ONCE = RetryPolicy(attempts_max=3, wait_s=0, wait_s_max=0, jitter_share=0)
HOURS = RetryPolicy(attempts_max=3, wait_s=3600, wait_s_max=3600)


def bare(provider: Provider, **options: Any) -> OpenAI:
    client = OpenAI(**{"api_key": "key", "base_url": f"{provider.url}/v1", "max_retries": 0, **options})
    OPENED.append(client)
    return client


def claude(provider: Provider) -> Anthropic:
    client = Anthropic(api_key="key", base_url=provider.url, max_retries=0)
    OPENED.append(client)
    return client


def groq(provider: Provider) -> Groq:
    client = Groq(api_key="key", base_url=provider.url, max_retries=0)
    OPENED.append(client)
    return client


def _chat(client: Any) -> object:
    with client.chat.completions.with_streaming_response.create(**ASKED) as answer:
        return answer.parse()


def _message(client: Any) -> object:
    said = {"model": "claude-sonnet-5", "messages": bodies.HELLO, "max_tokens": 100}
    with client.messages.with_streaming_response.create(**said) as answer:
        return answer.parse()


def _groq_chat(client: Any) -> object:
    said = {**ASKED, "model": "llama-3.3-70b-versatile"}
    with client.chat.completions.with_streaming_response.create(**said) as answer:
        return answer.parse()


BIT_BY_BIT: list[tuple[str, Callable[[Provider], Any], Callable[[Any], object], dict[str, Any]]] = [
    ("openai", bare, _chat, bodies.chat()),
    ("anthropic", claude, _message, bodies.message()),
    ("groq", groq, _groq_chat, bodies.chat("llama-3.3-70b-versatile")),
]


@pytest.mark.parametrize(("make", "way", "body"), [row[1:] for row in BIT_BY_BIT], ids=[row[0] for row in BIT_BY_BIT])
def test_a_whole_answer_that_is_read_bit_by_bit_is_booked_by_its_usage_from_a_server_that_compresses(
    engine: Engine, make: Callable[[Provider], Any], way: Callable[[Any], object], body: dict[str, Any]
) -> None:
    def answer(seen: Seen) -> Reply:
        asked = {name.lower(): value for name, value in seen.headers.items()}
        if "gzip" not in asked.get("accept-encoding", ""):
            return whole(body)
        packed = gzip.compress(json.dumps(body).encode())
        return Reply(headers={"content-type": JSON, "content-encoding": "gzip"}, pieces=(packed,))

    with Provider(answer) as provider:
        assert way(wrap(make(provider), engine=engine)) == way(make(provider))
    assert counts(only(engine)) == EXACT


def test_a_request_that_names_no_model_is_refused_unless_an_amount_is_set_aside(
    provider: Provider, engine: Engine
) -> None:
    provider.say(whole(bodies.response()))
    stored: Any = {"prompt": {"id": "pmpt-1"}, "input": "hi"}
    with pytest.raises(CallInvalid, match="names no model"):
        wrap(bare(provider), engine=engine).responses.create(**stored)
    assert (provider.seen, states(engine)) == ([], [])
    wrap(bare(provider), engine=engine, hold_usd="0.05").responses.create(**stored)
    entry = only(engine)
    assert entry.usage is not None
    assert (counts(entry), entry.usage.model) == (EXACT, "gpt-4o-2024-08-06")
    assert entry.amount_usd is not None


def test_a_request_that_names_no_model_asks_the_budget_too(provider: Provider, engine: Engine) -> None:
    engine.set_budget(Budget(name="daily", limit_usd="0.0000001"))
    stored: Any = {"prompt": {"id": "pmpt-1"}, "input": "hi"}
    with pytest.raises(Exception, match="daily"):
        wrap(bare(provider), engine=engine, hold_usd="0.05").responses.create(**stored)
    assert provider.seen == []


class RefusedError(Exception):
    """A provider's error, with the status that SDKs give theirs."""

    def __init__(self, status: int) -> None:
        """Say the status."""
        super().__init__(f"status {status}")
        self.status_code = status


def _cancelled(engine: Engine, call: Callable[[asyncio.Event], Any], **options: Any) -> None:
    """Call a guarded coroutine function, and cancel it while it waits after what the function did."""

    async def go() -> None:
        did = asyncio.Event()
        task = asyncio.ensure_future(guard(call, model="gpt-4o", engine=engine, **options)(did))
        await did.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError, match=r"^$"):
            await task

    asyncio.run(go())


@pytest.mark.parametrize(("expected", "status"), [("released", 429), ("released", 500), ("open", 504)])
def test_a_call_that_is_cancelled_while_it_waits_for_another_attempt_costs_what_the_attempts_before_cost(
    engine: Engine, expected: str, status: int
) -> None:
    async def refuse(did: asyncio.Event) -> None:
        did.set()
        raise RefusedError(status)

    limiter = Limiter(concurrency=1)
    _cancelled(engine, refuse, retries=HOURS, limiter=limiter, hold_usd="0.5")
    assert (states(engine), limiter.metrics().in_flight) == ([expected], 0)


def test_a_settlement_that_is_cancelled_is_made_all_the_same(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_arguments: object) -> None:
        await asyncio.get_running_loop().create_future()

    async def answer(did: asyncio.Event) -> dict[str, Any]:
        # What carries the ledger's work to a thread is busy from now on.
        monkeypatch.setattr("tokencalc.client.steps.AsyncDoor.book", never)
        did.set()
        return bodies.chat()

    _cancelled(engine, answer, hold_usd="0.5")
    assert counts(only(engine)) == EXACT


@pytest.mark.parametrize(("expected", "failures"), [("open", 1), ("open", 2)])
def test_a_breaker_that_opens_after_attempts_nobody_saw_the_end_of_leaves_the_hold_and_the_providers_error(
    engine: Engine, expected: str, failures: int
) -> None:
    asked: list[int] = []

    def late() -> None:
        asked.append(1)
        raise TimeoutError("no answer")

    breaker = Breaker(BreakerProfile(failures=failures, open_s=30), clock=ManualClock())
    with pytest.raises(TimeoutError, match="no answer"):
        guard(late, model="gpt-4o", engine=engine, retries=AT_ONCE, breaker=breaker, hold_usd="0.5")()
    assert (len(asked), states(engine)) == (failures, [expected])


def test_a_breaker_that_opens_after_attempts_that_cost_nothing_releases_the_hold(engine: Engine) -> None:
    def refuse() -> None:
        raise RefusedError(500)

    breaker = Breaker(BreakerProfile(failures=1, open_s=30), clock=ManualClock())
    with pytest.raises(RefusedError, match="500"):
        guard(refuse, model="gpt-4o", engine=engine, retries=AT_ONCE, breaker=breaker, hold_usd="0.5")()
    assert states(engine) == ["released"]


def test_a_stream_that_only_says_no_leaves_the_hold_where_an_attempt_before_it_may_have_been_billed(
    provider: Provider, engine: Engine
) -> None:
    provider.say(whole({"error": {"message": "late"}}, status=504), events([bodies.overloaded()], done=False))
    client = wrap(claude(provider), engine=engine, retries=RetryPolicy(attempts_max=2, wait_s=0, jitter_share=0))
    asked: dict[str, Any] = {"model": "claude-sonnet-5", "messages": bodies.HELLO, "max_tokens": 9}
    with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
        list(client.messages.create(**asked, stream=True))
    assert (len(provider.seen), booked(engine), states(engine)) == (2, [], ["open"])


class ConnectError(Exception):
    """What HTTP libraries raise where nothing was sent."""


@pytest.mark.parametrize(("expected", "is_cause"), [("open", False), ("released", True)])
def test_an_error_of_an_earlier_attempt_says_nothing_about_the_one_that_was_lost(
    engine: Engine, expected: str, *, is_cause: bool
) -> None:
    def falls_back() -> None:
        try:
            raise ConnectError("the first host is down")  # noqa: TRY301  # the first of two attempts
        except ConnectError as error:
            if is_cause:
                raise RuntimeError("no host") from error
            raise TimeoutError("the second host did not answer")  # noqa: B904  # as careless code does

    limiter = Limiter(requests_per_minute=60, burst=1, clock=ManualClock())
    with pytest.raises((TimeoutError, RuntimeError), match="host"):
        guard(falls_back, model="gpt-4o", engine=engine, hold_usd="0.5", retries=0, limiter=limiter)()
    assert (states(engine), limiter.metrics().refunded) == ([expected], int(is_cause))


def _no_key() -> str:
    raise RuntimeError("no key to be had")


def _no_key_async() -> Any:
    async def key() -> str:
        raise RuntimeError("no key to be had")

    return key


NEVER_LEFT: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("no key to be had", {"api_key": _no_key}, {}),
    ("codec can't encode", {}, {"extra_headers": {"x-name": "\u20ac"}}),
    ("not JSON serializable", {}, {"extra_body": {"thing": object()}}),
]


@pytest.mark.parametrize(("expected", "made", "said"), NEVER_LEFT, ids=[row[0] for row in NEVER_LEFT])
def test_a_client_that_fails_by_itself_before_it_sends_gives_hold_and_permits_back(
    provider: Provider, engine: Engine, expected: str, made: dict[str, Any], said: dict[str, Any]
) -> None:
    limiter = Limiter(requests_per_minute=60, burst=1, clock=ManualClock())
    with pytest.raises(Exception, match=expected):
        wrap(bare(provider, **made), engine=engine, limiter=limiter).chat.completions.create(**ASKED, **said)
    assert (provider.seen, states(engine), limiter.metrics().refunded) == ([], ["released"], 1)


def test_an_async_client_that_fails_by_itself_before_it_sends_gives_its_hold_back(
    provider: Provider, engine: Engine
) -> None:
    async def go() -> None:
        async with AsyncOpenAI(api_key=_no_key_async(), base_url=provider.url, max_retries=0) as plain:
            await wrap(plain, engine=engine).chat.completions.create(**ASKED)

    with pytest.raises(RuntimeError, match="no key to be had"):
        asyncio.run(go())
    assert (provider.seen, states(engine)) == ([], ["released"])


@pytest.mark.parametrize("make", [bare, claude, groq])
def test_a_request_that_left_and_was_lost_leaves_the_hold(
    provider: Provider, engine: Engine, make: Callable[[Provider], Any]
) -> None:
    provider.say(Reply(headers={"content-type": JSON}, pieces=(b'{"id"',), is_cut=True))
    client = wrap(make(provider), engine=engine, hold_usd="0.5")
    call = client.messages.create if make is claude else client.chat.completions.create
    with pytest.raises(Exception, match="Connection error"):
        call(**ASKED)
    assert states(engine) == ["open"]
