"""A wrapped client with a limiter, a breaker and retries: what takes permits, what is tried again, under which hold."""

from __future__ import annotations

import gc
from random import Random
from typing import TYPE_CHECKING, Any

import anthropic
import openai
import pytest
from anthropic import Anthropic
from openai import OpenAI

from tests.client import bodies
from tests.client.ledgers import EXACT, booked, counts, only, states
from tests.client.provider import OPENED, Provider, Reply, events, whole
from tokencalc import Budget, BudgetExceeded, Engine, Throttled, wrap
from tokencalc.clock import ManualClock
from tokencalc.errors import BreakerOpen, CallInvalid
from tokencalc.limits.breaker import Breaker, BreakerProfile
from tokencalc.limits.limiter import Limiter
from tokencalc.limits.profiles import Limiters
from tokencalc.limits.retry import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Iterator

ASKED: dict[str, Any] = {"model": "gpt-4o", "messages": bodies.HELLO, "max_tokens": 100}
AT_ONCE = RetryPolicy(attempts_max=3, wait_s=0, wait_s_max=0, jitter_share=0)


def bare(provider: Provider, *, max_retries: int = 0) -> OpenAI:
    client = OpenAI(api_key="key", base_url=f"{provider.url}/v1", max_retries=max_retries)
    OPENED.append(client)
    return client


def claude(provider: Provider) -> Anthropic:
    client = Anthropic(api_key="key", base_url=provider.url, max_retries=0)
    OPENED.append(client)
    return client


def refusal(code: str = "rate_limit_exceeded", status: int = 429) -> Reply:
    return whole({"error": {"message": "no", "type": code, "code": code}}, status=status)


def slow(clock: ManualClock, **limits: Any) -> Limiter:
    """Return a limiter whose permits come back only when a test moves the clock."""
    return Limiter(requests_per_minute=limits.pop("requests_per_minute", 60), clock=clock, **limits)


def test_each_attempt_takes_permits_again_under_the_same_hold(provider: Provider, engine: Engine) -> None:
    provider.say(refusal("server_error", 500), refusal("server_error", 503), whole(bodies.chat()))
    limiter = slow(ManualClock(), burst=10)
    client = wrap(bare(provider), engine=engine, limiter=limiter, retries=AT_ONCE)
    assert client.chat.completions.create(**ASKED).usage is not None
    assert (len(provider.seen), counts(only(engine)), states(engine)) == (3, EXACT, ["settled"])
    assert limiter.metrics().granted == 3


def test_attempts_that_are_used_up_raise_the_providers_own_error_and_release_the_hold(
    provider: Provider, engine: Engine
) -> None:
    provider.say(refusal())
    with pytest.raises(openai.RateLimitError, match="no"):
        wrap(bare(provider), engine=engine, retries=2).with_options(max_retries=0).chat.completions.create(**ASKED)
    assert len(provider.seen) == 1
    with pytest.raises(openai.RateLimitError, match="no"):
        wrap(bare(provider), engine=engine, retries=AT_ONCE).chat.completions.create(**ASKED)
    assert (len(provider.seen), booked(engine), set(states(engine))) == (4, [], {"released"})


@pytest.mark.parametrize("reply", [refusal("insufficient_quota"), refusal("invalid_request_error", 400)])
def test_what_will_not_get_better_is_not_tried_again(provider: Provider, engine: Engine, reply: Reply) -> None:
    provider.say(reply)
    with pytest.raises(openai.APIStatusError, match="no"):
        wrap(bare(provider), engine=engine, retries=AT_ONCE).chat.completions.create(**ASKED)
    assert len(provider.seen) == 1


def test_left_out_retries_are_as_many_as_the_client_would_make(provider: Provider, engine: Engine) -> None:
    quick = {"retry-after": "0", "x-should-retry": "true"}
    provider.say(whole({"error": {"message": "no"}}, status=503, headers=quick), whole(bodies.chat()))
    wrap(bare(provider, max_retries=1), engine=engine).chat.completions.create(**ASKED)
    assert (len(provider.seen), states(engine)) == (2, ["settled"])


def test_an_overload_inside_a_stream_is_tried_again_before_its_first_delta(provider: Provider, engine: Engine) -> None:
    begun = bodies.message_events()[0]
    provider.say(
        events([bodies.overloaded()], done=False),
        events([begun, bodies.overloaded()], done=False),
        events(bodies.message_events(), done=False),
    )
    client = wrap(claude(provider), engine=engine, retries=AT_ONCE)
    with client.messages.stream(
        model="claude-sonnet-5", messages=[{"role": "user", "content": "hi"}], max_tokens=9
    ) as stream:
        assert "".join(stream.text_stream) == "".join(bodies.SAID)
    assert (len(provider.seen), counts(only(engine))) == (3, EXACT)


