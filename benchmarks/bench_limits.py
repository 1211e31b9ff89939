"""Acquire and breaker calls beside other libraries', in one interleaved run; nothing ever waits or is refused.

What is timed is what a caller pays who need not wait: ours takes requests, then requests and tokens, then a
place among concurrent calls too, each with all metrics on. The peers count requests only. The fastest of their
strategies is taken where they have several. pip install -e '.[bench]' installs the peers.
"""

from __future__ import annotations

import asyncio
import importlib
import threading
import time
from statistics import median
from typing import TYPE_CHECKING, Any

from tokencalc.limits.breaker import HALF_FAILING, Breaker
from tokencalc.limits.limiter import Limiter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Runs = dict[str, Callable[[], object]]

ROUNDS = 15
CALLS = 4000
THREADS = 8
# Long enough for the interpreter to switch threads some dozen times in a round.
CALLS_OF_A_THREAD = 5000
PLENTY = 10**9
GOAL_US = 2.0


def peer(name: str) -> Any:
    """Import a peer, or say how to install it."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise SystemExit(f"{name} is missing: pip install -e '.[bench]'") from None


def bare_bucket() -> Callable[[], object]:
    """Return the floor: a bucket of floats and a lock, nothing counted, one dimension, no line."""
    lock, state = threading.Lock(), [float(PLENTY), time.monotonic()]

    def acquire() -> bool:
        with lock:
            now = time.monotonic()
            state[0] = min(float(PLENTY), state[0] + (now - state[1]) * PLENTY)
            state[1] = now
            if state[0] < 1:
                return False
            state[0] -= 1
            return True

    return acquire


def ours() -> Runs:
    """Return our limiters."""
    plain, strict = Limiter(PLENTY), Limiter(PLENTY, strict=True)
    tokens = Limiter(PLENTY, input_tokens_per_minute=10**11, output_tokens_per_minute=10**11)
    whole = Limiter(PLENTY, input_tokens_per_minute=10**11, output_tokens_per_minute=10**11, concurrency=64)
    return {
        "tokencalc": plain.acquire,
        "tokencalc, strict": strict.acquire,
        "tokencalc, requests and tokens": lambda: tokens.acquire(1, 1200, 800),
        "tokencalc, and concurrency, with release": lambda: whole.acquire(1, 1200, 800).release(),
    }


def peers() -> Runs:
    """Return the peers that may be used from threads."""
    limits, pyrate, throttled = peer("limits"), peer("pyrate_limiter"), peer("throttled")
    storage, item = peer("limits.storage").MemoryStorage(), limits.RateLimitItemPerMinute(PLENTY)
    strategies = peer("limits.strategies")
    fixed, sliding = (
        strategies.FixedWindowRateLimiter(storage),
        strategies.SlidingWindowCounterRateLimiter(peer("limits.storage").MemoryStorage()),
    )
    rate = pyrate.Limiter(pyrate.Rate(PLENTY, pyrate.Duration.MINUTE))
    quota = throttled.per_min(PLENTY, burst=PLENTY)
    gcra = throttled.Throttled(key="key", using="gcra", quota=quota, store=throttled.store.MemoryStore())
    bucket = throttled.Throttled(key="key", using="token_bucket", quota=quota, store=throttled.store.MemoryStore())
    return {
        "limits, fixed window": lambda: fixed.hit(item, "key"),
        "limits, sliding window": lambda: sliding.hit(item, "key"),
        "pyrate-limiter": lambda: rate.try_acquire("key"),
        "throttled-py, GCRA": gcra.limit,
        "throttled-py, token bucket": bucket.limit,
    }


def timed(runs: Runs, measure: Callable[[Any], float]) -> dict[str, float]:
    """Return the median microseconds of a call, rounds taking turns."""
    found: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, run in runs.items():
            found[name].append(measure(run) * 1e6)
    return {name: median(times) for name, times in found.items()}


def alone(run: Callable[[], object]) -> float:
    """Return the seconds of one of so many calls by one thread."""
    started = time.perf_counter()
    for _ in range(CALLS):
        run()
    return (time.perf_counter() - started) / CALLS


def together(run: Callable[[], object]) -> float:
    """Return the seconds of one of the calls that eight threads make together."""
    start = threading.Barrier(THREADS + 1)

    def work() -> None:
        start.wait()
        for _ in range(CALLS_OF_A_THREAD):
            run()

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    start.wait()
    started = time.perf_counter()
    for thread in threads:
        thread.join()
    return (time.perf_counter() - started) / (THREADS * CALLS_OF_A_THREAD)


def awaited(make: Callable[[], Callable[[], Awaitable[object]]]) -> float:
    """Return the seconds of one of so many calls awaited in one task."""

    async def work() -> float:
        acquire = make()
        started = time.perf_counter()
        for _ in range(CALLS):
            await acquire()
        return (time.perf_counter() - started) / CALLS

    return asyncio.run(work())


def breakers() -> Runs:
    """Return calls of an empty function through closed breakers."""

    def call() -> int:
        return 1

    mine, by_rate = Breaker(), Breaker(HALF_FAILING)

    def leased(breaker: Breaker) -> int:
        lease = breaker.enter()
        answer = call()
        lease.succeeded()
        return answer

    theirs = peer("pybreaker").CircuitBreaker(fail_max=5, reset_timeout=300)
    decorated = peer("circuitbreaker").circuit(failure_threshold=5, recovery_timeout=300)(call)
    factory = peer("purgatory").SyncCircuitBreakerFactory(default_threshold=5, default_ttl=300)
    purgatory = factory.get_breaker("key")

    def within() -> int:
        with purgatory:
            return call()

    return {
        "tokencalc, five in a row": lambda: leased(mine),
        "tokencalc, by rate": lambda: leased(by_rate),
        "circuitbreaker": decorated,
        "purgatory": within,
        "pybreaker": lambda: theirs.call(call),
    }


def show(title: str, found: dict[str, float]) -> None:
    """Print microseconds, and ratios to our first row."""
    first = next(us for name, us in found.items() if name.startswith("tokencalc"))
    print(f"\n{title:44}{'us':>8}{'to ours':>10}")
    for name, us in found.items():
        print(f"{name:44}{us:8.2f}{us / first:9.2f}x")


def main() -> None:
    """Print the tables."""
    runs = {"a bucket of floats and a lock": bare_bucket(), **ours(), **peers()}
    single = timed(runs, alone)
    show("acquire, 1 thread", single)
    show(f"acquire, {THREADS} threads", timed(runs, together))
    aiolimiter = peer("aiolimiter")
    tasks: Any = {
        "tokencalc": lambda: Limiter(PLENTY).acquire_async,
        "aiolimiter (one loop, no threads)": lambda: aiolimiter.AsyncLimiter(PLENTY, 60).acquire,
    }
    show("acquire, awaited", timed(tasks, awaited))
    show("a call through a closed breaker", timed(breakers(), alone))
    verdict = "met" if single["tokencalc"] < GOAL_US else "missed"
    print(f"\ngoal: below {GOAL_US:g} us uncontended: {verdict}")


if __name__ == "__main__":
    main()
