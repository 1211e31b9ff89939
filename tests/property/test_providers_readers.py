"""For any payload: the quick way agrees with the careful one, totals are kept, and only documented errors come out."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokencalc.errors import UsageInvalid
from tokencalc.providers import anthropic, google
from tokencalc.providers.openai import CHAT, RESPONSES, TotalsReader
from tokencalc.providers.registry import read_usage

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy

COUNTS = st.integers(0, 10**9)
TEXTS = st.sampled_from(["standard", "priority", "us", "not_available", ""])


@st.composite
def optional_fields(draw: DrawFn, fields: dict[str, SearchStrategy[Any]]) -> dict[str, Any]:
    """Draw a dictionary with any of the fields, in any order."""
    names = draw(st.permutations(list(fields)))
    return {name: draw(fields[name]) for name in names if draw(st.booleans())}


@st.composite
def totals(draw: DrawFn, names: Any) -> dict[str, Any]:
    """Draw a usage whose totals include their parts."""
    cached, written, reasoning = draw(COUNTS), draw(COUNTS), draw(COUNTS)
    total_in, total_out = cached + written + draw(COUNTS), reasoning + draw(COUNTS)
    inside = {
        "cached_tokens": cached,
        "cache_write_tokens": written,
        **draw(optional_fields({"audio_tokens": st.just(0)})),
    }
    outside = {"reasoning_tokens": reasoning, **draw(optional_fields({"rejected_prediction_tokens": COUNTS}))}
    usage = {names.total_in: total_in, names.total_out: total_out, names.inside: inside, names.outside: outside}
    return usage | draw(optional_fields({"total_tokens": st.just(total_in + total_out), "service_tier": TEXTS}))


@given(
    usage=st.one_of(
        totals(CHAT).map(lambda usage: (CHAT, usage)), totals(RESPONSES).map(lambda usage: (RESPONSES, usage))
    )
)
def test_totals_that_include_their_parts_are_read_alike_by_both_ways(usage: tuple[Any, dict[str, Any]]) -> None:
    names, fields = usage
    reader = TotalsReader(names)
    careful = reader.read_any(fields, {"model": "m"})
    assert reader.read_plain(fields, {"model": "m"}) in {None, careful}
    assert (careful.input_tokens, careful.output_tokens) == (fields[names.total_in], fields[names.total_out])
    assert careful.reasoning_tokens == fields[names.outside]["reasoning_tokens"]


@given(
    counts=st.tuples(COUNTS, COUNTS, COUNTS, COUNTS),
    provider=st.sampled_from([None, "xai", "openai"]),
    marks=st.sampled_from([{}, {"num_sources_used": 0}]),
)
def test_reasoning_beside_the_completion_adds_up_to_the_total(
    counts: tuple[int, ...], provider: str | None, marks: dict[str, int]
) -> None:
    cached, fresh, completion, reasoning = counts
    usage = {
        "prompt_tokens": cached + fresh,
        "completion_tokens": completion,
        "total_tokens": cached + fresh + completion + reasoning,
        "prompt_tokens_details": {"cached_tokens": cached},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
        **marks,
    }
    read = read_usage({"usage": usage}, provider)
    assert read.input_tokens + read.output_tokens == usage["total_tokens"]
    assert (read.reasoning_tokens, read.notes) == (reasoning, ())


@given(counts=st.tuples(COUNTS, COUNTS, COUNTS, COUNTS, COUNTS))
def test_converse_counts_add_up_to_the_total(counts: tuple[int, ...]) -> None:
    plain, read_count, short, long, output = counts
    usage = {
        "inputTokens": plain,
        "outputTokens": output,
        "cacheReadInputTokens": read_count,
        "cacheWriteInputTokens": short + long,
        "cacheDetails": [{"ttl": "5m", "inputTokens": short}, {"ttl": "1h", "inputTokens": long}],
        "totalTokens": sum(counts),
    }
    read = read_usage({"usage": usage})
    assert read.input_tokens + read.output_tokens == usage["totalTokens"]
    assert (read.uncached_input_tokens, read.cache_write_1h_tokens, read.notes) == (plain, long, ())


@st.composite
def messages(draw: DrawFn) -> dict[str, Any]:
    """Draw a usage of Anthropic's."""
    short, long, thinking = draw(COUNTS), draw(COUNTS), draw(COUNTS)
    fields = {
        "cache_creation_input_tokens": st.just(short + long + draw(COUNTS)),
        "cache_read_input_tokens": COUNTS,
        "server_tool_use": optional_fields({"web_search_requests": COUNTS, "web_fetch_requests": COUNTS}),
        "service_tier": TEXTS,
        "inference_geo": TEXTS,
        "speed": TEXTS,
        "iterations": st.none(),
    }
    split = {"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": long}
    usage: dict[str, Any] = {
        "input_tokens": draw(COUNTS),
        "output_tokens": thinking + draw(COUNTS),
        "cache_creation": split,
    }
    return usage | {"output_tokens_details": {"thinking_tokens": thinking}} | draw(optional_fields(fields))