def test_an_overload_after_the_first_delta_is_not_tried_again(provider: Provider, engine: Engine) -> None:
    provider.say(events([*bodies.message_events()[:5], bodies.overloaded()], done=False))
    client = wrap(claude(provider), engine=engine, retries=AT_ONCE)
    asked: dict[str, Any] = {"model": "claude-sonnet-5", "messages": bodies.HELLO, "max_tokens": 9}
    with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
        list(client.messages.create(**asked, stream=True))
    assert len(provider.seen) == 1


def test_an_attempt_whose_end_nobody_saw_is_noted_on_the_charge(provider: Provider, engine: Engine) -> None:
    cut = Reply(headers={"content-type": "application/json"}, pieces=(b'{"id"',), is_cut=True)
    provider.say(cut, whole(bodies.chat()))
    wrap(bare(provider), engine=engine, retries=AT_ONCE).chat.completions.create(**ASKED)
    assert any("1 earlier attempts ended unseen" in note for note in only(engine).notes)


def test_a_refused_hold_refunds_its_permits(provider: Provider, engine: Engine) -> None:
    engine.set_budget(Budget(name="daily", limit_usd="0.000001"))
    limiter = slow(ManualClock(), burst=1)
    client = wrap(bare(provider), engine=engine, limiter=limiter)
    for _ in range(3):
        with pytest.raises(BudgetExceeded, match="daily"):
            client.chat.completions.create(**ASKED)
    limiter.acquire(timeout_s=0)


def test_a_call_that_must_wait_longer_than_it_may_is_throttled_and_holds_nothing(
    provider: Provider, engine: Engine
) -> None:
    provider.say(whole(bodies.chat()))
    client = wrap(bare(provider), engine=engine, limiter=slow(ManualClock(), burst=1), wait_timeout_s=0)
    client.chat.completions.create(**ASKED)
    with pytest.raises(Throttled, match="retry") as caught:
        client.chat.completions.create(**ASKED)
    assert caught.value.retry_after_s == pytest.approx(1)
    assert (len(provider.seen), states(engine)) == (1, ["settled"])


def test_a_request_that_never_left_refunds_its_permits(engine: Engine) -> None:
    with Provider() as gone:
        limiter = slow(ManualClock(), burst=1)
        client = wrap(bare(gone), engine=engine, limiter=limiter)
    with pytest.raises(openai.APIConnectionError, match="Connection error"):
        client.chat.completions.create(**ASKED)
    limiter.acquire(timeout_s=0)


def test_concurrency_is_held_to_the_end_of_the_stream(provider: Provider, engine: Engine) -> None:
    provider.say(events(bodies.chat_chunks()))
    limiter = Limiter(requests_per_minute=600, burst=10, concurrency=1)
    stream = wrap(bare(provider), engine=engine, limiter=limiter).chat.completions.create(**ASKED, stream=True)
    with pytest.raises(Throttled, match="retry"):
        limiter.acquire(timeout_s=0)
    list(stream)
    limiter.acquire(timeout_s=0)


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Let no collection come by chance."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
def test_streams_that_were_left_do_not_keep_their_places_from_those_who_wait(
    provider: Provider, engine: Engine
) -> None:
    provider.say(events(bodies.chat_chunks()))
    limiter = Limiter(concurrency=3)
    client = wrap(bare(provider), engine=engine, limiter=limiter, wait_timeout_s=10)
    for _ in range(3):
        for _chunk in client.chat.completions.create(**ASKED, stream=True):
            break
    assert limiter.metrics().in_flight == 3
    list(client.chat.completions.create(**ASKED, stream=True))
    assert (len(booked(engine)), limiter.metrics().in_flight) == (4, 0)


def test_the_tokens_that_were_really_used_set_the_estimate_right(provider: Provider, engine: Engine) -> None:
    provider.say(whole(bodies.chat()))
    limiter = slow(ManualClock(), burst=10, input_tokens_per_minute=2000, output_tokens_per_minute=2000)
    wrap(bare(provider), engine=engine, limiter=limiter).chat.completions.create(**ASKED)
    limiter.acquire(input_tokens=2000 - bodies.INPUT, output_tokens=2000 - bodies.OUTPUT, timeout_s=0)
    with pytest.raises(Throttled, match="retry"):
        limiter.acquire(input_tokens=1, timeout_s=0)


