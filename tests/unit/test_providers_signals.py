"""What answers and exceptions say about a call: kinds, waits and rate limits, as providers really send them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokencalc.clock import instant_from
from tokencalc.errors import BreakerOpen, BudgetExceeded
from tokencalc.providers.headers import RateWindow, read_retry_after, read_windows, seconds_of
from tokencalc.providers.signals import ProviderSignal, read_signal

NOW = instant_from("2026-11-20T12:00:00Z", name="now")
RECORDED = Path(__file__).parents[2].parent / "shared" / "recorded"


def error_of(**fields: object) -> dict[str, object]:
    """Return a body with this error."""
    return {"error": fields}


QUOTA = error_of(message="x", type="insufficient_quota", code="insufficient_quota", param=None)
PER_DAY = {"violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]}
PER_MINUTE = {"violations": [{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel"}]}


@pytest.mark.parametrize(
    ("expected", "status", "body"),
    [
        ("ok", 200, {"choices": [], "error": None}),
        ("ok", 201, None),
        ("ok", None, None),
        ("ok", 200, {"message": {"content": []}, "usage": {}}),
        # OpenAI
        ("throttled", 429, error_of(type="requests", code="rate_limit_exceeded")),
        ("throttled", 429, error_of(type="tokens", code="rate_limit_exceeded")),
        ("throttled", 429, None),
        ("quota_exhausted", 429, QUOTA),
        ("quota_exhausted", 429, QUOTA["error"]),
        ("quota_exhausted", 429, error_of(code="billing_hard_limit_reached", type="invalid_request_error")),
        ("server_error", 500, error_of(type="server_error", code=None)),
        ("server_error", 200, {"type": "response.failed", "response": {"error": {"code": "server_error"}}}),
        ("throttled", None, {"response": {"status": "failed", "error": {"code": "rate_limit_exceeded"}}}),
        ("unauthorized", 401, error_of(code="invalid_api_key", type="invalid_request_error")),
        ("invalid", 400, error_of(code="unknown_parameter", type="invalid_request_error")),
        ("invalid", 404, error_of(code="model_not_found")),
        ("conflict", 409, None),
        ("timeout", 408, None),
        ("overloaded", 503, None),
        ("timeout", 504, None),
        ("server_error", 502, "<html>bad gateway</html>"),
        # Anthropic, its last three inside a stream with HTTP 200
        ("overloaded", 529, {"type": "error", "error": {"type": "overloaded_error", "message": "x"}}),
        ("throttled", 429, {"type": "error", "error": {"type": "rate_limit_error"}}),
        ("quota_exhausted", 400, {"type": "error", "error": {"type": "billing_error"}}),
        ("overloaded", 200, {"type": "error", "error": {"type": "overloaded_error"}}),
        ("server_error", 200, {"type": "error", "error": {"type": "api_error"}}),
        ("throttled", 200, b'{"type": "error", "error": {"type": "rate_limit_error"}}'),
        # Google
        ("throttled", 429, error_of(code=429, status="RESOURCE_EXHAUSTED", details=[PER_MINUTE])),
        ("quota_exhausted", 429, error_of(code=429, status="RESOURCE_EXHAUSTED", details=[PER_DAY])),
        ("overloaded", 503, error_of(code=503, status="UNAVAILABLE")),
        ("server_error", 500, error_of(code=500, status="INTERNAL")),
        ("timeout", 504, error_of(code=504, status="DEADLINE_EXCEEDED")),
        ("throttled", 200, [{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}]),
        # Azure, Mistral, Groq, DeepSeek, OpenRouter, Amazon
        ("unauthorized", 401, error_of(code="401")),
        ("throttled", 429, {"object": "error", "message": "x", "type": "service_tier_capacity_exceeded"}),
        ("overloaded", 498, error_of(code="over_capacity")),
        ("invalid", 400, error_of(code="tool_use_failed", type="invalid_request_error")),
        ("quota_exhausted", 402, error_of(message="Insufficient Balance", code="invalid_request_error")),
        ("server_error", 200, error_of(code=502, message="x")),
        ("throttled", 429, error_of(code=429, message="x")),
        ("throttled", 400, {"message": "x", "__type": "com.amazon#ThrottlingException"}),
        ("overloaded", 200, {"serviceUnavailableException": {"message": "x"}}),
        # what nobody has seen yet
        ("unknown", 200, error_of(code="brand_new")),
        ("unknown", 302, None),
        ("invalid", 418, error_of(code="brand_new")),
    ],
)  # fmt: skip
def test_a_status_and_a_body_make_a_kind(expected: str, status: int | None, body: object) -> None:
    assert expected == read_signal(status=status, body=body, now=NOW).kind


def test_amazons_header_names_the_exception() -> None:
    found = read_signal(headers={"x-amzn-ErrorType": "ThrottlingException:http://x/"}, body={"message": "x"})
    assert (found.kind, found.detail) == ("throttled", "throttlingexception")


class ReadTimeout(Exception):
    """Stands for httpx's, whose base is told by its name."""


