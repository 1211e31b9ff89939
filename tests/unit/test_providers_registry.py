"""Which reader reads what: by the fields first, by the provider's name where they leave a choice."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from tokencalc.errors import UsageInvalid
from tokencalc.providers.registry import read_usage
from tokencalc.usage import Usage

BARE = {"input_tokens": 10, "output_tokens": 5}


def leaves(payload: Any, provider: str | None = None) -> dict[str, int | Decimal]:
    """Return the leaves by the meters' names."""
    return {meter.value: quantity for meter, quantity in read_usage(payload, provider).leaves}


@pytest.mark.parametrize("provider", [None, "openai", "anthropic", "google", "groq", "mistral", "my-own"])
def test_two_totals_mean_the_same_everywhere(provider: str | None) -> None:
    assert leaves(BARE, provider) == {"input": 10, "output": 5}
    assert leaves({"usage": BARE}, provider) == {"input": 10, "output": 5}


@pytest.mark.parametrize(
    ("expected", "usage"),
    [
        # Anthropic's name: the input excludes what was cached.
        ({"input": 10, "cache_read": 4, "output": 5}, {**BARE, "cache_read_input_tokens": 4}),
        # Our own name: the input includes it.
        ({"input": 6, "cache_read": 4, "output": 5}, {**BARE, "cache_read_tokens": 4}),
        # OpenAI's: includes it too.
        ({"input": 6, "cache_read": 4, "output": 5}, {**BARE, "input_tokens_details": {"cached_tokens": 4}}),
        ({"input": 10, "output": 3, "reasoning": 2}, {**BARE, "output_tokens_details": {"thinking_tokens": 2}}),
        ({"input": 10, "output": 3, "reasoning": 2}, {**BARE, "output_tokens_details": {"reasoning_tokens": 2}}),
    ],
)
def test_a_field_that_only_one_format_has_decides(expected: dict[str, int], usage: dict[str, Any]) -> None:
    assert leaves(usage) == expected
    assert leaves({"model": "m", "usage": usage}) == expected


def test_a_provider_decides_where_fields_of_two_formats_are_mixed() -> None:
    mixed = {**BARE, "cache_read_input_tokens": 4, "input_tokens_details": {"cached_tokens": 4}}
    assert leaves(mixed, "anthropic") == {"input": 10, "cache_read": 4, "output": 5}
    assert leaves(mixed, "openai") == {"input": 6, "cache_read": 4, "output": 5}
    with pytest.raises(UsageInvalid, match="mixes the fields of several formats; say which with provider="):
        read_usage(mixed)


def test_another_providers_name_does_not_hide_the_format() -> None:
    assert leaves({"usage": {"prompt_tokens": 3, "completion_tokens": 1}}, "anthropic") == {"input": 3, "output": 1}
    assert leaves({"usageMetadata": {"promptTokenCount": 3}}, "openai") == {"input": 3}


@pytest.mark.parametrize(
    ("expected", "counts"),
    [
        (
            {"input": 60, "cache_read": 30, "cache_write": 10, "output": 5},
            {"cache_read_tokens": 30, "cache_write_tokens": 10},
        ),
        (
            {"input": 70, "cache_write_5m": 20, "cache_write_1h": 10, "output": 5},
            {"cache_write_5m_tokens": 20, "cache_write_1h_tokens": 10},
        ),
        ({"input": 100, "output": 3, "reasoning": 2}, {"reasoning_tokens": 2, "cache_read_tokens": None}),
        (
            {"input": 93, "input_audio": 7, "output": 4, "output_audio": 1},
            {"input_audio_tokens": 7, "output_audio_tokens": 1},
        ),
        ({"input": 100, "output": 5, "web_search": 2}, {"web_searches": 2, "total_tokens": 105}),
        (
            {"input": 100, "output": 5, "input_audio_second": Decimal("12.5"), "output_image_piece": 2},
            {"input_audio_second": 12.5, "output_image_piece": 2, "web_search": 0},
        ),
        ({"input": 100, "output": 5, "request": 1, "input_page": 3}, {"request": 1, "input_page": 3}),
    ],
)  # fmt: skip
def test_plain_counts_go_by_the_names_of_the_glossary(expected: dict[str, Any], counts: dict[str, Any]) -> None:
    assert leaves({"input_tokens": 100, "output_tokens": 5, **counts}) == expected


def test_plain_counts_may_say_how_the_call_was_served() -> None:
    usage = read_usage(
        {**BARE, "reasoning_tokens": 1, "model": "m", "service_tier": "flex", "region": "us", "speed": "fast"}
    )
    assert (usage.model, usage.service_tier, usage.region, usage.speed) == ("m", "flex", "us", "fast")


@pytest.mark.parametrize(
    ("message", "counts"),
    [
        (r"usage.cache_reed_tokens: no such count; did you mean cache_read_tokens\?", {"cache_reed_tokens": 4}),
        (r"usage.reasoning_tokens: expected an integer .* found True", {"reasoning_tokens": True}),
        (r"usage.input_tokens \(10\) is less than its parts cache_read \(11\)", {"cache_read_tokens": 11}),
        (r"usage.total_tokens \(16\) is not input_tokens \+ output_tokens \(15\)", {"total_tokens": 16}),
        (r"usage.web_search: web_searches is given too", {"web_search": 2}),
        (r"usage.input_audio_seconds: no such count; did you mean input_audio_second\?", {"input_audio_seconds": 2}),
        (r"usage.input_page: expected an integer .* found 1.5", {"input_page": 1.5}),
        (r"usage.input_audio_second: expected a number from 0 .* found '3'", {"input_audio_second": "3"}),
    ],
)
def test_plain_counts_that_cannot_be_are_refused(message: str, counts: dict[str, Any]) -> None:
    with pytest.raises(UsageInvalid, match=message):
        read_usage({**BARE, "web_searches": 1, **counts})


