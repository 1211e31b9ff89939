"""Recorded answers of each provider, replayed by a local server to a wrapped client: the ledger holds their usage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from anthropic import Anthropic
from anthropic import Stream as AnthropicStream
from google import genai
from google.genai import types
from groq import Groq
from groq import Stream as GroqStream
from mistralai.client import Mistral
from openai import OpenAI
from openai import Stream as OpenAIStream

from tests.client.ledgers import booked, states
from tests.client.provider import OPENED, Provider, Reply
from tokencalc import read_usage, wrap
from tokencalc.errors import UsageMissing
from tokencalc.providers.streams.sse import parse_sse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tokencalc import Engine, Usage

RECORDED = Path(__file__).parents[2].parent / "shared" / "recorded"


class Sdk(NamedTuple):
    """How one SDK is pointed at the server, and what of a recorded path it adds itself."""

    make: Callable[[str], Any]
    stream: Any
    base: str = ""


SDKS = {
    "openai_chat": Sdk(lambda url: OpenAI(api_key="key", base_url=f"{url}/v1"), OpenAIStream[Any], "/v1"),
    "openai_responses": Sdk(lambda url: OpenAI(api_key="key", base_url=f"{url}/v1"), OpenAIStream[Any], "/v1"),
    "anthropic": Sdk(lambda url: Anthropic(api_key="key", base_url=url), AnthropicStream[Any]),
    "groq": Sdk(lambda url: Groq(api_key="key", base_url=url), GroqStream[Any]),
}


def recordings() -> Iterator[Any]:
    """Yield the recordings that a client of these SDKs would have made."""
    for folder, sdk in SDKS.items():
        for file in sorted((RECORDED / folder).glob("*.json")):
            record = json.loads(file.read_text(encoding="utf-8"))
            request, answer = record["request"], record["response"]
            if isinstance(request.get("body"), dict) and isinstance(answer.get("body"), str) and request.get("path"):
                yield pytest.param(sdk, record, id=f"{folder}/{file.stem}")


def reply_of(record: dict[str, Any]) -> Reply:
    """Return a recorded answer as the server gives it."""
    answer = record["response"]
    kind = (answer.get("headers") or {}).get("content-type")
    if kind is None:
        kind = "application/json" if answer["body"].lstrip().startswith("{") else "text/event-stream"
    return Reply(status=answer["status"], headers={"content-type": kind}, pieces=(answer["body"].encode(),))


def payload_of(record: dict[str, Any]) -> Any:
    """Return a recorded answer as our reader takes it."""
    body = record["response"]["body"]
    try:
        return json.loads(body)
    except ValueError:
        return parse_sse(body)


def path_of(record: dict[str, Any], sdk: Sdk) -> str:
    """Return the path that the SDK would be asked for."""
    path: str = record["request"]["path"]
    return path.removeprefix(sdk.base)


FOUND = list(recordings())


@pytest.mark.skipif(not FOUND, reason="recorded answers are not beside this checkout")
@pytest.mark.parametrize(("sdk", "record"), FOUND or [pytest.param(None, None)])
def test_the_usage_in_the_ledger_is_that_of_the_recorded_answer(
    provider: Provider, engine: Engine, sdk: Sdk, record: dict[str, Any]
) -> None:
    provider.say(reply_of(record))
    plain = sdk.make(provider.url)
    OPENED.append(plain)
    client = wrap(plain, engine=engine, hold_usd="0.01")
    body = record["request"]["body"]
    is_streamed = body.get("stream") is True
    found = client.post(
        path_of(record, sdk),
        cast_to=object,
        body=body,
        stream=is_streamed,
        stream_cls=sdk.stream if is_streamed else None,
    )
    if is_streamed:
        for _ in found:
            pass
    expected = read_usage(payload_of(record), provider=client_provider(sdk))
    (entry,) = booked(engine)
    assert entry.usage is not None
    if expected.is_interrupted:
        assert entry.usage.input_tokens >= expected.input_tokens
        assert entry.usage.output_tokens >= expected.output_tokens
    else:
        assert figures(entry.usage) == figures(expected)
    assert states(engine) == ["settled"]


class Http(NamedTuple):
    """An SDK that is given an HTTP client: how it is made, where its HTTP client is, whose recordings it replays."""

    make: Callable[[str], Any]
    inside: Callable[[Any], Any]
    provider: str


def gemini(url: str) -> Any:
    """Return a client of google-genai."""
    return genai.Client(api_key="key", http_options=types.HttpOptions(base_url=url))


HTTPS = {
    "google": Http(gemini, lambda client: client._api_client._httpx_client, "google"),
    "google_vertex": Http(gemini, lambda client: client._api_client._httpx_client, "vertex"),
    "mistral": Http(
        lambda url: Mistral(api_key="key", server_url=url), lambda client: client.sdk_configuration.client, "mistral"
    ),
}


def sent() -> Iterator[Any]:
    """Yield the recordings of requests that these SDKs would have sent."""
    for folder, sdk in HTTPS.items():
        for file in sorted((RECORDED / folder).glob("*.json")):
            record = json.loads(file.read_text(encoding="utf-8"))
            if isinstance(record["response"].get("body"), str) and record["request"].get("path"):
                yield pytest.param(sdk, record, id=f"{folder}/{file.stem}")


SENT = list(sent())


@pytest.mark.skipif(not SENT, reason="recorded answers are not beside this checkout")
@pytest.mark.parametrize(("sdk", "record"), SENT or [pytest.param(None, None)])
def test_the_usage_in_the_ledger_is_that_of_what_the_guarded_http_client_was_answered(
    provider: Provider, engine: Engine, sdk: Http, record: dict[str, Any]
) -> None:
    reply = reply_of(record)
    provider.say(reply)
    plain = sdk.make(provider.url)
    client = wrap(plain, engine=engine, hold_usd="0.01", provider=sdk.provider)
    http = sdk.inside(client)
    request = http.build_request("POST", provider.url + record["request"]["path"], json=record["request"]["body"])
    is_streamed = "event-stream" in reply.headers["content-type"]
    answer = http.send(request, stream=is_streamed)
    answer.read()
    answer.close()
    (entry,) = booked(engine)
    assert entry.usage is not None
    try:
        expected = figures(read_usage(payload_of(record), provider=sdk.provider))
    except UsageMissing:  # a prompt that was blocked
        assert any("estimated" in note for note in entry.notes)
    else:
        assert figures(entry.usage) == expected
    assert states(engine) == ["settled"]
    sdk.inside(plain).close()


def figures(usage: Usage) -> list[Any]:
    """Return what is priced of a usage, call by call."""
    return [(sorted(call.leaves), call.model, call.service_tier, call.region, call.speed) for call in usage.calls]


def client_provider(sdk: Sdk) -> str:
    """Return the provider whose reader reads."""
    return next(name for name, one in SDKS.items() if one is sdk).split("_")[0]
