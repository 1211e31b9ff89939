"""Pricing against genai-prices, in one interleaved run: resolution and lines included, no memo of results.

Every usage is priced once a round and all differ. "Usage ready" starts from each
side's own usage object, "from payload" from the provider's parsed body. Both
sides are first checked to agree on every amount. genai-prices is needed for this
benchmark only: pip install -e '.[bench]' (or pip install genai-prices).
"""

from __future__ import annotations

import importlib
import random
import sys
import time
from datetime import UTC, datetime
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from tokencalc import Engine, read_usage

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokencalc import Usage

ROUNDS = 9
USAGES = 3000
GOAL = 15
AT = datetime(2026, 11, 20, 12, tzinfo=UTC)


class Case(NamedTuple):
    """One body, and how genai-prices is told what it is."""

    provider: str
    model: str
    flavor: str
    payload: dict[str, Any]


def openai_chat(counts: random.Random) -> Case:
    """Return a chat completion with cached input and reasoning."""
    read, plain, reasoning, rest = (counts.randrange(1, 60_000) for _ in range(4))
    usage = {
        "prompt_tokens": read + plain,
        "completion_tokens": reasoning + rest,
        "total_tokens": read + plain + reasoning + rest,
        "prompt_tokens_details": {"cached_tokens": read},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }
    return Case("openai", "gpt-5", "chat", {"model": "gpt-5-2025-08-07", "service_tier": "default", "usage": usage})


def openai_responses(counts: random.Random) -> Case:
    """Return a Responses body whose prompt may reach the long-context tier."""
    read, plain, out = (counts.randrange(1, 200_000) for _ in range(3))
    usage = {
        "input_tokens": read + plain,
        "output_tokens": out,
        "total_tokens": read + plain + out,
        "input_tokens_details": {"cached_tokens": read},
        "output_tokens_details": {"reasoning_tokens": 0},
    }
    return Case("openai", "gpt-5.4", "responses", {"model": "gpt-5.4-2026-03-05", "usage": usage})


def anthropic(counts: random.Random) -> Case:
    """Return a message with cache reads, and writes for both lifetimes."""
    plain, read, short, long, out = (counts.randrange(1, 40_000) for _ in range(5))
    usage = {
        "input_tokens": plain,
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": short + long,
        "cache_creation": {"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": long},
        "output_tokens": out,
        "service_tier": "standard",
    }
    return Case("anthropic", "claude-opus-4-8", "default", {"model": "claude-opus-4-8", "usage": usage})


def google(counts: random.Random) -> Case:
    """Return a Gemini body with cached input and thoughts."""
    read, plain, out, thoughts = (counts.randrange(1, 40_000) for _ in range(4))
    usage = {
        "promptTokenCount": read + plain,
        "cachedContentTokenCount": read,
        "candidatesTokenCount": out,
        "thoughtsTokenCount": thoughts,
        "totalTokenCount": read + plain + out + thoughts,
    }
    body = {"modelVersion": "gemini-2.5-flash", "usageMetadata": usage}
    return Case("google", "gemini-2.5-flash", "default", body)


def measured(runs: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Return the median seconds of each run, rounds taking turns."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, run in runs.items():
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    return {name: median(found) for name, found in seconds.items()}


def check(engine: Engine, cases: list[Case], ours: list[Usage], theirs: list[Any]) -> None:
    """Stop where the two sides disagree on an amount."""
    for case, usage, extracted in zip(cases, ours, theirs, strict=True):
        mine = engine.price(provider=case.provider, model=case.model, usage=usage, at=AT).total_usd
        other = extracted.calc_price(genai_request_timestamp=AT).total_price
        if mine != other:
            sys.exit(f"{case.model}: we say {mine}, genai-prices says {other} for {case.payload}")


def read_all(cases: list[Case]) -> list[Usage]:
    """Read each body, without a price."""
    return [read_usage(case.payload, provider=case.provider) for case in cases]


def compared(engine: Engine, peer: Any, cases: list[Case]) -> dict[str, Callable[[], object]]:
    """Return the runs, after checking that both sides agree on every amount."""
    ours = read_all(cases)
    theirs = [peer.extract_usage(case.payload, provider_id=case.provider, api_flavor=case.flavor) for case in cases]
    check(engine, cases, ours, theirs)

    def ready() -> None:
        for case, usage in zip(cases, ours, strict=True):
            engine.price(provider=case.provider, model=case.model, usage=usage, at=AT)

    def ready_peer() -> None:
        for case, extracted in zip(cases, theirs, strict=True):
            peer.calc_price(extracted.usage, case.model, provider_id=case.provider, genai_request_timestamp=AT)

    def payload() -> None:
        for case in cases:
            engine.price(provider=case.provider, model=case.model, usage=case.payload, at=AT)

    def payload_peer() -> None:
        for case in cases:
            found = peer.extract_usage(case.payload, provider_id=case.provider, api_flavor=case.flavor)
            found.calc_price(genai_request_timestamp=AT)

    return {
        "usage ready": ready,
        "usage ready, genai-prices": ready_peer,
        "from payload": payload,
        "from payload, genai-prices": payload_peer,
        "reading alone": partial(read_all, cases),
    }


def main() -> None:
    """Run the rounds, and print microseconds a price and how many times faster we are."""
    try:
        peer = importlib.import_module("genai_prices")
    except ImportError:
        print("skipped: genai-prices is not installed; pip install -e '.[bench]' (or pip install genai-prices)")
        return
    counts = random.Random(20261120)  # noqa: S311  # the same usages in every run
    makers = (openai_chat, openai_responses, anthropic, google)
    cases = [makers[index % len(makers)](counts) for index in range(USAGES)]
    with Engine.open(":memory:") as engine:
        seconds = measured(compared(engine, peer, cases))
    print(f"{USAGES} distinct usages of {len(makers)} wire formats, median of {ROUNDS} interleaved rounds")
    each_us = {name: taken / USAGES * 10**6 for name, taken in seconds.items()}
    for name in ("usage ready", "from payload"):
        mine, other = each_us[name], each_us[f"{name}, genai-prices"]
        verdict = "meets" if other >= GOAL * mine else "misses"
        print(
            f"  {name:<14} {mine:7.2f} us   genai-prices {other:7.2f} us   {other / mine:5.1f}x   "
            f"{verdict} the goal of {GOAL}x"
        )
    print(
        f"  of a payload's price, reading the body (read_usage alone) takes {each_us['reading alone']:.2f} us, "
        "which is what limits that row"
    )


if __name__ == "__main__":
    main()