def test_a_usage_comes_back_as_it_is() -> None:
    usage = Usage(input_tokens=1)
    assert read_usage(usage) is usage


@dataclass
class Details:
    """Details as an SDK's object."""

    cached_tokens: int


class Dumped:
    """An object that dumps itself, as pydantic's models do."""

    def __init__(self, **fields: Any) -> None:
        """Hold the fields."""
        self._fields = fields

    def model_dump(self) -> dict[str, Any]:
        """Return the fields."""
        return self._fields


class ToDict(Dumped):
    """An object of the older fashion."""

    model_dump = None  # type: ignore[assignment]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields."""
        return self._fields


class Slotted:
    """An object without a dictionary of its own."""

    __slots__ = ("completion_tokens", "prompt_tokens", "prompt_tokens_details")

    def __init__(self) -> None:
        """Hold a chat's counts."""
        self.prompt_tokens, self.completion_tokens, self.prompt_tokens_details = 10, 5, Details(cached_tokens=4)


CHAT = {"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 4}}


@pytest.mark.parametrize(
    "usage",
    [
        Dumped(**CHAT),
        ToDict(**CHAT),
        Slotted(),
        SimpleNamespace(prompt_tokens=10, completion_tokens=5, prompt_tokens_details=Details(cached_tokens=4)),
    ],
)
def test_objects_are_read_by_duck_typing(usage: object) -> None:
    expected = {"input": 6, "cache_read": 4, "output": 5}
    assert leaves(usage) == expected
    response = SimpleNamespace(model="gpt-4o", service_tier="default", usage=usage, choices=["never looked at"])
    assert leaves(response) == expected
    assert leaves({"usage": usage}) == expected
    assert (read_usage(response).model, read_usage(response).service_tier) == ("gpt-4o", "default")


def test_the_content_of_a_response_object_is_never_touched() -> None:
    class Content:
        """Content, of which only the kind and what was searched may be looked at."""

        type = "message"
        action = message = None
        grounding_metadata = SimpleNamespace(web_search_queries=["a", "b"])

        def __getattr__(self, name: str) -> object:
            """Fail when anything else is looked at."""
            raise AssertionError(f"content was touched: {name}")

    class Response:
        """A response whose content must not be read."""

        model_version = "gemini-2.5-flash"
        usage_metadata = Dumped(prompt_token_count=3, total_token_count=3)

        candidates = (Content(),)
        content = output = choices = (Content(),)

        def model_dump(self) -> object:
            """Fail when the whole is dumped."""
            raise AssertionError("content was touched")

    assert leaves(Response()) == {"input": 3, "web_search": 1}
    assert read_usage(Response()).model == "gemini-2.5-flash"


def test_searches_of_a_response_object_are_counted_by_their_kind() -> None:
    output = [SimpleNamespace(type="web_search_call", action=SimpleNamespace(type="search"))]
    response = SimpleNamespace(usage=SimpleNamespace(**BARE), output=output)
    assert leaves(response) == {"input": 10, "output": 5, "web_search": 1}


@pytest.mark.parametrize(
    ("message", "payload"),
    [
        ("expected a parsed body, a usage object or counts by name, found NoneType", None),
        ("found str; parse the JSON first", json.dumps({"usage": CHAT})),
        ("found int", 7),
        ("found object", object()),
        ("usage: null in this body; nothing to price", {"choices": [], "usage": None}),
        ("usage: null in this body; nothing to price", {"choices": [], "usage": None, "error": None}),
        ("usage: null in this body; nothing to price", {"choices": [{"i": 0}], "usage": None, "error": {"code": 5}}),
        ("usageMetadata: neither .* is there; nothing to price", {"usageMetadata": {"trafficType": "ON_DEMAND"}}),
        ("usage: expected an object, found 'x'", {"usage": "x"}),
        ("usage: expected an object, found 7", {"usage": 7}),
        (r"cannot tell the format of \{'type', 'minutes'\}; looked for", {"type": "length", "minutes": 10}),
        (r"cannot tell the format of \{\}", {}),
        (r"cannot tell the format of \{'a', .*, \.\.\.\}", dict.fromkeys("abcdefghij", 1)),
    ],
)  # fmt: skip
def test_what_is_no_usage_is_refused_with_what_was_looked_for(message: str, payload: object) -> None:
    with pytest.raises(UsageInvalid, match=message):
        read_usage(payload)


def test_an_object_too_deep_or_too_large_is_refused() -> None:
    deep: dict[str, Any] = {}
    for _ in range(50):
        deep = {"deeper": deep}
    with pytest.raises(UsageInvalid, match="expected at most 2000 values in 8 levels, found more; this is no usage"):
        read_usage({"usage": {**CHAT, "extra": deep}})
    with pytest.raises(UsageInvalid, match="this is no usage"):
        read_usage({"usage": {**CHAT, "extra": dict.fromkeys(map(str, range(3000)), 1)}})


def test_names_from_outside_are_shown_without_control_characters() -> None:
    usage = read_usage({"usage": {**CHAT, "\x1b[31m": 7}})
    assert usage.ignored == ("usage.'\\x1b[31m'",)
    assert usage.notes[-1].isprintable()