class TimeoutException(Exception):
    """Stands for the base of timeouts in httpx and httpx2."""


class ConnectTimeout(TimeoutException):
    """Stands for one of them."""


class APIConnectionError(Exception):
    """Stands for that of OpenAI, Anthropic and Groq."""


class APIStatusError(Exception):
    """Stands for an error of an SDK: a status, a response with headers, a parsed body."""

    def __init__(self, status: int, body: object = None, headers: dict[str, str] | None = None) -> None:
        """Carry what SDKs carry."""
        super().__init__("failed")
        self.status_code, self.body = status, body
        self.response = SimpleNamespace(status_code=status, headers=headers or {})


class ClientError(Exception):
    """Stands for Google's, whose code is the status, and for botocore's, whose response is a dictionary."""

    def __init__(self, **fields: object) -> None:
        """Carry these."""
        super().__init__("failed")
        self.__dict__.update(fields)


AMAZON = {"Error": {"Code": "ThrottlingException"}, "ResponseMetadata": {"HTTPStatusCode": 429, "HTTPHeaders": {}}}


@pytest.mark.parametrize(
    ("expected", "error"),
    [
        ("cancelled", asyncio.CancelledError()),
        ("cancelled", KeyboardInterrupt()),
        ("cancelled", GeneratorExit()),
        ("refused", BreakerOpen("ours", retry_after_s=1.0)),
        ("refused", BudgetExceeded("ours")),
        ("timeout", TimeoutError()),
        ("timeout", ConnectTimeout()),
        ("network", APIConnectionError()),
        ("network", ConnectionResetError()),
        ("unknown", ReadTimeout()),
        ("unknown", ValueError("a bug")),
        ("throttled", APIStatusError(429)),
        ("quota_exhausted", APIStatusError(429, QUOTA["error"])),
        ("overloaded", APIStatusError(200, {"type": "error", "error": {"type": "overloaded_error"}})),
        ("server_error", APIStatusError(500, "no JSON")),
        ("throttled", ClientError(code=429, status="RESOURCE_EXHAUSTED", details=error_of(code=429))),
        ("quota_exhausted", ClientError(code=429, details=error_of(code=429, details=[PER_DAY]))),
        ("throttled", ClientError(response=AMAZON)),
    ],
)
def test_an_exception_makes_a_kind(expected: str, error: BaseException) -> None:
    assert read_signal(error=error).kind == expected


def test_an_exception_brings_its_headers() -> None:
    found = read_signal("openai", error=APIStatusError(429, headers={"Retry-After": "7"}))
    assert (found.status, found.retry_after_s) == (429, 7.0)


@pytest.mark.parametrize(
    ("kind", "retryable", "failure", "neutral"),
    [
        ("ok", False, False, False),
        ("throttled", True, False, True),
        ("quota_exhausted", False, False, True),
        ("overloaded", True, True, False),
        ("server_error", True, True, False),
        ("timeout", True, True, False),
        ("network", True, True, False),
        ("conflict", True, False, True),
        ("unauthorized", False, False, True),
        ("invalid", False, False, True),
        ("cancelled", False, False, True),
        ("refused", False, False, True),
        ("unknown", False, False, True),
    ],
)
def test_kinds_say_what_to_do(kind: Any, retryable: object, failure: object, neutral: object) -> None:
    found = ProviderSignal(kind=kind)
    assert (found.is_retryable, found.is_failure, found.is_neutral) == (retryable, failure, neutral)