def test_a_model_has_a_limiter_of_its_own_where_several_are_given(provider: Provider, engine: Engine) -> None:
    provider.say(whole(bodies.chat()))
    limiters = Limiters(engine.settings)
    wrap(bare(provider), engine=engine, limiter=limiters).chat.completions.create(**ASKED)
    assert [limiters.get("openai", "gpt-4o").metrics().granted, len(limiters.all())] == [1, 1]


def test_an_open_breaker_refuses_before_anything_else(provider: Provider, engine: Engine) -> None:
    provider.say(refusal("server_error", 500))
    clock = ManualClock()
    breaker = Breaker(BreakerProfile(failures=2, open_s=30), clock=clock)
    client = wrap(bare(provider), engine=engine, breaker=breaker)
    for _ in range(2):
        with pytest.raises(openai.InternalServerError, match="no"):
            client.chat.completions.create(**ASKED)
    with pytest.raises(BreakerOpen, match="retry"):
        client.chat.completions.create(**ASKED)
    assert (len(provider.seen), states(engine)) == (2, ["released", "released"])
    provider.say(whole(bodies.chat()))
    clock.advance(30)
    client.chat.completions.create(**ASKED)
    assert breaker.state == "closed"


def test_the_callers_mistakes_and_our_refusals_say_nothing_about_the_provider(
    provider: Provider, engine: Engine
) -> None:
    provider.say(refusal("invalid_request_error", 400))
    breaker = Breaker(BreakerProfile(failures=1, open_s=30), clock=ManualClock())
    client = wrap(bare(provider), engine=engine, breaker=breaker)
    with pytest.raises(openai.BadRequestError, match="no"):
        client.chat.completions.create(**ASKED)
    engine.set_budget(Budget(name="daily", limit_usd="0.000001"))
    with pytest.raises(BudgetExceeded, match="daily"):
        client.chat.completions.create(**ASKED)
    assert breaker.state == "closed"


@pytest.mark.parametrize("replies", [(events([bodies.overloaded()], done=False),), (events([], is_cut=True),)])
def test_a_stream_that_breaks_counts_as_a_failure(
    provider: Provider, engine: Engine, replies: tuple[Reply, ...]
) -> None:
    provider.say(*replies)
    breaker = Breaker(BreakerProfile(failures=1, open_s=30), clock=ManualClock())
    client = wrap(claude(provider), engine=engine, breaker=breaker)
    asked: dict[str, Any] = {"model": "claude-sonnet-5", "messages": bodies.HELLO, "max_tokens": 9}
    with pytest.raises(Exception, match=r"Overloaded|incomplete|closed"):
        list(client.messages.create(**asked, stream=True))
    assert breaker.state == "open"


def test_headers_of_an_answer_reach_the_limiter(provider: Provider, engine: Engine) -> None:
    provider.say(whole({"error": {"message": "no"}}, status=429, headers={"retry-after": "20"}))
    limiter = slow(ManualClock(), burst=10)
    client = wrap(bare(provider), engine=engine, limiter=limiter, wait_timeout_s=1)
    with pytest.raises(openai.RateLimitError, match="no"):
        client.chat.completions.create(**ASKED)
    with pytest.raises(Throttled, match="retry"):
        client.chat.completions.create(**ASKED)


class _Drawn(Random):
    """Draws the same each time."""

    def __init__(self, drawn: float) -> None:
        """Draw this."""
        super().__init__()
        self._drawn = drawn

    def random(self) -> float:
        """Return it."""
        return self._drawn


@pytest.mark.parametrize("headers", [{"retry-after-ms": "40"}, {"retry-after": "0.04"}])
def test_a_retry_is_not_refused_because_the_limiter_pauses_a_little_longer_than_it_waited(
    provider: Provider, engine: Engine, headers: dict[str, str]
) -> None:
    provider.say(whole({"error": {"message": "no"}}, status=429, headers=headers), whole(bodies.chat()))
    limiter = Limiter(requests_per_minute=600, random=_Drawn(0.99))
    policy = RetryPolicy(attempts_max=2, random=_Drawn(0.0))
    client = wrap(bare(provider), engine=engine, limiter=limiter, retries=policy, wait_timeout_s=0)
    assert client.chat.completions.create(**ASKED).usage is not None
    assert (len(provider.seen), states(engine)) == (2, ["settled"])


@pytest.mark.parametrize("retries", [-1, True, "three"])
def test_retries_that_cannot_be_are_refused(provider: Provider, engine: Engine, retries: Any) -> None:
    with pytest.raises(CallInvalid, match="expected a RetryPolicy or how often"):
        wrap(bare(provider), engine=engine, retries=retries)