@given(usage=messages(), restated=st.booleans())
def test_messages_are_read_alike_by_both_ways(usage: dict[str, Any], restated: bool) -> None:  # noqa: FBT001  # drawn
    if restated:
        same = (
            "input_tokens",
            "output_tokens",
            "cache_read_input_tokens",
            "cache_creation_input_tokens",
            "cache_creation",
        )
        usage["iterations"] = [{"type": "message", **{name: usage[name] for name in same if name in usage}}]
    careful = anthropic.read_any(usage, {"model": "m"})
    quick = anthropic.read_plain(usage, {"model": "m"})
    assert quick in {None, careful}
    assert careful.output_tokens == usage["output_tokens"]
    assert careful.uncached_input_tokens == usage["input_tokens"]
    assert careful.parts == ()


@given(
    counts=st.tuples(COUNTS, COUNTS, COUNTS, COUNTS, COUNTS),
    names=st.sampled_from(google.SPELLINGS),
    lists=st.lists(st.booleans(), min_size=4, max_size=4),
)
def test_gemini_counts_are_read_alike_by_both_ways(counts: tuple[int, ...], names: Any, lists: list[bool]) -> None:
    cached, fresh, candidates, thoughts, tool = counts
    usage: dict[str, Any] = {
        names.prompt: cached + fresh,
        names.cached: cached,
        names.candidates: candidates,
        names.thoughts: thoughts,
        names.tool_prompt: tool,
        names.total: cached + fresh + candidates + thoughts + tool,
    }
    keys = (names.prompt_list, names.candidates_list, names.cached_list, names.tool_prompt_list)
    usage |= {
        key: [{"modality": "TEXT", names.item_count: 1}] for key, wanted in zip(keys, lists, strict=True) if wanted
    }
    careful = google.read_any(usage, {}, names)
    assert google.read_plain(usage, {}, names) == careful
    assert careful.input_tokens + careful.output_tokens == usage[names.total]