@pytest.mark.parametrize(
    ("status", "body", "word", "expected"),
    [
        (400, None, "true", True),
        (500, None, "false", False),
        (429, QUOTA, "true", False),
        (500, None, "perhaps", True),
        (200, None, "true", False),
    ],
)
def test_the_providers_own_word_on_retrying_decides_but_for_a_quota(
    status: int, body: object, word: str, expected: object
) -> None:
    assert read_signal(status=status, body=body, headers={"x-should-retry": word}).is_retryable == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Retry-After": "2"}, 2.0),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "Fri, 20 Nov 2026 12:01:30 GMT"}, 90.0),
        ({"retry-after": "Friday, 20-Nov-26 12:01:30 GMT"}, 90.0),
        ({"retry-after": "Fri, 20 Nov 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({}, None),
    ],
)
def test_retry_after_is_a_number_or_a_date(headers: dict[str, str], expected: float | None) -> None:
    assert expected == read_signal(status=429, headers=headers, now=NOW).retry_after_s


@pytest.mark.parametrize("status", [200, 201, None])
def test_retry_after_is_ignored_where_the_call_went_well(status: int | None) -> None:
    assert read_signal(status=status, headers={"retry-after": "15"}, now=NOW).retry_after_s is None


def test_googles_delay_is_in_the_body() -> None:
    body = error_of(code=429, status="RESOURCE_EXHAUSTED", details=[PER_MINUTE, {"retryDelay": "34.5s"}])
    assert read_signal("google", status=429, body=body).retry_after_s == 34.5


@pytest.mark.parametrize(
    ("text", "expected"),
    [("120ms", 0.12), ("0s", 0.0), ("6m0s", 360.0), ("17.379s", 17.379), ("1h2m3s", 3723.0), ("500", 500.0),
     ("1d", 86_400.0), ("", None), ("s", None), ("5 s", None), ("-1s", None), ("1e9s", None), ("1x2s", None)],
)  # fmt: skip
def test_durations(text: str, expected: float | None) -> None:
    assert expected == seconds_of(text)


REQUESTS, TOKENS = ("requests",), ("input_tokens", "output_tokens")


def row(
    dimensions: Any, limit: int | None, remaining: int | None, reset_s: float | None, period_s: float
) -> RateWindow:
    """Make a window from a row."""
    return RateWindow(dimensions=dimensions, limit=limit, remaining=remaining, reset_s=reset_s, period_s=period_s)


@pytest.mark.parametrize(
    ("provider", "headers", "expected"),
    [
        pytest.param(
            "openai",
            {
                "x-ratelimit-limit-requests": "500", "x-ratelimit-remaining-requests": "499",
                "x-ratelimit-reset-requests": "120ms", "x-ratelimit-limit-tokens": "200000",
                "x-ratelimit-remaining-tokens": "199772", "x-ratelimit-reset-tokens": "68ms",
            },
            [row(REQUESTS, 500, 499, 0.12, 60), row(TOKENS, 200_000, 199_772, 0.068, 60)],
            id="OpenAI",
        ),
        pytest.param(
            "openai",
            {
                "x-ratelimit-limit-requests": "10000", "x-ratelimit-remaining-requests": "9999",
                "x-ratelimit-reset-requests": "8.64s",
            },
            [row(REQUESTS, 10_000, 9_999, 8.64, 86_400)],
            id="OpenAI, a limit of a day",
        ),
        pytest.param(
            "groq",
            {
                "x-ratelimit-limit-requests": "14400", "x-ratelimit-remaining-requests": "14397",
                "x-ratelimit-reset-requests": "17.379s", "x-ratelimit-limit-tokens": "30000",
                "x-ratelimit-remaining-tokens": "29987", "x-ratelimit-reset-tokens": "26ms",
            },
            [row(REQUESTS, 14_400, 14_397, 17.379, 86_400), row(TOKENS, 30_000, 29_987, 0.026, 60)],
            id="Groq",
        ),
        pytest.param(
            "azure",
            {
                "x-ratelimit-limit-requests": "120", "x-ratelimit-remaining-requests": "119",
                "x-ratelimit-renewalperiod-requests": "60", "x-ratelimit-reset-requests": "500",
                "x-ratelimit-limit-tokens": "-1", "x-ratelimit-remaining-tokens": "-1",
                "x-ratelimit-abusepenalty-active": "False",
            },
            [row(REQUESTS, 120, 119, 0.5, 60)],
            id="Azure",
        ),
        pytest.param(
            "anthropic",
            {
                "anthropic-ratelimit-requests-limit": "50", "anthropic-ratelimit-requests-remaining": "0",
                "anthropic-ratelimit-requests-reset": "2026-11-20T12:00:30Z",
                "anthropic-ratelimit-input-tokens-limit": "400000",
                "anthropic-ratelimit-input-tokens-remaining": "399000",
                "anthropic-ratelimit-input-tokens-reset": "2026-11-20T11:59:00Z",
                "anthropic-ratelimit-output-tokens-limit": "80000",
                "anthropic-ratelimit-output-tokens-reset": "tomorrow",
            },
            [
                row(REQUESTS, 50, 0, 30.0, 60), row(("input_tokens",), 400_000, 399_000, 0.0, 60),
                row(("output_tokens",), 80_000, None, None, 60),
            ],
            id="Anthropic",
        ),
        pytest.param(
            "mistral",
            {
                "x-ratelimit-limit-req-10-second": "60", "x-ratelimit-remaining-req-10-second": "59",
                "x-ratelimit-limit-tokens-minute": "20000000", "x-ratelimit-remaining-tokens-minute": "19999979",
                "x-ratelimit-limit-tokens-month": "200000000000", "x-ratelimit-remaining-tokens-month": "0",
                "x-ratelimit-tokens-query-cost": "21",
            },
            [
                row(REQUESTS, 60, 59, None, 10), row(TOKENS, 20_000_000, 19_999_979, None, 60),
                row(TOKENS, 200_000_000_000, 0, None, 30 * 86_400),
            ],
            id="Mistral",
        ),
        pytest.param(
            "mistral",
            {
                "x-ratelimitbysize-limit-minute": "500000", "x-ratelimitbysize-remaining-minute": "401381",
                "ratelimitbysize-reset": "33", "ratelimitbysize-query-cost": "32018",
            },
            [row(TOKENS, 500_000, 401_381, 33.0, 60)],
            id="Mistral by size",
        ),
        pytest.param("openai", {"x-ratelimit-limit-requests": "many"}, [], id="no number"),
        pytest.param("openai", {"x-ratelimit-limit-requests": "0"}, [], id="a limit of nothing is none"),
        pytest.param("openai", {"content-type": "application/json"}, [], id="none"),
    ],
)  # fmt: skip
def test_rate_limits_of_each_provider(provider: str, headers: dict[str, str], expected: list[RateWindow]) -> None:
    assert expected == list(read_windows(provider, headers, NOW))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.floats(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["error", "code", "type", "status", "message", "details", "response"]), inner)
    ),
    max_leaves=12,
)


