"""Rate limits in headers, as providers really send them; names in lower case, nothing is trusted, nothing raises.

| provider | limit and remaining | reset |
|---|---|---|
| OpenAI, Groq | ``x-ratelimit-{limit,remaining}-{requests,tokens}`` | a duration, ``120ms``, ``6m0s``, ``17.379s`` |
| Azure | the same, with ``x-ratelimit-renewalperiod-*`` in seconds; -1 where there is no limit | milliseconds |
| Anthropic | ``anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-*`` | an RFC 3339 instant |
| Mistral | ``x-ratelimit-*-req-10-second``, ``-tokens-minute``, ``-tokens-month``, or ``x-ratelimitbysize-*`` | none |

A window's length is not said by OpenAI and Groq. Groq counts requests by the day and OpenAI did for small
accounts: it shows in how long what was used takes to come back.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Literal

from tokencalc.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Dimension = Literal["requests", "input_tokens", "output_tokens"]

MINUTE_S, DAY_S, MONTH_S = 60.0, 86_400.0, 30 * 86_400.0

_BOTH: tuple[Dimension, ...] = ("input_tokens", "output_tokens")
_DIMENSIONS: dict[str, tuple[Dimension, ...]] = {
    "requests": ("requests",),
    "tokens": _BOTH,
    "input-tokens": ("input_tokens",),
    "output-tokens": ("output_tokens",),
}
_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": DAY_S, "us": 1e-6, "ns": 1e-9}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|us|ns|s|m|h|d)")
_LONGEST_S = 366 * DAY_S
_DAILY_FROM_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RateWindow:
    """One rate limit of a provider.

    ``dimensions`` are what it bounds; a limit on all tokens bounds input and output each. ``limit`` is per
    ``period_s`` seconds; ``reset_s`` is how many seconds until it is whole again. None is not said.
    """

    dimensions: tuple[Dimension, ...]
    limit: int | None
    remaining: int | None
    reset_s: float | None
    period_s: float


def read_windows(
    provider: str | None, headers: Mapping[str, str], now: datetime | None = None
) -> tuple[RateWindow, ...]:
    """Return the rate limits that headers state; names in lower case."""
    if not any("ratelimit" in name for name in headers):
        return ()
    return (*_anthropic(headers, now), *_openai(provider, headers), *_mistral(headers))


def read_retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Return how long a provider asks to wait, in seconds from 0, as a number or as an HTTP date; None if unsaid."""
    millis = seconds_of(headers.get("retry-after-ms", ""))
    if millis is not None:
        return millis / 1000
    text = headers.get("retry-after", "").strip()
    seconds = seconds_of(text)
    if seconds is not None or not text:
        return seconds
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    return _until(at if at.tzinfo else at.replace(tzinfo=UTC), now)


def seconds_of(text: str) -> float | None:
    """Return the seconds of a bare number or of a duration such as ``1m6.5s``; None for anything else."""
    text = text.strip()
    if re.fullmatch(r"\d+(?:\.\d+)?", text):
        seconds = float(text)
    else:
        parts = _DURATION.findall(text)
        if not parts or "".join(number + unit for number, unit in parts) != text:
            return None
        seconds = round(sum(float(number) * _UNITS_S[unit] for number, unit in parts), 9)
    return seconds if math.isfinite(seconds) and seconds <= _LONGEST_S else None


def _until(at: datetime, now: datetime | None) -> float:
    return max(0.0, (at - (SystemClock().now() if now is None else now)).total_seconds())


def _count(text: str | None) -> int | None:
    """Return a count; None for what is absent, negative (Azure's -1 is no limit) or no number."""
    return int(text) if text is not None and re.fullmatch(r"\d{1,18}", text) else None


def _window(
    dimensions: tuple[Dimension, ...], limit: str | None, remaining: str | None, reset_s: float | None, period_s: float
) -> Iterator[RateWindow]:
    most, left = _count(limit) or None, _count(remaining)
    if most is not None or left is not None:
        yield RateWindow(dimensions=dimensions, limit=most, remaining=left, reset_s=reset_s, period_s=period_s)


def _anthropic(headers: Mapping[str, str], now: datetime | None) -> Iterator[RateWindow]:
    for name, dimensions in _DIMENSIONS.items():
        prefix = f"anthropic-ratelimit-{name}-"
        try:
            at = datetime.fromisoformat(headers.get(prefix + "reset", ""))
            reset_s = _until(at, now) if at.tzinfo else None
        except ValueError:
            reset_s = None
        yield from _window(
            dimensions, headers.get(prefix + "limit"), headers.get(prefix + "remaining"), reset_s, MINUTE_S
        )


def _openai(provider: str | None, headers: Mapping[str, str]) -> Iterator[RateWindow]:
    for name, dimensions in _DIMENSIONS.items():
        limit, remaining = headers.get(f"x-ratelimit-limit-{name}"), headers.get(f"x-ratelimit-remaining-{name}")
        reset, renewal = headers.get(f"x-ratelimit-reset-{name}", ""), headers.get(f"x-ratelimit-renewalperiod-{name}")
        reset_s = seconds_of(reset)
        if renewal is not None:
            # Azure: one of 120 requests a minute is back in "500", 14 of 120,000 tokens in "7": milliseconds.
            reset_s = None if reset_s is None else reset_s / 1000
            period_s = seconds_of(renewal) or MINUTE_S
        else:
            period_s = _period_s(_count(limit), _count(remaining), reset_s)
            if provider == "groq" and name == "requests":
                period_s = DAY_S
        yield from _window(dimensions, limit, remaining, reset_s, period_s)


def _period_s(limit: int | None, remaining: int | None, reset_s: float | None) -> float:
    """Return a window's length by how long what was used takes to come back: a minute or a day."""
    if limit is None or remaining is None or reset_s is None or remaining >= limit:
        return MINUTE_S
    return DAY_S if reset_s * limit / (limit - remaining) > _DAILY_FROM_S else MINUTE_S


_MISTRAL = (
    ("x-ratelimit-{}-req-10-second", ("requests",), 10.0),
    ("x-ratelimit-{}-req-minute", ("requests",), MINUTE_S),
    ("x-ratelimit-{}-tokens-minute", _BOTH, MINUTE_S),
    ("x-ratelimit-{}-tokens-month", _BOTH, MONTH_S),
    ("x-ratelimitbysize-{}-minute", _BOTH, MINUTE_S),
    ("x-ratelimitbysize-{}-month", _BOTH, MONTH_S),
)  # fmt: skip


def _mistral(headers: Mapping[str, str]) -> Iterator[RateWindow]:
    for template, dimensions, period_s in _MISTRAL:
        reset_s = seconds_of(headers.get("ratelimitbysize-reset", "")) if template.endswith("size-{}-minute") else None
        limit, remaining = headers.get(template.format("limit")), headers.get(template.format("remaining"))
        yield from _window(dimensions, limit, remaining, reset_s, period_s)  # type: ignore[arg-type]  # the table's own