WHOLE: list[dict[str, Any]] = [
    {
        "model": "m",
        "usage": {
            "prompt_tokens": 90,
            "completion_tokens": 40,
            "total_tokens": 130,
            "prompt_tokens_details": {"cached_tokens": 20, "audio_tokens": 3},
            "completion_tokens_details": {"reasoning_tokens": 8},
        },
        "x_groq": {"usage": {"prompt_tokens": 1}},
        "usage_breakdown": {"models": [{"model": "a", "usage": {"prompt_tokens": 90, "completion_tokens": 40}}]},
    },
    {
        "model": "m",
        "output": [{"type": "message"}],
        "usage": {"input_tokens": 1, "input_tokens_details": {"cached_tokens": 1}},
    },
    {
        "type": "message",
        "model": "m",
        "usage": {
            "input_tokens": 9,
            "output_tokens": 40,
            "cache_creation": {"ephemeral_1h_input_tokens": 5},
            "server_tool_use": {"web_search_requests": 1},
            "iterations": [
                {"type": "message", "input_tokens": 9, "output_tokens": 40},
                {"type": "compaction", "input_tokens": 7},
            ],
        },
    },
    {
        "modelVersion": "m",
        "usageMetadata": {
            "promptTokenCount": 90,
            "totalTokenCount": 90,
            "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 60}],
            "trafficType": "ON_DEMAND",
        },
    },
    {
        "model": "m",
        "usage": {"prompt_tokens": 9, "completion_tokens": 1, "num_cached_tokens": 2, "prompt_token_details": {}},
    },
    {"input_tokens": 10, "output_tokens": 5, "cache_read_tokens": 3},
    {
        "stopReason": "end_turn",
        "usage": {
            "inputTokens": 9,
            "outputTokens": 4,
            "totalTokens": 60,
            "cacheReadInputTokens": 30,
            "cacheWriteInputTokens": 17,
            "cacheDetails": [{"ttl": "5m", "inputTokens": 12}, {"ttl": "1h", "inputTokens": 5}],
        },
        "serviceTier": {"type": "flex"},
        "performanceConfig": {"latency": "optimized"},
        "trace": {"promptRouter": {"invokedModelId": "a/b"}, "guardrail": {"usage": {"topicPolicyUnits": 1}}},
    },
    {"amazon-bedrock-invocationMetrics": {"inputTokenCount": 3, "outputTokenCount": 4, "invocationLatency": 9}},
    {"inputTextTokenCount": 3, "results": [{"tokenCount": 4}]},
    {"generation": "x", "prompt_token_count": 3, "generation_token_count": 4},
    {"ResponseMetadata": {"HTTPHeaders": {"x-amzn-bedrock-input-token-count": "7"}}},
    {"meta": {"billed_units": {"input_tokens": 3, "search_units": 1}, "tokens": {"input_tokens": 9}}},
    {"usage": {"billed_units": {"output_tokens": 3}, "tokens": {"input_tokens": 9}, "cached_tokens": 4}},
    {
        "usage": {
            "prompt_tokens": 9,
            "completion_tokens": 4,
            "prompt_cache_hit_tokens": 3,
            "prompt_cache_miss_tokens": 6,
        }
    },
    {
        "output": [{"type": "web_search_call", "action": {"type": "search"}}, {"type": "file_search_call"}],
        "tool_usage": {"web_search": {"num_requests": 1}},
        "usage": {
            "input_tokens": 9,
            "output_tokens": 4,
            "server_side_tool_usage_details": {"x_search_calls": 2},
            "cost_in_usd_ticks": 99,
        },
    },
    {"data": [{"url": "x"}], "usage": {"cost_in_usd_ticks": 99}},
    {
        "service_tier": "provisioned",
        "usage": {
            "prompt_tokens": 9,
            "completion_tokens": 4,
            "prompt_tokens_details": {"cached_tokens": 8, "cache_write_tokens": 8, "video_tokens": 0},
            "cost": 0.25,
            "cost_details": {"upstream_inference_cost": 0.25},
            "is_byok": True,
            "server_tool_use_details": {"web_search_requests": 1, "tool_calls_executed": 2},
        },
    },
    {"data": {"native_tokens_prompt": 9, "native_tokens_completion": 4, "total_cost": 0.5}},
    {
        "usage": {
            "prompt_tokens": 9,
            "completion_tokens": 4,
            "citation_tokens": 3,
            "reasoning_tokens": 5,
            "num_search_queries": 1,
            "cost": {"total_cost": 0.5},
        }
    },
    {"usage": {"prompt_tokens": 9, "completion_tokens": 4, "cached_tokens": 2, "prompt_tokens_details": {}}},
    {"data": [{"embedding": []}], "usage": {"total_tokens": 9}},
    {"text": "x", "duration": 8.5, "usage": {"type": "duration", "seconds": 9.5}},
    {"text": "x", "duration": "8.5"},
    {"object": "video", "status": "completed", "seconds": "8"},
    {"data": [{"b64_json": "x"}], "usage": {"input_tokens": 9, "output_tokens": 4, "input_tokens_details": {}}},
    {"predictions": [{"embeddings": {"statistics": {"token_count": 3}}}], "metadata": {"billableCharacterCount": 9}},
    {
        "usage": {
            "prompt_tokens": 9,
            "completion_tokens": 4,
            "total_tokens": 40,
            "prompt_audio_seconds": 12,
            "connector_tokens": 7,
            "connectors": {"web_search": 1},
        }
    },
    {"pages": [], "usage_info": {"pages_processed": 3, "pages_processed_annotation": 1}},
    {
        "modelVersion": "gemini-2.5-pro",
        "candidates": [{"groundingMetadata": {"webSearchQueries": ["x"], "groundingChunks": [{"maps": {}}]}}],
        "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 3, "totalTokenCount": 12},
    },
    {"usage": {"total_input_tokens": 9, "grounding_tool_count": [{"type": "google_search", "count": 2}]}},
    {
        "container": {"id": "c"},
        "content": [{"type": "code_execution_tool_result"}],
        "usage": {"input_tokens": 9, "output_tokens": 4, "cache_read_input_tokens": 3},
    },
]
PROVIDERS = (
    None, "openai", "azure", "anthropic", "google", "vertex", "groq", "mistral", "cohere", "bedrock", "deepseek",
    "openrouter", "perplexity", "together", "xai", "else",
)  # fmt: skip
JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.binary(max_size=3),
    st.just([]),
    st.just({}),
    st.just([1]),
    st.just([None, {}]),
    st.just({"a": {"b": [1]}}),
    st.just(object()),
    st.just(10**400),
)


def _places(value: Any, keys: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    below = [place for key, item in items for place in _places(item, (*keys, key))]
    return [keys, *below] if keys else below


@st.composite
def damaged(draw: DrawFn) -> Any:
    """Draw a body with some values replaced by junk, or with junk beside them."""
    body = copy.deepcopy(draw(st.sampled_from(WHOLE)))
    for _ in range(draw(st.integers(1, 3))):
        keys = draw(st.sampled_from(_places(body)))
        holder = body
        for key in keys[:-1]:
            holder = holder[key]
        if isinstance(holder, dict) and draw(st.booleans()):
            holder[draw(st.text(max_size=8))] = copy.deepcopy(draw(JUNK))
        else:
            holder[keys[-1]] = copy.deepcopy(draw(JUNK))
    return body


@pytest.mark.parametrize("body", WHOLE)
def test_a_whole_body_is_read_whoever_is_named(body: Any) -> None:
    for provider in PROVIDERS:
        assert read_usage(body, provider).leaves


@given(body=damaged(), provider=st.sampled_from(PROVIDERS))
@settings(max_examples=600)
def test_a_damaged_body_is_read_or_refused_by_name(body: Any, provider: str | None) -> None:
    for _ in range(2):
        try:
            usage = read_usage(body, provider)
        except UsageInvalid as error:
            assert error.path  # noqa: PT017  # one of the two outcomes that are right
        else:
            assert all(quantity > 0 for _, quantity in usage.leaves)
            assert usage.input_tokens >= usage.cache_read_tokens + usage.cache_write_tokens


@given(payload=JUNK)
def test_junk_is_refused_by_name(payload: Any) -> None:
    with pytest.raises(UsageInvalid, match="usage"):
        read_usage(payload)