@given(st.none() | st.integers(0, 1000), JSON, st.dictionaries(
    st.sampled_from(["retry-after", "Retry-After-Ms", "x-ratelimit-limit-requests", "x-ratelimit-reset-requests",
                     "anthropic-ratelimit-tokens-reset", "x-should-retry"]), st.text(max_size=30)))  # fmt: skip
def test_nothing_that_comes_back_makes_it_raise(status: int | None, body: object, headers: dict[str, str]) -> None:
    found = read_signal("openai", status=status, headers=headers, body=body, now=NOW)
    assert found.retry_after_s is None or found.retry_after_s >= 0


def test_a_message_never_gets_into_the_signal() -> None:
    body = error_of(message="your prompt was: secret", code="x" * 500)
    found = read_signal(status=400, body=body)
    assert "secret" not in repr(found)
    assert len(found.detail) == 60


def answers() -> list[Any]:
    """Return the recorded answers with a status, errors and others."""
    if not RECORDED.is_dir():
        pytest.skip("the recorded responses are not beside this clone")
    found = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(RECORDED.glob("*/*.json"))]
    return [one for one in found if isinstance(one, dict) and isinstance(one.get("response"), dict)]


def test_recorded_answers_are_read_as_what_they_are() -> None:
    windows = 0
    for answer in answers():
        response = answer["response"]
        is_stream = not str(response.get("body", "")).lstrip().startswith("{")
        body = None if is_stream else response.get("body")
        found = read_signal(answer["provider"], status=response["status"], headers=response["headers"], body=body)
        assert (found.kind == "ok") == (response["status"] < 400), (answer["source"], found)
        assert found.kind not in {"unknown", "network", "cancelled"}
        assert found.kind != "ok" or found.retry_after_s is None
        windows += len(found.windows)
        for window in found.windows:
            assert window.remaining is None or window.limit is None or window.remaining <= window.limit
    assert windows > 200


def test_of_a_number_and_a_date_in_retry_after_only_what_parses_counts() -> None:
    assert read_retry_after({"retry-after": "Fri, 32 Nov 2026 12:01:30 GMT"}, NOW) is None
